/* SPDX-License-Identifier: MIT */
/*
 * adopt.c - the caller's memory as part of a pool, without a copy
 *
 * Blocks that an adoption covers in full use the caller's memory as their data; the bytes
 * at both ends are copied. A write copies an adopted block, as it does a shared one. An
 * adoption counts its blocks; after the last one was freed, its owner's release function
 * is called (reservation_release_adopted).
 *
 *     offset ──┐                                          size
 *     | block  ▼ | block      | block      | block   ▲  |
 *              |..|============|============|.........|
 *               copied   adopted      adopted   copied
 */
#include "pool.h"

/* Finds the blocks [first, end) that a range covers in full; there are none if first >=
 * end. */
static void adopt_whole(const MemoryPool *pool, size_t offset, size_t size, size_t *first,
                        size_t *end)
{
    size_t inside = ((size_t)1 << pool->block_shift) - 1;
    *first = pool_index(pool, offset) + ((offset & inside) != 0);
    *end = pool_index(pool, offset + (size - 1)) +
           (((offset + (size - 1)) & inside) == inside);
}

/* Returns what the two ends of a range need, which are copied. */
static Need adopt_measure(const MemoryPool *pool, size_t offset, size_t size)
{
    size_t head = pool_index(pool, offset);
    size_t tail = pool_index(pool, offset + (size - 1));
    size_t first, end;
    Need need = {0, 0, 0, 0}, at_tail = {0, 0, 0, 0};
    adopt_whole(pool, offset, size, &first, &end);
    if (head < first) {
        need = tree_measure(&pool->tree, head, head);
    }
    if (tail >= end && tail >= first) {
        at_tail = tree_measure(&pool->tree, tail, tail);
    }
    need.blocks += at_tail.blocks;
    need.holes += at_tail.holes;
    need.written = size - (first < end ? (end - first) << pool->block_shift : 0);
    need.nodes = tree_measure(&pool->tree, head, tail).nodes;
    return need;
}

/* Allocates all that an adoption needs: *adoptees, one for each block that is adopted,
 * and the rest in the reservation. Locks: the arena. */
static PoolStatus adopt_fill(MemoryPool *pool, size_t offset, size_t size,
                             Adoption *adoption, Reservation *reservation,
                             Block **adoptees)
{
    Arena *arena = &pool->family->arena;
    PoolStatus status = POOL_OK;
    size_t at, end;
    *adoptees = NULL;
    adopt_whole(pool, offset, size, &at, &end);
    if (at < end && !arena_can_commit(arena, checked_times(end - at, sizeof(Adoptee)))) {
        return POOL_NO_MEMORY;
    }
    lock_acquire(&arena->lock);
    for (; at < end; at++) {
        Block *block = arena_alloc_adoptee(arena, adoption);
        if (block == NULL) {
            status = POOL_NO_MEMORY;
            break;
        }
        block->as.next = *adoptees;
        *adoptees = block;
    }
    lock_release(&arena->lock);
    if (status == POOL_OK) {
        status = reservation_fill(reservation, arena, adopt_measure(pool, offset, size));
    }
    if (status != POOL_OK) {
        lock_acquire(&arena->lock);
        arena_free(arena, *adoptees, &reservation->released);
        lock_release(&arena->lock);
    }
    return status;
}

/* Puts an adopted block into a slot of a private leaf; a pinned block there stays and
 * gets the bytes. Returns 1 if there was a hole, else 0. */
static size_t slot_adopt(MemoryPool *pool, AtomicPtr *slot, Block *block,
                         Reservation *reservation)
{
    Block *old = slot_block(slot);
    if (old != NULL && block_is_pinned(old)) {
        memcpy(old->data, block_data(block), (size_t)1 << pool->block_shift);
        reservation_put_block(reservation, block);
        return 0;
    }
    size_store_relaxed(&block->refs, 1);
    ptr_store_release(&block->as.pin, NULL);
    slot_set(slot, block);
    if (old != NULL) {
        block_drop(old, reservation);
    }
    return old == NULL;
}

/* Puts the adopted blocks into the tree and copies the two ends. Context: the caller has
 * locked the pool exclusively and allocated all that is needed. */
static void adopt_apply(MemoryPool *pool, size_t offset, unsigned char *data, size_t size,
                        Block *adoptees, Reservation *reservation)
{
    size_t block_size = (size_t)1 << pool->block_shift;
    size_t stop = offset + size;
    size_t at, end;
    POOL_ASSERT(pool_lock_is_exclusive(&pool->locks));
    adopt_whole(pool, offset, size, &at, &end);
    if (at >= end) {
        bytes_put(pool, offset, data, 0, size, reservation);
        return;
    }
    bytes_put(pool, offset, data, 0, (at << pool->block_shift) - offset, reservation);
    data += (at << pool->block_shift) - offset;
    while (at < end) {
        Node *leaf = tree_unshare_leaf(&pool->tree, at, reservation);
        size_t first = at, added = 0;
        do {
            Block *block = adoptees;
            adoptees = block->as.next;
            ((Adoptee *)block)->data = data;
            added += slot_adopt(pool, node_slot(leaf, 0, at), block, reservation);
            data += block_size;
            at++;
        } while (at < end && (at & (TREE_SLOTS - 1)) != 0);
        tree_count(&pool->tree, first, added);
    }
    if (pool_index(pool, stop - 1) >= end) {
        size_t rest = stop - (end << pool->block_shift);
        bytes_put(pool, stop - rest, data, 0, rest, reservation);
    }
}

/* Adopts the memory of an adoption, for which the caller has a reference. Locks: the pool
 * exclusively; inside it the arena. */
static PoolStatus adopt_try(MemoryPool *pool, size_t offset, Adoption *adoption)
{
    unsigned char *data = (unsigned char *)adoption->data;
    size_t size = adoption->size;
    Reservation reservation = {0};
    PoolStatus status;
    Block *adoptees;
    Guard guard = pool_lock_exclusive(&pool->locks);
    status = pool_check(pool, offset, size);
    if (status == POOL_OK && size > 0) {
        status = adopt_fill(pool, offset, size, adoption, &reservation, &adoptees);
    }
    if (status == POOL_OK) {
        if (size > 0) {
            adopt_apply(pool, offset, data, size, adoptees, &reservation);
        }
        reservation_empty(&reservation, &pool->family->arena);
        lock_acquire(&pool->family->arena.lock);
        adoption_drop(adoption, &reservation.released);
        lock_release(&pool->family->arena.lock);
    }
    write_end(pool, guard, &reservation);
    return status;
}

PoolStatus pool_adopt(MemoryPool *pool, size_t offset, void *data, size_t size,
                      void (*release)(void *data, size_t size, void *context),
                      void *context)
{
    HANDLE_CHECK(pool);
    PoolStatus status =
        data == NULL && size > 0 ? POOL_INVALID : pool_check(pool, offset, size);
    Adoption *adoption;
    bool asked = false;
    if (status != POOL_OK) {
        return status_set(status);
    }
    adoption = (Adoption *)memory_alloc(sizeof *adoption);
    if (adoption == NULL) {
        return status_set(POOL_NO_MEMORY);
    }
    adoption->blocks = 1; /* this call, until it is done */
    adoption->data = data;
    adoption->size = size;
    adoption->release = release;
    adoption->context = context;
    do {
        status = adopt_try(pool, offset, adoption);
    } while (limit_asks(pool, status, &asked));
    if (status != POOL_OK) {
        platform_free(adoption); /* the memory stays the caller's */
    }
    return status_set(status);
}
