/* SPDX-License-Identifier: MIT */
/*
 * chunk_cache.c - empty chunks that the process caches for the next use
 *
 * Resident pages are worth several fresh ones, because the system has to find and clear a
 * fresh page at its first touch. So an empty chunk is not unmapped at once. All cached
 * memory, here or free in the arena of a living family, counts towards one bound
 * (CHUNK_CACHE_MAX); pool_trim releases it at any time.
 *
 * A cached chunk has its header in its own first bytes, so that the cache needs no
 * memory.
 */
#include "memory.h"
#define CHUNK_CACHE_MAX ((size_t)(SIZE_BITS > 32 ? 512 : 64) << 20)

/* Counts size more bytes as cached; false, and nothing is counted, if they would pass the
 * bound. Locks: the chunk cache, as in all functions here. */
static bool chunk_cache_reserve(size_t size)
{
    bool fits;
    lock_acquire(&chunk_cache.lock);
    if (chunk_cache.bound == 0) {
        chunk_cache.bound = checked_min(CHUNK_CACHE_MAX, platform_memory() / 8);
    }
    fits = size <= chunk_cache.bound && chunk_cache.cached <= chunk_cache.bound - size;
    chunk_cache.cached += fits ? size : 0;
    lock_release(&chunk_cache.lock);
    return fits;
}

/* Counts size bytes as cached no more, when they are used or unmapped. */
static void chunk_cache_unreserve(size_t size)
{
    lock_acquire(&chunk_cache.lock);
    chunk_cache.cached -= size;
    lock_release(&chunk_cache.lock);
}

/* Poisons a cached chunk, but for its header; or lifts that. */
static void cached_poison(CachedChunk *chunk, size_t size)
{
    if (size <= POISON_MAX) {
        poison_set(chunk + 1, size - sizeof *chunk);
    }
}

static void cached_lift(CachedChunk *chunk, size_t size)
{
    if (size <= POISON_MAX) {
        poison_lift(chunk, size);
    }
}

static CachedChunk **chunk_cache_list(size_t size, bool huge)
{
    return &(huge ? chunk_cache.huge : chunk_cache.chunks)[checked_log2_floor(size)];
}

/* Adds a chunk. The caller has reserved its size. huge: it is of huge pages, and of use
 * only to those who request them. */
static void chunk_cache_put(void *base, size_t size, size_t dirty_end, bool huge)
{
    CachedChunk *chunk = (CachedChunk *)base;
    CachedChunk **list = chunk_cache_list(size, huge);
    chunk->size = size;
    chunk->dirty_end = checked_max(dirty_end, sizeof *chunk);
    cached_poison(chunk, size);
    lock_acquire(&chunk_cache.lock);
    chunk->next = *list;
    *list = chunk;
    lock_release(&chunk_cache.lock);
}

/* Removes a chunk of that size and returns it, or NULL. It stays counted as cached until
 * its blocks are allocated. */
static void *chunk_cache_get(size_t size, size_t *dirty_end, bool huge)
{
    CachedChunk **list = chunk_cache_list(size, huge);
    CachedChunk *chunk;
    lock_acquire(&chunk_cache.lock);
    chunk = *list;
    if (chunk != NULL) {
        *list = chunk->next;
        *dirty_end = chunk->dirty_end;
        cached_lift(chunk, size);
    }
    lock_release(&chunk_cache.lock);
    return chunk;
}

/* Unmaps the chunks of a list; returns how many bytes. */
static size_t chunk_cache_unmap(CachedChunk **list)
{
    size_t freed = 0;
    while (*list != NULL) {
        CachedChunk *chunk = *list;
        size_t size = chunk->size;
        *list = chunk->next;
        cached_lift(chunk, size);
        platform_unmap(chunk, size);
        freed += size;
    }
    return freed;
}

/* Unmaps all chunks in the cache; returns how many bytes. */
static size_t chunk_cache_trim(void)
{
    size_t freed = 0;
    unsigned i;
    lock_acquire(&chunk_cache.lock);
    for (i = 0; i < SIZE_BITS; i++) {
        freed += chunk_cache_unmap(&chunk_cache.chunks[i]);
        freed += chunk_cache_unmap(&chunk_cache.huge[i]);
    }
    chunk_cache.cached -= freed;
    lock_release(&chunk_cache.lock);
    return freed;
}

/* Allocates memory of the system for bookkeeping, or returns NULL. If the system has
 * none, unmaps all cached chunks and tries again. */
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

static void *pages_map(size_t size, PlatformUse use)
{
    return use == PLATFORM_TRACKED ? written_map(size) : platform_map(size, use);
}

/* The same for pages. */
static void *memory_map(size_t size, PlatformUse use)
{
    void *pages;
    if (POOL_FAULT()) {
        return NULL;
    }
    pages = pages_map(size, use);
    if (pages == NULL && chunk_cache_trim() > 0) {
        pages = pages_map(size, use);
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
