/* SPDX-License-Identifier: MIT */
/*
 * pin_released_twice.c - releases a pin, and then a copy of its PoolView
 *
 * asan: double-free|heap-use-after-free
 * valgrind: Invalid free
 */
#include "wrong.h"

static void release(PoolView pin)
{
    pool_view_release(&pin); /* WRONG */
}

int main(void)
{
    MemoryPool *pool = filled_pool();
    PoolView pin = pin_of(pool, 0, TOTAL);
    release(pin);
    release(pin);
    pool_destroy(pool);
    return 0;
}
