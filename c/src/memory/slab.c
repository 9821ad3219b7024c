/* SPDX-License-Identifier: MIT */
/*
 * slab.c - an allocator of items of one size that stay mapped until all are freed
 *
 * Optimistic readers may still read an item that was freed (pool_lock.c). So items are
 * never unmapped one by one: they are parts of pieces that are unmapped together, and
 * freed items are reused first. The first pieces are some KiB from malloc; later ones are
 * pages.
 *
 *     row   | item | item | free | free | free | free | item |   adjacent items
 *     pages |            |            |            |          |   the second can go
 *
 * A ROW is an array of items: those of a piece, or the headers of the blocks of a chunk
 * (chunk.c). Whole pages of free items can be DECOMMITTED (platform_reset): they stay
 * mapped, but lose their memory. Items in such a page, even in part, are on no list, and
 * their contents are unknown, until the row is carved again. The page of the first item
 * is never decommitted.
 *
 * The first word of a free item is its link, the second marks it as free; an item in use
 * must not have such a number there. Context of all functions here: the caller holds the
 * lock of the arena.
 */
#include "memory.h"

enum { SLAB_PAGES_FROM = 65536 };

/* ---------------------------------------------------------------------- items */

static inline AtomicSize *item_mark(void *item)
{
    return (AtomicSize *)(void *)((unsigned char *)item + sizeof(void *));
}

/* Puts an item on a free list, with a mark (ITEM_FREE or ITEM_IDLE). */
static inline void item_free(void **list, void *item, size_t mark)
{
    *(void **)item = *list;
    size_store_relaxed(item_mark(item), mark);
    *list = item;
}

/* Takes the first item of a free list, which must not be empty. */
static inline void *item_alloc(void **list)
{
    void *item = *list;
    *list = *(void **)item;
    size_store_relaxed(item_mark(item), 0);
    return item;
}

/* Poisons a free item of a slab, but for the two words; or lifts that. */
static inline void item_poison(void *item, size_t size)
{
    poison_set((void **)item + 2, size - 2 * sizeof(void *));
}

static inline void item_lift(void *item, size_t size)
{
    poison_lift((void **)item + 2, size - 2 * sizeof(void *));
}

/* ----------------------------------------------------------------------- rows */

/* pages: whether the memory at items is pages, with nothing else after the items. A row
 * of more than 63 of them, as a long run of blocks has, counts in larger ones. */
static void row_init(Row *row, void *items, size_t size, size_t room, bool pages)
{
    row->items = (unsigned char *)items;
    row->size = size;
    row->room = room;
    row->count = 0;
    row->page_bits = pages ? checked_log2_floor(platform_page_size()) : 0;
    row->decommitted = 0;
    while (pages && (size * room) >> row->page_bits > 62) {
        row->page_bits++;
    }
}

static inline unsigned char *row_item(const Row *row, size_t i)
{
    return row->items + i * row->size;
}

/* Returns the number of a page, counted from that of the first item. */
static inline size_t row_page(const Row *row, const unsigned char *at)
{
    return ((uintptr_t)at >> row->page_bits) - ((uintptr_t)row->items >> row->page_bits);
}

/* Returns the bits of the pages [from, to). */
static inline uint64_t row_pages(size_t from, size_t to)
{
    return (((uint64_t)1 << (to - from)) - 1) << from;
}

/* Returns the bits of the pages in which an item lies. */
static inline uint64_t row_pages_of(const Row *row, size_t i)
{
    const unsigned char *item = row_item(row, i);
    return row_pages(row_page(row, item), row_page(row, item + (row->size - 1)) + 1);
}

static inline bool row_is_decommitted(const Row *row, size_t i)
{
    return row->decommitted != 0 && (row->decommitted & row_pages_of(row, i)) != 0;
}

/* Returns ITEM_FREE or ITEM_IDLE, or 0 if the item is in use. */
static size_t row_state(const Row *row, size_t i)
{
    size_t mark;
    if (row_is_decommitted(row, i)) {
        return ITEM_FREE;
    }
    mark = size_load_relaxed(item_mark(row_item(row, i)));
    return mark >= ITEM_IDLE ? mark : 0;
}

/* Sets *run to the next run of free items after it; false if there is none. Initialise
 * *run with zeros. */
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

/* Returns the bytes of so many pages as bits are set. */
static size_t row_bytes(const Row *row, uint64_t pages)
{
    size_t count = 0;
    for (; pages != 0; pages &= pages - 1) {
        count++;
    }
    return count << row->page_bits;
}

/* Decommits the whole pages of free items; returns how many bytes were not decommitted
 * before. The caller must then rebuild the free list (row_link). */
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
    to = row_page(row, row_item(row, run->end) +
                           (run->end == row->room ? platform_page_size() - 1 : 0));
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

/* Adds all free items that are not decommitted to the front of a list, in the order of
 * their addresses; returns how many items are in use. */
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

/* Adds all decommitted items to the front of a list; returns how many bytes of pages that
 * commits again. */
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

/* Returns an upper bound of the items in use. */
static size_t slab_items(const Slab *slab)
{
    return slab->bytes / slab->item_size;
}

/* Allocates a piece, or returns NULL; of pages if the slab is large already. */
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
    if (piece != NULL && pages) {
        poison_add_pointers(piece, size);
    }
    return piece;
}

/* A slab is trimmed when more than half of it is free, and more than so many bytes. After
 * that, half of the items in use must be freed before the next trim, so that passes over
 * all items stay rare even if no whole page is free. */
#define SLAB_IDLE_MAX ((size_t)4 << 20)

/* Returns how many items may be free in a slab before it is trimmed. */
static ptrdiff_t slab_spare(const Slab *slab)
{
    return (ptrdiff_t)(checked_max(SLAB_IDLE_MAX, slab->bytes / 2) / slab->item_size);
}

/* Adds items to an empty free list: decommitted ones, or a new piece. Returns false if
 * there is no memory. */
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
        item_poison(row_item(&piece->row, i), slab->item_size);
    }
    return true;
}

/* Allocates an item, or returns NULL. */
static inline void *slab_alloc(Slab *slab)
{
    if (slab->free == NULL && !slab_grow(slab)) {
        return NULL;
    }
    slab->spare++;
    item_lift(slab->free, slab->item_size);
    return item_alloc(&slab->free);
}

/* Decommits the pages in which all items are free; returns how many bytes. Passes over
 * all items, unless none was freed since the last trim (it would be the first of the
 * list). */
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

/* Frees an item; trims the slab if enough of it is free. */
static inline void slab_free(Slab *slab, void *item)
{
    item_free(&slab->free, item, ITEM_IDLE);
    item_poison(item, slab->item_size);
    if (--slab->spare < 0) {
        (void)slab_trim(slab);
    }
}

/* Frees all pieces, with all items. */
static void slab_close(Slab *slab)
{
    while (slab->pieces != NULL) {
        SlabPiece *piece = slab->pieces;
        slab->pieces = piece->next;
        poison_lift(piece, piece->size);
        if (piece->row.page_bits != 0) {
            poison_drop_pointers(piece, piece->size);
            platform_unmap(piece, piece->size);
        } else {
            platform_free(piece);
        }
    }
}
