/* SPDX-License-Identifier: MIT */
/*
 * freeze.c - frozen copies of pinned blocks: what clones share and restores write
 *
 * A pinned block is not shared, since it is written to through pointers. A clone shares
 * its FROZEN COPY instead: what the block was at the last clone, or what the last restore
 * wrote. The frozen copies of a pin are a tree by the indexes of the pool, so that clones
 * share its nodes as well: a clone is the root of the pool with that tree grafted in.
 *
 * A clone brings the frozen copies of dirty blocks up to date, in place if nobody else
 * has them (dirty.c says which blocks are dirty, and why no write is lost). A restore
 * writes the dirty blocks, and those in which the frozen copies differ from what is
 * restored; what it restores becomes the frozen copies. It writes first and protects
 * then: the caller must not write through a pin meanwhile.
 *
 * Locks: the caller has locked the pool exclusively and called pins_enter.
 */
#include "pool.h"

enum {
    PROTECT_MOST = 64, /* ranges to be protected one by one; more by one scan       */
    SAMPLE = 8         /* of so many restored blocks one is compared                */
};

/* --------------------------------------------------------------------- freezing */

/* What it takes to bring the frozen copies of the blocks first to last up to date. */
static Need pin_measure_range(const Pin *pin, size_t first, size_t last)
{
    size_t i = first - pin->index, end = last - pin->index + 1, done = SIZE_MAX;
    Need need = {0, 0, 0, 0};
    while ((i = pin_next_dirty(pin, i, end)) < end) {
        size_t index = pin->index + i++;
        Need one = tree_measure_next(&pin->frozen, index, index, &done);
        need.blocks += one.blocks;
        need.nodes += one.nodes;
    }
    return need;
}

/* The same for all pins of a pool. */
static Need pins_measure(const Pin *entered)
{
    Need need = {0, 0, 0, 0};
    const Pin *pin;
    for (pin = entered; pin != NULL; pin = pin->entered) {
        Need one = pin_measure_range(pin, pin->index, pin_last(pin));
        need.blocks += one.blocks;
        need.nodes += one.nodes;
    }
    return need;
}

/* Whether a block is zeros, and needs no frozen copy; by its index in the pool, when what
 * was written has been collected. */
static bool pin_is_zero(const Pin *pin, size_t index)
{
    return !pin_is_dirty(pin, index - pin->index) &&
           tree_block(&pin->frozen, index) == NULL;
}

/* Brings one frozen copy up to date: in place if nobody else has it. */
static void pin_freeze(Pin *pin, size_t i, Reservation *reservation)
{
    size_t index = pin->index + i;
    Node *leaf = tree_unshare_leaf(&pin->frozen, index, reservation);
    AtomicPtr *slot = node_slot(leaf, 0, index);
    Block *old = slot_block(slot), *copy = old;
    if (!slot_owns(slot)) {
        copy = reservation_take_block(reservation);
        copy->from |= BLOCK_DIRTY;
        slot_set_sole(slot, copy);
    }
    pin_copy(pin, i, copy);
    if (old == NULL) {
        tree_count(&pin->frozen, index, 1);
    } else if (copy != old) {
        block_drop(old, reservation);
    }
    pin_set_clean(pin, i);
}

/* Brings the frozen copies of the blocks first to last up to date, for which the
 * reservation has what was measured. */
static void pin_freeze_range(Pin *pin, size_t first, size_t last,
                             Reservation *reservation)
{
    size_t i = first - pin->index, end = last - pin->index + 1;
    while ((i = pin_next_dirty(pin, i, end)) < end) {
        pin_freeze(pin, i++, reservation);
    }
}

/* The same for all pins of a pool. */
static void pins_freeze(Pin *entered, Reservation *reservation)
{
    Pin *pin;
    for (pin = entered; pin != NULL; pin = pin->entered) {
        pin_freeze_range(pin, pin->index, pin_last(pin), reservation);
    }
}

/* An upper bound of the nodes that it takes to graft a range for each pin of a pool into
 * trees of that height of their own. */
static size_t pins_measure_graft(const Pin *entered, unsigned height)
{
    size_t nodes = 0;
    const Pin *pin;
    for (pin = entered; pin != NULL; pin = pin->entered) {
        nodes += (pin->attached > 1 ? 2 : 1) * (size_t)height;
    }
    return nodes;
}

/* The same into one tree that is the pool's or is to replace it: the paths to its pins
 * have no more nodes than the family has, but for those that make it higher. Locks: the
 * arena. */
static size_t pins_measure_paths(MemoryPool *pool, const Pin *entered, unsigned height)
{
    Arena *arena = &pool->family->arena;
    size_t nodes = pins_measure_graft(entered, height);
    if (nodes > 0) {
        lock_acquire(&arena->lock);
        nodes = checked_min(nodes, slab_items(&arena->nodes) + height);
        lock_release(&arena->lock);
    }
    return nodes;
}

/* What a clone of a pool takes beside its root, of which that is the height. */
static Need pins_measure_clone(MemoryPool *pool, const Pin *entered, unsigned height)
{
    Need need = pins_measure(entered);
    need.nodes += pins_measure_paths(pool, entered, height);
    return need;
}

/* Puts the frozen copies of a pool's pins into a tree that has the rest of the pool. */
static void pins_graft(const Pin *entered, Tree *tree, Reservation *reservation)
{
    const Pin *pin;
    for (pin = entered; pin != NULL; pin = pin->entered) {
        tree_graft(tree, &pin->frozen, pin->index, pin_last(pin), reservation);
    }
}

/* -------------------------------------------------------------------- restoring */

/* Gives the block i the bytes of the one that a tree has at its index, or zeros. */
static void pin_put(Pin *pin, size_t i, const Tree *tree)
{
    size_t size = pin_bytes(pin, i);
    Block *block = tree_block(tree, pin->index + i);
    if (block != NULL) {
        memcpy(pin_data(pin, i), block_data(block), size);
    } else {
        data_clear(pin_data(pin, i), size);
    }
}

/* The same for all that differ; they are many, or the system does not know of them. */
static void pin_put_differing(Pin *pin, const Tree *tree)
{
    Node *leaf = NULL;
    size_t i;
    for (i = 0; i < pin->attached; i++) {
        if (i == 0 || (pin->index + i) % TREE_SLOTS == 0) {
            leaf = tree_leaf(tree, pin->index + i);
        }
        if (pin_differs(pin, i, leaf)) {
            pin_put(pin, i, tree);
        }
    }
}

/* The same for the dirty ones; returns whether many of them were different, by
 * a sample of them. */
static bool pin_put_dirty(Pin *pin, const Tree *tree)
{
    size_t i = 0, sampled = 0, different = 0;
    while ((i = pin_next_dirty(pin, i, pin->attached)) < pin->attached) {
        if (i % SAMPLE == 0) {
            sampled++;
            different += pin_differs(pin, i, tree_leaf(tree, pin->index + i));
        }
        pin_put(pin, i++, tree);
    }
    return different * CALM_PART >= sampled;
}

/* Sets the dirty bits of the blocks whose frozen copies are not those of a tree. */
static void pin_set_changed(Pin *pin, const Tree *tree)
{
    TreeRun run = {0, false, false, 0, 0, 0};
    size_t at = pin->index, last = pin_last(pin);
    run.last = last;
    while (tree_find_run(&pin->frozen, tree, at, &run)) {
        for (at = run.first; at < run.end; at++) {
            pin_set_dirty(pin, at - pin->index);
        }
        if (at > last) {
            break;
        }
    }
}

/* The pages of the first dirty block at *i or later and of those that follow it without a
 * gap; *i becomes the block behind them. False if there is none. */
static bool pin_next_dirty_pages(const Pin *pin, size_t *i, WrittenRange *pages)
{
    size_t first = pin_next_dirty(pin, *i, pin->attached), end = first;
    if (first == pin->attached) {
        return false;
    }
    pages->start = page_floor(pin_data(pin, first));
    do {
        pages->end = page_ceil(pin_data(pin, ++end));
        end = pin_next_dirty(pin, end, pin->attached);
    } while (end < pin->attached && page_floor(pin_data(pin, end)) <= pages->end);
    *i = end;
    return true;
}

/* Protects the pages of the dirty blocks, which were written to by this call alone: one
 * range after the other, or where there are many all in one scan. */
static void pin_protect_dirty(Pin *pin)
{
    PinScan all = pin_scan_all(pin, true, false);
    WrittenRange pages;
    size_t i = 0, ranges = 0;
    while (ranges <= PROTECT_MOST && pin_next_dirty_pages(pin, &i, &pages)) {
        ranges++;
    }
    if (ranges > PROTECT_MOST) {
        pin->watched = pin_scan(pin, &all, SIZE_MAX) ? pin->watched : 0;
        return;
    }
    for (i = 0; pin_next_dirty_pages(pin, &i, &pages);) {
        (void)written_protect(pages.start, (size_t)(pages.end - pages.start));
    }
}

/* Gives a pin the contents of a tree, which become its frozen copies. */
static void pin_restore(Pin *pin, const Tree *tree, Reservation *reservation)
{
    PinScan scan = pin_scan_all(pin, false, false);
    Tree old = pin->frozen;
    if (pin_is_watched(pin) && pin_scan(pin, &scan, SIZE_MAX)) {
        pin_set_changed(pin, tree);
        pin->open = pin_put_dirty(pin, tree) && pin_many_written(pin, &scan);
        pin->calm = false;
        if (!pin->open) {
            pin_protect_dirty(pin);
        }
    } else {
        pin_put_differing(pin, tree);
        pin_watch(pin);
    }
    memset(pin->dirty, 0, pin_size(pin->count) - offsetof(Pin, dirty));
    ptr_store_release(&pin->frozen.root, NULL);
    size_store_relaxed(&pin->frozen.height, tree_top(tree) + 1);
    tree_graft(&pin->frozen, tree, pin->index, pin_last(pin), reservation);
    tree_replace(&old, NULL, 1, reservation);
}

/* What it takes to keep the pins of a pool through a restore to a tree of that height. */
static size_t pins_measure_restore(MemoryPool *pool, const Pin *entered, unsigned height)
{
    return pins_measure_graft(entered, height) +
           pins_measure_paths(pool, entered, height);
}

/* Writes the contents of a pool's new tree to its pins, and puts their blocks, which are
 * in its old one, into the new one. */
static void pins_restore(MemoryPool *pool, Pin *entered, const Tree *old,
                         Reservation *reservation)
{
    Pin *pin;
    for (pin = entered; pin != NULL; pin = pin->entered) {
        if (pin->attached > 0) {
            pin_restore(pin, &pool->tree, reservation);
            tree_graft(&pool->tree, old, pin->index, pin_last(pin), reservation);
        }
    }
}
