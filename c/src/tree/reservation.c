/* SPDX-License-Identifier: MIT */
/*
 * reservation.c - blocks and nodes on their way between the arena and a tree
 *
 *     arena ──► blocks, nodes ──► tree       1. fill: allocate all that may be needed
 *       ▲                          │         2. change the tree, which cannot fail
 *       └──── unlinked, nodes ◄────┘         3. empty: free the rest, and what is unlinked
 *
 * A call that changes a tree fills a reservation first; if that fails, nothing has
 * changed. At the end it empties the reservation, unlocks, and then releases adopted
 * memory that was unlinked.
 */
#include "tree.h"

/* Adds a block that was unlinked. */
static void reservation_put_block(Reservation *reservation, Block *block)
{
    block->as.next = reservation->unlinked;
    reservation->unlinked = block;
}

/* Adds a node, for use in the same change or to be freed. */
static void reservation_put_node(Reservation *reservation, Node *node)
{
    ptr_store_release(&node->slot[0], reservation->nodes);
    reservation->nodes = node;
}

/* Takes a block with one reference out of the reservation. The caller must overwrite or
 * clear it if it is dirty. */
static Block *reservation_take_block(Reservation *reservation)
{
    Block *block = reservation->blocks;
    reservation->blocks = block->as.next;
    ptr_store_release(&block->as.pin, NULL);
    size_store_relaxed(&block->refs, 1);
    return block;
}

/* Takes a node with one reference out of the reservation. The caller must set its count
 * and its slots. */
static Node *reservation_take_raw_node(Reservation *reservation)
{
    Node *node = reservation->nodes;
    reservation->nodes = (Node *)ptr_load_acquire(&node->slot[0]);
    size_store_relaxed(&node->refs, 1);
    return node;
}

/* Takes an empty node with one reference out of the reservation. */
static Node *reservation_take_node(Reservation *reservation)
{
    Node *node = reservation_take_raw_node(reservation);
    memset((void *)node->slot, 0, sizeof node->slot);
    size_store_relaxed(&node->blocks, 0);
    return node;
}

/* Overwrites unlinked blocks with zeros if the family has POOL_WIPE. All blocks that held
 * a caller's bytes come here before they are reused, cached or released. */
static void reservation_wipe(const Reservation *reservation, const Arena *arena)
{
    Block *block;
    for (block = arena->wipes ? reservation->unlinked : NULL; block != NULL;
         block = block->as.next) {
        if (!block_is_adopted(block)) {
            if (arena->block_size >= RESERVATION_LONG) {
                interpreter_unlock();
            }
            memset(block->data, 0, arena->block_size);
            block->from &= ~(uintptr_t)BLOCK_DIRTY;
        }
    }
}

/* Frees everything in the reservation, except adoptions to be released. Context: the
 * caller holds the arena's lock. */
static void reservation_free(Reservation *reservation, Arena *arena)
{
    arena->held += reservation->replacements * arena->block_size;
    reservation->replacements = 0;
    while (reservation->nodes != NULL) {
        Node *node = reservation->nodes;
        reservation->nodes = (Node *)ptr_load_acquire(&node->slot[0]);
        slab_free(&arena->nodes, node);
    }
    if (size_load_relaxed(&interpreter.traces) != 0) {
        trace_list(&reservation->trace, reservation->blocks, 0);
        trace_list(&reservation->trace, reservation->unlinked, 0);
    }
    arena_free(arena, reservation->blocks, &reservation->released);
    arena_free(arena, reservation->unlinked, &reservation->released);
    reservation->blocks = reservation->unlinked = NULL;
}

/* The same, after a wipe if the family has POOL_WIPE. Locks: the arena. */
static void reservation_empty(Reservation *reservation, Arena *arena)
{
    if (reservation->nodes == NULL && reservation->blocks == NULL &&
        reservation->unlinked == NULL) {
        POOL_ASSERT(reservation->replacements == 0);
        return;
    }
    reservation_wipe(reservation, arena);
    lock_acquire(&arena->lock);
    reservation_free(reservation, arena);
    lock_release(&arena->lock);
}

/* Returns an upper bound of the bytes that a change makes resident, with its bookkeeping;
 * for blocks smaller than ITEM_MIN an estimate. */
static size_t need_bytes(const Need *need, const Arena *arena)
{
    size_t copies = checked_times(need->blocks - need->holes, arena->item_size);
    size_t holes = checked_times(need->holes, arena->item_size);
    size_t written =
        checked_plus(need->written, checked_times(need->holes, REQUEST_PAGE));
    size_t headers = checked_plus(checked_times(need->blocks, sizeof(Block)),
                                  checked_times(need->nodes, sizeof(Node)));
    if (arena->block_size >= ITEM_MIN) {
        holes = checked_min(holes, written);
    }
    return checked_plus(checked_plus(copies, holes), headers);
}

/* The most bytes that a run makes resident. */
static size_t run_bytes(const ReservationRun *run, const Arena *arena)
{
    return checked_plus(checked_times(run->copied, arena->block_size),
                        checked_times(run->blocks, sizeof(Block)));
}

/* Allocates the nodes that are needed. Context: the caller holds the arena's lock. */
static PoolStatus reservation_fill_nodes(Reservation *reservation, Arena *arena,
                                         size_t nodes)
{
    for (; nodes > 0; nodes--) {
        Node *node = (Node *)slab_alloc(&arena->nodes);
        if (node == NULL) {
            return POOL_NO_MEMORY;
        }
        reservation_put_node(reservation, node);
    }
    return POOL_OK;
}

/* Allocates a run, which may be none; last of all, because it cannot be put back. */
static PoolStatus reservation_fill_run_blocks(Reservation *reservation, Arena *arena,
                                              const ReservationRun *run)
{
    PoolStatus status = POOL_OK;
    if (run->blocks > 0) {
        status =
            arena_alloc_run(arena, run->blocks, run->replacements, &reservation->run);
    }
    if (status == POOL_OK) {
        reservation->replacements = run->replacements;
    }
    return status;
}

/* Allocates what is needed into an empty reservation. Returns POOL_NO_MEMORY or
 * POOL_LIMIT and leaves the reservation empty if that fails. Locks: the arena. */
static NOT_INLINE PoolStatus reservation_fill_some(Reservation *reservation, Arena *arena,
                                                   const Need *need,
                                                   const ReservationRun *run)
{
    PoolStatus status;
    size_t peak, mapped, blocks = checked_plus(need->blocks, run->blocks);
    bool possible;
    if (blocks > (RESERVATION_LONG - 1) / arena->block_size) {
        interpreter_unlock();
    }
    possible = blocks <= arena->few ||
               arena_can_commit(
                   arena, checked_plus(need_bytes(need, arena), run_bytes(run, arena)));
    lock_acquire(&arena->lock);
    peak = arena->peak;
    mapped = arena->mapped;
    status = possible || !arena_within_limit(
                             arena,
                             checked_plus(need->blocks, run->blocks - run->replacements))
                 ? arena_alloc(arena, need->blocks, &reservation->blocks)
                 : POOL_NO_MEMORY;
    if (status == POOL_OK) {
        status = reservation_fill_nodes(reservation, arena, need->nodes);
    }
    if (status == POOL_OK) {
        status = reservation_fill_run_blocks(reservation, arena, run);
    }
    if (status != POOL_OK) {
        reservation_free(reservation, arena);
        arena_undo(arena, mapped);
        arena->peak = peak; /* the blocks were never in use */
    } else if (size_load_relaxed(&interpreter.traces) != 0) {
        trace_list(&reservation->trace, reservation->blocks, arena->block_size);
        trace_run(&reservation->trace, reservation->run, run->blocks, arena->block_size);
    }
    lock_release(&arena->lock);
    return status;
}

/* The same; does nothing if nothing is needed. */
static inline PoolStatus reservation_fill(Reservation *reservation, Arena *arena,
                                          Need need)
{
    static const ReservationRun none = {0, 0, 0};
    return need.blocks == 0 && need.nodes == 0
               ? POOL_OK
               : reservation_fill_some(reservation, arena, &need, &none);
}

/* The same with a run of blocks that follow each other. */
static PoolStatus reservation_fill_run(Reservation *reservation, Arena *arena, Need need,
                                       ReservationRun run)
{
    return reservation_fill_some(reservation, arena, &need, &run);
}

/* Makes the pages of fresh blocks resident that will be written to in full, where enough
 * of them are adjacent: a fault for each page costs more than the write itself. edges:
 * whether the first and the last block are written to in full as well. */
static void reservation_populate(const Reservation *reservation, size_t block_size,
                                 bool edges)
{
    const Block *block = reservation->blocks;
    if (block != NULL && !edges) {
        block = block->as.next;
    }
    while (block != NULL) {
        unsigned char *start = block->data;
        size_t size = 0;
        while (block != NULL && block->data == start + size && !block_is_dirty(block) &&
               (edges || block->as.next != NULL)) {
            size += block_size;
            block = block->as.next;
        }
        if (size >= POPULATE_MIN) {
            platform_populate(start, size);
        }
        if (size == 0) {
            block = block->as.next;
        }
    }
}

/* Calls the release functions of adopted memory that is no longer used, and the memory
 * profiler. The former are the caller's functions, which may take long and may call this
 * library. Context: the caller holds no lock. */
static void reservation_release_adopted(Reservation *reservation)
{
    trace_report(&reservation->trace);
    if (reservation->released != NULL) {
        interpreter_unlock();
    }
    while (reservation->released != NULL) {
        Adoption *adoption = reservation->released;
        reservation->released = adoption->next;
        if (adoption->release != NULL) {
            adoption->release(adoption->data, adoption->size, adoption->context);
        }
        platform_free(adoption);
    }
}
