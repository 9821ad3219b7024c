/* SPDX-License-Identifier: MIT */
/* pools.h - pools for tests, and pools of which a part is also in a flat array */
#ifndef POOLS_H
#define POOLS_H

#include "test.h"

enum { SPACE = 3000 };

static inline MemoryPool *make(size_t total_size, size_t block_size, size_t memory_limit)
{
    PoolOptions options = {.struct_size = sizeof options,
                           .total_size = total_size,
                           .max_block_size = block_size,
                           .memory_limit = memory_limit};
    MemoryPool *pool = pool_create_with(&options);
    CHECK_STATUS(POOL_OK);
    CHECK(pool != NULL);
    return pool;
}

static inline PoolStats stats_of(MemoryPool *pool)
{
    PoolStats stats = {.struct_size = sizeof stats};
    pool_stats(pool, &stats);
    CHECK_STATUS(POOL_OK);
    return stats;
}

/* In blocks; held and shared: of this pool; all: of the family, without adopted ones. */
static inline void check_blocks(MemoryPool *pool, size_t held, size_t shared, size_t all)
{
    PoolStats stats = stats_of(pool);
    CHECK_EQ_SIZE(stats.held_blocks, held);
    CHECK_EQ_SIZE(stats.held_bytes, held * stats.block_size);
    CHECK_EQ_SIZE(stats.shared_blocks, shared);
    CHECK_EQ_SIZE(stats.family_bytes, all * stats.block_size);
}

static inline void check_filled(MemoryPool *pool, size_t offset, int byte, size_t size)
{
    unsigned char *back = test_alloc(size);
    CHECK_EQ_SIZE(pool_read(pool, back, offset, size), size);
    CHECK_BYTES(back, byte, size);
    free(back);
}

/* A pool of which [base, base + SPACE) is also in an array. */
typedef struct Flat {
    MemoryPool *pool;
    size_t base;
    unsigned char bytes[SPACE];
} Flat;

static inline void flat_check(const Flat *flat)
{
    unsigned char back[SPACE];
    CHECK_EQ_SIZE(pool_read(flat->pool, back, flat->base, SPACE), SPACE);
    CHECK_MEM(back, flat->bytes, SPACE);
}

/* Some runs of data; the rest stays a hole. */
static inline void flat_scribble(Flat *flat, TestRandom *random)
{
    for (size_t i = test_below(random, 8); i > 0; i--) {
        size_t at = test_below(random, SPACE), size = test_below(random, SPACE - at) / 3;
        if (test_below(random, 4) == 0) {
            memset(flat->bytes + at, 0, size);
            CHECK_RETURNS(pool_discard(flat->pool, flat->base + at, size), POOL_OK);
            continue;
        }
        test_random_bytes(random, flat->bytes + at, size);
        CHECK_EQ_SIZE(pool_write(flat->pool, flat->base + at, flat->bytes + at, size),
                      size);
    }
}

#endif
