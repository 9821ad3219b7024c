/* SPDX-License-Identifier: MIT */
/*
 * test_pins.c - pins that are added and released during every other call
 *
 * A race between a pin and another call needs an instant that seldom happens by chance;
 * ThreadSanitizer reports it whenever the two were not ordered. Each test also checks the
 * state at the end: a block that was lost from a list would still count as held.
 */
#include "workers.h"

enum {
    TIMES = 10000,
    LENT = START + 8 * BLOCK,   /* a place for adopted memory         */
    ITEMS = START + 20 * BLOCK, /* and one for items of their own    */
    HALF = BLOCK / 2
};

/* All blocks of the family are in this pool, and none has a holder beside it. */
static void check_nothing_lost(MemoryPool *pool)
{
    PoolStats stats = stats_of(pool);
    CHECK_EQ_SIZE(stats.family_views, 0);
    CHECK_EQ_SIZE(stats.pinned_blocks, 0);
    CHECK_EQ_SIZE(stats.shared_blocks, 0);
    CHECK_EQ_SIZE(stats.family_bytes, stats.held_bytes - stats.adopted_blocks * BLOCK);
    CHECK_RETURNS(pool_discard(pool, 0, stats.total_size), POOL_OK);
    CHECK_EQ_SIZE(stats_of(pool).family_bytes, 0);
}

/* -------------------------------------------------------------------- workers */

/* One pin after the other, so that the pool often has none at all; of one block, or of a
 * range that is moved if it does not lie in one piece. */
static void pin_blocks(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < 4 * w->times; i++) {
        PoolView pin = {.struct_size = sizeof pin}, again = pin;
        size_t at = START + test_below(&w->random, SPAN), rest = START + SPAN - at;
        size_t size = i % 3 == 0 ? 1 + test_below(&w->random, rest) : 1;
        CHECK_RETURNS(pool_pin(w->pool, at, size, &pin), POOL_OK);
        CHECK_LE_SIZE(pin.size, size);
        if (i % 4 == 0) {
            CHECK_RETURNS(pool_pin(w->pool, at, 1, &again), POOL_OK);
            CHECK(again.data == pin.data);
        }
        pool_view_release(i % 8 == 0 ? &again : &pin);
        pool_view_release(i % 8 == 0 ? &pin : &again);
    }
}

/* Whole leaves of the tree, which without a pin are dropped unseen. */
static void discard_all(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < 4 * w->times; i++) {
        PoolStatus status = pool_discard(w->pool, 0, TOTAL);
        CHECK(status == POOL_OK || status == POOL_RANGE); /* if it was made smaller */
        if (i % 16 == 0)
            change_span(w->pool, &w->random);
    }
}

static void take_and_fill(void *argument)
{
    Worker *w = argument;
    unsigned char *bytes = test_alloc(TOTAL);
    for (unsigned i = 0; i < w->times; i++) {
        CHECK_EQ_SIZE(pool_take(w->pool, bytes, 0, TOTAL), TOTAL);
        CHECK_BYTES(bytes, 0, START);
        check_uniform(bytes + START);
        CHECK_RETURNS(pool_fill(w->pool, START, (int)i % 256, SPAN), POOL_OK);
    }
    free(bytes);
}

/* Within a pool and between relatives, where whole blocks are shared unless pinned. */
static void copy_spans(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < w->times; i++) {
        size_t at = ITEMS + i % 2; /* shared, or byte by byte */
        CHECK_RETURNS(pool_copy(w->other, START, w->pool, START, SPAN), POOL_OK);
        check_span(w->other, START);
        CHECK_RETURNS(pool_copy(w->pool, at, w->other, START, SPAN), POOL_OK);
        CHECK_RETURNS(pool_copy(w->pool, START, w->other, START, SPAN), POOL_OK);
        CHECK_RETURNS(pool_discard(w->pool, at, SPAN), POOL_OK);
        CHECK_RETURNS(pool_discard(w->other, START, SPAN), POOL_OK);
    }
}

static void clone_and_restore(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < w->times / 4 + 1; i++) {
        MemoryPool *clone = pool_clone(w->pool);
        PoolView pin = {.struct_size = sizeof pin};
        CHECK(clone != NULL);
        check_span(clone, START);
        CHECK_RETURNS(pool_pin(clone, START, 1, &pin), POOL_OK);
        change_span(clone, &w->random);
        CHECK_RETURNS(
            pool_restore(i % 2 != 0 ? w->pool : clone, i % 2 != 0 ? clone : w->pool),
            POOL_OK);
        check_span(clone, START);
        pool_destroy(clone); /* with its pin */
        pool_view_release(&pin);
    }
}

/* Cuts through the span: its blocks leave the pool, and are holes when it grows again. */
static void resize_through(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < w->times; i++) {
        PoolView pin = {.struct_size = sizeof pin};
        CHECK_RETURNS(pool_resize(w->pool, TOTAL * (size_t)(1 + i % 3)), POOL_OK);
        CHECK_RETURNS(pool_pin(w->pool, TOTAL - 1, 1, &pin), POOL_OK);
        CHECK_RETURNS(pool_resize(w->pool, START + SPAN + i % 5), POOL_OK);
        pool_view_release(&pin); /* of a block that was cut off */
        CHECK_RETURNS(pool_resize(w->pool, TOTAL), POOL_OK);
    }
}

static void no_release(void *data, size_t size, void *context)
{
    (void)data;
    (void)size;
    (void)context;
}

static void adopt_and_view(void *argument)
{
    static unsigned char lent[SPAN];
    Worker *w = argument;
    for (unsigned i = 0; i < w->times; i++) {
        PoolView view = {.struct_size = sizeof view};
        size_t at = START + test_below(&w->random, SPAN);
        CHECK_RETURNS(
            pool_adopt(w->pool, i % 2 != 0 ? START : LENT, lent, SPAN, no_release, NULL),
            POOL_OK);
        CHECK_RETURNS(pool_view(w->pool, at, START + SPAN - at, &view), POOL_OK);
        CHECK_BYTES(view.data, *(unsigned char *)view.data, view.size);
        CHECK_RETURNS(pool_fill(w->pool, START, (int)i % 255 + 1, SPAN), POOL_OK);
        pool_view_release(&view);
        CHECK_RETURNS(pool_discard(w->pool, LENT, SPAN), POOL_OK);
    }
}

static void items(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < w->times; i++) {
        size_t offsets[3] = {ITEMS + test_below(&w->random, BLOCK), ITEMS + 2 * BLOCK,
                             ITEMS + BLOCK};
        uint64_t values[3] = {i, i, i}, old;
        PoolView pin = {.struct_size = sizeof pin};
        CHECK_RETURNS(pool_pin(w->pool, ITEMS + BLOCK, 1, &pin), POOL_OK);
        CHECK_RETURNS(pool_scatter(w->pool, offsets, values, 3, 8), POOL_OK);
        CHECK_RETURNS(pool_fetch_add(w->pool, ITEMS + BLOCK, 8, 1, &old), POOL_OK);
        CHECK(old == i);
        CHECK_RETURNS(pool_gather(w->pool, values, offsets, 3, 8), POOL_OK);
        CHECK(values[1] == i && values[2] == i + 1);
        pool_view_release(&pin);
        check_span(w->pool, START);
    }
    CHECK_RETURNS(pool_discard(w->pool, ITEMS, 3 * BLOCK), POOL_OK);
}

static void look_around(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < w->times; i++) {
        PoolStats stats = stats_of(w->pool);
        size_t at = 0, size, state;
        CHECK_LE_SIZE(stats.pinned_blocks + stats.shared_blocks, stats.held_blocks);
        while (pool_next_state(w->pool, at, SIZE_MAX, &at, &size, &state) == 1) {
            CHECK(size > 0 && state != (POOL_BLOCK_PINNED | POOL_BLOCK_SHARED));
            at += size;
        }
        CHECK(pool_next_extent(w->pool, i % TOTAL, SIZE_MAX, &at, &size) >= 0);
        CHECK(pool_next_change(w->pool, w->other, i % TOTAL, SIZE_MAX, &at, &size) >= 0);
        if (i % 32 == 0)
            (void)pool_trim();
        check_span(w->pool, START);
    }
}

/* ---------------------------------------------------------------------- tests */

/* Pins beside each of these, and beside two of them at once. */
TEST(beside_every_call)
{
    static void (*const others[])(void *) = {
        discard_all,    take_and_fill, copy_spans, clone_and_restore,
        adopt_and_view, items,         look_around};
    for (size_t i = 0; i < TEST_COUNT(others); i++) {
        void (*const runs[THREADS])(void *) = {pin_blocks, others[i],
                                               others[(i + 1) % TEST_COUNT(others)],
                                               i % 2 != 0 ? pin_blocks : look_around};
        MemoryPool *pool = pool_create(TOTAL, BLOCK), *other = pool_clone(pool);
        run_workers(runs, pool, other, TIMES);
        check_span(pool, START);
        pool_destroy(other);
        check_nothing_lost(pool);
        pool_destroy(pool);
    }
}

TEST(beside_resizing)
{
    void (*const runs[THREADS])(void *) = {pin_blocks, pin_blocks, resize_through,
                                           discard_all};
    MemoryPool *pool = pool_create(TOTAL, BLOCK);
    run_workers(runs, pool, NULL, TIMES);
    check_nothing_lost(pool);
    pool_destroy(pool);
}

/* A pool ends while its pins are released. */
static void hold_until_the_end(void *argument)
{
    Worker *w = argument;
    PoolView pins[4];
    memset(pins, 0, sizeof pins);
    for (size_t i = 0; i < TEST_COUNT(pins); i++) {
        pins[i].struct_size = sizeof pins[i];
        CHECK_RETURNS(pool_pin(w->pool, START + (w->id + i) % 4 * BLOCK, 1, &pins[i]),
                      POOL_OK);
    }
    pool_view_release(&pins[w->id]);
    pool_destroy(w->pool);
    for (size_t i = 0; i < TEST_COUNT(pins); i++)
        pool_view_release(&pins[i]);
}

TEST(beside_the_end_of_a_pool)
{
    void (*const runs[THREADS])(void *) = {hold_until_the_end, hold_until_the_end,
                                           hold_until_the_end, hold_until_the_end};
    MemoryPool *pool = pool_create(TOTAL, BLOCK);
    for (unsigned i = 0; i < test_times(TIMES / 10); i++) {
        MemoryPool *made = pool_clone(pool);
        for (unsigned k = 1; k < THREADS; k++)
            CHECK(pool_retain(made) == made);
        run_workers(runs, made, NULL, 1);
    }
    check_nothing_lost(pool);
    pool_destroy(pool);
}

/* ------------------------------------------------------- a part of a pinned block */

/* The first half of a block is this thread's, which writes to it through a pin. What was
 * written stays, whatever others do to the second half, pinned or not. */
static void write_first_half(void *argument)
{
    Worker *w = argument;
    size_t base = w->id * BLOCK;
    unsigned char bytes[HALF] = {0}, back[HALF];
    for (unsigned i = 0; i < w->times; i++) {
        PoolView pin = {.struct_size = sizeof pin};
        CHECK_RETURNS(pool_pin(w->pool, base, HALF, &pin), POOL_OK);
        CHECK_MEM(pin.data, bytes, HALF);
        for (unsigned k = 0; k < 4; k++) {
            memset(bytes, 0, HALF); /* mostly zeros, so that a block often could go */
            bytes[test_below(&w->random, HALF)] =
                (unsigned char)test_below(&w->random, 3);
            memcpy(pin.data, bytes, HALF);
            CHECK_EQ_SIZE(pool_read(w->pool, back, base, HALF), HALF);
            CHECK_MEM(back, bytes, HALF);
        }
        pool_view_release(&pin);
        CHECK_EQ_SIZE(pool_read(w->pool, back, base, HALF), HALF);
        CHECK_MEM(back, bytes, HALF);
    }
}

/* All calls that take a part of a block. */
static void change_second_half(void *argument)
{
    Worker *w = argument;
    unsigned char bytes[HALF];
    for (unsigned i = 0; i < 2 * w->times; i++) {
        size_t base = i % 2 * BLOCK, at = base + HALF; /* of who writes to first halves */
        PoolView view = {.struct_size = sizeof view};
        switch (test_below(&w->random, 7)) {
        case 0: CHECK_RETURNS(pool_discard(w->pool, at, HALF), POOL_OK); break;
        case 1: CHECK_EQ_SIZE(pool_take(w->pool, bytes, at, HALF), HALF); break;
        case 2: CHECK_RETURNS(pool_fill(w->pool, at, 0, HALF), POOL_OK); break;
        case 3: CHECK_RETURNS(pool_fill(w->pool, at, 1, HALF), POOL_OK); break;
        case 4: CHECK_EQ_SIZE(pool_read(w->pool, bytes, at, HALF), HALF); break;
        case 5:
            CHECK_RETURNS(pool_copy(w->pool, at, w->pool, at + 2 * BLOCK, HALF), POOL_OK);
            break;
        default:
            CHECK_RETURNS(pool_view(w->pool, at, HALF, &view), POOL_OK);
            CHECK_BYTES(view.data, *(unsigned char *)view.data, HALF);
            pool_view_release(&view);
            break;
        }
        /* Two blocks, of which the first loses its second half. */
        CHECK_RETURNS(pool_discard(w->pool, BLOCK + HALF, BLOCK), POOL_OK);
    }
}

TEST(a_part_of_a_pinned_block)
{
    void (*const runs[THREADS])(void *) = {write_first_half, write_first_half,
                                           change_second_half, change_second_half};
    MemoryPool *pool = pool_create(TOTAL, BLOCK);
    run_workers(runs, pool, NULL, TIMES);
    check_nothing_lost(pool);
    pool_destroy(pool);
}

static const TestCase cases[] = {
    TEST_CASE(beside_every_call),
    TEST_CASE(beside_resizing),
    TEST_CASE(beside_the_end_of_a_pool),
    TEST_CASE(a_part_of_a_pinned_block),
};
TEST_MAIN(cases)
