/* SPDX-License-Identifier: MIT */
/*
 * lifetimes.c - C6, C12, C13: what it costs to make a pool, to fill it, and to end it
 *
 * C12 fills memory that the process never had: every round is a process of its own, and
 * page faults are most of it. C13 does it again and again in one process: what is kept
 * between two pools shows there.
 */
#include "bench.h"

#include <sys/mman.h>
#include <unistd.h>

#include "linked_list.h"

/* ------------------------------------------------------------ create and destroy */

static size_t repeats(void)
{
    return bench_options.quick ? 100 : 10000;
}

static double time_pool(const void *total_size)
{
    size_t total = *(const size_t *)total_size, i;
    double start = bench_now();
    for (i = 0; i < repeats(); i++) {
        MemoryPool *pool = pool_create(total, 64 * KIB);
        bench_require(pool != NULL, "pool_create");
        pool_destroy(pool);
    }
    return (bench_now() - start) / (double)repeats() / 1e3;
}

static double time_mmap(const void *total_size)
{
    size_t total = *(const size_t *)total_size, i;
    double start = bench_now();
    for (i = 0; i < repeats(); i++) {
        void *pages = mmap(NULL, total, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        bench_require(pages != MAP_FAILED, "mmap");
        munmap(pages, total);
    }
    return (bench_now() - start) / (double)repeats() / 1e3;
}

static double time_memfd(const void *total_size)
{
    size_t total = *(const size_t *)total_size, i;
    double start = bench_now();
    for (i = 0; i < repeats(); i++) {
        int file = memfd_create("bench", 0);
        bench_require(file >= 0 && ftruncate(file, (off_t)total) == 0, "memfd_create");
        close(file);
    }
    return (bench_now() - start) / (double)repeats() / 1e3;
}

static double time_list(const void *total_size)
{
    double start = bench_now();
    LinkedList *list = linked_list_create(*(const size_t *)total_size, 64 * KIB);
    bench_require(list != NULL, "linked_list_create");
    linked_list_destroy(list);
    return (bench_now() - start) / 1e3;
}

static void create_by_size(void)
{
    static const size_t sizes[] = {4 * KIB,        MIB, GIB, TIB, (size_t)1 << 50,
                                   (size_t)1 << 63};
    Case it = {.row = "C6", .title = "create and destroy, by total size", .unit = "us"};
    size_t i;
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        case_add(&it, bench_size(sizes[i]), time_pool, &sizes[i])->scale =
            (double)sizes[i];
    }
    case_at_most(&it, EVERY, 3.0, ITSELF);
    case_at_most(&it, EVERY, 1.5, 0); /* "the same for all", on a machine with noise */
    bench_run(&it);
}

static void create_beside_peers(void)
{
    static const size_t size = TIB, list_size = GIB;
    Case it = {
        .row = "C6", .title = "create and destroy, 1 TiB", .unit = "us", .reference = 1};
    case_add(&it, "pool", time_pool, &size);
    case_add(&it, "mmap", time_mmap, &size);
    case_add(&it, "memfd", time_memfd, &size);
    case_add(&it, "linked list, 64 KiB blocks, 1 GiB", time_list, &list_size);
    bench_run(&it);
}

void row_create(void)
{
    create_by_size();
    create_beside_peers();
}

/* ----------------------------------------------------------------------- filling */

static _Alignas(4096) unsigned char data[1 << 20];

/* Makes something of size bytes, writes all of it in pieces of 1 MiB, and ends it. Returns
 * nanoseconds for all of it, and without the end in *write. */
typedef double (*FillFunction)(size_t size, double *write);

static double fill_pool(size_t size, size_t block_size, double *write)
{
    double start = bench_now();
    MemoryPool *pool = pool_create(size, block_size);
    size_t offset;
    bench_require(pool != NULL, "pool_create");
    for (offset = 0; offset < size; offset += sizeof data) {
        bench_require(pool_write(pool, offset, data, sizeof data) > 0, "pool_write");
    }
    *write = bench_now() - start;
    pool_destroy(pool);
    return bench_now() - start;
}

static double fill_pool_4k(size_t size, double *write)
{
    return fill_pool(size, 4 * KIB, write);
}

static double fill_pool_64k(size_t size, double *write)
{
    return fill_pool(size, 64 * KIB, write);
}

static double fill_mmap(size_t size, double *write)
{
    double start = bench_now();
    unsigned char *pages =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t offset;
    bench_require(pages != MAP_FAILED, "mmap");
    for (offset = 0; offset < size; offset += sizeof data) {
        memcpy(pages + offset, data, sizeof data);
    }
    *write = bench_now() - start;
    munmap(pages, size);
    return bench_now() - start;
}

static double fill_memfd(size_t size, double *write)
{
    double start = bench_now();
    int file = memfd_create("bench", 0);
    size_t offset;
    bench_require(file >= 0 && ftruncate(file, (off_t)size) == 0, "memfd_create");
    for (offset = 0; offset < size; offset += sizeof data) {
        bench_require(pwrite(file, data, sizeof data, (off_t)offset) > 0, "pwrite");
    }
    *write = bench_now() - start;
    close(file);
    return bench_now() - start;
}

static double fill_list(size_t size, double *write)
{
    double start = bench_now();
    LinkedList *list = linked_list_create(size, 64 * KIB);
    size_t offset;
    bench_require(list != NULL, "linked_list_create");
    for (offset = 0; offset < size; offset += sizeof data) {
        linked_list_write(list, offset, data, sizeof data);
    }
    *write = bench_now() - start;
    linked_list_destroy(list);
    return bench_now() - start;
}

typedef struct Filler {
    const char *name;
    FillFunction fill;
} Filler;

static const Filler fillers[] = {
    {"pool, 64 KiB blocks", fill_pool_64k},
    {"pool, 4 KiB blocks", fill_pool_4k},
    {"memfd, pwrite", fill_memfd},
    {"mmap", fill_mmap},
    {"linked list, 64 KiB blocks", fill_list},
};

enum { FILL_MEMFD = 2, FILL_MMAP = 3, FILL_COUNT = sizeof fillers / sizeof fillers[0] };

static double rate_fresh(const void *filler)
{
    size_t size = bench_options.quick ? 64 * MIB : GIB;
    double write;
    memset(data, 1, sizeof data);
    ((const Filler *)filler)->fill(size, &write);
    return (double)size / write;
}

static double time_steady(const void *filler)
{
    double write;
    return ((const Filler *)filler)->fill(256 * MIB, &write) / 1e6;
}

void row_fresh(void)
{
    Case it = {.row = "C12", .unit = "GB/s", .reference = FILL_MEMFD};
    int i;
    snprintf(it.title, sizeof it.title,
             "writes of 1 MiB into a fresh %s, first in the "
             "process",
             bench_size(bench_options.quick ? 64 * MIB : GIB));
    for (i = 0; i < FILL_COUNT; i++) {
        case_add(&it, fillers[i].name, rate_fresh, &fillers[i])->fresh = true;
    }
    case_at_least(&it, 0, 1.0, FILL_MEMFD);
    case_at_least(&it, 1, 1.0, FILL_MEMFD);
    bench_run(&it);
}

void row_steady(void)
{
    Case it = {.row = "C13",
               .title = "create, write 256 MiB, destroy, again",
               .unit = "ms",
               .reference = FILL_MMAP};
    int i;
    memset(data, 1, sizeof data);
    for (i = 0; i < FILL_COUNT; i++) {
        case_add(&it, fillers[i].name, time_steady, &fillers[i]);
    }
    case_at_most(&it, 0, 0.25, FILL_MMAP);
    case_at_most(&it, 1, 0.25, FILL_MMAP);
    time_steady(&fillers[0]); /* the very first one is what C12 measures */
    bench_run(&it);
}
