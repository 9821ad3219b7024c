# shellcheck shell=bash
# The lock protocol and its memory orders, searched completely, and each of their mutations,
# which must fail.

models() {
    tests/evidence/models/run
    tests/evidence/models/weak/run
}
