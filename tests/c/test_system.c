/* SPDX-License-Identifier: MIT */
/*
 * test_system.c - system calls that fail, and fork
 *
 * The system calls of platform_posix.c are replaced by functions that fail on request.
 */
#if !defined(_DEFAULT_SOURCE)
#  define _DEFAULT_SOURCE 1
#endif
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int refused; /* whether the calls below fail */
static size_t populated;
static long pages_of_memory; /* what the system says; 0: the truth */
static void (*prepare_fork)(void), (*after_in_parent)(void), (*after_in_child)(void);

/* Not every C library knows this advice. */
#if defined(MADV_POPULATE_WRITE)
enum { CAN_POPULATE = 1, POPULATE = MADV_POPULATE_WRITE };
#else
enum { CAN_POPULATE = 0, POPULATE = -1 };
#endif

static int system_madvise(void *pages, size_t size, int advice)
{
    if (refused)
        return -1;
    populated += advice == POPULATE;
    return madvise(pages, size, advice);
}

static long system_sysconf(int name)
{
    if (refused && name != _SC_PAGESIZE) /* which does not change while a process runs */
        return -1;
    return name == _SC_PHYS_PAGES && pages_of_memory != 0 ? pages_of_memory
                                                          : sysconf(name);
}

/* What the files that tell a container's limits hold; NULL: there is no such file. */
static const char *group_limits[2];

/* All files that tell how much memory is left, in pairs of name and text; NULL: the real
 * ones. */
static const char *const *left_files;

/* A file with that text, or none. */
static int file_of(const char *text)
{
    int ends[2];
    if (text == NULL || pipe(ends) != 0 ||
        write(ends[1], text, strlen(text)) != (ssize_t)strlen(text))
        return -1;
    close(ends[1]);
    return ends[0];
}

static int system_open(const char *path, int flags)
{
    static const char *const paths[] = {"/sys/fs/cgroup/memory.max",
                                        "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    const char *const *pair = left_files;
    while (pair != NULL && *pair != NULL && strcmp(path, *pair) != 0)
        pair += 2;
    if (pair != NULL)
        return file_of(*pair == NULL ? NULL : pair[1]);
    for (int i = 0; i < 2; i++) {
        if (strcmp(path, paths[i]) == 0)
            return file_of(group_limits[i]);
    }
    return open(path, flags);
}

/* The tests are the ones who call the handlers. */
static int system_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    if (refused)
        return 1;
    prepare_fork = prepare;
    after_in_parent = parent;
    after_in_child = child;
    return 0;
}

#define madvise(pages, size, advice) system_madvise(pages, size, advice)
#define open(path, flags) system_open(path, flags)
#define sysconf(name) system_sysconf(name)
#define pthread_atfork(prepare, parent, child) system_atfork(prepare, parent, child)

#include "internal.h"
#include "pools.h"

enum {
    BLOCK = 4096,
    COUNT = 64,
    WRITES = 4096 /* as many blocks are 16 MiB, of which the later chunks are large */
};

/* Must run first: the handlers for fork are installed once in a process. Without them no
 * pool is created, because a child could hang in it. */
TEST(no_pool_without_fork_handlers)
{
    refused = 1;
    CHECK(pool_create(1000, 16) == NULL);
    CHECK_STATUS(POOL_NO_MEMORY);
    refused = 0;
    check_nothing_live();
    CHECK(prepare_fork == NULL);

    MemoryPool *pool = make(1000, 16, 0);
    CHECK(prepare_fork != NULL);
    pool_destroy(pool);
    prepare_fork = NULL;
    pool_destroy(make(1000, 16, 0));
    CHECK(prepare_fork == NULL); /* not installed again */
    prepare_fork = fork_prepare;
    check_nothing_live();
}

static size_t locks_held(MemoryPool *pool)
{
    size_t held = (size_t)lock_is_held(&pool->locks.shape.lock) +
                  (size_t)lock_is_held(&pool->family->arena.lock) +
                  (size_t)lock_is_held(&chunk_cache.lock) +
                  (size_t)lock_is_held(&registry.lock);
    for (size_t i = 0; i < STRIPES; i++)
        held += (size_t)lock_is_held(pool_lock_stripe(&pool->locks, i));
    return held;
}

/* Returns how many tickets are still in the queues. */
static size_t in_line(MemoryPool *pool)
{
    Lock *locks[] = {&pool->locks.shape.lock, pool_lock_stripe(&pool->locks, 5),
                     &pool->family->arena.lock, &chunk_cache.lock, &registry.lock};
    size_t waiting = 0;
    for (size_t i = 0; i < TEST_COUNT(locks); i++)
        waiting += locks[i]->next - locks[i]->serving;
    return waiting;
}

static void stand_in_line(MemoryPool *pool)
{
    pool->locks.shape.lock.next++;
    pool_lock_stripe(&pool->locks, 5)->next++;
    pool->family->arena.lock.next++;
    chunk_cache.lock.next++;
    registry.lock.next++;
}

/* At the moment of a fork another thread may have a stripe, before it sees the shape lock
 * held, or may be in a queue. The child lacks that thread; in the parent it goes on. */
TEST(a_child_frees_stripes_of_threads_that_it_lacks)
{
    MemoryPool *pool = make(1000 * BLOCK, BLOCK, 0), *clone = pool_clone(pool);
    MemoryPool *unrelated = make(1000, 16, 0);
    prepare_fork();
    CHECK_EQ_SIZE(locks_held(pool), 4);
    CHECK_EQ_SIZE(locks_held(clone), 4);
    CHECK_EQ_SIZE(locks_held(unrelated), 4);
    lock_acquire(pool_lock_stripe(&pool->locks, 3));
    lock_acquire(pool_lock_stripe(&clone->locks, STRIPES - 1));
    after_in_parent();
    CHECK_EQ_SIZE(locks_held(pool), 1);
    CHECK_EQ_SIZE(locks_held(clone), 1);
    CHECK_EQ_SIZE(locks_held(unrelated), 0);
    lock_release(pool_lock_stripe(&pool->locks, 3));
    lock_release(pool_lock_stripe(&clone->locks, STRIPES - 1));

    prepare_fork();
    lock_acquire(pool_lock_stripe(&pool->locks, 3));
    lock_acquire(pool_lock_stripe(&clone->locks, STRIPES - 1));
    stand_in_line(pool);
    CHECK_EQ_SIZE(in_line(pool), 5);
    after_in_child();
    CHECK_EQ_SIZE(in_line(pool), 0);
    CHECK_EQ_SIZE(locks_held(pool), 0);
    CHECK_EQ_SIZE(locks_held(clone), 0);
    CHECK_EQ_SIZE(locks_held(unrelated), 0);
    CHECK_RETURNS(pool_fill(pool, 0, 1, 200 * BLOCK), POOL_OK);
    check_filled(clone, 0, 0, 200 * BLOCK);
    pool_destroy(pool);
    pool_destroy(clone);
    pool_destroy(unrelated);
    check_nothing_live();
}

/* The least of what the machine has and what a container may use. */
TEST(memory_of_a_container)
{
    size_t machine = platform_memory();
    for (int i = 0; i < 2; i++) {
        group_limits[i] = "100000000\n";
        CHECK_EQ_SIZE(platform_memory(), 100000000);
        group_limits[i] = "max\n"; /* none */
        CHECK_EQ_SIZE(platform_memory(), machine);
        group_limits[i] = "";
        CHECK_EQ_SIZE(platform_memory(), machine);
        group_limits[i] = "18446744073709551615\n";
        CHECK_EQ_SIZE(platform_memory(), machine);
        group_limits[i] = NULL;
    }
}

/* The size of the memory bounds what is cached; if it is not known, nothing fails. */
TEST(memory_of_unknown_size)
{
    CHECK_LE_SIZE(1 << 20, platform_memory());
    refused = 1;
    CHECK_EQ_SIZE(platform_memory(), SIZE_MAX);
    refused = 0;
    pages_of_memory = LONG_MAX; /* more bytes than can be said */
    CHECK_EQ_SIZE(platform_memory(), SIZE_MAX);
    chunk_cache.bound = 0;
    CHECK(chunk_cache_reserve(1));
    chunk_cache_unreserve(1);
    CHECK_EQ_SIZE(chunk_cache.bound, CHUNK_CACHE_MAX);
    pages_of_memory = 16;
    chunk_cache.bound = 0;
    CHECK(!chunk_cache_reserve(platform_memory()));
    CHECK_EQ_SIZE(chunk_cache.bound, 2 * (size_t)sysconf(_SC_PAGESIZE));
    pages_of_memory = 0;
    chunk_cache.bound = 0;
}

#if defined(__linux__)
#  define MEMINFO "MemTotal: 9000000 kB\nMemFree: 1 kB\nMemAvailable: 3000000 kB\n"
#  define GROUP "/sys/fs/cgroup"
#  define OLD_GROUP "/sys/fs/cgroup/memory"

static void check_left(const char *const *files, size_t left)
{
    left_files = files;
    CHECK_EQ_SIZE(platform_available(), left);
    left_files = NULL;
}

/* What the machine has left, and each group that the process is in, less what the group
 * uses but for files that are cached; with what may be swapped. */
TEST(memory_that_is_left)
{
    static const char swap[] = MEMINFO "SwapTotal: 5 kB\nSwapFree: 1000000 kB\n";
    check_left((const char *const[]){NULL}, SIZE_MAX);
    check_left((const char *const[]){"/proc/meminfo", MEMINFO, NULL}, 3072000000);
    check_left((const char *const[]){"/proc/meminfo", swap, NULL}, 4096000000);
    check_left((const char *const[]){"/proc/meminfo", MEMINFO, "/proc/self/cgroup",
                                     "0::/a/b\n", GROUP "/a/b/memory.max", "5000000000\n",
                                     GROUP "/a/b/memory.current", "100\n",
                                     GROUP "/a/memory.max", "2000\n",
                                     GROUP "/a/memory.current", "1500\n", NULL},
               500);
    check_left((const char *const[]){"/proc/meminfo", swap, "/proc/self/cgroup", "0::/\n",
                                     GROUP "/memory.max", "2000", GROUP "/memory.current",
                                     "2500", GROUP "/memory.stat",
                                     "anon 1\ninactive_file 600\nactive_file 70\n",
                                     GROUP "/memory.swap.max", "30",
                                     GROUP "/memory.swap.current", "10", NULL},
               190);
    check_left((const char *const[]){"/proc/meminfo", MEMINFO, "/proc/self/cgroup",
                                     "0::/a\n", GROUP "/a/memory.max", "max\n",
                                     GROUP "/a/memory.current", "100\n", NULL},
               3072000000);
    check_left((const char *const[]){"/proc/meminfo", MEMINFO, "/proc/self/cgroup",
                                     "9:cpu:/x\n4:memory:/not/seen\n0::/\n",
                                     OLD_GROUP "/memory.limit_in_bytes", "1000\n",
                                     OLD_GROUP "/memory.usage_in_bytes", "700\n",
                                     OLD_GROUP "/memory.stat",
                                     "active_file 9\ntotal_active_file 50\n", NULL},
               350);
}
#endif

/* Pages that the system does not decommit keep their contents (for example locked
 * memory); the next user of them must not see these. */
static void discard_and_use_again(int refuse)
{
    unsigned char bytes[2 * BLOCK];
    MemoryPool *pool = make(COUNT * BLOCK, BLOCK, 0);
    memset(bytes, 0x55, sizeof bytes);
    chunk_cache.bound =
        1; /* nothing is cached: pages of empty chunks are decommitted at once */
    for (size_t at = 0; at < COUNT * BLOCK; at += sizeof bytes)
        CHECK_EQ_SIZE(pool_write(pool, at, bytes, sizeof bytes), sizeof bytes);
    refused = refuse;
    CHECK_RETURNS(pool_discard(pool, 0, COUNT * BLOCK), POOL_OK);
    refused = 0;
    CHECK_EQ_SIZE(stats_of(pool).cached_bytes, 0);
    for (size_t at = 0; at < COUNT * BLOCK; at += BLOCK) {
        CHECK_EQ_SIZE(pool_write(pool, at + 100, "x", 1), 1);
        CHECK_EQ_SIZE(pool_read(pool, bytes, at, BLOCK), BLOCK);
        CHECK_BYTES(bytes, 0, 100);
        CHECK_BYTES(bytes + 101, 0, BLOCK - 101);
    }
    pool_destroy(pool);
    chunk_cache.bound = 0;
    check_nothing_live();
}

TEST(pages_that_stay_committed_show_nothing)
{
    discard_and_use_again(0);
    discard_and_use_again(1);
}

/* The same where a chunk is partly used: all but every eighth block is trimmed, and then
 * used again. */
static void trim_and_use_again(size_t block, int refuse)
{
    enum { TOTAL = 2 << 20 };
    unsigned char *bytes = test_alloc(block);
    MemoryPool *pool = make(TOTAL, block, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 0x55, TOTAL), POOL_OK);
    for (size_t at = 0; at < TOTAL; at += 8 * block)
        CHECK_RETURNS(pool_discard(pool, at + block, 7 * block), POOL_OK);
    refused = refuse;
    (void)pool_trim();
    CHECK_EQ_SIZE(stats_of(pool).cached_bytes, 0);
    refused = 0;
    for (size_t at = 0; at < TOTAL; at += block) {
        int byte = at / block % 8 == 0 ? 0x55 : 0;
        CHECK_EQ_SIZE(pool_write(pool, at + block / 2, "x", 1), 1);
        CHECK_EQ_SIZE(pool_read(pool, bytes, at, block), block);
        CHECK_EQ_INT(bytes[block / 2], 'x');
        bytes[block / 2] = (unsigned char)byte;
        CHECK_BYTES(bytes, byte, block);
    }
    pool_destroy(pool);
    check_nothing_live();
    free(bytes);
}

TEST(pages_of_some_blocks_show_nothing)
{
    for (size_t block = 2; block <= 1 << 18; block *= 2) {
        trim_and_use_again(block, 0);
        trim_and_use_again(block, 1);
    }
}

/* Advice is advice: all works without it. */
TEST(no_advice_is_taken)
{
    enum { LARGE = 1 << 20 };
    refused = 1;
    MemoryPool *pool = make(SIZE_MAX, LARGE, 0);
    CHECK_RETURNS(pool_fill(pool, LARGE / 2, 7, 8 * (size_t)LARGE), POOL_OK);
    check_filled(pool, LARGE / 2, 7, 8 * (size_t)LARGE);
    CHECK_EQ_SIZE(pool_write(pool, 20 * (size_t)LARGE, "x", 1), 1);
    check_filled(pool, 20 * (size_t)LARGE + 1, 0, LARGE - 1);
    pool_destroy(pool);
    check_nothing_live();
    refused = 0;
}

/* Returns how often writes to many blocks of a new pool requested that. */
static size_t populated_by_writes(void)
{
    MemoryPool *pool = make(SIZE_MAX, BLOCK, 0);
    populated = 0;
    for (size_t i = 0; i < WRITES; i++)
        CHECK_EQ_SIZE(pool_write(pool, i * BLOCK, "x", 1), 1);
    pool_destroy(pool);
    return populated;
}

/* Pages are made resident ahead of small writes if they are fresh, not if they were in
 * use before. */
TEST(only_fresh_pages_are_populated)
{
    size_t fresh = populated_by_writes();
    if (!CAN_POPULATE) {
        test_skip("this system cannot be asked to make pages resident");
    } else if (chunk_cache_bytes() < WRITES * BLOCK) {
        test_skip("so little memory that what was in use is not kept");
    } else {
        CHECK_LE_SIZE(1, fresh);
        CHECK_EQ_SIZE(populated_by_writes(), 0);
    }
    check_nothing_live();
}

static const TestCase cases[] = {
    TEST_CASE(no_pool_without_fork_handlers),
    TEST_CASE(a_child_frees_stripes_of_threads_that_it_lacks),
    TEST_CASE(memory_of_a_container),
    TEST_CASE(memory_of_unknown_size),
#if defined(__linux__)
    TEST_CASE(memory_that_is_left),
#endif
    TEST_CASE(pages_that_stay_committed_show_nothing),
    TEST_CASE(pages_of_some_blocks_show_nothing),
    TEST_CASE(no_advice_is_taken),
    TEST_CASE(only_fresh_pages_are_populated),
};
TEST_MAIN(cases)
