/* SPDX-License-Identifier: MIT */
/*
 * pin_underrun.c - writes to the byte before a pin of one block
 *
 * asan: use-after-poison
 * valgrind: Invalid write
 */
#include "wrong.h"

static void underrun(unsigned char *data)
{
    *(data - 1) = 1; /* WRONG */
}

int main(void)
{
    MemoryPool *pool = filled_pool();
    PoolView pin = pin_of(pool, BLOCK, BLOCK);
    underrun((unsigned char *)pin.data);
    pool_view_release(&pin);
    pool_destroy(pool);
    return 0;
}
