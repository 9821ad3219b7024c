/* SPDX-License-Identifier: MIT */
/*
 * stock.c - blocks and nodes on their way between the arena and a tree
 *
 * A call that changes a tree first takes into its stock all that it may need; if that
 * fails it has changed nothing. Then it edits the tree, which cannot fail: it takes from
 * the stock and puts into it what falls out of the tree. At the end it empties the stock,
 * lets go of its locks, and releases adopted memory that fell out.
 */
#include "tree.h"

static void stock_put_block(Stock *stock, Block *block)
{
    block->as.next = stock->dropped;
    stock->dropped = block;
}

static void stock_put_node(Stock *stock, Node *node)
{
    ptr_store_release(&node->slot[0], stock->nodes);
    stock->nodes = node;
}

/* A block with one reference, to be filled in by the caller as far as it is dirty. */
static Block *stock_block(Stock *stock)
{
    Block *block = stock->blocks;
    stock->blocks = block->as.next;
    ptr_store_release(&block->as.pin, NULL);
    size_store_relaxed(&block->refs, 1);
    return block;
}

/* A node with one reference, to be filled in by the caller. */
static Node *stock_raw_node(Stock *stock)
{
    Node *node = stock->nodes;
    stock->nodes = (Node *)ptr_load_acquire(&node->slot[0]);
    size_store_relaxed(&node->refs, 1);
    return node;
}

/* An empty node with one reference. */
static Node *stock_node(Stock *stock)
{
    Node *node = stock_raw_node(stock);
    memset((void *)node->slot, 0, sizeof node->slot);
    size_store_relaxed(&node->blocks, 0);
    return node;
}

/* So many bytes of blocks take longer to be copied, cleared or wiped than the threads of
 * an interpreter should stand still for. */
enum { STOCK_LONG = 1 << 20 };

/* Zeros what was dropped, in a family that wants it (POOL_WIPE). All memory of the
 * library's that anybody's bytes were in passes here before it is used again, kept or
 * given back. */
static void stock_wipe(const Stock *stock, const Arena *arena)
{
    Block *block;
    for (block = arena->wipes ? stock->dropped : NULL; block != NULL;
         block = block->as.next) {
        if (!block_is_adopted(block)) {
            if (arena->block_size >= STOCK_LONG) {
                interpreter_unlock();
            }
            memset(block->data, 0, arena->block_size);
            block->from &= ~(uintptr_t)BLOCK_DIRTY;
        }
    }
}

/* Gives everything in the stock back, but for adoptions to be released. The caller has the
 * arena's lock. */
static void stock_give(Stock *stock, Arena *arena)
{
    while (stock->nodes != NULL) {
        Node *node = stock->nodes;
        stock->nodes = (Node *)ptr_load_acquire(&node->slot[0]);
        slab_give(&arena->nodes, node);
    }
    arena_give(arena, stock->blocks, &stock->released);
    arena_give(arena, stock->dropped, &stock->released);
    stock->blocks = stock->dropped = NULL;
}

/* The same, wiped if that is wanted. Locks: the arena. */
static void stock_empty(Stock *stock, Arena *arena)
{
    if (stock->nodes == NULL && stock->blocks == NULL && stock->dropped == NULL) {
        return;
    }
    stock_wipe(stock, arena);
    lock_acquire(&arena->lock);
    stock_give(stock, arena);
    lock_release(&arena->lock);
}

/* The most bytes that a call makes resident, its bookkeeping included; for blocks that are
 * smaller than an item nearly. */
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

/* Fills an empty stock with what is needed, or fails and leaves it empty. Locks: the
 * arena. */
static NOT_INLINE PoolStatus stock_fill_some(Stock *stock, Arena *arena, const Need *need)
{
    PoolStatus status;
    size_t peak, mapped;
    bool possible;
    size_t nodes = need->nodes;
    if (need->blocks > (STOCK_LONG - 1) / arena->block_size) {
        interpreter_unlock();
    }
    possible =
        need->blocks <= arena->few || arena_can_have(arena, need_bytes(need, arena));
    lock_acquire(&arena->lock);
    peak = arena->peak;
    mapped = arena->mapped;
    status = possible || !arena_allows(arena, need->blocks)
                 ? arena_take(arena, need->blocks, &stock->blocks)
                 : POOL_NO_MEMORY;
    for (; status == POOL_OK && nodes > 0; nodes--) {
        Node *node = (Node *)slab_take(&arena->nodes);
        if (node == NULL) {
            status = POOL_NO_MEMORY;
        } else {
            stock_put_node(stock, node);
        }
    }
    if (status != POOL_OK) {
        stock_give(stock, arena);
        arena_undo(arena, mapped);
        arena->peak = peak; /* nobody ever had the blocks */
    }
    lock_release(&arena->lock);
    return status;
}

/* The same, of what may be nothing. */
static inline PoolStatus stock_fill(Stock *stock, Arena *arena, Need need)
{
    return need.blocks == 0 && need.nodes == 0 ? POOL_OK
                                               : stock_fill_some(stock, arena, &need);
}

/* Has the pages of fresh blocks made resident before they are written to from end to end,
 * where they lie side by side and are many: a fault for each page costs more than all the
 * rest of writing to it. edges: the first and the last are written to in full as well. */
static void stock_populate(const Stock *stock, size_t block_size, bool edges)
{
    const Block *block = stock->blocks;
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
static void stock_release(Stock *stock)
{
    if (stock->released != NULL) {
        interpreter_unlock();
    }
    while (stock->released != NULL) {
        Adoption *adoption = stock->released;
        stock->released = adoption->next;
        if (adoption->release != NULL) {
            adoption->release(adoption->data, adoption->size, adoption->context);
        }
        platform_free(adoption);
    }
}
