# shellcheck shell=bash
# How much of c/src the C tests run: every line, and nearly every way that a branch can go.

coverage() {
    # Nothing is optimised, and what is to be inlined everywhere stays the one function that
    # it is in the source; so a branch of the source is one of the program. A fifth of the
    # random work meets the same lines.
    TEST_SCALE=20 build_and_test coverage -DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=Debug \
        -DCMAKE_C_FLAGS='-O0 -Dalways_inline=unused --coverage -fprofile-update=atomic' \
        -DPOOL_INSTALL=OFF
    # Tests that include the library count as well: what any of the programs ran was run.
    gcovr --root . --filter 'c/src/' --merge-mode-functions separate \
        --txt-metric line --txt-metric branch \
        --gcov-suspicious-hits-threshold 0 `# comparisons of pins run 2^32 times` \
        --fail-under-line 100 --fail-under-branch 95 "$scratch/build-coverage"
}
