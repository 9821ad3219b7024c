# shellcheck shell=bash
# What can be said of the sources without running them.

lint() {
    ruff check .
    ruff format --check .ci benchmarks c/gdb docs/conf.py docs/site examples pymempool tests \
        pytest_pymempool.py
    mypy
    github
    git ls-files -z | xargs -0 codespell
    python3 .ci/words.py
    # The steps share variables with .ci/run, which a look at one file cannot know.
    git grep -lzE '^#(!.*\bbash|!.*/sh| shellcheck shell=bash)' \
        | xargs -0 shellcheck --severity=warning --exclude=SC2034,SC2154
    git ls-files -z '*.c' '*.h' | xargs -0 clang-format --dry-run -Werror
    cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,portability \
        --inline-suppr --suppress=toomanyconfigs -Ic c/memory_pool.c c/nbdkit/*.c
    each_file_alone
    if git grep -L 'SPDX-License-Identifier: MIT' -- c; then
        echo 'these name no licence'
        return 1
    fi
}

# The library is compiled as one unit, but each of its files can be read alone. What such a
# file misses then is the static functions of others. gcc warns of that, and cannot be told
# not to; so it is asked for errors, and clang for warnings.
each_file_alone() {
    local files=() read=(-std=c11 -Wall -Wextra -fsyntax-only)
    local all_but=(-Werror -Wno-undefined-internal -Wno-unused-function -Wno-unused-variable)
    mapfile -t files < <(git ls-files 'c/src/*.c')
    for file in "${files[@]}"; do
        case $file in
        *_win32.c)
            clang --target=x86_64-w64-mingw32 "${read[@]}" "${all_but[@]}" "$file"
            ;;
        *)
            clang "${read[@]}" -Wpedantic "${all_but[@]}" "$file"
            gcc "${read[@]}" -Werror=implicit-function-declaration "$file" \
                2>"$scratch/alone.log" || { cat "$scratch/alone.log"; return 1; }
            ;;
        esac
    done
}

# What GitHub reads: its form, what the workflows mean, and whether they can do harm
# (actions that are not pinned, permissions that are not needed).
github() {
    local schema=(check-jsonschema --builtin-schema)
    "${schema[@]}" vendor.github-workflows .github/workflows/*.yml
    "${schema[@]}" custom.github-workflows-require-timeout .github/workflows/*.yml
    "${schema[@]}" vendor.github-issue-forms .github/ISSUE_TEMPLATE/*.yml
    "${schema[@]}" vendor.dependabot .github/dependabot.yml
    "${schema[@]}" vendor.readthedocs .readthedocs.yaml
    zizmor --offline --quiet --no-progress --min-severity=medium .github
    workflows_run_every_step
    # Its package fetches the program from GitHub while it is installed.
    if pip install -q --disable-pip-version-check --require-hashes -r .ci/actionlint.txt \
        >"$scratch/actionlint.log" 2>&1
    then
        actionlint
    elif [ -n "${GITHUB_ACTIONS:-}" ]; then
        cat "$scratch/actionlint.log"
        return 1
    else
        skip 'actionlint, which could not be fetched from GitHub'
    fi
}

workflows_run_every_step() {
    local name
    for name in "${first_lane[@]}" "${second_lane[@]}" "${on_demand[@]}"; do
        grep -qE "^ +steps: (.* )?$name( |$)|^ +- run: \.ci/$name " .github/workflows/ci.yml ||
            { printf 'ci.yml does not run the step %s\n' "$name"; return 1; }
    done
}
