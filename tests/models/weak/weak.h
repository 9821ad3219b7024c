/* SPDX-License-Identifier: MIT */
/*
 * weak.h - what atomics.h and stripes.c have, for models that Relacy runs
 *
 * The functions have the names and the orders of the library's. A mutation, named on the
 * command line, takes one order away. A model is a rl::test_suite; MODEL(it) is its main.
 * Memory that is not atomic is a VAR_T: Relacy reports two accesses that nothing orders.
 */
#ifndef WEAK_H
#define WEAK_H

#include <relacy/relacy.hpp>

#include <cstdio>
#include <cstring>
#include <ostream>

typedef rl::atomic<size_t> AtomicSize;
typedef rl::memory_order Order;

static const char *mutation = "";

static bool mutated(const char *name)
{
    return strcmp(mutation, name) == 0;
}

/* The order that the library has, but in a mutation. */
static Order order(Order right, const char *name, Order wrong = rl::mo_relaxed)
{
    return mutated(name) ? wrong : right;
}

static inline void fence_acquire()
{
    if (!mutated("NO_ACQUIRE_FENCE")) {
        rl::atomic_thread_fence(rl::mo_acquire, $);
    }
}

static inline void fence_release()
{
    if (!mutated("NO_RELEASE_FENCE")) {
        rl::atomic_thread_fence(rl::mo_release, $);
    }
}

/* A lock is its version, odd while it is held. */
static inline bool lock_is_held(AtomicSize &lock, Order look = rl::mo_seq_cst)
{
    return (lock.load(look, $) & 1) != 0;
}

static inline void lock_await(AtomicSize &lock, Order look = rl::mo_seq_cst)
{
    while (lock_is_held(lock, look)) {
        rl::yield(1, $);
    }
}

static inline void lock_acquire(AtomicSize &lock)
{
    for (;;) {
        size_t version = lock.load(rl::mo_relaxed, $);
        if ((version & 1) == 0 &&
            lock.compare_exchange_strong(
                version, version + 1,
                order(rl::mo_seq_cst, "SWAP_ACQ_REL", rl::mo_acq_rel), $)) {
            break;
        }
        lock_await(lock);
    }
    fence_release();
}

static inline void lock_release(AtomicSize &lock)
{
    lock.store(lock.load(rl::mo_relaxed, $) + 1, order(rl::mo_release, "UNLOCK_RELAXED"),
               $);
}

/* Runs a model: every order of the steps of its threads, and every value that each load
 * may give. Prints how many runs that took, and what was wrong. With a second argument it
 * also prints the run that went wrong, step by step. */
template <typename Model> static int weak_main(int argc, char **argv)
{
    enum { RUNS_MOST = 100000000 };
    rl::test_params params;
    std::ostream nowhere(NULL);
    mutation = argc > 1 ? argv[1] : "";
    params.search_type = rl::sched_full;
    params.iteration_count = RUNS_MOST;
    params.progress_stream = &nowhere;
    if (argc < 3) {
        params.output_stream = &nowhere;
    }
    bool held = rl::simulate<Model>(params);
    if (held && params.stop_iteration >= RUNS_MOST) {
        puts("search not completed");
        return 1;
    }
    printf("%lu %s\n", (unsigned long)params.stop_iteration,
           held ? "no error" : rl::test_result_str(params.test_result));
    return !held;
}

#define MODEL(name)                                                                      \
    int main(int argc, char **argv)                                                      \
    {                                                                                    \
        return weak_main<name>(argc, argv);                                              \
    }

#endif
