/* SPDX-License-Identifier: MIT */
/*
 * view.c - frozen memory of a pool in the caller's hands
 *
 * A VIEW holds blocks as the slots of nodes do. To everybody else they are then shared,
 * and the next write copies them: what the view shows never changes. It reaches as far as
 * blocks follow each other, as their data does then. A hole is viewed in pages of zeros
 * that all views of holes share; pinned blocks are viewed in their frozen copies
 * (freeze.c). A view, as a pin, holds a reference to the family, so that its memory lives
 * until it is released. Under the tools of poison.h it has a guard besides (guard.c).
 */
#include "pool.h"

/* Whether a view or pin of a range may be had; fails as pool_view does. */
static PoolStatus view_check(const MemoryPool *pool, size_t offset, size_t size,
                             const PoolView *view)
{
    if (pool == NULL || view == NULL || view->struct_size < sizeof *view || size == 0) {
        return POOL_INVALID;
    }
    return checked_fits(pool_total(pool), offset, size) ? POOL_OK : POOL_RANGE;
}

/* Drops what a view or pin holds, and empties it. Locks: as pool_view_release. */
static void view_drop(PoolView *view)
{
    Family *family = (Family *)view->family;
    Reservation reservation = {0};
    if (view->pin != NULL) {
        pin_release((Pin *)view->pin, &family->arena, &reservation);
    }
    while (view->blocks > 0) {
        block_drop((Block *)view->block + --view->blocks, &reservation);
    }
    reservation_empty(&reservation, &family->arena);
    size_sub_relaxed(&family->views, 1);
    family_release(family);
    view->data = NULL;
    view->size = 0;
    view->family = view->block = view->pin = NULL;
    reservation_release_adopted(&reservation);
}

/* Fills in a view of size bytes at data that holds blocks from that one on, or a pin. */
static void view_set(PoolView *view, MemoryPool *pool, unsigned char *data, size_t size,
                     Block *block, size_t blocks, Pin *pin)
{
    size_add_relaxed(&pool->family->refs, 1);
    size_add_relaxed(&pool->family->views, 1);
    view->data = data;
    view->size = size;
    view->family = pool->family;
    view->block = block;
    view->blocks = blocks;
    view->pin = pin;
}

/* Holds blocks of a tree for a view: the one that has the first byte, and those after it
 * that follow it in memory and are not pinned, as far as the range goes. The caller has
 * locked them. Locks: the arena for a hole. */
static PoolStatus view_tree(MemoryPool *pool, const Tree *tree, size_t offset,
                            size_t size, PoolView *view)
{
    Piece piece = piece_at(pool, offset, size);
    AtomicPtr *slot = tree_slot(tree, piece.index);
    Block *block = slot == NULL ? NULL : slot_share(slot), *next = block;
    size_t blocks = block == NULL ? 0 : 1, reach = piece.size;
    unsigned char *data;
    if (block == NULL) {
        data = (unsigned char *)arena_zeros(&pool->family->arena);
        if (data == NULL) {
            return POOL_NO_MEMORY;
        }
    } else {
        data = block_data(block);
    }
    while (block != NULL && reach < size && !block_is_adopted(block)) {
        piece = piece_at(pool, offset + reach, size - reach);
        slot = tree_slot(tree, piece.index);
        next = slot == NULL ? NULL : slot_block(slot);
        if (!block_follows(pool, block, next, blocks) || block_is_pinned(next)) {
            break;
        }
        (void)slot_share(slot);
        reach += piece.size;
        blocks++;
    }
    view_set(view, pool, data + piece_at(pool, offset, size).start, reach, block, blocks,
             NULL);
    return POOL_OK;
}

/* The same where the first block is pinned, in a pool that is locked as a whole. Locks:
 * the arena. */
static PoolStatus view_pinned(MemoryPool *pool, Pin *pin, size_t offset, size_t size,
                              PoolView *view, Reservation *reservation)
{
    size_t first = pool_index(pool, offset);
    size_t last = checked_min(pool_index(pool, offset + (size - 1)),
                              pin->index + pin->attached - 1);
    PoolStatus status;
    size = checked_min(size, ((last + 1) << pool->block_shift) - offset);
    if (size >= RESERVATION_LONG) {
        interpreter_unlock();
    }
    pin_collect_range(pin, first, first);
    if (pin_is_zero(pin, first)) { /* a view of zeros is of one block */
        last = first;
    } else if (first < last) {
        pin_collect_range(pin, first + 1, last);
    }
    status = reservation_fill(reservation, &pool->family->arena,
                              pin_measure_range(pin, first, last));
    if (status == POOL_OK) {
        pin_freeze_range(pin, first, last, reservation);
        status = view_tree(pool, &pin->frozen, offset, size, view);
    }
    return status;
}

/* A view of any range, pinned or not. Locks: the whole pool, in it the arena. */
static PoolStatus view_exclusive(MemoryPool *pool, size_t offset, size_t size,
                                 PoolView *view)
{
    Reservation reservation = {0};
    Guard guard = pool_lock_exclusive(&pool->locks);
    PoolStatus status = POOL_RANGE;
    Pin *entered = NULL;
    if (checked_fits(pool_total(pool), offset, size)) {
        Block *block = tree_block(&pool->tree, pool_index(pool, offset));
        Pin *pin = block == NULL ? NULL : pin_enter(pool, block, &entered);
        status = pin != NULL ? view_pinned(pool, pin, offset, size, view, &reservation)
                             : view_tree(pool, &pool->tree, offset, size, view);
    }
    pins_leave(&pool->family->arena, entered, &reservation);
    reservation_empty(&reservation, &pool->family->arena);
    pool_unlock(&pool->locks, guard);
    reservation_release_adopted(&reservation);
    return status;
}

/* Locks: the stripes or a span of the range, or the whole pool if its first block is
 * pinned; in it the arena for a hole or a pinned block. */
PoolStatus pool_view(MemoryPool *pool, size_t offset, size_t size, PoolView *view)
{
    HANDLE_CHECK(pool);
    PoolStatus status = view_check(pool, offset, size, view);
    bool pinned = false, asked = false;
    PoolView before;
    Guard guard;
    if (status != POOL_OK) {
        return status_set(status);
    }
    before = *view;
    guard = pool_lock_range(&pool->locks, pool_index(pool, offset),
                            pool_index(pool, offset + (size - 1)));
    if (!checked_fits(pool_total(pool), offset, size)) {
        status = POOL_RANGE;
    } else {
        Block *block = tree_block(&pool->tree, pool_index(pool, offset));
        pinned = block != NULL && block_is_pinned(block);
        status = pinned ? POOL_OK : view_tree(pool, &pool->tree, offset, size, view);
    }
    pool_unlock(&pool->locks, guard);
    if (pinned) {
        do {
            status = view_exclusive(pool, offset, size, view);
        } while (limit_asks(pool, status, &asked));
    }
    status = view_guard(view, &before, status);
    return status_set(VIEW_MADE(status, pool, view));
}

/* Locks: the arena; with the last view of a family that has no pool left, the registry.
 */
void pool_view_release(PoolView *view)
{
    if (view != NULL && view->family != NULL) {
        VIEW_END(view);
        view_unguard(view);
        view_drop(view);
    }
    (void)status_set(POOL_OK);
}
