/* SPDX-License-Identifier: MIT */
/*
 * test_address_space.c - a process whose address space is limited, as by `ulimit -v`
 *
 * Here it is the system that refuses, whichever allocation meets the end first. Each test
 * is run in a child, since such a limit cannot be raised again.
 */
#if !defined(_WIN32) && !defined(_DEFAULT_SOURCE)
#  define _DEFAULT_SOURCE 1
#endif
#include "pools.h"

#if defined(_WIN32)
#  define WHY_NOT "Windows has no limit of address space"
#elif defined(TEST_ASAN) || defined(TEST_TSAN)
#  define WHY_NOT "sanitizers need terabytes of address space"
#endif

#if defined(WHY_NOT)
TEST(every_limited_test)
{
    test_skip(WHY_NOT);
}

static const TestCase cases[] = {TEST_CASE(every_limited_test)};
#else
#  include <sys/mman.h>
#  include <sys/resource.h>
#  include <sys/wait.h>
#  include <unistd.h>

enum { ROOM = 48 << 20, FAR = 1 << 30, CANNOT_LIMIT = 77 };

/* Leaves the process about ROOM bytes more than it has; false if the system takes no
 * notice of that (as an emulator may). */
static int limit_address_space(void)
{
    size_t used = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%zu", &used) != 1)
        return 0;
    fclose(file);
    used *= (size_t)sysconf(_SC_PAGESIZE);
    struct rlimit limit = {used + ROOM, used + ROOM};
    if (setrlimit(RLIMIT_AS, &limit) != 0)
        return 0;
    void *pages = mmap(NULL, FAR, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED;
}

/* Runs a test in a process with a limit. */
static void limited(void (*test)(void))
{
    int status = -1;
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (!limit_address_space())
            _exit(CANNOT_LIMIT);
        test();
        exit(0); /* not _exit: what measures coverage wants to have its say */
    }
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT_LIMIT)
        test_skip("this system does not limit address space");
    else
        CHECK_EQ_INT(status, 0);
}

/* Returns the record with a number, wherever it is. */
enum { RECORD = 1000 };

static void make_record(size_t number, unsigned char *record)
{
    TestRandom random = {number};
    test_random_bytes(&random, record, RECORD);
}

static void check_records(MemoryPool *pool, size_t from, size_t to)
{
    unsigned char expected[RECORD], back[RECORD];
    for (size_t i = from; i < to; i++) {
        make_record(i, expected);
        CHECK_EQ_SIZE(pool_read(pool, back, i * RECORD, RECORD), RECORD);
        CHECK_MEM(back, expected, RECORD);
    }
}

/* Without the number of shared blocks, which takes a walk. */
static PoolStats quick_stats_of(MemoryPool *pool)
{
    PoolStats stats = {.struct_size = offsetof(PoolStats, shared_blocks)};
    pool_stats(pool, &stats);
    CHECK_STATUS(POOL_OK);
    return stats;
}

/* As check_filled, which would need as much memory again. */
static void check_all(MemoryPool *pool, size_t offset, int byte, size_t size)
{
    for (; size > 0; offset += RECORD, size -= RECORD)
        check_filled(pool, offset, byte, RECORD);
}

/* Writes records from one on until there is no memory; returns the first not written. */
static size_t write_until_full(MemoryPool *pool, size_t from)
{
    unsigned char record[RECORD], back[RECORD];
    size_t i = from;
    for (;; i++) {
        CHECK_LE_SIZE(i * RECORD, 2 * (size_t)ROOM); /* there is a limit */
        PoolStats before = quick_stats_of(pool);
        make_record(i, record);
        if (pool_write(pool, i * RECORD, record, RECORD) == RECORD)
            continue;
        CHECK_STATUS(POOL_NO_MEMORY);
        PoolStats after = quick_stats_of(pool);
        CHECK_EQ_SIZE(after.held_blocks, before.held_blocks);
        CHECK_EQ_SIZE(after.family_bytes, before.family_bytes);
        CHECK_EQ_SIZE(pool_read(pool, back, i * RECORD, RECORD), RECORD);
        CHECK_BYTES(back + RECORD - 9, 0, 9); /* not even a part of it */
        return i;
    }
}

static void fill_and_go_on(size_t block_size)
{
    unsigned char record[RECORD];
    MemoryPool *pool = pool_create(SIZE_MAX, block_size);
    CHECK(pool != NULL);
    size_t end = write_until_full(pool, 0), half = end / 2;
    CHECK_LE_SIZE(ROOM / 4, end * RECORD);           /* most of it could be used */
    CHECK_EQ_SIZE(write_until_full(pool, end), end); /* and it stays at that */
    check_records(pool, 0, end);
    /* What is there can be written to, and holes can be read. */
    make_record(half, record);
    CHECK_EQ_SIZE(pool_write(pool, half * RECORD, record, RECORD), RECORD);
    check_all(pool, SIZE_MAX / 2, 0, 100 * RECORD);
    /* What is freed can be used again. */
    CHECK_RETURNS(pool_discard(pool, 0, half * RECORD), POOL_OK);
    check_records(pool, half, end);
    size_t again = write_until_full(pool, end);
    CHECK_LE_SIZE(half / 2, again - end);
    check_records(pool, half, again);
    pool_destroy(pool);
}

static void fill_small_blocks(void)
{
    fill_and_go_on(4096);
}

static void fill_large_blocks(void)
{
    fill_and_go_on(1 << 20);
}

TEST(small_blocks)
{
    limited(fill_small_blocks);
}

TEST(large_blocks)
{
    limited(fill_large_blocks);
}

/* One write that can never have all it needs takes nothing from those that can. */
static void write_too_much(void)
{
    const size_t size = 20000 * (size_t)RECORD, part = size / 8;
    MemoryPool *pool = pool_create(SIZE_MAX, 65536);
    CHECK(pool != NULL);
    CHECK_RETURNS(pool_fill(pool, RECORD, 1, 2 * (size_t)ROOM), POOL_NO_MEMORY);
    CHECK_EQ_SIZE(stats_of(pool).family_bytes, 0);
    CHECK_RETURNS(pool_fill(pool, RECORD, 1, size), POOL_OK);
    MemoryPool *clone = pool_clone(pool);
    CHECK(clone != NULL);
    CHECK_RETURNS(pool_fill(clone, 0, 2, 2 * size), POOL_NO_MEMORY);
    check_all(clone, RECORD, 1, size);
    CHECK_RETURNS(pool_fill(clone, RECORD, 2, part), POOL_OK);
    check_all(pool, RECORD, 1, size);
    check_all(clone, RECORD, 2, part);
    check_all(clone, RECORD + part, 1, size - part);
    pool_destroy(pool);
    pool_destroy(clone);
}

TEST(calls_that_need_too_much)
{
    limited(write_too_much);
}

/* What the library keeps for reuse does not keep a pool with blocks of another size from
 * being made. */
static void keep_and_make_another(void)
{
    MemoryPool *pool = pool_create(SIZE_MAX, 4096);
    CHECK(pool != NULL);
    CHECK_RETURNS(pool_fill(pool, 0, 1, ROOM / 4 * 3), POOL_OK);
    pool_destroy(pool);
    pool = pool_create(SIZE_MAX, 16 << 20);
    CHECK(pool != NULL);
    CHECK_RETURNS(pool_fill(pool, 0, 1, 32 << 20), POOL_OK);
    check_all(pool, 0, 1, 1000 * RECORD);
    pool_destroy(pool);
}

TEST(cached_memory_is_released_if_needed)
{
    limited(keep_and_make_another);
}

/* The same if the system has no memory left for headers, of which small blocks need more
 * than for their data. */
static void keep_and_describe_another(void)
{
    MemoryPool *pool = pool_create(SIZE_MAX, 65536);
    size_t blocks = 0;
    CHECK(pool != NULL);
    while (pool_fill(pool, blocks * 65536, 1, 65536) == POOL_OK)
        blocks++;
    CHECK_LE_SIZE(ROOM / 2, blocks * 65536);
    pool_destroy(pool);
    pool = pool_create(SIZE_MAX, 16);
    CHECK(pool != NULL);
    CHECK_RETURNS(pool_fill(pool, 0, 1, ROOM / 8), POOL_OK);
    check_all(pool, 0, 1, 1000 * RECORD);
    pool_destroy(pool);
}

TEST(cached_memory_is_released_for_headers)
{
    limited(keep_and_describe_another);
}

/* What a call took before it failed is there for other families, as long as its own
 * lives. */
static void fail_and_fill_another(void)
{
    MemoryPool *pool = pool_create(SIZE_MAX, 65536);
    MemoryPool *other = pool_create(SIZE_MAX, 65536);
    CHECK(pool != NULL && other != NULL);
    CHECK_RETURNS(pool_fill(pool, 0, 1, RECORD), POOL_OK);
    size_t before = quick_stats_of(pool).metadata_bytes;
    CHECK_RETURNS(pool_fill(pool, 0, 2, 2 * (size_t)ROOM), POOL_NO_MEMORY);
    CHECK_EQ_SIZE(quick_stats_of(pool).metadata_bytes, before);
    CHECK_RETURNS(pool_fill(other, 0, 3, ROOM / 3 * 2), POOL_OK);
    check_all(pool, 0, 1, RECORD);
    check_all(other, 0, 3, 1000 * RECORD);
    pool_destroy(pool);
    pool_destroy(other);
}

TEST(failed_call_takes_nothing_from_other_families)
{
    limited(fail_and_fill_another);
}

static const TestCase cases[] = {
    TEST_CASE(small_blocks),
    TEST_CASE(large_blocks),
    TEST_CASE(calls_that_need_too_much),
    TEST_CASE(cached_memory_is_released_if_needed),
    TEST_CASE(cached_memory_is_released_for_headers),
    TEST_CASE(failed_call_takes_nothing_from_other_families),
};
#endif
TEST_MAIN(cases)
