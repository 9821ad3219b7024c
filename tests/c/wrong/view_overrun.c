/* SPDX-License-Identifier: MIT */
/*
 * view_overrun.c - reads the byte behind a view
 *
 * asan: heap-buffer-overflow
 * valgrind: Invalid read
 */
#include "wrong.h"

static void overrun(const unsigned char *data, size_t size)
{
    use(data + size); /* WRONG */
}

int main(void)
{
    MemoryPool *pool = filled_pool();
    PoolView view = view_of(pool, 10, 100);
    overrun((unsigned char *)view.data, view.size);
    pool_view_release(&view);
    pool_destroy(pool);
    return 0;
}
