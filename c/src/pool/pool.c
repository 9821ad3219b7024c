/* SPDX-License-Identifier: MIT */
/*
 * pool.c - the life of a pool: creation, references, clones, restore, statistics
 */
#include "pool.h"

/* ------------------------------------------------------------------- creation */

/* Allocates a pool of holes in a family, or returns NULL. It is not registered yet. */
static MemoryPool *pool_allocate(Family *family, size_t total_size, unsigned block_shift)
{
    void *memory = memory_alloc(sizeof(MemoryPool) + CACHE_LINE);
    uintptr_t line = ((uintptr_t)memory + CACHE_LINE - 1) & ~(uintptr_t)(CACHE_LINE - 1);
    MemoryPool *pool = (MemoryPool *)line;
    if (memory == NULL) {
        return NULL;
    }
    poison_begin_handle(pool, sizeof *pool);
    memset(pool, 0, offsetof(MemoryPool, locks));
    pool->memory = memory;
    size_store_relaxed(&pool->refs, 1);
    pool->block_shift = block_shift;
    pool->block_mask = ((size_t)1 << block_shift) - 1;
    size_store_relaxed(&pool->total_size, total_size);
    size_store_relaxed(&pool->tree.height,
                       tree_height(((total_size - 1) >> block_shift) + 1));
    pool->family = family;
    pool_lock_init(&pool->locks);
    HANDLE_BEGIN(pool);
    return pool;
}

static void pool_free(MemoryPool *pool)
{
    if (pool != NULL) {
        void *memory = pool->memory;
        poison_end_handle(pool);
        HANDLE_FREE(memory);
    }
}

/* Copies and checks the caller's options, which may be of an older or newer version. */
static PoolStatus options_read(const PoolOptions *from, PoolOptions *options)
{
    enum { SIZE_LEAST = offsetof(PoolOptions, memory_limit), SIZE_MOST = 1024 };
    const unsigned char *bytes = (const unsigned char *)from;
    size_t i;
    memset(options, 0, sizeof *options);
    if (from == NULL || from->struct_size < SIZE_LEAST || from->struct_size > SIZE_MOST) {
        return POOL_INVALID;
    }
    memcpy(options, from, checked_min(from->struct_size, sizeof *options));
    for (i = sizeof *options; i < from->struct_size; i++) {
        if (bytes[i] != 0) {
            return POOL_INVALID; /* an option that this version does not know */
        }
    }
    if (options->total_size == 0 || options->max_block_size == 0 ||
        (options->flags & ~(size_t)(POOL_WIPE | POOL_OVERCOMMIT | POOL_HUGE)) != 0) {
        return POOL_INVALID;
    }
    return POOL_OK;
}

/* Locks: registry. */
MemoryPool *pool_create_with(const PoolOptions *from)
{
    PoolOptions options;
    Family *family = NULL;
    MemoryPool *pool = NULL;
    unsigned shift;
    if (status_set(options_read(from, &options)) != POOL_OK) {
        return NULL;
    }
    shift = (unsigned)checked_min(checked_log2_floor(options.max_block_size),
                                  checked_log2_ceil(options.total_size));
    family = (Family *)memory_alloc(sizeof *family);
    if (family != NULL) {
        memset(family, 0, sizeof *family);
        arena_init(&family->arena, (size_t)1 << shift, sizeof(Node),
                   options.memory_limit == 0 ? SIZE_MAX : options.memory_limit);
        family->arena.wipes = (options.flags & POOL_WIPE) != 0;
        family->arena.overcommits = (options.flags & POOL_OVERCOMMIT) != 0;
        family->arena.huge = (options.flags & POOL_HUGE) != 0;
        pool = pool_allocate(family, options.total_size, shift);
    }
    if (pool == NULL || registry_add(pool) != POOL_OK) {
        pool_free(pool);
        platform_free(family);
        (void)status_set(POOL_NO_MEMORY);
        return NULL;
    }
    HANDLE_MADE(pool);
    return pool;
}

MemoryPool *pool_create(size_t total_size, size_t max_block_size)
{
    PoolOptions options = {sizeof options, total_size, max_block_size, 0, 0};
    MemoryPool *pool = pool_create_with(&options);
    if (pool != NULL) {
        HANDLE_MADE(pool);
    }
    return pool;
}

/* ----------------------------------------------------------------- references */

/* Locks: none. */
MemoryPool *pool_retain(MemoryPool *pool)
{
    HANDLE_CHECK(pool);
    if (pool != NULL) {
        size_add_relaxed(&pool->refs, 1);
    }
    (void)status_set(pool == NULL ? POOL_INVALID : POOL_OK);
    return pool;
}

/* Locks, with the last reference: the pool exclusively (so that a fork does not copy it
 * half freed), inside it the arena; then the registry. */
void pool_destroy(MemoryPool *pool)
{
    HANDLE_CHECK(pool);
    (void)status_set(POOL_OK);
    if (pool != NULL && size_sub_acq_rel(&pool->refs, 1) == 1) {
        Family *family = pool->family;
        Reservation reservation = {0};
        Guard guard = pool_lock_exclusive(&pool->locks);
        Pin *pins = pins_enter(pool, 0, SIZE_MAX);
        HANDLE_END(pool);
        pins_cut(&family->arena, pins, 0, &reservation);
        pins_leave(&family->arena, pins, &reservation);
        tree_replace(&pool->tree, NULL, 1, &reservation);
        reservation_empty(&reservation, &family->arena);
        pool_unlock(&pool->locks, guard);
        registry_remove(pool);
        family_release(family);
        pool_free(pool);
        reservation_release_adopted(&reservation);
        (void)status_set(POOL_OK);
    }
}

/* ------------------------------------------------------------------ snapshots */

/* A pool that becomes the clone of another, and the pins of that. */
typedef struct Share {
    MemoryPool *clone, *from;
    Pin *pins;
    Need need;
    Reservation reservation;
} Share;

/* Looks for what was written to the pinned blocks of a pool that is to be cloned. Context
 * of this and the next one: the caller has locked it exclusively; no other thread uses
 * the clone yet. Locks: the arena. */
static void share_measure(Share *share)
{
    MemoryPool *from = share->from;
    POOL_ASSERT(pool_lock_is_exclusive(&from->locks));
    share->pins = pins_enter(from, 0, SIZE_MAX);
    pins_collect(share->pins);
    share->need = pins_measure_clone(from, share->pins, tree_top(&from->tree) + 1);
}

/* Gives the clone the contents of the pool. */
static void share_apply(Share *share, Reservation *reservation)
{
    MemoryPool *from = share->from, *clone = share->clone;
    pins_freeze(share->pins, reservation);
    size_store_release(&clone->total_size, pool_total(from));
    tree_replace(&clone->tree, tree_retain_root(&from->tree), tree_top(&from->tree) + 1,
                 reservation);
    pins_graft(share->pins, &clone->tree, reservation);
}

/* The same for one pool or two, which the caller has locked. Relatives use the first
 * reservation together: with one each, the peak of their family would show the first one
 * even if the second failed. */
static PoolStatus shares_apply(Share *shares, size_t count)
{
    PoolStatus status = POOL_OK;
    bool relatives = shares[0].from->family == shares[count - 1].from->family;
    size_t i;
    for (i = 0; i < count; i++) {
        share_measure(&shares[i]);
    }
    if (count > 1 && relatives) {
        shares[0].need.blocks += shares[1].need.blocks;
        shares[0].need.nodes += shares[1].need.nodes;
    }
    for (i = 0; i < count && status == POOL_OK; i++) {
        if (i == 0 || !relatives) {
            status = reservation_fill(&shares[i].reservation,
                                      &shares[i].from->family->arena, shares[i].need);
        }
    }
    for (i = 0; i < count; i++) {
        if (status == POOL_OK) {
            share_apply(&shares[i], &shares[relatives ? 0 : i].reservation);
        }
    }
    for (i = 0; i < count; i++) {
        Arena *arena = &shares[i].from->family->arena;
        pins_leave(arena, shares[i].pins, &shares[i].reservation);
        reservation_empty(&shares[i].reservation, arena);
    }
    return status;
}

/* Allocates an empty pool that is to become a clone of pool. Locks: the registry. */
static PoolStatus pool_create_clone(MemoryPool *pool, MemoryPool **clone)
{
    *clone = pool_allocate(pool->family, pool_total(pool), pool->block_shift);
    if (*clone != NULL && registry_add(*clone) == POOL_OK) {
        return POOL_OK;
    }
    pool_free(*clone);
    return POOL_NO_MEMORY;
}

/* Locks two pools exclusively, the older first, so that two threads that lock the same
 * two cannot deadlock. They may be the same. */
static void pools_lock(MemoryPool *a, MemoryPool *b)
{
    MemoryPool *older = a->age < b->age ? a : b;
    (void)pool_lock_exclusive(&older->locks);
    if (a != b) {
        (void)pool_lock_exclusive(&(older == a ? b : a)->locks);
    }
}

static void pools_unlock(MemoryPool *a, MemoryPool *b)
{
    pool_unlock_exclusive(&a->locks);
    if (a != b) {
        pool_unlock_exclusive(&b->locks);
    }
}

/* Clones one pool or two in one step: clones[i] becomes that of pools[i]. After a failure
 * there is none. The two may be of different families, but not the same. Locks: the
 * registry; then the pools exclusively, and inside them their arenas. */
static PoolStatus pools_try_clone(MemoryPool *const *pools, size_t count,
                                  MemoryPool **clones)
{
    Share shares[2];
    PoolStatus status = POOL_OK;
    size_t i, created = 0;
    memset(shares, 0, sizeof shares);
    for (; created < count && status == POOL_OK; created += status == POOL_OK) {
        status = pool_create_clone(pools[created], &clones[created]);
        shares[created].from = pools[created];
        shares[created].clone = clones[created];
    }
    if (status == POOL_OK) {
        pools_lock(pools[0], pools[count - 1]);
        status = shares_apply(shares, count);
        pools_unlock(pools[0], pools[count - 1]);
        for (i = 0; i < count; i++) {
            reservation_release_adopted(&shares[i].reservation);
        }
    }
    for (i = 0; i < created && status != POOL_OK; i++) {
        pool_destroy(clones[i]);
    }
    return status;
}

static PoolStatus pools_clone(MemoryPool *const *pools, size_t count, MemoryPool **clones)
{
    PoolStatus status;
    bool asked = false;
    do {
        status = pools_try_clone(pools, count, clones);
    } while (limit_asks(pools[0], status, &asked));
    return status;
}

/* Locks: as pools_try_clone. */
MemoryPool *pool_clone(MemoryPool *pool)
{
    MemoryPool *clone = NULL;
    HANDLE_CHECK(pool);
    if (pool == NULL) {
        (void)status_set(POOL_INVALID);
        return NULL;
    }
    if (status_set(pools_clone(&pool, 1, &clone)) != POOL_OK) {
        return NULL;
    }
    HANDLE_MADE(clone);
    return clone;
}

/* Checks that two pools may be compared or restored from each other. */
static PoolStatus pools_relation(const MemoryPool *a, const MemoryPool *b)
{
    if (a == NULL || b == NULL) {
        return POOL_INVALID;
    }
    return a->family == b->family ? POOL_OK : POOL_UNRELATED;
}

/* The pools of a restore, and the pins of each that the call has entered. */
typedef struct Restore {
    MemoryPool *pool, *from;
    Pin *pins, *from_pins;
} Restore;

/* Returns what pool_restore needs: frozen copies of the pinned blocks of from, and paths
 * to those of pool. */
static Need restore_measure(const Restore *restore)
{
    unsigned height = tree_top(&restore->from->tree) + 1;
    Need need = pins_measure_clone(restore->from, restore->from_pins, height);
    need.nodes += pins_measure_restore(restore->pool, restore->pins, height);
    return need;
}

/* Gives pool the contents of a relative. Context: the caller has locked both exclusively.
 * Locks: the arena. */
static void restore_apply(const Restore *restore, Reservation *reservation)
{
    MemoryPool *pool = restore->pool, *from = restore->from;
    bool resized = pool_total(pool) != pool_total(from);
    Tree old;
    POOL_ASSERT(pool_lock_is_exclusive(&pool->locks));
    POOL_ASSERT(pool_lock_is_exclusive(&from->locks));
    if (resized) {
        pool_open_end(pool);
    }
    pins_cut(&pool->family->arena, restore->pins,
             pool_index(pool, pool_total(from) - 1) + 1, reservation);
    pins_freeze(restore->from_pins, reservation);
    old = pool->tree;
    ptr_store_release(&pool->tree.root, NULL);
    size_store_release(&pool->total_size, pool_total(from));
    tree_replace(&pool->tree, tree_retain_root(&from->tree), tree_top(&from->tree) + 1,
                 reservation);
    pins_graft(restore->from_pins, &pool->tree, reservation);
    pins_restore(pool, restore->pins, &old, reservation);
    if (resized) {
        pool_open_end(pool);
    }
    tree_replace(&old, NULL, 1, reservation);
}

/* Locks: both pools exclusively; inside them the arena. */
static PoolStatus restore_try(MemoryPool *pool, MemoryPool *from)
{
    Arena *arena = &pool->family->arena;
    Reservation reservation = {0};
    Restore restore = {pool, from, NULL, NULL};
    PoolStatus status;
    pools_lock(pool, from);
    restore.pins = pins_enter(pool, 0, SIZE_MAX);
    restore.from_pins = pins_enter(from, 0, SIZE_MAX);
    pins_collect(restore.from_pins);
    status = reservation_fill(&reservation, arena, restore_measure(&restore));
    if (status == POOL_OK) {
        restore_apply(&restore, &reservation);
    }
    pins_leave(arena, restore.from_pins, &reservation);
    pins_leave(arena, restore.pins, &reservation);
    reservation_empty(&reservation, arena);
    pools_unlock(pool, from);
    reservation_release_adopted(&reservation);
    return status;
}

PoolStatus pool_restore(MemoryPool *pool, MemoryPool *from)
{
    HANDLE_CHECK(pool);
    HANDLE_CHECK(from);
    PoolStatus status = pools_relation(pool, from);
    bool asked = false;
    if (status == POOL_OK && pool != from) {
        do {
            status = restore_try(pool, from);
        } while (limit_asks(pool, status, &asked));
    }
    return status_set(status);
}

/* ---------------------------------------------------------------------- facts */

static void stats_of_family(PoolStats *stats, MemoryPool *pool)
{
    Family *family = pool->family;
    Arena *arena = &family->arena;
    lock_acquire(&arena->lock);
    stats->pinned_blocks = pins_count(pool); /* exact under this lock */
    stats->family_bytes = arena->held;
    stats->family_peak_bytes = arena->peak;
    stats->memory_limit = arena->limit == SIZE_MAX ? 0 : arena->limit;
    stats->flags = (size_t)(arena->wipes ? POOL_WIPE : 0) |
                   (size_t)(arena->overcommits ? POOL_OVERCOMMIT : 0) |
                   (size_t)(arena->huge ? POOL_HUGE : 0);
    stats->family_views = size_load_relaxed(&family->views);
    stats->adopted_blocks = arena->adopted;
    stats->family_pools = size_load_relaxed(&family->pools);
    stats->metadata_bytes = arena->headers + arena->nodes.bytes + arena->adoptees.bytes +
                            sizeof *family + stats->family_pools * sizeof *pool;
    lock_release(&arena->lock);
    stats->cached_bytes = chunk_cache_bytes();
}

/* Locks: the pool exclusively; inside it the arena, then the chunk cache. */
void pool_stats(MemoryPool *pool, PoolStats *stats)
{
    HANDLE_CHECK(pool);
    PoolStats all = {0};
    Guard guard;
    if (pool == NULL || stats == NULL ||
        stats->struct_size < offsetof(PoolStats, block_size)) {
        (void)status_set(POOL_INVALID);
        return;
    }
    all.struct_size = stats->struct_size;
    guard = pool_lock_exclusive(&pool->locks);
    all.total_size = pool_total(pool);
    all.block_size = (size_t)1 << pool->block_shift;
    all.references = size_load_acquire(&pool->refs);
    all.held_blocks = tree_blocks(&pool->tree);
    all.held_bytes = pool_bytes(pool, all.held_blocks);
    if (stats->struct_size > offsetof(PoolStats, page_tracking)) {
        all.page_tracking = (size_t)written_service();
    }
    if (stats->struct_size > offsetof(PoolStats, shared_blocks)) {
        all.shared_blocks = all.held_blocks - tree_private_blocks(&pool->tree);
    }
    all.copied_blocks = size_load_relaxed(&pool->copied);
    stats_of_family(&all, pool);
    pool_unlock(&pool->locks, guard);
    memcpy(stats, &all, checked_min(stats->struct_size, sizeof all));
    (void)status_set(POOL_OK);
}
