/* SPDX-License-Identifier: MIT */
/*
 * resize.c - making a pool larger or smaller in place
 */
#include "pool.h"

/* Plans what cutting a pool at total_size removes: all blocks beyond that, and the bytes
 * beyond it in the last block. (There may be such bytes even if the pool ends there
 * already: they were written through a pin that was released. For a pinned block see
 * pool_open_end in pins.c.) */
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
        if (block != NULL && !block_is_pinned(block) &&
            !data_is_zero(block_data(block) + piece.start, piece.size)) {
            cut.first -= !discard_keeps(&cut, pool, piece);
        }
    }
    return cut;
}

/* Locks: the pool exclusively; inside it the arena. */
static PoolStatus pool_try_resize(MemoryPool *pool, size_t total_size)
{
    Arena *arena = &pool->family->arena;
    Reservation reservation = {0};
    Guard guard = pool_lock_exclusive(&pool->locks);
    size_t end = checked_min(total_size, pool_total(pool));
    Pin *pins = pins_enter(pool, pool_index(pool, end - 1), SIZE_MAX);
    Discard cut = cut_plan(pool, end);
    Need need = discard_measure(pool, &cut);
    unsigned height = tree_height(pool_index(pool, total_size - 1) + 1);
    PoolStatus status;
    need.nodes += height - checked_min(height, tree_top(&pool->tree) + 1);
    status = reservation_fill(&reservation, arena, need);
    if (status == POOL_OK) {
        pool_open_end(pool);
        pins_cut(arena, pins, cut.first, &reservation);
        discard_apply(pool, &cut, &reservation);
        tree_raise(&pool->tree, height, &reservation);
        size_store_release(&pool->total_size, total_size);
        pool_open_end(pool);
    }
    pins_leave(arena, pins, &reservation);
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
