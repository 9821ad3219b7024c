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

/* All of a pool that ends within a block, through a pin, and through calls. */
static void touch_end(MemoryPool *pool, const PoolView *pin)
{
    MemoryPool *clone = pool_clone(pool);
    PoolView view;
    memset(pin->data, 3, pin->size);
    (void)pool_digest(pool, bytes);
    (void)pool_same(pool, clone);
    (void)pool_copy(pool, 0, pool, 1, pin->size - 1);
    (void)pool_take(pool, bytes, 1, pin->size - 1);
    (void)pool_restore(pool, clone);
    view = view_of(pool, 0, pin->size);
    (void)pool_discard(pool, 0, pin->size);
    (void)pool_copy(pool, 0, clone, 0, pin->size);
    pool_view_release(&view);
    pool_destroy(clone);
}

/* A pool of which the end moves while its last block is pinned. Whoever pinned what is cut
 * off goes on to use it. */
static void move_end(void)
{
    enum { SIZE = 2 * BLOCK + 1000 };
    MemoryPool *pool = pool_create(SIZE, BLOCK), *small, *large;
    PoolView pin = pin_of(pool, 0, SIZE), rest;
    touch_end(pool, &pin);
    small = pool_clone(pool);
    large = pool_clone(pool);
    (void)pool_resize(small, SIZE - 10);
    (void)pool_resize(large, 4 * BLOCK);
    (void)pool_write(large, SIZE, bytes, BLOCK);
    (void)pool_restore(pool, small);
    memset(pin.data, 4, pin.size);
    (void)pool_restore(pool, large);
    rest = pin_of(pool, SIZE, 3 * BLOCK - SIZE);
    memset(rest.data, 5, rest.size);
    pool_view_release(&rest);
    (void)pool_resize(pool, BLOCK + 1);
    memset(pin.data, 6, pin.size);
    (void)pool_resize(pool, SIZE);
    pool_view_release(&pin);
    pin = pin_of(pool, 0, SIZE);
    touch_end(pool, &pin);
    pool_destroy(pool);
    memset(pin.data, 7, pin.size);
    pool_view_release(&pin);
    pool_destroy(small);
    pool_destroy(large);
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
    move_end();
    (void)pool_trim();
    map_again();
    again = filled_pool();
    change(again);
    pool_destroy(again);
    return 0;
}
