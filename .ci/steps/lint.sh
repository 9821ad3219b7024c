# shellcheck shell=bash
# What can be said of the sources without running them.

lint() {
    ruff check .
    ruff format --check benchmarks docs/conf.py docs/site examples pymempool tests \
        pytest_pymempool.py
    mypy
    check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
    git ls-files -z '*.c' '*.h' | xargs -0 clang-format --dry-run -Werror
    cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,portability \
        --inline-suppr --suppress=toomanyconfigs -Ic c/memory_pool.c c/nbdkit/*.c
}
