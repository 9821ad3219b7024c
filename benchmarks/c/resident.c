/* SPDX-License-Identifier: MIT */
/*
 * resident.c - C10: bytes of memory for isolated writes of 8 bytes in 1 TiB
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
