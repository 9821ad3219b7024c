/* SPDX-License-Identifier: MIT */
/* test_compare.c - pool_same and pool_next_difference against a comparison by bytes */
#include "pools.h"
#include "pairs.h"

/* The byte of a side at an offset of the pool; -1 past its end. */
static int byte_of(const Pair *pair, const Side *side, size_t offset)
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
    const Side *a = &pair->sides[0], *b = &pair->sides[1];
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
    const Side *a = &pair->sides[0], *b = &pair->sides[1];
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

static const TestCase cases[] = {
    TEST_CASE(small_pools),
    TEST_CASE(huge_pools),
};
TEST_MAIN(cases)
