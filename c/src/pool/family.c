/* SPDX-License-Identifier: MIT */
/*
 * family.c - pools that descend from one another, and the registry of all of them
 *
 * A family owns the arena of its pools. The registry lists every family and every pool of
 * the process, pools from the oldest to the youngest; that is the order in which several
 * of them are held.
 *
 * fork(): a child has only the thread that called fork, so a lock that another thread
 * holds would stay locked in it for ever. Before the fork everything is therefore held:
 * the registry, every pool as a whole (the oldest first), every arena and the chunk
 * cache, in the order in which the library takes them elsewhere. Then no call is half
 * done. The child makes all locks anew: a thread that does not exist there may have had a
 * stripe for an instant, to find the shape lock closed, or stood in line.
 *
 * Locks, in the order in which they are taken: registry, pools by age (shape lock, then
 * stripes), arena, store. The registry's is never asked for by a thread that holds a
 * pool.
 */
#include "pool.h"

/* The ring of families, which cannot be initialised statically in all compilers. The
 * caller has the registry's lock. */
static Family *registry_families(void)
{
    POOL_ASSERT(lock_is_held(&registry.lock));
    if (registry.families.next == NULL) {
        registry.families.next = registry.families.previous = &registry.families;
    }
    return &registry.families;
}

/* ----------------------------------------------------------------------- fork */

static void fork_prepare(void)
{
    MemoryPool *pool;
    Family *family;
    lock_acquire(&registry.lock);
    for (pool = registry.oldest; pool != NULL; pool = pool->younger) {
        (void)pool_lock_exclusive(&pool->locks);
    }
    for (family = registry_families()->next; family != registry_families();
         family = family->next) {
        lock_acquire(&family->arena.lock);
    }
    lock_acquire(&chunk_cache.lock);
}

static void fork_parent(void)
{
    MemoryPool *pool;
    Family *family;
    lock_release(&chunk_cache.lock);
    for (family = registry_families()->next; family != registry_families();
         family = family->next) {
        lock_release(&family->arena.lock);
    }
    for (pool = registry.oldest; pool != NULL; pool = pool->younger) {
        pool_unlock_exclusive(&pool->locks);
    }
    lock_release(&registry.lock);
}

static void fork_child(void)
{
    MemoryPool *pool;
    Family *family;
    lock_init(&chunk_cache.lock);
    for (family = registry_families()->next; family != registry_families();
         family = family->next) {
        lock_init(&family->arena.lock);
    }
    for (pool = registry.oldest; pool != NULL; pool = pool->younger) {
        pool_lock_init(&pool->locks);
    }
    lock_init(&registry.lock);
}

/* ------------------------------------------------------------------- registry */

/* Adds a pool, and its family if it is the first of it; the pool takes a reference to
 * the family. Locks: registry. */
static PoolStatus registry_add(MemoryPool *pool)
{
    Family *family = pool->family;
    Family *ring;
    lock_acquire(&registry.lock);
    if (!registry.fork_handlers_set) {
        registry.fork_handlers_set =
            platform_at_fork(fork_prepare, fork_parent, fork_child);
        if (!registry.fork_handlers_set) {
            lock_release(&registry.lock);
            return POOL_NO_MEMORY;
        }
    }
    ring = registry_families();
    if (size_load_relaxed(&family->pools) == 0) {
        family->next = ring;
        family->previous = ring->previous;
        ring->previous->next = family;
        ring->previous = family;
    }
    size_add_relaxed(&family->refs, 1);
    size_add_relaxed(&family->pools, 1);
    pool->age = ++registry.ages;
    pool->younger = NULL;
    pool->older = registry.youngest;
    *(pool->older != NULL ? &pool->older->younger : &registry.oldest) = pool;
    registry.youngest = pool;
    lock_release(&registry.lock);
    return POOL_OK;
}

/* Gives back a reference to a family, and ends it with the last one: then there is
 * neither a pool nor a view of it left. Locks: registry. */
static void family_release(Family *family)
{
    if (size_sub_acq_rel(&family->refs, 1) == 1) {
        lock_acquire(&registry.lock);
        family->previous->next = family->next;
        family->next->previous = family->previous;
        lock_release(&registry.lock);
        arena_close(&family->arena);
        platform_free(family);
    }
}

/* Takes a pool out. Locks: registry. */
static void registry_remove(MemoryPool *pool)
{
    lock_acquire(&registry.lock);
    *(pool->older != NULL ? &pool->older->younger : &registry.oldest) = pool->younger;
    *(pool->younger != NULL ? &pool->younger->older : &registry.youngest) = pool->older;
    size_sub_relaxed(&pool->family->pools, 1);
    lock_release(&registry.lock);
}

/* Locks: registry, then each arena, then the chunk cache. */
size_t pool_trim(void)
{
    Family *family;
    size_t freed = 0;
    lock_acquire(&registry.lock);
    for (family = registry_families()->next; family != registry_families();
         family = family->next) {
        freed += arena_trim(&family->arena);
    }
    lock_release(&registry.lock);
    freed += chunk_cache_trim();
    (void)status_set(POOL_OK);
    return freed;
}
