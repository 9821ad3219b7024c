/* SPDX-License-Identifier: MIT */
/*
 * view.c - zero-copy access to a pool's memory: immutable views and writable pins
 *
 * A VIEW has a reference to a block, as the slot of a node has. So the block is shared,
 * and the next write copies it: what the view shows never changes. All views of holes
 * share pages of zeros. For a PIN see pins.c. Views and pins have a reference to the
 * family, so that its memory lives until the last of them is released.
 */
#include "pool.h"

/* Checks the arguments of pool_view and pool_pin; returns their errors. */
static PoolStatus view_check(const MemoryPool *pool, size_t offset, size_t size,
                             const PoolView *view)
{
    if (pool == NULL || view == NULL || view->struct_size < sizeof *view || size == 0) {
        return POOL_INVALID;
    }
    return checked_fits(pool_total(pool), offset, size) ? POOL_OK : POOL_RANGE;
}

/* Fills in a view, which gets a reference to the family. */
static void view_set(PoolView *view, MemoryPool *pool, unsigned char *data, Piece piece,
                     Block *block, Pin *pin)
{
    size_add_relaxed(&pool->family->refs, 1);
    size_add_relaxed(&pool->family->views, 1);
    view->data = data + piece.start;
    view->size = piece.size;
    view->family = pool->family;
    view->block = block;
    view->pin = pin;
}

/* Adds a reference to the block of a piece for a view; *block is NULL for a hole. For a
 * pinned block it is a copy with the piece alone, because the caller of pool_pin may
 * write to the other bytes meanwhile. Context: the caller has locked the block. */
static PoolStatus view_block(MemoryPool *pool, Piece piece, Block **block,
                             Reservation *reservation)
{
    *block = tree_block(&pool->tree, piece.index);
    if (*block != NULL && block_is_pinned(*block)) {
        Need need = {1, 0, 0, 0};
        const Block *pinned = *block;
        PoolStatus status = reservation_fill(reservation, &pool->family->arena, need);
        if (status != POOL_OK) {
            return status;
        }
        *block = reservation_take_block(reservation);
        memcpy((*block)->data + piece.start, pinned->data + piece.start, piece.size);
        (*block)->from |= BLOCK_DIRTY;
    } else if (*block != NULL) {
        size_add_relaxed(&(*block)->refs, 1);
    }
    return POOL_OK;
}

/* Locks: the stripe of the block; inside it the arena, for a hole or a pinned block. */
PoolStatus pool_view(MemoryPool *pool, size_t offset, size_t size, PoolView *view)
{
    PoolStatus status = view_check(pool, offset, size, view);
    Reservation reservation = {0};
    unsigned char *data = NULL;
    Block *block = NULL;
    Piece piece;
    Lock *lock;
    if (status != POOL_OK) {
        return status_set(status);
    }
    piece = piece_at(pool, offset, size);
    lock = pool_lock_block(&pool->locks, piece.index);
    if (!checked_fits(pool_total(pool), offset, size)) {
        status = POOL_RANGE;
    } else {
        status = view_block(pool, piece, &block, &reservation);
    }
    if (status == POOL_OK) {
        data = block != NULL ? block_data(block)
                             : (unsigned char *)arena_zeros(&pool->family->arena);
        status = data == NULL ? POOL_NO_MEMORY : POOL_OK;
    }
    if (status == POOL_OK) {
        view_set(view, pool, data, piece, block, NULL);
    }
    lock_release(lock);
    return status_set(status);
}

/* Locks: the stripe of the block, or the pool exclusively if nodes must be allocated or
 * copied; inside it the arena. */
PoolStatus pool_pin(MemoryPool *pool, size_t offset, size_t size, PoolView *view)
{
    PoolStatus status = view_check(pool, offset, size, view);
    Reservation reservation = {0};
    Piece piece, nothing;
    Pin *pin;
    Guard guard;
    if (status != POOL_OK) {
        return status_set(status);
    }
    pin = (Pin *)memory_alloc(sizeof *pin);
    if (pin == NULL) {
        return status_set(POOL_NO_MEMORY);
    }
    piece = nothing = piece_at(pool, offset, size);
    nothing.size = 0;
    size = piece.size;
    status = write_begin(pool, offset, &size, WRITE_NOTHING, &guard, &reservation);
    if (status == POOL_OK) {
        Node *leaf = tree_unshare_leaf(&pool->tree, piece.index, &reservation);
        AtomicPtr *slot = node_slot(leaf, 0, piece.index);
        Block *block;
        if (slot_put(pool, slot, nothing, NULL, 0, &reservation) > 0) {
            tree_count(&pool->tree, piece.index, 1);
        }
        block = (Block *)ptr_load_acquire(slot);
        pin = pin_add(pool, piece.index, block, pin);
        view_set(view, pool, block->data, piece, NULL, pin);
        write_end(pool, guard, &reservation);
    } else {
        platform_free(pin);
    }
    return status_set(status);
}

/* Locks: the arena; the registry after the last view of a family without pools. */
void pool_view_release(PoolView *view)
{
    if (view != NULL && view->family != NULL) {
        Family *family = (Family *)view->family;
        Reservation reservation = {0};
        if (view->pin != NULL) {
            pin_remove((Pin *)view->pin, &family->arena, &reservation);
        } else if (view->block != NULL) {
            block_drop((Block *)view->block, &reservation);
        }
        reservation_empty(&reservation, &family->arena);
        size_sub_relaxed(&family->views, 1);
        family_release(family);
        view->data = NULL;
        view->size = 0;
        view->family = view->block = view->pin = NULL;
        reservation_release_adopted(&reservation);
    }
    (void)status_set(POOL_OK);
}
