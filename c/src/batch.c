/*
 * batch.c - many small ranges in one call, and read-modify-write of one
 *
 * Each item of a batch is one atomic step; the batch is not. All offsets are checked
 * before the first byte moves. What a scatter needs is taken in one go if any of it is
 * missing, so that it fails before it has begun; only if another thread shares (clones)
 * or discards blocks while it runs can it find, in its midst, that it needs more.
 */
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

/* Items are looked up a few at a time, before the first of them is copied: so the
 * processor fetches their data all at once and not one after the other. */
enum { ITEMS_AT_ONCE = 16 };

typedef struct Item {
    Watch watch;
    const unsigned char *data; /* NULL: a hole */
} Item;

/* Finds the data of an item without a lock; false if it must be read in another way. */
static bool item_find(MemoryPool *pool, size_t offset, size_t size, Item *item)
{
    Piece piece = piece_at(pool, offset, size);
    Node *leaf;
    Block *block;
    if (piece.size < size ||
        !watch_begin(&item->watch, &pool->stripes, piece.index, piece.index) ||
        !checked_fits(pool_total(pool), offset, size) ||
        !tree_watch_leaf(&pool->tree, piece.index, &item->watch, false, &leaf)) {
        return false;
    }
    block = leaf == NULL ? NULL : leaf_block(leaf, piece.index);
    if (!watch_shape(&item->watch) ||
        (block != NULL && (block->flags & BLOCK_ADOPTED) != 0)) {
        return false;
    }
    item->data = block == NULL ? NULL : block->data + piece.start;
    cpu_prefetch(item->data);
    return true;
}

/* Copies an item that was found; false if something came between. */
static bool item_get(const Item *item, unsigned char *dest, size_t size)
{
    if (item->data == NULL) {
        memset(dest, 0, size);
    } else {
        data_get(dest, item->data, size);
    }
    return watch_end(&item->watch);
}

/* Locks: as pool_read, for each item. */
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
        bool found[ITEMS_AT_ONCE];
        some = checked_min(count - done, ITEMS_AT_ONCE);
        for (i = 0; i < some; i++) {
            found[i] = item_find(pool, offsets[done + i], item_size, &items[i]);
        }
        for (i = 0; i < some; i++, at += item_size) {
            if (!(found[i] && item_get(&items[i], at, item_size)) &&
                !bytes_read(pool, at, offsets[done + i], item_size)) {
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

/* What it takes to write to the blocks from the first to the last of each item; blocks
 * has room for count indices. */
static Need batch_measure(const MemoryPool *pool, const size_t *offsets, size_t count,
                          size_t item_size, size_t *blocks)
{
    Need need = {0, 0};
    size_t i, next = 0;
    for (i = 0; i < count; i++) {
        blocks[i] = offsets[i];
    }
    qsort(blocks, count, sizeof *blocks, batch_compare);
    for (i = 0; i < count;) { /* runs of blocks that touch */
        size_t first = checked_max(pool_index(pool, blocks[i]), next);
        size_t last = pool_index(pool, blocks[i] + (item_size - 1));
        for (i++; i < count && pool_index(pool, blocks[i]) <= last + 1; i++) {
            last = checked_max(last, pool_index(pool, blocks[i] + (item_size - 1)));
        }
        if (first <= last) {
            Need run = tree_measure(&pool->tree, first, last);
            need.blocks += run.blocks;
            need.nodes += run.nodes;
            next = last + 1;
        }
    }
    return need;
}

/* Writes items of which some need blocks or nodes. Locks: the whole pool, in it the
 * arena. */
static PoolStatus batch_put(MemoryPool *pool, const size_t *offsets,
                            const unsigned char *src, size_t count, size_t item_size)
{
    Stock stock = {0};
    PoolStatus status;
    Hold hold;
    size_t i;
    size_t *blocks = count > SIZE_MAX / sizeof *blocks
                         ? NULL
                         : (size_t *)platform_alloc(count * sizeof *blocks);
    if (blocks == NULL) {
        return POOL_NO_MEMORY;
    }
    hold = stripes_hold_whole(&pool->stripes);
    status = batch_check(pool, src, offsets, count, item_size);
    if (status == POOL_OK) {
        status = stock_fill(&stock, &pool->family->arena,
                            batch_measure(pool, offsets, count, item_size, blocks));
    }
    for (i = 0; status == POOL_OK && i < count; i++) {
        bytes_put(pool, offsets[i], src + i * item_size, 0, item_size, &stock);
    }
    write_end(pool, hold, &stock);
    platform_free(blocks);
    return status;
}

/* Whether a block is there and private, as far as can be seen without a lock. */
static bool block_seems_ready(MemoryPool *pool, size_t index)
{
    Watch watch;
    Node *leaf;
    Block *block;
    if (!watch_begin(&watch, &pool->stripes, index, index) ||
        !tree_watch_leaf(&pool->tree, index, &watch, true, &leaf) || leaf == NULL) {
        return false;
    }
    block = leaf_block(leaf, index);
    return watch_shape(&watch) && block != NULL && !block_is_shared(block) &&
           watch_end(&watch);
}

/* Locks: for each item the stripe of its block, or, if blocks or nodes must be made, the
 * whole pool for all of them. */
PoolStatus pool_scatter(MemoryPool *pool, const size_t *offsets, const void *src,
                        size_t count, size_t item_size)
{
    const unsigned char *bytes = (const unsigned char *)src;
    PoolStatus status = batch_check(pool, src, offsets, count, item_size);
    size_t i, ready;
    if (status != POOL_OK || item_size == 0 || count == 0) {
        return status_set(status);
    }
    for (ready = 0; ready < count; ready++) {
        Piece piece = piece_at(pool, offsets[ready], item_size);
        if (piece.size < item_size || !block_seems_ready(pool, piece.index)) {
            break;
        }
    }
    for (i = 0; ready == count && i < count; i++) {
        Piece piece = piece_at(pool, offsets[i], item_size);
        if (!block_try_write(pool, offsets[i], piece, bytes + i * item_size)) {
            break;
        }
    }
    if (i < count) {
        status =
            batch_put(pool, offsets + i, bytes + i * item_size, count - i, item_size);
    }
    return status_set(status);
}

/* ------------------------------------------------------------ read-modify-write */

/* An integer of size bytes in the machine's byte order. */
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

/* Replaces the integer at offset by added to it, or, if expected is not NULL, by value if
 * it is *expected. *old gets what was there. Locks: as pool_write. */
static PoolStatus integer_change(MemoryPool *pool, size_t offset, size_t size,
                                 const uint64_t *expected, uint64_t value, uint64_t *old)
{
    unsigned char bytes[8];
    Stock stock = {0};
    PoolStatus status;
    Hold hold;
    if (pool == NULL || old == NULL ||
        (size != 1 && size != 2 && size != 4 && size != 8)) {
        return POOL_INVALID;
    }
    if (!checked_fits(pool_total(pool), offset, size)) {
        return POOL_RANGE;
    }
    status = write_begin(pool, offset, size, &hold, &stock);
    if (status == POOL_OK) {
        (void)bytes_get(pool, bytes, offset, size, NULL);
        *old = integer_load(bytes, size);
        if (expected == NULL || *old == *expected) {
            integer_store(bytes, size, expected == NULL ? *old + value : value);
            bytes_put(pool, offset, bytes, 0, size, &stock);
        }
        write_end(pool, hold, &stock);
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
