/* SPDX-License-Identifier: MIT */
/*
 * test_crowd.c - many threads, threads that die, and pools that end meanwhile
 *
 * Nothing of the library belongs to a thread but its last status: a thread may come and
 * go at any time, and what it has made may be ended by another.
 */
#include "workers.h"

enum { CROWD = 64 }; /* many more than a machine of ours has cores */

typedef struct Person {
    MemoryPool *pool;
    MemoryPool *made;
    PoolView view, pin;
    unsigned id, times;
    TestRandom random;
    TestThread thread;
} Person;

static Person crowd[CROWD];

static void crowd_start(size_t from, size_t to, void (*run)(void *), MemoryPool *pool,
                        unsigned times)
{
    for (size_t i = from; i < to; i++) {
        Person *p = &crowd[i];
        memset(p, 0, sizeof *p);
        p->pool = pool;
        p->id = (unsigned)i;
        p->times = times;
        p->random.state = test_seed * 1000003 + ++runs_so_far;
        p->view.struct_size = p->pin.struct_size = sizeof p->view;
        test_thread_start(&p->thread, run, p);
    }
}

static void crowd_join(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        test_thread_join(&crowd[i].thread);
}

/* ------------------------------------------------------------ many at a time */

static void live_together(void *argument)
{
    Person *p = argument;
    uint64_t old;
    for (unsigned i = 0; i < p->times; i++) {
        MemoryPool *clone;
        CHECK_RETURNS(pool_fetch_add(p->pool, 0, 8, 1, &old), POOL_OK);
        switch ((p->id + i) % 8) {
        case 0:
            clone = pool_clone(p->pool);
            CHECK(clone != NULL);
            change_span(clone, &p->random);
            check_span(p->pool, START);
            pool_destroy(clone);
            break;
        case 1:
        case 2: change_span(p->pool, &p->random); break;
        default: check_span(p->pool, START); break;
        }
    }
}

TEST(more_threads_than_cores)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    unsigned times = test_times(200);
    uint64_t sum = 0;
    crowd_start(0, CROWD, live_together, pool, times);
    crowd_join(0, CROWD);
    CHECK_EQ_SIZE(pool_read(pool, &sum, 0, sizeof sum), sizeof sum);
    CHECK_EQ_SIZE((size_t)sum, (size_t)times * CROWD); /* no thread's turn was lost */
    CHECK_EQ_SIZE(stats_of(pool).family_pools, 1);
    pool_destroy(pool);
}

/* -------------------------------------------------------------- threads that die */

/* Makes a few calls, of which the last fails; then the thread ends. */
static void call_and_die(void *argument)
{
    Person *p = argument;
    unsigned char byte = (unsigned char)(p->id + 1);
    CHECK_STATUS(POOL_OK); /* not that of a thread which had the same memory before */
    CHECK_EQ_SIZE(pool_write(p->pool, START + p->id, &byte, 1), 1);
    p->made = pool_clone(p->pool);
    CHECK_RETURNS(pool_view(p->made, START + p->id, 1, &p->view), POOL_OK);
    CHECK_RETURNS(pool_pin(p->made, START + p->id, 1, &p->pin), POOL_OK);
    CHECK_EQ_SIZE(pool_write(p->pool, TOTAL, &byte, 1), 0);
    CHECK_STATUS(POOL_RANGE);
#if !defined(_WIN32)
    if (p->id % 2 == 0)
        pthread_exit(NULL);
#endif
}

/* What threads have left behind works, and is ended by another thread. */
TEST(threads_die_and_what_they_made_lives_on)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    for (unsigned round = 0; round < test_times(100); round++) {
        crowd_start(0, 16, call_and_die, pool, 0);
        crowd_join(0, 16);
        CHECK_STATUS(POOL_OK); /* of this thread */
        for (unsigned i = 0; i < 16; i++) {
            Person *p = &crowd[i];
            CHECK_BYTES(p->view.data, i + 1, 1);
            CHECK_BYTES(p->pin.data, i + 1, 1);
            *(unsigned char *)p->pin.data = 99;
            check_filled(p->made, START + i, 99, 1);
            pool_destroy(p->made);
            CHECK_BYTES(p->view.data, i + 1, 1);
            pool_view_release(&p->view);
            pool_view_release(&p->pin);
        }
        PoolStats stats = stats_of(pool);
        CHECK_EQ_SIZE(stats.family_pools, 1);
        CHECK_EQ_SIZE(stats.family_views, 0);
        CHECK_EQ_SIZE(stats.family_bytes, stats.held_bytes);
        CHECK_EQ_SIZE(stats.held_blocks, 1);
    }
    pool_destroy(pool);
}

/* ------------------------------------------------------- pools that end meanwhile */

/* Uses a pool while other threads drop their references to it and to its relatives. The
 * last one, which may be any of them, frees the pool. */
static void use_and_destroy(void *argument)
{
    Person *p = argument;
    for (unsigned i = 0; i < p->times; i++) {
        MemoryPool *relative, *again = pool_retain(p->pool);
        CHECK(again == p->pool);
        switch (test_below(&p->random, 4)) {
        case 0: change_span(p->pool, &p->random); break;
        case 1:
            relative = pool_clone(p->pool);
            CHECK(relative != NULL);
            pool_destroy(again); /* one of several; the pool is still ours */
            change_span(p->pool, &p->random);
            again = relative;
            break;
        default: check_span(p->pool, START); break;
        }
        pool_destroy(again);
    }
    pool_destroy(p->pool);
}

TEST(calls_run_while_others_destroy)
{
    enum { USERS = 6 };
    for (unsigned round = 0; round < test_times(300); round++) {
        PoolView view = {.struct_size = sizeof view};
        MemoryPool *pool = make(TOTAL, BLOCK, 0), *relative = pool_clone(pool);
        CHECK_RETURNS(pool_fill(pool, 0, 5, BLOCK), POOL_OK);
        CHECK_RETURNS(pool_view(pool, 0, BLOCK, &view), POOL_OK);
        for (int i = 1; i < USERS; i++)
            CHECK(pool_retain(pool) == pool);
        crowd_start(0, USERS - 1, use_and_destroy, pool, 1 + round % 20);
        check_span(pool, START);
        pool_destroy(pool); /* what the others do goes on */
        check_span(relative, START);
        crowd_join(0, USERS - 1);
        PoolStats stats = stats_of(relative);
        CHECK_EQ_SIZE(stats.family_pools, 1);
        CHECK_EQ_SIZE(stats.family_bytes, BLOCK); /* that of the view */
        pool_destroy(relative);
        CHECK_BYTES(view.data, 5, BLOCK);
        pool_view_release(&view);
    }
}

/* One reference more and one fewer, one pool more and one fewer, as fast as can be. */
static void come_and_go(void *argument)
{
    Person *p = argument;
    for (unsigned i = 0; i < p->times; i++) {
        for (int k = 0; k < 20; k++)
            CHECK(pool_retain(p->pool) == p->pool);
        for (int k = 0; k < 20; k++)
            pool_destroy(p->pool);
        MemoryPool *clone = pool_clone(p->pool);
        CHECK(clone != NULL);
        pool_destroy(clone);
        clone = pool_create(TOTAL, BLOCK); /* a family of its own */
        CHECK(clone != NULL);
        pool_destroy(clone);
    }
}

TEST(references_and_pools_are_counted)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    crowd_start(0, 4, come_and_go, pool, test_times(10000));
    crowd_join(0, 4);
    PoolStats stats = stats_of(pool);
    CHECK_EQ_SIZE(stats.references, 1);
    CHECK_EQ_SIZE(stats.family_pools, 1);
    pool_destroy(pool);
}

/* Pools of one family are made and ended by all threads at once; the family ends with
 * whichever comes last, a pool or a view. */
static void end_a_family(void *argument)
{
    Person *p = argument;
    MemoryPool *clone = pool_clone(p->pool), *next;
    CHECK(clone != NULL);
    pool_destroy(p->pool);
    for (unsigned i = 0; i < p->times; i++) {
        change_span(clone, &p->random);
        next = pool_clone(clone);
        CHECK(next != NULL);
        pool_destroy(clone);
        clone = next;
    }
    CHECK_RETURNS(pool_fill(clone, START, (int)p->id + 1, 1), POOL_OK);
    CHECK_RETURNS(pool_view(clone, START, 1, &p->view), POOL_OK);
    pool_destroy(clone);
    CHECK_BYTES(p->view.data, p->id + 1, 1);
    pool_view_release(&p->view);
}

TEST(families_end_in_any_thread)
{
    enum { USERS = 6 };
    for (unsigned round = 0; round < test_times(300); round++) {
        MemoryPool *pool = make(TOTAL, BLOCK, 0);
        CHECK_RETURNS(pool_fill(pool, START, 1, SPAN), POOL_OK);
        for (int i = 1; i < USERS; i++)
            CHECK(pool_retain(pool) == pool);
        crowd_start(0, USERS, end_a_family, pool, 1 + round % 8);
        crowd_join(0, USERS);
    }
}

static const TestCase cases[] = {
    TEST_CASE(more_threads_than_cores),
    TEST_CASE(threads_die_and_what_they_made_lives_on),
    TEST_CASE(calls_run_while_others_destroy),
    TEST_CASE(references_and_pools_are_counted),
    TEST_CASE(families_end_in_any_thread),
};
TEST_MAIN(cases)
