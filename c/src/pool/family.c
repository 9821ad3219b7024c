/* SPDX-License-Identifier: MIT */
/*
 * family.c - pools that descend from one another, and the register of all of them
 *
 * A family owns the arena of its pools. The register lists every family and every pool of
 * the process, pools from the oldest to the youngest; that is the order in which several
 * of them are held.
 *
 * fork(): a child has only the thread that called fork, so a lock that another thread
 * holds would stay locked in it for ever. Before the fork everything is therefore held:
 * the register, every pool as a whole (the oldest first), every arena and the store, in
 * the order in which the library takes them elsewhere. Then no call is half done. The
 * child makes all locks anew: a thread that does not exist there may have had a stripe for
 * an instant, to find the gate closed, or stood in line.
 *
 * Locks, in the order in which they are taken: register, pools by age (gate, then
 * stripes), arena, store. The register's is never asked for by a thread that holds a
 * pool.
 */
#include "pool.h"

/* The ring of families, which cannot be initialised statically in all compilers. The caller
 * has the register's lock. */
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
        (void)stripes_hold_whole(&pool->stripes);
    }
    for (family = registry_families()->next; family != registry_families();
         family = family->next) {
        lock_acquire(&family->arena.lock);
    }
    lock_acquire(&store.lock);
}

static void fork_parent(void)
{
    MemoryPool *pool;
    Family *family;
    lock_release(&store.lock);
    for (family = registry_families()->next; family != registry_families();
         family = family->next) {
        lock_release(&family->arena.lock);
    }
    for (pool = registry.oldest; pool != NULL; pool = pool->younger) {
        stripes_let_go_whole(&pool->stripes);
    }
    lock_release(&registry.lock);
}

static void fork_child(void)
{
    MemoryPool *pool;
    Family *family;
    lock_init(&store.lock);
    for (family = registry_families()->next; family != registry_families();
         family = family->next) {
        lock_init(&family->arena.lock);
    }
    for (pool = registry.oldest; pool != NULL; pool = pool->younger) {
        stripes_init(&pool->stripes);
    }
    lock_init(&registry.lock);
}

/* ------------------------------------------------------------------- register */

/* Adds a pool, and its family if it is the first of it; the pool takes a reference to
 * the family. Locks: register. */
static PoolStatus registry_add(MemoryPool *pool)
{
    Family *family = pool->family;
    Family *ring;
    lock_acquire(&registry.lock);
    if (!registry.forks_seen_to) {
        registry.forks_seen_to = platform_at_fork(fork_prepare, fork_parent, fork_child);
        if (!registry.forks_seen_to) {
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
 * neither a pool nor a view of it left. Locks: register. */
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

/* Takes a pool out. Locks: register. */
static void registry_remove(MemoryPool *pool)
{
    lock_acquire(&registry.lock);
    *(pool->older != NULL ? &pool->older->younger : &registry.oldest) = pool->younger;
    *(pool->younger != NULL ? &pool->younger->older : &registry.youngest) = pool->older;
    size_sub_relaxed(&pool->family->pools, 1);
    lock_release(&registry.lock);
}

/* Locks: register, then each arena, then the store. */
size_t pool_trim(void)
{
    Family *family;
    size_t given = 0;
    lock_acquire(&registry.lock);
    for (family = registry_families()->next; family != registry_families();
         family = family->next) {
        given += arena_trim(&family->arena);
    }
    lock_release(&registry.lock);
    given += store_trim();
    (void)status_set(POOL_OK);
    return given;
}
