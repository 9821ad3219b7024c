/* SPDX-License-Identifier: MIT */
/*
 * digests.c - the digests of blocks, beside the headers of their chunk
 *
 * They are kept in a table of the chunk that is made with its first digest. Blocks of
 * adopted memory have no chunk, and so no digest of their own.
 *
 * Invariant: the digest of a block is that of its data. So WHO MAY CHANGE THE DATA FORGETS
 * THE DIGEST FIRST: who marks a slot as its sole owner, and who pins it. A digest is kept
 * only while the block is shared with a snapshot, so that nobody can change it.
 */
#include "memory.h"

/* Returns where the digest of a block is, or is to be kept; NULL if there is no table. */
static inline KeptDigest *block_kept_digest(const Block *block)
{
    Chunk *chunk = block_is_adopted(block) ? NULL : block_chunk(block);
    KeptDigest *table =
        chunk == NULL ? NULL : (KeptDigest *)ptr_load_acquire(&chunk->digests);
    return table == NULL ? NULL : &table[block - chunk->block];
}

/* Context: nobody else can look up this digest. */
static inline void block_forget_digest(const Block *block)
{
    KeptDigest *kept = block_kept_digest(block);
    if (kept != NULL) {
        size_store_relaxed(&kept->known, 0);
    }
}

/* Looks up the digest of a block. Context: the caller has a reference to the block, which
 * others have as well or nobody uses. */
static bool block_has_digest(const Block *block, Digest *digest)
{
    KeptDigest *kept = block_kept_digest(block);
    if (kept == NULL || size_load_acquire(&kept->known) == 0) {
        return false;
    }
    *digest = kept->digest;
    return true;
}

static size_t chunk_digests_size(const Chunk *chunk)
{
    return chunk->count * sizeof(KeptDigest);
}

/* Makes the table of a chunk, if there is memory. Context: the caller holds the arena's
 * lock. */
static void arena_add_digests(Arena *arena, Chunk *chunk)
{
    size_t size = chunk_digests_size(chunk);
    void *table = memory_alloc(size);
    if (table != NULL) {
        memset(table, 0, size);
        arena->headers += size;
        ptr_store_release(&chunk->digests, table);
    }
}

/* Keeps the digest of a block, if there is memory for it. Context: as block_has_digest, and
 * no slot is marked as the block's sole owner. Locks: the arena. */
static void arena_keep_digest(Arena *arena, const Block *block, const Digest *digest)
{
    KeptDigest *kept;
    if (block_is_adopted(block)) {
        return;
    }
    lock_acquire(&arena->lock);
    if (block_kept_digest(block) == NULL) {
        arena_add_digests(arena, block_chunk(block));
    }
    kept = block_kept_digest(block);
    if (kept != NULL && size_load_relaxed(&kept->known) == 0) {
        kept->digest = *digest;
        size_store_release(&kept->known, 1);
    }
    lock_release(&arena->lock);
}

/* Frees the table of a chunk of which no block is in use. Context: the caller holds the
 * arena's lock. *headers: as in chunk.c. */
static void chunk_drop_digests(Chunk *chunk, size_t *headers)
{
    void *table = ptr_load_acquire(&chunk->digests);
    if (table != NULL) {
        ptr_store_release(&chunk->digests, NULL);
        *headers -= chunk_digests_size(chunk);
        platform_free(table);
    }
}
