/* SPDX-License-Identifier: MIT */
/*
 * bytes.c - reading and writing
 *
 * Every function here does the same: it clips or checks the range, locks the blocks of
 * it, goes over them piece by piece, and unlocks. A PIECE is the part of the range that
 * lies in one block. Another thread may resize the pool, so that a range is clipped or
 * checked again after it was locked. What is locked is the whole range of the call, so
 * that a pool that has grown meanwhile does not need more.
 */
#include "pool.h"

static inline size_t pool_total(const MemoryPool *pool)
{
    return size_load_acquire((AtomicSize *)&pool->total_size);
}

static inline Piece piece_at(const MemoryPool *pool, size_t offset, size_t size)
{
    size_t block_size = (size_t)1 << pool->block_shift;
    Piece piece;
    piece.index = offset >> pool->block_shift;
    piece.start = offset & (block_size - 1);
    piece.size = checked_min(size, block_size - piece.start);
    return piece;
}

/* Whether a range of 1 or more bytes lies in one block: it is no longer, and its first byte
 * and its last one differ in no higher bits. If the end of so short a range wraps round,
 * they differ in the highest one. */
static ALWAYS_INLINE bool range_is_one_piece(const MemoryPool *pool, size_t offset,
                                             size_t size)
{
    return (size <= SMALL_MAX || size - 1 <= pool->block_mask) &&
           ((offset + (size - 1)) ^ offset) <= pool->block_mask;
}

/* Such a range, in the block of that index, as a piece. */
static ALWAYS_INLINE Piece range_piece(const MemoryPool *pool, size_t index,
                                       size_t offset, size_t size)
{
    Piece piece = {index, offset & pool->block_mask, size};
    return piece;
}

/* Whether the pool has all of such a range, whose end is no overflow. */
static ALWAYS_INLINE bool range_is_inside(const MemoryPool *pool, size_t offset,
                                          size_t size)
{
    return offset + (size - 1) < pool_total(pool);
}

static inline size_t pool_index(const MemoryPool *pool, size_t offset)
{
    return offset >> pool->block_shift;
}

/* Returns how many of size bytes at offset lie in the pool. */
static inline size_t pool_clip(const MemoryPool *pool, size_t offset, size_t size)
{
    return checked_clip(pool_total(pool), offset, size);
}

/* Checks the arguments of pool_read, pool_write and pool_take. Returns whether there is
 * anything to copy; if not, the status says why. */
static inline bool pool_moves(const MemoryPool *pool, size_t offset, const void *buffer,
                              size_t size)
{
    PoolStatus status = POOL_OK;
    if (pool == NULL || (buffer == NULL && size > 0)) {
        status = POOL_INVALID;
    } else if (size > 0 && pool_clip(pool, offset, size) == 0) {
        status = POOL_RANGE;
    }
    return status_set(status) == POOL_OK && size > 0;
}

/* Returns the last block of size bytes (1 or more) at an offset below total_size; some of
 * the bytes may lie beyond the end. */
static inline size_t pool_last(const MemoryPool *pool, size_t offset, size_t size)
{
    return pool_index(pool, offset + (checked_min(size, SIZE_MAX - offset) - 1));
}

/* Checks the pool and the range of calls that do not clip; returns their errors. */
static PoolStatus pool_check(const MemoryPool *pool, size_t offset, size_t size)
{
    if (pool == NULL) {
        return POOL_INVALID;
    }
    return checked_fits(pool_total(pool), offset, size) ? POOL_OK : POOL_RANGE;
}

/* -------------------------------------------------------------------- reading */

/* Copies 1 to SMALL_MAX bytes without a call, as two halves that may overlap. */
static ALWAYS_INLINE void small_copy(unsigned char *dest, const unsigned char *src,
                                     size_t size)
{
    uint64_t eight[2];
    uint32_t four[2];
    if (size >= 8) {
        memcpy(&eight[0], src, 8);
        memcpy(&eight[1], src + size - 8, 8);
        memcpy(dest, &eight[0], 8);
        memcpy(dest + size - 8, &eight[1], 8);
    } else if (size >= 4) {
        memcpy(&four[0], src, 4);
        memcpy(&four[1], src + size - 4, 4);
        memcpy(dest, &four[0], 4);
        memcpy(dest + size - 4, &four[1], 4);
    } else {
        unsigned char first = src[0], middle = src[size / 2], last = src[size - 1];
        dest[0] = first;
        dest[size / 2] = middle;
        dest[size - 1] = last;
    }
}

/* Copies any number of bytes to the caller's memory, and avoids 4K aliasing. Large memory
 * from malloc begins 16 bytes into a page, and blocks begin with a page. If the
 * destination is so little further into its page than the source, some processors take
 * each load for one that depends on a recent store, and the instruction (rep movsb) that
 * memcpy uses from about 2 KiB on takes 2 to 10 times as long. Shorter pieces use other
 * instructions. (memmove, because a compiler may put that instruction in place of a
 * memcpy of known size.) */
static NOT_INLINE void long_copy(unsigned char *dest, const unsigned char *src,
                                 size_t size)
{
    enum { SAME_PLACE = 4096, REACH = 32, SHORT = 512 };
    bool stalls = ((uintptr_t)dest - (uintptr_t)src - 1) % SAME_PLACE < REACH - 1;
    while (size > 0) {
        size_t some = stalls ? checked_min(size, SHORT) : size;
        memmove(dest, src, some);
        dest += some;
        src += some;
        size -= some;
    }
}

/* Copies a piece of a block's data to dest. small: it is known to have at most SMALL_MAX
 * bytes. */
static ALWAYS_INLINE void data_get(unsigned char *dest, const unsigned char *data,
                                   Piece piece, bool small)
{
    if (small) {
        small_copy(dest, data + piece.start, piece.size);
    } else {
        long_copy(dest, data + piece.start, piece.size);
    }
}

/* The same of a hole. */
static ALWAYS_INLINE void hole_get(unsigned char *dest, Piece piece, bool small)
{
    static const unsigned char zeros[SMALL_MAX];
    if (small) {
        small_copy(dest, zeros, piece.size);
    } else {
        memset(dest, 0, piece.size);
    }
}

/* Copies a piece out of its leaf (NULL: a hole); false if an optimistic reader must start
 * over. Context: the caller has locked the block (read is NULL) or reads
 * optimistically. */
static ALWAYS_INLINE bool piece_get(unsigned char *dest, Node *leaf, Piece piece,
                                    bool small, const OptimisticRead *read)
{
    Word word = leaf == NULL ? 0 : slot_word(node_slot(leaf, 0, piece.index));
    const unsigned char *data;
    if (read != NULL && !optimistic_validate_shape(read)) {
        return false;
    }
    if (word == 0) {
        hole_get(dest, piece, small);
        return true;
    }
    data = read != NULL ? word_data_optimistic(word) : word_data(word);
    if (read != NULL && (word & WORD_HEADER) != 0 && data == NULL) {
        return false;
    }
    data_get(dest, data, piece, small);
    return true;
}

/* The same for a range, from the root on. */
static bool bytes_get(MemoryPool *pool, unsigned char *dest, size_t offset, size_t size,
                      const OptimisticRead *read)
{
    Node *leaf = NULL;
    bool known = false;
    while (size > 0) {
        Piece piece = piece_at(pool, offset, size);
        if (!known || (piece.index & (TREE_SLOTS - 1)) == 0) {
            known = true;
            if (read == NULL) {
                leaf = tree_leaf(&pool->tree, piece.index);
            } else if (!tree_leaf_optimistic(&pool->tree, piece.index, read, false, false,
                                             &leaf)) {
                return false;
            }
        }
        if (!piece_get(dest, leaf, piece, false, read)) {
            return false;
        }
        dest += piece.size;
        offset += piece.size;
        size -= piece.size;
    }
    return true;
}

/* Reads a range optimistically if it lies in one block; false if it does not, or if a
 * writer came between. For small see data_get, for low tree_leaf_optimistic. The version
 * of the stripe and where in the block the range lies come last, so that the search
 * needs no registers for them. */
static ALWAYS_INLINE bool block_try_read(MemoryPool *pool, unsigned char *dest,
                                         size_t offset, size_t size, bool small, bool low)
{
    size_t index = pool_index(pool, offset);
    OptimisticRead read;
    Node *leaf;
    return range_is_one_piece(pool, offset, size) &&
           optimistic_begin_shape(&read, &pool->locks) &&
           range_is_inside(pool, offset, size) &&
           tree_leaf_optimistic(&pool->tree, index, &read, false, low, &leaf) &&
           optimistic_begin_blocks(&read, index, index) &&
           piece_get(dest, leaf, range_piece(pool, index, offset, size), small, &read) &&
           optimistic_validate(&read);
}

/* Reads any range: optimistically, and with a lock if that fails. clips: the range may be
 * clipped. Returns how many bytes were read; 0 if the pool has shrunk, so that none of
 * them, or without clips not all of them, are left. Locks: the range, after a failure. */
static size_t bytes_read(MemoryPool *pool, unsigned char *dest, size_t offset,
                         size_t size, bool clips)
{
    size_t clipped = pool_clip(pool, offset, size);
    size_t first = pool_index(pool, offset);
    OptimisticRead read;
    Guard guard;
    if ((clips ? clipped > 0 : clipped == size) &&
        optimistic_begin(&read, &pool->locks, first, pool_last(pool, offset, clipped)) &&
        pool_clip(pool, offset, size) == clipped &&
        bytes_get(pool, dest, offset, clipped, &read) && optimistic_validate(&read)) {
        return clipped;
    }
    guard = pool_lock_range(&pool->locks, first, pool_last(pool, offset, size));
    clipped = pool_clip(pool, offset, size);
    clipped = clips || clipped == size ? clipped : 0;
    (void)bytes_get(pool, dest, offset, clipped, NULL);
    pool_unlock(&pool->locks, guard);
    return clipped;
}

/* pool_read for what is not an integer, or could not be read at once. */
static NOT_INLINE size_t bytes_read_clipped(MemoryPool *pool, unsigned char *dest,
                                            size_t offset, size_t size)
{
    if (pool != NULL && dest != NULL && size > 0 &&
        (size <= SMALL_MAX ? block_try_read(pool, dest, offset, size, true, false)
                           : block_try_read(pool, dest, offset, size, false, false))) {
        (void)status_set(POOL_OK);
        return size;
    }
    if (!pool_moves(pool, offset, dest, size)) {
        return 0;
    }
    size = bytes_read(pool, dest, offset, size, true);
    (void)status_set(size == 0 ? POOL_RANGE : POOL_OK);
    return size;
}

/* Locks: none, in most cases; the range if another thread wrote to it or changed the
 * shape of the tree while it was read, or if it lies in adopted memory. */
size_t pool_read(MemoryPool *pool, void *dest, size_t offset, size_t size)
{
    unsigned char *bytes = (unsigned char *)dest;
    if (size != INTEGER_SIZE) {
        return bytes_read_clipped(pool, bytes, offset, size);
    }
    if (pool == NULL || dest == NULL ||
        !block_try_read(pool, bytes, offset, INTEGER_SIZE, true, true)) {
        return bytes_read_clipped(pool, bytes, offset, INTEGER_SIZE);
    }
    (void)status_set(POOL_OK);
    return INTEGER_SIZE;
}

/* -------------------------------------------------------------------- writing */

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
    if (pool != NULL && src != NULL && size > 0 &&
        (size <= SMALL_MAX ? block_try_write(pool, offset, src, size, true, false)
                           : block_try_write(pool, offset, src, size, false, false))) {
        (void)status_set(POOL_OK);
        return size;
    }
    if (!pool_moves(pool, offset, src, size)) {
        return 0;
    }
    return status_set(bytes_write(pool, offset, src, 0, &size, WRITE_CLIPPED)) == POOL_OK
               ? size
               : 0;
}

/* Locks: the stripe of the block if it exists and is private, as in most writes; else as
 * bytes_write. */
size_t pool_write(MemoryPool *pool, size_t offset, const void *src, size_t size)
{
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
