/* SPDX-License-Identifier: MIT */
/*
 * walk.c - where a pool holds data, of which kind, and where it differs from a relative
 *
 * All are one question: the first run of blocks, in a range, in which two trees hold
 * something different. Where data is, the other tree is empty; by kind, the run ends
 * where the kind does as well. Nothing is looked at past the range, so that no call holds
 * a pool for longer than its range takes.
 */
#include "pool.h"

/* Whether such a run was found in a pool that is held as a whole (other as well, unless
 * it is NULL); then *start and *size are its part of [offset, end), and *kind its kind
 * (NULL: whatever it is). The larger pool reaches to end. */
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

/* A run of data, of one kind unless kind is NULL. Locks: the whole pool. */
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

/* Locks: the whole pool. */
int pool_next_extent(MemoryPool *pool, size_t offset, size_t end, size_t *start,
                     size_t *size)
{
    return walk_data(pool, offset, end, start, size, NULL);
}

/* Locks: the whole pool. */
int pool_next_state(MemoryPool *pool, size_t offset, size_t end, size_t *start,
                    size_t *size, size_t *state)
{
    if (state == NULL) {
        (void)status_set(POOL_INVALID);
        return -1;
    }
    return walk_data(pool, offset, end, start, size, state);
}

/* Locks: both pools as a whole. */
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
