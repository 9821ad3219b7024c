/* SPDX-License-Identifier: MIT */
/*
 * test_apart.c - calls on ranges that do not overlap run in parallel
 *
 * In the middle of the copying of a long write, the one thread of this test makes calls
 * elsewhere in the pool. If one of them had to wait for the write, it would wait for
 * ever, and the test's time limit would end it.
 */
#if !defined(_WIN32) && !defined(_DEFAULT_SOURCE)
#  define _DEFAULT_SOURCE 1
#endif
#include <string.h>

static void (*at_copy)(void); /* called in the middle of the next copy, once */

static void *copy_apart(void *to, const void *from, size_t size)
{
    void (*now)(void) = at_copy;
    memmove(to, from, size / 2);
    at_copy = NULL;
    if (now != NULL)
        now();
    return memmove(to, from, size);
}

#undef memcpy
#undef memmove
#define memcpy(to, from, size) copy_apart(to, from, size)
#define memmove(to, from, size) copy_apart(to, from, size)

#include "internal.h"
#include "pools.h"

#undef memcpy
#undef memmove

enum { BLOCK = 64, MANY = 2 * STRIPES, LENGTH = MANY * BLOCK, PARTS = 4 };

static MemoryPool *pool;
static unsigned char bytes[LENGTH];
static unsigned calls;

/* The part of the pool that is so many lengths away from its begin. */
static size_t part(size_t number)
{
    return number * LENGTH;
}

/* Short calls of each kind, in a part that no other thread writes to. */
static void call_shortly(size_t at)
{
    unsigned char some[3 * BLOCK] = {0};
    size_t offsets[] = {at, at + BLOCK, at + 5 * BLOCK}, sizes[] = {2, 0, 1};
    uint64_t old;
    CHECK_EQ_SIZE(pool_write(pool, at + 8, "eight by", 8), 8);
    CHECK_EQ_SIZE(pool_read(pool, some, at + 8, 8), 8);
    CHECK_MEM(some, "eight by", 8);
    CHECK_EQ_SIZE(pool_write(pool, at + 10, some, sizeof some), sizeof some);
    CHECK_EQ_SIZE(pool_read(pool, some, at + 10, sizeof some), sizeof some);
    CHECK_RETURNS(pool_fill(pool, at, 7, BLOCK + 1), POOL_OK);
    CHECK_RETURNS(pool_discard(pool, at + 3, 5), POOL_OK);
    CHECK_RETURNS(pool_gather(pool, some, offsets, 3, 1), POOL_OK);
    CHECK_BYTES(some, 7, 2);
    CHECK_RETURNS(pool_read_many(pool, some, offsets, sizes, 3), POOL_OK);
    CHECK_BYTES(some, 7, 2);
    CHECK_RETURNS(pool_fetch_add(pool, at + 16, 8, 1, &old), POOL_OK);
    calls++;
}

/* (A view of what is pinned, and a pin of several blocks, take the whole pool; for
 * AddressSanitizer each pin does.) */
static void view_and_pin(size_t at)
{
    PoolView view = {.struct_size = sizeof view}, pin = {.struct_size = sizeof pin};
    CHECK_RETURNS(pool_view(pool, at, 3 * BLOCK, &view), POOL_OK);
    CHECK_EQ_SIZE(view.size, 3 * BLOCK);
#if !defined(TEST_ASAN)
    CHECK_RETURNS(pool_pin(pool, at, BLOCK, &pin), POOL_OK);
#endif
    pool_view_release(&pin);
    pool_view_release(&view);
    calls++;
}

static void check_closed(size_t from, size_t to)
{
    CHECK(!pool_lock_grants(&pool->locks, from / BLOCK, (to - 1) / BLOCK));
}

/* In the middle of a write to part 2. */
static void third_call(void)
{
    call_shortly(part(0));
    view_and_pin(part(3));
    call_shortly(part(3));
    check_closed(part(2), part(3));
}

/* In the middle of a write to part 1. */
static void second_call(void)
{
    static unsigned char others[LENGTH];
    check_closed(part(1), part(2));
    check_closed(part(2) - 1, part(2));
    CHECK(pool_lock_grants(&pool->locks, part(2) / BLOCK, part(2) / BLOCK));
    call_shortly(part(0));
    memset(others, 4, sizeof others);
    at_copy = third_call;
    CHECK_EQ_SIZE(pool_write(pool, part(2), others, LENGTH), LENGTH);
    CHECK_EQ_SIZE(pool_read(pool, others, part(2), LENGTH), LENGTH);
    CHECK_BYTES(others, 4, LENGTH);
    calls++;
}

TEST(long_and_short_calls_beside_a_long_write)
{
    pool = make(PARTS * LENGTH, BLOCK, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 1, PARTS * LENGTH), POOL_OK);
    memset(bytes, 3, sizeof bytes);
    at_copy = second_call;
    CHECK_EQ_SIZE(pool_write(pool, part(1), bytes, LENGTH), LENGTH);
    CHECK_EQ_INT((int)calls, 5);
    check_filled(pool, part(1), 3, LENGTH);
    check_filled(pool, part(2), 4, LENGTH);
    CHECK_EQ_SIZE(lock_version(&pool->locks.shape.lock) % LOCK_STEP, 0);
    pool_destroy(pool);
    check_nothing_live();
}

/* A read of a long range, which locks it because there is a span elsewhere. */
static void read_beside(void)
{
    check_filled(pool, part(3), 1, LENGTH);
    calls++;
}

TEST(a_long_read_beside_a_long_write)
{
    calls = 0;
    pool = make(PARTS * LENGTH, BLOCK, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 1, PARTS * LENGTH), POOL_OK);
    memset(bytes, 2, sizeof bytes);
    at_copy = read_beside;
    CHECK_EQ_SIZE(pool_write(pool, part(1), bytes, LENGTH), LENGTH);
    CHECK_EQ_INT((int)calls, 1);
    pool_destroy(pool);
    check_nothing_live();
}

static const TestCase cases[] = {
    TEST_CASE(long_and_short_calls_beside_a_long_write),
    TEST_CASE(a_long_read_beside_a_long_write),
};
TEST_MAIN(cases)
