# shellcheck shell=bash
# The README's two commands, as a newcomer runs them: in a fresh clone, with nothing set up.

# readme_command NAME: the block of code behind the comment `<!-- command: NAME -->`.
readme_command() {
    awk -v marker="<!-- command: $1 -->" '
        $0 == marker     { armed = 1; next }
        armed && /^```/  { if (inside) exit; inside = 1; next }
        inside           { print }
    ' README.md
}

run_readme_command() {
    local command clone=$scratch/clone-$1
    command=$(readme_command "$1")
    if [ -z "$command" ]; then
        printf 'README.md has no command: %s\n' "$1"
        return 1
    fi
    git clone -q . "$clone"
    printf -- '--- %s\n' "$command"
    (cd "$clone" && PATH=$bare_path bash -euo pipefail -c "$command")
}

readme() {
    run_readme_command demo
    run_readme_command test
}
