/* SPDX-License-Identifier: MIT */
/*
 * huge.c - C17: what huge pages gain, and what they cost
 *
 * 8 bytes at places all over 256 MiB, in pools with and without POOL_HUGE, beside memcpy in
 * pages of both sizes; then the longest of many first writes, and the bytes resident for
 * isolated writes. Where the system has no huge pages, or uses them unasked, the two are
 * alike.
 */
#include "bench.h"

#include <sys/mman.h>
#include <unistd.h>

#include "peers.h"

enum { BLOCK_SIZE = 4096, HUGE_SIZE = 2 << 20, FIRST = 16384 };

static MemoryPool *pools[2];     /* without and with huge pages */
static unsigned char *arrays[2]; /* the same */

static MemoryPool *make_pool(size_t size, bool huge)
{
    PoolOptions options = {sizeof options, size, BLOCK_SIZE, 0, huge ? POOL_HUGE : 0};
    MemoryPool *pool = pool_create_with(&options);
    bench_require(pool != NULL, "pool_create_with");
    return pool;
}

/* ------------------------------------------------------------------- transfers */

static void small_pool_read(size_t offset, size_t size, unsigned char *buffer)
{
    pool_read(pools[0], buffer, offset, size);
}

static void small_pool_write(size_t offset, size_t size, unsigned char *buffer)
{
    pool_write(pools[0], offset, buffer, size);
}

static void huge_pool_read(size_t offset, size_t size, unsigned char *buffer)
{
    pool_read(pools[1], buffer, offset, size);
}

static void huge_pool_write(size_t offset, size_t size, unsigned char *buffer)
{
    pool_write(pools[1], offset, buffer, size);
}

static void small_array_read(size_t offset, size_t size, unsigned char *buffer)
{
    memcpy(buffer, arrays[0] + offset, size);
    keep(buffer);
}

static void small_array_write(size_t offset, size_t size, unsigned char *buffer)
{
    memcpy(arrays[0] + offset, buffer, size);
    keep(arrays[0]);
}

static void huge_array_read(size_t offset, size_t size, unsigned char *buffer)
{
    memcpy(buffer, arrays[1] + offset, size);
    keep(buffer);
}

static void huge_array_write(size_t offset, size_t size, unsigned char *buffer)
{
    memcpy(arrays[1] + offset, buffer, size);
    keep(arrays[1]);
}

static void transfers(const char *what, const Timed *timed)
{
    Case it = {.row = "C17", .unit = "ns", .reference = 2};
    snprintf(it.title, sizeof it.title, "%s of 8 bytes, anywhere in %s", what,
             bench_size(LARGE));
    case_add(&it, "pool", timed_transfers, &timed[0]);
    case_add(&it, "pool, huge pages", timed_transfers, &timed[1]);
    case_add(&it, "memcpy", timed_transfers, &timed[2]);
    case_add(&it, "memcpy, huge pages", timed_transfers, &timed[3]);
    bench_run(&it);
}

static void transfer_cases(void)
{
    static const Timed reads[] = {{small_pool_read, LARGE, 8},
                                  {huge_pool_read, LARGE, 8},
                                  {small_array_read, LARGE, 8},
                                  {huge_array_read, LARGE, 8}};
    static const Timed writes[] = {{small_pool_write, LARGE, 8},
                                   {huge_pool_write, LARGE, 8},
                                   {small_array_write, LARGE, 8},
                                   {huge_array_write, LARGE, 8}};
    int i;
    for (i = 0; i < 2; i++) {
        pools[i] = make_pool(LARGE, i == 1);
        bench_require(pool_fill(pools[i], 0, 1, LARGE) == POOL_OK, "pool_fill");
        arrays[i] = aligned_alloc(HUGE_SIZE, LARGE);
        bench_require(arrays[i] != NULL, "aligned_alloc");
        (void)madvise(arrays[i], LARGE, i == 1 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
        memset(arrays[i], 1, LARGE);
    }
    transfers("read", reads);
    transfers("write", writes);
    for (i = 0; i < 2; i++) {
        pool_destroy(pools[i]);
        (void)madvise(arrays[i], LARGE, MADV_NOHUGEPAGE);
        free(arrays[i]);
    }
    pool_trim();
}

/* ---------------------------------------------------------------- first writes */

static const bool with_huge[] = {false, true};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Microseconds of the n-th longest of the first writes to FIRST blocks. */
static double long_first_write(bool huge, size_t nth)
{
    static double times[FIRST];
    MemoryPool *pool = make_pool(LARGE, huge);
    uint64_t value = 1;
    size_t i;
    for (i = 0; i < FIRST; i++) {
        double start = bench_now();
        bench_require(pool_write(pool, i * BLOCK_SIZE, &value, 8) == 8, "pool_write");
        times[i] = bench_now() - start;
    }
    qsort(times, FIRST, sizeof *times, by_size);
    return times[FIRST - nth] / 1e3;
}

static double longest_first_write(const void *huge)
{
    return long_first_write(*(const bool *)huge, 1);
}

/* One in 1,024: rather the library's than those of other work on the machine. */
static double usual_long_first_write(const void *huge)
{
    return long_first_write(*(const bool *)huge, FIRST / 1024);
}

static double half_of_first_writes(const void *huge)
{
    return long_first_write(*(const bool *)huge, FIRST / 2);
}

static void first_writes(const char *which, Measure measure)
{
    Case it = {.row = "C17", .unit = "us", .reference = 0};
    snprintf(it.title, sizeof it.title, "first writes of 8 bytes to %d blocks, %s", FIRST,
             which);
    case_add(&it, "pool", measure, &with_huge[0])->fresh = true;
    case_add(&it, "pool, huge pages", measure, &with_huge[1])->fresh = true;
    bench_run(&it);
}

/* -------------------------------------------------------------------- resident */

static double resident_bytes(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    bench_require(file != NULL && fscanf(file, "%*s %ld", &pages) == 1,
                  "/proc/self/statm");
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

typedef struct Isolated {
    bool huge;
    int writes;
} Isolated;

static double bytes_of_a_write(const void *context)
{
    const Isolated *isolated = context;
    double before = resident_bytes();
    MemoryPool *pool = make_pool(TIB, isolated->huge);
    uint64_t state = RANDOM_SEED, value = 1;
    int i;
    for (i = 0; i < isolated->writes; i++) {
        bench_require(pool_write(pool, random_place(&state, TIB, 8), &value, 8) == 8,
                      "pool_write");
    }
    return (resident_bytes() - before) / (double)isolated->writes;
}

static void isolated_writes(int writes)
{
    Case it = {.row = "C17", .unit = "bytes", .reference = 0};
    Isolated isolated[] = {{false, writes}, {true, writes}};
    snprintf(it.title, sizeof it.title,
             "resident for each of %d writes of 8 bytes in 1 TiB", writes);
    case_add(&it, "pool", bytes_of_a_write, &isolated[0])->fresh = true;
    case_add(&it, "pool, huge pages", bytes_of_a_write, &isolated[1])->fresh = true;
    bench_run(&it);
}

void row_huge(void)
{
    transfer_cases();
    first_writes("the longest", longest_first_write);
    first_writes("one in 1,024", usual_long_first_write);
    first_writes("half of them", half_of_first_writes);
    isolated_writes(100); /* in chunks that are too small for huge pages */
    isolated_writes(600); /* the first huge page has just begun */
    isolated_writes(10000);
}
