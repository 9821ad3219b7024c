/* SPDX-License-Identifier: MIT */
/*
 * pins.c - blocks that stay where they are
 *
 * A PIN keeps a block in its one slot, so that writes go on in place. A pinned block is
 * never shared: its way from the root is private to its pool, a clone or a view gets a
 * copy, and whatever would put something else in its slot writes into it instead. So the
 * slot's reference is the pin's as well: only a pin whose block leaves the pool (it ends,
 * or is cut) takes a reference of its own. All pins of a block share one Pin, which the
 * block points to and which stands in a list of its pool. The list and the counts are
 * guarded by the arena's lock, because a pin may outlive its pool; a pin is added only
 * while the block's stripe is held, and dropped at any time, which turns the block into
 * an ordinary one.
 *
 * Calls for a range find its pins by the tree (pins_find), those for a whole pool by the
 * list.
 *
 * Memory order: a pin that is released may be the last that holds another thread from
 * dropping the block and using its memory again. So clearing the block's mark is the last
 * access to the block, and counting the pin off its pool the last to the pool; both
 * release, and acquire is how they are read. Whoever reads no mark, or no pins, thus
 * comes after all that was done by the pin, and through it.
 */
#include "pool.h"

/* How many blocks of a pool are pinned: no fewer than that, for who holds the pool, and
 * exact under the arena's lock. */
static inline size_t pins_count(MemoryPool *pool)
{
    return size_load_acquire(&pool->pinned);
}

/* Parts a pin from its pool. The caller has the arena's lock. */
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

/* Adds a pin to a block that is private; spare is used if it is the block's first, else
 * freed. The caller holds the stripe. Locks: the arena. */
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

/* Takes a pin off. With the last one of a block, the block is an ordinary one, or, if it
 * has no pool, is dropped. Locks: the arena. */
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

/* In all of these the caller holds the whole pool, and the arena's lock if so named. */

/* Finds the first pinned block from first to last below a node of a level. Below a shared
 * node there is none, so that this costs the blocks that are the pool's own. */
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

/* Finds the first pinned block in [first, end). Its pin may be released at once, unless
 * the caller has the arena's lock. */
static bool pins_find(MemoryPool *pool, size_t first, size_t end, size_t *found)
{
    return first < end && pins_count(pool) > 0 &&
           node_find_pinned(tree_root(&pool->tree), tree_top(&pool->tree), first, end - 1,
                            found);
}

/* Gives a pin a reference of its own, before that of the slot goes. The caller has the
 * arena's lock. */
static void pin_retain(Pin *pin)
{
    size_add_relaxed(&pin->block->refs, 1);
}

/* Cuts the pins in [first, end) off from their pool, before these blocks leave the tree:
 * their memory lives on without it. Locks: the arena, if the pool has pins. */
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

/* Before a pool drops its whole tree: each pin holds its block, and those at or after end
 * are cut off. The caller has the arena's lock. */
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

/* An upper bound of what it takes to unshare, or to put back, the pinned blocks of a pool
 * in a tree of that height. There are no more nodes on the ways to them than the family
 * has, but for those that make the tree higher. Locks: the arena. */
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

/* In a tree that has just been given the root of a pool: replaces the pinned blocks by
 * copies. The caller has the arena's lock. */
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

/* Puts a pinned block, with the reference of its pin, into its slot of a tree that is new
 * to it, and writes into it what is in that slot. The caller has the arena's lock. */
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
