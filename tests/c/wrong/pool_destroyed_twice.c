/* SPDX-License-Identifier: MIT */
/*
 * pool_destroyed_twice.c - destroys a pool once too often
 *
 * asan: heap-use-after-free
 * valgrind: Invalid read
 */
#include "wrong.h"

static void destroy(MemoryPool *pool)
{
    pool_destroy(pool); /* WRONG */
}

int main(void)
{
    MemoryPool *pool = filled_pool(), *clone = pool_clone(pool);
    destroy(clone);
    destroy(clone);
    pool_destroy(pool);
    return 0;
}
