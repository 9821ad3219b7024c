/* SPDX-License-Identifier: MIT */
/*
 * pin_leaked.c - forgets a pin
 *
 * asan: LeakSanitizer: detected memory leaks
 * valgrind: definitely lost
 */
#include "wrong.h"

MemoryPool *alive;

static void leak(void)
{
    PoolView pin = {sizeof pin, NULL, 0, NULL, NULL, NULL, 0};
    (void)pool_pin(alive, 0, TOTAL, &pin); /* WRONG */
}

int main(void)
{
    alive = filled_pool();
    leak();
    forget();
    return 0;
}
