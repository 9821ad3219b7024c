/* SPDX-License-Identifier: MIT */
/*
 * changes.c - C9: finding 1,000 changed blocks among 16 GiB
 *
 * A pool is written to, cloned, and one block in each thousandth of it changed. What is
 * held counts for the tree, not what is touched: blocks of 64 KiB of which one page is
 * there make the same tree as full ones, out of 1 GiB.
 */
#include "bench.h"

enum { CHANGES = 1000 };

typedef struct Pair {
    MemoryPool *pool, *base;
    size_t block_size;
} Pair;

static double time_changes(const void *context)
{
    const Pair *pair = context;
    size_t at, start, size, found = 0;
    double begin = bench_now();
    for (at = 0;
         pool_next_change(pair->pool, pair->base, at, SIZE_MAX, &start, &size) == 1;
         at = start + size) {
        found += size;
    }
    begin = bench_now() - begin;
    bench_require(found == CHANGES * pair->block_size, "finding the changes");
    return begin / 1e3;
}

static Pair pair_make(size_t total, size_t block_size)
{
    Pair pair = {.pool = pool_create(total, block_size), .block_size = block_size};
    size_t stride = total / CHANGES / block_size * block_size, offset;
    uint64_t state = RANDOM_SEED;
    bench_require(pair.pool != NULL, "pool_create");
    for (offset = 0; offset < total; offset += block_size) {
        bench_require(pool_write(pair.pool, offset, "x", 1) == 1, "pool_write");
    }
    pair.base = pool_clone(pair.pool);
    bench_require(pair.base != NULL, "pool_clone");
    /* Never the last block of a stride, so that no two of them are neighbours. */
    for (offset = 0; offset < CHANGES * stride; offset += stride) {
        size_t place = offset + random_place(&state, stride - block_size, block_size);
        bench_require(pool_write(pair.pool, place, "y", 1) == 1, "pool_write");
    }
    return pair;
}

static void pair_end(Pair *pair)
{
    pool_destroy(pair->pool);
    pool_destroy(pair->base);
}

void row_changes(void)
{
    size_t total = bench_options.quick ? GIB : 16 * GIB;
    bool full = bench_options.full && bench_memory_available() > 18 * GIB;
    Pair large = pair_make(total, 64 * KIB), small = {.pool = NULL};
    Case it = {.row = "C9", .unit = "us"};
    snprintf(it.title, sizeof it.title, "pool_next_change over %s, 1,000 blocks changed",
             bench_size(total));
    case_add(&it, "pool, 64 KiB blocks", time_changes, &large);
    if (full) {
        small = pair_make(total, 4 * KIB);
        case_add(&it, "pool, 4 KiB blocks", time_changes, &small);
    } else {
        case_add_missing(&it, "pool, 4 KiB blocks",
                         bench_options.full ? "not enough memory" : "only with --full");
    }
    case_at_most(&it, EVERY, 200, ITSELF);
    bench_run(&it);
    pair_end(&large);
    pair_end(&small);
}
