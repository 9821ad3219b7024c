/*
 * bytes.c - reading, writing, filling, discarding
 *
 * Every function here does the same: clip or check the range, hold the blocks it covers,
 * go over them piece by piece, let go. A PIECE is what one block has of the range.
 */
typedef struct Piece {
    size_t index; /* of the block                    */
    size_t start; /* first byte of it in the block   */
    size_t size;  /* bytes, up to the block's end    */
} Piece;

static inline Piece piece_at(const MemoryPool *pool, size_t offset, size_t size)
{
    size_t block_size = (size_t)1 << pool->block_shift;
    Piece piece;
    piece.index = offset >> pool->block_shift;
    piece.start = offset & (block_size - 1);
    piece.size = checked_min(size, block_size - piece.start);
    return piece;
}

static inline size_t pool_index(const MemoryPool *pool, size_t offset)
{
    return offset >> pool->block_shift;
}

/* What pool_read, pool_write and pool_take may move; if 0, the status says why. */
static inline size_t pool_clip(const MemoryPool *pool, size_t offset, const void *buffer,
                               size_t size)
{
    size_t clipped;
    if (pool == NULL || (buffer == NULL && size > 0)) {
        (void)status_set(POOL_INVALID);
        return 0;
    }
    clipped = checked_clip(pool->total_size, offset, size);
    (void)status_set(clipped == 0 && size > 0 ? POOL_RANGE : POOL_OK);
    return clipped;
}

/* What pool_fill and pool_discard have to say about their range. */
static PoolStatus pool_check(const MemoryPool *pool, size_t offset, size_t size)
{
    if (pool == NULL) {
        return POOL_INVALID;
    }
    return checked_fits(pool->total_size, offset, size) ? POOL_OK : POOL_RANGE;
}

/* -------------------------------------------------------------------- reading */

/* Copies a piece out of its leaf (NULL: a hole). The caller holds its stripe (watch is
 * NULL) or watches it; then false means that it must start over. */
static inline bool piece_get(unsigned char *dest, Node *leaf, Piece piece,
                             const Watch *watch)
{
    Block *block = leaf == NULL ? NULL : leaf_block(leaf, piece.index);
    if (watch != NULL && !watch_shape(watch)) {
        return false;
    }
    if (block == NULL) {
        memset(dest, 0, piece.size);
    } else {
        memcpy(dest, block->data + piece.start, piece.size);
    }
    return true;
}

/* The same for a range. */
static bool bytes_get(const MemoryPool *pool, unsigned char *dest, size_t offset,
                      size_t size, const Watch *watch)
{
    Node *leaf = NULL;
    bool known = false;
    while (size > 0) {
        Piece piece = piece_at(pool, offset, size);
        if (!known || (piece.index & (TREE_SLOTS - 1)) == 0) {
            known = true;
            if (watch == NULL) {
                leaf = tree_leaf(&pool->tree, piece.index);
            } else if (!tree_watch_leaf(&pool->tree, piece.index, watch, &leaf)) {
                return false;
            }
        }
        if (!piece_get(dest, leaf, piece, watch)) {
            return false;
        }
        dest += piece.size;
        offset += piece.size;
        size -= piece.size;
    }
    return true;
}

/* Reads a range of one block without a lock; false if something came between. */
static inline bool block_try_read(const MemoryPool *pool, unsigned char *dest,
                                  Piece piece)
{
    Watch watch;
    Node *leaf;
    return watch_begin(&watch, &pool->stripes, piece.index, piece.index) &&
           tree_watch_leaf(&pool->tree, piece.index, &watch, &leaf) &&
           piece_get(dest, leaf, piece, &watch) && watch_end(&watch);
}

/* Reads any range: without a lock if that works at once, holding it if not. */
static void bytes_read(const MemoryPool *pool, unsigned char *dest, size_t offset,
                       size_t size)
{
    size_t first = pool_index(pool, offset);
    size_t last = pool_index(pool, offset + (size - 1));
    Watch watch;
    if (!watch_begin(&watch, &pool->stripes, first, last) ||
        !bytes_get(pool, dest, offset, size, &watch) || !watch_end(&watch)) {
        Hold hold = stripes_hold_range(&pool->stripes, first, last);
        (void)bytes_get(pool, dest, offset, size, NULL);
        stripes_let_go(&pool->stripes, hold);
    }
}

/* Locks: nothing; the stripes of the range if it was written to, or the tree's shape
 * changed, while it was read. */
size_t pool_read(MemoryPool *pool, void *dest, size_t offset, size_t size)
{
    Piece piece;
    size = pool_clip(pool, offset, dest, size);
    if (size == 0) {
        return 0;
    }
    piece = piece_at(pool, offset, size);
    if (piece.size < size || !block_try_read(pool, (unsigned char *)dest, piece)) {
        bytes_read(pool, (unsigned char *)dest, offset, size);
    }
    return size;
}

/* -------------------------------------------------------------------- writing */

/* Writes src, or the byte if src is NULL. */
static inline void data_put(unsigned char *data, const unsigned char *src, int byte,
                            size_t size)
{
    if (src != NULL) {
        memcpy(data, src, size);
    } else {
        memset(data, byte, size);
    }
}

/* Gives what surrounds a piece in a new block its bytes: those of the block it replaces,
 * or zeros. */
static void block_surround(const MemoryPool *pool, Block *block, const Block *old,
                           Piece piece)
{
    size_t end = piece.start + piece.size;
    size_t rest = ((size_t)1 << pool->block_shift) - end;
    if (old != NULL) {
        memcpy(block->data, old->data, piece.start);
        memcpy(block->data + end, old->data + end, rest);
    } else if (block->dirty) {
        memset(block->data, 0, piece.start);
        memset(block->data + end, 0, rest);
    }
    block->dirty = 1;
}

/* Puts a piece into a slot of a private leaf; returns 1 if there was a hole. */
static size_t slot_put(MemoryPool *pool, AtomicPtr *slot, Piece piece,
                       const unsigned char *src, int byte, Stock *stock)
{
    Block *old = (Block *)ptr_load_acquire(slot);
    Block *block;
    if (old != NULL && !block_is_shared(old)) {
        data_put(old->data + piece.start, src, byte, piece.size);
        return 0;
    }
    block = stock_block(stock);
    block_surround(pool, block, old, piece);
    data_put(block->data + piece.start, src, byte, piece.size);
    ptr_store_release(slot, block);
    if (old == NULL) {
        return 1;
    }
    size_add_relaxed(&pool->copied, 1);
    block_drop(old, stock);
    return 0;
}

/* Writes a range for which the stock has all that is needed, leaf by leaf. */
static void bytes_put(MemoryPool *pool, size_t offset, const unsigned char *src, int byte,
                      size_t size, Stock *stock)
{
    while (size > 0) {
        Piece piece = piece_at(pool, offset, size);
        size_t first = piece.index, added = 0;
        Node *leaf = tree_own_leaf(&pool->tree, first, stock);
        do {
            piece = piece_at(pool, offset, size);
            added +=
                slot_put(pool, node_slot(leaf, 0, piece.index), piece, src, byte, stock);
            src = src == NULL ? NULL : src + piece.size;
            offset += piece.size;
            size -= piece.size;
        } while (size > 0 && ((piece.index + 1) & (TREE_SLOTS - 1)) != 0);
        if (added > 0) {
            tree_count(&pool->tree, first, added);
        }
    }
}

/* Holds what a write to the blocks first to last needs, and fills the stock for it. If
 * that fails, nothing is held. */
static PoolStatus write_begin(MemoryPool *pool, size_t first, size_t last, Hold *hold,
                              Stock *stock)
{
    Need need = tree_measure(&pool->tree, first, last);
    PoolStatus status;
    if (need.nodes > 0 && !hold->whole) { /* it changes the shape */
        stripes_let_go(&pool->stripes, *hold);
        *hold = stripes_hold_whole(&pool->stripes);
        need = tree_measure(&pool->tree, first, last);
    }
    status = stock_fill(stock, &pool->family->arena, need);
    if (status != POOL_OK) {
        stripes_let_go(&pool->stripes, *hold);
    }
    return status;
}

/* Writes to a block that is there and private, which is what most writes do; false if it
 * is not. Locks: the stripe of the block. */
static inline bool block_try_write(MemoryPool *pool, Piece piece,
                                   const unsigned char *src, int byte)
{
    Lock *lock = stripes_hold_block(&pool->stripes, piece.index);
    Node *leaf = tree_private_leaf(&pool->tree, piece.index);
    Block *block = leaf == NULL ? NULL : leaf_block(leaf, piece.index);
    bool private = block != NULL && !block_is_shared(block);
    if (private) {
        data_put(block->data + piece.start, src, byte, piece.size);
    }
    lock_release(lock);
    return private;
}

/* pool_write, and pool_fill if src is NULL, for a range that is in the pool.
 * Locks: the stripes of the range, or the whole pool if nodes must be made or copied;
 * in it the arena, if blocks must. */
static PoolStatus bytes_write(MemoryPool *pool, size_t offset, const unsigned char *src,
                              int byte, size_t size)
{
    size_t first = pool_index(pool, offset);
    size_t last = pool_index(pool, offset + (size - 1));
    Hold hold = stripes_hold_range(&pool->stripes, first, last);
    Stock stock = {NULL, NULL};
    PoolStatus status = write_begin(pool, first, last, &hold, &stock);
    if (status == POOL_OK) {
        bytes_put(pool, offset, src, byte, size, &stock);
        stock_empty(&stock, &pool->family->arena);
        stripes_let_go(&pool->stripes, hold);
    }
    return status;
}

size_t pool_write(MemoryPool *pool, size_t offset, const void *src, size_t size)
{
    PoolStatus status;
    Piece piece;
    size = pool_clip(pool, offset, src, size);
    if (size == 0) {
        return 0;
    }
    piece = piece_at(pool, offset, size);
    if (piece.size == size &&
        block_try_write(pool, piece, (const unsigned char *)src, 0)) {
        return size;
    }
    status = bytes_write(pool, offset, (const unsigned char *)src, 0, size);
    return status_set(status) == POOL_OK ? size : 0;
}

/* ----------------------------------------------------------------- discarding */

/* What discarding a range does: the blocks [first, end) go, and up to two more, of which
 * only a piece is in the range and which hold something beside it, are cleared there. */
typedef struct Discard {
    size_t first, end;
    Piece pieces[2];
    unsigned count;
} Discard;

static bool data_is_zero(const unsigned char *data, size_t size)
{
    return size == 0 || (data[0] == 0 && memcmp(data, data + 1, size - 1) == 0);
}

/* Whether a block holds nothing but zeros beside a piece. What comes after the piece is
 * looked at first: in a stream that is consumed, that is where the data is. */
static bool piece_is_all(const MemoryPool *pool, const Block *block, Piece piece)
{
    size_t end = piece.start + piece.size;
    return data_is_zero(block->data + end, ((size_t)1 << pool->block_shift) - end) &&
           data_is_zero(block->data, piece.start);
}

/* Notes the piece if its block must stay; false if the block can go. */
static bool discard_keeps(Discard *discard, const MemoryPool *pool, Piece piece)
{
    Block *block = tree_block(&pool->tree, piece.index);
    if (block == NULL || piece_is_all(pool, block, piece)) {
        return false;
    }
    discard->pieces[discard->count++] = piece;
    return true;
}

static Discard discard_plan(const MemoryPool *pool, size_t offset, size_t size)
{
    size_t last = pool_index(pool, offset + (size - 1));
    size_t last_start = last << pool->block_shift;
    Piece head = piece_at(pool, offset, size);
    Discard discard = {0};
    discard.first = head.index + discard_keeps(&discard, pool, head);
    discard.end = last + 1;
    if (last != head.index) {
        Piece tail = piece_at(pool, last_start, offset + size - last_start);
        discard.end -= discard_keeps(&discard, pool, tail);
    }
    return discard;
}

/* An upper bound of what it takes to carry the plan out. */
static Need discard_measure(const MemoryPool *pool, const Discard *discard)
{
    Need need = {0, 0};
    unsigned i;
    for (i = 0; i < discard->count; i++) {
        size_t index = discard->pieces[i].index;
        Need piece = tree_measure(&pool->tree, index, index);
        need.blocks += piece.blocks;
        need.nodes += piece.nodes;
    }
    if (discard->first < discard->end) {
        need.nodes += tree_measure_clear(&pool->tree, discard->first, discard->end - 1);
    }
    return need;
}

static void discard_carry_out(MemoryPool *pool, const Discard *discard, Stock *stock)
{
    unsigned i;
    for (i = 0; i < discard->count; i++) {
        Piece piece = discard->pieces[i];
        Node *leaf = tree_own_leaf(&pool->tree, piece.index, stock);
        (void)slot_put(pool, node_slot(leaf, 0, piece.index), piece, NULL, 0, stock);
    }
    if (discard->first < discard->end) {
        tree_clear(&pool->tree, discard->first, discard->end - 1, stock);
    }
}

/* Discards a range of one block by its stripe alone, if the block stays or is none. */
static bool discard_in_block(MemoryPool *pool, unsigned char *dest, size_t offset,
                             size_t size)
{
    Piece piece = piece_at(pool, offset, size);
    Hold hold = stripes_hold_range(&pool->stripes, piece.index, piece.index);
    Node *leaf = tree_private_leaf(&pool->tree, piece.index);
    Block *block = tree_block(&pool->tree, piece.index);
    bool stays = leaf != NULL && block != NULL && !block_is_shared(block) &&
                 !piece_is_all(pool, block, piece);
    if ((block == NULL || stays) && dest != NULL) {
        (void)bytes_get(pool, dest, offset, size, NULL);
    }
    if (stays) {
        memset(block->data + piece.start, 0, piece.size);
    }
    stripes_let_go(&pool->stripes, hold);
    return block == NULL || stays;
}

/* pool_discard, and pool_take if dest is not NULL, for a range that is in the pool.
 * Locks: the stripe of the block if there is one block and it stays; the whole pool if
 * not, and in it the arena. */
static PoolStatus bytes_discard(MemoryPool *pool, unsigned char *dest, size_t offset,
                                size_t size)
{
    Stock stock = {NULL, NULL};
    Discard discard;
    PoolStatus status;
    Hold hold;
    if (pool_index(pool, offset) == pool_index(pool, offset + (size - 1)) &&
        discard_in_block(pool, dest, offset, size)) {
        return POOL_OK;
    }
    hold = stripes_hold_whole(&pool->stripes);
    discard = discard_plan(pool, offset, size);
    status = stock_fill(&stock, &pool->family->arena, discard_measure(pool, &discard));
    if (status == POOL_OK) {
        if (dest != NULL) {
            (void)bytes_get(pool, dest, offset, size, NULL);
        }
        discard_carry_out(pool, &discard, &stock);
        stock_empty(&stock, &pool->family->arena);
    }
    stripes_let_go(&pool->stripes, hold);
    return status;
}

PoolStatus pool_discard(MemoryPool *pool, size_t offset, size_t size)
{
    PoolStatus status = pool_check(pool, offset, size);
    if (status == POOL_OK && size > 0) {
        status = bytes_discard(pool, NULL, offset, size);
    }
    return status_set(status);
}

size_t pool_take(MemoryPool *pool, void *dest, size_t offset, size_t size)
{
    PoolStatus status;
    size = pool_clip(pool, offset, dest, size);
    if (size == 0) {
        return 0;
    }
    status = bytes_discard(pool, (unsigned char *)dest, offset, size);
    return status_set(status) == POOL_OK ? size : 0;
}

PoolStatus pool_fill(MemoryPool *pool, size_t offset, int byte, size_t size)
{
    PoolStatus status = pool_check(pool, offset, size);
    if (status == POOL_OK && size > 0) {
        status = (byte & 0xff) == 0 ? bytes_discard(pool, NULL, offset, size)
                                    : bytes_write(pool, offset, NULL, byte & 0xff, size);
    }
    return status_set(status);
}
