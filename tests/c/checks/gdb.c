/* SPDX-License-Identifier: MIT */
/* gdb.c - pools for gdb to look at; see gdb.cmake */
#include "memory_pool.h"

void look_at(MemoryPool *pool, MemoryPool *limited);

/* Where gdb stops. */
void look_at(MemoryPool *pool, MemoryPool *limited)
{
    (void)pool_retain(limited);
    pool_destroy(limited);
    (void)pool_retain(pool);
    pool_destroy(pool);
}

int main(void)
{
    const PoolOptions options = {sizeof options, 1000, 64, 640, 0};
    MemoryPool *pool = pool_create(1 << 20, 4096), *clone = pool_clone(pool);
    MemoryPool *limited = pool_create_with(&options);
    (void)pool_write(pool, 4095, "ab", 2);
    (void)pool_write(clone, 0, "c", 1);
    (void)pool_retain(pool);
    look_at(pool, limited);
    pool_destroy(pool);
    pool_destroy(pool);
    pool_destroy(clone);
    pool_destroy(limited);
    return 0;
}
