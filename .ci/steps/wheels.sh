# shellcheck shell=bash
# What is published, as it is built for that.

wheels() {
    .ci/wheels "$scratch/wheels"
}
