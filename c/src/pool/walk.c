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
    return walk_data(pool, offset, end, start, size, NULL);
}

/* Locks: the pool exclusively. */
int pool_next_state(MemoryPool *pool, size_t offset, size_t end, size_t *start,
                    size_t *size, size_t *state)
{
    if (state == NULL) {
        (void)status_set(POOL_INVALID);
        return -1;
    }
    return walk_data(pool, offset, end, start, size, state);
}

/* Locks: both pools exclusively. */
int pool_next_change(MemoryPool *pool, MemoryPool *base, size_t offset, size_t end,
                     size_t *start, size_t *size)
{
    PoolStatus status = pools_relation(pool, base);
    bool found;
    if (start == NULL || size == NULL) {
        status = POOL_INVALID;
    }
    if (status_set(status) != POOL_OK) {
        return -1;
    }
    pools_lock(pool, base);
    end = checked_min(end, checked_max(pool_total(pool), pool_total(base)));
    found = walk_find(pool, &base->tree, end, offset, start, size, NULL);
    pools_unlock(pool, base);
    return found;
}
