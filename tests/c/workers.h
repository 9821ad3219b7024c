/* SPDX-License-Identifier: MIT */
/*
 * workers.h - threads that work on one family of pools
 *
 * The pattern: every write to a SPAN of several blocks has one byte value, so that a
 * thread that sees two values in it has seen half a call.
 */
#ifndef WORKERS_H
#define WORKERS_H

#if !defined(_WIN32)
#  define _POSIX_C_SOURCE 200809L
#endif
#include "pools.h"
#include "test_threads.h"

#if !defined(_WIN32)
#  include <sys/wait.h>
#  include <unistd.h>
#endif

enum {
    BLOCK = 256,
    FIRST = 3 * BLOCK,         /* the first block of the span; not that of stripe 0 */
    START = FIRST + BLOCK / 2, /* neither end of it is at the end of a block */
    SPAN = 4 * BLOCK + 31,
    TOTAL = 64 * BLOCK,
    THREADS = 4
};

typedef struct Worker {
    MemoryPool *pool, *other;
    unsigned times, id;
    TestRandom random;
    unsigned counts[TOTAL];
    unsigned char mine[TOTAL];
    TestThread thread;
} Worker;

static Worker workers[THREADS];
static unsigned runs_so_far; /* so that each run takes other random numbers */

/* Starts one function in each worker; the list has THREADS of them. */
static inline void start_workers(void (*const *runs)(void *), MemoryPool *pool,
                                 MemoryPool *other, unsigned times)
{
    for (unsigned i = 0; i < THREADS; i++) {
        Worker *w = &workers[i];
        memset(w, 0, sizeof *w);
        w->pool = pool;
        w->other = other;
        w->times = test_times(times);
        w->id = i;
        w->random.state = test_seed * 1000003 + ++runs_so_far;
        test_thread_start(&w->thread, runs[i], w);
    }
}

static inline void join_workers(void)
{
    for (unsigned i = 0; i < THREADS; i++)
        test_thread_join(&workers[i].thread);
}

static inline void run_workers(void (*const *runs)(void *), MemoryPool *pool,
                               MemoryPool *other, unsigned times)
{
    start_workers(runs, pool, other, times);
    join_workers();
}

static inline void check_uniform(const unsigned char *bytes)
{
    CHECK_BYTES(bytes, bytes[0], SPAN);
}

static inline void check_span(MemoryPool *pool, size_t at)
{
    unsigned char bytes[SPAN];
    CHECK_EQ_SIZE(pool_read(pool, bytes, at, SPAN), SPAN);
    check_uniform(bytes);
}

/* Some uniform change of the span, by each call that can make one. */
static inline void change_span(MemoryPool *pool, TestRandom *random)
{
    unsigned char bytes[SPAN];
    int byte = (int)test_below(random, 255) + 1;
    switch (test_below(random, 5)) {
    case 0: CHECK_RETURNS(pool_discard(pool, START, SPAN), POOL_OK); break;
    case 1:
        CHECK_EQ_SIZE(pool_take(pool, bytes, START, SPAN), SPAN);
        check_uniform(bytes);
        break;
    case 2: CHECK_RETURNS(pool_fill(pool, START, byte, SPAN), POOL_OK); break;
    default:
        memset(bytes, byte, SPAN);
        CHECK_EQ_SIZE(pool_write(pool, START, bytes, SPAN), SPAN);
        break;
    }
}

static inline void change_often(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < w->times; i++)
        change_span(w->pool, &w->random);
}

static inline void read_often(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < w->times; i++)
        check_span(w->pool, START);
}

/* Each clone is whole, stays as it is, and can be written to. */
static inline void clone_often(void *argument)
{
    Worker *w = argument;
    unsigned char first[SPAN], again[SPAN];
    for (unsigned i = 0; i < w->times / 4 + 1; i++) {
        MemoryPool *clone = pool_clone(w->pool);
        CHECK(clone != NULL);
        CHECK_EQ_SIZE(pool_read(clone, first, START, SPAN), SPAN);
        check_uniform(first);
        CHECK_EQ_SIZE(pool_read(clone, again, START, SPAN), SPAN);
        CHECK_MEM(again, first, SPAN);
        change_span(clone, &w->random);
        check_span(clone, START);
        check_span(w->pool, START);
        pool_destroy(clone);
    }
}

#endif /* WORKERS_H */
