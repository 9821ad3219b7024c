/* SPDX-License-Identifier: MIT */
/* test_limit.c - limits that change, the function that is asked at a limit, and peaks */
#include "pools.h"

enum { BLOCK = 64, TOTAL = 64 * BLOCK };

/* ------------------------------------------------------------------ each call at a limit */

/* A family without room. Its block 0 is shared, its block 2 pinned and written through the
 * pin; spare can free two blocks. */
typedef struct Full {
    MemoryPool *pool, *other, *spare;
    PoolView pin;
    size_t asked;
    int frees, answer; /* what the function does, and returns */
} Full;

static Full full_make(void)
{
    Full full = {.pin = {.struct_size = sizeof(PoolView)}};
    full.pool = make(TOTAL, BLOCK, 0);
    CHECK_RETURNS(pool_fill(full.pool, 0, 7, BLOCK), POOL_OK);
    full.other = pool_clone(full.pool);
    CHECK_STATUS(POOL_OK);
    full.spare = pool_clone(full.pool);
    CHECK_STATUS(POOL_OK);
    CHECK_RETURNS(pool_fill(full.spare, 20 * BLOCK, 1, 2 * BLOCK), POOL_OK);
    CHECK_RETURNS(pool_pin(full.pool, 2 * BLOCK, 1, &full.pin), POOL_OK);
    *(char *)full.pin.data = 'p';
    CHECK_RETURNS(pool_set_limit(full.pool, stats_of(full.pool).family_bytes), POOL_OK);
    return full;
}

static void full_end(Full *full)
{
    pool_view_release(&full->pin);
    pool_destroy(full->spare);
    pool_destroy(full->other);
    pool_destroy(full->pool);
}

static int on_limit(MemoryPool *pool, void *context)
{
    Full *full = (Full *)context;
    CHECK(pool == full->pool || pool == full->other); /* which is to be restored */
    full->asked++;
    CHECK_EQ_SIZE(pool_write(pool, 40 * BLOCK, "x", 1), 0); /* asks nobody */
    CHECK_STATUS(POOL_LIMIT);
    if (full->frees) {
        CHECK_RETURNS(pool_discard(full->spare, 20 * BLOCK, 2 * BLOCK), POOL_OK);
    }
    return full->answer;
}

typedef void Call(Full *full);

static void call_write(Full *full)
{
    (void)pool_write(full->pool, 8 * BLOCK, "abc", 3);
}

static void call_write_integer(Full *full)
{
    (void)pool_write(full->pool, 8 * BLOCK, "12345678", 8);
}

static void call_write_two(Full *full)
{
    (void)pool_write(full->pool, 9 * BLOCK - 1, "abc", 3);
}

static void call_write_end(Full *full)
{
    (void)pool_write(full->pool, TOTAL - 1, "abc", 3); /* is clipped */
}

static void call_fill(Full *full)
{
    (void)pool_fill(full->pool, 8 * BLOCK, 1, 1);
}

static void call_discard(Full *full)
{
    (void)pool_discard(full->pool, 0, 1);
}

static void call_take(Full *full)
{
    char byte;
    (void)pool_take(full->pool, &byte, 0, 1);
}

static void call_copy(Full *full)
{
    (void)pool_copy(full->pool, 9 * BLOCK + 1, full->pool, 0, 9);
}

static void call_resize(Full *full)
{
    (void)pool_resize(full->pool, 1);
}

static void call_scatter(Full *full)
{
    size_t offsets[] = {1, 8 * BLOCK};
    (void)pool_scatter(full->pool, offsets, "ab", 2, 1);
}

static void call_scatter_integers(Full *full)
{
    size_t offsets[] = {8 * BLOCK};
    (void)pool_scatter(full->pool, offsets, "12345678", 1, 8);
}

static void call_write_many(Full *full)
{
    size_t offsets[] = {8 * BLOCK}, sizes[] = {2};
    (void)pool_write_many(full->pool, offsets, sizes, "ab", 1);
}

static void call_fetch_add(Full *full)
{
    uint64_t old;
    (void)pool_fetch_add(full->pool, 8 * BLOCK, 8, 1, &old);
}

static void call_compare_exchange(Full *full)
{
    uint64_t old;
    (void)pool_compare_exchange(full->pool, 8 * BLOCK, 8, 0, 1, &old);
}

static void call_clone(Full *full)
{
    pool_destroy(full->other);
    full->other = NULL;
    full->other = pool_clone(full->pool);
    if (full->other == NULL) {
        CHECK_STATUS(POOL_LIMIT);
    }
}

static void call_restore(Full *full)
{
    (void)pool_restore(full->other, full->pool);
}

static void call_pin(Full *full)
{
    PoolView pin = {.struct_size = sizeof pin};
    if (pool_pin(full->pool, 8 * BLOCK, 1, &pin) == POOL_OK) {
        pool_view_release(&pin);
    }
}

static void call_pin_two(Full *full)
{
    PoolView pin = {.struct_size = sizeof pin};
    if (pool_pin(full->pool, 8 * BLOCK, 2 * BLOCK, &pin) == POOL_OK) {
        pool_view_release(&pin);
    }
}

static void call_view(Full *full)
{
    PoolView view = {.struct_size = sizeof view};
    if (pool_view(full->pool, 2 * BLOCK, 1, &view) == POOL_OK) {
        pool_view_release(&view);
    }
}

static unsigned char adopted[BLOCK];

static void call_adopt(Full *full)
{
    (void)pool_adopt(full->pool, 8 * BLOCK + 1, adopted, BLOCK, NULL, NULL);
}

static void call_digest(Full *full)
{
    unsigned char digest[32];
    (void)pool_digest(full->pool, digest);
}

static void call_find(Full *full)
{
    size_t found;
    (void)pool_find(full->pool, "none", 4, 0, SIZE_MAX, &found);
}

static const struct {
    const char *name;
    Call *call;
} calls[] = {
    {"write", call_write},
    {"write_integer", call_write_integer},
    {"write_two", call_write_two},
    {"write_end", call_write_end},
    {"fill", call_fill},
    {"discard", call_discard},
    {"take", call_take},
    {"copy", call_copy},
    {"resize", call_resize},
    {"scatter", call_scatter},
    {"scatter_integers", call_scatter_integers},
    {"write_many", call_write_many},
    {"fetch_add", call_fetch_add},
    {"compare_exchange", call_compare_exchange},
    {"clone", call_clone},
    {"restore", call_restore},
    {"pin", call_pin},
    {"pin_two", call_pin_two},
    {"view", call_view},
    {"adopt", call_adopt},
    {"digest", call_digest},
    {"find", call_find},
};

/* Makes a call in a full family; returns its status. */
static PoolStatus called(Call *call, int frees, int answer, size_t asked)
{
    Full full = full_make();
    PoolStatus status;
    full.frees = frees;
    full.answer = answer;
    CHECK_RETURNS(pool_on_limit(full.pool, on_limit, &full), POOL_OK);
    call(&full);
    status = pool_last_status();
    CHECK_EQ_SIZE(full.asked, asked);
    full_end(&full);
    return status;
}

TEST(each_call_asks_once_and_is_tried_again)
{
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        fprintf(stderr, "%s\n", calls[i].name);
        CHECK_EQ_INT((int)called(calls[i].call, 1, 1, 1), POOL_OK);
        CHECK_EQ_INT((int)called(calls[i].call, 1, 0, 1), POOL_LIMIT);
        CHECK_EQ_INT((int)called(calls[i].call, 0, 1, 1), POOL_LIMIT);
    }
}

TEST(nobody_is_asked_without_a_function)
{
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        Full full = full_make();
        full.frees = full.answer = 1;
        CHECK_RETURNS(pool_on_limit(full.other, on_limit, &full), POOL_OK);
        CHECK_RETURNS(pool_on_limit(full.spare, NULL, NULL), POOL_OK);
        calls[i].call(&full);
        CHECK_STATUS(POOL_LIMIT);
        CHECK_EQ_SIZE(full.asked, 0);
        full_end(&full);
    }
}

TEST(other_failures_ask_nobody)
{
    Full full = full_make();
    PoolStatus status = POOL_OK;
    CHECK_RETURNS(pool_on_limit(full.pool, on_limit, &full), POOL_OK);
    CHECK_EQ_SIZE(pool_write(full.pool, TOTAL, "x", 1), 0);
    CHECK_STATUS(POOL_RANGE);
    for (size_t number = 1; status == POOL_OK && number < 100; number++) {
        MemoryPool *pool = make(TOTAL, BLOCK, 0);
        CHECK_RETURNS(pool_on_limit(pool, on_limit, &full), POOL_OK);
        (void)pool_trim();
        (void)pool_fail_allocation(number);
        status = pool_fill(pool, 0, 1, TOTAL);
        (void)pool_fail_allocation(0);
        pool_destroy(pool);
    }
    CHECK_EQ_INT((int)status, POOL_NO_MEMORY);
    CHECK_EQ_SIZE(full.asked, 0);
    full_end(&full);
}

/* --------------------------------------------------------------------- limits that change */

TEST(limit_is_raised_and_lowered)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 2 * BLOCK), *clone = pool_clone(pool);
    CHECK_RETURNS(pool_fill(pool, 0, 1, 3 * BLOCK), POOL_LIMIT);
    CHECK_RETURNS(pool_set_limit(clone, 3 * BLOCK), POOL_OK);
    CHECK_EQ_SIZE(stats_of(pool).memory_limit, 3 * BLOCK);
    CHECK_RETURNS(pool_fill(pool, 0, 1, 3 * BLOCK), POOL_OK);
    CHECK_RETURNS(pool_set_limit(pool, 1), POOL_OK); /* below what is held */
    check_blocks(pool, 3, 0, 3);
    CHECK_RETURNS(pool_fill(pool, 0, 2, 3 * BLOCK), POOL_OK); /* in place */
    CHECK_RETURNS(pool_fill(pool, 3 * BLOCK, 2, 1), POOL_LIMIT);
    CHECK_RETURNS(pool_discard(pool, 0, 3 * BLOCK), POOL_OK);
    CHECK_RETURNS(pool_fill(pool, 0, 2, 1), POOL_LIMIT);
    CHECK_RETURNS(pool_set_limit(pool, 0), POOL_OK);
    CHECK_EQ_SIZE(stats_of(clone).memory_limit, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 2, TOTAL), POOL_OK);
    CHECK_RETURNS(pool_set_limit(pool, SIZE_MAX), POOL_OK);
    CHECK_EQ_SIZE(stats_of(pool).memory_limit, 0);
    pool_destroy(clone);
    pool_destroy(pool);
}

TEST(null_is_refused)
{
    CHECK_RETURNS(pool_set_limit(NULL, 1), POOL_INVALID);
    CHECK_RETURNS(pool_on_limit(NULL, on_limit, NULL), POOL_INVALID);
    CHECK_EQ_SIZE(pool_reset_peak(NULL, 1), 0);
    CHECK_STATUS(POOL_INVALID);
}

/* -------------------------------------------------------------------------- peaks */

TEST(peak_is_reset)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0), *clone = pool_clone(pool);
    CHECK_RETURNS(pool_fill(pool, 0, 1, 5 * BLOCK), POOL_OK);
    CHECK_RETURNS(pool_discard(pool, 0, 3 * BLOCK), POOL_OK);
    CHECK_EQ_SIZE(stats_of(pool).family_peak_bytes, 5 * BLOCK);
    CHECK_EQ_SIZE(pool_reset_peak(clone, 0), 5 * BLOCK);
    CHECK_STATUS(POOL_OK);
    CHECK_EQ_SIZE(stats_of(pool).family_peak_bytes, 2 * BLOCK); /* what is held */
    CHECK_RETURNS(pool_fill(pool, 0, 1, BLOCK), POOL_OK);
    CHECK_EQ_SIZE(pool_reset_peak(pool, 4 * BLOCK), 3 * BLOCK);
    CHECK_EQ_SIZE(stats_of(pool).family_peak_bytes, 4 * BLOCK);
    pool_destroy(clone);
    pool_destroy(pool);
}

TEST(later_calls_ask_again)
{
    Full full = full_make();
    full.frees = full.answer = 1;
    CHECK_RETURNS(pool_on_limit(full.pool, on_limit, &full), POOL_OK);
    CHECK_EQ_SIZE(pool_write(full.pool, 8 * BLOCK, "abc", 3), 3);
    check_filled(full.pool, 0, 7, BLOCK);
    CHECK_RETURNS(pool_set_limit(full.pool, BLOCK), POOL_OK);
    full.frees = 0;
    CHECK_EQ_SIZE(pool_write(full.pool, 50 * BLOCK, "abc", 3), 0);
    CHECK_STATUS(POOL_LIMIT);
    CHECK_EQ_SIZE(full.asked, 2); /* a later call asks again */
    full_end(&full);
}

static const TestCase cases[] = {
    TEST_CASE(each_call_asks_once_and_is_tried_again),
    TEST_CASE(nobody_is_asked_without_a_function),
    TEST_CASE(other_failures_ask_nobody),
    TEST_CASE(limit_is_raised_and_lowered),
    TEST_CASE(null_is_refused),
    TEST_CASE(peak_is_reset),
    TEST_CASE(later_calls_ask_again),
};

TEST_MAIN(cases)
