/* SPDX-License-Identifier: MIT */
/*
 * resident.c - what a process has resident
 *
 * C10: bytes of memory for isolated writes of 8 bytes in 1 TiB. C16: memory that stays when
 * most of 2 GiB was discarded, and trimmed.
 *
 * Counted is what the process has resident, and its page tables, which an mmap of which
 * single pages are used has many of. Each contender works in a fresh process.
 */
#include "bench.h"

#include <sys/mman.h>
#include <unistd.h>

enum { WRITES = 10000 };

static long resident_pages(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    bench_require(file != NULL && fscanf(file, "%*s %ld", &pages) == 1,
                  "/proc/self/statm");
    fclose(file);
    return pages;
}

static long page_table_kib(void)
{
    long kib = 0;
    char line[128];
    FILE *file = fopen("/proc/self/status", "r");
    bench_require(file != NULL, "/proc/self/status");
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "VmPTE: %ld", &kib) == 1) {
            break;
        }
    }
    fclose(file);
    return kib;
}

static double memory_used(void)
{
    return (double)resident_pages() * (double)sysconf(_SC_PAGESIZE) +
           (double)page_table_kib() * 1024;
}

static double pool_bytes(const void *block_size)
{
    double before = memory_used();
    MemoryPool *pool = pool_create(TIB, *(const size_t *)block_size);
    uint64_t state = RANDOM_SEED, value = 1;
    int i;
    for (i = 0; i < WRITES; i++) {
        bench_require(pool_write(pool, random_place(&state, TIB, 8), &value, 8) == 8,
                      "pool_write");
    }
    return (memory_used() - before) / (double)WRITES;
}

static double mmap_bytes(const void *context)
{
    double before = memory_used();
    unsigned char *pages = mmap(NULL, TIB, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint64_t state = RANDOM_SEED, value = 1;
    int i;
    (void)context;
    bench_require(pages != MAP_FAILED, "mmap");
    for (i = 0; i < WRITES; i++) {
        memcpy(pages + random_place(&state, TIB, 8), &value, 8);
    }
    return (memory_used() - before) / (double)WRITES;
}

void row_resident(void)
{
    static const size_t sizes[] = {64 * KIB, 4 * KIB};
    Case it = {.row = "C10", .unit = "bytes", .reference = 2};
    snprintf(it.title, sizeof it.title,
             "resident for each of %d writes of 8 bytes in 1 TiB", WRITES);
    case_add(&it, "pool, 64 KiB blocks", pool_bytes, &sizes[0])->fresh = true;
    case_add(&it, "pool, 4 KiB blocks", pool_bytes, &sizes[1])->fresh = true;
    case_add(&it, "mmap", mmap_bytes, NULL)->fresh = true;
    case_add_missing(&it, "linked list", "makes all blocks at once");
    case_at_most(&it, 0, 5 * 1024, ITSELF);
    case_at_most(&it, 1, 5 * 1024, ITSELF);
    bench_run(&it);
}

/* ------------------------------------------------------------------------- C16 */

enum { LEFT_EVERY = 4 }; /* MiB */

typedef struct Left {
    size_t block_size; /* 0: mmap, in pages of 4 KiB        */
    bool random;       /* nine of ten blocks, or all but one in some MiB */
} Left;

/* Whether a block of those that were written is discarded. */
static bool goes(const Left *left, size_t offset, size_t block_size, uint64_t *state)
{
    return left->random ? random_place(state, 10, 1) != 0
                        : offset / block_size % (LEFT_EVERY * MIB / block_size) != 0;
}

/* MiB resident, after all of it. */
static double left_in_pool(const void *context)
{
    const Left *left = context;
    double before = memory_used(), after;
    MemoryPool *pool = bench_filled_pool(2 * GIB, left->block_size);
    uint64_t state = RANDOM_SEED;
    size_t at;
    for (at = 0; at < 2 * GIB; at += left->block_size) {
        if (goes(left, at, left->block_size, &state)) {
            bench_require(pool_discard(pool, at, left->block_size) == POOL_OK,
                          "pool_discard");
        }
    }
    (void)pool_trim();
    after = memory_used();
    pool_destroy(pool);
    return (after - before) / (double)MIB;
}

static double left_in_mmap(const void *context)
{
    const Left *left = context;
    double before = memory_used();
    unsigned char *pages =
        mmap(NULL, 2 * GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t state = RANDOM_SEED;
    size_t at;
    bench_require(pages != MAP_FAILED, "mmap");
    memset(pages, 1, 2 * GIB);
    for (at = 0; at < 2 * GIB; at += 4 * KIB) {
        if (goes(left, at, 4 * KIB, &state)) {
            (void)madvise(pages + at, 4 * KIB, MADV_DONTNEED);
        }
    }
    return (memory_used() - before) / (double)MIB;
}

static void left_case(bool random)
{
    static const Left lefts[2][3] = {
        {{64 * KIB, false}, {4 * KIB, false}, {0, false}},
        {{64 * KIB, true}, {4 * KIB, true}, {0, true}},
    };
    const Left *left = lefts[random];
    size_t i;
    Case it = {.row = "C16", .unit = "MiB", .reference = 2};
    snprintf(it.title, sizeof it.title, "resident after 2 GiB, %s, and a trim",
             random ? "9 of 10 blocks discarded at random" : "one block in 4 MiB kept");
    if (bench_memory_available() < 3 * GIB) {
        case_add_missing(&it, "pool", "less than 3 GiB of memory");
        bench_run(&it);
        return;
    }
    case_add(&it, "pool, 64 KiB blocks", left_in_pool, &left[0])->fresh = true;
    case_add(&it, "pool, 4 KiB blocks", left_in_pool, &left[1])->fresh = true;
    case_add(&it, "mmap, 4 KiB", left_in_mmap, &left[2])->fresh = true;
    for (i = 0; i < 2; i++) { /* what is held, a tenth of it, and 64 MiB */
        double held = random ? 2048.0 / 10 : (double)left[i].block_size / 8192;
        case_at_most(&it, (int)i, 1.1 * held + 64, ITSELF);
    }
    bench_run(&it);
}

void row_left(void)
{
    left_case(false);
    left_case(true);
}
