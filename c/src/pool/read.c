/* SPDX-License-Identifier: MIT */
/*
 * read.c - reading a range (see range.c)
 *
 * Without a lock at first, and validated by version (pool_lock.c); with one if that fails.
 * Reads of 8 bytes have a function of their own, of which all is inlined.
 */
#include "pool.h"

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
    HANDLE_CHECK(pool);
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
