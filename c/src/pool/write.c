/* SPDX-License-Identifier: MIT */
/*
 * write.c - writing to a range (see range.c)
 *
 * A write to one block that exists and is private locks its stripe alone, once it has
 * found the block. Any other locks first, reserves what it may need, and edits the tree.
 * Writes of 8 bytes have a function of their own, of which all is inlined.
 */
#include "pool.h"

/* Writes src, or the byte if src is NULL. src may lie in this same block, through a pin
 * or from pool_copy. */
static inline void data_put(unsigned char *data, const unsigned char *src, int byte,
                            size_t size)
{
    if (src == NULL) {
        memset(data, byte, size);
    } else {
        memmove(data, src, size);
    }
}

/* Initialises the bytes around a piece in a new block: with those of the block that it
 * replaces, or with zeros. */
static void block_surround(const MemoryPool *pool, Block *block, const Block *old,
                           Piece piece)
{
    size_t end = piece.start + piece.size;
    size_t rest = ((size_t)1 << pool->block_shift) - end;
    if (old != NULL) {
        const unsigned char *data = block_data(old);
        if (!block_is_dirty(block) && end + rest >= POPULATE_MIN) {
            platform_populate(block->data, end + rest);
        }
        memcpy(block->data, data, piece.start);
        memcpy(block->data + end, data + end, rest);
    } else if (block_is_dirty(block)) {
        memset(block->data, 0, piece.start);
        memset(block->data + end, 0, rest);
    }
    block->from |= BLOCK_DIRTY;
}

/* Writes a piece to the block in a slot of a private leaf; a hole or shared block is
 * replaced by a reserved block. Returns 1 if there was a hole, else 0. Context: the
 * caller has locked the block. */
static size_t slot_put(MemoryPool *pool, AtomicPtr *slot, Piece piece,
                       const unsigned char *src, int byte, Reservation *reservation)
{
    Block *old, *block;
    if (slot_owns(slot)) {
        data_put(word_data(slot_word(slot)) + piece.start, src, byte, piece.size);
        return 0;
    }
    old = slot_block(slot);
    block = reservation_take_block(reservation);
    block_surround(pool, block, old, piece);
    data_put(block->data + piece.start, src, byte, piece.size);
    slot_set_sole(slot, block);
    if (old == NULL) {
        return 1;
    }
    size_add_relaxed(&pool->copied, 1);
    block_drop(old, reservation);
    return 0;
}

/* Writes to a range for which the reservation has all that is needed, leaf by leaf.
 * Context: the caller has locked the range, or the pool if nodes must be added. */
static void bytes_put(MemoryPool *pool, size_t offset, const unsigned char *src, int byte,
                      size_t size, Reservation *reservation)
{
    while (size > 0) {
        Piece piece = piece_at(pool, offset, size);
        size_t first = piece.index, added = 0;
        Node *leaf = tree_unshare_leaf(&pool->tree, first, reservation);
        do {
            piece = piece_at(pool, offset, size);
            added += slot_put(pool, node_slot(leaf, 0, piece.index), piece, src, byte,
                              reservation);
            src = src == NULL ? NULL : src + piece.size;
            offset += piece.size;
            size -= piece.size;
        } while (size > 0 && ((piece.index + 1) & (TREE_SLOTS - 1)) != 0);
        if (added > 0) {
            tree_count(&pool->tree, first, added);
        }
    }
}

/* Finds out what a write to a range needs. POOL_RANGE if the range is no longer in the
 * pool: the tree may then be too low for a search. */
static PoolStatus write_measure(const MemoryPool *pool, size_t offset, size_t size,
                                Need *need)
{
    need->blocks = need->nodes = 0;
    if (size == 0 || !checked_fits(pool_total(pool), offset, size)) {
        return POOL_RANGE;
    }
    *need = tree_measure(&pool->tree, pool_index(pool, offset),
                         pool_index(pool, offset + (size - 1)));
    return POOL_OK;
}

/* Locks the blocks for a write to *size bytes and fills the reservation. If the write
 * clips, *size becomes the number of bytes that the pool has. After a failure nothing is
 * locked; POOL_RANGE if the range is no longer in the pool (if it clips: not even a
 * part). Locks: the range, or the pool exclusively if nodes must be allocated or copied;
 * inside it the arena. They stay locked until write_end. */
static PoolStatus write_begin(MemoryPool *pool, size_t offset, size_t *size,
                              WriteMode mode, Guard *guard, Reservation *reservation)
{
    size_t first = pool_index(pool, offset), last = pool_last(pool, offset, *size);
    size_t clipped;
    PoolStatus status;
    Need need;
    *guard = pool_lock_range(&pool->locks, first, last);
    clipped = mode == WRITE_CLIPPED ? pool_clip(pool, offset, *size) : *size;
    status = write_measure(pool, offset, clipped, &need);
    if (need.nodes > 0 && !guard->exclusive) { /* a change of shape */
        pool_unlock(&pool->locks, *guard);
        *guard = pool_lock_exclusive(&pool->locks);
        clipped = mode == WRITE_CLIPPED ? pool_clip(pool, offset, *size) : *size;
        status = write_measure(pool, offset, clipped, &need);
    }
    *size = clipped;
    if (status == POOL_OK) {
        need.written = mode == WRITE_NOTHING ? 0 : clipped;
        if (mode == WRITE_NOTHING && need.blocks > need.holes) {
            need.nodes += tree_top(&pool->tree) + 1; /* what is shared is frozen */
        }
        status = reservation_fill(reservation, &pool->family->arena, need);
    }
    if (status != POOL_OK) {
        pool_unlock(&pool->locks, *guard);
    }
    return status;
}

/* Frees what is left of the reservation, unlocks, and releases adopted memory. */
static void write_end(MemoryPool *pool, Guard guard, Reservation *reservation)
{
    reservation_empty(reservation, &pool->family->arena);
    pool_unlock(&pool->locks, guard);
    reservation_release_adopted(reservation);
}

/* Writes to a block of a leaf that was private, and in the tree, when the shape lock had
 * the version shape. Returns false if that has changed, or if the block is a hole or
 * shared; if quick, also if another thread holds the stripe, or if the slot lacks its
 * mark. small: the piece is known to have at most SMALL_MAX bytes. Locks: the stripe of
 * the block. */
static ALWAYS_INLINE bool leaf_try_write(MemoryPool *pool, Node *leaf, size_t shape,
                                         Piece piece, const unsigned char *src,
                                         bool small, bool quick)
{
    Lock *lock = pool_lock_stripe(&pool->locks, piece.index);
    AtomicPtr *slot = node_slot(leaf, 0, piece.index);
    bool owns = false;
    if (!quick) {
        lock_acquire(lock);
    } else if (!lock_enter(lock)) {
        return false;
    }
    if (lock_version(&pool->locks.shape.lock) == shape) {
        Word word = slot_word(slot);
        owns = (word & WORD_SOLE) != 0 || (!quick && slot_owns(slot));
        if (owns) {
            unsigned char *data = word_data(word) + piece.start;
            if (small) {
                small_copy(data, src, piece.size);
            } else {
                memmove(data, src, piece.size);
            }
        }
    }
    lock_release(lock);
    return owns;
}

/* Writes to a range if it lies in one block that exists and is private, as most do; false
 * if not, or if the shape of the tree changed meanwhile. For small and quick see
 * leaf_try_write; a quick search ends early as well (low of tree_leaf_optimistic).
 *
 * The search for the leaf comes before the stripe is locked, because a processor can go
 * on with it while it waits for the stripe's cache line. If the version of the shape lock
 * is the same once the stripe is locked, the leaf is still in the tree and private, and
 * the pool has the same size. A thread that waited for the stripe, or called a function,
 * would have to save registers; so a quick write does neither, and begins again in
 * bytes_write_clipped. Locks: the stripe of the block. */
static ALWAYS_INLINE bool block_try_write(MemoryPool *pool, size_t offset,
                                          const unsigned char *src, size_t size,
                                          bool small, bool quick)
{
    size_t index = pool_index(pool, offset);
    OptimisticRead read;
    Node *leaf;
    return range_is_one_piece(pool, offset, size) &&
           optimistic_begin_shape(&read, &pool->locks) &&
           range_is_inside(pool, offset, size) &&
           tree_leaf_optimistic(&pool->tree, index, &read, true, quick, &leaf) &&
           leaf != NULL &&
           leaf_try_write(pool, leaf, read.shape, range_piece(pool, index, offset, size),
                          src, small, quick);
}

/* Writes src, or the byte if src is NULL, to any range; clips and fails as write_begin.
 * Locks: the range, or the pool exclusively if nodes must be allocated or copied; inside
 * it the arena, if blocks must be allocated. */
static PoolStatus bytes_write(MemoryPool *pool, size_t offset, const unsigned char *src,
                              int byte, size_t *size, WriteMode mode)
{
    Guard guard;
    Reservation reservation = {0};
    PoolStatus status = write_begin(pool, offset, size, mode, &guard, &reservation);
    if (status == POOL_OK) {
        size_t block_size = (size_t)1 << pool->block_shift;
        reservation_populate(&reservation, block_size,
                             ((offset | *size) & (block_size - 1)) == 0);
        bytes_put(pool, offset, src, byte, *size, &reservation);
        write_end(pool, guard, &reservation);
    }
    return status;
}

/* pool_write for what is not an integer, or could not be written at once. */
static NOT_INLINE size_t bytes_write_clipped(MemoryPool *pool, size_t offset,
                                             const unsigned char *src, size_t size)
{
    PoolStatus status;
    bool asked = false;
    size_t written;
    if (pool != NULL && src != NULL && size > 0 &&
        (size <= SMALL_MAX ? block_try_write(pool, offset, src, size, true, false)
                           : block_try_write(pool, offset, src, size, false, false))) {
        (void)status_set(POOL_OK);
        return size;
    }
    if (!pool_moves(pool, offset, src, size)) {
        return 0;
    }
    do {
        written = size;
        status = bytes_write(pool, offset, src, 0, &written, WRITE_CLIPPED);
    } while (limit_asks(pool, status, &asked));
    return status_set(status) == POOL_OK ? written : 0;
}

/* Locks: the stripe of the block if it exists and is private, as in most writes; else as
 * bytes_write. */
size_t pool_write(MemoryPool *pool, size_t offset, const void *src, size_t size)
{
    HANDLE_CHECK(pool);
    const unsigned char *bytes = (const unsigned char *)src;
    if (size != INTEGER_SIZE) {
        return bytes_write_clipped(pool, offset, bytes, size);
    }
    if (pool == NULL || src == NULL ||
        !block_try_write(pool, offset, bytes, INTEGER_SIZE, true, true)) {
        return bytes_write_clipped(pool, offset, bytes, INTEGER_SIZE);
    }
    (void)status_set(POOL_OK);
    return INTEGER_SIZE;
}
