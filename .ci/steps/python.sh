# shellcheck shell=bash
# The Python tests, on an installed package: every line of it is run, and the library
# below it is watched by the sanitizers. What runs C compilers has steps of its own.

# Installs the package for the two steps below.
install_for_python() {
    installed=$scratch/installed
    if [ -d "$installed" ]; then
        return
    fi
    python3 -m venv "$installed"
    local pip=("$installed/bin/pip" --disable-pip-version-check -q)
    "${pip[@]}" install '.[test]' 'coverage>=7.10'
    # The tests of universal_pathlib for other file systems are in none of its wheels.
    "${pip[@]}" download --no-deps --no-binary :all: universal_pathlib -d "$scratch/upath"
    tar -xzf "$scratch"/upath/*.tar.gz -C "$scratch/upath"
    cp -r "$scratch"/upath/*/upath/tests "$installed"/lib/python3*/site-packages/upath
}

# Two tests would wait for ever for a lock that coverage.py takes while it looks at a line:
# one has a child of fork() without the thread that has it, one interrupts that thread. A
# third interrupts each line of each call, of which coverage.py makes many: minutes. A
# fifth of the random work meets the same lines.
python_coverage() {
    install_for_python
    export COVERAGE_FILE=$scratch/python-coverage/data
    mkdir "$scratch/python-coverage"
    local coverage=$installed/bin/coverage rules=--rcfile=.ci/python-coverage.ini
    TEST_SCALE=20 "$coverage" run "$rules" -m pytest -q -p no:cacheprovider \
        --ignore-glob '*/test_ctest.py' --ignore-glob '*/test_counts.py' \
        --ignore-glob '*/test_docs.py' \
        -k 'not fork_while_threads and not in_long_calls and not every_place'
    "$coverage" combine -q "$rules"
    "$coverage" report "$rules"
}

python_sanitizers() {
    install_for_python
    # Here are the tests of universal_pathlib, which the README's command has to skip.
    "$installed/bin/pytest" -q -p no:cacheprovider \
        tests/python/filesystem/test_universal_pathlib.py
    local alone=() test
    # Little of C, or a compiler; two make the errors that AddressSanitizer is there for.
    for test in clone config kills model processes shared_memory signatures \
        over_release wipe; do
        alone+=(--ignore-glob "*/test_$test.py")
    done
    # To pin what is pinned already allocates nothing there, see docs/inside/memory.md.
    local pinned='tests/python/core/test_failing_allocations.py::test_each_allocation[pin, pinned]'
    # A bytes object of 2^63 bytes is to fail and not to stop the program. CPython itself
    # leaves much behind at its end.
    TEST_SCALE=30 ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=0 \
        run_sanitized address,undefined libasan.so "${alone[@]}" \
        --deselect "$pinned" \
        tests/python/{core,native,sharing,testing}
    # gcc says at each fence that ThreadSanitizer does not know it; the code knows. What is
    # reported of pyarrow's own threads (test_arrow) says nothing of the pool.
    TSAN_OPTIONS=die_after_fork=0 CFLAGS=-Wno-tsan \
        run_sanitized thread libtsan.so \
        --deselect tests/python/core/test_files.py::test_arrow \
        tests/python/core/test_{threads,lifetime,adopt,mixed,batches,copies,integers,views,files}.py
}

# run_sanitized SANITIZERS RUNTIME [ARGUMENT OF PYTEST ...]: the tests on the installed
# package with a sanitized library. The runtime must be there before the interpreter, and
# that of C++ with it: else the first exception in matplotlib finds no way out.
run_sanitized() {
    local sanitizers=$1 runtime=$2 packages=$scratch/sanitized-${1%%,*}
    shift 2
    cmake -S . -B "$packages/build" -G Ninja -DCMAKE_C_COMPILER=gcc -DPOOL_INSTALL=OFF \
        -DPOOL_BUILD_TESTS=OFF -DPOOL_BUILD_STATIC=OFF -DPOOL_SANITIZE="$sanitizers" \
        >"$packages.log" || { cat "$packages.log"; return 1; }
    cmake --build "$packages/build" --parallel "$jobs" -- --quiet
    cp -r "$installed"/lib/python3*/site-packages/pymempool "$packages"
    cp "$packages"/build/libmemory_pool.so "$packages/pymempool"
    printf -- '--- %s\n' "$sanitizers"
    LD_PRELOAD="$(gcc -print-file-name="$runtime") $(gcc -print-file-name=libstdc++.so.6)" \
        PYTHONPATH=$packages \
        setarch -R "$installed/bin/python" "$installed/bin/pytest" -q \
        -p no:cacheprovider --durations 3 "$@"
}
