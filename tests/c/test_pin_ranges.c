/* SPDX-License-Identifier: MIT */
/*
 * test_pin_ranges.c - pins over any range: what they are, and what clones of them cost
 *
 * Costs are counted and not timed: by family_bytes, which grows by each copy that is made.
 */
#include "pools.h"

enum { BLOCK = 4096, BLOCKS = 64, TOTAL = BLOCK * BLOCKS };

static PoolView pin_of(MemoryPool *pool, size_t offset, size_t size)
{
    PoolView pin = {.struct_size = sizeof pin};
    CHECK_RETURNS(pool_pin(pool, offset, size, &pin), POOL_OK);
    CHECK(pin.data != NULL);
    return pin;
}

static unsigned char *at(const PoolView *pin, size_t offset)
{
    return (unsigned char *)pin->data + offset;
}

static size_t family(MemoryPool *pool)
{
    return stats_of(pool).family_bytes / BLOCK;
}

/* Blocks in which two pools may differ. */
static size_t changed(MemoryPool *a, MemoryPool *b)
{
    size_t from = 0, start, size, blocks = 0;
    for (; pool_next_change(a, b, from, SIZE_MAX, &start, &size) == 1;
         from = start + size)
        blocks += size / BLOCK;
    CHECK_STATUS(POOL_OK);
    return blocks;
}

/* --------------------------------------------------------------------- one window */

TEST(a_pin_of_any_range_is_one_piece_of_memory)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    unsigned char data[3 * BLOCK], back[3 * BLOCK];
    TestRandom random = {test_seed};
    test_random_bytes(&random, data, sizeof data);
    CHECK_EQ_SIZE(pool_write(pool, 10 * BLOCK + 7, data, sizeof data), sizeof data);
    PoolView pin = pin_of(pool, BLOCK / 2, TOTAL - BLOCK);
    CHECK_EQ_SIZE(pin.size, TOTAL - BLOCK);
    check_blocks(pool, BLOCKS, 0, BLOCKS);
    CHECK_EQ_SIZE(stats_of(pool).pinned_blocks, BLOCKS);
    CHECK_MEM(at(&pin, 10 * BLOCK + 7 - BLOCK / 2), data, sizeof data);
    CHECK_BYTES(pin.data, 0, 9 * BLOCK);
    memset(at(&pin, 20 * BLOCK), 5, 9 * BLOCK);
    check_filled(pool, 20 * BLOCK + BLOCK / 2, 5, 9 * BLOCK);
    CHECK_EQ_SIZE(pool_write(pool, 30 * BLOCK + 1, data, sizeof data), sizeof data);
    CHECK_MEM(at(&pin, 30 * BLOCK + 1 - BLOCK / 2), data, sizeof data);
    pool_view_release(&pin);
    CHECK_EQ_SIZE(stats_of(pool).pinned_blocks, 0);
    CHECK_EQ_SIZE(pool_read(pool, back, 30 * BLOCK + 1, sizeof back), sizeof back);
    CHECK_MEM(back, data, sizeof data);
    check_blocks(pool, BLOCKS, 0, BLOCKS);
    pool_destroy(pool);
}

TEST(pinned_again_in_place)
{
    MemoryPool *pool = make(TOTAL, BLOCK, BLOCKS * BLOCK); /* no room for a block more */
    CHECK_RETURNS(pool_fill(pool, 0, 1, TOTAL), POOL_OK);
    PoolView pin = pin_of(pool, 0, TOTAL);
    unsigned char *data = pin.data;
    pool_view_release(&pin);
    pin = pin_of(pool, 0, TOTAL);
    CHECK(pin.data == data);
    pool_view_release(&pin);
    CHECK_EQ_SIZE(stats_of(pool).family_peak_bytes, TOTAL);
    pool_destroy(pool);
}

TEST(a_part_pinned_again_in_place)
{
#if defined(TEST_ASAN)
    test_skip("built for AddressSanitizer, a part is moved, for the redzones around it");
#else
    MemoryPool *pool = make(TOTAL, BLOCK, BLOCKS * BLOCK);
    CHECK_RETURNS(pool_fill(pool, 0, 1, TOTAL), POOL_OK);
    PoolView pin = pin_of(pool, 0, TOTAL);
    unsigned char *data = pin.data;
    pool_view_release(&pin);
    pin = pin_of(pool, 5 * BLOCK + 1, 20 * BLOCK);
    CHECK(pin.data == data + 5 * BLOCK + 1);
    PoolView same = pin_of(pool, 6 * BLOCK, 100); /* in a pin that is there */
    CHECK(same.data == data + 6 * BLOCK);
    PoolView view = {.struct_size = sizeof view};
    pool_view_release(&pin);
    pool_view_release(&same);
    CHECK_RETURNS(pool_view(pool, 0, TOTAL, &view), POOL_OK);
    CHECK(view.data == data);
    CHECK_EQ_SIZE(view.size, TOTAL); /* what was pinned still follows each other */
    pool_view_release(&view);
    CHECK_EQ_SIZE(stats_of(pool).family_peak_bytes, TOTAL);
    pool_destroy(pool);
#endif
}

TEST(pins_that_meet)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    PoolView a = pin_of(pool, 10 * BLOCK, 10 * BLOCK), b = pin_of(pool, 0, TOTAL);
    CHECK_EQ_SIZE(b.size, 10 * BLOCK); /* up to the next one */
    PoolView c = pin_of(pool, 15 * BLOCK + 3, TOTAL - 15 * BLOCK - 3);
    CHECK(c.data == at(&a, 5 * BLOCK + 3)); /* the same memory, as far as it goes */
    CHECK_EQ_SIZE(c.size, 5 * BLOCK - 3);
    PoolView d = pin_of(pool, 20 * BLOCK, TOTAL - 20 * BLOCK);
    CHECK_EQ_SIZE(stats_of(pool).pinned_blocks, BLOCKS);
    CHECK_EQ_SIZE(stats_of(pool).family_views, 4);
    pool_view_release(&a);
    memset(c.data, 1, c.size);
    check_filled(pool, 15 * BLOCK + 3, 1, 5 * BLOCK - 3);
    CHECK_EQ_SIZE(stats_of(pool).pinned_blocks, BLOCKS);
    pool_view_release(&c);
    CHECK_EQ_SIZE(stats_of(pool).pinned_blocks, BLOCKS - 10);
    pool_view_release(&b);
    pool_view_release(&d);
    pool_destroy(pool);
}

TEST(bad_ranges)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    PoolView pin = {.struct_size = sizeof pin};
    CHECK_RETURNS(pool_pin(pool, 0, TOTAL + 1, &pin), POOL_RANGE);
    CHECK_RETURNS(pool_pin(pool, BLOCK, TOTAL, &pin), POOL_RANGE);
    CHECK_RETURNS(pool_pin(pool, 1, SIZE_MAX, &pin), POOL_RANGE);
    CHECK_RETURNS(pool_pin(pool, BLOCK, 0, &pin), POOL_INVALID);
    CHECK(pin.data == NULL);
    check_blocks(pool, 0, 0, 0);
    pool_destroy(pool);
    pool = make(SIZE_MAX, BLOCK, 0); /* more than there are addresses */
    CHECK_RETURNS(pool_pin(pool, 0, SIZE_MAX, &pin), POOL_NO_MEMORY);
    CHECK_RETURNS(pool_pin(pool, 5, SIZE_MAX / 2, &pin), POOL_NO_MEMORY);
    check_blocks(pool, 0, 0, 0);
    pool_destroy(pool);
}

/* ------------------------------------------------------------------------- limits */

/* Only what is new counts: data that moves does not need its room twice. */
TEST(the_limit_when_a_pin_is_made)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 40 * BLOCK);
    PoolView pin = {.struct_size = sizeof pin};
    for (size_t i = 30; i-- > 0;) /* in an order in which no two follow each other */
        CHECK_RETURNS(pool_fill(pool, 2 * i * BLOCK, (int)i + 1, BLOCK), POOL_OK);
    CHECK_RETURNS(pool_pin(pool, 0, 41 * BLOCK, &pin), POOL_LIMIT);
    check_blocks(pool, 30, 0, 30);
    CHECK(pin.data == NULL);
    pin = pin_of(pool, 0, 20 * BLOCK);
    check_blocks(pool, 40, 0, 40);
    for (size_t i = 0; i < 10; i++)
        CHECK_BYTES(at(&pin, 2 * i * BLOCK), (int)i + 1, BLOCK);
    CHECK_EQ_SIZE(stats_of(pool).family_peak_bytes, 40 * BLOCK);
    pool_view_release(&pin);
    pool_destroy(pool);
}

TEST(the_limit_of_frozen_copies)
{
    MemoryPool *pool = make(TOTAL, BLOCK, (BLOCKS + 2) * BLOCK);
    PoolView pin = pin_of(pool, 0, TOTAL);
    memset(pin.data, 1, 2 * BLOCK + 1);
    CHECK(pool_clone(pool) == NULL);
    CHECK_STATUS(POOL_LIMIT);
    CHECK_EQ_SIZE(family(pool), BLOCKS);
    CHECK_EQ_SIZE(stats_of(pool).family_pools, 1);
    check_filled(pool, 0, 1, 2 * BLOCK + 1);
    memset(at(&pin, 2 * BLOCK), 0, 1); /* it was written to all the same */
    pool_view_release(&pin);
    pin = pin_of(pool, 0, BLOCK);
    MemoryPool *clone = pool_clone(pool);
    check_filled(clone, 0, 1, 2 * BLOCK);
    pool_destroy(clone);
    pool_view_release(&pin);
    pool_destroy(pool);
}

/* ------------------------------------------------------- clones, restore, changes */

/* In a pin of that many blocks, after a clone, three blocks are written to. */
static void check_three_pages(size_t blocks)
{
    MemoryPool *pool = make(blocks * BLOCK, BLOCK, 0);
    PoolView pin = pin_of(pool, 0, blocks * BLOCK);
    CHECK_EQ_SIZE(pin.size, blocks * BLOCK);
    memset(pin.data, 1, 100 * BLOCK);
    MemoryPool *first = pool_clone(pool);
    CHECK_EQ_SIZE(family(pool), blocks + 100); /* what is zeros has no frozen copy */
    CHECK_EQ_SIZE(changed(pool, first), 0);
    MemoryPool *again = pool_clone(pool);
    CHECK_EQ_SIZE(family(pool), blocks + 100); /* nobody wrote: the same copies */
    CHECK_EQ_SIZE(changed(again, first), 0);
    *at(&pin, 5 * BLOCK) = 2;
    *at(&pin, 9 * BLOCK - 1) = 3;
    *at(&pin, blocks * BLOCK - 1) = 4;
    CHECK_EQ_SIZE(changed(pool, first), 3);
    CHECK_EQ_SIZE(changed(first, pool), 3);
    MemoryPool *second = pool_clone(pool);
    CHECK_EQ_SIZE(family(pool), blocks + 103);
    CHECK_EQ_SIZE(changed(second, first), 3);
    CHECK_EQ_SIZE(changed(second, pool), 0);
    memset(at(&pin, 50 * BLOCK), 9, 2 * BLOCK);
    CHECK_RETURNS(pool_restore(pool, first), POOL_OK); /* writes five, copies none */
    CHECK_EQ_SIZE(family(pool), blocks + 103);
    CHECK_EQ_SIZE(changed(pool, first), 0);
    CHECK_EQ_SIZE(changed(pool, second), 3);
    CHECK_BYTES(pin.data, 1, 100 * BLOCK);
    CHECK_BYTES(at(&pin, 100 * BLOCK), 0, (blocks - 100) * BLOCK);
    CHECK_RETURNS(pool_restore(pool, second), POOL_OK);
    CHECK(*at(&pin, 5 * BLOCK) == 2 && *at(&pin, blocks * BLOCK - 1) == 4);
    CHECK_EQ_SIZE(changed(pool, second), 0);
    pool_destroy(first);
    pool_destroy(again);
    CHECK_EQ_SIZE(family(pool), blocks + 101); /* second's, which are also the pin's */
    pool_view_release(&pin);
    pool_destroy(second);
    CHECK_EQ_SIZE(family(pool), blocks);
    pool_destroy(pool);
}

TEST(a_clone_copies_what_was_written)
{
    check_three_pages(128);
    check_three_pages(16384); /* 64 MiB */
}

TEST(several_pools_with_pins)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 1, TOTAL), POOL_OK);
    MemoryPool *clone = pool_clone(pool);
    PoolView a = pin_of(pool, 0, 40 * BLOCK), b = pin_of(clone, 20 * BLOCK, 40 * BLOCK);
    CHECK_EQ_SIZE(changed(pool, clone), 0); /* both were moved, and nobody wrote */
    memset(at(&a, 25 * BLOCK), 2, BLOCK);
    memset(at(&b, 5 * BLOCK), 2, BLOCK); /* the same block, the same bytes */
    memset(at(&b, 30 * BLOCK), 3, BLOCK);
    CHECK_EQ_SIZE(changed(pool, clone), 2);
    unsigned char *address = a.data;
    CHECK_RETURNS(pool_restore(pool, clone), POOL_OK);
    CHECK(a.data == address);
    CHECK_EQ_SIZE(changed(pool, clone), 0);
    check_filled(pool, 50 * BLOCK, 3, BLOCK);
    CHECK_RETURNS(pool_copy(clone, 20 * BLOCK, pool, 0, 20 * BLOCK), POOL_OK);
    CHECK_BYTES(b.data, 1, 20 * BLOCK); /* from pin to pin */
    pool_destroy(pool);
    memset(a.data, 7, a.size); /* it outlives its pool */
    check_filled(clone, 0, 1, 20 * BLOCK);
    pool_destroy(clone);
    CHECK_BYTES(a.data, 7, a.size);
    CHECK_BYTES(at(&b, 30 * BLOCK), 3, BLOCK);
    pool_view_release(&b);
    pool_view_release(&a);
}

TEST(resize_through_a_pin)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    PoolView pin = pin_of(pool, 0, TOTAL);
    memset(pin.data, 1, TOTAL);
    MemoryPool *clone = pool_clone(pool);
    CHECK_RETURNS(pool_resize(pool, 10 * BLOCK + 5), POOL_OK);
    CHECK_EQ_SIZE(stats_of(pool).pinned_blocks, 11);
    CHECK_BYTES(at(&pin, 10 * BLOCK + 5), 0, BLOCK - 5);
    CHECK_BYTES(at(&pin, 11 * BLOCK), 1, TOTAL - 11 * BLOCK); /* it is detached there */
    CHECK_RETURNS(pool_resize(pool, SIZE_MAX), POOL_OK);
    memset(at(&pin, 5 * BLOCK), 2, TOTAL - 5 * BLOCK);
    check_filled(pool, 5 * BLOCK, 2, 6 * BLOCK);
    check_filled(pool, 11 * BLOCK, 0, TOTAL - 11 * BLOCK);
    PoolView more = pin_of(pool, 11 * BLOCK, 5 * BLOCK);
    memset(more.data, 3, more.size);
    CHECK_RETURNS(pool_restore(pool, clone), POOL_OK);
    CHECK_EQ_SIZE(changed(pool, clone), 0);
    CHECK_BYTES(pin.data, 1, 11 * BLOCK);
    CHECK_BYTES(more.data, 1, more.size);
    CHECK_BYTES(at(&pin, 11 * BLOCK), 2, TOTAL - 11 * BLOCK);
    pool_view_release(&pin);
    pool_view_release(&more);
    pool_destroy(pool);
    pool_destroy(clone);
}

/* What the pool has not is in no clone, and does not come back with a larger size. */
TEST(bytes_behind_the_end_of_a_pool)
{
    size_t size = TOTAL - BLOCK + 100;
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    PoolView pin = pin_of(pool, 0, TOTAL);
    memset(pin.data, 1, TOTAL);
    CHECK_RETURNS(pool_resize(pool, size), POOL_OK);
    MemoryPool *large = pool_clone(pool);
    CHECK_RETURNS(pool_resize(large, TOTAL), POOL_OK);
    memset(at(&pin, size), 2, BLOCK - 100); /* its own memory, and nobody else's */
    MemoryPool *clone = pool_clone(pool);
    CHECK_EQ_SIZE(changed(pool, clone), 0);
    CHECK_BYTES(at(&pin, size), 2, BLOCK - 100);
    CHECK_RETURNS(pool_resize(clone, TOTAL), POOL_OK);
    check_filled(clone, size, 0, BLOCK - 100);
    CHECK_RETURNS(pool_restore(pool, large), POOL_OK);
    check_filled(pool, 0, 1, size);
    check_filled(pool, size, 0, BLOCK - 100);
    CHECK_EQ_SIZE(changed(pool, large), 0);
    pool_view_release(&pin);
    pool_destroy(pool);
    pool_destroy(clone);
    pool_destroy(large);
}

static unsigned released;
static MemoryPool *to_call;

/* It may call the library: no lock is held. */
static void on_release(void *memory, size_t size, void *context)
{
    (void)memory, (void)size, (void)context;
    if (to_call != NULL)
        (void)stats_of(to_call);
    released++;
}

/* A frozen copy may be adopted memory; what replaces it in the pin releases it. */
TEST(adopted_memory_as_a_frozen_copy)
{
    static unsigned char memory[4 * BLOCK];
    memset(memory, 6, sizeof memory);
    for (int way = 0; way < 3; way++) {
        MemoryPool *pool = make(TOTAL, BLOCK, 0), *other = pool_clone(pool);
        released = 0;
        to_call = pool;
        CHECK_RETURNS(pool_adopt(other, 0, memory, sizeof memory, on_release, NULL),
                      POOL_OK);
        PoolView pin = pin_of(pool, 0, 8 * BLOCK);
        CHECK_RETURNS(pool_restore(pool, other), POOL_OK);
        CHECK_BYTES(pin.data, 6, 4 * BLOCK);
        CHECK_RETURNS(pool_discard(other, 0, TOTAL), POOL_OK);
        CHECK_EQ_INT((int)released, 0);
        memset(pin.data, 1, 4 * BLOCK);
        MemoryPool *clone = NULL;
        if (way == 0)
            clone = pool_clone(pool);
        else if (way == 1)
            CHECK_RETURNS(pool_restore(pool, other), POOL_OK);
        else
            pool_view_release(&pin);
        CHECK_EQ_INT((int)released, 1);
        pool_view_release(&pin);
        pool_destroy(clone);
        to_call = NULL;
        pool_destroy(other);
        pool_destroy(pool);
        CHECK_EQ_INT((int)released, 1);
    }
    CHECK_BYTES(memory, 6, sizeof memory);
}

/* Long runs have many pages of descriptions, some of which are given back. */
TEST(a_long_run_in_parts)
{
    enum { MANY = 40000, SMALL = 16 };
    MemoryPool *pool = make((size_t)MANY * SMALL, SMALL, 0);
    PoolView pin = pin_of(pool, 0, (size_t)MANY * SMALL);
    for (size_t i = 0; i < pin.size; i++)
        *at(&pin, i) = (unsigned char)(i / 1000 + 1);
    pool_view_release(&pin);
    for (size_t part = 1; part < 9; part++) {
        size_t from = part * 4096 * SMALL, size = 2048 * SMALL;
        CHECK_RETURNS(pool_discard(pool, from, size), POOL_OK);
        (void)pool_trim();
        CHECK_RETURNS(pool_fill(pool, from, 77, size), POOL_OK);
    }
    for (size_t i = 0; i < (size_t)MANY * SMALL; i += 8) {
        unsigned char byte = 0;
        size_t part = i / (4096 * SMALL);
        int filled = part >= 1 && part < 9 && i % (4096 * SMALL) < 2048 * SMALL;
        CHECK_EQ_SIZE(pool_read(pool, &byte, i, 1), 1);
        CHECK_EQ_INT(byte, filled ? 77 : (unsigned char)(i / 1000 + 1));
    }
    pool_destroy(pool);
}

static const TestCase cases[] = {
    TEST_CASE(a_pin_of_any_range_is_one_piece_of_memory),
    TEST_CASE(pinned_again_in_place),
    TEST_CASE(a_part_pinned_again_in_place),
    TEST_CASE(pins_that_meet),
    TEST_CASE(bad_ranges),
    TEST_CASE(the_limit_when_a_pin_is_made),
    TEST_CASE(the_limit_of_frozen_copies),
    TEST_CASE(a_clone_copies_what_was_written),
    TEST_CASE(several_pools_with_pins),
    TEST_CASE(resize_through_a_pin),
    TEST_CASE(bytes_behind_the_end_of_a_pool),
    TEST_CASE(adopted_memory_as_a_frozen_copy),
    TEST_CASE(a_long_run_in_parts),
};
TEST_MAIN(cases)
