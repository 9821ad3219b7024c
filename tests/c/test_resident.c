/* SPDX-License-Identifier: MIT */
/*
 * test_resident.c - what a process has resident beside what its pools hold
 *
 * Random mixes of calls, over blocks from one byte to 4 MiB: after pool_trim no more may
 * be resident than the blocks that are held, a tenth of that, and 64 MiB. What the system
 * says is read from /proc/self/statm.
 */
#include "internal.h"
#include "pools.h"

#if !defined(_WIN32)
#  include <unistd.h>
#endif

enum { MIB = 1 << 20, POOLS = 4, CALLS = 300, SLACK = 64 * MIB };

/* Bytes resident; 0 if the system does not say. */
static size_t resident(void)
{
    size_t pages = 0;
#if defined(__linux__)
    FILE *file = fopen("/proc/self/statm", "r");
    if (file != NULL) {
        if (fscanf(file, "%*s %zu", &pages) != 1)
            pages = 0;
        fclose(file);
        pages *= (size_t)sysconf(_SC_PAGESIZE);
    }
#endif
    return pages;
}

/* Whether the figures mean something here; says so if not. */
static bool can_measure(void)
{
#if defined(TEST_TSAN)
    test_skip("the memory of ThreadSanitizer counts as well");
    return false;
#else
    if (resident() == 0)
        test_skip("no /proc/self/statm");
    return resident() != 0;
#endif
}

static size_t before; /* resident, when a mix began */

/* kept: bytes that may be cached. Many small blocks take more memory than they hold. */
static void check_resident(MemoryPool *pool, size_t kept)
{
    PoolStats stats = stats_of(pool);
    size_t held = stats.family_bytes, now = resident();
    if (stats.block_size < 64)
        held = held / stats.block_size * 64;
    CHECK_LE_SIZE(now, before + held + held / 10 + kept + SLACK);
}

/* The most bytes that a mix holds, so that the worst of it would show: bookkeeping and
 * what small blocks are spread out to count as well. */
static size_t budget(size_t block_size)
{
    if (block_size < 64)
        return block_size < 16 ? 3 * MIB : 48 * MIB;
    return 256 * MIB;
}

typedef struct Mix {
    MemoryPool *pools[POOLS];
    size_t total, longest;
    TestRandom random;
    unsigned char *bytes;
} Mix;

static size_t mix_size(Mix *mix)
{
    size_t longest = test_below(&mix->random, 3) == 0 ? 100 : mix->longest;
    return test_below(&mix->random, longest) + 1;
}

/* Makes a random call that allocates or frees memory. */
static void mix_call(Mix *mix)
{
    MemoryPool **pool = &mix->pools[test_below(&mix->random, POOLS)];
    MemoryPool *other = mix->pools[0];
    size_t size = mix_size(mix);
    size_t at = test_below(&mix->random, mix->total - size);
    switch (test_below(&mix->random, 10)) {
    case 0:
    case 1:
    case 2:
        if (*pool != NULL)
            CHECK_EQ_SIZE(pool_write(*pool, at, mix->bytes, size), size);
        break;
    case 3:
        if (*pool != NULL)
            CHECK_RETURNS(pool_fill(*pool, at, 7, size), POOL_OK);
        break;
    case 4:
    case 5:
    case 6:
        if (*pool != NULL) /* longer than what was written, so that little stays */
            CHECK_RETURNS(
                pool_discard(*pool, at,
                             mix->total - at < 3 * size ? mix->total - at : 3 * size),
                POOL_OK);
        break;
    case 7:
        if (*pool == NULL)
            *pool = pool_clone(other);
        CHECK(*pool != NULL);
        break;
    case 8:
        if (*pool != other) {
            pool_destroy(*pool);
            *pool = NULL;
        }
        break;
    default:
        if (*pool != NULL)
            CHECK_RETURNS(pool_copy(other, at, *pool, mix->total - at - size, size),
                          POOL_OK);
    }
}

static void mix_run(size_t block_size, size_t flags, size_t bound, bool trims)
{
    PoolOptions options = {.struct_size = sizeof options, .flags = flags};
    Mix mix = {.total = budget(block_size), .random = {test_seed + block_size}};
    (void)chunk_cache_trim();
    chunk_cache.bound = bound;
    before = resident();
    options.total_size = mix.total;
    options.max_block_size = block_size;
    mix.longest = mix.total / 32;
    mix.bytes = test_alloc(mix.longest);
    memset(mix.bytes, 0x55, mix.longest);
    mix.pools[0] = pool_create_with(&options);
    CHECK_RETURNS(pool_fill(mix.pools[0], 0, 9, mix.total), POOL_OK);
    for (unsigned i = 0; i < test_times(CALLS); i++) {
        mix_call(&mix);
        if (i % 100 == 0 && trims) {
            (void)pool_trim();
            check_resident(mix.pools[0], 0);
        }
    }
    for (size_t i = 1; i < POOLS; i++)
        pool_destroy(mix.pools[i]);
    free(mix.bytes);
    /* One place in 32 stays, of a block or a little more. */
    for (size_t at = 0; at < mix.total; at += mix.longest)
        CHECK_RETURNS(pool_discard(mix.pools[0], at + 100, mix.longest - 100), POOL_OK);
    if (trims)
        (void)pool_trim();
    check_resident(mix.pools[0], trims ? 0 : bound);
    pool_destroy(mix.pools[0]);
    chunk_cache.bound = 0;
    check_nothing_live();
}

static const size_t sizes[] = {1, 16, 256, 4096, 65536, 4 * MIB};

TEST(after_a_trim)
{
    for (size_t i = 0; can_measure() && i < TEST_COUNT(sizes); i++)
        mix_run(sizes[i], i % 2 == 0 ? 0 : POOL_WIPE, 0, true);
}

/* With huge pages, of which parts are decommitted. */
TEST(after_a_trim_of_huge_pages)
{
    for (size_t block = 512; can_measure() && block <= 4096; block *= 8)
        mix_run(block, POOL_HUGE, 0, true);
}

/* Without a trim, if little may be cached. */
TEST(beyond_the_bound)
{
    for (size_t i = 0; can_measure() && i < TEST_COUNT(sizes); i++)
        mix_run(sizes[i], i % 2 == 0 ? POOL_WIPE : 0, 4 * MIB, false);
}

/* Frees every second block, so that no two free ones are adjacent. */
TEST(every_second_page)
{
    if (!can_measure())
        return;
    before = resident();
    size_t page = platform_page_size(), total = 192 * MIB;
    MemoryPool *pool = make(total, page, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 1, total), POOL_OK);
    for (size_t at = 0; at < total; at += 2 * page)
        CHECK_RETURNS(pool_discard(pool, at, page), POOL_OK);
    CHECK_LE_SIZE(total / 4, pool_trim());
    CHECK_LE_SIZE(resident(), before + total / 2 + total / 20 + 4 * MIB);
    check_filled(pool, page, 1, page);
    pool_destroy(pool);
    check_nothing_live();
}

/* A chunk out of the chunk cache has pages behind the blocks that are in use. */
TEST(chunks_from_the_cache)
{
    if (!can_measure())
        return;
    before = resident();
    MemoryPool *pool = make(128 * MIB, 4096, 0), *small[8];
    CHECK_RETURNS(pool_fill(pool, 0, 1, 128 * MIB), POOL_OK);
    pool_destroy(pool);
    for (size_t i = 0; i < TEST_COUNT(small); i++) {
        small[i] = make(16 * MIB, 4096, 0); /* the first block of a chunk of 4 MiB */
        CHECK_RETURNS(pool_fill(small[i], 0, 2, 4 * MIB + 4096), POOL_OK);
    }
    (void)pool_trim();
    CHECK_LE_SIZE(resident(), before + TEST_COUNT(small) * 4 * MIB + 8 * MIB);
    CHECK_EQ_SIZE(chunk_cache_bytes(), 0);
    for (size_t i = 0; i < TEST_COUNT(small); i++) {
        check_filled(small[i], 0, 2, 4 * MIB + 4096);
        CHECK_RETURNS(pool_fill(small[i], 5 * MIB + 1, 3, 65536), POOL_OK);
        check_filled(small[i], 5 * MIB, 0, 1);
        check_filled(small[i], 5 * MIB + 65537, 0, 65536);
        pool_destroy(small[i]);
    }
    check_nothing_live();
}

/* 3 MiB in blocks of a byte have 120 MiB of bookkeeping; all but one block is discarded.
 * */
TEST(bookkeeping_is_decommitted)
{
    if (!can_measure())
        return;
    before = resident();
    MemoryPool *pool = make(3 * MIB, 1, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 1, 3 * MIB), POOL_OK);
    size_t metadata = stats_of(pool).metadata_bytes;
    CHECK_RETURNS(pool_discard(pool, 1, 3 * MIB - 1), POOL_OK);
    (void)pool_trim();
    CHECK_LE_SIZE(resident(), before + 10 * MIB);
    CHECK_LE_SIZE(stats_of(pool).metadata_bytes, metadata / 20);
    CHECK_RETURNS(pool_fill(pool, 0, 2, 3 * MIB), POOL_OK);
    CHECK_LE_SIZE(stats_of(pool).metadata_bytes, metadata + metadata / 20);
    check_filled(pool, 0, 2, 3 * MIB);
    pool_destroy(pool);
    check_nothing_live();
}

static const TestCase cases[] = {
    TEST_CASE(after_a_trim),          TEST_CASE(after_a_trim_of_huge_pages),
    TEST_CASE(beyond_the_bound),      TEST_CASE(every_second_page),
    TEST_CASE(chunks_from_the_cache), TEST_CASE(bookkeeping_is_decommitted),
};
TEST_MAIN(cases)
