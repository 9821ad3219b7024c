/* SPDX-License-Identifier: MIT */
/*
 * copy.c - copying within a pool and between pools
 *
 * The source is a sequence of runs of data with holes between them. Holes become holes.
 * Whole blocks of data are shared if the pools are relatives and the offsets differ by
 * whole blocks; the rest is copied piece by piece. Source and target may overlap: runs
 * and pieces are copied in ascending or descending order, as in memmove, and holes are
 * made after all data was read.
 */
#include "pool.h"

typedef struct Run {
    size_t start, size; /* in the source */
} Run;

typedef struct Copy {
    MemoryPool *dst, *src;
    size_t dst_offset, src_offset, size;
    bool shares;     /* whole blocks can be shared            */
    bool descending; /* the end must be copied first          */
    Run *runs;       /* in ascending order                    */
    size_t count, room;
} Copy;

/* Returns the offset in the target of an offset in the source. */
static size_t copy_target(const Copy *copy, size_t src_offset)
{
    return src_offset - copy->src_offset + copy->dst_offset;
}

/* Adds a run to the list; false if there is no memory. */
static bool copy_add_run(Copy *copy, size_t start, size_t size)
{
    if (copy->count == copy->room) {
        size_t room = copy->room == 0 ? 16 : copy->room * 2;
        Run *runs = (Run *)memory_alloc(room * sizeof *runs);
        if (runs == NULL) {
            return false;
        }
        if (copy->count > 0) {
            memcpy(runs, copy->runs, copy->count * sizeof *runs);
        }
        platform_free(copy->runs);
        copy->runs = runs;
        copy->room = room;
    }
    copy->runs[copy->count].start = start;
    copy->runs[copy->count].size = size;
    copy->count++;
    return true;
}

/* Lists the runs of data in the source. */
static PoolStatus copy_find_runs(Copy *copy)
{
    size_t at = copy->src_offset, end = at + copy->size;
    size_t start, size;
    while (walk_find(copy->src, NULL, end, at, &start, &size, NULL)) {
        if (!copy_add_run(copy, start, size)) {
            return POOL_NO_MEMORY;
        }
        at = start + size;
    }
    return POOL_OK;
}

/* Returns the hole before a run, or after the last one if number is count; of size 0 if
 * there is none. */
static Run copy_hole(const Copy *copy, size_t number)
{
    const Run *runs = copy->runs;
    Run hole;
    hole.start =
        number == 0 ? copy->src_offset : runs[number - 1].start + runs[number - 1].size;
    hole.size =
        (number == copy->count ? copy->src_offset + copy->size : runs[number].start) -
        hole.start;
    return hole;
}

/* ------------------------------------------------------------------ measuring */

/* Whether the source range covers the whole block that begins at src_offset. */
static bool copy_covers(const Copy *copy, size_t src_offset)
{
    return src_offset >= copy->src_offset &&
           checked_fits(copy->size, src_offset - copy->src_offset,
                        (size_t)1 << copy->dst->block_shift);
}

/* Whether a write to a block of the target needs a new block: because it is a hole, or
 * shared, or will be shared, as a source of this same copy. A pinned source is not: its
 * pin was entered, so that it stays, and its frozen copy is shared instead. */
static bool copy_takes_block(const Copy *copy, size_t index)
{
    Block *block = tree_block(&copy->dst->tree, index);
    bool is_source = copy->shares && copy->dst == copy->src &&
                     copy_covers(copy, index << copy->dst->block_shift);
    return (is_source && block != NULL && !block_is_pinned(block)) ||
           tree_measure(&copy->dst->tree, index, index).blocks > 0;
}

/* Returns how many new blocks a run needs for the blocks first to last of the target. If
 * blocks are shared, only the ends need some, where the run covers them in part. */
static size_t copy_run_blocks(const Copy *copy, const Run *run, size_t first, size_t last)
{
    size_t inside = ((size_t)1 << copy->dst->block_shift) - 1;
    size_t start = copy_target(copy, run->start);
    bool head = (start & inside) != 0;
    bool tail = ((start + run->size) & inside) != 0 && (first != last || !head);
    if (!copy->shares) {
        return tree_measure(&copy->dst->tree, first, last).blocks;
    }
    return (size_t)(head && copy_takes_block(copy, first)) +
           (size_t)(tail && copy_takes_block(copy, last));
}

/* The pinned blocks of the source that can be shared, among those from first on, as far
 * as one pin has them: their pin and the last of them; NULL if there is none. */
static Pin *copy_next_pin(const Copy *copy, size_t *first, size_t *last)
{
    MemoryPool *src = copy->src;
    size_t inside = ((size_t)1 << src->block_shift) - 1;
    size_t begin = pool_index(src, copy->src_offset) + ((copy->src_offset & inside) != 0);
    size_t end = pool_index(src, copy->src_offset + (copy->size - 1));
    end += copy_covers(copy, end << src->block_shift);
    *first = checked_max(*first, begin);
    if (!copy->shares || !pins_find(src, *first, end, first)) {
        return NULL;
    }
    *last = checked_min(pin_last(block_pin(tree_block(&src->tree, *first))) + 1, end) - 1;
    return block_pin(tree_block(&src->tree, *first));
}

/* Adds what it takes to share the frozen copies of the pinned blocks of the source:
 * copies that are not up to date, and blocks for what is zeros, of which there is no
 * copy. */
static void copy_measure_pins(const Copy *copy, Need *need)
{
    size_t at = 0, last;
    Pin *pin;
    for (; (pin = copy_next_pin(copy, &at, &last)) != NULL; at = last + 1) {
        Need one;
        pin_collect_range(pin, at, last);
        one = pin_measure_range(pin, at, last);
        need->blocks += one.blocks;
        need->nodes += one.nodes;
        for (; at <= last; at++) {
            if (pin_is_zero(pin, at)) {
                size_t start = copy_target(copy, at << copy->src->block_shift);
                need->blocks += copy_takes_block(copy, pool_index(copy->dst, start));
            }
        }
    }
}

/* Brings these frozen copies up to date. */
static void copy_freeze_pins(const Copy *copy, Reservation *reservation)
{
    size_t at = 0, last;
    Pin *pin;
    for (; (pin = copy_next_pin(copy, &at, &last)) != NULL; at = last + 1) {
        pin_freeze_range(pin, at, last, reservation);
    }
}

/* Adds what the discard of a hole needs: blocks for its ends, where they are shared and
 * must stay, and nodes for the paths to both ends, where these are shared. What is
 * between the ends needs nothing. Blocks that the run before or after the hole touches
 * are counted with that run. For last_done see tree_measure_next. */
static void copy_measure_hole(const Copy *copy, size_t number, Need *need,
                              size_t *last_done)
{
    const MemoryPool *dst = copy->dst;
    Run hole = copy_hole(copy, number);
    size_t offset = copy_target(copy, hole.start);
    size_t ends[2];
    Discard discard;
    unsigned i;
    if (hole.size == 0) {
        return;
    }
    ends[0] = pool_index(dst, offset);
    ends[1] = pool_index(dst, offset + (hole.size - 1));
    for (i = 0; i < 2; i++) {
        if (tree_path_is_shared(&dst->tree, ends[i])) {
            need->nodes +=
                tree_measure_next(&dst->tree, ends[i], ends[i], last_done).nodes;
        }
    }
    discard = discard_plan(dst, offset, hole.size);
    for (i = 0; i < discard.count; i++) {
        size_t index = discard.pieces[i].index;
        bool before = number > 0 && index == pool_index(dst, offset - 1);
        bool after = number < copy->count && index == pool_index(dst, offset + hole.size);
        need->blocks += !before && !after && copy_takes_block(copy, index);
    }
}

/* Returns how many of the two blocks at the ends of the target are no holes. */
static size_t copy_ends(const Copy *copy)
{
    const MemoryPool *dst = copy->dst;
    size_t first = pool_index(dst, copy->dst_offset);
    size_t last = pool_index(dst, copy->dst_offset + (copy->size - 1));
    return (size_t)(tree_block(&dst->tree, first) != NULL) +
           (size_t)(last != first && tree_block(&dst->tree, last) != NULL);
}

/* Returns an upper bound of what the whole copy needs. */
static Need copy_measure(const Copy *copy)
{
    const MemoryPool *dst = copy->dst;
    Need need = {0, 0, 0, 0};
    size_t i, next = 0, done = SIZE_MAX;
    for (i = 0; i < copy->count; i++) {
        const Run *run = &copy->runs[i];
        size_t first = pool_index(dst, copy_target(copy, run->start));
        size_t last = pool_index(dst, copy_target(copy, run->start + (run->size - 1)));
        copy_measure_hole(copy, i, &need, &done);
        first = checked_max(first, next); /* the run before may end in the same block */
        if (first <= last) {
            need.nodes += tree_measure_next(&dst->tree, first, last, &done).nodes;
            need.blocks += copy_run_blocks(copy, run, first, last);
            next = last + 1;
        }
    }
    copy_measure_hole(copy, copy->count, &need, &done);
    copy_measure_pins(copy, &need);
    /* New blocks are written to in full, except those at the ends that replace holes. */
    need.holes = need.blocks - checked_min(need.blocks, copy_ends(copy));
    need.written = copy->size;
    return need;
}

/* -------------------------------------------------------------------- applying */

/* Copies or shares bytes that lie in one block of the source and one of the target. */
static void copy_piece(const Copy *copy, size_t src_offset, size_t size,
                       Reservation *reservation)
{
    MemoryPool *dst = copy->dst;
    Piece from = piece_at(copy->src, src_offset, size);
    Piece to = piece_at(dst, copy_target(copy, src_offset), size);
    Block *block = tree_block(&copy->src->tree, from.index), *frozen = NULL;
    const Tree *shared = &copy->src->tree;
    Node *leaf = tree_unshare_leaf(&dst->tree, to.index, reservation);
    AtomicPtr *slot = node_slot(leaf, 0, to.index);
    Block *old = slot_block(slot);
    size_t added;
    if (copy->shares) { /* else the pins are not entered, and may end meanwhile */
        shared = block_is_pinned(block) ? &block_pin(block)->frozen : shared;
        frozen = tree_block(shared, from.index);
    }
    if (frozen != NULL && to.size == (size_t)1 << dst->block_shift &&
        (old == NULL || !block_is_pinned(old))) {
        added = old == NULL;
        if (old != frozen) {
            slot_set(slot, slot_share(tree_slot(shared, from.index)));
            if (old != NULL) {
                block_drop(old, reservation);
            }
        }
    } else {
        added = slot_put(dst, slot, to, block_data(block) + from.start, 0, reservation);
    }
    if (added > 0) {
        tree_count(&dst->tree, to.index, added);
    }
}

/* Returns the size of the piece of a range that is to be copied first. */
static size_t copy_piece_size(const Copy *copy, size_t start, size_t size)
{
    if (!copy->descending) {
        size_t in_src = piece_at(copy->src, start, size).size;
        return piece_at(copy->dst, copy_target(copy, start), in_src).size;
    } else {
        size_t last = start + (size - 1);
        size_t in_src = piece_at(copy->src, last, 1).start + 1;
        size_t in_dst = piece_at(copy->dst, copy_target(copy, last), 1).start + 1;
        return checked_min(size, checked_min(in_src, in_dst));
    }
}

static void copy_run(const Copy *copy, Run run, Reservation *reservation)
{
    while (run.size > 0) {
        size_t size = copy_piece_size(copy, run.start, run.size);
        if (copy->descending) {
            copy_piece(copy, run.start + (run.size - size), size, reservation);
        } else {
            copy_piece(copy, run.start, size, reservation);
            run.start += size;
        }
        run.size -= size;
    }
}

static void copy_apply(const Copy *copy, Reservation *reservation)
{
    size_t i;
    copy_freeze_pins(copy, reservation);
    for (i = 0; i < copy->count; i++) {
        copy_run(copy, copy->runs[copy->descending ? copy->count - 1 - i : i],
                 reservation);
    }
    for (i = 0; i <= copy->count; i++) {
        Run hole = copy_hole(copy, i);
        if (hole.size > 0) {
            Discard discard =
                discard_plan(copy->dst, copy_target(copy, hole.start), hole.size);
            discard_apply(copy->dst, &discard, reservation);
        }
    }
}

/* Copies between two pools, or in one. Context: the caller has locked both exclusively.
 * Locks: the arena of dst. */
static PoolStatus copy_locked(Copy *copy, Reservation *reservation)
{
    size_t inside = ((size_t)1 << copy->dst->block_shift) - 1;
    Pin *pins = NULL;
    PoolStatus status;
    copy->shares = copy->dst->family == copy->src->family &&
                   ((copy->dst_offset - copy->src_offset) & inside) == 0;
    copy->descending = copy->dst == copy->src && copy->dst_offset > copy->src_offset;
    if (copy->shares) {
        pins = pins_enter(copy->src, pool_index(copy->src, copy->src_offset),
                          pool_index(copy->src, copy->src_offset + (copy->size - 1)) + 1);
    }
    status = copy_find_runs(copy);
    if (status == POOL_OK) {
        status =
            reservation_fill(reservation, &copy->dst->family->arena, copy_measure(copy));
    }
    if (status == POOL_OK) {
        copy_apply(copy, reservation);
    }
    pins_leave(&copy->src->family->arena, pins, reservation);
    reservation_empty(reservation, &copy->dst->family->arena);
    platform_free(copy->runs);
    return status;
}

/* Locks: both pools exclusively; inside them the arena of dst. */
static PoolStatus pool_try_copy(MemoryPool *dst, size_t dst_offset, MemoryPool *src,
                                size_t src_offset, size_t size)
{
    Copy copy = {0};
    Reservation reservation = {0};
    PoolStatus status;
    copy.dst = dst;
    copy.src = src;
    copy.dst_offset = dst_offset;
    copy.src_offset = src_offset;
    copy.size = size;
    pools_lock(dst, src);
    status = pool_check(dst, dst_offset, size);
    if (status == POOL_OK) {
        status = pool_check(src, src_offset, size);
    }
    if (status == POOL_OK && size > 0 && (dst != src || dst_offset != src_offset)) {
        status = copy_locked(&copy, &reservation);
    }
    pools_unlock(dst, src);
    reservation_release_adopted(&reservation);
    return status;
}

PoolStatus pool_copy(MemoryPool *dst, size_t dst_offset, MemoryPool *src,
                     size_t src_offset, size_t size)
{
    HANDLE_CHECK(dst);
    HANDLE_CHECK(src);
    PoolStatus status = POOL_INVALID;
    bool asked = false;
    if (dst != NULL && src != NULL) {
        do {
            status = pool_try_copy(dst, dst_offset, src, src_offset, size);
        } while (limit_asks(dst, status, &asked));
    }
    return status_set(status);
}
