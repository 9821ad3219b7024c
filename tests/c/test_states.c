/* SPDX-License-Identifier: MIT */
/* test_states.c - the state of blocks, as other pools, views and pins come and go */
#include "pools.h"

enum {
    BLOCK = 1024,
    BLOCKS = 64,
    TOTAL = BLOCK * BLOCKS,
    SHARED = POOL_BLOCK_SHARED,
    PINNED = POOL_BLOCK_PINNED,
    ADOPTED = POOL_BLOCK_ADOPTED
};

/* The runs of a pool, as text: where each begins and ends, in blocks, and its state. What
 * the runs say in all must be what the statistics say. */
static const char *states_of(MemoryPool *pool)
{
    static char text[400];
    size_t at = 0, start, size, state, length = 0;
    size_t held = 0, shared = 0, pinned = 0;
    text[0] = 0;
    while (pool_next_state(pool, at, SIZE_MAX, &start, &size, &state) == 1) {
        size_t blocks = (size + BLOCK - 1) / BLOCK;
        CHECK_LE_SIZE(at, start);
        CHECK_LE_SIZE(1, size);
        held += blocks;
        shared += (state & SHARED) != 0 ? blocks : 0;
        pinned += (state & PINNED) != 0 ? blocks : 0;
        length += (size_t)snprintf(
            text + length, sizeof text - length, "%s%zu-%zu%s%s%s", at != 0 ? " " : "",
            start / BLOCK, start / BLOCK + blocks, (state & SHARED) != 0 ? "s" : "",
            (state & PINNED) != 0 ? "p" : "", (state & ADOPTED) != 0 ? "a" : "");
        CHECK_LE_SIZE(state, SHARED | PINNED | ADOPTED);
        CHECK_LE_SIZE(length, sizeof text - 1);
        at = start + size;
    }
    CHECK_STATUS(POOL_OK);
    PoolStats stats = stats_of(pool);
    CHECK_EQ_SIZE(held, stats.held_blocks);
    CHECK_EQ_SIZE(shared, stats.shared_blocks);
    CHECK_EQ_SIZE(pinned, stats.pinned_blocks);
    return text;
}

static void fill(MemoryPool *pool, size_t first, size_t last)
{
    CHECK_RETURNS(pool_fill(pool, first * BLOCK, 1, (last - first) * BLOCK), POOL_OK);
}

TEST(nothing_is_found_in_a_hole)
{
    static const size_t sizes[] = {1, TOTAL, SIZE_MAX};
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        MemoryPool *pool = make(sizes[i], BLOCK, 0);
        size_t start = 1, size = 2, state = 3;
        CHECK_EQ_INT(pool_next_state(pool, 0, SIZE_MAX, &start, &size, &state), 0);
        CHECK_EQ_INT(pool_next_state(pool, SIZE_MAX, SIZE_MAX, &start, &size, &state), 0);
        CHECK_STATUS(POOL_OK);
        CHECK_EQ_SIZE(start, 1);
        CHECK_EQ_SIZE(size, 2);
        CHECK_EQ_SIZE(state, 3);
        pool_destroy(pool);
    }
}

TEST(runs_begin_and_end_where_they_should)
{
    MemoryPool *pool = make(SIZE_MAX, BLOCK, 0);
    size_t start, size, state, last = SIZE_MAX - SIZE_MAX % BLOCK;
    fill(pool, 2, 4);
    CHECK_EQ_SIZE(pool_write(pool, SIZE_MAX - 1, "x", 1), 1);
    CHECK_EQ_INT(pool_next_state(pool, 0, SIZE_MAX, &start, &size, &state), 1);
    CHECK_EQ_SIZE(start, 2 * BLOCK);
    CHECK_EQ_SIZE(size, 2 * BLOCK);
    CHECK_EQ_SIZE(state, 0);
    CHECK_EQ_INT(pool_next_state(pool, 3 * BLOCK + 7, SIZE_MAX, &start, &size, &state),
                 1);
    CHECK_EQ_SIZE(start, 3 * BLOCK + 7);
    CHECK_EQ_SIZE(size, BLOCK - 7);
    CHECK_EQ_INT(pool_next_state(pool, 4 * BLOCK, SIZE_MAX, &start, &size, &state), 1);
    CHECK_EQ_SIZE(start, last);
    CHECK_EQ_SIZE(size,
                  SIZE_MAX - last); /* up to the end of the pool, not of the block */
    CHECK_EQ_INT(pool_next_state(pool, start + size, SIZE_MAX, &start, &size, &state), 0);
    pool_destroy(pool);
}

TEST(shared_until_one_writes_or_goes)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    fill(pool, 0, 50);
    CHECK_EQ_TEXT(states_of(pool), "0-50");
    MemoryPool *clone = pool_clone(pool);
    CHECK_EQ_TEXT(states_of(pool), "0-50s");
    fill(clone, 10, 12); /* the nodes are no longer shared, but blocks below them */
    fill(clone, 55, 56);
    CHECK_EQ_TEXT(states_of(pool), "0-10s 10-12 12-50s");
    CHECK_EQ_TEXT(states_of(clone), "0-10s 10-12 12-50s 55-56");
    CHECK_RETURNS(pool_discard(clone, 0, 20 * BLOCK), POOL_OK);
    CHECK_EQ_TEXT(states_of(pool), "0-20 20-50s");
    pool_destroy(clone);
    CHECK_EQ_TEXT(states_of(pool), "0-50");
    /* A block in two places of one pool. */
    CHECK_RETURNS(pool_copy(pool, 60 * BLOCK, pool, 49 * BLOCK, BLOCK), POOL_OK);
    CHECK_EQ_TEXT(states_of(pool), "0-49 49-50s 60-61s");
    pool_destroy(pool);
}

TEST(views_share_and_pins_do_not)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    PoolView view = {.struct_size = sizeof view}, pin = view, again = view;
    fill(pool, 0, 8);
    CHECK_RETURNS(pool_view(pool, 2 * BLOCK, 1, &view), POOL_OK);
    CHECK_RETURNS(pool_pin(pool, 3 * BLOCK, 1, &pin), POOL_OK);
    CHECK_RETURNS(pool_pin(pool, 3 * BLOCK, 1, &again), POOL_OK);
    CHECK_EQ_TEXT(states_of(pool), "0-2 2-3s 3-4p 4-8");
    MemoryPool *clone = pool_clone(pool);
    CHECK_EQ_TEXT(states_of(pool), "0-3s 3-4p 4-8s");
    CHECK_EQ_TEXT(states_of(clone), "0-8s"); /* the frozen copy too: the pin has it */
    pool_view_release(&pin);
    CHECK_EQ_TEXT(states_of(pool), "0-3s 3-4p 4-8s");
    CHECK_EQ_TEXT(states_of(clone), "0-8s");
    pool_view_release(&again);
    CHECK_EQ_TEXT(states_of(clone), "0-3s 3-4 4-8s");
    CHECK_EQ_TEXT(states_of(pool), "0-3s 3-4 4-8s");
    pool_destroy(clone);
    CHECK_EQ_TEXT(states_of(pool), "0-2 2-3s 3-8");
    pool_view_release(&view);
    CHECK_EQ_TEXT(states_of(pool), "0-8");
    pool_destroy(pool);
}

TEST(adopted_until_written_to)
{
    static unsigned char memory[6 * BLOCK];
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    fill(pool, 3, 4);
    CHECK_RETURNS(pool_adopt(pool, 4 * BLOCK, memory, sizeof memory, NULL, NULL),
                  POOL_OK);
    CHECK_EQ_TEXT(states_of(pool), "3-4 4-10a");
    CHECK_EQ_SIZE(pool_write(pool, 6 * BLOCK, "x", 1), 1);
    CHECK_EQ_TEXT(states_of(pool), "3-4 4-6a 6-7 7-10a");
    MemoryPool *clone = pool_clone(pool);
    CHECK_EQ_TEXT(states_of(clone), "3-4s 4-6sa 6-7s 7-10sa");
    PoolView pin = {.struct_size = sizeof pin};
    CHECK_RETURNS(pool_pin(clone, 4 * BLOCK, 1, &pin), POOL_OK);
    CHECK_EQ_TEXT(states_of(clone), "3-4s 4-5p 5-6sa 6-7s 7-10sa");
    CHECK_EQ_TEXT(states_of(pool),
                  "3-4s 4-6sa 6-7s 7-10sa"); /* the frozen copy of the pin */
    pool_view_release(&pin);
    CHECK_EQ_TEXT(states_of(pool), "3-4s 4-5a 5-6sa 6-7s 7-10sa");
    pool_destroy(clone);
    pool_destroy(pool);
}

static const TestCase cases[] = {
    TEST_CASE(nothing_is_found_in_a_hole),
    TEST_CASE(runs_begin_and_end_where_they_should),
    TEST_CASE(shared_until_one_writes_or_goes),
    TEST_CASE(views_share_and_pins_do_not),
    TEST_CASE(adopted_until_written_to),
};

TEST_MAIN(cases)
