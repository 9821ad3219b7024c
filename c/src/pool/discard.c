/* SPDX-License-Identifier: MIT */
/*
 * discard.c - discard, take, and fill with zeros
 *
 * A discard frees the blocks [first, end) that the range covers, and clears its pieces in
 * up to two more. A block of which the range covers a piece is freed too if the rest of
 * it is zero. A pinned block is cleared and stays.
 */
#include "pool.h"

/* Whether all bytes are 0. No thread may write to the data meanwhile: each byte is read
 * twice, and one that changes in between could hide another that is not 0. So this must
 * not be called for a pinned block. */
static bool data_is_zero(const unsigned char *data, size_t size)
{
    return size == 0 || (data[0] == 0 && memcmp(data, data + 1, size - 1) == 0);
}

/* Whether a block holds only zeros beside a piece. The bytes after the piece are compared
 * first: in a stream that is consumed, that is where the data is. */
static bool piece_is_all(const MemoryPool *pool, const Block *block, Piece piece)
{
    size_t end = piece.start + piece.size;
    const unsigned char *data = block_data(block);
    return data_is_zero(data + end, ((size_t)1 << pool->block_shift) - end) &&
           data_is_zero(data, piece.start);
}

/* Adds the piece to the plan if its block must stay; false if the block can be freed. The
 * other bytes of a pinned block are not compared: its owner may write to them
 * meanwhile. */
static bool discard_keeps(Discard *discard, const MemoryPool *pool, Piece piece)
{
    Block *block = tree_block(&pool->tree, piece.index);
    if (block == NULL || (!block_is_pinned(block) && piece_is_all(pool, block, piece))) {
        return false;
    }
    discard->pieces[discard->count++] = piece;
    return true;
}

/* Plans the discard of a range. Context of this and the next two functions: the caller
 * has locked the pool exclusively. */
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

/* Returns an upper bound of what discard_apply needs. */
static Need discard_measure(const MemoryPool *pool, const Discard *discard)
{
    Need need = {0, 0, 0, 0};
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

static void discard_apply(MemoryPool *pool, const Discard *discard,
                          Reservation *reservation)
{
    unsigned i;
    POOL_ASSERT(pool_lock_is_exclusive(&pool->locks));
    for (i = 0; i < discard->count; i++) {
        Piece piece = discard->pieces[i];
        Node *leaf = tree_unshare_leaf(&pool->tree, piece.index, reservation);
        (void)slot_put(pool, node_slot(leaf, 0, piece.index), piece, NULL, 0,
                       reservation);
    }
    if (discard->first < discard->end) {
        size_t pinned_size = pins_count(pool) > 0 ? (size_t)1 << pool->block_shift : 0;
        tree_clear(&pool->tree, discard->first, discard->end - 1, pinned_size,
                   reservation);
    }
}

/* Discards a range of one block under the block's lock alone, if the block stays or is a
 * hole. Returns false if it must be freed, or if the range is no longer in the pool.
 * dest, if not NULL, gets the bytes. Locks: the stripe of the block. */
static bool block_try_discard(MemoryPool *pool, unsigned char *dest, size_t offset,
                              Piece piece)
{
    Lock *lock = pool_lock_block(&pool->locks, piece.index);
    Node *leaf = tree_private_leaf(&pool->tree, piece.index);
    Block *block = tree_block(&pool->tree, piece.index);
    bool stays = leaf != NULL && slot_owns(node_slot(leaf, 0, piece.index)) &&
                 (block_is_pinned(block) || !piece_is_all(pool, block, piece));
    bool done =
        (block == NULL || stays) && checked_fits(pool_total(pool), offset, piece.size);
    if (done && dest != NULL) {
        (void)bytes_get(pool, dest, offset, piece.size, NULL);
    }
    if (done && stays) {
        memset(block->data + piece.start, 0, piece.size);
    }
    lock_release(lock);
    return done;
}

/* pool_discard, and pool_take if dest is not NULL. If it clips, *size becomes the number
 * of bytes that the pool has; POOL_RANGE if the range is no longer in the pool (if it
 * clips: not even a part). Locks: the stripe of the block if there is one and it stays;
 * else the pool exclusively, and inside it the arena. */
static PoolStatus bytes_discard(MemoryPool *pool, unsigned char *dest, size_t offset,
                                size_t *size, bool clips)
{
    Reservation reservation = {0};
    Piece piece = piece_at(pool, offset, *size);
    PoolStatus status = POOL_RANGE;
    Discard discard;
    size_t clipped;
    Guard guard;
    if (piece.size == *size && block_try_discard(pool, dest, offset, piece)) {
        return POOL_OK;
    }
    guard = pool_lock_exclusive(&pool->locks);
    clipped = pool_clip(pool, offset, *size);
    if (clipped == *size || (clips && clipped > 0)) {
        *size = clipped;
        discard = discard_plan(pool, offset, clipped);
        status = reservation_fill(&reservation, &pool->family->arena,
                                  discard_measure(pool, &discard));
    }
    if (status == POOL_OK) {
        if (dest != NULL) {
            (void)bytes_get(pool, dest, offset, clipped, NULL);
        }
        discard_apply(pool, &discard, &reservation);
    }
    write_end(pool, guard, &reservation);
    return status;
}

PoolStatus pool_discard(MemoryPool *pool, size_t offset, size_t size)
{
    HANDLE_CHECK(pool);
    return pool_fill(pool, offset, 0, size);
}

size_t pool_take(MemoryPool *pool, void *dest, size_t offset, size_t size)
{
    HANDLE_CHECK(pool);
    PoolStatus status;
    bool asked = false;
    size_t taken;
    if (!pool_moves(pool, offset, dest, size)) {
        return 0;
    }
    do {
        taken = size;
        status = bytes_discard(pool, (unsigned char *)dest, offset, &taken, true);
    } while (limit_asks(pool, status, &asked));
    return status_set(status) == POOL_OK ? taken : 0;
}

PoolStatus pool_fill(MemoryPool *pool, size_t offset, int byte, size_t size)
{
    HANDLE_CHECK(pool);
    PoolStatus status = pool_check(pool, offset, size);
    bool asked = false;
    if (status != POOL_OK || size == 0) {
        return status_set(status);
    }
    do {
        status = (byte & 0xff) == 0
                     ? bytes_discard(pool, NULL, offset, &size, false)
                     : bytes_write(pool, offset, NULL, byte & 0xff, &size, WRITE_ALL);
    } while (limit_asks(pool, status, &asked));
    return status_set(status);
}
