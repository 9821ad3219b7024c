/* SPDX-License-Identifier: MIT */
/*
 * right_calls.c - uses a pool as it may be used, also after a part of it was freed
 *
 * asan: silent
 * valgrind: silent
 */
#include "wrong.h"

static unsigned char bytes[TOTAL];

/* What was freed is used again, and pages go back to the system in between. */
static void change(MemoryPool *pool)
{
    int i;
    for (i = 0; i < 20; i++) {
        (void)pool_fill(pool, 0, i + 1, TOTAL);
        (void)pool_discard(pool, (size_t)i % 7 * BLOCK, 3 * BLOCK);
        (void)pool_trim();
        (void)pool_read(pool, bytes, 0, TOTAL);
        (void)pool_write(pool, 1, bytes, TOTAL - 1);
    }
}

/* Touches a view and a pin of all of a pool from end to end. */
static void touch(MemoryPool *pool)
{
    PoolView pin = pin_of(pool, 0, TOTAL), other = pin_of(pool, 5, 10);
    PoolView view = view_of(pool, 0, TOTAL), hole;
    MemoryPool *clone = pool_clone(pool);
    memcpy(bytes, view.data, view.size);
    memset(pin.data, 7, pin.size);
    memset(other.data, 8, other.size);
    (void)pool_restore(pool, clone);
    (void)pool_resize(pool, BLOCK);
    memset(pin.data, 9, pin.size);
    hole = view_of(clone, TOTAL - 1, 1);
    pool_destroy(clone);
    use((unsigned char *)hole.data);
    pool_view_release(&hole);
    pool_view_release(&view);
    pool_view_release(&view);
    pool_view_release(&other);
    pool_view_release(&pin);
    (void)pool_resize(pool, TOTAL);
}

/* What a freed chunk had is other memory now, all of which may be touched. */
static void map_again(void)
{
    enum { MANY = 64, SIZE = 1 << 16 };
    static void *memory[MANY];
    int i;
    for (i = 0; i < MANY; i++) {
        memory[i] = calloc(1, SIZE);
        memset(memory[i], 1, SIZE);
    }
    for (i = 0; i < MANY; i++) {
        free(memory[i]);
    }
}

int main(void)
{
    MemoryPool *pool = filled_pool(), *again;
    change(pool);
    touch(pool);
    change(pool);
    pool_destroy(pool);
    (void)pool_trim();
    map_again();
    again = filled_pool();
    change(again);
    pool_destroy(again);
    return 0;
}
