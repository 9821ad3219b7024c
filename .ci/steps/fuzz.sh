# shellcheck shell=bash
# A minute of calls that nobody has thought of.

fuzz() {
    tests/fuzz/run "$scratch/fuzz" -max_total_time=60
}
