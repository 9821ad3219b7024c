/* SPDX-License-Identifier: MIT */
/*
 * right_globals.c - ends while its variables have pools, views and pins
 *
 * asan: silent
 * valgrind: silent
 */
#include "wrong.h"

/* So many blocks that bookkeeping is in pages as well as in memory from malloc. */
enum { SMALL = 512, MANY = 2000, FAR = 40 };
MemoryPool *small, *dense, *sparse, *clone;
PoolView view, pin;

static MemoryPool *pool_of_many(size_t step)
{
    MemoryPool *pool = pool_create((size_t)1 << 40, SMALL);
    for (size_t i = 0; i < MANY; i++)
        (void)pool_write(pool, i * step * SMALL, "abc", 3);
    return pool;
}

static void free_it(void *data, size_t size, void *context)
{
    (void)size;
    (void)context;
    free(data);
}

int main(void)
{
    unsigned char digest[32];
    void *adopted = calloc(MANY, SMALL);
    small = filled_pool();
    view = view_of(small, 10, 100);
    pin = pin_of(small, BLOCK, 3 * BLOCK);
    dense = pool_of_many(1);
    (void)pool_digest(dense, digest);
    sparse = pool_of_many(FAR);
    (void)pool_adopt(sparse, (size_t)1 << 30, adopted, (size_t)MANY * SMALL, free_it,
                     NULL);
    clone = pool_clone(sparse);
    adopted = NULL;
    forget();
    return 0;
}
