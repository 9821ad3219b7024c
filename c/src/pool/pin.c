/* SPDX-License-Identifier: MIT */
/*
 * pin.c - live memory of a pool in the caller's hands: making pins
 *
 * A pin of blocks that follow each other already, as one block does, leaves them where
 * they are. Else the range gets blocks of a run (arena_take_run), into which its data
 * moves: once, since they stay in their slots when the pin is released. Blocks of the run
 * in place of holes are left untouched, and cost no memory until somebody writes to them.
 *
 * Where a tool checks what memory is touched (poison.h), each pin is moved to a run that has
 * no other blocks, so that there are redzones around it.
 */
#include "pool.h"

/* Whether count blocks from that one on have redzones around them, as all blocks of a run
 * have, or need none. */
static bool pin_has_redzones(const Block *block, size_t count)
{
    const Chunk *chunk = block_chunk(block);
    if (!poison_is_checked()) {
        return true;
    }
    /* GCOVR_EXCL_START: in builds for these tools alone */
    return chunk->run && block == chunk->block && chunk->count == count;
    /* GCOVR_EXCL_STOP */
}

/* Whether the blocks first to last are there, are private, follow each other and have
 * redzones. The caller has locked the whole pool. */
static bool pin_lies_in_place(MemoryPool *pool, size_t first, size_t last)
{
    Block *block = tree_block(&pool->tree, first);
    Node *leaf = NULL;
    size_t index;
    if (block == NULL || block_is_adopted(block) ||
        !pin_has_redzones(block, last - first + 1)) {
        return false;
    }
    for (index = first; index <= last; index++) {
        if (index == first || index % TREE_SLOTS == 0) {
            leaf = tree_private_leaf(&pool->tree, index);
        }
        if (leaf == NULL ||
            !block_follows(pool, block, leaf_block(leaf, index), index - first) ||
            block_is_shared(block + (index - first))) {
            return false;
        }
    }
    return true;
}

/* Makes the pages of the blocks of a leaf resident, from one index up to last at most, if
 * all of them will be written to. */
static void run_populate(const MemoryPool *pool, Node *leaf, size_t index, size_t last,
                         const Block *run)
{
    size_t end = checked_min(index | (TREE_SLOTS - 1), last) + 1, at = index;
    while (at < end && leaf_block(leaf, at) != NULL) {
        at++;
    }
    if (at == end && (end - index) << pool->block_shift >= POPULATE_MIN) {
        platform_populate(run->data, (end - index) << pool->block_shift);
    }
}

/* Makes a block, of which the pin gets a reference, the frozen copy of the one at an
 * index of the pool; NULL: it is zeros. */
static void pin_set_frozen(Pin *pin, size_t index, Block *frozen,
                           Reservation *reservation)
{
    if (frozen != NULL) {
        Node *leaf = tree_unshare_leaf(&pin->frozen, index, reservation);
        slot_set(node_slot(leaf, 0, index), frozen);
        tree_count(&pin->frozen, index, 1);
    }
    pin_set_clean(pin, index - pin->index);
}

/* Moves what is in the slots of the blocks first to last to a run. What others hold as
 * well is the frozen copy. */
static void pin_move(MemoryPool *pool, Pin *pin, size_t first, size_t last, Block *run,
                     Reservation *reservation)
{
    Node *leaf = NULL;
    size_t index, copied = 0;
    for (index = first; index <= last; index++, run++) {
        Block *old;
        AtomicPtr *slot;
        if (index == first || index % TREE_SLOTS == 0) {
            leaf = tree_unshare_leaf(&pool->tree, index, reservation);
            run_populate(pool, leaf, index, last, run);
        }
        slot = node_slot(leaf, 0, index);
        old = slot_block(slot);
        size_store_relaxed(&run->refs, 1);
        run->from |= BLOCK_DIRTY;
        if (old == NULL) {
            slot_set_sole(slot, run);
            tree_count(&pool->tree, index, 1);
            pin_set_frozen(pin, index, NULL, reservation);
            continue;
        }
        memcpy(run->data, block_data(old), (size_t)1 << pool->block_shift);
        slot_set_sole(slot, run);
        if (size_load_acquire(&old->refs) > 1) {
            size_add_relaxed(&old->refs, 1);
            pin_set_frozen(pin, index, old, reservation);
            copied++;
        }
        block_drop(old, reservation);
    }
    size_add_relaxed(&pool->copied, copied);
}

/* Allocates a run for the blocks first to last, and what else it takes to move them
 * there. Locks: the arena. */
static PoolStatus pin_fill_run(MemoryPool *pool, size_t first, size_t last,
                               Reservation *reservation)
{
    Need need = tree_measure(&pool->tree, first, last);
    ReservationRun run = {0, 0, 0};
    run.blocks = last - first + 1;
    run.replacements = run.blocks - need.blocks;
    run.copied = run.blocks - need.holes;
    if (need.blocks > need.holes) { /* some are shared, and become frozen copies */
        need.nodes += nodes_between(tree_top(&pool->tree), first, last);
    }
    need.blocks = need.holes = 0;
    return reservation_fill_run(reservation, &pool->family->arena, need, run);
}

/* A Pin of so many blocks, zeroed, or NULL; also if no run could be so long. */
static Pin *pin_alloc(const MemoryPool *pool, size_t count)
{
    size_t block_size = (size_t)1 << pool->block_shift;
    Pin *pin = count > SIZE_MAX / 2 / (block_size + sizeof(Block))
                   ? NULL
                   : (Pin *)memory_alloc(pin_size(count));
    if (pin != NULL) {
        memset(pin, 0, pin_size(count));
    }
    return pin;
}

/* Pins the blocks first to last, of which none is pinned, in a pool that is locked as a
 * whole. Locks: the arena. */
static PoolStatus pin_make(MemoryPool *pool, size_t first, size_t last, Pin **made,
                           Reservation *reservation)
{
    Arena *arena = &pool->family->arena;
    bool in_place = pin_lies_in_place(pool, first, last);
    Block *blocks = tree_block(&pool->tree, first);
    Pin *pin = pin_alloc(pool, last - first + 1);
    PoolStatus status = POOL_NO_MEMORY;
    if (pin != NULL) {
        status = in_place ? POOL_OK : pin_fill_run(pool, first, last, reservation);
    }
    if (status != POOL_OK) {
        platform_free(pin);
        return status;
    }
    if (!in_place) {
        blocks = reservation->run;
    }
    lock_acquire(&arena->lock);
    pin_attach_locked(pin, pool, first, blocks, last - first + 1);
    pin->users = 1;
    lock_release(&arena->lock);
    if (!in_place) {
        pin_move(pool, pin, first, last, blocks, reservation);
    }
    pin_poison_end(pin);
    *made = pin;
    return POOL_OK;
}

/* Pins a range in a pool that is locked as a whole: a pin that has its first byte
 * already, or a new one as far as there are no others. Locks: the arena. */
static PoolStatus pin_range(MemoryPool *pool, size_t offset, size_t size, PoolView *view,
                            Reservation *reservation)
{
    size_t first = pool_index(pool, offset), last = pool_index(pool, offset + (size - 1));
    size_t start = offset & (((size_t)1 << pool->block_shift) - 1), other;
    Block *block = tree_block(&pool->tree, first);
    PoolStatus status = POOL_OK;
    Pin *pin;
    lock_acquire(&pool->family->arena.lock);
    pin = block == NULL ? NULL : block_pin(block);
    if (pin != NULL) {
        pin->users++;
    }
    lock_release(&pool->family->arena.lock);
    if (pin == NULL) {
        if (pins_find(pool, first + 1, last + 1, &other)) {
            last = other - 1;
        }
        status = pin_make(pool, first, last, &pin, reservation);
    }
    if (status == POOL_OK) {
        size_t blocks = pin->index + pin->attached - first;
        view_set(view, pool, pin->blocks[first - pin->index].data + start,
                 checked_min(size, (blocks << pool->block_shift) - start), NULL, 0, pin);
    }
    return status;
}

/* Pins one block; of one that is shared, a copy, whose frozen copy is the other. Locks:
 * its stripe, or the whole pool if nodes must be created or copied; in it the arena. */
static PoolStatus pin_block(MemoryPool *pool, size_t offset, size_t size, PoolView *view)
{
    Piece piece = piece_at(pool, offset, size), nothing = piece;
    Reservation reservation = {0};
    Pin *pin = pin_alloc(pool, 1);
    PoolStatus status;
    Guard guard;
    if (pin == NULL) {
        return POOL_NO_MEMORY;
    }
    nothing.size = 0;
    status = write_begin(pool, offset, &size, WRITE_NOTHING, &guard, &reservation);
    if (status == POOL_OK) {
        Node *leaf = tree_unshare_leaf(&pool->tree, piece.index, &reservation);
        AtomicPtr *slot = node_slot(leaf, 0, piece.index);
        Block *block, *old = slot_block(slot);
        bool shared = old != NULL && size_load_acquire(&old->refs) > 1;
        if (shared) {
            size_add_relaxed(&old->refs, 1); /* the frozen copy */
        }
        if (slot_put(pool, slot, nothing, NULL, 0, &reservation) > 0) {
            tree_count(&pool->tree, piece.index, 1);
        }
        block = slot_block(slot);
        pin = pin_add(pool, piece.index, block, pin);
        if (old == NULL || shared) {
            pin_set_frozen(pin, piece.index, old, &reservation);
        }
        view_set(view, pool, block->data + piece.start, piece.size, NULL, 0, pin);
        write_end(pool, guard, &reservation);
    } else {
        platform_free(pin);
    }
    return status;
}

/* Pins several blocks. Locks: the whole pool, in it the arena. */
static PoolStatus pin_blocks(MemoryPool *pool, size_t offset, size_t size, PoolView *view)
{
    Reservation reservation = {0};
    PoolStatus status = POOL_RANGE;
    Guard guard = pool_lock_exclusive(&pool->locks);
    if (checked_fits(pool_total(pool), offset, size)) {
        status = pin_range(pool, offset, size, view, &reservation);
    }
    write_end(pool, guard, &reservation);
    return status;
}

PoolStatus pool_pin(MemoryPool *pool, size_t offset, size_t size, PoolView *view)
{
    HANDLE_CHECK(pool);
    PoolStatus status = view_check(pool, offset, size, view);
    PoolView before;
    bool one, asked = false;
    if (status != POOL_OK) {
        return status_set(status);
    }
    before = *view;
    one = pool_index(pool, offset) == pool_index(pool, offset + (size - 1)) &&
          !poison_is_checked();
    do {
        status = one ? pin_block(pool, offset, size, view)
                     : pin_blocks(pool, offset, size, view);
    } while (limit_asks(pool, status, &asked));
    status = view_guard(view, &before, status);
    return status_set(VIEW_MADE(status, pool, view));
}
