/* SPDX-License-Identifier: MIT */
/*
 * range.c - ranges of bytes, and the blocks that they lie in
 *
 * Calls that work on a range all do the same: they clip or check it, lock the blocks of
 * it, go over them piece by piece, and unlock. A PIECE is the part of the range that lies
 * in one block. Another thread may resize the pool, so that a range is clipped or checked
 * again after it was locked. What is locked is the whole range of the call, so that a
 * pool that has grown meanwhile does not need more.
 */
#include "pool.h"

static inline size_t pool_total(const MemoryPool *pool)
{
    return size_load_acquire((AtomicSize *)&pool->total_size);
}

/* Returns how many bytes so many blocks are, SIZE_MAX if that is more: the pool's end lies in
 * its last block, which counts in full. */
static inline size_t pool_bytes(const MemoryPool *pool, size_t blocks)
{
    return blocks > SIZE_MAX >> pool->block_shift ? SIZE_MAX
                                                  : blocks << pool->block_shift;
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
