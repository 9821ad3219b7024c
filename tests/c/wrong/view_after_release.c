/* SPDX-License-Identifier: MIT */
/*
 * view_after_release.c - reads a view that was released
 *
 * asan: heap-use-after-free
 * valgrind: Invalid read
 */
#include "wrong.h"

static void read_late(const unsigned char *data)
{
    use(data); /* WRONG */
}

int main(void)
{
    MemoryPool *pool = filled_pool();
    PoolView view = view_of(pool, 0, TOTAL / 2);
    const unsigned char *data = (unsigned char *)view.data;
    pool_view_release(&view); /* WRONG */
    read_late(data);
    pool_destroy(pool);
    return 0;
}
