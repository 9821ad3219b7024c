/* SPDX-License-Identifier: MIT */
/*
 * batches.c - C14: a million items of 8 bytes in one call, at random places in 256 MiB
 *
 * The reference is the loop one would write over an array. The same through one call for
 * each item shows what pool_gather and pool_scatter save, and pool_read_many and
 * pool_write_many with ranges of 1 to 64 bytes.
 */
#include "peers.h"

enum { ITEMS = 1000000, LONGEST = 64 };

static size_t *offsets, *sizes;
static uint64_t *items;
static unsigned char *packed; /* the bytes of all ranges */
static size_t count;

static double loop_gather(const void *context)
{
    const unsigned char *flat = context;
    double start = bench_now();
    size_t i;
    for (i = 0; i < count; i++) {
        memcpy(&items[i], flat + offsets[i], 8);
    }
    keep(items);
    return (bench_now() - start) / (double)count;
}

static double loop_scatter(const void *context)
{
    unsigned char *flat = (unsigned char *)(uintptr_t)context;
    double start = bench_now();
    size_t i;
    for (i = 0; i < count; i++) {
        memcpy(flat + offsets[i], &items[i], 8);
    }
    keep(flat);
    return (bench_now() - start) / (double)count;
}

static MemoryPool *pool_of(const void *context)
{
    return peers_pool(*(const PeerIndex *)context);
}

static double gather(const void *context)
{
    double start = bench_now();
    bench_require(pool_gather(pool_of(context), items, offsets, count, 8) == POOL_OK,
                  "pool_gather");
    return (bench_now() - start) / (double)count;
}

static double scatter(const void *context)
{
    double start = bench_now();
    bench_require(pool_scatter(pool_of(context), offsets, items, count, 8) == POOL_OK,
                  "pool_scatter");
    return (bench_now() - start) / (double)count;
}

static double single_reads(const void *context)
{
    MemoryPool *pool = pool_of(context);
    double start = bench_now();
    size_t i;
    for (i = 0; i < count; i++) {
        pool_read(pool, &items[i], offsets[i], 8);
    }
    return (bench_now() - start) / (double)count;
}

static double single_writes(const void *context)
{
    MemoryPool *pool = pool_of(context);
    double start = bench_now();
    size_t i;
    for (i = 0; i < count; i++) {
        pool_write(pool, offsets[i], &items[i], 8);
    }
    return (bench_now() - start) / (double)count;
}

/* -------------------------------------------------------- ranges of 1 to 64 bytes */

static double loop_read_many(const void *context)
{
    const unsigned char *flat = context;
    unsigned char *at = packed;
    double start = bench_now();
    size_t i;
    for (i = 0; i < count; i++) {
        memcpy(at, flat + offsets[i], sizes[i]);
        at += sizes[i];
    }
    keep(packed);
    return (bench_now() - start) / (double)count;
}

static double loop_write_many(const void *context)
{
    unsigned char *flat = (unsigned char *)(uintptr_t)context;
    const unsigned char *at = packed;
    double start = bench_now();
    size_t i;
    for (i = 0; i < count; i++) {
        memcpy(flat + offsets[i], at, sizes[i]);
        at += sizes[i];
    }
    keep(flat);
    return (bench_now() - start) / (double)count;
}

static double read_many(const void *context)
{
    double start = bench_now();
    bench_require(pool_read_many(pool_of(context), packed, offsets, sizes, count) ==
                      POOL_OK,
                  "pool_read_many");
    return (bench_now() - start) / (double)count;
}

static double write_many(const void *context)
{
    double start = bench_now();
    bench_require(pool_write_many(pool_of(context), offsets, sizes, packed, count) ==
                      POOL_OK,
                  "pool_write_many");
    return (bench_now() - start) / (double)count;
}

static double single_long_reads(const void *context)
{
    MemoryPool *pool = pool_of(context);
    unsigned char *at = packed;
    double start = bench_now();
    size_t i;
    for (i = 0; i < count; i++) {
        at += pool_read(pool, at, offsets[i], sizes[i]);
    }
    return (bench_now() - start) / (double)count;
}

static double single_long_writes(const void *context)
{
    MemoryPool *pool = pool_of(context);
    const unsigned char *at = packed;
    double start = bench_now();
    size_t i;
    for (i = 0; i < count; i++) {
        at += pool_write(pool, offsets[i], at, sizes[i]);
    }
    return (bench_now() - start) / (double)count;
}

static void batches_case(const char *title, const char *size, Measure batch, Measure loop,
                         Measure singles)
{
    static const PeerIndex small = POOL_4K, large = POOL_64K;
    Case it = {.row = "C14", .unit = "ns an item", .reference = 2};
    snprintf(it.title, sizeof it.title, "%s of %zu items of %s bytes, in 256 MiB", title,
             count, size);
    case_add(&it, "pool, 4 KiB blocks", batch, &small);
    case_add(&it, "pool, 64 KiB blocks", batch, &large);
    case_add(&it, "a loop over an array", loop, peers_flat());
    case_add(&it, "pool, 4 KiB blocks, one by one", singles, &small);
    case_at_most(&it, 0, 2.0, 2);
    case_at_most(&it, 1, 2.0, 2);
    bench_run(&it);
}

void row_batches(void)
{
    uint64_t state = RANDOM_SEED, other = RANDOM_SEED + 1;
    size_t i;
    count = bench_options.quick ? ITEMS / 20 : ITEMS;
    offsets = malloc(2 * count * sizeof *offsets);
    items = calloc(count, sizeof *items);
    packed = malloc(count * LONGEST);
    bench_require(offsets != NULL && items != NULL && packed != NULL, "malloc");
    sizes = offsets + count;
    for (i = 0; i < count; i++) {
        offsets[i] = random_place(&state, LARGE - LONGEST, 8);
        sizes[i] = 1 + random_place(&other, LONGEST, 1);
    }
    peers_open();
    memset(items, 1, count * sizeof *items);
    memset(packed, 1, count * LONGEST);
    batches_case("gather", "8", gather, loop_gather, single_reads);
    batches_case("scatter", "8", scatter, loop_scatter, single_writes);
    batches_case("read_many", "1 to 64", read_many, loop_read_many, single_long_reads);
    batches_case("write_many", "1 to 64", write_many, loop_write_many,
                 single_long_writes);
    peers_close();
    free(packed);
    free(items);
    free(offsets);
}
