/* SPDX-License-Identifier: MIT */
/*
 * view_underrun.c - reads the byte before a view
 *
 * asan: heap-buffer-overflow
 * valgrind: Invalid read
 */
#include "wrong.h"

static void underrun(const unsigned char *data)
{
    use(data - 1); /* WRONG */
}

int main(void)
{
    MemoryPool *pool = filled_pool();
    PoolView view = view_of(pool, 10, 100);
    underrun((unsigned char *)view.data);
    pool_view_release(&view);
    pool_destroy(pool);
    return 0;
}
