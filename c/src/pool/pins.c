/* SPDX-License-Identifier: MIT */
/*
 * pins.c - blocks that stay where they are
 *
 *     pool's tree    | slot | slot | slot | slot |  ...
 *                       │      │      │      │
 *     pin ──► blocks | block| block| block| block|       descriptors that follow each other
 *                       │      │      │      │
 *             data   |======|======|======|======|       memory that follows each other
 *
 * A PIN keeps blocks that lie side by side in their slots, so that writes go on in place.
 * A pinned block is never shared: its path from the root is private to its pool, a clone
 * or a view gets its frozen copy (freeze.c), and whatever would put something else in its
 * slot writes into it instead. So the slot's reference is the pin's as well: only when a
 * block leaves the pool (which ends, or is cut) does the pin take a reference of its own.
 * All pins of a block share one Pin, to which each of its blocks points, and which stands
 * in a list of its pool. The list, the counts and the pointers are guarded by the arena's
 * lock, because a pin may outlive its pool; a block is pinned only while it is locked,
 * and unpinned at any time, which turns it into an ordinary one.
 *
 * A call that works on the pins of a pool, which it has locked as a whole, is a user of
 * each of them from pins_enter to pins_leave. So none of them ends meanwhile, and what is
 * beyond the list and the counts (freeze.c) is its own.
 *
 * Calls for a range find its pins by the tree (pins_find), those for a whole pool by the
 * list.
 *
 * Memory order: a pin that is released may be the last that keeps another thread from
 * unlinking the block and using its memory again. So clearing the block's pointer is the
 * last access to the block, and subtracting from the pool's count the last to the pool;
 * both release, and acquire is how they are read. Whoever reads no pointer, or no pins,
 * thus comes after all that was done by the pin, and through it.
 */
#include "pool.h"

/* How many blocks of a pool are pinned: no fewer than that, for who has locked the pool,
 * and exact under the arena's lock. */
static inline size_t pins_count(MemoryPool *pool)
{
    return size_load_acquire(&pool->pinned);
}

/* Bytes of a Pin of so many blocks. */
static size_t pin_size(size_t count)
{
    return sizeof(Pin) + (count - 1) / 64 * sizeof(uint64_t);
}

/* Whether a block (NULL: a hole) is the n-th after another one, and so is its data.
 * Blocks of fewer than ITEM_MIN bytes lie apart in chunks that are no runs. */
static bool block_follows(const MemoryPool *pool, const Block *first, const Block *block,
                          size_t n)
{
    return block == first + n && block->data == first->data + (n << pool->block_shift);
}

/* The pin of a block, or NULL. It may end at once, unless the caller has the arena's lock
 * or is its user. */
static inline Pin *block_pin(Block *block)
{
    return (Pin *)hidden_pointer((HiddenPtr)ptr_load_acquire(&block->as.pin));
}

/* Poisons what a pin has behind the last byte of its pool, which lies in the last block;
 * or lifts that. The caller has the arena's lock, or is a user of the pin. */
static void pin_poison_end(const Pin *pin)
{
    size_t i = pin->attached - 1, size = pin_bytes(pin, i);
    poison_set(pin_data(pin, i) + size, ((size_t)1 << pin_shift(pin)) - size);
}

static void pin_lift_end(const Pin *pin)
{
    if (pin->attached > 0) {
        poison_lift(pin_data(pin, pin->attached - 1), (size_t)1 << pin_shift(pin));
    }
}

/* Makes a Pin, zeroed, the pin of blocks that are in the pool, are private and follow
 * each other. The caller has locked them, and has the arena's lock. */
static void pin_attach_locked(Pin *pin, MemoryPool *pool, size_t index, Block *blocks,
                              size_t count)
{
    size_t i;
    POOL_ASSERT(lock_is_held(&pool->family->arena.lock));
    pin->next = pool->pins;
    if (pin->next != NULL) {
        pin->next->previous = pin;
    }
    pool->pins = pin;
    pin->pool = pool;
    pin->blocks = blocks;
    pin->index = index;
    pin->count = pin->attached = count;
    size_store_relaxed(&pin->frozen.height, tree_top(&pool->tree) + 1);
    size_add_relaxed(&pool->pinned, count);
    for (i = 0; i < count; i++) {
        pin_set_dirty(pin, i);
        block_forget_digest(&blocks[i]);
        ptr_store_release(&blocks[i].as.pin, (void *)hidden_from(pin));
    }
}

/* Parts a pin from those of its pool's blocks that come after the first so many. The
 * caller holds the arena's lock, and must add the references to these blocks. */
static void pin_detach_locked(Pin *pin, size_t stays)
{
    MemoryPool *pool = pin->pool;
    size_t i, gone = pin->attached - stays;
    POOL_ASSERT(lock_is_held(&pool->family->arena.lock));
    pin_lift_end(pin);
    if (stays == 0) {
        *(pin->previous != NULL ? &pin->previous->next : &pool->pins) = pin->next;
        if (pin->next != NULL) {
            pin->next->previous = pin->previous;
        }
        pin_unwatch(pin);
        pin->pool = NULL;
    }
    pin->attached = stays;
    for (i = 0; i < gone; i++) {
        ptr_store_release(&pin->blocks[stays + i].as.pin, NULL);
    }
    (void)size_sub_acq_rel(&pool->pinned, gone);
}

/* Adds a pin to one block that is private, or a user to the pin that it has; spare is
 * used if it has none, else freed. The caller has locked the block. Locks: the arena. */
static Pin *pin_add(MemoryPool *pool, size_t index, Block *block, Pin *spare)
{
    Pin *pin;
    lock_acquire(&pool->family->arena.lock);
    pin = block_pin(block);
    if (pin == NULL) {
        pin = spare;
        spare = NULL;
        pin_attach_locked(pin, pool, index, block, 1);
    }
    pin->users++;
    lock_release(&pool->family->arena.lock);
    platform_free(spare);
    return pin;
}

/* Takes a user off; the last one ends the pin: its blocks become ordinary ones, and those
 * that no pool has are unlinked. The caller has the arena's lock. */
static void pin_release_locked(Pin *pin, Reservation *reservation)
{
    size_t i, first = pin->attached;
    if (--pin->users > 0) {
        return;
    }
    if (pin->pool != NULL) {
        pin_detach_locked(pin, 0);
    }
    for (i = first; i < pin->count; i++) {
        block_drop(&pin->blocks[i], reservation);
    }
    tree_replace(&pin->frozen, NULL, 1, reservation);
    platform_free(pin);
}

/* The same. Locks: the arena. */
static void pin_release(Pin *pin, Arena *arena, Reservation *reservation)
{
    lock_acquire(&arena->lock);
    pin_release_locked(pin, reservation);
    lock_release(&arena->lock);
}

/* ------------------------------------------- pins and the other parts of a pool */

/* In all of these the caller has locked the whole pool. */

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
        } else if (child != NULL && block_is_pinned(word_block((Word)child))) {
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
 * the caller has the arena's lock or is its user. */
static bool pins_find(MemoryPool *pool, size_t first, size_t end, size_t *found)
{
    return first < end && pins_count(pool) > 0 &&
           node_find_pinned(tree_root(&pool->tree), tree_top(&pool->tree), first, end - 1,
                            found);
}

/* Makes the call a user of a pin. The caller has the arena's lock. */
static void pin_enter_locked(Pin *pin, Pin **entered)
{
    pin->users++;
    pin->entered = *entered;
    *entered = pin;
}

/* The same with the pin of a block, which is returned; NULL if it has none any more.
 * Locks: the arena. */
static Pin *pin_enter(MemoryPool *pool, Block *block, Pin **entered)
{
    Pin *pin;
    POOL_ASSERT(pool_lock_is_exclusive(&pool->locks));
    lock_acquire(&pool->family->arena.lock);
    pin = block_pin(block);
    if (pin != NULL) {
        pin_enter_locked(pin, entered);
    }
    lock_release(&pool->family->arena.lock);
    return pin;
}

/* The same with the pins of all blocks in [first, end), which are returned as a list;
 * NULL if there are none. SIZE_MAX: up to the pool's end. What a call does with many may
 * take longer than the threads of an interpreter should wait. Locks: the arena, if the
 * pool has pins. */
static Pin *pins_enter(MemoryPool *pool, size_t first, size_t end)
{
    bool all = first == 0 && end == SIZE_MAX;
    Pin *pin, *entered = NULL;
    POOL_ASSERT(pool_lock_is_exclusive(&pool->locks));
    if (pins_count(pool) == 0) {
        return NULL;
    }
    if (pins_count(pool) > (size_t)(RESERVATION_LONG - 1) >> pool->block_shift) {
        interpreter_unlock();
    }
    lock_acquire(&pool->family->arena.lock);
    for (pin = all ? pool->pins : NULL; pin != NULL; pin = pin->next) {
        pin_enter_locked(pin, &entered);
    }
    end = checked_min(end, pool_index(pool, pool_total(pool) - 1) + 1);
    while (!all && pins_find(pool, first, end, &first)) {
        pin = block_pin(tree_block(&pool->tree, first));
        pin_enter_locked(pin, &entered);
        first = pin->index + pin->attached;
    }
    lock_release(&pool->family->arena.lock);
    return entered;
}

/* Ends that: pins that were released meanwhile end with it. Locks: the arena, if there
 * are any. */
static void pins_leave(Arena *arena, Pin *entered, Reservation *reservation)
{
    if (entered != NULL) {
        lock_acquire(&arena->lock);
        while (entered != NULL) {
            Pin *pin = entered;
            entered = pin->entered;
            pin_release_locked(pin, reservation);
        }
        lock_release(&arena->lock);
    }
}

/* Clears what is behind the last byte of a pool in a pinned block. Before the size of the
 * pool changes, since it may become a part of it; after that, since it may have been one.
 * From then on it may be touched: who has pinned what is cut off goes on to use it. The
 * caller is a user of the pin. */
static void pool_open_end(MemoryPool *pool)
{
    Block *block = tree_block(&pool->tree, pool_index(pool, pool_total(pool) - 1));
    POOL_ASSERT(pool_lock_is_exclusive(&pool->locks));
    if (block != NULL && block_is_pinned(block)) {
        const Pin *pin = block_pin(block);
        size_t size = pin_bytes(pin, pin->attached - 1);
        pin_lift_end(pin);
        data_clear(block->data + size, ((size_t)1 << pool->block_shift) - size);
    }
}

/* Parts pins, of which the caller is a user, from their blocks at or after end, before
 * these leave the tree: their memory lives on without it. Locks: the arena, if there are
 * any. */
static void pins_cut(Arena *arena, Pin *entered, size_t end, Reservation *reservation)
{
    Pin *pin;
    if (entered == NULL) {
        return;
    }
    lock_acquire(&arena->lock);
    for (pin = entered; pin != NULL; pin = pin->entered) {
        size_t stays =
            end > pin->index ? checked_min(end - pin->index, pin->attached) : 0;
        size_t i;
        for (i = stays; i < pin->attached; i++) {
            size_add_relaxed(&pin->blocks[i].refs, 1);
        }
        if (stays < pin->attached) {
            pin_detach_locked(pin, stays);
        }
        if (stays == 0) {
            tree_replace(&pin->frozen, NULL, 1, reservation);
        }
    }
    lock_release(&arena->lock);
}
