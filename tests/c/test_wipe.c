/* SPDX-License-Identifier: MIT */
/*
 * test_wipe.c - with POOL_WIPE, no written data is left in freed memory
 *
 * Searches all memory of the process for a secret that was in a pool only, after its
 * blocks were freed in every way. The same search without the flag finds it, which shows
 * that the search works.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#  define _GNU_SOURCE /* pread */
#  define _FILE_OFFSET_BITS 64
#endif
#include "pools.h"

enum { KIB = 1024, SECRET = 32, COPIES = 8 };

static unsigned char masked[SECRET]; /* the secret, each byte inverted */

static void draw_secret(void)
{
    static uint64_t drawn;
    uint64_t bits = test_seed + ++drawn;
    for (size_t i = 0; i < SECRET; i++) {
        bits = bits * 6364136223846793005u + 1442695040888963407u;
        masked[i] = (unsigned char)(bits >> 56);
    }
}

/* What a call left in registers and on the stack is not what this is about. */
static void clear(volatile unsigned char *bytes, size_t size)
{
    while (size > 0)
        bytes[--size] = 0;
}

static void write_secret(MemoryPool *pool, size_t offset)
{
    unsigned char secret[SECRET];
    for (size_t i = 0; i < SECRET; i++)
        secret[i] = (unsigned char)~masked[i];
    CHECK_EQ_SIZE(pool_write(pool, offset, secret, SECRET), SECRET);
    clear(secret, SECRET);
}

static int is_secret(const unsigned char *bytes)
{
    for (size_t i = 0; i < SECRET; i++)
        if (bytes[i] != (unsigned char)~masked[i])
            return 0;
    return 1;
}

static MemoryPool *make_with(size_t flags)
{
    PoolOptions options = {.struct_size = sizeof options,
                           .total_size = 1024 * KIB,
                           .max_block_size = 4 * KIB,
                           .flags = flags};
    MemoryPool *pool = pool_create_with(&options);
    CHECK(pool != NULL);
    return pool;
}

static void write_secrets(MemoryPool *pool)
{
    for (size_t i = 0; i < COPIES; i++)
        write_secret(pool, i * 4 * KIB + 100 * i);
}

/* ------------------------------------------------------------------ the search */

#if defined(__linux__) && !defined(TEST_ASAN) && !defined(TEST_TSAN)
#  include <fcntl.h>
#  include <unistd.h>

static unsigned char window[256 * KIB];

/* How often the secret stands between two addresses. */
static size_t count_between(int memory, size_t from, size_t to)
{
    size_t found = 0;
    while (from + SECRET <= to) {
        size_t size = to - from < sizeof window ? to - from : sizeof window;
        ssize_t got = pread(memory, window, size, (off_t)from);
        if (got < SECRET)
            return found; /* pages that cannot be read, such as the system's own */
        for (size_t i = 0; i + SECRET <= (size_t)got; i++)
            found += (size_t)is_secret(window + i);
        clear(window, (size_t)got);
        from += (size_t)got == to - from ? (size_t)got : (size_t)got - (SECRET - 1);
    }
    return found;
}

static size_t count_secrets(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    int memory = open("/proc/self/mem", O_RDONLY);
    char line[512];
    size_t found = 0;
    CHECK(maps != NULL && memory >= 0);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, to;
        char access[5];
        CHECK_EQ_INT(sscanf(line, "%lx-%lx %4s", &from, &to, access), 3);
        if (access[0] != 'r' || access[1] != 'w')
            continue;
        if (from <= (size_t)window && (size_t)window < to) {
            found += count_between(memory, from, (size_t)window);
            found += count_between(memory, (size_t)window + sizeof window, to);
        } else {
            found += count_between(memory, from, to);
        }
    }
    fclose(maps);
    close(memory);
    return found;
}

/* Ways to free blocks, after which no secret may be left. At the first call of a function
 * the dynamic linker saves all registers on the stack, which may hold a secret: so each
 * way runs twice, and the second run counts. */
static int counts;

static void release_by_destroy(MemoryPool *pool)
{
    pool_destroy(pool);
}

static void release_by_discard(MemoryPool *pool)
{
    MemoryPool *clone = pool_clone(pool);
    PoolView view = {.struct_size = sizeof view};
    write_secret(clone, 500); /* copies a block */
    CHECK_RETURNS(pool_view(clone, 0, 8, &view), POOL_OK);
    CHECK_RETURNS(pool_discard(clone, 0, 1024 * KIB), POOL_OK);
    CHECK_RETURNS(pool_resize(pool, 1), POOL_OK);
    CHECK_RETURNS(pool_discard(pool, 0, 1), POOL_OK);
    CHECK_RETURNS(pool_discard(pool, 0, 1), POOL_OK);
    pool_view_release(&view);
    pool_destroy(clone);
    pool_destroy(pool);
}

static void release_by_restore(MemoryPool *pool)
{
    MemoryPool *empty = pool_clone(pool);
    PoolView pin = {.struct_size = sizeof pin};
    CHECK_RETURNS(pool_discard(empty, 0, 1024 * KIB), POOL_OK);
    CHECK_RETURNS(pool_pin(pool, 100 + 4 * KIB, 8, &pin), POOL_OK);
    CHECK_RETURNS(pool_restore(pool, empty), POOL_OK);
    pool_view_release(&pin);
    pool_destroy(pool);
    pool_destroy(empty);
}

static void release_by_take(MemoryPool *pool)
{
    static unsigned char taken[COPIES * 4 * KIB];
    CHECK_EQ_SIZE(pool_take(pool, taken, 0, sizeof taken), sizeof taken);
    clear(taken, sizeof taken);
    pool_destroy(pool);
}

static void release_in_a_living_family(MemoryPool *pool)
{
    MemoryPool *other = pool_clone(pool);
    CHECK_RETURNS(pool_discard(other, 0, 1024 * KIB), POOL_OK);
    pool_destroy(pool);
    if (counts)
        CHECK_EQ_SIZE(count_secrets(), 0); /* before the family ends */
    pool_destroy(other);
}

TEST(nothing_is_left_behind)
{
    static void (*const ways[])(MemoryPool *) = {release_by_destroy, release_by_discard,
                                                 release_by_restore, release_by_take,
                                                 release_in_a_living_family};
    for (size_t i = 0; i < 2 * TEST_COUNT(ways); i++) {
        MemoryPool *pool = make_with(POOL_WIPE);
        counts = i % 2 == 1;
        draw_secret();
        write_secrets(pool);
        if (counts)
            CHECK_EQ_SIZE(count_secrets(), COPIES);
        ways[i / 2](pool);
        if (counts)
            CHECK_EQ_SIZE(count_secrets(), 0);
    }
}

TEST(the_search_finds_what_is_not_wiped)
{
    MemoryPool *pool = make_with(0);
    draw_secret();
    write_secrets(pool);
    pool_destroy(pool);
    CHECK(count_secrets() > 0); /* cached for the next pool */
    (void)pool_trim();
    CHECK_EQ_SIZE(count_secrets(), 0);
}

#else

TEST(nothing_is_left_behind)
{
    test_skip("no way to look at all memory of the process, or too much of it");
}

TEST(the_search_finds_what_is_not_wiped)
{
    test_skip("no way to look at all memory of the process, or too much of it");
}

#endif

/* ------------------------------------------------------------------- everywhere */

/* The memory of a family stays mapped while the family lives: so what a pin showed can be
 * looked at when the block is free. */
TEST(a_block_is_wiped_with_its_last_reference)
{
    MemoryPool *pool = make_with(POOL_WIPE);
    PoolView pin = {.struct_size = sizeof pin};
    draw_secret();
    write_secret(pool, 0);
    CHECK_RETURNS(pool_pin(pool, 0, SECRET, &pin), POOL_OK);
    const unsigned char *bytes = pin.data;
    CHECK_RETURNS(pool_resize(pool, 8 * KIB), POOL_OK);
    CHECK(is_secret(bytes));
    pool_view_release(&pin);
    CHECK(is_secret(bytes)); /* the pool has it still */
    CHECK_RETURNS(pool_discard(pool, 0, 4 * KIB), POOL_OK);
#if !defined(TEST_ASAN) /* which would end the test at a look at a free block */
    CHECK_BYTES(bytes, 0, SECRET);
#endif
    pool_destroy(pool);
}

TEST(a_wiped_block_is_used_again_as_zeros)
{
    MemoryPool *pool = make_with(POOL_WIPE);
    for (int round = 0; round < 3; round++) {
        write_secrets(pool);
        CHECK_RETURNS(pool_discard(pool, 0, COPIES * 4 * KIB), POOL_OK);
        CHECK_EQ_SIZE(pool_write(pool, 10, "x", 1), 1);
        check_filled(pool, 0, 0, 10);
        check_filled(pool, 11, 0, 4 * KIB - 11);
    }
    pool_destroy(pool);
}

static void count_release(void *data, size_t size, void *context)
{
    (void)data;
    (void)size;
    ++*(int *)context;
}

TEST(adopted_memory_is_not_the_pools_to_wipe)
{
    static unsigned char mine[8 * KIB];
    MemoryPool *pool = make_with(POOL_WIPE);
    int released = 0;
    memset(mine, 7, sizeof mine);
    CHECK_RETURNS(pool_adopt(pool, 0, mine, sizeof mine, count_release, &released),
                  POOL_OK);
    CHECK_EQ_SIZE(pool_write(pool, 0, "x", 1), 1); /* copies a block */
    pool_destroy(pool);
    CHECK_EQ_INT(released, 1);
    CHECK_BYTES(mine, 7, sizeof mine);
}

TEST(statistics_tell_the_flag)
{
    MemoryPool *plain = make_with(0), *pool = make_with(POOL_WIPE);
    MemoryPool *clone = pool_clone(pool);
    CHECK_EQ_SIZE(stats_of(plain).flags, 0);
    CHECK_EQ_SIZE(stats_of(pool).flags, POOL_WIPE);
    CHECK_EQ_SIZE(stats_of(clone).flags, POOL_WIPE);
    pool_destroy(plain);
    pool_destroy(pool);
    pool_destroy(clone);
}

static const TestCase cases[] = {
    TEST_CASE(nothing_is_left_behind),
    TEST_CASE(the_search_finds_what_is_not_wiped),
    TEST_CASE(a_block_is_wiped_with_its_last_reference),
    TEST_CASE(a_wiped_block_is_used_again_as_zeros),
    TEST_CASE(adopted_memory_is_not_the_pools_to_wipe),
    TEST_CASE(statistics_tell_the_flag),
};
TEST_MAIN(cases)
