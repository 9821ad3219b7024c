/* SPDX-License-Identifier: MIT */
/*
 * batch.c - many ranges in one call
 *
 * Each item of a batch is one atomic step; the batch is not. All ranges are checked
 * before the first byte is copied. A batch that writes and needs memory allocates all of
 * it first, so that it fails before it writes anything. Only if another thread changes
 * which blocks there are, or who has them, may it need memory after some items.
 *
 * pool_gather and pool_scatter are pool_read_many and pool_write_many with one size for
 * all items. The functions that are ALWAYS_INLINE are compiled once for each of them, so
 * that a common size costs no loads and no branches.
 */
#include "pool.h"

/* The items of a batch. Both arrays are the caller's, and another thread may change them
 * at any time. So no use relies on the check of all of them (batch_check): offsets are
 * checked again with each item, and sizes are loaded once more, by batch_group, which
 * compares them with what is left of the caller's buffer. */
typedef struct Batch {
    const size_t *offsets;
    const size_t *sizes; /* NULL: all items have item_size */
    size_t count;
    size_t item_size;
} Batch;

/* Loads a number that another thread may change, once and not again. */
static inline size_t size_load_once(const size_t *number)
{
    return *(const volatile size_t *)number;
}

static inline size_t batch_size(Batch batch, size_t i)
{
    return batch.sizes == NULL ? batch.item_size : size_load_once(&batch.sizes[i]);
}

/* Returns the batch without its first items. */
static inline Batch batch_after(Batch batch, size_t done)
{
    batch.offsets += done;
    batch.sizes = batch.sizes == NULL ? NULL : batch.sizes + done;
    batch.count -= done;
    return batch;
}

/* Checks the offsets of items of one size. */
static inline PoolStatus batch_check_alike(const MemoryPool *pool, Batch batch)
{
    size_t i, end = pool_total(pool);
    for (i = 0; i < batch.count; i++) {
        if (!checked_fits(end, batch.offsets[i], batch.item_size)) {
            return POOL_RANGE;
        }
    }
    return POOL_OK;
}

/* Checks items that have sizes, and adds up these. */
static inline PoolStatus batch_check_sizes(const MemoryPool *pool, Batch batch,
                                           size_t *total)
{
    size_t i, end = pool_total(pool);
    PoolStatus status = POOL_OK;
    for (i = 0; i < batch.count; i++) {
        size_t size = batch_size(batch, i);
        if (size > SIZE_MAX - *total) {
            return POOL_INVALID; /* no buffer has so many bytes */
        }
        *total += size;
        if (!checked_fits(end, batch.offsets[i], size)) {
            status = POOL_RANGE;
        }
    }
    return status;
}

/* Checks the arguments of all four calls; returns their errors. *total gets the number of
 * bytes of all items, for items of one size SIZE_MAX if that is more. */
static ALWAYS_INLINE PoolStatus batch_check(const MemoryPool *pool, const void *bytes,
                                            Batch batch, size_t *total)
{
    PoolStatus status;
    *total = batch.sizes == NULL ? checked_times(batch.count, batch.item_size) : 0;
    if (pool == NULL || (batch.count > 0 && batch.offsets == NULL) ||
        (bytes == NULL && *total > 0)) {
        return POOL_INVALID;
    }
    status = batch.sizes == NULL ? batch_check_alike(pool, batch)
                                 : batch_check_sizes(pool, batch, total);
    return bytes == NULL && *total > 0 ? POOL_INVALID : status;
}

/* Items are looked up in groups, and in steps: each step prefetches the cache lines that
 * the next one reads, so that the processor fetches those of all items at once and not
 * one after the other. One optimistic read of the shape lock covers the group. An item
 * that cannot be found this way has found = false. */
enum { ITEMS_AT_ONCE = 32 };

typedef struct Item {
    Piece piece; /* if it is whole, all of it; else only the index and the start hold */
    bool whole;  /* it lies in one block                                              */
    size_t
        version; /* of its stripe, when it was looked up                              */
    bool found;
    Node *leaf;
    Word word;                 /* of its block */
    const unsigned char *data; /* of the block; NULL: a hole */
} Item;

/* Step 1: finds the leaf of an item, and the version of its stripe. open: whether the
 * optimistic read could begin. */
static ALWAYS_INLINE void item_find_leaf(MemoryPool *pool, size_t offset, size_t size,
                                         bool private_only, bool open,
                                         const OptimisticRead *read, Item *item)
{
    item->piece = range_piece(pool, pool_index(pool, offset), offset, size);
    item->whole = range_is_one_piece(pool, offset, size);
    item->version = lock_version(pool_lock_stripe(&pool->locks, item->piece.index));
    item->leaf = NULL;
    item->found = open && item->whole && (item->version & LOCK_HELD) == 0 &&
                  range_is_inside(pool, offset, size) &&
                  tree_leaf_optimistic(&pool->tree, item->piece.index, read, private_only,
                                       false, &item->leaf);
    if (item->leaf != NULL) {
        cpu_prefetch(node_slot(item->leaf, 0, item->piece.index));
    }
}

/* Step 2: finds its block. */
static ALWAYS_INLINE void item_find_block(const OptimisticRead *read, Item *item)
{
    item->word = 0;
    if (item->found && item->leaf != NULL) {
        item->word = slot_word(node_slot(item->leaf, 0, item->piece.index));
        item->found = optimistic_validate_shape(read);
        cpu_prefetch((void *)item->word);
    }
}

/* Step 3: finds its data. */
static ALWAYS_INLINE void item_find_data(Item *item)
{
    item->data = NULL;
    if (item->found && item->word != 0) {
        item->data = word_data_optimistic(item->word);
        item->found = item->data != NULL;
        if (item->found) {
            cpu_prefetch(item->data + item->piece.start);
        }
    }
}

/* Sets *group to the next items of a batch, at most ITEMS_AT_ONCE. If they have sizes, it
 * is a copy in numbers of what the caller's arrays have now. *left: bytes of the caller's
 * buffer for them and for all later ones; returns false if their sizes need more, because
 * another thread changed them after the check. */
static ALWAYS_INLINE bool batch_group(Batch batch, size_t done, size_t *left,
                                      size_t numbers[2 * ITEMS_AT_ONCE], Batch *group)
{
    size_t i;
    *group = batch_after(batch, done);
    group->count = checked_min(group->count, ITEMS_AT_ONCE);
    for (i = 0; batch.sizes != NULL && i < group->count; i++) {
        size_t size = batch_size(*group, i);
        if (size > *left) {
            return false;
        }
        *left -= size;
        numbers[i] = size_load_once(&group->offsets[i]);
        numbers[ITEMS_AT_ONCE + i] = size;
    }
    if (batch.sizes != NULL) {
        group->offsets = numbers;
        group->sizes = numbers + ITEMS_AT_ONCE;
    }
    return true;
}

/* Does steps 1 and 2 for a group. private_only: a leaf that is not private counts as
 * none. An item of no bytes is not found. */
static ALWAYS_INLINE void items_find(MemoryPool *pool, Batch group, bool private_only,
                                     OptimisticRead *read, Item *items)
{
    bool open = optimistic_begin_shape(read, &pool->locks);
    size_t i;
    for (i = 0; i < group.count; i++) {
        size_t size = batch_size(group, i);
        item_find_leaf(pool, group.offsets[i], size, private_only,
                       open && (group.sizes == NULL || size > 0), read, &items[i]);
    }
    for (i = 0; i < group.count; i++) {
        item_find_block(read, &items[i]);
    }
}

/* Does step 3. */
static ALWAYS_INLINE void items_find_data(Item *items, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) {
        item_find_data(&items[i]);
    }
}

/* Whether all that was read of an item is from one moment. */
static ALWAYS_INLINE bool item_holds(MemoryPool *pool, const OptimisticRead *read,
                                     const Item *item)
{
    return optimistic_validate_shape(read) &&
           item->version ==
               lock_version(pool_lock_stripe(&pool->locks, item->piece.index));
}

/* Copies an item; false if it was not found or a writer came between. */
static ALWAYS_INLINE bool item_get(MemoryPool *pool, const OptimisticRead *read,
                                   const Item *item, unsigned char *dest)
{
    if (!item->found) {
        return false;
    }
    if (item->data == NULL) {
        hole_get(dest, item->piece, item->piece.size <= SMALL_MAX);
    } else {
        data_get(dest, item->data, item->piece, item->piece.size <= SMALL_MAX);
    }
    return item_holds(pool, read, item);
}

/* Reads all items to at, one after the other. Locks: for each item as pool_read. */
static ALWAYS_INLINE PoolStatus batch_read(MemoryPool *pool, unsigned char *at,
                                           Batch batch)
{
    size_t left, done, i;
    Batch group;
    PoolStatus status = batch_check(pool, at, batch, &left);
    if (status != POOL_OK || left == 0) {
        return status;
    }
    for (done = 0; done < batch.count; done += group.count) {
        size_t numbers[2 * ITEMS_AT_ONCE];
        Item items[ITEMS_AT_ONCE];
        OptimisticRead read;
        if (!batch_group(batch, done, &left, numbers, &group)) {
            return POOL_INVALID;
        }
        items_find(pool, group, false, &read, items);
        items_find_data(items, group.count);
        for (i = 0; i < group.count; i++) {
            size_t size = batch_size(group, i);
            if (!item_get(pool, &read, &items[i], at) && size > 0 &&
                bytes_read(pool, at, group.offsets[i], size, false) == 0) {
                return POOL_RANGE; /* the pool was made smaller meanwhile */
            }
            at += size;
        }
    }
    return POOL_OK;
}

PoolStatus pool_gather(MemoryPool *pool, void *dest, const size_t *offsets, size_t count,
                       size_t item_size)
{
    HANDLE_CHECK(pool);
    Batch batch = {offsets, NULL, count, item_size};
    Batch integers = {offsets, NULL, count, INTEGER_SIZE};
    return status_set(item_size == INTEGER_SIZE
                          ? batch_read(pool, (unsigned char *)dest, integers)
                          : batch_read(pool, (unsigned char *)dest, batch));
}

PoolStatus pool_read_many(MemoryPool *pool, void *dest, const size_t *offsets,
                          const size_t *sizes, size_t count)
{
    HANDLE_CHECK(pool);
    Batch batch = {offsets, sizes, count, 0};
    if (sizes == NULL && count > 0) {
        return status_set(POOL_INVALID);
    }
    return status_set(batch_read(pool, (unsigned char *)dest, batch));
}

/* --------------------------------------------------------------------- writing */

static int batch_compare(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

/* Copies the ranges to scratch, those of no bytes left out, and sorts them by offset: an
 * offset each, and behind it the size if they have sizes. Returns how many. */
static size_t batch_sort(Batch batch, size_t *scratch)
{
    size_t i, count = 0;
    if (batch.sizes == NULL) {
        memcpy(scratch, batch.offsets, batch.count * sizeof *scratch);
        qsort(scratch, batch.count, sizeof *scratch, batch_compare);
        return batch.count;
    }
    for (i = 0; i < batch.count; i++) {
        if (batch.sizes[i] > 0) {
            scratch[2 * count] = batch.offsets[i];
            scratch[2 * count + 1] = batch.sizes[i];
            count++;
        }
    }
    qsort(scratch, count, 2 * sizeof *scratch, batch_compare);
    return count;
}

/* Returns what is needed to write to the blocks of all items. scratch: room for as many
 * numbers as the batch has. */
static Need batch_measure(const MemoryPool *pool, Batch batch, size_t *scratch)
{
    Need need = {0, 0, 0, 0};
    size_t width = batch.sizes == NULL ? 1 : 2, done = SIZE_MAX;
    const size_t *range = scratch, *end = scratch + width * batch_sort(batch, scratch);
    while (range < end) { /* runs of blocks that touch */
        Need run;
        size_t first = pool_index(pool, *range);
        size_t last = first;
        for (; range < end && pool_index(pool, *range) <= last + 1; range += width) {
            size_t size = width == 1 ? batch.item_size : range[1];
            last = checked_max(last, pool_index(pool, *range + (size - 1)));
        }
        run = tree_measure_next(&pool->tree, first, last, &done);
        need.blocks += run.blocks;
        need.nodes += run.nodes;
        need.holes += run.holes;
    }
    return need;
}

/* Writes items of which some need blocks or nodes. Works on a copy of the arrays: those
 * of the caller may lie in a pinned block that an item overwrites. left: the bytes that
 * src has. Locks: the pool exclusively; inside it the arena. */
static NOT_INLINE PoolStatus batch_put(MemoryPool *pool, Batch batch,
                                       const unsigned char *src, size_t left)
{
    Reservation reservation = {0};
    PoolStatus status;
    Guard guard;
    size_t i, total, count = batch.count, width = batch.sizes == NULL ? 1 : 2;
    size_t *copy = count > SIZE_MAX / (2 * width * sizeof *copy)
                       ? NULL
                       : (size_t *)memory_alloc(2 * width * count * sizeof *copy);
    if (copy == NULL) {
        return POOL_NO_MEMORY;
    }
    memcpy(copy, batch.offsets, count * sizeof *copy);
    batch.offsets = copy;
    if (batch.sizes != NULL) {
        memcpy(copy + count, batch.sizes, count * sizeof *copy);
        batch.sizes = copy + count;
    }
    guard = pool_lock_exclusive(&pool->locks);
    status = batch_check(pool, src, batch, &total);
    if (status == POOL_OK && total > left) {
        status = POOL_INVALID; /* another thread changed the sizes after the check */
    }
    if (status == POOL_OK) {
        Need need = batch_measure(pool, batch, copy + width * count);
        need.written = total;
        status = reservation_fill(&reservation, &pool->family->arena, need);
    }
    for (i = 0; status == POOL_OK && i < count; i++) {
        size_t size = batch_size(batch, i);
        bytes_put(pool, batch.offsets[i], src, 0, size, &reservation);
        src += size;
    }
    write_end(pool, guard, &reservation);
    platform_free(copy);
    return status;
}

/* Whether the block of an item existed and was private at one moment. */
static ALWAYS_INLINE bool item_is_ready(MemoryPool *pool, const OptimisticRead *read,
                                        const Item *item)
{
    return item->found && item->word != 0 && !word_is_shared(item->word) &&
           item_holds(pool, read, item);
}

static inline size_t item_offset(const MemoryPool *pool, const Item *item)
{
    return (item->piece.index << pool->block_shift) + item->piece.start;
}

/* The same for an item of so many bytes, which lies in several blocks. */
static NOT_INLINE bool item_parts_seem_ready(MemoryPool *pool, const Item *item,
                                             size_t size)
{
    size_t offset = item_offset(pool, item);
    OptimisticRead read;
    bool ready = optimistic_begin_shape(&read, &pool->locks);
    while (ready && size > 0) {
        Piece piece = piece_at(pool, offset, size);
        Item part;
        item_find_leaf(pool, offset, piece.size, true, true, &read, &part);
        item_find_block(&read, &part);
        ready = item_is_ready(pool, &read, &part);
        offset += piece.size;
        size -= piece.size;
    }
    return ready;
}

/* Writes such an item; false if it failed. Locks: as bytes_write. */
static NOT_INLINE bool item_put_parts(MemoryPool *pool, const Item *item, size_t size,
                                      const unsigned char *src)
{
    size_t offset = item_offset(pool, item);
    return checked_fits(pool_total(pool), offset, size) &&
           bytes_write(pool, offset, src, 0, &size, WRITE_ALL) == POOL_OK;
}

/* Whether no write to a pool seems to need a block: its family has no other pool, view or
 * pin, and holds as many blocks as the pool is long, so that these are all there and all
 * different. Another thread may change that at once. Locks: the arena. */
static NOT_INLINE bool pool_seems_ready(MemoryPool *pool)
{
    Family *family = pool->family;
    size_t blocks = pool_index(pool, pool_total(pool) - 1) + 1;
    bool full;
    lock_acquire(&family->arena.lock);
    full = family->arena.held >> pool->block_shift == blocks;
    lock_release(&family->arena.lock);
    return full && size_load_relaxed(&family->pools) == 1 &&
           size_load_relaxed(&family->views) == 0;
}

/* Whether the blocks of all items seem to exist and to be private, so that none has to be
 * allocated. Reads optimistically: another thread may change that at once. left: as for
 * batch_group. */
static ALWAYS_INLINE bool batch_seems_ready(MemoryPool *pool, Batch batch, size_t left)
{
    size_t done, i;
    Batch group;
    for (done = 0; done < batch.count; done += group.count) {
        size_t numbers[2 * ITEMS_AT_ONCE];
        Item items[ITEMS_AT_ONCE];
        OptimisticRead read;
        if (!batch_group(batch, done, &left, numbers, &group)) {
            return false;
        }
        items_find(pool, group, true, &read, items);
        for (i = 0; i < group.count; i++) {
            size_t size = batch_size(group, i);
            if (group.sizes != NULL && size == 0) {
                continue;
            }
            if (!item_is_ready(pool, &read, &items[i]) &&
                (items[i].whole || !item_parts_seem_ready(pool, &items[i], size))) {
                return false;
            }
        }
    }
    return true;
}

/* Writes items one by one, as long as their blocks exist and are private; returns how
 * many, and moves *src behind them. left: as for batch_group. Locks: for each item the
 * stripe of its block, or as bytes_write if it lies in several. */
static ALWAYS_INLINE size_t batch_try_put(MemoryPool *pool, Batch batch,
                                          const unsigned char **src, size_t left)
{
    size_t done, i;
    Batch group;
    for (done = 0; done < batch.count; done += group.count) {
        size_t numbers[2 * ITEMS_AT_ONCE];
        Item items[ITEMS_AT_ONCE];
        OptimisticRead read;
        if (!batch_group(batch, done, &left, numbers, &group)) {
            return done;
        }
        items_find(pool, group, true, &read, items);
        items_find_data(items, group.count);
        for (i = 0; i < group.count; i++) {
            size_t size = batch_size(group, i);
            if (group.sizes != NULL && size == 0) {
                continue;
            }
            if ((!items[i].found || items[i].leaf == NULL ||
                 !leaf_try_write(pool, items[i].leaf, read.shape, items[i].piece, *src,
                                 size <= SMALL_MAX, false)) &&
                (items[i].whole || !item_put_parts(pool, &items[i], size, *src))) {
                return done + i;
            }
            *src += size;
        }
    }
    return batch.count;
}

/* Writes src to all items, in their order. Locks: for each item as batch_try_put; if
 * blocks or nodes must be allocated, the pool exclusively for all items that are left. */
static ALWAYS_INLINE PoolStatus batch_write(MemoryPool *pool, Batch batch,
                                            const unsigned char *src)
{
    size_t total, done = 0;
    const unsigned char *at = src;
    bool asked = false;
    PoolStatus status = batch_check(pool, src, batch, &total);
    if (status != POOL_OK || total == 0) {
        return status;
    }
    if (pool_seems_ready(pool) || batch_seems_ready(pool, batch, total)) {
        done = batch_try_put(pool, batch, &at, total);
    }
    if (done < batch.count) {
        do {
            status =
                batch_put(pool, batch_after(batch, done), at, total - (size_t)(at - src));
        } while (limit_asks(pool, status, &asked));
    }
    return status;
}

PoolStatus pool_scatter(MemoryPool *pool, const size_t *offsets, const void *src,
                        size_t count, size_t item_size)
{
    HANDLE_CHECK(pool);
    Batch batch = {offsets, NULL, count, item_size};
    Batch integers = {offsets, NULL, count, INTEGER_SIZE};
    return status_set(item_size == INTEGER_SIZE
                          ? batch_write(pool, integers, (const unsigned char *)src)
                          : batch_write(pool, batch, (const unsigned char *)src));
}

PoolStatus pool_write_many(MemoryPool *pool, const size_t *offsets, const size_t *sizes,
                           const void *src, size_t count)
{
    HANDLE_CHECK(pool);
    Batch batch = {offsets, sizes, count, 0};
    if (sizes == NULL && count > 0) {
        return status_set(POOL_INVALID);
    }
    return status_set(batch_write(pool, batch, (const unsigned char *)src));
}
