/*
 * pool.c - the life of a pool: made, cloned, restored, counted, ended
 */

/* ------------------------------------------------------------------- creation */

/* The whole pools in memory: the structure, then its stripes from a cache line on. */
static size_t pool_memory(unsigned stripes)
{
    return sizeof(MemoryPool) + CACHE_LINE + (1 + stripes) * sizeof(Stripe);
}

/* Makes a pool without contents in a family, or NULL. It is not registered yet. */
static MemoryPool *pool_allocate(Family *family, size_t total_size, unsigned block_shift)
{
    size_t blocks = ((total_size - 1) >> block_shift) + 1;
    unsigned stripes = 1;
    MemoryPool *pool;
    uintptr_t line;
    while (stripes < STRIPES_MAX && stripes < blocks) {
        stripes *= 2;
    }
    pool = (MemoryPool *)platform_alloc(pool_memory(stripes));
    if (pool == NULL) {
        return NULL;
    }
    memset(pool, 0, sizeof *pool);
    u32_store_relaxed(&pool->refs, 1);
    pool->block_shift = block_shift;
    pool->total_size = total_size;
    pool->tree.height = tree_height(blocks);
    pool->family = family;
    line = ((uintptr_t)(pool + 1) + CACHE_LINE - 1) & ~(uintptr_t)(CACHE_LINE - 1);
    stripes_init(&pool->stripes, (void *)line, stripes);
    return pool;
}

static void family_end(Family *family)
{
    arena_close(&family->arena);
    platform_free(family);
}

/* Copies the caller's options, whatever version of the structure they have. */
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
            return POOL_INVALID; /* it asks for something this version does not know */
        }
    }
    if (options->total_size == 0 || options->max_block_size == 0 || options->flags != 0) {
        return POOL_INVALID;
    }
    return POOL_OK;
}

/* Locks: register. */
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
    family = (Family *)platform_alloc(sizeof *family);
    if (family != NULL) {
        memset(family, 0, sizeof *family);
        arena_init(&family->arena, (size_t)1 << shift, sizeof(Node),
                   options.memory_limit == 0 ? SIZE_MAX : options.memory_limit);
        pool = pool_allocate(family, options.total_size, shift);
    }
    if (pool == NULL || registry_add(pool) != POOL_OK) {
        platform_free(pool);
        platform_free(family);
        (void)status_set(POOL_NO_MEMORY);
        return NULL;
    }
    return pool;
}

MemoryPool *pool_create(size_t total_size, size_t max_block_size)
{
    PoolOptions options = {sizeof options, total_size, max_block_size, 0, 0};
    return pool_create_with(&options);
}

/* ----------------------------------------------------------------- references */

/* Locks: nothing. */
MemoryPool *pool_retain(MemoryPool *pool)
{
    if (pool != NULL) {
        u32_add_relaxed(&pool->refs, 1);
    }
    (void)status_set(pool == NULL ? POOL_INVALID : POOL_OK);
    return pool;
}

/* Locks, with the last reference: the whole pool (so that a fork does not find it half
 * taken apart), in it the arena; then the register. */
void pool_destroy(MemoryPool *pool)
{
    (void)status_set(POOL_OK);
    if (pool != NULL && u32_sub_acq_rel(&pool->refs, 1) == 1) {
        Family *family = pool->family;
        Stock stock = {NULL, NULL};
        Hold hold = stripes_hold_whole(&pool->stripes);
        tree_replace(&pool->tree, NULL, &stock);
        stock_empty(&stock, &family->arena);
        stripes_let_go(&pool->stripes, hold);
        if (registry_remove(pool)) {
            family_end(family);
        }
        platform_free(pool);
    }
}

/* ------------------------------------------------------------------ snapshots */

/* Locks: the whole pool, then (not in it) the register. */
MemoryPool *pool_clone(MemoryPool *pool)
{
    MemoryPool *clone;
    Hold hold;
    if (pool == NULL) {
        (void)status_set(POOL_INVALID);
        return NULL;
    }
    clone = pool_allocate(pool->family, pool->total_size, pool->block_shift);
    if (clone == NULL || registry_add(clone) != POOL_OK) {
        platform_free(clone);
        (void)status_set(POOL_NO_MEMORY);
        return NULL;
    }
    hold = stripes_hold_whole(&pool->stripes);
    ptr_store_release(&clone->tree.root, tree_retain_root(&pool->tree));
    stripes_let_go(&pool->stripes, hold);
    (void)status_set(POOL_OK);
    return clone;
}

/* Both of two relatives as a whole, the older first, so that two threads that want the
 * same two cannot wait for each other. */
static void pools_hold(MemoryPool *a, MemoryPool *b)
{
    MemoryPool *older = a->age < b->age ? a : b;
    (void)stripes_hold_whole(&older->stripes);
    if (a != b) {
        (void)stripes_hold_whole(&(older == a ? b : a)->stripes);
    }
}

static void pools_let_go(MemoryPool *a, MemoryPool *b)
{
    Hold whole = {true, 0, 0, 0};
    stripes_let_go(&a->stripes, whole);
    if (a != b) {
        stripes_let_go(&b->stripes, whole);
    }
}

/* Whether two pools may be compared or restored from each other. */
static PoolStatus pools_relation(const MemoryPool *a, const MemoryPool *b)
{
    if (a == NULL || b == NULL) {
        return POOL_INVALID;
    }
    return a->family == b->family ? POOL_OK : POOL_UNRELATED;
}

/* Locks: both pools as a whole, in it the arena. */
PoolStatus pool_restore(MemoryPool *pool, MemoryPool *from)
{
    PoolStatus status = pools_relation(pool, from);
    if (status == POOL_OK && pool != from) {
        Stock stock = {NULL, NULL};
        pools_hold(pool, from);
        tree_replace(&pool->tree, tree_retain_root(&from->tree), &stock);
        stock_empty(&stock, &pool->family->arena);
        pools_let_go(pool, from);
    }
    return status_set(status);
}

/* ---------------------------------------------------------------------- facts */

static void stats_of_family(PoolStats *stats, const MemoryPool *pool)
{
    Family *family = pool->family;
    Arena *arena = &family->arena;
    lock_acquire(&arena->lock);
    stats->family_bytes = arena->held;
    stats->family_peak_bytes = arena->peak;
    stats->memory_limit = arena->limit == SIZE_MAX ? 0 : arena->limit;
    stats->family_pools = size_load_relaxed(&family->pools);
    stats->metadata_bytes = arena->headers + arena->nodes.bytes + sizeof *family +
                            stats->family_pools * pool_memory(pool->stripes.count);
    lock_release(&arena->lock);
    stats->kept_bytes = store_kept();
}

/* Locks: the whole pool, in it the arena; then the store. */
void pool_stats(MemoryPool *pool, PoolStats *stats)
{
    PoolStats all = {0};
    Hold hold;
    if (pool == NULL || stats == NULL ||
        stats->struct_size < offsetof(PoolStats, block_size)) {
        (void)status_set(POOL_INVALID);
        return;
    }
    all.struct_size = stats->struct_size;
    hold = stripes_hold_whole(&pool->stripes);
    all.total_size = pool->total_size;
    all.block_size = (size_t)1 << pool->block_shift;
    all.held_blocks = tree_blocks(&pool->tree);
    all.held_bytes = all.held_blocks << pool->block_shift;
    if (stats->struct_size >= offsetof(PoolStats, copied_blocks)) {
        all.shared_blocks = all.held_blocks - node_private_blocks(tree_root(&pool->tree),
                                                                  pool->tree.height - 1);
    }
    all.copied_blocks = size_load_relaxed(&pool->copied);
    stats_of_family(&all, pool);
    stripes_let_go(&pool->stripes, hold);
    memcpy(stats, &all, checked_min(stats->struct_size, sizeof all));
    (void)status_set(POOL_OK);
}
