/* SPDX-License-Identifier: MIT */
/* test_family.c - clones, restore, extents, changes, limits and the facts about them */
#include "pools.h"

enum { BLOCK = 1024, BLOCKS = 64, TOTAL = BLOCK * BLOCKS };

/* 2^40 where size_t can say it. */
#define LARGE_TOTAL ((size_t)1 << (sizeof(size_t) > 4 ? 40 : 30))

static MemoryPool *clone_of(MemoryPool *pool)
{
    MemoryPool *clone = pool_clone(pool);
    CHECK_STATUS(POOL_OK);
    CHECK(clone != NULL && clone != pool);
    return clone;
}

static void fill_block(MemoryPool *pool, size_t index, int byte)
{
    CHECK_RETURNS(pool_fill(pool, index * BLOCK, byte, BLOCK), POOL_OK);
}

/* The next run at or after offset must be [start, start + size); size 0: none. With a
 * base it is a change, without one an extent. */
static void check_run(MemoryPool *pool, MemoryPool *base, size_t offset, size_t start,
                      size_t size)
{
    size_t at = 12345, length = 67890;
    int found = base != NULL
                    ? pool_next_change(pool, base, offset, SIZE_MAX, &at, &length)
                    : pool_next_extent(pool, offset, SIZE_MAX, &at, &length);
    CHECK_STATUS(POOL_OK);
    CHECK_EQ_INT(found, size != 0);
    CHECK_EQ_SIZE(at, found ? start : 12345);
    CHECK_EQ_SIZE(length, found ? size : 67890);
}

/* --------------------------------------------------------------------- clones */

TEST(clone_is_independent)
{
    MemoryPool *origin = make(TOTAL, BLOCK, 0);
    CHECK_RETURNS(pool_fill(origin, 0, 1, TOTAL), POOL_OK);
    MemoryPool *clone = clone_of(origin);
    CHECK_EQ_SIZE(stats_of(clone).total_size, TOTAL);
    CHECK_EQ_SIZE(stats_of(clone).block_size, BLOCK);
    check_blocks(origin, BLOCKS, BLOCKS, BLOCKS);
    check_blocks(clone, BLOCKS, BLOCKS, BLOCKS);

    CHECK_RETURNS(pool_fill(clone, 100, 2, 10), POOL_OK);
    CHECK_RETURNS(pool_fill(origin, 5 * BLOCK, 3, 10), POOL_OK);
    CHECK_RETURNS(pool_discard(clone, 9 * BLOCK, BLOCK), POOL_OK);
    check_filled(origin, 0, 1, 5 * BLOCK);
    check_filled(origin, 9 * BLOCK, 1, BLOCK);
    check_filled(clone, 100, 2, 10);
    check_filled(clone, 110, 1, 9 * BLOCK - 110);
    check_filled(clone, 9 * BLOCK, 0, BLOCK);
    check_blocks(origin, BLOCKS, BLOCKS - 3, BLOCKS + 2);
    check_blocks(clone, BLOCKS - 1, BLOCKS - 3, BLOCKS + 2);
    CHECK_EQ_SIZE(stats_of(clone).copied_blocks, 1);
    CHECK_EQ_SIZE(stats_of(origin).copied_blocks, 1);
    CHECK_EQ_SIZE(stats_of(origin).family_pools, 2);

    pool_destroy(origin);
    check_blocks(clone, BLOCKS - 1, 0, BLOCKS - 1);
    check_filled(clone, BLOCK, 1, 8 * BLOCK);
    CHECK_RETURNS(pool_fill(clone, 0, 4, TOTAL), POOL_OK);
    check_blocks(clone, BLOCKS, 0, BLOCKS);
    CHECK_EQ_SIZE(stats_of(clone).copied_blocks, 1); /* they were no longer shared */
    pool_destroy(clone);
}

TEST(clone_of_an_empty_pool)
{
    MemoryPool *origin = make(SIZE_MAX, BLOCK, 0), *clone = clone_of(origin);
    CHECK_EQ_SIZE(pool_write(clone, SIZE_MAX - 3, "abc", 9), 3);
    CHECK_EQ_SIZE(pool_write(origin, 0, "x", 1), 1);
    check_filled(origin, SIZE_MAX - 3, 0, 3);
    check_filled(clone, 0, 0, BLOCK);
    check_blocks(origin, 1, 0, 2);
    pool_destroy(origin);
    check_blocks(clone, 1, 0, 1);
    pool_destroy(clone);
}

/* Each clone of a long chain changes one block and knows all earlier changes. */
TEST(chain_of_clones)
{
    enum { LINKS = 200 };
    static MemoryPool *chain[LINKS];
    chain[0] = make(TOTAL, BLOCK, 0);
    fill_block(chain[0], 0, 1);
    for (size_t i = 1; i < LINKS; i++) {
        chain[i] = clone_of(chain[i - 1]);
        fill_block(chain[i], i % BLOCKS, (int)(i % 255) + 1);
    }
    CHECK_EQ_SIZE(stats_of(chain[0]).family_pools, LINKS);
    CHECK_EQ_SIZE(stats_of(chain[0]).family_bytes, LINKS * BLOCK);

    TestRandom random = {test_seed};
    for (size_t left = LINKS; left > 0; left--) {
        size_t gone = test_below(&random, left);
        MemoryPool *pool = chain[gone];
        chain[gone] = chain[left - 1];
        chain[left - 1] = NULL;
        pool_destroy(pool);
        if (left > 1) {
            MemoryPool *any = chain[test_below(&random, left - 1)];
            CHECK_EQ_SIZE(stats_of(any).family_pools, left - 1);
            CHECK_LE_SIZE(stats_of(any).held_bytes, stats_of(any).family_bytes);
            CHECK_LE_SIZE(stats_of(any).shared_blocks, stats_of(any).held_blocks);
        }
    }
}

/* Three relatives, destroyed in each of the six orders. */
TEST(destroy_in_every_order)
{
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (size_t i = 0; i < TEST_COUNT(orders); i++) {
        MemoryPool *pools[3];
        pools[0] = make(TOTAL, BLOCK, 0);
        CHECK_RETURNS(pool_fill(pools[0], 0, 9, 8 * BLOCK), POOL_OK);
        pools[1] = clone_of(pools[0]);
        fill_block(pools[1], 1, 1);
        pools[2] = clone_of(pools[1]);
        fill_block(pools[2], 2, 2);
        for (int k = 0; k < 3; k++) {
            for (int alive = k; alive < 3; alive++) {
                int id = orders[i][alive];
                check_filled(pools[id], 0, 9, BLOCK);
                check_filled(pools[id], BLOCK, id >= 1 ? 1 : 9, BLOCK);
                check_filled(pools[id], 2 * BLOCK, id == 2 ? 2 : 9, BLOCK);
                check_filled(pools[id], 3 * BLOCK, 9, 5 * BLOCK);
                check_filled(pools[id], 8 * BLOCK, 0, TOTAL - 8 * BLOCK);
            }
            pool_destroy(pools[orders[i][k]]);
        }
    }
}

TEST(restore_between_siblings)
{
    MemoryPool *origin = make(TOTAL, BLOCK, 0);
    fill_block(origin, 0, 1);
    MemoryPool *left = clone_of(origin), *right = clone_of(origin);
    fill_block(left, 0, 2);
    fill_block(left, 40, 2);
    fill_block(right, 63, 3);
    check_blocks(origin, 1, 1, 4);

    CHECK_RETURNS(pool_restore(right, left), POOL_OK);
    check_filled(right, 0, 2, BLOCK);
    check_filled(right, 40 * BLOCK, 2, BLOCK);
    check_filled(right, 63 * BLOCK, 0, BLOCK);
    check_blocks(right, 2, 2, 3);
    check_blocks(origin, 1, 0, 3);
    check_run(right, left, 0, 0, 0);

    fill_block(right, 0, 4); /* from is not changed by what comes after */
    check_filled(left, 0, 2, BLOCK);
    CHECK_RETURNS(pool_restore(left, left), POOL_OK);
    check_filled(left, 0, 2, BLOCK);
    check_blocks(left, 2, 1, 4);
    pool_destroy(origin);
    CHECK_RETURNS(pool_restore(left, right), POOL_OK);
    check_filled(left, 0, 4, BLOCK);
    pool_destroy(right);
    check_blocks(left, 2, 0, 2);
    pool_destroy(left);
}

/* What fuzzers do: back to the same state again and again. */
TEST(restore_many_times)
{
    MemoryPool *state = make(TOTAL, BLOCK, 0);
    CHECK_RETURNS(pool_fill(state, 0, 7, TOTAL), POOL_OK);
    MemoryPool *work = clone_of(state);
    for (size_t i = 0; i < 1000; i++) {
        size_t block = i * 7 % BLOCKS;
        CHECK_RETURNS(pool_fill(work, block * BLOCK + 5, (int)i, 11), POOL_OK);
        check_run(work, state, 0, block * BLOCK, BLOCK);
        CHECK_RETURNS(pool_restore(work, state), POOL_OK);
        check_run(work, state, 0, 0, 0);
    }
    check_filled(work, 0, 7, TOTAL);
    check_blocks(work, BLOCKS, BLOCKS, BLOCKS);
    CHECK_EQ_SIZE(stats_of(work).family_peak_bytes, TOTAL + BLOCK);
    pool_destroy(state);
    pool_destroy(work);
}

TEST(unrelated_pools)
{
    MemoryPool *one = make(TOTAL, BLOCK, 0), *other = make(TOTAL, BLOCK, 0);
    size_t start = 3, size = 4;
    fill_block(one, 0, 1);
    CHECK_RETURNS(pool_restore(one, other), POOL_UNRELATED);
    CHECK_EQ_INT(pool_next_change(one, other, 0, SIZE_MAX, &start, &size), -1);
    CHECK_STATUS(POOL_UNRELATED);
    CHECK_EQ_SIZE(start, 3);
    CHECK_EQ_SIZE(size, 4);
    check_filled(one, 0, 1, BLOCK);
    pool_destroy(one);
    pool_destroy(other);
}

/* ------------------------------------------------------- extents and changes */

TEST(extents)
{
    MemoryPool *pool = make(SIZE_MAX, BLOCK, 0);
    const size_t last = SIZE_MAX / BLOCK * BLOCK; /* the last block lacks one byte */
    check_run(pool, NULL, 0, 0, 0);
    CHECK_RETURNS(pool_fill(pool, 3 * BLOCK + 5, 1, 2 * BLOCK), POOL_OK);
    fill_block(pool, 7, 1);
    CHECK_EQ_SIZE(pool_write(pool, SIZE_MAX - 1, "x", 1), 1);

    check_run(pool, NULL, 0, 3 * BLOCK, 3 * BLOCK);
    check_run(pool, NULL, 3 * BLOCK + 7, 3 * BLOCK + 7, 3 * BLOCK - 7);
    check_run(pool, NULL, 6 * BLOCK - 1, 6 * BLOCK - 1, 1);
    check_run(pool, NULL, 6 * BLOCK, 7 * BLOCK, BLOCK);
    check_run(pool, NULL, 8 * BLOCK, last, BLOCK - 1);
    check_run(pool, NULL, SIZE_MAX - 1, SIZE_MAX - 1, 1);
    check_run(pool, NULL, SIZE_MAX, 0, 0);
    CHECK_RETURNS(pool_discard(pool, 4 * BLOCK, BLOCK), POOL_OK);
    check_run(pool, NULL, 0, 3 * BLOCK, BLOCK);
    check_run(pool, NULL, 4 * BLOCK, 5 * BLOCK, BLOCK);
    pool_destroy(pool);

    pool = make(1500, BLOCK, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 1, 1500), POOL_OK);
    check_run(pool, NULL, 0, 0, 1500);
    check_run(pool, NULL, 1500, 0, 0);
    pool_destroy(pool);
}

TEST(changes)
{
    MemoryPool *base = make(SIZE_MAX, BLOCK, 0);
    CHECK_RETURNS(pool_fill(base, 0, 1, 16 * BLOCK), POOL_OK);
    MemoryPool *pool = clone_of(base);
    check_run(pool, base, 0, 0, 0);
    check_run(pool, pool, 0, 0, 0);

    CHECK_EQ_SIZE(pool_write(pool, 2 * BLOCK + 9, "\1", 1), 1);   /* the same byte */
    fill_block(pool, 3, 8);                                       /* written */
    fill_block(base, 4, 8);                                       /* in the base */
    CHECK_RETURNS(pool_discard(pool, 6 * BLOCK, BLOCK), POOL_OK); /* freed */
    fill_block(pool, 20, 8);                                      /* got */
    CHECK_EQ_SIZE(pool_write(base, SIZE_MAX - 1, "x", 1), 1);     /* far off */
    for (int turn = 0; turn < 2; turn++) {
        check_run(pool, base, 0, 2 * BLOCK, 3 * BLOCK);
        check_run(pool, base, 3 * BLOCK + 1, 3 * BLOCK + 1, 2 * BLOCK - 1);
        check_run(pool, base, 5 * BLOCK, 6 * BLOCK, BLOCK);
        check_run(pool, base, 7 * BLOCK, 20 * BLOCK, BLOCK);
        check_run(pool, base, 21 * BLOCK, SIZE_MAX / BLOCK * BLOCK, BLOCK - 1);
        check_run(pool, base, SIZE_MAX - 1, SIZE_MAX - 1, 1);
        check_run(pool, base, SIZE_MAX, 0, 0);
        MemoryPool *swap = pool; /* the question is symmetrical */
        pool = base;
        base = swap;
    }
    pool_destroy(base);
    pool_destroy(pool);
}

/* --------------------------------------------------------------------- limits */

TEST(limit_of_one_pool)
{
    static unsigned char data[5 * BLOCK];
    MemoryPool *pool = make(LARGE_TOTAL, BLOCK, 4 * BLOCK);
    memset(data, 6, sizeof data);
    CHECK_EQ_SIZE(pool_write(pool, 1, data, 4 * BLOCK), 0); /* five blocks */
    CHECK_STATUS(POOL_LIMIT);
    check_blocks(pool, 0, 0, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 1, LARGE_TOTAL), POOL_LIMIT);
    check_blocks(pool, 0, 0, 0);
    CHECK_EQ_SIZE(pool_write(pool, 0, data, 4 * BLOCK), 4 * BLOCK);
    CHECK_EQ_SIZE(pool_write(pool, 3 * BLOCK, data, 1 + BLOCK), 0);
    CHECK_STATUS(POOL_LIMIT);
    check_filled(pool, 0, 6, 4 * BLOCK);
    check_filled(pool, 4 * BLOCK, 0, BLOCK);
    CHECK_EQ_SIZE(pool_write(pool, 0, data, 4 * BLOCK), 4 * BLOCK); /* in place */
    CHECK_RETURNS(pool_discard(pool, BLOCK, BLOCK), POOL_OK);
    CHECK_EQ_SIZE(pool_write(pool, LARGE_TOTAL - 1, data, 1), 1); /* room again */
    check_blocks(pool, 4, 0, 4);
    CHECK_EQ_SIZE(stats_of(pool).family_peak_bytes, 4 * BLOCK);
    CHECK_EQ_SIZE(stats_of(pool).memory_limit, 4 * BLOCK);
    pool_destroy(pool);
}

TEST(limit_below_a_block)
{
    MemoryPool *pool = make(TOTAL, BLOCK, BLOCK - 1);
    CHECK_EQ_SIZE(pool_write(pool, 0, "x", 1), 0);
    CHECK_STATUS(POOL_LIMIT);
    CHECK_RETURNS(pool_fill(pool, 0, 0, TOTAL), POOL_OK);
    check_blocks(pool, 0, 0, 0);
    pool_destroy(pool);
}

TEST(limit_of_a_family)
{
    MemoryPool *origin = make(TOTAL, BLOCK, 3 * BLOCK + 100);
    fill_block(origin, 0, 1);
    fill_block(origin, 1, 1);
    MemoryPool *clone = clone_of(origin);
    check_blocks(clone, 2, 2, 2); /* shared: counts once */
    CHECK_EQ_SIZE(pool_write(clone, 10, "c", 1), 1);
    check_blocks(clone, 2, 1, 3);

    CHECK_EQ_SIZE(pool_write(origin, BLOCK + 10, "o", 1), 0); /* its copy is one more */
    CHECK_STATUS(POOL_LIMIT);
    CHECK_EQ_SIZE(pool_write(clone, BLOCK - 1, "two", 3), 0); /* nor half of it */
    CHECK_STATUS(POOL_LIMIT);
    CHECK_RETURNS(pool_discard(clone, BLOCK, 1), POOL_LIMIT);
    char byte = '?';
    CHECK_EQ_SIZE(pool_take(clone, &byte, BLOCK, 1), 0);
    CHECK_STATUS(POOL_LIMIT);
    CHECK_EQ_INT(byte, '?');
    check_filled(origin, 0, 1, 2 * BLOCK);
    check_filled(clone, BLOCK - 1, 1, 1 + BLOCK);
    check_blocks(clone, 2, 1, 3);
    check_blocks(origin, 2, 1, 3);
    CHECK_EQ_SIZE(stats_of(origin).copied_blocks, 0);
    CHECK_EQ_SIZE(stats_of(clone).copied_blocks, 1);

    MemoryPool *third = clone_of(clone); /* costs no block */
    CHECK_RETURNS(pool_discard(third, 0, TOTAL), POOL_OK);
    pool_destroy(origin);
    check_blocks(clone, 2, 0, 2);
    fill_block(third, 50, 5);
    CHECK_EQ_SIZE(pool_write(third, 0, "x", 1), 0);
    CHECK_STATUS(POOL_LIMIT);
    pool_destroy(clone);
    check_blocks(third, 1, 0, 1);
    CHECK_EQ_SIZE(stats_of(third).family_peak_bytes, 3 * BLOCK);
    pool_destroy(third);
}

/* ---------------------------------------------------------------------- facts */

TEST(stats_fill_what_the_size_covers)
{
    enum { FIELDS = sizeof(PoolStats) / sizeof(size_t) };
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    for (size_t fields = 0; fields <= FIELDS + 2; fields++) {
        size_t raw[FIELDS + 2];
        memset(raw, 0x77, sizeof raw);
        const size_t sentinel = raw[1];
        raw[0] = fields * sizeof(size_t);
        pool_stats(pool, (PoolStats *)(void *)raw);
        CHECK_STATUS(fields < 2 ? POOL_INVALID : POOL_OK);
        CHECK_EQ_SIZE(raw[0], fields * sizeof(size_t));
        for (size_t i = 1; i < FIELDS + 2; i++) {
            int filled = fields >= 2 && i < fields && i < FIELDS;
            CHECK((raw[i] != sentinel) == filled);
        }
    }
    PoolStats stats = {.struct_size = sizeof stats, .total_size = 5};
    pool_stats(NULL, &stats);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_SIZE(stats.total_size, 5);
    pool_stats(pool, NULL);
    CHECK_STATUS(POOL_INVALID);
    pool_destroy(pool);
}

TEST(metadata_is_counted_and_freed)
{
    MemoryPool *pool = make(SIZE_MAX, BLOCK, 0);
    size_t empty = stats_of(pool).metadata_bytes;
    CHECK_LE_SIZE(1, empty);
    CHECK_LE_SIZE(empty, 64 * 1024);
    for (size_t i = 0; i < 100; i++)
        CHECK_EQ_SIZE(pool_write(pool, SIZE_MAX / 100 * i, "x", 1), 1);
    CHECK_LE_SIZE(empty + 1, stats_of(pool).metadata_bytes);
    MemoryPool *clone = clone_of(pool);
    CHECK_RETURNS(pool_discard(pool, 0, SIZE_MAX), POOL_OK);
    pool_destroy(pool);
    CHECK_RETURNS(pool_discard(clone, 0, SIZE_MAX), POOL_OK);
    check_blocks(clone, 0, 0, 0);
    pool_destroy(clone);
}

TEST(trim_releases_cached_memory)
{
    (void)pool_trim(); /* what a chunk in use caches is known roughly only */
    MemoryPool *pool = make(TOTAL, BLOCK, 0), *other = make(TOTAL, BLOCK, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 1, TOTAL), POOL_OK);
    fill_block(other, 0, 2);
    pool_destroy(pool);
    size_t kept = stats_of(other).cached_bytes;
    CHECK_EQ_SIZE(pool_trim(), kept);
    CHECK_STATUS(POOL_OK);
    CHECK_EQ_SIZE(stats_of(other).cached_bytes, 0);
    CHECK_EQ_SIZE(pool_trim(), 0);
    check_filled(other, 0, 2, BLOCK);
    fill_block(other, 1, 3);
    check_filled(other, BLOCK, 3, BLOCK);
    pool_destroy(other);
}

static const struct StatusRow {
    PoolStatus status;
    int number;
    const char *text;
} status_rows[] = {
#define STATUS_ROW(name, number, text) {name, number, text},
    POOL_STATUS_LIST(STATUS_ROW)
#undef STATUS_ROW
};

TEST(status_texts_and_version)
{
    static const int unknown[] = {1, -1, 11, 60, 0x7fffffff};
    for (size_t i = 0; i < TEST_COUNT(status_rows); i++) {
        CHECK_EQ_INT((int)status_rows[i].status, status_rows[i].number);
        CHECK_EQ_TEXT(pool_status_text(status_rows[i].status), status_rows[i].text);
    }
    for (size_t i = 0; i < TEST_COUNT(unknown); i++)
        CHECK_EQ_TEXT(pool_status_text((PoolStatus)unknown[i]), "unknown status");
    CHECK_EQ_SIZE(pool_version(), POOL_VERSION_MAJOR << 16 | POOL_VERSION_MINOR << 8 |
                                      POOL_VERSION_PATCH);

    /* Neither of the two changes the status. */
    CHECK(pool_create(0, 0) == NULL);
    (void)pool_version();
    (void)pool_status_text(POOL_OK);
    CHECK_STATUS(POOL_INVALID);
    pool_destroy(NULL);
    CHECK_STATUS(POOL_OK);
}

static const TestCase cases[] = {
    TEST_CASE(clone_is_independent),
    TEST_CASE(clone_of_an_empty_pool),
    TEST_CASE(chain_of_clones),
    TEST_CASE(destroy_in_every_order),
    TEST_CASE(restore_between_siblings),
    TEST_CASE(restore_many_times),
    TEST_CASE(unrelated_pools),
    TEST_CASE(extents),
    TEST_CASE(changes),
    TEST_CASE(limit_of_one_pool),
    TEST_CASE(limit_below_a_block),
    TEST_CASE(limit_of_a_family),
    TEST_CASE(stats_fill_what_the_size_covers),
    TEST_CASE(metadata_is_counted_and_freed),
    TEST_CASE(trim_releases_cached_memory),
    TEST_CASE(status_texts_and_version),
};
TEST_MAIN(cases)
