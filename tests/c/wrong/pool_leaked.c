/* SPDX-License-Identifier: MIT */
/*
 * pool_leaked.c - forgets a pool
 *
 * asan: LeakSanitizer: detected memory leaks
 * valgrind: definitely lost
 */
#include "wrong.h"

static void leak(void)
{
    MemoryPool *pool = pool_create(TOTAL, BLOCK); /* WRONG */
    (void)pool_write(pool, 100, "abc", 3);
}

int main(void)
{
    leak();
    forget();
    return 0;
}
