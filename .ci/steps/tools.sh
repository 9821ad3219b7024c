# shellcheck shell=bash
# What the other steps need: compilers and Wine from Debian, the rest in a venv.

tools() {
    local packages=(
        gcc g++ libc6-dev git pkg-config python3 python3-venv
        clang libclang-rt-14-dev clang-tools-14 cppcheck shellcheck # clang-tools-14: clang-cl
        gcc-12-multilib g++-12-multilib # gcc-multilib would remove the cross compiler
        gcc-mingw-w64-x86-64-posix wine wine64
        spin relacy-dev gdb valgrind abigail-tools doxygen chromium fonts-dejavu-core
        musl-tools qemu-user gcc-aarch64-linux-gnu gcc-s390x-linux-gnu
        libc6-dev-arm64-cross libc6-dev-s390x-cross
        nbdkit nbdkit-plugin-dev libnbd-bin python3-libnbd qemu-utils qemu-system-x86
        e2fsprogs fio util-linux
    )
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq -o DPkg::Lock::Timeout=300
    apt-get install -qq -y -o DPkg::Lock::Timeout=300 --no-install-recommends \
        "${packages[@]}" >"$scratch/apt.log" 2>&1 || { cat "$scratch/apt.log"; return 1; }

    bare_path=$PATH # for the README's commands, which must do without the venv
    python3 -m venv "$scratch/venv"
    export PATH=$scratch/venv/bin:$PATH
    pip install -q --disable-pip-version-check -r .ci/requirements.txt '.[dev]'

    # The oldest CMake that the project promises to work with.
    python3 -m venv "$scratch/oldest"
    "$scratch/oldest/bin/pip" install -q --disable-pip-version-check 'cmake==3.20.*'
    oldest_cmake=$scratch/oldest/bin/cmake
}
