/* SPDX-License-Identifier: MIT */
/*
 * weak.h - what atomics.h and pool_lock.c have, for models that Relacy runs
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

/* The order that the library has; another one in a mutation. */
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

static inline void lock_await_free(AtomicSize &lock, Order look = rl::mo_seq_cst)
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
        lock_await_free(lock);
    }
    fence_release();
}

static inline void lock_release(AtomicSize &lock)
{
    lock.store(lock.load(rl::mo_relaxed, $) + 1, order(rl::mo_release, "UNLOCK_RELAXED"),
               $);
}

/* Runs a model so many times at most, or until the search is complete; returns its result. */
template <typename Model>
static bool weak_search(rl::scheduler_type_e how, unsigned long runs, bool tells,
                        unsigned long *done)
{
    rl::test_params params;
    std::ostream nowhere(NULL);
    params.search_type = how;
    params.iteration_count = runs;
    params.progress_stream = &nowhere;
    if (!tells) {
        params.output_stream = &nowhere;
    }
    bool held = rl::simulate<Model>(params);
    *done += (unsigned long)params.stop_iteration;
    if (!held) {
        printf("%lu %s\n", *done, rl::test_result_str(params.test_result));
    } else if (how == rl::sched_full && params.stop_iteration >= runs) {
        puts("0 search not completed");
        return false;
    }
    return held;
}

/* Runs a model: in every order of the steps of its threads, where a load gives the newest
 * value that it may or the one before; then, as Relacy looks at one value more in random
 * runs only, in many of those. Prints how many runs that took, and what was wrong. With a
 * second argument it also prints the run that went wrong, step by step. */
template <typename Model> static int weak_main(int argc, char **argv)
{
    enum { MOST = 100000000, AT_RANDOM = 100000 };
    unsigned long done = 0;
    mutation = argc > 1 ? argv[1] : "";
    if (!weak_search<Model>(rl::sched_full, MOST, argc > 2, &done) ||
        !weak_search<Model>(rl::sched_random, AT_RANDOM, argc > 2, &done)) {
        return 1;
    }
    printf("%lu no error\n", done);
    return 0;
}

#define MODEL(name)                                                                      \
    int main(int argc, char **argv)                                                      \
    {                                                                                    \
        return weak_main<name>(argc, argv);                                              \
    }

#endif
