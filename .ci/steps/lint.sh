# shellcheck shell=bash
# What can be said of the sources without running them.

lint() {
    ruff check .
    ruff format --check benchmarks docs/conf.py docs/site examples pymempool tests \
        pytest_pymempool.py
    mypy
    check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
    # The steps share variables with .ci/run, which a look at one file cannot know.
    git grep -lzE '^#(!.*\bbash|!.*/sh| shellcheck shell=bash)' \
        | xargs -0 shellcheck --severity=warning --exclude=SC2034,SC2154
    git ls-files -z '*.c' '*.h' | xargs -0 clang-format --dry-run -Werror
    cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,portability \
        --inline-suppr --suppress=toomanyconfigs -Ic c/memory_pool.c c/nbdkit/*.c
}
