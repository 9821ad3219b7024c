/* SPDX-License-Identifier: MIT */
/*
 * pins.c - blocks that stay at their address
 *
 * A PIN keeps a block in its one slot, so that writes change it in place. A pinned block
 * is never shared: its path from the root is private to its pool, a clone or a view gets
 * a copy, and a call that would replace the block writes into it instead. So the pin
 * needs no reference beside that of the slot. Only a pin whose block leaves the pool (the
 * pool ends, or is made smaller) takes a reference of its own.
 *
 * All pins of a block share one Pin. The block points to it, and it is in a list of its
 * pool. The arena's lock guards the list and the counts, because a pin may outlive its
 * pool. A pin is added only under the block's stripe. It may be removed at any time; the
 * block is then an ordinary one.
 *
 * Calls for a range find its pins through the tree (pins_find), calls for a whole pool
 * through the list.
 *
 * Memory order: releasing a pin may allow another thread to free the block and to reuse
 * its memory. So clearing the block's mark is the last access to the block, and counting
 * the pin down the last access to the pool. Both are release operations, and both are
 * read with acquire: a thread that sees no mark, or no pins, also sees all that was done
 * through the pin.
 */
#include "pool.h"

/* Returns how many blocks of a pool are pinned; exact under the arena's lock. While the
 * caller has locked the pool, the number can only shrink. */
static inline size_t pins_count(MemoryPool *pool)
{
    return size_load_acquire(&pool->pinned);
}

/* Detaches a pin from its pool and its block. Context: the caller holds the arena's
 * lock. */
static void pin_detach(Pin *pin)
{
    MemoryPool *pool = pin->pool;
    POOL_ASSERT(lock_is_held(&pool->family->arena.lock));
    *(pin->previous != NULL ? &pin->previous->next : &pool->pins) = pin->next;
    if (pin->next != NULL) {
        pin->next->previous = pin->previous;
    }
    pin->pool = NULL;
    ptr_store_release(&pin->block->as.pin, NULL);
    (void)size_sub_acq_rel(&pool->pinned, 1);
}

/* Adds a pin to a private block. spare becomes the block's Pin if it has none, else it is
 * freed. Context: the caller has locked the block. Locks: the arena. */
static Pin *pin_add(MemoryPool *pool, size_t index, Block *block, Pin *spare)
{
    Pin *pin;
    lock_acquire(&pool->family->arena.lock);
    pin = (Pin *)ptr_load_acquire(&block->as.pin);
    if (pin == NULL) {
        pin = spare;
        spare = NULL;
        pin->previous = NULL;
        pin->next = pool->pins;
        pin->pool = pool;
        pin->block = block;
        pin->index = index;
        pin->count = 0;
        if (pin->next != NULL) {
            pin->next->previous = pin;
        }
        pool->pins = pin;
        size_add_relaxed(&pool->pinned, 1);
        ptr_store_release(&block->as.pin, pin);
    }
    pin->count++;
    lock_release(&pool->family->arena.lock);
    platform_free(spare);
    return pin;
}

/* Removes a pin. After the last one of a block, the block is an ordinary one; if it has
 * left its pool, its reference is dropped. Locks: the arena. */
static void pin_remove(Pin *pin, Arena *arena, Reservation *reservation)
{
    lock_acquire(&arena->lock);
    if (--pin->count == 0) {
        if (pin->pool != NULL) {
            pin_detach(pin);
        } else {
            block_drop(pin->block, reservation);
        }
        platform_free(pin);
    }
    lock_release(&arena->lock);
}

/* ------------------------------------------- pins and the other parts of a pool */

/* Context of all these: the caller has locked the pool exclusively; those with _locked in
 * the name also need the arena's lock. */

/* Finds the first pinned block from first to last below a node of a level. There is none
 * below a shared node, so that the cost grows with the private blocks only. */
static bool node_find_pinned(Node *node, unsigned level, size_t first, size_t last,
                             size_t *found)
{
    if (node == NULL || node_is_shared(node)) {
        return false;
    }
    for (;;) {
        size_t end = checked_min(level_last(level, first), last);
        void *child = node_child(node, level, first);
        if (level > 0) {
            if (node_find_pinned((Node *)child, level - 1, first, end, found)) {
                return true;
            }
        } else if (child != NULL && block_is_pinned((Block *)child)) {
            *found = first;
            return true;
        }
        if (end == last) {
            return false;
        }
        first = end + 1;
    }
}

/* Finds the first pinned block in [first, end). Its pin may be released at any time,
 * unless the caller holds the arena's lock. */
static bool pins_find(MemoryPool *pool, size_t first, size_t end, size_t *found)
{
    return first < end && pins_count(pool) > 0 &&
           node_find_pinned(tree_root(&pool->tree), tree_top(&pool->tree), first, end - 1,
                            found);
}

/* Gives a pin a reference of its own, before the slot drops its reference. Context: the
 * caller holds the arena's lock. */
static void pin_retain(Pin *pin)
{
    size_add_relaxed(&pin->block->refs, 1);
}

/* Detaches the pins in [first, end) from their pool, before these blocks leave the tree.
 * The pins keep the blocks alive. Locks: the arena, if the pool has pins. */
static void pins_cut(MemoryPool *pool, size_t first, size_t end)
{
    size_t index;
    POOL_ASSERT(pool_lock_is_exclusive(&pool->locks));
    if (first >= end || pins_count(pool) == 0) {
        return;
    }
    lock_acquire(&pool->family->arena.lock);
    for (; pins_find(pool, first, end, &index); first = index + 1) {
        Block *block = tree_block(&pool->tree, index);
        Pin *pin = (Pin *)ptr_load_acquire(&block->as.pin);
        pin_retain(pin);
        pin_detach(pin);
    }
    lock_release(&pool->family->arena.lock);
}

/* Prepares the pins of a pool for the loss of its whole tree: each takes a reference to
 * its block, and those at or after end are detached from the pool. */
static void pins_retain_locked(MemoryPool *pool, size_t end)
{
    Pin *pin, *next;
    for (pin = pool->pins; pin != NULL; pin = next) {
        next = pin->next;
        pin_retain(pin);
        if (pin->index >= end) {
            pin_detach(pin);
        }
    }
}

/* Returns an upper bound of what pins_unshare_locked and pin_put_back_locked need in a
 * tree of that height. The paths to the pinned blocks have no more nodes than the family
 * has, beside those that make the tree higher. Locks: the arena. */
static inline Need pins_measure(MemoryPool *pool, unsigned height)
{
    Arena *arena = &pool->family->arena;
    Need need = {pins_count(pool), 0, 0, 0};
    if (need.blocks > 0) {
        lock_acquire(&arena->lock);
        need.nodes =
            checked_min(need.blocks * height, slab_items(&arena->nodes) + height);
        lock_release(&arena->lock);
    }
    return need;
}

/* Replaces the pinned blocks of a pool by copies, in a tree that has just got the pool's
 * root. */
static void pins_unshare_locked(MemoryPool *pool, Tree *tree, Reservation *reservation)
{
    Pin *pin;
    for (pin = pool->pins; pin != NULL; pin = pin->next) {
        Node *leaf = tree_unshare_leaf(tree, pin->index, reservation);
        Block *copy = reservation_take_block(reservation);
        memcpy(copy->data, pin->block->data, (size_t)1 << pool->block_shift);
        copy->from |= BLOCK_DIRTY;
        ptr_store_release(node_slot(leaf, 0, pin->index), copy);
        block_drop(pin->block, reservation);
    }
}

/* Puts a pinned block back into its slot after the pool's tree was replaced, together
 * with the pin's reference. Copies the slot's contents into the block before that. */
static void pin_put_back_locked(MemoryPool *pool, Pin *pin, Reservation *reservation)
{
    Node *leaf = tree_unshare_leaf(&pool->tree, pin->index, reservation);
    AtomicPtr *slot = node_slot(leaf, 0, pin->index);
    Block *now = (Block *)ptr_load_acquire(slot);
    size_t size = (size_t)1 << pool->block_shift;
    if (now != NULL) {
        memcpy(pin->block->data, block_data(now), size);
        block_drop(now, reservation);
    } else {
        memset(pin->block->data, 0, size);
        tree_count(&pool->tree, pin->index, 1);
    }
    ptr_store_release(slot, pin->block);
}
