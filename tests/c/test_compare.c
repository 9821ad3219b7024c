/* SPDX-License-Identifier: MIT */
/* test_compare.c - pool_same and pool_next_difference against a comparison by bytes */
#include "pools.h"
#include "pairs.h"

/* The byte of a side at an offset of the pool; -1 past its end. */
static int byte_of(const Pair *pair, const PairSide *side, size_t offset)
{
    if (offset < pair->base)
        return 0;
    return offset - pair->base < side->size ? side->bytes[offset - pair->base] : -1;
}

static int differs(const Pair *pair, size_t offset)
{
    return byte_of(pair, &pair->sides[0], offset) !=
           byte_of(pair, &pair->sides[1], offset);
}

/* What pool_next_difference is to find. */
static int expect(const Pair *pair, size_t offset, size_t end, size_t *start,
                  size_t *size)
{
    const PairSide *a = &pair->sides[0], *b = &pair->sides[1];
    size_t total = pair->base + (a->size > b->size ? a->size : b->size);
    end = end < total ? end : total;
    offset = offset > pair->base ? offset : pair->base;
    while (offset < end && !differs(pair, offset))
        offset++;
    if (offset >= end)
        return 0;
    *start = offset;
    while (offset < end && differs(pair, offset))
        offset++;
    *size = offset - *start;
    return 1;
}

static void check_difference(const Pair *pair, size_t offset, size_t end)
{
    size_t start = 7, size = 8, start_2 = 7, size_2 = 8, start_model = 7, size_model = 8;
    int found = expect(pair, offset, end, &start_model, &size_model);
    MemoryPool *a = pair->sides[0].pool, *b = pair->sides[1].pool;
    CHECK_EQ_INT(pool_next_difference(a, b, offset, end, &start, &size), found);
    CHECK_STATUS(POOL_OK);
    CHECK_EQ_SIZE(start, start_model);
    CHECK_EQ_SIZE(size, size_model);
    CHECK_EQ_INT(pool_next_difference(b, a, offset, end, &start_2, &size_2), found);
    CHECK_EQ_SIZE(start_2, start_model);
    CHECK_EQ_SIZE(size_2, size_model);
}

/* All differences, one after the other, and whether there is any. */
static void check_all(const Pair *pair)
{
    const PairSide *a = &pair->sides[0], *b = &pair->sides[1];
    size_t at = 0, start, size, count = 0;
    for (; expect(pair, at, SIZE_MAX, &start, &size); at = start + size, count++)
        check_difference(pair, at, SIZE_MAX);
    check_difference(pair, at, SIZE_MAX);
    CHECK_EQ_INT(pool_same(a->pool, b->pool), count == 0);
    CHECK_STATUS(POOL_OK);
    CHECK_EQ_INT(pool_same(b->pool, a->pool), count == 0);
}

static void run(size_t base, unsigned times)
{
    static Pair pair;
    TestRandom random = {test_seed + base};
    size_t same = 0;
    for (unsigned i = 0; i < test_times(times); i++) {
        pair_create(&pair, &random, base);
        for (size_t change = 0; change < 30; change++) {
            pair_change(&pair);
            for (size_t n = 0; n < 6; n++)
                check_difference(&pair, pair_offset(&pair, &pair.sides[n & 1]),
                                 pair_offset(&pair, &pair.sides[n & 1]));
            same += pool_same(pair.sides[0].pool, pair.sides[1].pool) == 1;
        }
        check_all(&pair);
        pair_destroy(&pair);
    }
    CHECK_LE_SIZE(1, same); /* else it was never tested */
}

TEST(small_pools)
{
    run(0, 100);
}

/* Nearly all of them is one hole, which costs nothing. */
TEST(huge_pools)
{
    run(SIZE_MAX / 2 - 1000, 50);
    run(SIZE_MAX - PAIR_ROOM, 50);
}

/* ------------------------------------------------------------------ single cases */

static void put(MemoryPool *pool, size_t offset, int byte)
{
    unsigned char bytes[1] = {(unsigned char)byte};
    CHECK_EQ_SIZE(pool_write(pool, offset, bytes, 1), 1);
}

static void check_run(MemoryPool *a, MemoryPool *b, size_t offset, size_t end,
                      size_t start_expected, size_t size_expected)
{
    size_t start = 1, size = 2;
    CHECK_EQ_INT(pool_next_difference(a, b, offset, end, &start, &size), 1);
    CHECK_STATUS(POOL_OK);
    CHECK_EQ_SIZE(start, start_expected);
    CHECK_EQ_SIZE(size, size_expected);
}

static void check_none(MemoryPool *a, MemoryPool *b, size_t offset, size_t end)
{
    size_t start = 1, size = 2;
    CHECK_EQ_INT(pool_next_difference(a, b, offset, end, &start, &size), 0);
    CHECK_STATUS(POOL_OK);
    CHECK(start == 1 && size == 2);
}

TEST(arguments)
{
    MemoryPool *pool = make(100, 16, 0), *other = pool_clone(pool);
    size_t start = 1, size = 2;
    put(other, 50, 1);
    CHECK_EQ_INT(pool_next_difference(NULL, pool, 0, 1, &start, &size), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_INT(pool_next_difference(pool, NULL, 0, 1, &start, &size), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_INT(pool_next_difference(pool, other, 0, 99, NULL, &size), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_INT(pool_next_difference(pool, other, 0, 99, &start, NULL), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_INT(pool_same(NULL, pool), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_INT(pool_same(pool, NULL), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_INT(pool_same(NULL, NULL), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK(start == 1 && size == 2);
    check_none(pool, pool, 0, SIZE_MAX);
    check_none(other, other, 0, SIZE_MAX);
    CHECK_EQ_INT(pool_same(other, other), 1);
    CHECK_STATUS(POOL_OK);
    check_none(pool, other, 51, 50);
    check_none(pool, other, 51, SIZE_MAX);
    check_none(pool, other, 0, 50);
    check_none(pool, other, 100, SIZE_MAX);
    check_none(pool, other, SIZE_MAX, SIZE_MAX);
    check_run(pool, other, 50, 51, 50, 1);
    CHECK_EQ_INT(pool_same(pool, other), 0);
    pool_destroy(pool);
    pool_destroy(other);
}

/* Of 2^63 bytes one block is held, or two: no hole is looked through, however large. */
TEST(one_block_in_a_huge_pool)
{
    const size_t total = SIZE_MAX / 2 + 1, at = total / 3 * 2;
    static const size_t blocks[] = {1, 64, 4096, (size_t)1 << 20};
    for (size_t i = 0; i < TEST_COUNT(blocks); i++) {
        MemoryPool *pool = make(total, blocks[i], 0), *clone = pool_clone(pool);
        for (size_t j = 0; j < TEST_COUNT(blocks); j++) {
            MemoryPool *stranger = make(total, blocks[j], 0);
            CHECK_EQ_INT(pool_same(pool, stranger), 1);
            put(pool, at, 1);
            check_run(pool, stranger, 0, SIZE_MAX, at, 1);
            check_run(stranger, pool, 5, SIZE_MAX, at, 1);
            check_run(clone, pool, 0, SIZE_MAX, at, 1);
            check_none(clone, pool, at + 1, SIZE_MAX);
            put(pool, at, 0); /* what is held there is zeros */
            CHECK_EQ_INT(pool_same(clone, pool), 1);
            CHECK_EQ_INT(pool_same(stranger, pool), 1);
            put(stranger, total - 1, 1);
            check_run(stranger, pool, 5, SIZE_MAX, total - 1, 1);
            CHECK_RETURNS(pool_resize(stranger, total - 10), POOL_OK);
            check_run(stranger, pool, 5, SIZE_MAX, total - 10, 10);
            CHECK_EQ_INT(pool_same(stranger, pool), 0);
            pool_destroy(stranger);
        }
        pool_destroy(pool);
        pool_destroy(clone);
    }
}

/* A difference before the end of the smaller pool is one run with what is behind it. */
TEST(the_larger_pool_has_more)
{
    MemoryPool *small = make(1000, 64, 0), *large = make(3000, 16, 0);
    check_run(small, large, 0, SIZE_MAX, 1000, 2000);
    check_run(large, small, 0, 1500, 1000, 500);
    check_run(large, small, 1200, 1500, 1200, 300);
    check_run(large, small, 2999, SIZE_MAX, 2999, 1);
    check_none(large, small, 3000, SIZE_MAX);
    check_none(large, small, 0, 1000);
    CHECK_RETURNS(pool_fill(large, 990, 1, 10), POOL_OK);
    check_run(large, small, 0, SIZE_MAX, 990, 2010);
    check_run(large, small, 995, 1000, 995, 5);
    put(large, 999, 0);
    check_run(small, large, 0, SIZE_MAX, 990, 9);
    pool_destroy(small);
    pool_destroy(large);
}

/* Bytes that differ in one bit, and runs of every length, at every place in a word. */
TEST(runs_of_every_length)
{
    enum { SIZE = 200 };
    MemoryPool *pool = make(SIZE, 64, 0), *other = make(SIZE, 256, 0);
    static const int bits[] = {1, 0x80, 0x81, 0xff};
    CHECK_RETURNS(pool_fill(pool, 0, 0x80, SIZE), POOL_OK);
    for (size_t at = 30; at < 80; at++) {
        for (size_t size = 1; size < 60; size++) {
            int bit = bits[(at + size) % TEST_COUNT(bits)];
            CHECK_RETURNS(pool_fill(other, 0, 0x80, SIZE), POOL_OK);
            CHECK_RETURNS(pool_fill(other, at, 0x80 ^ bit, size), POOL_OK);
            check_run(pool, other, 0, SIZE, at, size);
            check_run(pool, other, at + size / 2, SIZE, at + size / 2, size - size / 2);
            check_none(pool, other, at + size, SIZE);
        }
    }
    pool_destroy(pool);
    pool_destroy(other);
}

/* One address in two blocks, and one address in blocks of two families. */
TEST(memory_that_was_adopted_twice)
{
    static unsigned char data[4096];
    MemoryPool *pool = make(8192, 1024, 0), *other = make(8192, 512, 0), *clone;
    memset(data, 5, sizeof data);
    CHECK_RETURNS(pool_adopt(pool, 0, data, sizeof data, NULL, NULL), POOL_OK);
    CHECK_RETURNS(pool_adopt(other, 0, data, sizeof data, NULL, NULL), POOL_OK);
    clone = pool_clone(pool);
    CHECK_RETURNS(pool_adopt(pool, 0, data, sizeof data, NULL, NULL), POOL_OK);
    CHECK_EQ_INT(pool_same(pool, other), 1);
    CHECK_EQ_INT(pool_same(pool, clone), 1);
    put(pool, 4095, 6);
    check_run(pool, other, 0, SIZE_MAX, 4095, 1);
    check_run(pool, clone, 0, SIZE_MAX, 4095, 1);
    pool_destroy(pool);
    pool_destroy(clone);
    pool_destroy(other);
}

/* A call that cannot freeze what is pinned in both pools has frozen nothing of one. */
TEST(limit_is_too_low_for_both)
{
    enum { BLOCK = 4096 };
    MemoryPool *pool = make(4 * BLOCK, BLOCK, 5 * BLOCK), *other = pool_clone(pool);
    PoolView pins[2] = {{.struct_size = sizeof(PoolView)},
                        {.struct_size = sizeof(PoolView)}};
    size_t start = 1, size = 2;
    CHECK_RETURNS(pool_pin(pool, 0, 2 * BLOCK, &pins[0]), POOL_OK);
    CHECK_RETURNS(pool_pin(other, 0, 2 * BLOCK, &pins[1]), POOL_OK);
    memset(pins[0].data, 1, BLOCK);
    memset(pins[1].data, 1, BLOCK + 1);
    CHECK_EQ_INT(pool_next_difference(pool, other, 0, 9, &start, &size), -1);
    CHECK_STATUS(POOL_LIMIT);
    CHECK_EQ_INT(pool_same(pool, other), -1);
    CHECK_STATUS(POOL_LIMIT);
    CHECK(start == 1 && size == 2);
    CHECK_EQ_SIZE(stats_of(pool).family_bytes, 4 * BLOCK);
    CHECK_EQ_SIZE(stats_of(pool).family_pools, 2);
    pool_view_release(&pins[1]);
    check_run(pool, other, 0, SIZE_MAX, BLOCK, 1);
    pool_view_release(&pins[0]);
    pool_destroy(pool);
    pool_destroy(other);
}

static const TestCase cases[] = {
    TEST_CASE(small_pools),
    TEST_CASE(huge_pools),
    TEST_CASE(arguments),
    TEST_CASE(one_block_in_a_huge_pool),
    TEST_CASE(the_larger_pool_has_more),
    TEST_CASE(runs_of_every_length),
    TEST_CASE(memory_that_was_adopted_twice),
    TEST_CASE(limit_is_too_low_for_both),
};
TEST_MAIN(cases)
