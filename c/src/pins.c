/*
 * pins.c - blocks that stay where they are
 *
 * A PIN holds a block together with its one slot, so that writes go on in place. A pinned
 * block is never shared: its way from the root is private to its pool, a clone or a view
 * gets a copy, and whatever would put something else in its slot writes into it instead.
 * All pins of a block share one Pin, which the block points to and which stands in a list
 * of its pool. The list and the counts are guarded by the arena's lock, because a pin may
 * outlive its pool; a pin is added only while the block's stripe is held, and dropped at
 * any time, which turns the block into an ordinary one.
 */
struct Pin {
    Pin *previous, *next; /* in the list of its pool                   */
    MemoryPool *pool;     /* NULL: it has ended, or was cut off there  */
    Block *block;         /* a reference                               */
    size_t index;         /* of the block in the pool                  */
    size_t count;         /* pins of this block                        */
};

/* Takes a pin out of the list of its pool. The caller has the arena's lock. */
static void pin_detach(Pin *pin)
{
    MemoryPool *pool = pin->pool;
    *(pin->previous != NULL ? &pin->previous->next : &pool->pins) = pin->next;
    if (pin->next != NULL) {
        pin->next->previous = pin->previous;
    }
    size_sub_relaxed(&pool->pinned, 1);
    pin->pool = NULL;
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
        size_add_relaxed(&block->refs, 1);
    }
    pin->count++;
    lock_release(&pool->family->arena.lock);
    platform_free(spare);
    return pin;
}

/* Takes a pin off; with the last one the block is let go of. The reference goes before
 * the mark of the pin, so that the block never looks shared; the lock keeps whoever would
 * drop the slot's reference meanwhile away. Locks: the arena. */
static void pin_remove(Pin *pin, Arena *arena, Stock *stock)
{
    lock_acquire(&arena->lock);
    if (--pin->count == 0) {
        Block *block = pin->block;
        bool in_pool = pin->pool != NULL;
        block_drop(block, stock);
        if (in_pool) {
            ptr_store_release(&block->as.pin, NULL);
            pin_detach(pin);
        }
        platform_free(pin);
    }
    lock_release(&arena->lock);
}

/* ------------------------------------------- pins and the other parts of a pool */

/* In all of these the caller holds the whole pool, and the arena's lock if so named. */

/* Cuts the pins at or after a block off from their pool, before these blocks leave the
 * tree: their memory lives on without it. Locks: the arena. */
static void pins_detach(MemoryPool *pool, size_t from)
{
    Pin *pin, *next;
    lock_acquire(&pool->family->arena.lock);
    for (pin = pool->pins; pin != NULL; pin = next) {
        next = pin->next;
        if (pin->index >= from) {
            ptr_store_release(&pin->block->as.pin, NULL);
            pin_detach(pin);
        }
    }
    lock_release(&pool->family->arena.lock);
}

/* Writes zeros into the pinned blocks first to last, before the others are removed.
 * Locks: the arena. */
static void pins_clear(MemoryPool *pool, size_t first, size_t last)
{
    Pin *pin;
    lock_acquire(&pool->family->arena.lock);
    for (pin = pool->pins; pin != NULL; pin = pin->next) {
        if (pin->index >= first && pin->index <= last) {
            memset(pin->block->data, 0, (size_t)1 << pool->block_shift);
        }
    }
    lock_release(&pool->family->arena.lock);
}

/* An upper bound of what it takes to unshare, or to put back, the pinned blocks of a pool
 * in a tree of that height. There are no more nodes on the ways to them than the family
 * has, but for those that make the tree higher. Locks: the arena. */
static inline Need pins_measure(MemoryPool *pool, unsigned height)
{
    Arena *arena = &pool->family->arena;
    Need need = {size_load_relaxed(&pool->pinned), 0};
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
static void pins_unshare_locked(MemoryPool *pool, Tree *tree, Stock *stock)
{
    Pin *pin;
    for (pin = pool->pins; pin != NULL; pin = pin->next) {
        Node *leaf = tree_own_leaf(tree, pin->index, stock);
        Block *copy = stock_block(stock);
        memcpy(copy->data, pin->block->data, (size_t)1 << pool->block_shift);
        copy->from |= BLOCK_DIRTY;
        ptr_store_release(node_slot(leaf, 0, pin->index), copy);
        block_drop(pin->block, stock);
    }
}

/* Puts a pinned block into its slot of a tree that is new to it, and writes into it what
 * is in that slot. The caller has the arena's lock. */
static void pin_put_back_locked(MemoryPool *pool, Pin *pin, Stock *stock)
{
    Node *leaf = tree_own_leaf(&pool->tree, pin->index, stock);
    AtomicPtr *slot = node_slot(leaf, 0, pin->index);
    Block *now = (Block *)ptr_load_acquire(slot);
    size_t size = (size_t)1 << pool->block_shift;
    if (now != NULL) {
        memcpy(pin->block->data, now->data, size);
        block_drop(now, stock);
    } else {
        memset(pin->block->data, 0, size);
        tree_count(&pool->tree, pin->index, 1);
    }
    size_add_relaxed(&pin->block->refs, 1);
    ptr_store_release(slot, pin->block);
}
