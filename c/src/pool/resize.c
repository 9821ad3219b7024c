/* SPDX-License-Identifier: MIT */
/*
 * resize.c - making a pool larger or smaller in place
 */
#include "pool.h"

/* Plans what cutting a pool at total_size removes: all blocks beyond that, and the bytes
 * beyond it in the last block. (There may be such bytes even if the pool ends there
 * already: they were written through a pin after an earlier cut. A pinned block is
 * cleared without a look at its bytes: see data_is_zero in discard.c.) */
static Discard cut_plan(MemoryPool *pool, size_t total_size)
{
    size_t block_size = (size_t)1 << pool->block_shift;
    size_t last = pool_index(pool, total_size - 1);
    Block *block = tree_block(&pool->tree, last);
    Discard cut = {0};
    cut.first = last + 1;
    cut.end = pool_index(pool, pool_total(pool) - 1) + 1;
    if ((total_size & (block_size - 1)) != 0) {
        Piece piece;
        piece.index = last;
        piece.start = total_size & (block_size - 1);
        piece.size = block_size - piece.start;
        if (block != NULL &&
            (block_is_pinned(block) ||
             !data_is_zero(block_data(block) + piece.start, piece.size))) {
            cut.first -= !discard_keeps(&cut, pool, piece);
        }
    }
    return cut;
}

/* Locks: the pool exclusively; inside it the arena. */
static PoolStatus pool_try_resize(MemoryPool *pool, size_t total_size)
{
    Reservation reservation = {0};
    Discard cut;
    Need need;
    PoolStatus status;
    unsigned height;
    Guard guard = pool_lock_exclusive(&pool->locks);
    height = tree_height(pool_index(pool, total_size - 1) + 1);
    cut = cut_plan(pool, checked_min(total_size, pool_total(pool)));
    need = discard_measure(pool, &cut);
    need.nodes += height - checked_min(height, tree_top(&pool->tree) + 1);
    status = reservation_fill(&reservation, &pool->family->arena, need);
    if (status == POOL_OK) {
        Arena *arena = &pool->family->arena;
        Pin *pins = pins_enter(pool, cut.first, cut.end);
        pool_open_end(pool);
        pins_cut(arena, pins, cut.first, &reservation);
        pins_leave(arena, pins, &reservation);
        discard_apply(pool, &cut, &reservation);
        tree_raise(&pool->tree, height, &reservation);
        size_store_release(&pool->total_size, total_size);
    }
    write_end(pool, guard, &reservation);
    return status;
}

PoolStatus pool_resize(MemoryPool *pool, size_t total_size)
{
    HANDLE_CHECK(pool);
    PoolStatus status = POOL_INVALID;
    bool asked = false;
    if (pool != NULL && total_size > 0) {
        do {
            status = pool_try_resize(pool, total_size);
        } while (limit_asks(pool, status, &asked));
    }
    return status_set(status);
}
