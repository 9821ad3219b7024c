# shellcheck shell=bash
# Other machines and another C library, and what programs built against the last release
# find in this one.

machines() {
    run='env TEST_SCALE=30' build_and_test musl -DCMAKE_C_COMPILER=musl-gcc
    in_qemu s390x # big-endian
}

aarch64() {
    in_qemu aarch64
}

# in_qemu MACHINE: the tests do a tenth of the work.
in_qemu() {
    run='env TEST_SCALE=10' build_and_test "$1" -DPOOL_INSTALL=OFF \
        -DCMAKE_TOOLCHAIN_FILE=".ci/$1.cmake"
}

# Recorded on x86-64, and compared there.
abi() {
    if [ "$(uname -m)" != x86_64 ]; then
        skip "the comparison of the ABI: it was recorded on x86-64, this is $(uname -m)"
        return
    fi
    tests/evidence/abi/run
}
