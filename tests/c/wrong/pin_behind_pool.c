/* SPDX-License-Identifier: MIT */
/*
 * pin_behind_pool.c - writes to the byte behind the last one of a pool, in its last block
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
    MemoryPool *pool = pool_create(2 * BLOCK + 1000, BLOCK), *clone;
    PoolView pin = pin_of(pool, BLOCK, BLOCK + 1000);
    memset(pin.data, 1, pin.size);
    clone = pool_clone(pool);
    (void)pool_restore(pool, clone);
    pool_destroy(clone);
    overrun((unsigned char *)pin.data, pin.size);
    pool_view_release(&pin);
    pool_destroy(pool);
    return 0;
}
