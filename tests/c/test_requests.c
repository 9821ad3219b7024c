/* SPDX-License-Identifier: MIT */
/*
 * test_requests.c - calls that need more memory than the system has left
 *
 * What the system has left is replaced, so that nothing large has to be touched.
 */
#include <stddef.h>

static size_t system_left, looks; /* fake available memory, how often it was read */

static size_t look(void)
{
    looks++;
    return system_left;
}
#define POOL_AVAILABLE() look()

#include "internal.h"
#include "pools.h"

#define MIB ((size_t)1 << 20)
#define LARGE ((size_t)REQUEST_LARGE)
#define TOTAL (SIZE_MAX / 2)

static MemoryPool *make_with(size_t block_size, size_t limit, size_t flags)
{
    PoolOptions options = {sizeof options, TOTAL, block_size, limit, flags};
    MemoryPool *pool = pool_create_with(&options);
    CHECK(pool != NULL);
    return pool;
}

/* Nothing came of a call: as many blocks as before, and what was written reads so. */
static void check_unchanged(MemoryPool *pool, size_t blocks, int byte)
{
    PoolStats stats = stats_of(pool);
    CHECK_EQ_SIZE(stats.held_blocks, blocks);
    CHECK_EQ_SIZE(stats.family_bytes, blocks * stats.block_size);
    if (blocks > 0)
        check_filled(pool, 0, byte, 100);
}

/* Whole ranges: refused by a byte, and not by the one before. */
TEST(fills_and_writes)
{
    MemoryPool *pool = make_with(4096, 0, 0);
    unsigned char *bytes = test_alloc(LARGE);
    memset(bytes, 5, LARGE);
    system_left = 16 * MIB;
    looks = 0;
    CHECK_RETURNS(pool_fill(pool, 0, 1, TOTAL), POOL_NO_MEMORY);
    CHECK_RETURNS(pool_fill(pool, 100, 1, LARGE), POOL_NO_MEMORY);
    CHECK_EQ_SIZE(pool_write(pool, 0, bytes, LARGE), 0);
    CHECK_STATUS(POOL_NO_MEMORY);
    CHECK_EQ_SIZE(looks, 3);
    CHECK_EQ_SIZE(stats_of(pool).family_peak_bytes, 0);
    check_unchanged(pool, 0, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 1, 20 * MIB), POOL_OK); /* not large */
    CHECK_EQ_SIZE(looks, 3);
    system_left = LARGE + LARGE / 8;
    CHECK_EQ_SIZE(pool_write(pool, 0, bytes, LARGE), LARGE);
    CHECK_RETURNS(pool_fill(pool, 0, 1, TOTAL), POOL_NO_MEMORY);
    system_left = 0; /* what is there already takes none */
    CHECK_EQ_SIZE(pool_write(pool, 0, bytes, LARGE), LARGE);
    CHECK_RETURNS(pool_fill(pool, 0, 6, LARGE), POOL_OK);
    check_unchanged(pool, LARGE / 4096, 6);
    free(bytes);
    pool_destroy(pool);
    check_nothing_live();
}

/* Blocks of a byte take 16, and a header. */
TEST(small_blocks_take_more_than_they_hold)
{
    MemoryPool *pool = make_with(1, 0, 0);
    system_left = 16 * MIB;
    CHECK_RETURNS(pool_fill(pool, 0, 1, 8 * MIB), POOL_NO_MEMORY);
    check_unchanged(pool, 0, 0);
    pool_destroy(pool);
    check_nothing_live();
}

/* A limit is checked first; with POOL_OVERCOMMIT the available memory is not read. */
TEST(limits_and_overcommitment)
{
    MemoryPool *limited = make_with(4096, 100 * 4096, 0);
    MemoryPool *bold = make_with(4096, 0, POOL_OVERCOMMIT);
    system_left = 0;
    CHECK_RETURNS(pool_fill(limited, 0, 1, TOTAL), POOL_LIMIT);
    check_unchanged(limited, 0, 0);
    CHECK_EQ_SIZE(stats_of(limited).flags, 0);
    looks = 0;
    CHECK_RETURNS(pool_fill(bold, 0, 1, 2 * LARGE), POOL_OK);
    CHECK_EQ_SIZE(looks, 0);
    CHECK_EQ_SIZE(stats_of(bold).flags, POOL_OVERCOMMIT);
    pool_destroy(limited);
    pool_destroy(bold);
    check_nothing_live();
}

/* Cached memory counts as available: it is reused, or released. */
TEST(cached_memory_counts_as_available)
{
    MemoryPool *pool = make_with(4096, 0, 0);
    system_left = SIZE_MAX;
    (void)chunk_cache_reserve(0);
    chunk_cache.bound = 4 * LARGE;
    CHECK_RETURNS(pool_fill(pool, 0, 1, 2 * LARGE), POOL_OK);
    CHECK_RETURNS(pool_discard(pool, 0, 2 * LARGE), POOL_OK);
    system_left = 0;
    CHECK_RETURNS(pool_fill(pool, 0, 2, LARGE), POOL_OK);
    (void)pool_trim();
    CHECK_RETURNS(pool_fill(pool, 4 * LARGE, 2, LARGE), POOL_NO_MEMORY);
    check_unchanged(pool, LARGE / 4096, 2);
    chunk_cache.bound = 0;
    pool_destroy(pool);
    check_nothing_live();
}

/* In large blocks a few bytes are a few bytes, whatever the blocks count as. */
TEST(sparse_blocks)
{
    enum { ITEMS = 3 };
    size_t block = 4 * LARGE;
    uint64_t was;
    MemoryPool *pool = make_with(block, 0, 0), *other = make_with(block, 0, 0);
    PoolView pin = {.struct_size = sizeof pin};
    size_t offsets[ITEMS] = {2 * block + 8, 3 * block + 8, 2 * block};
    unsigned char bytes[ITEMS * 8] = {1, 2, 3};
    system_left = 0;
    looks = 0;
    CHECK_EQ_SIZE(pool_write(pool, 5, bytes, 8), 8);
    CHECK_RETURNS(pool_fill(pool, block - 4, 1, 8), POOL_OK);
    CHECK_RETURNS(pool_scatter(pool, offsets, bytes, ITEMS, 8), POOL_OK);
    CHECK_RETURNS(pool_pin(pool, 4 * block, block, &pin), POOL_OK);
    CHECK_RETURNS(pool_fetch_add(pool, 5 * block, 8, 1, &was), POOL_OK);
    CHECK_RETURNS(pool_copy(other, 100, pool, 2 * block, 8), POOL_OK);
    CHECK_RETURNS(pool_adopt(pool, 6 * block + 1, bytes, sizeof bytes, NULL, NULL),
                  POOL_OK);
    CHECK_EQ_SIZE(looks, 0);
    CHECK_EQ_SIZE(stats_of(pool).held_blocks, 7);
    pool_view_release(&pin);
    pool_destroy(pool);
    pool_destroy(other);
    check_nothing_live();
}

/* Every call that would copy a large block says no, and nothing has changed. */
TEST(copies_of_large_blocks)
{
    size_t block = 2 * LARGE, offset = 8;
    MemoryPool *pool = make_with(block, 0, 0), *other = make_with(block, 0, 0);
    PoolView pin = {.struct_size = sizeof pin}, view = pin;
    uint64_t was = 77;
    system_left = 0;
    CHECK_RETURNS(pool_fill(pool, 0, 3, 200), POOL_OK);
    CHECK_RETURNS(pool_copy(other, 0, pool, 0, block), POOL_NO_MEMORY);
    CHECK_RETURNS(pool_copy(other, block / 2, pool, 0, block), POOL_NO_MEMORY);
    check_unchanged(other, 0, 0);

    MemoryPool *clone = pool_clone(pool);
    CHECK(clone != NULL); /* shares it */
    CHECK_EQ_SIZE(pool_write(clone, 5, "x", 1), 0);
    CHECK_STATUS(POOL_NO_MEMORY);
    CHECK_RETURNS(pool_fill(clone, 5, 1, 1), POOL_NO_MEMORY);
    CHECK_RETURNS(pool_scatter(clone, &offset, "y", 1, 1), POOL_NO_MEMORY);
    CHECK_RETURNS(pool_fetch_add(clone, 0, 8, 1, &was), POOL_NO_MEMORY);
    CHECK(was == 77);
    CHECK_RETURNS(pool_discard(clone, 0, 100), POOL_NO_MEMORY);
    CHECK_EQ_SIZE(pool_take(clone, &was, 0, 8), 0);
    CHECK_STATUS(POOL_NO_MEMORY);
    CHECK(was == 77);
    CHECK_RETURNS(pool_resize(clone, 100), POOL_NO_MEMORY);
    CHECK_RETURNS(pool_pin(clone, 0, 1, &pin), POOL_NO_MEMORY);
    CHECK_RETURNS(pool_copy(clone, 50, other, 50, 100), POOL_NO_MEMORY);
    CHECK_RETURNS(pool_adopt(clone, 1, &was, 8, NULL, NULL), POOL_NO_MEMORY);
    check_unchanged(clone, 1, 3);
    check_unchanged(pool, 1, 3);

    system_left = SIZE_MAX;
    MemoryPool *before = pool_clone(pool);
    CHECK_RETURNS(pool_restore(clone, other), POOL_UNRELATED);
    pool_destroy(clone);
    pool_destroy(before);
    CHECK_RETURNS(pool_pin(pool, 0, 1, &pin), POOL_OK); /* the only owner */
    system_left = 0;
    CHECK(pool_clone(pool) == NULL);
    CHECK_STATUS(POOL_NO_MEMORY);
    CHECK_RETURNS(pool_view(pool, 0, 1, &view), POOL_NO_MEMORY);
    check_unchanged(pool, 1, 3);
    pool_view_release(&pin);
    pool_destroy(pool);
    pool_destroy(other);
    check_nothing_live();
}

/* A pool that is restored from one with pins gets copies of what they hold. */
TEST(restores_with_pins)
{
    size_t block = LARGE;
    MemoryPool *pool = make_with(block, 0, 0), *clone = pool_clone(pool);
    PoolView pin = {.struct_size = sizeof pin};
    system_left = SIZE_MAX; /* for AddressSanitizer the block is moved, as a copy */
    CHECK_RETURNS(pool_fill(pool, 0, 3, 200), POOL_OK);
    CHECK_RETURNS(pool_pin(pool, 0, 1, &pin), POOL_OK);
    system_left = 0;
    CHECK_RETURNS(pool_restore(clone, pool), POOL_NO_MEMORY);
    CHECK_EQ_SIZE(stats_of(clone).held_blocks, 0);
    check_unchanged(pool, 1, 3);
    pool_view_release(&pin);
    CHECK_RETURNS(pool_restore(clone, pool), POOL_OK);
    pool_destroy(pool);
    pool_destroy(clone);
    check_nothing_live();
}

static void given_back(void *data, size_t size, void *context)
{
    (void)data, (void)size, (void)context;
    CHECK(0); /* the memory stays the caller's */
}

/* Adopted memory exists already, but each block of it takes a header. */
TEST(adoptions_of_many_blocks)
{
    size_t size = LARGE / sizeof(Adoptee) + 1;
    MemoryPool *pool = make_with(1, 0, 0);
    unsigned char *bytes = test_alloc(size);
    system_left = LARGE - 1;
    CHECK_RETURNS(pool_adopt(pool, 0, bytes, size, given_back, NULL), POOL_NO_MEMORY);
    check_unchanged(pool, 0, 0);
    free(bytes);
    pool_destroy(pool);
    check_nothing_live();
}

/* As it is: what no machine has is refused, and the process lives. */
TEST(what_no_machine_has)
{
    MemoryPool *pool = make(SIZE_MAX, 4096, 0);
    system_left = platform_available();
    if (system_left == SIZE_MAX)
        test_skip("this system does not say how much memory it has left");
    else
        CHECK_RETURNS(pool_fill(pool, 0, 255, SIZE_MAX), POOL_NO_MEMORY);
    check_unchanged(pool, 0, 0);
    pool_destroy(pool);
    check_nothing_live();
}

static const TestCase cases[] = {
    TEST_CASE(fills_and_writes),
    TEST_CASE(small_blocks_take_more_than_they_hold),
    TEST_CASE(limits_and_overcommitment),
    TEST_CASE(cached_memory_counts_as_available),
    TEST_CASE(sparse_blocks),
    TEST_CASE(copies_of_large_blocks),
    TEST_CASE(restores_with_pins),
    TEST_CASE(adoptions_of_many_blocks),
    TEST_CASE(what_no_machine_has),
};
TEST_MAIN(cases)
