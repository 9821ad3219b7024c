/* SPDX-License-Identifier: MIT */
/*
 * pin_overrun.c - writes to the byte behind a pin of two blocks
 *
 * asan: use-after-poison
 * valgrind: Invalid write
 */
#include "wrong.h"

static void overrun(unsigned char *data, size_t size)
{
    data[size] = 1; /* WRONG */
}

int main(void)
{
    MemoryPool *pool = filled_pool();
    PoolView pin = pin_of(pool, BLOCK, 2 * BLOCK);
    overrun((unsigned char *)pin.data, pin.size);
    pool_view_release(&pin);
    pool_destroy(pool);
    return 0;
}
