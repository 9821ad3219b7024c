/* SPDX-License-Identifier: MIT */
/*
 * family.c - families of pools, the registry of all of them, and fork
 *
 * A family owns the arena of its pools. The registry lists every family and every pool of
 * the process, the pools from the oldest to the youngest; several pools are locked in
 * that order. Its pointers are hidden from leak checkers (hidden.h).
 *
 * fork(): a child has only the thread that called fork, so that a lock of another thread
 * would stay locked for ever. The library therefore locks everything before the fork, in
 * the order below, so that no call is half done. The child initialises all locks again: a
 * thread that it lacks may have held a stripe for an instant, before it saw the shape
 * lock held, or may have waited in a queue.
 *
 * Lock order: registry, pools by age (of each the shape lock, then stripes), arena, chunk
 * cache. A thread that holds the lock of a pool never locks the registry.
 */
#include "pool.h"

/* The family and the pool of a link; NULL for NULL, as at the end of a list. */
static Family *link_family(HiddenLink *link)
{
    return (Family *)(void *)link; /* which is its first member */
}

static MemoryPool *link_pool(HiddenLink *link)
{
    return link == NULL ? NULL
                        : (MemoryPool *)(void *)((unsigned char *)link -
                                                 offsetof(MemoryPool, link));
}

/* The lists of the registry: the first one, and the next one or NULL. Context: the caller
 * holds the registry's lock. */
static Family *registry_first_family(void)
{
    POOL_ASSERT(lock_is_held(&registry.lock));
    return link_family(hidden_oldest(&registry.families));
}

static Family *family_next(const Family *family)
{
    return link_family(hidden_younger(&family->link));
}

static MemoryPool *registry_first_pool(void)
{
    POOL_ASSERT(lock_is_held(&registry.lock));
    return link_pool(hidden_oldest(&registry.pools));
}

static MemoryPool *pool_next(const MemoryPool *pool)
{
    return link_pool(hidden_younger(&pool->link));
}

/* ----------------------------------------------------------------------- fork */

/* Locks everything. */
static void fork_prepare(void)
{
    MemoryPool *pool;
    Family *family;
    lock_acquire(&registry.lock);
    for (pool = registry_first_pool(); pool != NULL; pool = pool_next(pool)) {
        (void)pool_lock_exclusive(&pool->locks);
    }
    for (family = registry_first_family(); family != NULL; family = family_next(family)) {
        lock_acquire(&family->arena.lock);
    }
    lock_acquire(&chunk_cache.lock);
}

static void fork_parent(void)
{
    MemoryPool *pool;
    Family *family;
    lock_release(&chunk_cache.lock);
    for (family = registry_first_family(); family != NULL; family = family_next(family)) {
        lock_release(&family->arena.lock);
    }
    for (pool = registry_first_pool(); pool != NULL; pool = pool_next(pool)) {
        pool_unlock_exclusive(&pool->locks);
    }
    lock_release(&registry.lock);
}

static void fork_child(void)
{
    MemoryPool *pool;
    Family *family;
    written_after_fork_child();
    lock_init(&chunk_cache.lock);
    for (family = registry_first_family(); family != NULL; family = family_next(family)) {
        lock_init(&family->arena.lock);
    }
    for (pool = registry_first_pool(); pool != NULL; pool = pool_next(pool)) {
        pool_lock_init(&pool->locks);
    }
    lock_init(&registry.lock);
}

/* ------------------------------------------------------------------- registry */

/* Adds a pool, and its family if this is its first pool. The pool gets a reference to the
 * family. POOL_NO_MEMORY if the handlers for fork cannot be installed. Locks: the
 * registry. */
static PoolStatus registry_add(MemoryPool *pool)
{
    Family *family = pool->family;
    lock_acquire(&registry.lock);
    if (!registry.fork_handlers_set) {
        registry.fork_handlers_set =
            platform_at_fork(fork_prepare, fork_parent, fork_child);
        if (!registry.fork_handlers_set) {
            lock_release(&registry.lock);
            return POOL_NO_MEMORY;
        }
    }
    if (size_load_relaxed(&family->pools) == 0) {
        hidden_add(&registry.families, &family->link);
    }
    size_add_relaxed(&family->refs, 1);
    size_add_relaxed(&family->pools, 1);
    pool->age = ++registry.ages;
    hidden_add(&registry.pools, &pool->link);
    lock_release(&registry.lock);
    return POOL_OK;
}

/* Drops a reference to a family. The last one frees it; no pool, view or pin is left
 * then. Locks: the registry. */
static void family_release(Family *family)
{
    if (size_sub_acq_rel(&family->refs, 1) == 1) {
        lock_acquire(&registry.lock);
        hidden_remove(&registry.families, &family->link);
        lock_release(&registry.lock);
        arena_close(&family->arena);
        platform_free(family);
    }
}

/* Removes a pool. Locks: the registry. */
static void registry_remove(MemoryPool *pool)
{
    lock_acquire(&registry.lock);
    hidden_remove(&registry.pools, &pool->link);
    size_sub_relaxed(&pool->family->pools, 1);
    lock_release(&registry.lock);
}

/* Locks: the registry, inside it each arena; then the chunk cache. */
size_t pool_trim(void)
{
    Family *family;
    size_t freed = 0;
    lock_acquire(&registry.lock);
    for (family = registry_first_family(); family != NULL; family = family_next(family)) {
        freed += arena_trim(&family->arena);
    }
    lock_release(&registry.lock);
    freed += chunk_cache_trim();
    (void)status_set(POOL_OK);
    return freed;
}
