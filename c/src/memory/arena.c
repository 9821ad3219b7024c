/* SPDX-License-Identifier: MIT */
/*
 * arena.c - the allocator of the blocks and nodes of a family
 *
 *     arena ──► chunks with free blocks (a ring) ──► chunk.c
 *          └──► nodes, headers of adopted blocks ──► slab.c
 *
 * Chunks grow from 64 KiB to 4 MiB with the family, so that a small family stays small;
 * chunks of blocks below 1 KiB have at most CHUNK_BLOCKS. A block above 4 MiB has a chunk
 * of its own.
 *
 * A chunk is on the ring while it has a free block. chunk.c says what free blocks cache
 * and what is decommitted; the chunk itself stays mapped as long as the family lives.
 * When the family ends, chunks that are cached in full move to the chunk cache, and the
 * rest is unmapped. The same happens to chunks that a call added before it failed: no
 * optimistic reader can have seen them.
 *
 * The arena also keeps the accounts: bytes held, their peak and the limit. Only the chunk
 * cache's lock is ever acquired under the arena's.
 */
#include "memory.h"

static void arena_init(Arena *arena, size_t block_size, size_t node_size, size_t limit)
{
    memset(arena, 0, sizeof *arena);
    arena->ring.previous = arena->ring.next = &arena->ring;
    arena->block_size = block_size;
    arena->item_size = checked_max(block_size, ITEM_MIN);
    arena->limit = limit;
    arena->few = REQUEST_LARGE / 16 / arena->item_size;
    arena->nodes.item_size = node_size;
    arena->adoptees.item_size = sizeof(Adoptee);
}

static void ring_insert(Chunk *chunk, Chunk *before)
{
    chunk->next = before;
    chunk->previous = before->previous;
    before->previous->next = chunk;
    before->previous = chunk;
}

static void ring_remove(Chunk *chunk)
{
    chunk->previous->next = chunk->next;
    chunk->next->previous = chunk->previous;
    chunk->previous = chunk->next = NULL;
}

/* Whether so many bytes can be made resident. Cached memory counts as available: it is
 * reused, or released when the system has no more. Locks: the chunk cache. */
static bool arena_can_commit(const Arena *arena, size_t bytes)
{
    return bytes < REQUEST_LARGE || arena->overcommits ||
           bytes <= checked_plus(POOL_AVAILABLE(), chunk_cache_bytes());
}

/* Whether the limit allows so many more blocks. Context: the caller holds the arena's
 * lock. */
static bool arena_within_limit(const Arena *arena, size_t count)
{
    return arena->held <= arena->limit && /* it may have been lowered */
           count <= (arena->limit - arena->held) / arena->block_size;
}

/* Adds an empty chunk to the front of the ring. */
static void arena_add(Arena *arena, Chunk *chunk)
{
    chunk->before = arena->mapped;
    chunk->older = arena->newest;
    arena->newest = chunk;
    ring_insert(chunk, arena->ring.next);
    arena->mapped += chunk_pages(chunk);
    arena->headers += chunk_header_size(chunk->count);
}

/* Whether a chunk of that size has its headers in its own pages: in a family that has a
 * chunk already, if they take no more of it than a few of its blocks would. */
static bool arena_is_in_itself(const Arena *arena, size_t size)
{
    enum { BLOCKS_MIN = 8 };
    return arena->newest != NULL && arena->block_size >= WORD_DATA_MIN &&
           size / BLOCKS_MIN >= checked_max(arena->item_size, platform_page_size());
}

/* The same as arena_add with a new one; false if there is no memory. */
static bool arena_grow(Arena *arena)
{
    size_t most = checked_min(CHUNK_MAX, arena->item_size > CHUNK_MAX / CHUNK_BLOCKS
                                             ? CHUNK_MAX
                                             : arena->item_size * CHUNK_BLOCKS);
    size_t size = checked_max(CHUNK_MIN, checked_min(most, arena->mapped));
    Chunk *chunk;
    size = (size_t)1 << checked_log2_floor(checked_max(size, arena->item_size));
    chunk = chunk_create(size, arena->item_size, arena_is_in_itself(arena, size),
                         arena->huge);
    if (chunk != NULL) {
        arena_add(arena, chunk);
    }
    return chunk != NULL;
}

/* Allocates a block of a chunk that is on the ring; does not count it. */
static Block *arena_alloc_from(Arena *arena, Chunk *chunk)
{
    Block *block = chunk_alloc_block(chunk, &arena->headers);
    if (chunk_is_full(chunk)) {
        ring_remove(chunk);
    }
    return block;
}

/* Moves a chunk to the end of the ring after its last block was freed; caches or
 * decommits its pages. */
static void arena_emptied(Arena *arena, Chunk *chunk)
{
    ring_remove(chunk);
    ring_insert(chunk, &arena->ring);
    if (!chunk_count_cached(chunk, chunk_whole(chunk))) {
        (void)chunk_decommit(chunk, &arena->headers);
    }
}

/* Caches or decommits free pages of a chunk that is still in use, after a block of it was
 * freed and enough of it is free. */
static void arena_thinned(Arena *arena, Chunk *chunk)
{
    size_t idle = chunk_idle(chunk);
    if (idle >= chunk->cached + chunk_whole(chunk) / CHUNK_SHARES &&
        !chunk_count_cached(chunk, idle)) {
        (void)chunk_trim(chunk, &arena->headers);
    }
}

/* Frees a block that has a chunk. */
static void arena_free_in_chunk(Arena *arena, Block *block)
{
    Chunk *chunk = block_chunk(block);
    block_poison(block);
    item_free(&chunk->free, block, ITEM_IDLE);
    chunk->idle++;
    chunk->used--;
    if (chunk->next == NULL) {
        ring_insert(chunk, arena->ring.next);
    }
    if (chunk->used == 0) {
        arena_emptied(arena, chunk);
    } else {
        arena_thinned(arena, chunk);
    }
    arena->held -= arena->block_size;
}

/* Counts a block of an adoption down; after the last one, adds the adoption to the list
 * *released. */
static void adoption_drop(Adoption *adoption, Adoption **released)
{
    if (--adoption->blocks == 0) {
        adoption->next = *released;
        *released = adoption;
    }
}

/* Frees the header of an adopted block. */
static void arena_free_adopted(Arena *arena, Block *block, Adoption **released)
{
    Adoption *adoption = (Adoption *)block->from;
    slab_free(&arena->adoptees, block);
    arena->adopted--;
    adoption_drop(adoption, released);
}

/* Frees a list of blocks without references; adds adoptions that have no blocks left to
 * the list *released. Context: the caller holds the arena's lock. */
static void arena_free(Arena *arena, Block *blocks, Adoption **released)
{
    POOL_ASSERT(lock_is_held(&arena->lock));
    while (blocks != NULL) {
        Block *next = blocks->as.next;
        if (block_is_adopted(blocks)) {
            arena_free_adopted(arena, blocks, released);
        } else {
            arena_free_in_chunk(arena, blocks);
        }
        blocks = next;
    }
}

/* Allocates count blocks as a list. Returns POOL_LIMIT or POOL_NO_MEMORY, and allocates
 * none, if not all can be allocated. Fresh blocks come in the order of their addresses,
 * so that data that is written in order lies in order. Context: the caller holds the
 * arena's lock. */
static PoolStatus arena_alloc(Arena *arena, size_t count, Block **blocks)
{
    Block **end = blocks;
    size_t left;
    POOL_ASSERT(lock_is_held(&arena->lock));
    *blocks = NULL;
    if (!arena_within_limit(arena, count)) {
        return arena->limit == SIZE_MAX ? POOL_NO_MEMORY : POOL_LIMIT;
    }
    for (left = count; left > 0; left--) {
        Block *block;
        if (arena->ring.next == &arena->ring && !arena_grow(arena)) {
            arena_free(arena, *blocks, NULL); /* none of them is adopted */
            *blocks = NULL;
            return POOL_NO_MEMORY;
        }
        block = arena_alloc_from(arena, arena->ring.next);
        block->as.next = NULL;
        *end = block;
        end = &block->as.next;
        arena->held += arena->block_size;
    }
    arena->peak = checked_max(arena->peak, arena->held);
    return POOL_OK;
}

/* Whether a run of so many blocks may have a chunk: not if that is much too large, nor if
 * free blocks would lie where its redzone is to be. */
static bool chunk_suits_run(const Chunk *chunk, size_t count)
{
    return chunk->run && chunk->count >= count &&
           (poison_is_checked() ? chunk->count == count : chunk->count / 2 <= count);
}

/* An empty chunk for such a run that the arena has already; NULL if there is none. Empty
 * chunks are at the ring's end. */
static Chunk *arena_find_run(Arena *arena, size_t count)
{
    Chunk *chunk = arena->ring.previous;
    while (chunk != &arena->ring && chunk->used == 0) {
        if (chunk_suits_run(chunk, count)) {
            return chunk;
        }
        chunk = chunk->previous;
    }
    return NULL;
}

/* Allocates count blocks that follow each other, as their data does, and read as zeros; the
 * pages are untouched. So many of them as are replacements do not count until the blocks
 * that they replace are freed. Context: the caller holds the lock. */
static PoolStatus arena_alloc_run(Arena *arena, size_t count, size_t replacements,
                                  Block **run)
{
    Chunk *chunk;
    POOL_ASSERT(lock_is_held(&arena->lock));
    if (!arena_within_limit(arena, count - replacements)) {
        return arena->limit == SIZE_MAX ? POOL_NO_MEMORY : POOL_LIMIT;
    }
    chunk = arena_find_run(arena, count);
    if (chunk == NULL) {
        chunk = chunk_create_run(count, arena->block_size);
        if (chunk == NULL) {
            return POOL_NO_MEMORY;
        }
        arena_add(arena, chunk);
    }
    *run = chunk_alloc_run(chunk, count, &arena->headers);
    ring_remove(chunk);
    if (!chunk_is_full(chunk)) { /* no more with the empty ones */
        ring_insert(chunk, arena->ring.next);
    }
    arena->held += (count - replacements) * arena->block_size;
    arena->peak = checked_max(arena->peak, arena->held);
    return POOL_OK;
}

/* Allocates the header of an adopted block, or returns NULL. The caller must set its
 * data. Context: the caller holds the arena's lock. */
static Block *arena_alloc_adoptee(Arena *arena, Adoption *adoption)
{
    Block *block = (Block *)slab_alloc(&arena->adoptees);
    POOL_ASSERT(lock_is_held(&arena->lock));
    if (block != NULL) {
        block->data = NULL;
        block->from = (uintptr_t)adoption;
        adoption->blocks++;
        arena->adopted++;
    }
    return block;
}

/* Returns read-only zeros of at least a block's size, or NULL. Locks: the arena. */
static void *arena_zeros(Arena *arena)
{
    void *zeros;
    lock_acquire(&arena->lock);
    if (arena->zeros == NULL) {
        arena->zeros =
            memory_map(checked_max(CHUNK_MIN, arena->block_size), PLATFORM_ZEROS);
    }
    zeros = arena->zeros;
    lock_release(&arena->lock);
    return zeros;
}

/* Decommits the pages of the free blocks of a chunk that may be resident; returns how
 * many bytes. Context: the caller holds the arena's lock. */
static size_t arena_trim_chunk(Arena *arena, Chunk *chunk)
{
    size_t freed = 0;
    POOL_ASSERT(lock_is_held(&arena->lock));
    if (chunk->cached > 0 && chunk->used == 0) {
        freed = chunk_decommit(chunk, &arena->headers);
    } else if (chunk_idle(chunk) > 0) {
        freed = chunk_trim(chunk, &arena->headers);
    }
    chunk_uncount_cached(chunk, 0);
    return freed;
}

/* Decommits all free pages of a family; returns how many bytes. Unlocks after each chunk,
 * because many pages take long. The chunks that are left to do stay: only newer ones,
 * which other threads add meanwhile, may be removed again (arena_undo). Context: the
 * caller keeps the family alive. Locks: the arena. */
static size_t arena_trim(Arena *arena)
{
    size_t freed;
    Chunk *chunk;
    lock_acquire(&arena->lock);
    freed = slab_trim(&arena->nodes) + slab_trim(&arena->adoptees);
    for (chunk = arena->newest; chunk != NULL; chunk = chunk->older) {
        freed += arena_trim_chunk(arena, chunk);
        lock_release(&arena->lock);
        lock_acquire(&arena->lock);
    }
    lock_release(&arena->lock);
    return freed;
}

/* Removes the newest chunk, which is empty and not visible to optimistic readers; moves
 * it to the chunk cache or unmaps it. */
static void arena_shrink(Arena *arena)
{
    Chunk *chunk = arena->newest;
    ring_remove(chunk);
    arena->newest = chunk->older;
    arena->mapped -= chunk_pages(chunk);
    chunk_drop_digests(chunk, &arena->headers);
    arena->headers -=
        chunk_header_size(chunk->count) - row_bytes(&chunk->row, chunk->row.decommitted);
    chunk_destroy(chunk);
}

/* Removes the chunks that were added since the arena had mapped bytes, after a failure
 * and after all blocks were freed that the call had allocated. None of these was ever in
 * a tree. Without this, one family would keep memory from all others that it could not
 * use itself. Context: the caller holds the arena's lock. */
static void arena_undo(Arena *arena, size_t mapped)
{
    POOL_ASSERT(lock_is_held(&arena->lock));
    while (arena->newest != NULL && arena->newest->before >= mapped) {
        arena_shrink(arena);
    }
}

/* Frees the memory of an arena. Context: all blocks were freed, and no other thread can
 * use the arena. */
static void arena_close(Arena *arena)
{
    while (arena->newest != NULL) {
        arena_shrink(arena);
    }
    if (arena->zeros != NULL) {
        platform_unmap(arena->zeros, checked_max(CHUNK_MIN, arena->block_size));
    }
    slab_close(&arena->nodes);
    slab_close(&arena->adoptees);
}
