/* SPDX-License-Identifier: MIT */
/*
 * slab.c - many small items of one size that stay mapped until all of them end
 *
 * Readers without a lock may still look at an item that was given back (pool_lock.c). So
 * items are never unmapped one by one: they are carved from pieces that are freed
 * together, and what came back is used again first. The first pieces are small memory of
 * some KiB; later ones are pages.
 *
 *     row   | item | item | free | free | free | free | item |   items side by side
 *     pages |            |            |            |          |   the second is given back
 *
 * A ROW is items that lie side by side: those of a piece, or the descriptions of the
 * blocks of a chunk (chunk.c). Whole pages under free items can be given back to the
 * system (platform_reset), which leaves them mapped; the items that lie there, even in
 * part, are then BLANK: they are on no list, and nothing is known of their contents,
 * until the row is carved again. The page of the first item always stays.
 *
 * The first word of a free item is its link, the second says that it is free. Nobody may
 * have such a number there while he has the item. The caller does the locking.
 */
#include "memory.h"

enum { SLAB_PAGES_FROM = 65536 };

/* ---------------------------------------------------------------------- items */

static inline AtomicSize *item_mark(void *item)
{
    return (AtomicSize *)(void *)((unsigned char *)item + sizeof(void *));
}

static inline void item_free(void **list, void *item, size_t mark)
{
    *(void **)item = *list;
    size_store_relaxed(item_mark(item), mark);
    *list = item;
}

static inline void *item_alloc(void **list)
{
    void *item = *list;
    *list = *(void **)item;
    size_store_relaxed(item_mark(item), 0);
    return item;
}

/* ----------------------------------------------------------------------- rows */

/* pages: whether the memory at items is of pages, with nothing else behind them. */
static void row_init(Row *row, void *items, size_t size, size_t room, bool pages)
{
    row->items = (unsigned char *)items;
    row->size = size;
    row->room = room;
    row->count = 0;
    row->page_bits = pages ? checked_log2_floor(platform_page_size()) : 0;
    row->decommitted = 0;
}

static inline unsigned char *row_item(const Row *row, size_t i)
{
    return row->items + i * row->size;
}

/* The number of a page, counted from the one of the first item. */
static inline size_t row_page(const Row *row, const unsigned char *at)
{
    return ((uintptr_t)at >> row->page_bits) - ((uintptr_t)row->items >> row->page_bits);
}

/* The bits of the pages [from, to). */
static inline uint64_t row_pages(size_t from, size_t to)
{
    return (((uint64_t)1 << (to - from)) - 1) << from;
}

/* The bits of the pages that an item touches. */
static inline uint64_t row_pages_of(const Row *row, size_t i)
{
    const unsigned char *item = row_item(row, i);
    return row_pages(row_page(row, item), row_page(row, item + (row->size - 1)) + 1);
}

static inline bool row_is_decommitted(const Row *row, size_t i)
{
    return row->decommitted != 0 && (row->decommitted & row_pages_of(row, i)) != 0;
}

/* 0 if somebody has it. */
static size_t row_state(const Row *row, size_t i)
{
    size_t mark;
    if (row_is_decommitted(row, i)) {
        return ITEM_FREE;
    }
    mark = size_load_relaxed(item_mark(row_item(row, i)));
    return mark >= ITEM_IDLE ? mark : 0;
}

/* The next run of free items after *run, which begins as zeros; false if there is none.
 * */
static bool row_next(const Row *row, FreeRun *run)
{
    size_t i = run->end, state;
    while (i < row->count && row_state(row, i) == 0) {
        i++;
    }
    run->first = i;
    run->idle = 0;
    while (i < row->count && (state = row_state(row, i)) != 0) {
        run->idle += state == ITEM_IDLE;
        i++;
    }
    run->end = i;
    return run->first < i;
}

static size_t row_bytes(const Row *row, uint64_t pages)
{
    size_t count = 0;
    for (; pages != 0; pages &= pages - 1) {
        count++;
    }
    return count << row->page_bits;
}

/* Gives the whole pages of free items back; returns how many bytes that had not gone yet.
 * What is on a list must then be linked anew. */
static size_t row_decommit(Row *row, const FreeRun *run)
{
    uintptr_t first = (uintptr_t)row->items >> row->page_bits << row->page_bits;
    size_t page, from, to;
    uint64_t pages;
    if (row->page_bits == 0) {
        return 0;
    }
    page = (size_t)1 << row->page_bits;
    from = checked_max(1, row_page(row, row_item(row, run->first) + (page - 1)));
    to = row_page(row, row_item(row, run->end) + (run->end == row->room ? page - 1 : 0));
    if (from >= to) {
        return 0;
    }
    pages = row_pages(from, to) & ~row->decommitted;
    row->decommitted |= pages;
    if (pages != 0) {
        (void)platform_reset((unsigned char *)first + from * page, (to - from) * page);
    }
    return row_bytes(row, pages);
}

/* Puts all that is free, and not blank, before a list, in the order of the addresses;
 * returns how many are in use. */
static size_t row_link(const Row *row, void **list)
{
    size_t i, used = 0;
    for (i = row->count; i-- > 0;) {
        if (row_state(row, i) == 0) {
            used++;
        } else if (!row_is_decommitted(row, i)) {
            item_free(list, row_item(row, i), ITEM_FREE);
        }
    }
    return used;
}

/* Puts all that is blank before a list; returns how many bytes of pages are used again.
 * */
static size_t row_carve(Row *row, void **list)
{
    size_t i, bytes = row_bytes(row, row->decommitted);
    for (i = row->count; i-- > 0;) {
        if (row_is_decommitted(row, i)) {
            item_free(list, row_item(row, i), ITEM_FREE);
        }
    }
    row->decommitted = 0;
    return bytes;
}

/* ----------------------------------------------------------------------- slab */

/* No fewer than somebody has. */
static size_t slab_items(const Slab *slab)
{
    return slab->bytes / slab->item_size;
}

/* A piece for more items: of pages if the slab is that large already. */
static SlabPiece *slab_map(Slab *slab)
{
    bool pages = slab->bytes >= SLAB_PAGES_FROM;
    size_t size = pages ? checked_max(PLATFORM_MAP_MIN, 16 * platform_page_size())
                        : checked_max(2048, slab->bytes);
    size_t count = checked_max(1, (size - sizeof(SlabPiece)) / slab->item_size);
    SlabPiece *piece;
    if (!pages) {
        size = sizeof *piece + count * slab->item_size;
    }
    piece = (SlabPiece *)(pages ? memory_map(size, PLATFORM_DENSE) : memory_alloc(size));
    if (piece != NULL) {
        piece->size = size;
        row_init(&piece->row, piece + 1, slab->item_size, count, pages);
        piece->row.count = count;
    }
    return piece;
}

/* When more than half of a slab is free, and more than so many bytes, the pages among
 * that are given back. After that, half of what is used then must come back first, so
 * that an item is not looked at often where no page is free as a whole. The numbers are
 * of items. */
#define SLAB_IDLE_MAX ((size_t)4 << 20)

static ptrdiff_t slab_spare(const Slab *slab)
{
    return (ptrdiff_t)(checked_max(SLAB_IDLE_MAX, slab->bytes / 2) / slab->item_size);
}

static NOT_INLINE bool slab_grow(Slab *slab)
{
    SlabPiece *piece = slab->decommitted;
    size_t i;
    if (piece != NULL) {
        slab->decommitted = piece->decommitted;
        slab->bytes += row_carve(&piece->row, &slab->free);
        slab->spare = slab_spare(slab);
        return true;
    }
    piece = slab_map(slab);
    if (piece == NULL) {
        return false;
    }
    piece->next = slab->pieces;
    slab->pieces = piece;
    slab->bytes += piece->size;
    slab->spare = slab_spare(slab); /* nothing was free, or it would not grow */
    for (i = piece->row.count; i-- > 0;) {
        item_free(&slab->free, row_item(&piece->row, i), ITEM_FREE);
    }
    return true;
}

static inline void *slab_alloc(Slab *slab)
{
    if (slab->free == NULL && !slab_grow(slab)) {
        return NULL;
    }
    slab->spare++;
    return item_alloc(&slab->free);
}

/* Gives the pages in which all items are free back to the system; returns how many bytes.
 * A pass over all items, if any came back since the last one: it is then the first one.
 * */
static NOT_INLINE size_t slab_trim(Slab *slab)
{
    size_t freed = 0, used = 0, free;
    SlabPiece *piece;
    if (slab->free == NULL || size_load_relaxed(item_mark(slab->free)) != ITEM_IDLE) {
        return 0;
    }
    slab->free = NULL;
    slab->decommitted = NULL;
    for (piece = slab->pieces; piece != NULL; piece = piece->next) {
        FreeRun run = {0, 0, 0};
        while (row_next(&piece->row, &run)) {
            freed += run.idle > 0 ? row_decommit(&piece->row, &run) : 0;
        }
        used += row_link(&piece->row, &slab->free);
        if (piece->row.decommitted != 0) {
            piece->decommitted = slab->decommitted;
            slab->decommitted = piece;
        }
    }
    slab->bytes -= freed;
    free = slab_items(slab) - used;
    slab->spare = slab_spare(slab) - (ptrdiff_t)free;
    slab->spare =
        slab->spare > (ptrdiff_t)(used / 2) ? slab->spare : (ptrdiff_t)(used / 2);
    return freed;
}

static inline void slab_free(Slab *slab, void *item)
{
    item_free(&slab->free, item, ITEM_IDLE);
    if (--slab->spare < 0) {
        (void)slab_trim(slab);
    }
}

/* Frees everything, whether it was given back or not. */
static void slab_close(Slab *slab)
{
    while (slab->pieces != NULL) {
        SlabPiece *piece = slab->pieces;
        slab->pieces = piece->next;
        if (piece->row.page_bits != 0) {
            platform_unmap(piece, piece->size);
        } else {
            platform_free(piece);
        }
    }
}
