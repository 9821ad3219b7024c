# shellcheck shell=bash
# The lock protocol, searched completely, and each of its mutations, which must fail.

models() {
    tests/models/run
}
