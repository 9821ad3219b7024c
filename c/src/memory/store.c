/* SPDX-License-Identifier: MIT */
/*
 * store.c - chunks of pages that the process keeps between their uses
 *
 * Pages that already exist are worth several fresh ones: the system has to find and
 * clear a fresh page at its first touch. So a chunk that has become empty is not given
 * back at once. What is kept, here or free in the arena of a living family, is bounded
 * (store_bound) and can be given back at any time (pool_trim).
 *
 * A chunk in the store describes itself in its own first bytes, so that keeping one
 * needs no memory.
 */
#include "memory.h"
#define STORE_BOUND_MAX ((size_t)(SIZE_BITS > 32 ? 512 : 64) << 20)

/* Whether size more bytes may be kept; counts them if so. */
static bool store_reserve(size_t size)
{
    bool keep;
    lock_acquire(&store.lock);
    if (store.bound == 0) {
        store.bound = checked_min(STORE_BOUND_MAX, platform_memory() / 8);
    }
    keep = size <= store.bound && store.kept <= store.bound - size;
    store.kept += keep ? size : 0;
    lock_release(&store.lock);
    return keep;
}

/* Takes back what store_reserve counted, when a kept chunk is used or unmapped. */
static void store_unreserve(size_t size)
{
    lock_acquire(&store.lock);
    store.kept -= size;
    lock_release(&store.lock);
}

/* Puts a chunk into the store, for which store_reserve said yes. */
static void store_put(void *base, size_t size, size_t dirty_end)
{
    StoredChunk *chunk = (StoredChunk *)base;
    StoredChunk **list = &store.chunks[checked_log2_floor(size)];
    chunk->size = size;
    chunk->dirty_end = checked_max(dirty_end, sizeof *chunk);
    lock_acquire(&store.lock);
    chunk->next = *list;
    *list = chunk;
    lock_release(&store.lock);
}

/* A chunk of that size out of the store, or NULL. It stays counted: its memory is used when
 * its blocks are. */
static void *store_get(size_t size, size_t *dirty_end)
{
    StoredChunk **list = &store.chunks[checked_log2_floor(size)];
    StoredChunk *chunk;
    lock_acquire(&store.lock);
    chunk = *list;
    if (chunk != NULL) {
        *list = chunk->next;
        *dirty_end = chunk->dirty_end;
    }
    lock_release(&store.lock);
    return chunk;
}

/* Gives all chunks in the store back to the system; returns how many bytes. */
static size_t store_trim(void)
{
    size_t given = 0;
    unsigned i;
    lock_acquire(&store.lock);
    for (i = 0; i < SIZE_BITS; i++) {
        while (store.chunks[i] != NULL) {
            StoredChunk *chunk = store.chunks[i];
            size_t size = chunk->size;
            store.chunks[i] = chunk->next;
            platform_unmap(chunk, size);
            given += size;
        }
    }
    store.kept -= given;
    lock_release(&store.lock);
    return given;
}

/* Fresh memory from the system, for bookkeeping and in pages. If it has none, what is kept
 * here goes back to it first. */
static void *store_alloc(size_t size)
{
    void *memory;
    if (POOL_FAULT()) {
        return NULL;
    }
    memory = platform_alloc(size);
    if (memory == NULL && store_trim() > 0) {
        memory = platform_alloc(size);
    }
    return memory;
}

static void *store_map(size_t size, PlatformUse use)
{
    void *pages;
    if (POOL_FAULT()) {
        return NULL;
    }
    pages = platform_map(size, use);
    if (pages == NULL && store_trim() > 0) {
        pages = platform_map(size, use);
    }
    return pages;
}

static size_t store_kept(void)
{
    size_t kept;
    lock_acquire(&store.lock);
    kept = store.kept;
    lock_release(&store.lock);
    return kept;
}
