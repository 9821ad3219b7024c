/* SPDX-License-Identifier: MIT */
/*
 * dirty.c - dirty page tracking: which pinned blocks differ from their frozen copies
 *
 *     pin ──► data     | 0 | 1 | 2 | 3 | 4 | 5 |     what callers write to
 *             frozen   | 0'| - | 2'| 3'| - | 5'|     a tree of blocks; none: zeros
 *             dirty      0   0   1   0   0   0
 *             pages    . . . . . . . W . . . . .     written to, as the system says
 *
 * Invariant: a block equals its frozen copy, unless its dirty bit is set or the system
 * says that its pages were written to (written.h). Collecting turns the second into the
 * first: PROTECT, THEN COMPARE. Finding the written pages and protecting them again is
 * one step of the system; a write that comes after it is found the next time, and one
 * that came before it is seen by the comparison. So no write is lost, and a call that
 * fails later loses nothing either: the bits stay. A frozen copy that nobody else has is
 * brought up to date with the comparison, and needs no bit.
 *
 * Where the system does not say what was written (written_watch refuses, or the pages are
 * not those of a run, or too few), all blocks count as written and are compared. Where
 * much was written, a pin is left OPEN: to protect page by page costs more than to
 * compare all.
 *
 * Callers may write through a pin while it is compared; data.h has a comparison that then
 * loses no write, as memcmp does.
 *
 * Locks: the caller has locked the pool exclusively and called pins_enter, but for
 * pin_unwatch (the arena's lock).
 */
#include "pool.h"

enum {
    OPEN_PART = 7,     /* open: more than 1 / OPEN_PART of the pages were written  */
    WATCH_MIN = 65536, /* bytes; to compare fewer takes no longer than to ask      */
    SCAN_ROOM = 256    /* ranges of pages that one call of the system finds        */
};

/* ------------------------------------------------------------------ dirty bits */

static inline bool pin_is_dirty(const Pin *pin, size_t i)
{
    return (pin->dirty[i / 64] >> (i % 64) & 1) != 0;
}

static void pin_set_dirty(Pin *pin, size_t i)
{
    pin->dirty[i / 64] |= (uint64_t)1 << (i % 64);
}

static inline void pin_set_clean(Pin *pin, size_t i)
{
    pin->dirty[i / 64] &= ~((uint64_t)1 << (i % 64));
}

/* The first dirty block of [i, end), or end. */
static size_t pin_next_dirty(const Pin *pin, size_t i, size_t end)
{
    while (i < end) {
        uint64_t bits = pin->dirty[i / 64] >> (i % 64);
        if ((bits & 1) != 0) {
            return i;
        }
        i = bits != 0 ? i + 1 : (i | 63) + 1;
    }
    return end;
}

/* --------------------------------------------------------------------- geometry */

static inline unsigned pin_shift(const Pin *pin)
{
    return pin->pool->block_shift;
}

static inline unsigned char *pin_data(const Pin *pin, size_t i)
{
    return pin->blocks[0].data + (i << pin_shift(pin));
}

static inline size_t pin_last(const Pin *pin)
{
    return pin->index + pin->attached - 1;
}

/* How many bytes of the block i the pool has: fewer than a block at its end. */
static inline size_t pin_bytes(const Pin *pin, size_t i)
{
    size_t start = (pin->index + i) << pin_shift(pin);
    return checked_min(pool_total(pin->pool) - start, (size_t)1 << pin_shift(pin));
}

/* The beginning of the page in which a byte lies. */
static unsigned char *page_floor(unsigned char *at)
{
    return at - ((uintptr_t)at & (platform_page_size() - 1));
}

/* The end of the page in which the byte before lies. */
static unsigned char *page_ceil(unsigned char *at)
{
    return page_floor(at + (platform_page_size() - 1));
}

/* The end of the pages of a pin, which is no less for the blocks that left the pool. */
static unsigned char *pin_pages_end(const Pin *pin)
{
    return page_ceil(pin->blocks[pin->count - 1].data + ((size_t)1 << pin_shift(pin)));
}

static inline size_t pin_pages_size(const Pin *pin)
{
    return (size_t)(pin_pages_end(pin) - pin->blocks[0].data);
}

/* --------------------------------------------------------------------- watching */

/* Whether the system has noted what is written since the pages were protected. A child of
 * fork is another generation. */
static inline bool pin_is_watched(const Pin *pin)
{
    return pin->watched == written_generation();
}

/* Begins to watch the pages, all of which count as not written to then, if the system can
 * and they are worth it. The pages have to be those of a run, and begin with the pin, so
 * that no other pin that is watched has bytes in one of them. */
static void pin_watch(Pin *pin)
{
    const Chunk *chunk = block_chunk(&pin->blocks[0]);
    size_t size = pin_pages_size(pin);
    bool aligned = ((uintptr_t)pin->blocks[0].data & (platform_page_size() - 1)) == 0;
    pin->open = pin->calm = false;
    pin->watched = 0;
    if (chunk->run && aligned && size >= WATCH_MIN &&
        written_watch(pin->blocks[0].data, size)) {
        pin->watched = written_generation();
    }
}

/* Ends that. The caller has the arena's lock, and has not cleared the blocks' pointers.
 * */
static void pin_unwatch(Pin *pin)
{
    if (pin_is_watched(pin)) {
        written_unwatch(pin->blocks[0].data, pin_pages_size(pin));
    }
    pin->watched = 0;
}

/* -------------------------------------------------------------------- comparing */

/* Whether the block i differs from the one that a leaf (NULL: none) has at its index. Of
 * what is behind the pool's end, that one must have zeros. */
static inline bool pin_differs(const Pin *pin, size_t i, Node *leaf)
{
    Block *block = leaf == NULL ? NULL : leaf_block(leaf, pin->index + i);
    const unsigned char *data = block == NULL ? NULL : block_data(block);
    size_t size = pin_bytes(pin, i);
    bool differs;
    DATA_RACE_BEGIN();
    differs = data_differs(pin_data(pin, i), data, size);
    DATA_RACE_END();
    return differs ||
           (data != NULL &&
            data_differs(data + size, NULL, ((size_t)1 << pin_shift(pin)) - size));
}

/* Copies the block i to the frozen copy, or what is to become it. */
static void pin_copy(const Pin *pin, size_t i, Block *copy)
{
    size_t size = pin_bytes(pin, i);
    DATA_RACE_BEGIN();
    memcpy(copy->data, pin_data(pin, i), size);
    DATA_RACE_END();
    memset(copy->data + size, 0, ((size_t)1 << pin_shift(pin)) - size);
}

/* Brings the frozen copy of the block i up to date at once if nobody but the pin has
 * it. */
static bool pin_update(const Pin *pin, size_t i)
{
    Node *leaf = tree_private_leaf(&pin->frozen, pin->index + i);
    AtomicPtr *slot = leaf == NULL ? NULL : node_slot(leaf, 0, pin->index + i);
    if (slot == NULL || !slot_owns(slot)) {
        return false;
    }
    pin_copy(pin, i, slot_block(slot));
    return true;
}

/* Sets the dirty bits of those among the blocks [first, end) that differ from their
 * frozen copies, or brings these up to date; returns how many differed. To copy a block
 * as soon as it was compared takes two thirds of the time of two walks over the memory.
 */
static size_t pin_compare(Pin *pin, size_t first, size_t end)
{
    Node *leaf = NULL;
    size_t i, differing = 0;
    for (i = first; i < end; i++) {
        if (i == first || (pin->index + i) % TREE_SLOTS == 0) {
            leaf = tree_leaf(&pin->frozen, pin->index + i);
        }
        if (!pin_is_dirty(pin, i) && pin_differs(pin, i, leaf)) {
            differing++;
            if (!pin_update(pin, i)) {
                pin_set_dirty(pin, i);
            }
        }
    }
    return differing;
}

/* --------------------------------------------------------------------- scanning */

/* A walk over all pages of a pin. */
static PinScan pin_scan_all(const Pin *pin, bool protect, bool compare)
{
    PinScan scan = {pin->blocks[0].data, pin_pages_end(pin), protect, compare, 0, 0};
    return scan;
}

/* Whether so much was found that it is not worth while to protect it page by page. */
static bool pin_many_written(const Pin *pin, const PinScan *scan)
{
    return scan->bytes > pin_pages_size(pin) / OPEN_PART;
}

/* Takes note of a range of written pages. */
static void pin_note_written(Pin *pin, PinScan *scan, WrittenRange range)
{
    size_t offset = (size_t)(range.start - pin->blocks[0].data);
    size_t i = offset >> pin_shift(pin);
    size_t end = ((offset + (size_t)(range.end - 1 - range.start)) >> pin_shift(pin)) + 1;
    end = checked_min(end, pin->attached);
    scan->bytes += (size_t)(range.end - range.start);
    if (scan->compare && i < end) {
        scan->differing += pin_compare(pin, i, end) << pin_shift(pin);
    }
    for (; !scan->compare && i < end; i++) {
        pin_set_dirty(pin, i);
    }
}

/* Walks until the end, or until so many bytes were found; false if the system does not
 * know what was written. */
static bool pin_scan(Pin *pin, PinScan *scan, size_t most)
{
    size_t page = platform_page_size(), i, count;
    WrittenRange found[SCAN_ROOM];
    while (scan->at < scan->end && scan->bytes < most) {
        size_t pages = most == SIZE_MAX ? SIZE_MAX : (most - scan->bytes) / page + 1;
        if (!written_scan(scan->at, scan->end, scan->protect, pages, found, SCAN_ROOM,
                          &count, &scan->at)) {
            return false;
        }
        for (i = 0; i < count; i++) {
            pin_note_written(pin, scan, found[i]);
        }
    }
    return true;
}

/* Collects what was written to a pin that is watched; false if the system does not know.
 * */
static bool pin_collect_written(Pin *pin)
{
    PinScan scan = pin_scan_all(pin, true, true);
    size_t most = pin->calm ? SIZE_MAX : pin_pages_size(pin) / OPEN_PART;
    if ((!pin->open || pin->calm) && !pin_scan(pin, &scan, most)) {
        return false;
    }
    pin->calm = false;
    pin->open = scan.at < scan.end;
    if (pin->open) {
        scan.protect = false;
        scan.bytes = scan.differing = 0;
        if (!pin_scan(pin, &scan, SIZE_MAX)) {
            return false;
        }
        pin->calm = scan.differing < scan.bytes / CALM_PART;
    }
    return true;
}

/* Sets the dirty bit of each block that may differ from its frozen copy, and begins anew
 * to watch what is written. */
static void pin_collect(Pin *pin)
{
    if (!pin_is_watched(pin) || !pin_collect_written(pin)) {
        pin_watch(pin);
        (void)pin_compare(pin, 0, pin->attached);
    }
}

static void pins_collect(Pin *entered)
{
    Pin *pin;
    for (pin = entered; pin != NULL; pin = pin->entered) {
        pin_collect(pin);
    }
}

/* The same for the blocks first to last of a pin. What lies beside them in their pages is
 * compared with them, since these are protected as a whole. */
static void pin_collect_range(Pin *pin, size_t first, size_t last)
{
    size_t i = first - pin->index, end = last - pin->index + 1;
    PinScan scan = {
        page_floor(pin_data(pin, i)), page_ceil(pin_data(pin, end)), true, true, 0, 0};
    if (!pin_is_watched(pin) || pin->open) {
        (void)pin_compare(pin, i, end);
    } else if (!pin_scan(pin, &scan, SIZE_MAX)) { /* it may have forgotten some of it */
        pin->watched = 0;
        (void)pin_compare(pin, i, end);
    }
}

/* -------------------------------------------------------------------- searching */

/* Has a cursor know about the page in which a byte lies; false if the system does not. */
static bool cursor_seek(PinCursor *cursor, unsigned char *at)
{
    if (at >= cursor->from && at < cursor->known) {
        return true;
    }
    cursor->from = page_floor(at);
    cursor->known = cursor->from;
    cursor->room = cursor->room == 0 ? 1 : checked_min(2 * cursor->room, CURSOR_ROOM);
    return written_scan(cursor->from, pin_pages_end(cursor->pin), false, SIZE_MAX,
                        cursor->written, cursor->room, &cursor->count, &cursor->known);
}

/* The first of the blocks [i, end) that may have been written to, or end. One of which the
 * cursor knows the beginning alone may have been. */
static size_t cursor_next(PinCursor *cursor, size_t i, size_t end)
{
    const Pin *pin = cursor->pin;
    size_t clean = 1; /* so many blocks on, there is more to look at */
    while (clean > 0 && i < end && cursor_seek(cursor, pin_data(pin, i))) {
        unsigned char *data = pin_data(pin, i);
        size_t range = 0;
        while (range < cursor->count && cursor->written[range].end <= data) {
            range++;
        }
        if (range < cursor->count) {
            unsigned char *start = cursor->written[range].start;
            return start <= data
                       ? i
                       : checked_min(i + ((size_t)(start - data) >> pin_shift(pin)), end);
        }
        clean = (size_t)(cursor->known - data) >> pin_shift(pin);
        i += clean;
    }
    return checked_min(i, end);
}

/* Finds the first of the blocks first to last of a pin that may differ from its frozen
 * copy: it is dirty, or was written to and differs. Changes nothing but the cursor. */
static bool pin_find_change(PinCursor *cursor, size_t first, size_t last, size_t *found)
{
    Pin *pin = cursor->pin;
    size_t i = first - pin->index, end = last - pin->index + 1;
    size_t dirty = pin_next_dirty(pin, i, end);
    bool watched = pin_is_watched(pin);
    for (;; i++) {
        i = watched ? cursor_next(cursor, i, dirty) : i;
        if (i >= end) {
            return false;
        }
        if (i >= dirty || pin_differs(pin, i, tree_leaf(&pin->frozen, pin->index + i))) {
            *found = pin->index + i;
            return true;
        }
    }
}
