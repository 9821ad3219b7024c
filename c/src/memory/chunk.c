/* SPDX-License-Identifier: MIT */
/*
 * chunk.c - system pages that are split into blocks
 *
 *     base ─► | data 0   | data 1   | data 2   |  ...  | system pages
 *     block[] | header 0 | header 1 | header 2 |  ...  | a row (slab.c)
 *
 * The struct with the headers lies in the first pages of the chunk itself, which are
 * aligned to their size, so that block.c computes where a header is. It lies elsewhere if
 * the chunk is the first one of its family, so that a small family takes no more than it
 * needs; if it is a run; or if its blocks are too small or too large for that.
 *
 * A chunk is split into blocks densely, in the order in which they are first allocated.
 * Its pages are untouched until then, so that a block of which eight bytes are written
 * makes one page resident. Freed blocks are reused first; they are DIRTY: who allocates
 * one must overwrite or clear it.
 *
 * The memory of free blocks stays resident as far as the chunk cache allows it (cached);
 * it is counted in shares of a chunk, or, if no block is in use, as a whole. The rest is
 * decommitted at once (chunk_trim): the whole pages of adjacent free blocks, and those of
 * their headers. All of it stays mapped, and a header that is not in its chunk has the
 * address of the same data, or none, as long as the family lives: optimistic readers rely
 * on that (pool_lock.c).
 *
 * With POOL_HUGE a chunk from 2 MiB on may have huge pages, if its blocks have a page at
 * most. Once a part of it was decommitted it has small pages, until it is empty and all of
 * it is decommitted: the system would fill that part again (khugepaged).
 *
 * The data of free blocks, and of those that were never allocated, is poisoned (poison.h).
 *
 * Context of all functions here: the caller holds the arena's lock. Locks: the chunk
 * cache, in those that change what is cached or get memory from the system.
 */
#include "memory.h"

/* ---------------------------------------------------------------------- making */

static size_t chunk_header_size(size_t count)
{
    return offsetof(Chunk, block) + count * sizeof(Block);
}

/* Initialises the struct of a chunk of so many blocks of item_size, with their headers.
 * header: the bytes of its pages; 0: it is no whole pages. */
static void chunk_init(Chunk *chunk, size_t count, size_t item_size, size_t header)
{
    memset(chunk, 0, sizeof *chunk);
    chunk->header = header;
    chunk->count = count;
    chunk->item_size = item_size;
    chunk->shift = checked_log2_floor(item_size);
    chunk->weight = item_size;
    if (header > 0 && header > platform_page_size()) {
        chunk->weight += sizeof(Block);
    }
    row_init(&chunk->row, chunk->block, sizeof(Block), count, header > 0);
    if (header > 0) {
        poison_add_pointers(chunk, header);
    }
}

/* Allocates that, without the pages of the blocks, or returns NULL. */
static Chunk *chunk_alloc_header(size_t count, size_t item_size)
{
    size_t size = chunk_header_size(count), header = 0;
    Chunk *chunk;
    if (size >= HEADER_PAGES_FROM) {
        header = checked_max(PLATFORM_MAP_MIN, (size_t)1 << checked_log2_ceil(size));
        chunk = (Chunk *)memory_map(header, PLATFORM_DENSE);
    } else {
        chunk = (Chunk *)memory_alloc(size);
    }
    if (chunk != NULL) {
        chunk_init(chunk, count, item_size, header);
    }
    return chunk;
}

static void chunk_free_header(Chunk *chunk)
{
    if (chunk->header > 0) {
        poison_drop_pointers(chunk, chunk->header);
        platform_unmap(chunk, chunk->header);
    } else {
        platform_free(chunk);
    }
}

/* Pages for a chunk, aligned to their size, which is a power of two: from the cache or from
 * the system; NULL if there is no memory. *dirty_end: bytes from there on are zeros, and
 * if it is not 0 the pages count as cached. */
static void *chunk_map(size_t size, PlatformUse use, size_t *dirty_end)
{
    void *base = chunk_cache_get(size, dirty_end, use == PLATFORM_HUGE);
    if (base == NULL) {
        *dirty_end = 0;
        base = memory_map(size, use);
    }
    if (base != NULL && use == PLATFORM_HUGE) {
        platform_huge(base, size, true); /* again, if it was split before it was cached */
    }
    return base;
}

/* Bytes of poisoned memory before the pages of a run, and behind them. */
static size_t chunk_redzone(const Chunk *chunk)
{
    return chunk->run && poison_is_checked() ? POISON_REDZONE : 0;
}

/* Poisons a chunk of which no block is in use, and its redzones; or lifts that. */
static void chunk_poison(const Chunk *chunk)
{
    size_t redzone = chunk_redzone(chunk), blocks = chunk->count * chunk->item_size;
    poison_set(chunk->base - redzone, redzone);
    poison_set(chunk->base, chunk->size <= POISON_MAX ? blocks : 0);
    poison_set(chunk->base + blocks, chunk->size - blocks + redzone);
}

static void chunk_lift(const Chunk *chunk)
{
    size_t redzone = chunk_redzone(chunk), blocks = chunk->count * chunk->item_size;
    poison_lift(chunk->base - redzone, redzone);
    poison_lift(chunk->base, chunk->size <= POISON_MAX ? blocks : 0);
    poison_lift(chunk->base + blocks, chunk->size - blocks + redzone);
}

/* The same for the data of a block that has a chunk. */
static void block_poison(const Block *block)
{
    const Chunk *chunk = block_chunk(block);
    poison_set(block->data, chunk->size <= POISON_MAX ? chunk->item_size : 0);
}

static void block_lift(const Block *block)
{
    const Chunk *chunk = block_chunk(block);
    poison_lift(block->data, chunk->size <= POISON_MAX ? chunk->item_size : 0);
}

static PlatformUse chunk_use(size_t size, size_t item_size, bool huge)
{
    if (item_size > 4096) {
        return PLATFORM_SPARSE;
    }
    return huge && size >= PLATFORM_HUGE_SIZE ? PLATFORM_HUGE : PLATFORM_DENSE;
}

/* A chunk that has its struct and the headers of its blocks in its own first pages, or
 * NULL. */
static Chunk *chunk_create_in_itself(size_t size, size_t item_size, PlatformUse use)
{
    size_t page = platform_page_size(), dirty_end;
    size_t count = (size - sizeof(Chunk)) / (item_size + sizeof(Block));
    size_t header = (chunk_header_size(count) + page - 1) & ~(page - 1);
    Chunk *chunk = (Chunk *)chunk_map(size, use, &dirty_end);
    count = checked_min(count, (size - header) / item_size);
    if (chunk != NULL) {
        chunk_init(chunk, count, item_size, header);
        chunk->aligned = checked_log2_floor(size);
        chunk->huge = use == PLATFORM_HUGE;
        chunk->base = (unsigned char *)chunk + header;
        chunk->size = size - header;
        chunk->dirty_end = dirty_end - checked_min(dirty_end, header);
        chunk->warm_end = chunk->dirty_end;
        chunk->cached = dirty_end > 0 ? size : 0; /* until its blocks are allocated */
        chunk_poison(chunk);
    }
    return chunk;
}

/* Returns a chunk of size bytes for blocks of item_size; NULL if there is no memory.
 * in_itself: its headers lie in its own pages, beside fewer blocks. huge: it has huge
 * pages, if its size and its blocks are right for them. */
static Chunk *chunk_create(size_t size, size_t item_size, bool in_itself, bool huge)
{
    PlatformUse use = chunk_use(size, item_size, huge);
    Chunk *chunk;
    if (in_itself) {
        return chunk_create_in_itself(size, item_size, use);
    }
    chunk = chunk_alloc_header(size / item_size, item_size);
    if (chunk == NULL) {
        return NULL;
    }
    chunk->base = (unsigned char *)chunk_map(size, use, &chunk->dirty_end);
    if (chunk->base == NULL) {
        chunk_free_header(chunk);
        return NULL;
    }
    chunk->size = size;
    chunk->warm_end = chunk->dirty_end;
    chunk->cached = chunk->dirty_end > 0 ? size : 0;
    chunk->huge = use == PLATFORM_HUGE;
    chunk_poison(chunk);
    return chunk;
}

/* A chunk for a run of count blocks, of pages of its own whose writes can be tracked, or
 * NULL. The caller has made sure that their size is no overflow. */
static Chunk *chunk_create_run(size_t count, size_t item_size)
{
    size_t size = (count * item_size + CHUNK_MIN - 1) & ~(CHUNK_MIN - 1);
    Chunk *chunk = chunk_alloc_header(count, item_size);
    unsigned char *pages;
    if (chunk == NULL) {
        return NULL;
    }
    chunk->run = true;
    pages =
        (unsigned char *)memory_map(size + 2 * chunk_redzone(chunk), PLATFORM_TRACKED);
    if (pages == NULL) {
        chunk_free_header(chunk);
        return NULL;
    }
    chunk->base = pages + chunk_redzone(chunk);
    chunk->size = size;
    chunk_poison(chunk);
    return chunk;
}

/* Returns the bytes of the pages that a chunk would give to the cache. */
static inline size_t chunk_pages(const Chunk *chunk)
{
    return chunk->aligned != 0 ? (size_t)1 << chunk->aligned : chunk->size;
}

/* Lets the system use huge pages, or no more, for a chunk that was made for them. */
static void chunk_split(Chunk *chunk, bool split)
{
    if (chunk->huge && chunk->split != split) {
        void *pages = chunk->aligned != 0 ? (void *)chunk : (void *)chunk->base;
        platform_huge(pages, chunk_pages(chunk), !split);
        chunk->split = split;
    }
}

static inline bool chunk_is_full(const Chunk *chunk)
{
    return chunk->free == NULL && chunk->row.count == chunk->count &&
           chunk->row.decommitted == 0;
}

/* Returns how many bytes at the base of a chunk may not be zeros. */
static size_t chunk_dirty_end(const Chunk *chunk)
{
    return checked_max(chunk->dirty_end, chunk->row.count * chunk->item_size);
}

/* --------------------------------------------------------------------- account */

/* Returns the bytes that count as cached if all of the chunk is: what it would decommit,
 * which is all but the first of its pages if it has its struct in it. */
static size_t chunk_whole(const Chunk *chunk)
{
    return chunk->aligned != 0 ? chunk_pages(chunk) - ((size_t)1 << chunk->row.page_bits)
                               : chunk->count * chunk->weight;
}

/* Returns the bytes of its free blocks that may be resident. */
static size_t chunk_idle(const Chunk *chunk)
{
    size_t fresh = chunk->row.count * chunk->item_size;
    size_t warm = chunk->warm_end > fresh ? chunk->warm_end - fresh : 0;
    return chunk->idle * chunk->weight + warm;
}

/* Reduces the bytes that count as cached for a chunk to so many at most. */
static void chunk_uncount_cached(Chunk *chunk, size_t bytes)
{
    if (chunk->cached > bytes) {
        chunk_cache_unreserve(chunk->cached - bytes);
        chunk->cached = bytes;
    }
}

/* Raises the bytes that count as cached for a chunk to so many. If the chunk cache
 * refuses, reduces them to 0 and returns false. */
static bool chunk_count_cached(Chunk *chunk, size_t bytes)
{
    if (!chunk_cache_reserve(bytes - chunk->cached)) {
        chunk_uncount_cached(chunk, 0);
        return false;
    }
    chunk->cached = bytes;
    return true;
}

/* ---------------------------------------------------------------- allocating */

/* Before a fresh block is allocated: if blocks have a page or less, makes the pages of
 * the next ones resident as well, in a family that is so large that these do not matter.
 * One system call costs less than sixteen page faults. */
enum { AHEAD = 65536, AHEAD_FROM = 1 << 20, AHEAD_ITEM_MAX = 4096 };

static void chunk_populate(Chunk *chunk, size_t at)
{
    if (chunk->size >= AHEAD_FROM && chunk->item_size <= AHEAD_ITEM_MAX &&
        at % AHEAD == 0 && at >= chunk->dirty_end) {
        platform_populate(chunk->base + at, checked_min(AHEAD, chunk->size - at));
    }
}

static void block_init(Chunk *chunk, size_t i, bool dirty)
{
    Block *block = &chunk->block[i];
    block->data = chunk->base + i * chunk->item_size;
    block->from = (uintptr_t)chunk | BLOCK_IN_CHUNK | (dirty ? BLOCK_DIRTY : 0);
}

/* Allocates the next block that was never allocated. *headers is the arena's account of
 * the bytes of headers, here and below. */
static Block *chunk_alloc_fresh(Chunk *chunk, size_t *headers)
{
    size_t i = chunk->row.count++;
    if (row_is_decommitted(&chunk->row, i)) {
        uint64_t pages = chunk->row.decommitted & row_pages_of(&chunk->row, i);
        *headers += row_bytes(&chunk->row, pages);
        chunk->row.decommitted &= ~pages;
    }
    block_init(chunk, i, i * chunk->item_size < chunk->dirty_end);
    size_store_relaxed(&chunk->block[i].refs, 0); /* it may look like a free item */
    return &chunk->block[i];
}

/* Adds the blocks whose headers are decommitted to the free list. They count as dirty,
 * because those at the borders of decommitted pages may be. */
static void chunk_carve(Chunk *chunk, size_t *headers)
{
    size_t i;
    for (i = 0; i < chunk->count; i++) {
        if (row_is_decommitted(&chunk->row, i)) {
            block_init(chunk, i, true);
        }
    }
    *headers += row_carve(&chunk->row, &chunk->free);
}

/* Allocates a block of a chunk that is not full. */
static Block *chunk_alloc_block(Chunk *chunk, size_t *headers)
{
    Block *block;
    chunk->used++;
    if (chunk->free == NULL && chunk->row.count < chunk->count) {
        chunk_populate(chunk, chunk->row.count * chunk->item_size);
        block = chunk_alloc_fresh(chunk, headers);
    } else {
        if (chunk->free == NULL) {
            chunk_carve(chunk, headers);
        }
        block = (Block *)item_alloc(&chunk->free);
        chunk->idle -= chunk->idle > 0;
    }
    block_lift(block);
    if (chunk->cached > 0) {
        size_t idle = chunk_idle(chunk);
        if (idle == 0 || chunk->cached > idle + chunk_whole(chunk) / CHUNK_SHARES) {
            chunk_uncount_cached(chunk, idle);
        }
    }
    return block;
}

/* Allocates count fresh blocks, which read as zeros, of a run's chunk of which none is in
 * use; returns the first. The others follow it, as does their data. */
static Block *chunk_alloc_run(Chunk *chunk, size_t count, size_t *headers)
{
    size_t i;
    if (chunk->row.count > 0) {
        (void)chunk_decommit(chunk, headers);
    }
    if (chunk->dirty_end > 0) { /* the system does not clear what is decommitted */
        chunk_lift(chunk);
        memset(chunk->base, 0, chunk->dirty_end);
        chunk_poison(chunk);
        chunk->dirty_end = 0;
    }
    chunk_uncount_cached(chunk, 0);
    for (i = 0; i < count; i++) {
        block_lift(chunk_alloc_fresh(chunk, headers));
    }
    chunk->used = count;
    return chunk->block;
}

/* -------------------------------------------------------------- decommitting */

/* Decommits the pages of an empty chunk and of its headers; returns how many bytes. */
static size_t chunk_decommit(Chunk *chunk, size_t *headers)
{
    FreeRun all = {0, 0, 0};
    size_t freed;
    all.end = chunk->count;
    chunk->dirty_end = chunk_dirty_end(chunk);
    if (platform_reset(chunk->base, chunk->size)) {
        chunk->dirty_end = 0;
    }
    chunk_split(chunk, false);
    freed = row_decommit(&chunk->row, &all);
    *headers -= freed;
    chunk_drop_digests(chunk, headers);
    chunk->row.count = 0;
    chunk->free = NULL;
    chunk->warm_end = chunk->idle = 0;
    return freed + chunk->size;
}

/* Decommits the whole pages in the bytes [*from, *to) of a chunk, and sets both to their
 * bounds. Returns how many bytes; *zeros: whether they read as zeros now. */
static size_t chunk_decommit_bytes(Chunk *chunk, size_t *from, size_t *to, bool *zeros)
{
    size_t inside = platform_page_size() - 1;
    *from = (*from + inside) & ~inside;
    *to &= ~inside;
    if (*from >= *to) {
        *zeros = false;
        return 0;
    }
    chunk_split(chunk, true);
    *zeros = platform_reset(chunk->base + *from, *to - *from);
    return *to - *from;
}

/* The same for a run of free blocks; does not count again what was not resident. */
static size_t chunk_decommit_run(Chunk *chunk, const FreeRun *run)
{
    size_t from = run->first * chunk->item_size, to = run->end * chunk->item_size, i;
    bool zeros;
    size_t freed = chunk_decommit_bytes(chunk, &from, &to, &zeros);
    /* Both are powers of two, so that no block lies in there in part. */
    for (i = from / chunk->item_size; zeros && i < to / chunk->item_size; i++) {
        if (!row_is_decommitted(&chunk->row, i)) {
            chunk->block[i].from &= ~(uintptr_t)BLOCK_DIRTY;
        }
    }
    return checked_min(freed, run->idle * chunk->item_size);
}

/* The same for what may be resident after the blocks that were ever allocated. */
static size_t chunk_decommit_warm(Chunk *chunk)
{
    size_t from = chunk->row.count * chunk->item_size, to = chunk->size;
    size_t freed = 0;
    bool zeros;
    if (chunk->warm_end > from) {
        freed = chunk_decommit_bytes(chunk, &from, &to, &zeros);
        chunk->dirty_end = zeros ? checked_min(chunk->dirty_end, from) : chunk->dirty_end;
        freed = checked_min(freed, chunk->warm_end > from ? chunk->warm_end - from : 0);
    }
    chunk->warm_end = 0;
    return freed;
}

/* Decommits the pages of the free blocks, and of their headers, of a chunk that is partly
 * used; returns how many bytes. */
static size_t chunk_trim(Chunk *chunk, size_t *headers)
{
    FreeRun run = {0, 0, 0};
    size_t freed = 0, rows = 0;
    while (row_next(&chunk->row, &run)) {
        if (run.idle > 0) { /* else it was trimmed before */
            freed += chunk_decommit_run(chunk, &run);
            rows += row_decommit(&chunk->row, &run);
        }
    }
    freed += chunk_decommit_warm(chunk);
    *headers -= rows;
    chunk->free = NULL;
    (void)row_link(&chunk->row, &chunk->free);
    chunk->idle = 0;
    return freed + rows;
}

/* -------------------------------------------------------------------- destroying */

/* Whether all of a chunk is cached, and its pages then count as such for the cache. */
static bool chunk_count_pages(Chunk *chunk)
{
    if (chunk->run || chunk->cached < chunk_whole(chunk)) {
        chunk_uncount_cached(chunk, 0);
        return false;
    }
    chunk_uncount_cached(chunk, chunk_pages(chunk));
    return chunk_count_cached(chunk, chunk_pages(chunk));
}

/* Moves the pages of a chunk that is cached to the chunk cache, or unmaps them; frees its
 * headers. */
static void chunk_destroy(Chunk *chunk)
{
    bool cached = chunk_count_pages(chunk), run = chunk->run, huge = chunk->huge;
    bool in_itself = chunk->aligned != 0;
    size_t redzone = chunk_redzone(chunk), size = chunk_pages(chunk) + 2 * redzone;
    size_t dirty_end = (in_itself ? chunk->header : 0) + chunk_dirty_end(chunk);
    void *pages = in_itself ? (void *)chunk : (void *)(chunk->base - redzone);
    chunk_lift(chunk);
    if (in_itself) {
        poison_drop_pointers(chunk, chunk->header);
    } else {
        chunk_free_header(chunk);
    }
    if (cached) {
        chunk_cache_put(pages, size, dirty_end, huge);
    } else if (run) {
        written_unmap(pages, size);
    } else {
        platform_unmap(pages, size);
    }
}
