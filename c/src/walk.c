/*
 * walk.c - where a pool holds data, of which kind, and where it differs from a relative
 *
 * All are one question: the first run of blocks, at or after an offset, in which two
 * trees hold something different. Where data is, the other tree is empty; by kind, the run
 * ends where the kind does as well.
 */

/* Whether such a run was found in a pool that is held as a whole (other as well, unless
 * it is NULL); then *start and *size are its part of [offset, total), and *kind its kind
 * (NULL: whatever it is). */
static bool walk_find(const MemoryPool *pool, const Tree *other, size_t total,
                      size_t offset, size_t *start, size_t *size, size_t *kind)
{
    size_t index, end, last = pool_index(pool, total - 1);
    if (offset >= total ||
        !tree_find(&pool->tree, other, pool_index(pool, offset), &index) ||
        index > last) {
        return false;
    }
    *start = checked_max(index << pool->block_shift, offset);
    if (kind != NULL) {
        *kind = tree_kind(&pool->tree, index);
    }
    while (index < last && tree_differs(&pool->tree, other, index + 1) &&
           (kind == NULL || tree_kind(&pool->tree, index + 1) == *kind)) {
        index++;
    }
    end = index < last ? (index + 1) << pool->block_shift : total;
    *size = end - *start;
    return true;
}

/* A run of data, of one kind unless kind is NULL. Locks: the whole pool. */
static int walk_data(MemoryPool *pool, size_t offset, size_t *start, size_t *size,
                     size_t *kind)
{
    bool found;
    Hold hold;
    if (pool == NULL || start == NULL || size == NULL) {
        (void)status_set(POOL_INVALID);
        return -1;
    }
    hold = stripes_hold_whole(&pool->stripes);
    found = walk_find(pool, NULL, pool_total(pool), offset, start, size, kind);
    stripes_let_go(&pool->stripes, hold);
    (void)status_set(POOL_OK);
    return found;
}

/* Locks: the whole pool. */
int pool_next_extent(MemoryPool *pool, size_t offset, size_t *start, size_t *size)
{
    return walk_data(pool, offset, start, size, NULL);
}

/* Locks: the whole pool. */
int pool_next_kind(MemoryPool *pool, size_t offset, size_t *start, size_t *size,
                   size_t *kind)
{
    if (kind == NULL) {
        (void)status_set(POOL_INVALID);
        return -1;
    }
    return walk_data(pool, offset, start, size, kind);
}

/* Locks: both pools as a whole. */
int pool_next_change(MemoryPool *pool, MemoryPool *base, size_t offset, size_t *start,
                     size_t *size)
{
    PoolStatus status = pools_relation(pool, base);
    bool found;
    if (start == NULL || size == NULL) {
        status = POOL_INVALID;
    }
    if (status_set(status) != POOL_OK) {
        return -1;
    }
    pools_hold(pool, base);
    found = walk_find(pool, &base->tree, checked_max(pool_total(pool), pool_total(base)),
                      offset, start, size, NULL);
    pools_let_go(pool, base);
    return found;
}
