/* SPDX-License-Identifier: MIT */
/*
 * test_huge.c - huge pages: which chunks may have them, and when no longer
 *
 * The advice that the library gives to the system is recorded. What the system makes of it
 * is in /proc/self/smaps, and differs from machine to machine: a mapping of the test's own
 * shows what can be had.
 */
#if !defined(_DEFAULT_SOURCE)
#  define _DEFAULT_SOURCE 1
#endif
#include <string.h>
#include <sys/mman.h>

typedef struct Advice {
    void *pages;
    size_t size;
    int huge; /* or not huge */
} Advice;

enum { GIVEN_MAX = 1024 };
static Advice given[GIVEN_MAX];
static size_t advised; /* how many there were, since a pool was made */

#if defined(MADV_HUGEPAGE)
static int recorded_madvise(void *pages, size_t size, int advice)
{
    if ((advice == MADV_HUGEPAGE || advice == MADV_NOHUGEPAGE) && advised < GIVEN_MAX)
        given[advised++] = (Advice){pages, size, advice == MADV_HUGEPAGE};
    return madvise(pages, size, advice);
}
#  define madvise(pages, size, advice) recorded_madvise(pages, size, advice)
#endif

#include "internal.h"
#include "pools.h"

#undef madvise

#define MIB ((size_t)1 << 20)
#define BLOCK ((size_t)4096)
#define HUGE ((size_t)PLATFORM_HUGE_SIZE)
#define SPACE_SIZE (64 * MIB)

static MemoryPool *make_huge(size_t total_size, size_t block_size, size_t flags)
{
    PoolOptions options = {.struct_size = sizeof options,
                           .total_size = total_size,
                           .max_block_size = block_size,
                           .flags = POOL_HUGE | flags};
    MemoryPool *pool = pool_create_with(&options);
    CHECK(pool != NULL);
    advised = 0;
    return pool;
}

static void end_pool(MemoryPool *pool)
{
    pool_destroy(pool);
    check_nothing_live();
}

static void *pages_of(Chunk *chunk)
{
    return chunk->aligned != 0 ? (void *)chunk : (void *)chunk->base;
}

/* How many chunks of a family may have huge pages; all of them are aligned. */
static size_t huge_chunks(MemoryPool *pool)
{
    size_t count = 0;
    for (Chunk *chunk = pool->family->arena.newest; chunk != NULL; chunk = chunk->older) {
        CHECK(!chunk->huge ||
              ((uintptr_t)pages_of(chunk) % HUGE == 0 && chunk_pages(chunk) % HUGE == 0));
        CHECK(!chunk->huge || (!chunk->run && chunk->item_size <= BLOCK));
        CHECK(chunk->huge || !chunk->split);
        count += chunk->huge;
    }
    return count;
}

static size_t count_given(int huge)
{
    size_t count = 0;
    for (size_t i = 0; i < advised; i++)
        count += given[i].huge == huge;
    return count;
}

/* Whether the system has such advice at all; musl and others than Linux may lack it. */
static bool can_advise(void)
{
#if defined(MADV_HUGEPAGE)
    return true;
#else
    test_skip("this system has no such advice");
    return false;
#endif
}

/* ---------------------------------------------------------------------- which chunks */

TEST(the_flag_is_of_the_family)
{
    MemoryPool *pool = make_huge(SPACE_SIZE, BLOCK, POOL_WIPE), *clone = pool_clone(pool);
    CHECK_EQ_SIZE(stats_of(pool).flags, POOL_HUGE | POOL_WIPE);
    CHECK_EQ_SIZE(stats_of(clone).flags, POOL_HUGE | POOL_WIPE);
    pool_destroy(clone);
    end_pool(pool);
    pool = make(SPACE_SIZE, BLOCK, 0);
    CHECK_EQ_SIZE(stats_of(pool).flags, 0);
    end_pool(pool);
}

TEST(large_chunks_of_small_blocks_have_them)
{
    static const size_t blocks[] = {512, 1024, 4096};
    for (size_t i = 0; can_advise() && i < TEST_COUNT(blocks); i++) {
        MemoryPool *pool = make_huge(SPACE_SIZE, blocks[i], 0);
        CHECK_RETURNS(pool_fill(pool, 0, 1, MIB), POOL_OK);
        CHECK_EQ_SIZE(advised, 0); /* a small family stays small */
        CHECK_EQ_SIZE(huge_chunks(pool), 0);
        CHECK_RETURNS(pool_fill(pool, 0, 1, 32 * MIB), POOL_OK);
        CHECK_EQ_SIZE(count_given(1), huge_chunks(pool));
        CHECK_EQ_SIZE(count_given(0), 0);
        CHECK(huge_chunks(pool) >= (blocks[i] == 512 ? 14 : 7));
        check_filled(pool, 0, 1, 32 * MIB);
        end_pool(pool);
    }
}

TEST(other_chunks_have_none)
{
    static const size_t blocks[] = {64, 256, 8192, 65536, 4 << 20};
    PoolView pin = {.struct_size = sizeof pin};
    MemoryPool *pool;
    for (size_t i = 0; i < TEST_COUNT(blocks); i++) {
        pool = make_huge(SPACE_SIZE, blocks[i], 0);
        CHECK_RETURNS(pool_fill(pool, 0, 1, 16 * MIB), POOL_OK);
        CHECK_EQ_SIZE(huge_chunks(pool), 0);
        CHECK_EQ_SIZE(count_given(1), 0);
        end_pool(pool);
    }
    pool = make_huge(SPACE_SIZE, BLOCK, 0); /* pages whose writes are tracked */
    CHECK_RETURNS(pool_pin(pool, 0, 16 * MIB, &pin), POOL_OK);
    memset(pin.data, 1, pin.size);
    CHECK_EQ_SIZE(huge_chunks(pool), 0);
    CHECK_EQ_SIZE(count_given(1), 0);
    pool_view_release(&pin);
    end_pool(pool);
    pool = make(SPACE_SIZE, BLOCK, 0); /* without the flag */
    advised = 0;
    CHECK_RETURNS(pool_fill(pool, 0, 1, 32 * MIB), POOL_OK);
    CHECK_EQ_SIZE(huge_chunks(pool), 0);
    CHECK_EQ_SIZE(advised, 0);
    end_pool(pool);
}

/* ------------------------------------------------------------------------ decommitted */

static size_t split_chunks(MemoryPool *pool)
{
    size_t count = 0;
    for (Chunk *chunk = pool->family->arena.newest; chunk != NULL; chunk = chunk->older)
        count += chunk->split;
    return count;
}

/* Each chunk is advised once, as a whole, however often parts of it are decommitted. */
TEST(chunks_that_are_trimmed_have_none_until_they_are_empty)
{
    MemoryPool *pool = make_huge(SPACE_SIZE, BLOCK, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 1, 32 * MIB), POOL_OK);
    size_t chunks = huge_chunks(pool);
    advised = 0;
    if (!can_advise()) {
        end_pool(pool);
        return;
    }
    for (size_t part = 1; part < 4; part++) { /* the last chunk has few blocks */
        for (size_t at = part * BLOCK; at < 32 * MIB; at += 8 * BLOCK)
            CHECK_RETURNS(pool_discard(pool, at, BLOCK), POOL_OK);
        CHECK_LE_SIZE(32 * MIB / 8, pool_trim());
        CHECK_EQ_SIZE(split_chunks(pool), chunks);
        CHECK_EQ_SIZE(count_given(0), chunks);
        CHECK_EQ_SIZE(count_given(1), 0);
    }
    for (size_t i = 0; i < advised; i++)
        CHECK(given[i].size >= HUGE && (uintptr_t)given[i].pages % HUGE == 0);
    check_filled(pool, 0, 1, BLOCK);
    check_filled(pool, BLOCK, 0, 3 * BLOCK);
    check_filled(pool, 4 * BLOCK, 1, 5 * BLOCK);
    CHECK_RETURNS(pool_fill(pool, BLOCK, 2, BLOCK),
                  POOL_OK); /* used again, still split */
    check_filled(pool, BLOCK, 2, BLOCK);
    CHECK_EQ_SIZE(count_given(1), 0);
    CHECK_RETURNS(pool_discard(pool, 0, 32 * MIB), POOL_OK);
    (void)pool_trim();
    CHECK_EQ_SIZE(split_chunks(pool), 0);
    CHECK_EQ_SIZE(count_given(1), chunks);
    CHECK_RETURNS(pool_fill(pool, 0, 3, 32 * MIB), POOL_OK);
    check_filled(pool, 0, 3, 32 * MIB);
    CHECK_EQ_SIZE(count_given(0), chunks);
    end_pool(pool);
}

/* --------------------------------------------------------------------- from the cache */

static bool is_advised(const void *pages, int huge)
{
    for (size_t i = advised; i-- > 0;)
        if (given[i].pages == pages)
            return given[i].huge == huge;
    return false;
}

/* What is cached by a family with them is for such families only, and is advised again:
 * it may have been split. */
TEST(the_chunk_cache_keeps_them_apart)
{
    if (!can_advise())
        return;
    chunk_cache.bound = SPACE_SIZE;
    MemoryPool *pool = make_huge(SPACE_SIZE, BLOCK, 0), *plain;
    CHECK_RETURNS(pool_fill(pool, 0, 1, 16 * MIB), POOL_OK);
    size_t chunks = huge_chunks(pool);
    for (size_t at = 0; at < 16 * MIB; at += 64 * BLOCK)
        CHECK_RETURNS(pool_discard(pool, at, BLOCK), POOL_OK);
    (void)pool_trim();
    CHECK_LE_SIZE(chunks - 1, split_chunks(pool)); /* the last one may be nearly empty */
    pool_destroy(pool); /* all of its blocks are freed, and cached */
    size_t cached = chunk_cache_bytes();
    CHECK_LE_SIZE(4 * MIB, cached);

    plain = make(SPACE_SIZE, BLOCK, 0);
    advised = 0;
    CHECK_RETURNS(pool_fill(plain, 0, 5, 16 * MIB), POOL_OK);
    CHECK_EQ_SIZE(advised, 0);
    CHECK_LE_SIZE(4 * MIB, chunk_cache_bytes()); /* still there */
    check_filled(plain, 0, 5, 16 * MIB);
    pool_destroy(plain);

    pool = make_huge(SPACE_SIZE, BLOCK, 0);
    size_t left = chunk_cache_bytes();
    CHECK_RETURNS(pool_fill(pool, 0, 1, 16 * MIB), POOL_OK);
    CHECK(chunk_cache_bytes() < left);
    for (Chunk *chunk = pool->family->arena.newest; chunk != NULL; chunk = chunk->older)
        CHECK(!chunk->huge || (!chunk->split && is_advised(pages_of(chunk), 1)));
    check_filled(pool, 0, 1, 16 * MIB);
    check_filled(pool, 16 * MIB, 0, 16 * MIB);
    pool_destroy(pool);
    chunk_cache.bound = 0;
    check_nothing_live();
}

/* ------------------------------------------------------------------ what the system does */

/* Bytes in huge pages of all mappings with a byte of [at, at + size). */
static size_t huge_bytes(const void *at, size_t size)
{
    char line[256];
    uintptr_t from = (uintptr_t)at, start = 0, end = 0;
    size_t sum = 0, kib;
    FILE *file = fopen("/proc/self/smaps", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        unsigned long first, last;
        if (sscanf(line, "%lx-%lx ", &first, &last) == 2) {
            start = first;
            end = last;
        } else if (sscanf(line, "AnonHugePages: %zu kB", &kib) == 1 &&
                   start < from + size && end > from) {
            sum += kib * 1024;
        }
    }
    if (file != NULL)
        fclose(file);
    return sum;
}

/* The most of that for a chunk of a pool; adjacent chunks are one mapping. */
static size_t huge_bytes_of(MemoryPool *pool)
{
    size_t most = 0;
    for (Chunk *chunk = pool->family->arena.newest; chunk != NULL; chunk = chunk->older) {
        size_t bytes = chunk->huge ? huge_bytes(chunk->base, chunk->size) : 0;
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* Whether memory that is mapped, advised and written as chunks are gets huge pages. */
static bool system_has_huge_pages(void)
{
    unsigned char *pages = platform_map(2 * HUGE, PLATFORM_HUGE);
    bool has;
    CHECK(pages != NULL);
    platform_huge(pages, 2 * HUGE, true);
    memset(pages, 1, 2 * HUGE);
    has = huge_bytes(pages, 2 * HUGE) == 2 * HUGE;
    platform_unmap(pages, 2 * HUGE);
    return has;
}

TEST(the_system_uses_them)
{
    if (!system_has_huge_pages()) {
        test_skip("the system has no huge pages to give");
        return;
    }
    MemoryPool *pool = make_huge(SPACE_SIZE, BLOCK, 0);
    for (size_t at = 0; at < 32 * MIB; at += BLOCK) /* one by one, as programs do */
        CHECK_EQ_SIZE(pool_write(pool, at, "x", 1), 1);
    CHECK_LE_SIZE(HUGE, huge_bytes_of(pool));
    /* Without every second block there is none left, and there will be none. */
    for (size_t at = 0; at < 32 * MIB; at += 2 * BLOCK)
        CHECK_RETURNS(pool_discard(pool, at, BLOCK), POOL_OK);
    CHECK_LE_SIZE(15 * MIB, pool_trim());
    CHECK_EQ_SIZE(huge_bytes_of(pool), 0);
    CHECK_RETURNS(pool_fill(pool, 0, 7, 32 * MIB), POOL_OK);
    CHECK_EQ_SIZE(huge_bytes_of(pool), 0);
    end_pool(pool);
}

/* Each allocation fails once. Fewer bytes than a large request, so that pages come and go. */
TEST(a_call_without_memory_changes_nothing)
{
    MemoryPool *pool = make_huge(SPACE_SIZE, BLOCK, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 1, 4 * MIB), POOL_OK);
    PoolStatus status = POOL_NO_MEMORY;
    size_t failed = 0, maps = live_maps;
    for (; status == POOL_NO_MEMORY; failed++) {
        fault_in = failed + 1;
        status = pool_fill(pool, 0, 2, 16 * MIB);
        fault_in = 0;
        if (status == POOL_NO_MEMORY) {
            (void)chunk_cache_trim();
            CHECK_LE_SIZE(live_maps, maps + MIB); /* of nodes */
            check_filled(pool, 0, 1, 4 * MIB);
            check_filled(pool, 4 * MIB, 0, MIB);
        }
    }
    CHECK_RETURNS(status, POOL_OK);
    CHECK_LE_SIZE(4, failed);
    check_filled(pool, 0, 2, 16 * MIB);
    end_pool(pool);
}

static const TestCase cases[] = {
    TEST_CASE(the_flag_is_of_the_family),
    TEST_CASE(large_chunks_of_small_blocks_have_them),
    TEST_CASE(other_chunks_have_none),
    TEST_CASE(chunks_that_are_trimmed_have_none_until_they_are_empty),
    TEST_CASE(the_chunk_cache_keeps_them_apart),
    TEST_CASE(a_call_without_memory_changes_nothing),
    TEST_CASE(the_system_uses_them),
};
TEST_MAIN(cases)
