/* SPDX-License-Identifier: MIT */
/*
 * fault_injection.c - allocations that fail on request, for tests (fault injection)
 */
#include "base.h"

static AtomicSize faults_left; /* how many allocations until one fails; 0: none will */

/* Counts an allocation; returns whether it must fail. */
static inline bool fault_due(void)
{
    /* The loop repeats if another thread counts meanwhile, which no test can arrange. */
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
