/* SPDX-License-Identifier: MIT */
/* test_find.c - pool_find against a search by bytes */
#include "pools.h"
#include "pairs.h"

/* Where a pattern is in a side at or behind an offset, and before end. Before the part in
 * the array, as many zeros are looked at as the pattern needs. */
static int expect(const Pair *pair, const PairSide *side, const unsigned char *pattern,
                  size_t size, size_t offset, size_t end, size_t *found)
{
    size_t zeros = 0, total = pair->base + side->size;
    end = end < total ? end : total;
    if (offset > end || size > end - offset)
        return 0;
    while (zeros < size && pattern[zeros] == 0)
        zeros++;
    if (zeros == size && offset + size <= pair->base) {
        *found = offset;
        return 1;
    }
    if (offset < pair->base && pair->base - offset > zeros)
        offset = pair->base - zeros;
    for (; offset <= end && size <= end - offset; offset++) {
        size_t i = 0;
        for (; i < size; i++) {
            int byte = offset + i < pair->base ? 0 : side->bytes[offset + i - pair->base];
            if (byte != pattern[i])
                break;
        }
        if (i == size) {
            *found = offset;
            return 1;
        }
    }
    return 0;
}

static int check_find(const Pair *pair, const PairSide *side,
                      const unsigned char *pattern, size_t size, size_t offset,
                      size_t end)
{
    size_t found = 7, model = 7;
    int expected = expect(pair, side, pattern, size, offset, end, &model);
    CHECK_EQ_INT(pool_find(side->pool, pattern, size, offset, end, &found), expected);
    CHECK_STATUS(POOL_OK);
    CHECK_EQ_SIZE(found, model);
    return expected;
}

/* A pattern that is somewhere, or nearly so, or made up. */
static size_t make_pattern(const Pair *pair, const PairSide *side, unsigned char *pattern)
{
    size_t room = test_below(pair->random, 3) > 0 ? 20 : PAIR_ROOM + 10;
    size_t size = 1 + test_below(pair->random, room - 1);
    pair_bytes(pair->random, pattern, size);
    if (test_below(pair->random, 4) > 0) {
        size_t at = test_below(pair->random, side->size);
        size_t some = size < side->size - at ? size : side->size - at;
        memcpy(pattern, side->bytes + at, some);
        size = some;
        if (test_below(pair->random, 3) == 0)
            pattern[test_below(pair->random, size)] ^= 1;
    }
    return size;
}

static void run(size_t base, unsigned times)
{
    static Pair pair;
    static unsigned char pattern[PAIR_ROOM + 10];
    TestRandom random = {test_seed + base};
    size_t found = 0;
    for (unsigned i = 0; i < test_times(times); i++) {
        pair_create(&pair, &random, base);
        for (size_t change = 0; change < 30; change++) {
            pair_change(&pair);
            for (size_t n = 0; n < 10; n++) {
                PairSide *side = &pair.sides[n & 1];
                size_t size = make_pattern(&pair, side, pattern);
                size_t offset = n < 5 ? 0 : pair_offset(&pair, side);
                size_t end = n < 5 ? SIZE_MAX : pair_offset(&pair, side);
                found += (size_t)check_find(&pair, side, pattern, size, offset, end);
            }
        }
        pair_destroy(&pair);
    }
    CHECK_LE_SIZE(1, found); /* else it was never tested */
}

TEST(small_pools)
{
    run(0, 100);
}

TEST(huge_pools)
{
    run(SIZE_MAX / 2 - 1000, 50);
    run(SIZE_MAX - PAIR_ROOM, 50);
}

/* ------------------------------------------------------------------ single cases */

static void check_at(MemoryPool *pool, const void *pattern, size_t size, size_t offset,
                     size_t end, size_t expected)
{
    size_t found = 1;
    CHECK_EQ_INT(pool_find(pool, pattern, size, offset, end, &found), 1);
    CHECK_STATUS(POOL_OK);
    CHECK_EQ_SIZE(found, expected);
}

static void check_none(MemoryPool *pool, const void *pattern, size_t size, size_t offset,
                       size_t end)
{
    size_t found = 1;
    CHECK_EQ_INT(pool_find(pool, pattern, size, offset, end, &found), 0);
    CHECK_STATUS(POOL_OK);
    CHECK_EQ_SIZE(found, 1);
}

TEST(arguments)
{
    MemoryPool *pool = make(100, 16, 0);
    size_t found = 1;
    CHECK_EQ_SIZE(pool_write(pool, 95, "abcab", 5), 5);
    CHECK_EQ_INT(pool_find(NULL, "a", 1, 0, 9, &found), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_INT(pool_find(pool, NULL, 1, 0, 9, &found), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_INT(pool_find(pool, "a", 1, 0, 9, NULL), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_INT(pool_find(NULL, NULL, 0, 0, 9, NULL), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_SIZE(found, 1);
    /* Nothing is everywhere, up to the end. */
    check_at(pool, NULL, 0, 0, SIZE_MAX, 0);
    check_at(pool, "a", 0, 100, SIZE_MAX, 100);
    check_at(pool, NULL, 0, 7, 7, 7);
    check_none(pool, NULL, 0, 8, 7);
    check_none(pool, NULL, 0, 101, SIZE_MAX);
    check_none(pool, NULL, 0, SIZE_MAX, SIZE_MAX);
    /* A match lies inside the range. */
    check_at(pool, "ab", 2, 0, SIZE_MAX, 95);
    check_at(pool, "ab", 2, 0, 97, 95);
    check_none(pool, "ab", 2, 0, 96);
    check_at(pool, "ab", 2, 96, SIZE_MAX, 98);
    check_none(pool, "ab", 2, 99, SIZE_MAX);
    check_none(pool, "abc", 3, 96, SIZE_MAX);
    check_none(pool, "b", 1, 100, SIZE_MAX);
    check_none(pool, "b", 1, 50, 49);
    check_none(pool, "abcab", 5, 96, 3);
    /* Longer than the pool, or than any: the pattern is not even looked at. */
    check_none(pool, "a", 101, 0, SIZE_MAX);
    check_none(pool, "a", SIZE_MAX, 0, SIZE_MAX);
    check_none(pool, "a", SIZE_MAX, SIZE_MAX, SIZE_MAX);
    pool_destroy(pool);
}

/* Of 2^63 bytes one block is held: no hole is looked through, however large. */
TEST(holes_of_a_huge_pool)
{
    const size_t total = SIZE_MAX / 2 + 1, at = total / 3 * 2;
    static const size_t blocks[] = {1, 64, 4096, (size_t)1 << 20};
    static unsigned char zeros[300000], pattern[300001];
    pattern[300000] = 7;
    for (size_t i = 0; i < TEST_COUNT(blocks); i++) {
        MemoryPool *pool = make(total, blocks[i], 0);
        check_none(pool, "a", 1, 0, SIZE_MAX);
        check_none(pool, "\0\0a", 3, 0, SIZE_MAX);
        check_at(pool, zeros, sizeof zeros, 5, SIZE_MAX, 5);
        check_at(pool, zeros, 9, total - 9, SIZE_MAX, total - 9);
        check_none(pool, zeros, 9, total - 8, SIZE_MAX);
        CHECK_EQ_SIZE(pool_write(pool, at, "\7b\0d", 4), 4);
        check_at(pool, "b", 1, 0, SIZE_MAX, at + 1);
        check_at(pool, pattern, sizeof pattern, 0, SIZE_MAX, at - 300000);
        check_none(pool, pattern, sizeof pattern, at - 299999, SIZE_MAX);
        check_at(pool, pattern + 299990, 11, at - 20, SIZE_MAX, at - 10);
        check_at(pool, "\0d\0\0", 4, 0, SIZE_MAX, at + 2);
        check_none(pool, "\0d\0\0", 4, 0, at + 5);
        check_at(pool, zeros, 2, at, SIZE_MAX, at + 4);
        check_at(pool, zeros, 1, at, SIZE_MAX, at + 2);
        check_at(pool, zeros, sizeof zeros, at - 299999, SIZE_MAX, at + 4);
        CHECK_EQ_SIZE(pool_write(pool, total - 1, "d", 1), 1);
        check_at(pool, "\0d", 2, at + 4, SIZE_MAX, total - 2);
        check_none(pool, "d\0", 2, at + 4, SIZE_MAX);
        pool_destroy(pool);
    }
}

/* Blocks in the order in which they lie in memory, and in the reverse order, so that none
 * follows another: a pattern at and around each border, longer than blocks and shorter. */
TEST(borders_of_blocks)
{
    enum { BLOCK = 512, BLOCKS = 400, SIZE = BLOCK * BLOCKS };
    static const size_t sizes[] = {1, 2, 3, 60, 511, 512, 513, 1500, 60000, 150000};
    static unsigned char bytes[SIZE];
    TestRandom random = {test_seed};
    test_random_bytes(&random, bytes, SIZE);
    for (size_t order = 0; order < 3; order++) {
        MemoryPool *pool = make(SIZE, BLOCK, 0);
        for (size_t i = 0; i < BLOCKS; i++) {
            size_t block = order == 0 ? i : order == 1 ? BLOCKS - 1 - i : i * 7 % BLOCKS;
            CHECK_EQ_SIZE(pool_write(pool, block * BLOCK, bytes + block * BLOCK, BLOCK),
                          BLOCK);
        }
        for (size_t i = 3; i < TEST_COUNT(sizes); i++) {
            for (unsigned n = 0; n < test_times(200); n++) {
                size_t at = test_below(&random, SIZE - sizes[i] + 1);
                if (n % 2 == 0)
                    at = at / BLOCK * BLOCK;
                check_at(pool, bytes + at, sizes[i], n % 3 * (at / 3), SIZE_MAX, at);
                check_none(pool, bytes + at, sizes[i], 0, at + sizes[i] - 1);
            }
        }
        for (size_t i = 0; i < 3; i++) {
            size_t at = test_below(&random, SIZE - 3), model = 0;
            while (memcmp(bytes + model, bytes + at, sizes[i]) != 0)
                model++;
            check_at(pool, bytes + at, sizes[i], 0, SIZE_MAX, model);
        }
        pool_destroy(pool);
    }
}

/* Patterns that make a naive search quadratic; that their search is not is to be seen in
 * its time only, so here it is their result. */
TEST(patterns_that_nearly_match_everywhere)
{
    enum { SIZE = 100000, PATTERN = 3000 };
    static unsigned char bytes[SIZE], pattern[PATTERN];
    MemoryPool *pool = make(SIZE, 4096, 0);
    for (size_t period = 1; period < 40; period += 1 + period / 4) {
        for (size_t i = 0; i < SIZE; i++)
            bytes[i] = i % period == 0 ? 2 : 1;
        memcpy(pattern, bytes, PATTERN);
        CHECK_EQ_SIZE(pool_write(pool, 0, bytes, SIZE), SIZE);
        check_at(pool, pattern, PATTERN, 0, SIZE_MAX, 0);
        check_at(pool, pattern, PATTERN, 1, SIZE_MAX, period);
        for (size_t i = 0; i < 3; i++) { /* at the begin, in the middle, at the end */
            size_t odd = i * (PATTERN - 1) / 2;
            pattern[odd] = 9;
            check_none(pool, pattern, PATTERN, 0, SIZE_MAX);
            CHECK_EQ_SIZE(pool_write(pool, 90001 + odd, "\x09", 1), 1);
            memcpy(pattern, bytes + 90001, PATTERN);
            pattern[odd] = 9;
            check_at(pool, pattern, PATTERN, 0, SIZE_MAX, 90001);
            CHECK_EQ_SIZE(pool_write(pool, 90001 + odd, bytes + 90001 + odd, 1), 1);
            memcpy(pattern, bytes, PATTERN);
        }
    }
    pool_destroy(pool);
}

/* The pattern may be memory of the pool: a view or a pin. */
/* Runs of all lengths below the pattern's come first, in and across blocks. */
TEST(patterns_of_equal_bytes)
{
    enum { LONGEST = 40 };
    unsigned char pattern[LONGEST];
    memset(pattern, 7, sizeof pattern);
    for (size_t block = 1; block <= 4096; block *= 4)
        for (size_t size = 1; size <= LONGEST; size++) {
            MemoryPool *pool = make(2000, block, 0);
            size_t at = 3;
            for (size_t run = 0; run < size; at += run++ + 1)
                CHECK_RETURNS(pool_fill(pool, at, 7, run), POOL_OK);
            check_none(pool, pattern, size, 0, SIZE_MAX);
            CHECK_RETURNS(pool_fill(pool, at, 7, size), POOL_OK);
            check_at(pool, pattern, size, 0, SIZE_MAX, at);
            pool_destroy(pool);
        }
}

TEST(pattern_in_the_pool)
{
    enum { BLOCK = 1024 };
    MemoryPool *pool = make(64 * BLOCK, BLOCK, 0);
    PoolView pin = {.struct_size = sizeof pin}, view = {.struct_size = sizeof view};
    CHECK_EQ_SIZE(pool_write(pool, 5000, "a needle", 8), 8);
    CHECK_EQ_SIZE(pool_write(pool, 50001, "a needle", 8), 8);
    CHECK_RETURNS(pool_view(pool, 50001, 8, &view), POOL_OK);
    check_at(pool, view.data, view.size, 0, SIZE_MAX, 5000);
    CHECK_RETURNS(pool_pin(pool, 50000, 2000, &pin), POOL_OK);
    check_at(pool, (unsigned char *)pin.data + 1, 8, 0, SIZE_MAX, 5000);
    ((unsigned char *)pin.data)[8] = 'x';
    check_at(pool, (unsigned char *)pin.data + 1, 8, 0, SIZE_MAX, 50001);
    check_none(pool, view.data, view.size, 5001, SIZE_MAX);
    pool_view_release(&view);
    pool_view_release(&pin);
    pool_destroy(pool);
}

/* A call that cannot freeze what is pinned has frozen nothing. */
TEST(limit_is_too_low)
{
    enum { BLOCK = 4096 };
    MemoryPool *pool = make(4 * BLOCK, BLOCK, 3 * BLOCK);
    PoolView pin = {.struct_size = sizeof pin};
    size_t found = 1;
    CHECK_RETURNS(pool_pin(pool, 0, 2 * BLOCK, &pin), POOL_OK);
    memset(pin.data, 1, 2 * BLOCK);
    CHECK_EQ_INT(pool_find(pool, "\1", 1, 0, SIZE_MAX, &found), -1);
    CHECK_STATUS(POOL_LIMIT);
    CHECK_EQ_SIZE(found, 1);
    CHECK_EQ_SIZE(stats_of(pool).family_bytes, 2 * BLOCK);
    CHECK_EQ_SIZE(stats_of(pool).family_pools, 1);
    pool_view_release(&pin);
    check_at(pool, "\1", 1, 0, SIZE_MAX, 0);
    pool_destroy(pool);
}

static const TestCase cases[] = {
    TEST_CASE(small_pools),
    TEST_CASE(huge_pools),
    TEST_CASE(arguments),
    TEST_CASE(holes_of_a_huge_pool),
    TEST_CASE(borders_of_blocks),
    TEST_CASE(patterns_that_nearly_match_everywhere),
    TEST_CASE(patterns_of_equal_bytes),
    TEST_CASE(pattern_in_the_pool),
    TEST_CASE(limit_is_too_low),
};
TEST_MAIN(cases)
