# shellcheck shell=bash
# The plugin for nbdkit and `pymempool serve`, used by other people's NBD clients.

nbd() {
    install_for_python
    PYTHON=$installed/bin/python tests/nbd/run "$scratch/nbd" -q
}
