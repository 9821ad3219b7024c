/* SPDX-License-Identifier: MIT */
/*
 * view_released_twice.c - releases a view, and then a copy of its PoolView
 *
 * asan: double-free|heap-use-after-free
 * valgrind: Invalid free
 */
#include "wrong.h"

static void release(PoolView view)
{
    pool_view_release(&view); /* WRONG */
}

int main(void)
{
    MemoryPool *pool = filled_pool();
    PoolView view = view_of(pool, 10, 100);
    release(view);
    release(view);
    pool_destroy(pool);
    return 0;
}
