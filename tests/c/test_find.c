/* SPDX-License-Identifier: MIT */
/* test_find.c - pool_find against a search by bytes */
#include "pools.h"
#include "pairs.h"

/* Where a pattern is in a side at or behind an offset, and before end. Before the part in
 * the array, as many zeros are looked at as the pattern needs. */
static int expect(const Pair *pair, const Side *side, const unsigned char *pattern,
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

static int check_find(const Pair *pair, const Side *side, const unsigned char *pattern,
                      size_t size, size_t offset, size_t end)
{
    size_t found = 7, model = 7;
    int expected = expect(pair, side, pattern, size, offset, end, &model);
    CHECK_EQ_INT(pool_find(side->pool, pattern, size, offset, end, &found), expected);
    CHECK_STATUS(POOL_OK);
    CHECK_EQ_SIZE(found, model);
    return expected;
}

/* A pattern that is somewhere, or nearly so, or made up. */
static size_t make_pattern(const Pair *pair, const Side *side, unsigned char *pattern)
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
                Side *side = &pair.sides[n & 1];
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

static const TestCase cases[] = {
    TEST_CASE(small_pools),
    TEST_CASE(huge_pools),
};
TEST_MAIN(cases)
