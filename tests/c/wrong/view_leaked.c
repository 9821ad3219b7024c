/* SPDX-License-Identifier: MIT */
/*
 * view_leaked.c - forgets a view
 *
 * asan: LeakSanitizer: detected memory leaks
 * valgrind: definitely lost
 */
#include "wrong.h"

MemoryPool *alive;

static void leak(void)
{
    PoolView view = {sizeof view, NULL, 0, NULL, NULL, NULL, 0};
    (void)pool_view(alive, 10, 100, &view); /* WRONG */
}

int main(void)
{
    alive = filled_pool();
    leak();
    forget();
    return 0;
}
