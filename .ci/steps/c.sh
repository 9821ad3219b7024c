# shellcheck shell=bash
# Builds of the C library, each with its tests.

# build_and_test NAME [OPTION OF CMAKE ...]; $cmake and $run may name another CMake and
# a command to run ctest under; $without are tests to be left out.
build_and_test() {
    local build=$scratch/build-$1
    printf -- '--- %s\n' "$*"
    shift
    ${cmake:-cmake} -S . -B "$build" -G Ninja -DPOOL_WERROR=ON "$@" >"$build.log" 2>&1 ||
        { cat "$build.log"; return 1; }
    ${cmake:-cmake} --build "$build" --parallel "$jobs" -- --quiet
    ${run:-} ctest --test-dir "$build" --output-on-failure --parallel "$jobs" \
        --exclude-regex "^(${without:-})\$"
    grep -h 'skipped: ' "$build/Testing/Temporary/LastTest.log" || true
}

# As it is shipped, with users' projects, and with half of the random work; other builds do
# less of that.
native() {
    cmake=$oldest_cmake run='env TEST_SCALE=50' build_and_test gcc -DCMAKE_C_COMPILER=gcc \
        -DPOOL_DEBUG_LIBRARY=ON
    without_written_pages gcc
    gcc -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only c/memory_pool.c c/demo.c
    benchmarks_work gcc
}

# without_written_pages NAME: the C tests with pins in the build of that name once more, as on
# a system that does not tell which pages were written to.
without_written_pages() {
    TEST_SCALE=20 POOL_WRITTEN_PAGES=none ctest --test-dir "$scratch/build-$1" --output-on-failure \
        --parallel "$jobs" --no-tests=error \
        -R '^(test_(pin|written|linear|model|views|sharing|fork|copy|wipe|states)|fuzz_replay)'
}

# benchmarks_work NAME: a short run of some rows, in the build of that name; what they cost
# decides nothing.
benchmarks_work() {
    local build=$scratch/build-$1
    cmake --build "$build" --parallel "$jobs" --target memory_pool_bench -- --quiet
    "$build/benchmarks/memory_pool_bench" --quick --rows C1,C5,C6,C10,C14,C15,W1,W3,W5,W9 \
        --json "$build/bench.json"
    python3 -m json.tool "$build/bench.json" >/dev/null
}

sanitizers() {
    run='env TEST_SCALE=20' build_and_test asan -DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=Debug \
        -DPOOL_DEBUG=ON -DPOOL_SANITIZE=address,undefined
    # ThreadSanitizer does not know all address layouts that the system may choose from.
    # What is left out takes long, in one thread.
    run='env TEST_SCALE=20 setarch -R' \
        without='test_(faults|fail_allocation|model|search|pin_random)|fuzz_replay' \
        build_and_test tsan -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug -DPOOL_SANITIZE=thread
    under_valgrind
}

# valgrind's reports of the programs in tests/c/wrong. The other tests run
# under AddressSanitizer, which is faster.
under_valgrind() {
    local build=$scratch/build-valgrind
    printf -- '--- valgrind\n'
    cmake -S . -B "$build" -G Ninja -DCMAKE_C_COMPILER=gcc -DPOOL_WERROR=ON -DPOOL_INSTALL=OFF \
        -DPOOL_VALGRIND=ON >"$build.log" 2>&1 || { cat "$build.log"; return 1; }
    cmake --build "$build" --parallel "$jobs" --target wrong -- --quiet
    ctest --test-dir "$build" --output-on-failure --parallel "$jobs" --no-tests=error -R '^wrong_'
}

# By the other compiler, and with the assertions of POOL_DEBUG. Users' projects are built by
# `native`, for Windows and for musl.
# The kernel's headers of the one machine serve the other; compilers do not look for them there.
thirty_two_bits() {
    local headers=/usr/include/x86_64-linux-gnu
    run='env TEST_SCALE=20' build_and_test m32 -DCMAKE_C_COMPILER=clang -DPOOL_DEBUG=ON -DPOOL_INSTALL=OFF \
        "-DCMAKE_C_FLAGS=-m32 -idirafter $headers"
}
