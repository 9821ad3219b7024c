# shellcheck shell=bash
# The README's two commands and the tutorial's first one, as a newcomer runs them: in a
# fresh clone, with nothing set up.

# page_command NAME PAGE: the block of code behind the comment `<!-- command: NAME -->`.
page_command() {
    awk -v marker="<!-- command: $1 -->" '
        $0 == marker     { armed = 1; next }
        armed && /^```/  { if (inside) exit; inside = 1; next }
        inside           { print }
    ' "$2"
}

# run_page_command NAME PAGE: what is typed to the command is its standard input.
run_page_command() {
    local command clone=$scratch/clone-$1
    command=$(page_command "$1" "$2")
    if [ -z "$command" ]; then
        printf '%s has no command: %s\n' "$2" "$1"
        return 1
    fi
    git clone -q . "$clone"
    printf -- '--- %s\n' "$command"
    (cd "$clone" && PATH=$bare_path bash -euo pipefail -c "$command")
}

readme() {
    run_page_command tutorial docs/tutorial/python.md <<'END'
import pymempool
print(pymempool.MemoryPool(1 << 40))
END
    run_page_command demo README.md
    # The step `native` does all of the random work in C; here is a part of it, and in Python.
    TEST_SCALE=10 run_page_command test README.md
}
