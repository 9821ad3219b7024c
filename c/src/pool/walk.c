/* SPDX-License-Identifier: MIT */
/*
 * walk.c - where a pool holds data, in which state, and where it differs from a relative
 *
 * All three calls are one search: for the first run of blocks, in a range, that differ
 * between two trees. To find data, the other tree is empty; to find data in one state, a
 * run also ends where the state changes. The search does not look past the range, so that
 * no call locks a pool for longer than its range takes.
 */
#include "pool.h"

/* Finds such a run; *start and *size are then its part of [offset, end), and *state its
 * block state. other is NULL for the search for data; state is NULL if the state does not
 * matter. end is not past the end of the larger pool. Context: the caller has locked the
 * pool, and that of other, exclusively. */
static bool walk_find(const MemoryPool *pool, const Tree *other, size_t end,
                      size_t offset, size_t *start, size_t *size, size_t *state)
{
    TreeRun run = {0, state != NULL, false, 0, 0, 0};
    POOL_ASSERT(pool_lock_is_exclusive(&pool->locks));
    if (offset >= end) {
        return false;
    }
    run.last = pool_index(pool, end - 1);
    if (!tree_find_run(&pool->tree, other, pool_index(pool, offset), &run)) {
        return false;
    }
    *start = checked_max(run.first << pool->block_shift, offset);
    *size = (run.end <= run.last ? run.end << pool->block_shift : end) - *start;
    if (state != NULL) {
        *state = run.state - 1;
    }
    return true;
}

/* Finds a run of data, in one state unless state is NULL. Locks: the pool exclusively. */
static int walk_data(MemoryPool *pool, size_t offset, size_t end, size_t *start,
                     size_t *size, size_t *state)
{
    bool found;
    Guard guard;
    if (pool == NULL || start == NULL || size == NULL) {
        (void)status_set(POOL_INVALID);
        return -1;
    }
    guard = pool_lock_exclusive(&pool->locks);
    end = checked_min(end, pool_total(pool));
    found = walk_find(pool, NULL, end, offset, start, size, state);
    pool_unlock(&pool->locks, guard);
    (void)status_set(POOL_OK);
    return found;
}

/* Locks: the pool exclusively. */
int pool_next_extent(MemoryPool *pool, size_t offset, size_t end, size_t *start,
                     size_t *size)
{
    HANDLE_CHECK(pool);
    return walk_data(pool, offset, end, start, size, NULL);
}

/* Locks: the pool exclusively. */
int pool_next_state(MemoryPool *pool, size_t offset, size_t end, size_t *start,
                    size_t *size, size_t *state)
{
    HANDLE_CHECK(pool);
    if (state == NULL) {
        (void)status_set(POOL_INVALID);
        return -1;
    }
    return walk_data(pool, offset, end, start, size, state);
}

/* ---------------------------------------------------------------------- changes */

/* One of two pools that are compared. Where it has pinned blocks, their frozen copies are
 * compared, and with them what was written since. */
typedef struct Side {
    MemoryPool *pool;
    const Tree *tree;
    PinCursor cursor; /* pin NULL: there is none at the index */
    Pin *entered;     /* the pins that were met               */
} Side;

/* The block of a side at an index if it is pinned, else NULL. */
static Block *side_pinned(const Side *side, size_t index)
{
    bool inside = index <= pool_index(side->pool, pool_total(side->pool) - 1);
    Block *block = inside ? tree_block(&side->pool->tree, index) : NULL;
    return block == NULL || !block_is_pinned(block) ? NULL : block;
}

/* Goes to an index; returns up to where, last at most, the side has one pin, or none.
 * (Where one begins is found by the comparison: its blocks are in no other tree.) */
static size_t side_move(Side *side, size_t index, size_t last)
{
    PinCursor *cursor = &side->cursor;
    if (cursor->pin == NULL || index > pin_last(cursor->pin)) {
        Block *block = side_pinned(side, index);
        memset(cursor, 0, sizeof *cursor);
        if (block != NULL) {
            cursor->pin = pin_enter(side->pool, block, &side->entered);
        }
        side->tree = cursor->pin == NULL ? &side->pool->tree : &cursor->pin->frozen;
    }
    return cursor->pin == NULL ? last : checked_min(last, pin_last(cursor->pin));
}

/* Lowers *found, if what was written at one side from an index on, up to there, is found.
 * */
static bool side_find_written(Side *side, size_t from, size_t *found)
{
    return side->cursor.pin != NULL &&
           pin_find_change(&side->cursor, from, *found, found);
}

/* The first index from from to last at which two pools may differ. */
static bool sides_find(Side *a, Side *b, size_t from, size_t last, size_t *found)
{
    for (;;) {
        size_t end = side_move(b, from, side_move(a, from, last));
        TreeRun run = {0, false, true, 0, 0, 0};
        bool different, written;
        run.last = end;
        different = tree_find_run(a->tree, b->tree, from, &run);
        *found = different ? run.first : end;
        written = side_find_written(a, from, found);
        if (side_find_written(b, from, found) || written) {
            return true;
        }
        if (different && ((a->cursor.pin == NULL && side_pinned(a, *found) != NULL) ||
                          (b->cursor.pin == NULL && side_pinned(b, *found) != NULL))) {
            from = *found; /* a pin begins there */
        } else if (different) {
            return true;
        } else if (end == last) {
            return false;
        } else {
            from = end + 1;
        }
    }
}

/* walk_find for two sides of which some blocks are pinned. */
static bool sides_walk(Side *a, Side *b, size_t end, size_t offset, size_t *start,
                       size_t *size)
{
    unsigned shift = a->pool->block_shift;
    size_t index, first, last, found;
    if (offset >= end) {
        return false;
    }
    last = (end - 1) >> shift;
    if (!sides_find(a, b, offset >> shift, last, &first)) {
        return false;
    }
    for (index = first; index < last; index++) {
        if (!sides_find(a, b, index + 1, index + 1, &found)) {
            break;
        }
    }
    *start = checked_max(first << shift, offset);
    *size = (index < last ? (index + 1) << shift : end) - *start;
    return true;
}

/* The same for two pools. Locks: the arena. */
static bool walk_find_pinned(MemoryPool *pool, MemoryPool *base, size_t end,
                             size_t offset, size_t *start, size_t *size,
                             Reservation *reservation)
{
    Arena *arena = &pool->family->arena;
    Side a = {0}, b = {0};
    bool found;
    a.pool = pool;
    b.pool = base;
    found = sides_walk(&a, &b, end, offset, start, size);
    pins_leave(arena, a.entered, reservation);
    pins_leave(arena, b.entered, reservation);
    reservation_empty(reservation, arena);
    return found;
}

/* Locks: both pools exclusively; inside them the arena, if they have pins. */
int pool_next_change(MemoryPool *pool, MemoryPool *base, size_t offset, size_t end,
                     size_t *start, size_t *size)
{
    HANDLE_CHECK(pool);
    HANDLE_CHECK(base);
    PoolStatus status = pools_relation(pool, base);
    Reservation reservation = {0};
    bool found;
    if (start == NULL || size == NULL) {
        status = POOL_INVALID;
    }
    if (status_set(status) != POOL_OK) {
        return -1;
    }
    pools_lock(pool, base);
    end = checked_min(end, checked_max(pool_total(pool), pool_total(base)));
    found = pool != base && pins_count(pool) + pins_count(base) > 0
                ? walk_find_pinned(pool, base, end, offset, start, size, &reservation)
                : walk_find(pool, &base->tree, end, offset, start, size, NULL);
    pools_unlock(pool, base);
    reservation_release_adopted(&reservation);
    return found;
}
