/* SPDX-License-Identifier: MIT */
/*
 * reservation.c - blocks and nodes on their way between the arena and a tree
 *
 * A call that changes a tree first takes into its reservation all that it may need; if
 * that fails it has changed nothing. Then it edits the tree, which cannot fail: it takes
 * from the reservation and puts into it what falls out of the tree. At the end it empties
 * the reservation, lets go of its locks, and releases adopted memory that fell out.
 */
#include "tree.h"

static void reservation_put_block(Reservation *reservation, Block *block)
{
    block->as.next = reservation->unlinked;
    reservation->unlinked = block;
}

static void reservation_put_node(Reservation *reservation, Node *node)
{
    ptr_store_release(&node->slot[0], reservation->nodes);
    reservation->nodes = node;
}

/* A block with one reference, to be filled in by the caller as far as it is dirty. */
static Block *reservation_take_block(Reservation *reservation)
{
    Block *block = reservation->blocks;
    reservation->blocks = block->as.next;
    ptr_store_release(&block->as.pin, NULL);
    size_store_relaxed(&block->refs, 1);
    return block;
}

/* A node with one reference, to be filled in by the caller. */
static Node *reservation_take_raw_node(Reservation *reservation)
{
    Node *node = reservation->nodes;
    reservation->nodes = (Node *)ptr_load_acquire(&node->slot[0]);
    size_store_relaxed(&node->refs, 1);
    return node;
}

/* An empty node with one reference. */
static Node *reservation_take_node(Reservation *reservation)
{
    Node *node = reservation_take_raw_node(reservation);
    memset((void *)node->slot, 0, sizeof node->slot);
    size_store_relaxed(&node->blocks, 0);
    return node;
}

/* So many bytes of blocks take longer to be copied, cleared or wiped than the threads of
 * an interpreter should stand still for. */
enum { RESERVATION_LONG = 1 << 20 };

/* Zeros what was dropped, in a family that wants it (POOL_WIPE). All memory of the
 * library's that anybody's bytes were in passes here before it is used again, kept or
 * given back. */
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

/* Gives everything in the reservation back, but for adoptions to be released. The caller
 * has the arena's lock. */
static void reservation_free(Reservation *reservation, Arena *arena)
{
    while (reservation->nodes != NULL) {
        Node *node = reservation->nodes;
        reservation->nodes = (Node *)ptr_load_acquire(&node->slot[0]);
        slab_free(&arena->nodes, node);
    }
    arena_free(arena, reservation->blocks, &reservation->released);
    arena_free(arena, reservation->unlinked, &reservation->released);
    reservation->blocks = reservation->unlinked = NULL;
}

/* The same, wiped if that is wanted. Locks: the arena. */
static void reservation_empty(Reservation *reservation, Arena *arena)
{
    if (reservation->nodes == NULL && reservation->blocks == NULL &&
        reservation->unlinked == NULL) {
        return;
    }
    reservation_wipe(reservation, arena);
    lock_acquire(&arena->lock);
    reservation_free(reservation, arena);
    lock_release(&arena->lock);
}

/* The most bytes that a call makes resident, its bookkeeping included; for blocks that
 * are smaller than an item nearly. */
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

/* Fills an empty reservation with what is needed, or fails and leaves it empty. Locks:
 * the arena. */
static NOT_INLINE PoolStatus reservation_fill_some(Reservation *reservation, Arena *arena,
                                                   const Need *need)
{
    PoolStatus status;
    size_t peak, mapped;
    bool possible;
    size_t nodes = need->nodes;
    if (need->blocks > (RESERVATION_LONG - 1) / arena->block_size) {
        interpreter_unlock();
    }
    possible =
        need->blocks <= arena->few || arena_can_commit(arena, need_bytes(need, arena));
    lock_acquire(&arena->lock);
    peak = arena->peak;
    mapped = arena->mapped;
    status = possible || !arena_within_limit(arena, need->blocks)
                 ? arena_alloc(arena, need->blocks, &reservation->blocks)
                 : POOL_NO_MEMORY;
    for (; status == POOL_OK && nodes > 0; nodes--) {
        Node *node = (Node *)slab_alloc(&arena->nodes);
        if (node == NULL) {
            status = POOL_NO_MEMORY;
        } else {
            reservation_put_node(reservation, node);
        }
    }
    if (status != POOL_OK) {
        reservation_free(reservation, arena);
        arena_undo(arena, mapped);
        arena->peak = peak; /* nobody ever had the blocks */
    }
    lock_release(&arena->lock);
    return status;
}

/* The same, of what may be nothing. */
static inline PoolStatus reservation_fill(Reservation *reservation, Arena *arena,
                                          Need need)
{
    return need.blocks == 0 && need.nodes == 0
               ? POOL_OK
               : reservation_fill_some(reservation, arena, &need);
}

/* Has the pages of fresh blocks made resident before they are written to from end to end,
 * where they lie side by side and are many: a fault for each page costs more than all the
 * rest of writing to it. edges: the first and the last are written to in full as well. */
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

/* Releases the adopted memory that nobody uses any more: calls that are not ours, which
 * may take their time and may call the library. So nothing may be held. */
static void reservation_release_adopted(Reservation *reservation)
{
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
