/* SPDX-License-Identifier: MIT */
/*
 * arena.c - where the blocks of a family come from
 *
 *     arena ──► available chunks (a ring) ──► chunk.c
 *          └──► nodes, blocks of adopted memory ──► slab.c
 *
 * Chunks grow from 64 KiB to 4 MiB, so that a small family stays small (and those of
 * blocks of less than 1 KiB no further than to CHUNK_BLOCKS); a larger block has a chunk
 * of its own.
 *
 * A chunk is on the ring while it has a block to give. What its free blocks keep, and
 * what goes back to the system, is said in chunk.c; the chunk itself stays mapped as long
 * as the family lives. When the family ends, what is kept whole moves to the chunk cache
 * and the rest is unmapped. So it goes with the chunks that a call added before it
 * failed, too: no reader can know of them.
 *
 * The arena also keeps the accounts: bytes held, their peak and limit. The functions that
 * a pool calls take the arena's lock; no other lock but the chunk cache's is taken under
 * it.
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

/* Whether so many bytes could be made resident. What is kept is the system's again, or
 * used again, when it is needed. Locks: the chunk cache. */
static bool arena_can_commit(const Arena *arena, size_t bytes)
{
    return bytes < REQUEST_LARGE || arena->overcommits ||
           bytes <= checked_plus(POOL_AVAILABLE(), chunk_cache_bytes());
}

/* Whether the limit allows so many blocks more. The caller has the lock. */
static bool arena_within_limit(const Arena *arena, size_t count)
{
    return count <= (arena->limit - arena->held) / arena->block_size;
}

/* Adds an empty chunk to the front of the ring; false if there is no memory. */
static bool arena_grow(Arena *arena)
{
    size_t most = checked_min(CHUNK_MAX, arena->item_size > CHUNK_MAX / CHUNK_BLOCKS
                                             ? CHUNK_MAX
                                             : arena->item_size * CHUNK_BLOCKS);
    size_t size = checked_max(CHUNK_MIN, checked_min(most, arena->mapped));
    Chunk *chunk;
    size = (size_t)1 << checked_log2_floor(checked_max(size, arena->item_size));
    chunk = chunk_create(size, arena->item_size);
    if (chunk == NULL) {
        return false;
    }
    chunk->before = arena->mapped;
    chunk->older = arena->newest;
    arena->newest = chunk;
    ring_insert(chunk, arena->ring.next);
    arena->mapped += size;
    arena->headers += chunk_header_size(chunk->count);
    return true;
}

/* One block of a chunk that is on the ring, without an account of it. */
static Block *arena_alloc_from(Arena *arena, Chunk *chunk)
{
    Block *block = chunk_alloc_block(chunk, arena->item_size, &arena->headers);
    if (chunk_is_full(chunk)) {
        ring_remove(chunk);
    }
    return block;
}

/* What to do with a chunk whose last block came back: it goes to the ring's end. */
static void arena_emptied(Arena *arena, Chunk *chunk)
{
    ring_remove(chunk);
    ring_insert(chunk, &arena->ring);
    if (!chunk_count_cached(chunk, chunk_whole(chunk))) {
        (void)chunk_decommit(chunk, arena->item_size, &arena->headers);
    }
}

/* What to do with a chunk that is partly used when a block came back. */
static void arena_thinned(Arena *arena, Chunk *chunk)
{
    size_t idle = chunk_idle(chunk, arena->item_size);
    if (idle >= chunk->cached + chunk_whole(chunk) / CHUNK_SHARES &&
        !chunk_count_cached(chunk, idle)) {
        (void)chunk_trim(chunk, arena->item_size, &arena->headers);
    }
}

static void arena_free_in_chunk(Arena *arena, Block *block)
{
    Chunk *chunk = (Chunk *)(block->from & ~(uintptr_t)BLOCK_BITS);
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

/* One block fewer; after the last, the adoption is put before *released. */
static void adoption_drop(Adoption *adoption, Adoption **released)
{
    if (--adoption->blocks == 0) {
        adoption->next = *released;
        *released = adoption;
    }
}

static void arena_free_adopted(Arena *arena, Block *block, Adoption **released)
{
    Adoption *adoption = (Adoption *)block->from;
    slab_free(&arena->adoptees, block);
    arena->adopted--;
    adoption_drop(adoption, released);
}

/* Gives back blocks that nobody holds; adoptions that have none left are put before
 * *released. The caller has the lock. */
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

/* Takes count blocks as a list; all of them or none. They come in the order of their
 * addresses where they are fresh, so that what is written in order lies in order. The
 * caller has the lock. */
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

/* A block without data, for adopted memory, or NULL. The caller has the lock. */
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

/* Read-only zeros of at least a block's size, or NULL. Locks: the arena. */
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

/* Gives the pages of the free blocks of a chunk back to the system, if any are kept;
 * returns how many bytes. The caller has the lock. */
static size_t arena_trim_chunk(Arena *arena, Chunk *chunk)
{
    size_t freed = 0;
    POOL_ASSERT(lock_is_held(&arena->lock));
    if (chunk->cached > 0 && chunk->used == 0) {
        freed = chunk_decommit(chunk, arena->item_size, &arena->headers);
    } else if (chunk_idle(chunk, arena->item_size) > 0) {
        freed = chunk_trim(chunk, arena->item_size, &arena->headers);
    }
    chunk_uncount_cached(chunk, 0);
    return freed;
}

/* Gives the pages of all that is free back to the system; returns how many bytes. The
 * lock is let go of after each chunk, since the pages of many take long. Those that are
 * older stay: a chunk that others add meanwhile, and part with again, is newer. The
 * caller sees to it that the family lives. Locks: the arena. */
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

/* Parts with the newest chunk, which is empty and of which no reader can know. */
static void arena_shrink(Arena *arena)
{
    Chunk *chunk = arena->newest;
    size_t dirty_end = chunk_dirty_end(chunk, arena->item_size);
    ring_remove(chunk);
    arena->newest = chunk->older;
    arena->mapped -= chunk->size;
    arena->headers -=
        chunk_header_size(chunk->count) - row_bytes(&chunk->row, chunk->row.decommitted);
    if (chunk->cached >= chunk->size) {
        chunk_uncount_cached(chunk, chunk->size);
        chunk_cache_put(chunk->base, chunk->size, dirty_end);
    } else {
        chunk_uncount_cached(chunk, 0);
        platform_unmap(chunk->base, chunk->size);
    }
    chunk_free(chunk);
}

/* After a failure, when all that was taken came back: parts with the chunks that were
 * added since the arena had so many bytes. None of their blocks was ever in a tree. Else
 * what one family could not use would be missing to all others as long as it lives. The
 * caller has the lock. */
static void arena_undo(Arena *arena, size_t mapped)
{
    POOL_ASSERT(lock_is_held(&arena->lock));
    while (arena->newest != NULL && arena->newest->before >= mapped) {
        arena_shrink(arena);
    }
}

/* Ends an arena of which every block was given back and that nobody else can reach. */
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
