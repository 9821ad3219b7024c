# shellcheck shell=bash
# The site of docs/, as it will be read: made of the package that is installed, and without
# a warning. Needs Doxygen, which the step `tools` installs.

docs() {
    # Not `python -m sphinx`, which would find the sources and not what is installed.
    python3 -m venv "$scratch/docs-venv"
    "$scratch/docs-venv/bin/pip" install -q --disable-pip-version-check '.[docs]'
    "$scratch/docs-venv/bin/sphinx-build" -q -W --keep-going -d "$scratch/doctrees" \
        docs "$scratch/site"
    printf 'the site has %s pages\n' "$(find "$scratch/site" -name '*.html' | wc -l)"
}
