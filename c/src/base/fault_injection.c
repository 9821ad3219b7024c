/* SPDX-License-Identifier: MIT */
/*
 * fault_injection.c - allocations that fail on request, for tests
 */
#include "base.h"

static AtomicSize faults_left; /* allocations up to the one that fails; 0: none will */

/* Counts an allocation; true if this is the one to fail. */
static inline bool fault_due(void)
{
    /* To start over takes another thread's count in between, which no test can arrange.
     * */
    for (;;) { /* GCOVR_EXCL_LINE */
        size_t left = size_load_relaxed(&faults_left);
        if (left == 0) {
            return false;
        }
        if (size_swap_seq_cst(&faults_left, left, left - 1)) {
            return left == 1;
        }
    }
}

size_t pool_fail_allocation(size_t number)
{
    for (;;) { /* GCOVR_EXCL_LINE: as above */
        size_t left = size_load_relaxed(&faults_left);
        if (size_swap_seq_cst(&faults_left, left, number)) {
            return left;
        }
    }
}
