/* SPDX-License-Identifier: MIT */
/*
 * test_fork.c - fork in the middle of calls
 *
 * Threads go on making calls while the process forks, again and again. The child has none
 * of them, but whatever they held at that moment; it must find every pool whole and be
 * able to use it. What it does must not be seen by the parent.
 */
#include "workers.h"

#if defined(_WIN32) || defined(TEST_TSAN)
TEST(fork_in_the_middle_of_calls)
{
#  if defined(_WIN32)
    test_skip("there is no fork on Windows");
#  else
    test_skip("ThreadSanitizer does not follow a fork of several threads");
#  endif
}
static const TestCase cases[] = {TEST_CASE(fork_in_the_middle_of_calls)};
#else
#  include <stdatomic.h>

enum { OF_CHILD = 255 }; /* a byte that is written by children only */

/* How many forks at scale 100; with AddressSanitizer each takes some hundred times as
 * long. */
#  if defined(TEST_ASAN)
enum { FORKS = 200, FORKS_BESIDE = 20 };
#  else
enum { FORKS = 1000, FORKS_BESIDE = 50 };
#  endif

static atomic_int stopped;
static atomic_uint calls[THREADS];

/* ------------------------------------------------------------------- the parent */

/* Like change_span, but never with the byte of a child. */
static void change_as_parent(MemoryPool *pool, TestRandom *random)
{
    unsigned char bytes[SPAN];
    int byte = (int)test_below(random, OF_CHILD);
    memset(bytes, byte, SPAN);
    if (test_below(random, 2) == 0)
        CHECK_RETURNS(pool_fill(pool, START, byte, SPAN), POOL_OK); /* 0: a discard */
    else
        CHECK_EQ_SIZE(pool_write(pool, START, bytes, SPAN), SPAN);
}

/* The span is of one call, and not of a child's. */
static void check_as_parent(MemoryPool *pool)
{
    unsigned char bytes[SPAN];
    CHECK_EQ_SIZE(pool_read(pool, bytes, START, SPAN), SPAN);
    check_uniform(bytes);
    CHECK(bytes[0] != OF_CHILD);
}

/* A view that is the last to hold its block gives memory back without any pool; a family
 * that ends, and a trim, do so to the system. */
static void give_back(MemoryPool *pool, TestRandom *random)
{
    PoolView view = {.struct_size = sizeof view};
    MemoryPool *clone = pool_clone(pool), *own = pool_create(TOTAL, BLOCK);
    CHECK(clone != NULL && own != NULL);
    change_as_parent(own, random);
    pool_destroy(own);
    for (int i = 0; i < 20; i++) {
        change_as_parent(clone, random);
        CHECK_RETURNS(pool_view(clone, START, 1, &view), POOL_OK);
        change_as_parent(clone, random);
        pool_view_release(&view);
        if (i % 4 == 0)
            (void)pool_trim();
    }
    check_as_parent(clone);
    pool_destroy(clone);
}

static void call_until_stopped(void *argument)
{
    Worker *w = argument;
    while (!atomic_load(&stopped)) {
        switch ((w->id + test_below(&w->random, 2)) % THREADS) {
        case 0: change_as_parent(w->pool, &w->random); break;
        case 1: check_as_parent(w->pool); break;
        case 2:
            CHECK_RETURNS(pool_restore(w->pool, w->other), POOL_OK);
            change_as_parent(w->other, &w->random);
            break;
        default: give_back(w->pool, &w->random); break;
        }
        atomic_fetch_add(&calls[w->id], 1);
    }
}

/* -------------------------------------------------------------------- the child */

/* Uses everything; a lock that stayed locked would leave it hanging, so the alarm ends it
 * then. A failed check ends it with 1. */
static void child_main(MemoryPool *pool, MemoryPool *other, PoolView *view, PoolView *pin)
{
    unsigned char bytes[SPAN];
    alarm(200);
    check_as_parent(pool);
    check_as_parent(other);
    CHECK_BYTES(view->data, 77, view->size);
    CHECK_BYTES(pin->data, 88, pin->size);

    memset(bytes, OF_CHILD, SPAN);
    CHECK_EQ_SIZE(pool_write(pool, START, bytes, SPAN), SPAN);
    MemoryPool *clone = pool_clone(pool), *own = pool_create(TOTAL, BLOCK);
    CHECK(clone != NULL && own != NULL);
    CHECK_RETURNS(pool_discard(pool, START, SPAN), POOL_OK);
    CHECK_RETURNS(pool_restore(other, clone), POOL_OK);
    check_filled(other, START, OF_CHILD, SPAN);
    CHECK_RETURNS(pool_copy(own, 0, clone, START, SPAN), POOL_OK);
    check_filled(own, 0, OF_CHILD, SPAN);
    memset(pin->data, OF_CHILD, pin->size);
    CHECK_EQ_SIZE(pool_read(pool, bytes, 0, pin->size), pin->size);
    CHECK_BYTES(bytes, OF_CHILD, pin->size);
    CHECK_BYTES(view->data, 77, view->size);

    (void)pool_trim();
    pool_destroy(own);
    pool_destroy(pool);
    pool_destroy(other);
    pool_view_release(pin);
    check_filled(clone, START, OF_CHILD, SPAN);
    pool_destroy(clone);
    CHECK_BYTES(view->data, 77, view->size);
    pool_view_release(view);
}

static void await(pid_t child)
{
    int status = -1;
    CHECK(child > 0);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ_INT(status, 0);
}

/* Forks; every few times the child forks once more before it does anything else. */
static void fork_once(MemoryPool *pool, MemoryPool *other, PoolView *view, PoolView *pin,
                      unsigned round)
{
    fflush(NULL); /* or the child would print it again */
    pid_t child = fork();
    if (child == 0) {
        if (round % 8 == 0) {
            pid_t grandchild = fork();
            if (grandchild != 0)
                await(grandchild);
        }
        child_main(pool, other, view, pin);
        _exit(0);
    }
    await(child);
}

/* ------------------------------------------------------------------------ tests */

/* A view of one block and a pin on another, before the span. */
static void hold_blocks(MemoryPool *pool, PoolView *view, PoolView *pin)
{
    CHECK_RETURNS(pool_fill(pool, BLOCK, 77, BLOCK), POOL_OK);
    CHECK_RETURNS(pool_fill(pool, 0, 88, BLOCK), POOL_OK);
    CHECK_RETURNS(pool_view(pool, BLOCK, BLOCK, view), POOL_OK);
    CHECK_RETURNS(pool_pin(pool, 0, BLOCK, pin), POOL_OK);
}

TEST(fork_in_the_middle_of_calls)
{
    void (*const runs[THREADS])(void *) = {call_until_stopped, call_until_stopped,
                                           call_until_stopped, call_until_stopped};
    PoolView view = {.struct_size = sizeof view}, pin = view;
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    hold_blocks(pool, &view, &pin);
    MemoryPool *other = pool_clone(pool);
    CHECK(other != NULL);
    atomic_store(&stopped, 0);
    start_workers(runs, pool, other, 0);
    for (unsigned round = 0; round < test_times(FORKS); round++) {
        fork_once(pool, other, &view, &pin, round);
        CHECK_BYTES(view.data, 77, view.size);
        CHECK_BYTES(pin.data, 88, pin.size);
    }
    atomic_store(&stopped, 1);
    join_workers();
    for (size_t i = 0; i < THREADS; i++)
        CHECK_LE_SIZE(1, atomic_load(&calls[i]));
    check_as_parent(pool);
    check_as_parent(other);
    CHECK_EQ_SIZE(stats_of(pool).family_pools, 2);
    CHECK_EQ_SIZE(stats_of(pool).family_views, 2);
    pool_view_release(&view);
    pool_view_release(&pin);
    pool_destroy(pool);
    pool_destroy(other);
}

/* Several threads fork at once, each with a relative of its own and one pool of all. */
static void fork_often(void *argument)
{
    Worker *w = argument;
    for (unsigned round = 0; round < w->times; round++) {
        PoolView view = {.struct_size = sizeof view}, pin = view;
        MemoryPool *pool = pool_clone(w->pool);
        CHECK(pool != NULL);
        hold_blocks(pool, &view, &pin);
        change_as_parent(pool, &w->random);
        fork_once(pool, w->pool, &view, &pin, round);
        change_as_parent(w->pool, &w->random);
        pool_destroy(pool);
        pool_view_release(&view);
        pool_view_release(&pin);
    }
}

TEST(forks_beside_each_other)
{
    void (*const runs[THREADS])(void *) = {fork_often, fork_often, fork_often,
                                           fork_often};
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    run_workers(runs, pool, NULL, FORKS_BESIDE);
    check_as_parent(pool);
    CHECK_EQ_SIZE(stats_of(pool).family_pools, 1);
    pool_destroy(pool);
}

/* One more write through a pin of pages that the system watches, and what a clone and a
 * search for changes say of it. The clone before has the bytes before. */
static void check_writes_seen(MemoryPool *pool, const PoolView *pin, unsigned char byte)
{
    size_t at = (size_t)byte * 4096, start, size;
    MemoryPool *before = pool_clone(pool), *after;
    unsigned char seen = 1;
    ((unsigned char *)pin->data)[at] = byte;
    after = pool_clone(pool);
    CHECK(before != NULL && after != NULL);
    CHECK_EQ_SIZE(pool_read(before, &seen, at, 1), 1);
    CHECK_EQ_INT(seen, 0);
    CHECK_EQ_SIZE(pool_read(after, &seen, at, 1), 1);
    CHECK_EQ_INT(seen, byte);
    CHECK_EQ_INT(pool_next_change(pool, before, 0, SIZE_MAX, &start, &size), 1);
    CHECK_EQ_SIZE(start, at);
    CHECK_EQ_SIZE(size, 4096);
    CHECK_EQ_INT(pool_next_change(pool, after, 0, SIZE_MAX, &start, &size), 0);
    pool_destroy(before);
    pool_destroy(after);
}

/* The system watches the pages of the parent. A child begins anew, from its first snapshot
 * on, and the parent's go on. */
TEST(writes_through_a_pin_are_seen_on_both_sides)
{
    PoolView pin = {.struct_size = sizeof pin};
    MemoryPool *pool = make(1 << 20, 4096, 0);
    CHECK_RETURNS(pool_pin(pool, 0, 1 << 20, &pin), POOL_OK);
    CHECK_EQ_SIZE(pin.size, 1 << 20);
    check_writes_seen(pool, &pin, 1);
    ((unsigned char *)pin.data)[200 * 4096] = 9; /* not looked at before the fork */
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(200);
        check_writes_seen(pool, &pin, 2);
        check_writes_seen(pool, &pin, 3);
        check_filled(pool, 200 * 4096, 9, 1);
        pool_destroy(pool);
        pool_view_release(&pin);
        _exit(0);
    }
    check_writes_seen(pool, &pin, 4);
    await(child);
    check_writes_seen(pool, &pin, 5);
    check_filled(pool, 2 * 4096, 0, 1);
    pool_view_release(&pin);
    pool_destroy(pool);
}

static const TestCase cases[] = {TEST_CASE(fork_in_the_middle_of_calls),
                                 TEST_CASE(forks_beside_each_other),
                                 TEST_CASE(writes_through_a_pin_are_seen_on_both_sides)};
#endif
TEST_MAIN(cases)
