/* SPDX-License-Identifier: MIT */
/*
 * pool_after_destroy.c - reads from a pool that was destroyed
 *
 * asan: heap-use-after-free
 * valgrind: Invalid read
 */
#include "wrong.h"

static void destroy(MemoryPool *pool)
{
    pool_destroy(pool); /* WRONG */
}

static void read_late(MemoryPool *pool)
{
    unsigned char byte;
    (void)pool_read(pool, &byte, 0, 1); /* WRONG */
}

int main(void)
{
    MemoryPool *pool = filled_pool(), *clone = pool_clone(pool);
    destroy(clone);
    read_late(clone);
    pool_destroy(pool);
    return 0;
}
