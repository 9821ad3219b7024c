/* SPDX-License-Identifier: MIT */
/*
 * clone_leaked.c - forgets a clone of a pool that is destroyed, and one of a pool that lives
 *
 * asan: LeakSanitizer: detected memory leaks
 * valgrind: definitely lost
 */
#include "wrong.h"

MemoryPool *alive;

static void leak(MemoryPool *pool)
{
    (void)pool_clone(pool); /* WRONG */
}

static void leak_of_living(void)
{
    (void)pool_clone(alive); /* WRONG */
}

int main(void)
{
    MemoryPool *pool = filled_pool();
    alive = filled_pool();
    leak(pool);
    leak_of_living();
    pool_destroy(pool);
    forget();
    return 0;
}
