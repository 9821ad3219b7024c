# shellcheck shell=bash
# Other machines and another C library, and what programs built against the last release
# find in this one.

# Where qemu runs the tests they do a tenth of the work.
machines() {
    run='env TEST_SCALE=30' build_and_test musl -DCMAKE_C_COMPILER=musl-gcc
    local machine
    for machine in aarch64 s390x; do
        run='env TEST_SCALE=10' build_and_test "$machine" -DPOOL_INSTALL=OFF \
            -DCMAKE_TOOLCHAIN_FILE=".ci/$machine.cmake"
    done
}

# Recorded on x86-64, and compared there.
abi() {
    if [ "$(uname -m)" != x86_64 ]; then
        skip "the comparison of the ABI: it was recorded on x86-64, this is $(uname -m)"
        return
    fi
    tests/evidence/abi/run
}
