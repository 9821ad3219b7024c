/* SPDX-License-Identifier: MIT */
/*
 * memory_group.c - in a control group that is allowed BYTES of memory
 *
 *     memory_group BYTES       run by tests/evidence/long/memory_group
 *
 * A control group does not refuse memory, but kills the process that needs more. So a
 * pool must stay within its own limit and report it, and cached memory must be small
 * beside that of the group.
 */
#include "long.h"
#include "pools.h"

enum { PIECE = 1 << 20 };

/* Writes until the pool's limit says no; returns how many bytes that were. */
static size_t fill(MemoryPool *pool, const unsigned char *bytes)
{
    size_t at = 0;
    while (pool_write(pool, at, bytes, PIECE) == PIECE)
        at += PIECE;
    CHECK_STATUS(POOL_LIMIT);
    return at;
}

int main(int argc, char **argv)
{
    size_t group = (size_t)long_argument(argc, argv, 1, 0);
    size_t limit = group / 4 * 3, most = 0;
    unsigned char *bytes = test_alloc(PIECE);
    CHECK(group >= (size_t)64 << 20);
    memset(bytes, 7, PIECE);
    /* Blocks of one size after another: none can use what the one before has left. */
    for (size_t round = 0; round < 40; round++) {
        MemoryPool *pool = make((size_t)1 << 40, (size_t)4096 << round % 9, limit);
        size_t filled = fill(pool, bytes);
        CHECK_LE_SIZE(limit - 2 * PIECE, filled);
        CHECK_EQ_INT(pool_discard(pool, 0, filled / 2), POOL_OK);
        CHECK_LE_SIZE(filled / 2, fill(pool, bytes) + PIECE);
        pool_destroy(pool);
        pool = make(1, 1, 0);
        most = stats_of(pool).cached_bytes > most ? stats_of(pool).cached_bytes : most;
        pool_destroy(pool);
    }
    CHECK_LE_SIZE(most, group / 8);
    printf("40 pools of %zu MiB in a group of %zu MiB; %.1f MiB kept at most\n",
           limit >> 20, group >> 20, (double)most / (1 << 20));
    free(bytes);
    return 0;
}
