/* SPDX-License-Identifier: MIT */
/*
 * adoption_leaked.c - adopts memory that is never released, because a clone is forgotten
 *
 * asan: LeakSanitizer: detected memory leaks
 * valgrind: definitely lost
 */
#include "wrong.h"

static void release(void *data, size_t size, void *context)
{
    (void)size;
    (void)context;
    free(data);
}

static void adopt(MemoryPool *pool)
{
    void *data = malloc(BLOCK); /* WRONG */
    (void)pool_adopt(pool, 0, data, BLOCK, release, NULL);
}

static void leak(MemoryPool *pool)
{
    (void)pool_clone(pool); /* WRONG */
}

int main(void)
{
    MemoryPool *pool = filled_pool();
    adopt(pool);
    leak(pool);
    pool_destroy(pool);
    forget();
    return 0;
}
