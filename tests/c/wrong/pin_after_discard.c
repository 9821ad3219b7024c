/* SPDX-License-Identifier: MIT */
/*
 * pin_after_discard.c - writes through a pin that was released, to a block that was freed
 *
 * asan: use-after-poison
 * valgrind: Invalid write
 */
#include "wrong.h"

static void write_late(unsigned char *data)
{
    *data = 1; /* WRONG */
}

int main(void)
{
    MemoryPool *pool = filled_pool();
    PoolView pin = pin_of(pool, 0, BLOCK);
    unsigned char *data = (unsigned char *)pin.data;
    pool_view_release(&pin);
    (void)pool_discard(pool, 0, BLOCK);
    write_late(data);
    pool_destroy(pool);
    return 0;
}
