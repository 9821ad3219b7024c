/* SPDX-License-Identifier: MIT */
/* digests.h - digests of pools, checked against those of others with the same bytes */
#ifndef DIGESTS_H
#define DIGESTS_H

#include "pools.h"

typedef struct Hash {
    unsigned char bytes[32];
} Hash;

enum { BLOCK = 4096, BLOCKS = 64, WHOLE = BLOCK * BLOCKS };

static inline Hash digest_of(MemoryPool *pool)
{
    Hash digest;
    CHECK_RETURNS(pool_digest(pool, digest.bytes), POOL_OK);
    return digest;
}

/* A pool with the bytes of another one, of a family of its own, with other blocks. */
static inline MemoryPool *stranger(MemoryPool *pool, size_t block_size)
{
    size_t size = stats_of(pool).total_size;
    unsigned char *bytes = test_alloc(size);
    MemoryPool *other = make(size, block_size, 0);
    CHECK_EQ_SIZE(pool_read(pool, bytes, 0, size), size);
    CHECK_EQ_SIZE(pool_write(other, 0, bytes, size), size);
    free(bytes);
    return other;
}

/* Checks the digest against that of a stranger, which was never made before. */
static inline void check_digest(MemoryPool *pool)
{
    MemoryPool *other = stranger(pool, BLOCK / 2);
    Hash expected = digest_of(other), digest = digest_of(pool);
    CHECK_MEM(digest.bytes, expected.bytes, sizeof digest);
    pool_destroy(other);
}

static inline MemoryPool *make_full(void)
{
    MemoryPool *pool = make(WHOLE, BLOCK, 0);
    unsigned char *bytes = test_alloc(WHOLE);
    TestRandom random = {test_seed};
    test_random_bytes(&random, bytes, WHOLE);
    CHECK_EQ_SIZE(pool_write(pool, 0, bytes, WHOLE), WHOLE);
    free(bytes);
    return pool;
}

#endif /* DIGESTS_H */
