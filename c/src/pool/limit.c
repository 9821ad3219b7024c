/* SPDX-License-Identifier: MIT */
/*
 * limit.c - the memory limit of a family: set, asked about, measured
 *
 * Every public function that allocates blocks makes its attempt in a loop:
 *
 *     do {
 *         status = attempt(pool, ...);
 *     } while (limit_asks(pool, status, &asked));
 *
 * An attempt that fails has changed nothing and holds no lock, so that the family's
 * function may call whatever it likes. A call that this function makes asks nobody.
 */
#include "pool.h"

static POOL_THREAD_LOCAL bool limit_asking; /* this thread is in such a function */

/* Asks the family's function, if there is one, to free something; whether it did.
 * Context: the caller holds no lock. Locks: the arena, not during the function. */
static NOT_INLINE bool limit_ask(MemoryPool *pool)
{
    Family *family = pool->family;
    PoolLimitFunction function;
    void *context;
    bool freed;
    lock_acquire(&family->arena.lock);
    function = family->on_limit;
    context = family->on_limit_context;
    lock_release(&family->arena.lock);
    if (function == NULL || limit_asking) {
        return false;
    }
    limit_asking = true;
    interpreter_unlock();
    freed = function(pool, context) != 0;
    limit_asking = false;
    return freed;
}

/* Whether a call is to be attempted again: it met the limit for the first time, and
 * memory was freed. */
static inline bool limit_asks(MemoryPool *pool, PoolStatus status, bool *asked)
{
    if (status != POOL_LIMIT || *asked) {
        return false;
    }
    *asked = true;
    return limit_ask(pool);
}

/* Locks: the arena. */
PoolStatus pool_on_limit(MemoryPool *pool, PoolLimitFunction function, void *context)
{
    HANDLE_CHECK(pool);
    if (pool == NULL) {
        return status_set(POOL_INVALID);
    }
    lock_acquire(&pool->family->arena.lock);
    pool->family->on_limit = function;
    pool->family->on_limit_context = context;
    lock_release(&pool->family->arena.lock);
    return status_set(POOL_OK);
}

/* Locks: the arena. */
PoolStatus pool_set_limit(MemoryPool *pool, size_t memory_limit)
{
    HANDLE_CHECK(pool);
    if (pool == NULL) {
        return status_set(POOL_INVALID);
    }
    lock_acquire(&pool->family->arena.lock);
    pool->family->arena.limit = memory_limit == 0 ? SIZE_MAX : memory_limit;
    lock_release(&pool->family->arena.lock);
    return status_set(POOL_OK);
}

/* Locks: the arena. */
size_t pool_reset_peak(MemoryPool *pool, size_t peak)
{
    HANDLE_CHECK(pool);
    Arena *arena;
    size_t old;
    if (status_set(pool == NULL ? POOL_INVALID : POOL_OK) != POOL_OK) {
        return 0;
    }
    arena = &pool->family->arena;
    lock_acquire(&arena->lock);
    old = arena->peak;
    arena->peak = checked_max(arena->held, peak);
    lock_release(&arena->lock);
    return old;
}
