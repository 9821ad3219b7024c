# shellcheck shell=bash
# The pictures of pools in a browser: whether all of their text can be read.

pictures() {
    install_for_python
    PYTHON=$installed/bin/python tests/evidence/pictures/run "$scratch/pictures"
}
