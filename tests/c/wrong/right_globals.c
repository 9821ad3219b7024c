/* SPDX-License-Identifier: MIT */
/*
 * right_globals.c - ends while its variables have pools, views and pins
 *
 * asan: silent
 * valgrind: silent
 */
#include "wrong.h"

enum { MANY = 5000 };
MemoryPool *small, *large, *clone;
PoolView view, pin;

/* Its bookkeeping is in pages and in memory from malloc. */
static void fill_large(void)
{
    size_t i;
    for (i = 0; i < MANY; i++) {
        (void)pool_write(large, i * 512 * 40, "abc", 3);
    }
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
    void *adopted = malloc(TOTAL);
    small = filled_pool();
    view = view_of(small, 10, 100);
    pin = pin_of(small, BLOCK, 3 * BLOCK);
    large = pool_create((size_t)1 << 40, 512);
    fill_large();
    memset(adopted, 1, TOTAL);
    (void)pool_adopt(large, (size_t)1 << 30, adopted, TOTAL, free_it, NULL);
    clone = pool_clone(large);
    (void)pool_digest(large, digest);
    adopted = NULL;
    forget();
    return 0;
}
