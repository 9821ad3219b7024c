/* SPDX-License-Identifier: MIT */
/*
 * holes.c - C5: reading 4 KiB that nobody wrote
 *
 * A hole is met in an empty pool, where the walk ends at the root, and between blocks of
 * data, where it ends at a leaf. An mmap pays at the first read of a page and less after.
 */
#include "peers.h"

#include <sys/mman.h>
#include <unistd.h>

enum { PIECE = 4096 };

static MemoryPool *empty, *between;
static unsigned char *mapped;
static int memory_file;

static void zeros(size_t offset, size_t size, unsigned char *buffer)
{
    (void)offset;
    memset(buffer, 0, size);
    keep(buffer);
}

static void read_empty(size_t offset, size_t size, unsigned char *buffer)
{
    pool_read(empty, buffer, offset, size);
}

/* Of each two blocks the first is a hole; the places go as far as half of the pool. */
static void read_between(size_t offset, size_t size, unsigned char *buffer)
{
    pool_read(between, buffer, offset * 2, size);
}

static void read_mapped(size_t offset, size_t size, unsigned char *buffer)
{
    memcpy(buffer, mapped + offset, size);
    keep(buffer);
}

static void read_file(size_t offset, size_t size, unsigned char *buffer)
{
    bench_require(pread(memory_file, buffer, size, (off_t)offset) == (ssize_t)size,
                  "pread");
}

static double time_mapped_first(const void *context)
{
    static _Alignas(4096) unsigned char buffer[PIECE];
    size_t span = bench_options.quick ? 4 * MIB : 64 * MIB, offset;
    double start;
    unsigned char *fresh =
        mmap(NULL, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)context;
    bench_require(fresh != MAP_FAILED, "mmap");
    start = bench_now();
    for (offset = 0; offset < span; offset += PIECE) {
        memcpy(buffer, fresh + offset, PIECE);
        keep(buffer);
    }
    start = bench_now() - start;
    munmap(fresh, span);
    return start / (double)(span / PIECE);
}

static void holes_open(void)
{
    size_t offset;
    uint64_t sum = 0;
    empty = pool_create(TIB, 64 * KIB);
    between = pool_create(LARGE, PIECE);
    mapped =
        mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memory_file = memfd_create("bench", 0);
    bench_require(empty != NULL && between != NULL && mapped != MAP_FAILED &&
                      memory_file >= 0 && ftruncate(memory_file, LARGE) == 0,
                  "making holes");
    for (offset = 0; offset < LARGE; offset += PIECE) {
        sum += mapped[offset];
        if (offset / PIECE % 2 == 1) {
            bench_require(pool_write(between, offset, "x", 1) == 1, "pool_write");
        }
    }
    bench_require(sum == 0, "reading zeros");
}

void row_holes(void)
{
    static const Timed of_empty = {read_empty, LARGE, PIECE};
    static const Timed of_hot = {read_between, HOT / 2, PIECE};
    static const Timed of_between = {read_between, LARGE / 2, PIECE};
    static const Timed of_memset = {zeros, LARGE, PIECE};
    static const Timed of_mapped = {read_mapped, LARGE, PIECE};
    static const Timed of_file = {read_file, LARGE, PIECE};
    Case it = {
        .row = "C5", .title = "read of a hole of 4 KiB", .unit = "ns", .reference = 3};
    holes_open();
    case_add(&it, "pool, empty", timed_transfers, &of_empty);
    case_add(&it, "pool, between data, in 256 KiB", timed_transfers, &of_hot);
    case_add(&it, "pool, between data, in 256 MiB", timed_transfers, &of_between);
    case_add(&it, "memset", timed_transfers, &of_memset);
    case_add(&it, "mmap, first read of a page", time_mapped_first, NULL);
    case_add(&it, "mmap, read again", timed_transfers, &of_mapped);
    case_add(&it, "memfd, pread", timed_transfers, &of_file);
    case_at_most(&it, 0, 1.2, 3);
    case_at_most(&it, 1, 1.2, 3);
    case_at_most(&it, 2, 1.2, 3);
    bench_run(&it);
    close(memory_file);
    munmap(mapped, LARGE);
    pool_destroy(between);
    pool_destroy(empty);
}
