# shellcheck shell=bash
# The lock protocol and its memory orders, searched completely, and each of their mutations,
# which must fail.

models() {
    tests/models/run
    tests/models/weak/run
}
