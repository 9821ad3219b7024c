/* SPDX-License-Identifier: MIT */
/*
 * pools_leaked.c - forgets large pools with many blocks, clones and pins, whose bookkeeping is in pages
 *
 * asan: LeakSanitizer: detected memory leaks
 * valgrind: definitely lost
 */
#include "wrong.h"

enum { POOLS = 4, MANY = 5000 };

static void leak(void)
{
    static unsigned char bytes[BLOCK];
    MemoryPool *pool = pool_create((size_t)1 << 40, 512); /* WRONG */
    MemoryPool *clone;
    PoolView pin;
    size_t i;
    for (i = 0; i < MANY; i++) {
        (void)pool_write(pool, i * 512 * 40, "abc", 3);
    }
    (void)pool_adopt(pool, 0, bytes, sizeof bytes, NULL, NULL);
    clone = pool_clone(pool); /* WRONG */
    pin = pin_of(clone, 1 << 20, 512);
    memset(pin.data, 1, pin.size);
}

int main(void)
{
    int i;
    for (i = 0; i < POOLS; i++) {
        leak();
    }
    forget();
    return 0;
}
