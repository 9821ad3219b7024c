/* SPDX-License-Identifier: MIT */
/*
 * chunk_cache.c - chunks of pages that the process keeps between their uses
 *
 * Pages that already exist are worth several fresh ones: the system has to find and
 * clear a fresh page at its first touch. So a chunk that has become empty is not given
 * back at once. What is kept, here or free in the arena of a living family, is bounded
 * (CHUNK_CACHE_MAX) and can be given back at any time (pool_trim).
 *
 * A chunk in the chunk cache describes itself in its own first bytes, so that keeping one
 * needs no memory.
 */
#include "memory.h"
#define CHUNK_CACHE_MAX ((size_t)(SIZE_BITS > 32 ? 512 : 64) << 20)

/* Whether size more bytes may be kept; counts them if so. */
static bool chunk_cache_reserve(size_t size)
{
    bool keep;
    lock_acquire(&chunk_cache.lock);
    if (chunk_cache.bound == 0) {
        chunk_cache.bound = checked_min(CHUNK_CACHE_MAX, platform_memory() / 8);
    }
    keep = size <= chunk_cache.bound && chunk_cache.cached <= chunk_cache.bound - size;
    chunk_cache.cached += keep ? size : 0;
    lock_release(&chunk_cache.lock);
    return keep;
}

/* Takes back what chunk_cache_reserve counted, when a kept chunk is used or unmapped. */
static void chunk_cache_unreserve(size_t size)
{
    lock_acquire(&chunk_cache.lock);
    chunk_cache.cached -= size;
    lock_release(&chunk_cache.lock);
}

/* Puts a chunk into the chunk cache, for which chunk_cache_reserve said yes. */
static void chunk_cache_put(void *base, size_t size, size_t dirty_end)
{
    CachedChunk *chunk = (CachedChunk *)base;
    CachedChunk **list = &chunk_cache.chunks[checked_log2_floor(size)];
    chunk->size = size;
    chunk->dirty_end = checked_max(dirty_end, sizeof *chunk);
    lock_acquire(&chunk_cache.lock);
    chunk->next = *list;
    *list = chunk;
    lock_release(&chunk_cache.lock);
}

/* A chunk of that size out of the chunk cache, or NULL. It stays counted: its memory is
 * used when its blocks are. */
static void *chunk_cache_get(size_t size, size_t *dirty_end)
{
    CachedChunk **list = &chunk_cache.chunks[checked_log2_floor(size)];
    CachedChunk *chunk;
    lock_acquire(&chunk_cache.lock);
    chunk = *list;
    if (chunk != NULL) {
        *list = chunk->next;
        *dirty_end = chunk->dirty_end;
    }
    lock_release(&chunk_cache.lock);
    return chunk;
}

/* Gives all chunks in the chunk cache back to the system; returns how many bytes. */
static size_t chunk_cache_trim(void)
{
    size_t freed = 0;
    unsigned i;
    lock_acquire(&chunk_cache.lock);
    for (i = 0; i < SIZE_BITS; i++) {
        while (chunk_cache.chunks[i] != NULL) {
            CachedChunk *chunk = chunk_cache.chunks[i];
            size_t size = chunk->size;
            chunk_cache.chunks[i] = chunk->next;
            platform_unmap(chunk, size);
            freed += size;
        }
    }
    chunk_cache.cached -= freed;
    lock_release(&chunk_cache.lock);
    return freed;
}

/* Fresh memory from the system, for bookkeeping and in pages. If it has none, what is
 * kept here goes back to it first. */
static void *memory_alloc(size_t size)
{
    void *memory;
    if (POOL_FAULT()) {
        return NULL;
    }
    memory = platform_alloc(size);
    if (memory == NULL && chunk_cache_trim() > 0) {
        memory = platform_alloc(size);
    }
    return memory;
}

static void *memory_map(size_t size, PlatformUse use)
{
    void *pages;
    if (POOL_FAULT()) {
        return NULL;
    }
    pages = platform_map(size, use);
    if (pages == NULL && chunk_cache_trim() > 0) {
        pages = platform_map(size, use);
    }
    return pages;
}

static size_t chunk_cache_bytes(void)
{
    size_t cached;
    lock_acquire(&chunk_cache.lock);
    cached = chunk_cache.cached;
    lock_release(&chunk_cache.lock);
    return cached;
}
