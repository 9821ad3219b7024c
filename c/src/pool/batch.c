/* SPDX-License-Identifier: MIT */
/*
 * batch.c - many small ranges in one call, and read-modify-write of integers
 *
 * Each item of a batch is one atomic step; the batch is not. All offsets are checked
 * before the first byte is copied. A scatter that needs memory allocates all of it first,
 * so that it fails before it writes anything. Only if another thread clones or discards
 * while a scatter runs may it need memory after some items.
 */
#include "pool.h"

/* Checks the arguments of pool_gather and pool_scatter; returns their errors. */
static PoolStatus batch_check(const MemoryPool *pool, const void *bytes,
                              const size_t *offsets, size_t count, size_t item_size)
{
    size_t i, total;
    if (pool == NULL ||
        (count > 0 && (offsets == NULL || (bytes == NULL && item_size > 0)))) {
        return POOL_INVALID;
    }
    total = pool_total(pool);
    for (i = 0; i < count; i++) {
        if (!checked_fits(total, offsets[i], item_size)) {
            return POOL_RANGE;
        }
    }
    return POOL_OK;
}

/* Items are looked up in groups, and in steps: each step prefetches the cache lines that
 * the next one reads, so that the processor fetches those of all items at once and not
 * one after the other. One optimistic read of the shape lock covers the group. An item
 * that cannot be found this way has found = false. */
enum { ITEMS_AT_ONCE = 32 };

typedef struct Item {
    Piece piece;
    size_t version; /* of its stripe, when it was looked up */
    bool found;
    Node *leaf;
    Block *block;
    const unsigned char *data; /* of the block; NULL: a hole */
} Item;

/* Step 1: finds the leaf of an item, and the version of its stripe. open: whether the
 * optimistic read could begin. */
static inline void item_find_leaf(MemoryPool *pool, size_t offset, size_t size,
                                  bool private_only, bool open,
                                  const OptimisticRead *read, Item *item)
{
    item->piece = piece_at(pool, offset, size);
    item->version = lock_version(pool_lock_stripe(&pool->locks, item->piece.index));
    item->leaf = NULL;
    item->found = open && item->piece.size == size && (item->version & 1) == 0 &&
                  checked_fits(pool_total(pool), offset, size) &&
                  tree_leaf_optimistic(&pool->tree, item->piece.index, read, private_only,
                                       &item->leaf);
    if (item->leaf != NULL) {
        cpu_prefetch(node_slot(item->leaf, 0, item->piece.index));
    }
}

/* Step 2: finds its block. */
static inline void item_find_block(const OptimisticRead *read, Item *item)
{
    item->block = NULL;
    if (item->found && item->leaf != NULL) {
        item->block = leaf_block(item->leaf, item->piece.index);
        item->found = optimistic_validate_shape(read);
        cpu_prefetch(item->block);
    }
}

/* Step 3: finds its data. */
static inline void item_find_data(Item *item)
{
    item->data = NULL;
    if (item->found && item->block != NULL) {
        item->data = block_data_optimistic(item->block);
        item->found = item->data != NULL;
        if (item->found) {
            cpu_prefetch(item->data + item->piece.start);
        }
    }
}

/* Does steps 1 and 2 for up to ITEMS_AT_ONCE items. private_only: a leaf that is not
 * private counts as none. */
static void items_find(MemoryPool *pool, const size_t *offsets, size_t count, size_t size,
                       bool private_only, OptimisticRead *read, Item *items)
{
    bool open = optimistic_begin_shape(read, &pool->locks);
    size_t i;
    for (i = 0; i < count; i++) {
        item_find_leaf(pool, offsets[i], size, private_only, open, read, &items[i]);
    }
    for (i = 0; i < count; i++) {
        item_find_block(read, &items[i]);
    }
}

/* Does step 3. */
static void items_find_data(Item *items, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) {
        item_find_data(&items[i]);
    }
}

/* Whether all that was read of an item is from one moment. */
static inline bool item_holds(MemoryPool *pool, const OptimisticRead *read,
                              const Item *item)
{
    return optimistic_validate_shape(read) &&
           item->version ==
               lock_version(pool_lock_stripe(&pool->locks, item->piece.index));
}

/* Copies an item; false if it was not found or a writer came between. */
static inline bool item_get(MemoryPool *pool, const OptimisticRead *read,
                            const Item *item, unsigned char *dest)
{
    if (!item->found) {
        return false;
    }
    block_get(dest, item->data, item->piece, item->piece.size <= SMALL_MAX);
    return item_holds(pool, read, item);
}

/* Locks: for each item as pool_read. */
PoolStatus pool_gather(MemoryPool *pool, void *dest, const size_t *offsets, size_t count,
                       size_t item_size)
{
    unsigned char *at = (unsigned char *)dest;
    PoolStatus status = batch_check(pool, dest, offsets, count, item_size);
    size_t done, i, some;
    if (status != POOL_OK || item_size == 0) {
        return status_set(status);
    }
    for (done = 0; done < count; done += some) {
        Item items[ITEMS_AT_ONCE];
        OptimisticRead read;
        some = checked_min(count - done, ITEMS_AT_ONCE);
        items_find(pool, offsets + done, some, item_size, false, &read, items);
        items_find_data(items, some);
        for (i = 0; i < some; i++, at += item_size) {
            if (!item_get(pool, &read, &items[i], at) &&
                bytes_read(pool, at, offsets[done + i], item_size, false) == 0) {
                return status_set(POOL_RANGE); /* the pool was made smaller meanwhile */
            }
        }
    }
    return status_set(POOL_OK);
}

/* ------------------------------------------------------------------- scattering */

static int batch_compare(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

/* Returns what is needed to write to the blocks of all items. blocks is scratch memory
 * for count offsets. */
static Need batch_measure(const MemoryPool *pool, const size_t *offsets, size_t count,
                          size_t item_size, size_t *blocks)
{
    Need need = {0, 0, 0, 0};
    size_t i, done = SIZE_MAX;
    memcpy(blocks, offsets, count * sizeof *blocks);
    qsort(blocks, count, sizeof *blocks, batch_compare);
    for (i = 0; i < count;) { /* runs of blocks that touch */
        Need run;
        size_t first = pool_index(pool, blocks[i]);
        size_t last = pool_index(pool, blocks[i] + (item_size - 1));
        for (i++; i < count && pool_index(pool, blocks[i]) <= last + 1; i++) {
            last = checked_max(last, pool_index(pool, blocks[i] + (item_size - 1)));
        }
        run = tree_measure_next(&pool->tree, first, last, &done);
        need.blocks += run.blocks;
        need.nodes += run.nodes;
        need.holes += run.holes;
    }
    need.written = checked_times(count, item_size);
    return need;
}

/* Writes items of which some need blocks or nodes. Works on a copy of the offsets: the
 * caller's array may lie in a pinned block that an item overwrites. Locks: the pool
 * exclusively; inside it the arena. */
static PoolStatus batch_put(MemoryPool *pool, const size_t *offsets,
                            const unsigned char *src, size_t count, size_t item_size)
{
    Reservation reservation = {0};
    PoolStatus status;
    Guard guard;
    size_t i;
    size_t *copy = count > SIZE_MAX / (2 * sizeof *copy)
                       ? NULL
                       : (size_t *)memory_alloc(2 * count * sizeof *copy);
    if (copy == NULL) {
        return POOL_NO_MEMORY;
    }
    memcpy(copy, offsets, count * sizeof *copy);
    guard = pool_lock_exclusive(&pool->locks);
    status = batch_check(pool, src, copy, count, item_size);
    if (status == POOL_OK) {
        status =
            reservation_fill(&reservation, &pool->family->arena,
                             batch_measure(pool, copy, count, item_size, copy + count));
    }
    for (i = 0; status == POOL_OK && i < count; i++) {
        bytes_put(pool, copy[i], src + i * item_size, 0, item_size, &reservation);
    }
    write_end(pool, guard, &reservation);
    platform_free(copy);
    return status;
}

/* Whether the blocks of all items seem to exist and to be private, so that none has to be
 * allocated. Reads optimistically: another thread may change that at once. */
static bool batch_seems_ready(MemoryPool *pool, const size_t *offsets, size_t count,
                              size_t item_size)
{
    size_t done, i, some;
    for (done = 0; done < count; done += some) {
        Item items[ITEMS_AT_ONCE];
        OptimisticRead read;
        some = checked_min(count - done, ITEMS_AT_ONCE);
        items_find(pool, offsets + done, some, item_size, true, &read, items);
        for (i = 0; i < some; i++) {
            if (!items[i].found || items[i].block == NULL ||
                block_is_shared(items[i].block) || !item_holds(pool, &read, &items[i])) {
                return false;
            }
        }
    }
    return true;
}

/* Writes items one by one, as long as their blocks exist and are private; returns how
 * many. Locks: for each item the stripe of its block. */
static size_t batch_try_put(MemoryPool *pool, const size_t *offsets,
                            const unsigned char *src, size_t count, size_t item_size)
{
    size_t done, i, some;
    for (done = 0; done < count; done += some) {
        Item items[ITEMS_AT_ONCE];
        OptimisticRead read;
        some = checked_min(count - done, ITEMS_AT_ONCE);
        items_find(pool, offsets + done, some, item_size, true, &read, items);
        items_find_data(items, some);
        for (i = 0; i < some; i++, src += item_size) {
            if (!items[i].found || items[i].leaf == NULL ||
                !leaf_try_write(pool, items[i].leaf, read.shape, items[i].piece, src,
                                item_size <= SMALL_MAX)) {
                return done + i;
            }
        }
    }
    return count;
}

/* Locks: for each item the stripe of its block; if blocks or nodes must be allocated, the
 * pool exclusively for all items that are left. */
PoolStatus pool_scatter(MemoryPool *pool, const size_t *offsets, const void *src,
                        size_t count, size_t item_size)
{
    const unsigned char *bytes = (const unsigned char *)src;
    PoolStatus status = batch_check(pool, src, offsets, count, item_size);
    size_t done = 0;
    if (status != POOL_OK || item_size == 0 || count == 0) {
        return status_set(status);
    }
    if (batch_seems_ready(pool, offsets, count, item_size)) {
        done = batch_try_put(pool, offsets, bytes, count, item_size);
    }
    if (done < count) {
        status = batch_put(pool, offsets + done, bytes + done * item_size, count - done,
                           item_size);
    }
    return status_set(status);
}

/* ------------------------------------------------------------ read-modify-write */

/* Loads an integer of size bytes in the machine's byte order. */
static uint64_t integer_load(const unsigned char *bytes, size_t size)
{
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    switch (size) {
    case 1: return bytes[0];
    case 2: memcpy(&two, bytes, 2); return two;
    case 4: memcpy(&four, bytes, 4); return four;
    default: memcpy(&eight, bytes, 8); return eight;
    }
}

static void integer_store(unsigned char *bytes, size_t size, uint64_t value)
{
    uint8_t one = (uint8_t)value;
    uint16_t two = (uint16_t)value;
    uint32_t four = (uint32_t)value;
    switch (size) {
    case 1: bytes[0] = one; return;
    case 2: memcpy(bytes, &two, 2); return;
    case 4: memcpy(bytes, &four, 4); return;
    default: memcpy(bytes, &value, 8); return;
    }
}

/* Adds value to the integer at offset, or, if expected is not NULL, replaces it by value
 * if it equals *expected. *old gets the previous value. Locks: as bytes_write. */
static PoolStatus integer_change(MemoryPool *pool, size_t offset, size_t size,
                                 const uint64_t *expected, uint64_t value, uint64_t *old)
{
    unsigned char bytes[8];
    Reservation reservation = {0};
    PoolStatus status;
    Guard guard;
    if (pool == NULL || old == NULL ||
        (size != 1 && size != 2 && size != 4 && size != 8)) {
        return POOL_INVALID;
    }
    if (!checked_fits(pool_total(pool), offset, size)) {
        return POOL_RANGE;
    }
    status = write_begin(pool, offset, &size, WRITE_ALL, &guard, &reservation);
    if (status == POOL_OK) {
        (void)bytes_get(pool, bytes, offset, size, NULL);
        *old = integer_load(bytes, size);
        if (expected == NULL || *old == *expected) {
            integer_store(bytes, size, expected == NULL ? *old + value : value);
            bytes_put(pool, offset, bytes, 0, size, &reservation);
        }
        write_end(pool, guard, &reservation);
    }
    return status;
}

PoolStatus pool_fetch_add(MemoryPool *pool, size_t offset, size_t size, uint64_t value,
                          uint64_t *old)
{
    return status_set(integer_change(pool, offset, size, NULL, value, old));
}

PoolStatus pool_compare_exchange(MemoryPool *pool, size_t offset, size_t size,
                                 uint64_t expected, uint64_t value, uint64_t *old)
{
    return status_set(integer_change(pool, offset, size, &expected, value, old));
}
