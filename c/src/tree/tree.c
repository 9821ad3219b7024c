/* SPDX-License-Identifier: MIT */
/*
 * tree.c - the persistent radix tree that a pool is
 *
 *     root ──► node ─┬► node ─┬► leaf ─┬► block     height 3: the index of a block is
 *                    │        │        ├► (hole)    three digits of TREE_BITS each
 *                    │        │        └► block
 *                    │        └► (hole)
 *                    └► node ◄── another pool's tree may share any of these
 *
 * Nodes and blocks are reference-counted: each slot that points to one is a reference,
 * each root is, and so is each view of a block. A node is PRIVATE to a tree if it and all
 * nodes above it have one reference; it may then be changed in place. Any other node is
 * copied first (the copy adds a reference to each child), together with its path from the
 * root. So a clone is one more reference to the root, and two trees are equal wherever
 * they share a node. A node without blocks is removed: the tree grows with its blocks
 * only.
 *
 * A node may have the digest of what is below it (digest.c); it is then marked NODE_HASHED.
 * Invariant: WHO CHANGES WHAT IS BELOW A NODE TAKES THE MARK OFF FIRST. That is done on
 * the way to the change, from the root down, by the functions that find or make a private
 * leaf; an optimistic search for one takes a marked node for one that is not private.
 *
 * TREE_BITS: a node has 2^TREE_BITS slots. Large nodes make searches short; small nodes
 * make copies of paths cheap and take little memory for isolated blocks. docs/inside/tree.md
 * has the measurements.
 *
 * Context: for the pool of the tree the caller holds
 *     tree_leaf_optimistic                         no lock
 *     tree_leaf, tree_private_leaf, tree_measure   the locks of the blocks named
 *     tree_unshare_leaf, tree_count                the same, if no node is added
 *     everything else                              the exclusive lock
 * The trees of relatives need no lock: nodes that they share with this tree are private
 * to none of them, so nobody changes these, and the reference from here keeps them alive.
 */
#include "tree.h"

/* Returns the levels of nodes needed for so many blocks. */
static unsigned tree_height(size_t blocks)
{
    unsigned height = 1;
    while (checked_shift_right(blocks - 1, height * TREE_BITS) != 0) {
        height++;
    }
    return height;
}

static inline unsigned tree_top(const Tree *tree)
{
    return (unsigned)size_load_acquire((AtomicSize *)&tree->height) - 1;
}

static inline Node *tree_root(const Tree *tree)
{
    return (Node *)ptr_load_acquire((AtomicPtr *)&tree->root);
}

/* Returns the slot of a node at a level (0: leaf) on the path to a block. (In bytes: for
 * an index, gcc adds the offset of the array by an instruction of its own.) */
static inline AtomicPtr *node_slot(Node *node, unsigned level, size_t index)
{
    size_t slot = (index >> (level * TREE_BITS)) & (TREE_SLOTS - 1);
    return (AtomicPtr *)(void *)((unsigned char *)node->slot + slot * sizeof *node->slot);
}

static inline Node *node_child(Node *node, unsigned level, size_t index)
{
    return (Node *)ptr_load_acquire(node_slot(node, level, index));
}

static inline bool node_is_shared(Node *node)
{
    return (size_load_acquire(&node->refs) & ~NODE_HASHED) > 1;
}

/* Whether a node has a digest, which stays as long as the caller has a reference to it. */
static inline bool node_is_hashed(Node *node)
{
    return (size_load_acquire(&node->refs) & NODE_HASHED) != 0;
}

/* Takes the mark from a private node. Others that have locked other blocks below it may
 * do the same. */
static inline void node_open(Node *node)
{
    if (size_load_acquire(&node->refs) != 1) {
        (void)size_swap_seq_cst(&node->refs, NODE_HASHED | 1, 1);
    }
}

/* What a slot of a leaf has. */
static inline Word slot_word(AtomicPtr *slot)
{
    return (Word)ptr_load_acquire(slot);
}

static inline Block *slot_block(AtomicPtr *slot)
{
    return word_block(slot_word(slot));
}

static inline Block *leaf_block(Node *leaf, size_t index)
{
    return slot_block(node_slot(leaf, 0, index));
}

static inline bool block_is_pinned(Block *block)
{
    return ptr_load_acquire(&block->as.pin) != NULL;
}

/* Whether a block has more references than that of one slot. (A pin has none of its
 * own.) */
static inline bool block_has_others(Block *block)
{
    return size_load_acquire(&block->refs) > 1;
}

/* Whether a block must be copied before a write. */
static inline bool block_is_shared(Block *block)
{
    return block_is_adopted(block) || block_has_others(block);
}

/* The same for that of a word in a slot of a private leaf. */
static inline bool word_is_shared(Word word)
{
    return (word & WORD_SOLE) == 0 && block_is_shared(word_block(word));
}

/* Returns the last index below that slot of a node at a level that leads to index. */
static inline size_t level_last(unsigned level, size_t index)
{
    return index | (((size_t)1 << (level * TREE_BITS)) - 1);
}

/* ------------------------------------------------------------------- searching */

/* Returns the leaf with the slot of a block, or NULL. */
static inline Node *tree_leaf(const Tree *tree, size_t index)
{
    Node *node = tree_root(tree);
    unsigned level = tree_top(tree);
    for (; node != NULL && level > 0; level--) {
        node = node_child(node, level, index);
    }
    return node;
}

/* Whether a search of an optimistic reader ends at a node: there is none, or it may not be
 * changed as it is, because it is shared or marked. The count is read once: when a
 * relative is destroyed, it may change at any time. */
static ALWAYS_INLINE bool node_ends_search(Node *node, bool private_only)
{
    return node == NULL || (private_only && size_load_acquire(&node->refs) != 1);
}

/* Moves *node to its child on the path to a block; to NULL if the child ends the search,
 * or if the shape lock has changed. Returns whether the search goes on. */
static ALWAYS_INLINE bool node_descend(Node **node, unsigned level, size_t index,
                                       const OptimisticRead *read, bool private_only)
{
    Node *child = node_child(*node, level, index);
    *node = !optimistic_validate_shape(read) || node_ends_search(child, private_only)
                ? NULL
                : child;
    return *node != NULL;
}

/* tree_leaf for an optimistic reader. private_only: a leaf that is not private, or is
 * below a marked node, counts as none. If the shape lock changes meanwhile, the search
 * ends as at a hole: the reader's next validation fails, because the version never
 * returns. low: returns false if the tree has more levels than are unrolled. In these the
 * shifts are constants. The root needs no validation: it is a node, or was one. */
static ALWAYS_INLINE bool tree_leaf_optimistic(const Tree *tree, size_t index,
                                               const OptimisticRead *read,
                                               bool private_only, bool low, Node **leaf)
{
    enum { UNROLLED = 5 };
    Node *node = tree_root(tree);
    size_t height = size_load_acquire((AtomicSize *)&tree->height);
    bool goes_on = !node_ends_search(node, private_only);
    if (low && height > UNROLLED) {
        return false;
    }
    if (!goes_on) {
        node = NULL;
    }
    for (; !low && goes_on && height > UNROLLED; height--) {
        goes_on = node_descend(&node, (unsigned)height - 1, index, read, private_only);
    }
    (void)(goes_on && (height < 5 || node_descend(&node, 4, index, read, private_only)) &&
           (height < 4 || node_descend(&node, 3, index, read, private_only)) &&
           (height < 3 || node_descend(&node, 2, index, read, private_only)) &&
           (height < 2 || node_descend(&node, 1, index, read, private_only)));
    *leaf = node;
    return true;
}

/* Returns the leaf of a block if it is private to the tree, for a change of that block;
 * else NULL. */
static inline Node *tree_private_leaf(const Tree *tree, size_t index)
{
    Node *node = tree_root(tree);
    unsigned level = tree_top(tree);
    for (; node != NULL && !node_is_shared(node); level--) {
        node_open(node);
        if (level == 0) {
            return node;
        }
        node = node_child(node, level, index);
    }
    return NULL;
}

/* Returns the slot of a block, or NULL if there is no leaf. */
static AtomicPtr *tree_slot(const Tree *tree, size_t index)
{
    Node *leaf = tree_leaf(tree, index);
    return leaf == NULL ? NULL : node_slot(leaf, 0, index);
}

static Block *tree_block(const Tree *tree, size_t index)
{
    AtomicPtr *slot = tree_slot(tree, index);
    return slot == NULL ? NULL : slot_block(slot);
}

/* Whether a node on the path to a block, as far as it exists, is shared. */
static bool tree_path_is_shared(const Tree *tree, size_t index)
{
    Node *node = tree_root(tree);
    unsigned level = tree_top(tree);
    for (; node != NULL && !node_is_shared(node); level--) {
        if (level == 0) {
            return false;
        }
        node = node_child(node, level, index);
    }
    return node != NULL;
}

/* The slots of a missing node. */
static AtomicPtr tree_holes[TREE_SLOTS];

/* Returns the slots of a node, or holes for NULL; prefetches all of its cache lines. */
static inline AtomicPtr *node_slots(Node *node)
{
    size_t at;
    for (at = 0; node != NULL && at < sizeof *node; at += CACHE_LINE) {
        cpu_prefetch((unsigned char *)node + at);
    }
    return node == NULL ? tree_holes : node->slot;
}

/* Returns the state of a block, as flags of PoolBlockState. shared: whether a node on its
 * path is shared. */
static inline size_t block_state(Block *block, bool shared)
{
    size_t state = block_is_adopted(block) ? POOL_BLOCK_ADOPTED : 0;
    if (block_is_pinned(block)) {
        state |= POOL_BLOCK_PINNED;
    } else if (shared || block_has_others(block)) {
        state |= POOL_BLOCK_SHARED;
    }
    return state;
}

/* Notes the state that begins at an index; returns whether the search is over. */
static inline bool run_is_over(TreeRun *run, size_t state, size_t index)
{
    if (state == run->state) {
        return false;
    }
    if (run->state != 0) {
        run->end = index;
        return true;
    }
    run->state = state;
    run->first = index;
    return run->start_only;
}

/* Whether two different nodes of one level, of which either may be NULL, differ at every
 * index: one of them has a block everywhere, the other none. */
static inline bool nodes_differ_everywhere(Node *node, Node *other, unsigned level)
{
    unsigned bits = (level + 1) * TREE_BITS;
    if ((node != NULL && other != NULL) || bits >= SIZE_BITS) {
        return false;
    }
    return size_load_relaxed(&(node != NULL ? node : other)->blocks) == (size_t)1 << bits;
}

/* Returns the first of the slots i to end - 1 in which two nodes differ, or end. */
static inline unsigned slots_skip_equal(AtomicPtr *slots, AtomicPtr *others, unsigned i,
                                        unsigned end)
{
    while (i < end && ptr_load_acquire(&slots[i]) == ptr_load_acquire(&others[i])) {
        i++;
    }
    return i;
}

/* Continues a search, from first on, in two nodes of one level, of which either may be
 * NULL; returns whether it is over. Skips what the nodes share, and, unless the search is
 * by state, where one has a block everywhere and the other none. shared: whether a node
 * above these is shared (for a search by state). */
static bool node_find_run(Node *node, Node *other, unsigned level, bool shared,
                          size_t first, TreeRun *run)
{
    unsigned bits = level * TREE_BITS;
    size_t slot = first >> bits, left = (run->last >> bits) - slot;
    unsigned i = (unsigned)slot & (TREE_SLOTS - 1);
    unsigned end = (unsigned)checked_min(i + left + 1, TREE_SLOTS);
    AtomicPtr *slots, *others;
    if (node == other ||
        (!run->by_state && nodes_differ_everywhere(node, other, level))) {
        return run_is_over(run, node != other, first);
    }
    shared = shared || (run->by_state && node_is_shared(node));
    slots = node_slots(node);
    others = node_slots(other);
    for (slot -= i;; i++) {
        void *a, *b;
        size_t index;
        bool over;
        if (run->state == 0) {
            i = slots_skip_equal(slots, others, i, end);
        }
        if (i == end) {
            return false;
        }
        a = ptr_load_acquire(&slots[i]);
        b = ptr_load_acquire(&others[i]);
        index = checked_max((slot + i) << bits, first);
        if (a != b && level > 0) {
            over = node_find_run((Node *)a, (Node *)b, level - 1, shared, index, run);
        } else if (a != b && run->by_state) {
            over = run_is_over(run, block_state(word_block((Word)a), shared) + 1, index);
        } else {
            over = run_is_over(run, a != b, index);
        }
        if (over) {
            return true;
        }
    }
}

/* The same for nodes that both begin at index 0, the second at the same level or a lower
 * one: beyond its end there are only holes. */
static bool node_find_run_over(Node *node, unsigned level, Node *other,
                               unsigned other_level, size_t first, TreeRun *run)
{
    size_t end = level_last(level, 0);
    if (level == other_level) {
        return node_find_run(node, other, level, false, first, run);
    }
    if (first <= end) {
        Node *child = node == NULL ? NULL : node_child(node, level, 0);
        if (node_find_run_over(child, level - 1, other, other_level, first, run)) {
            return true;
        }
        if (run->last <= end) {
            return false;
        }
        first = end + 1;
    }
    return node_find_run(node, NULL, level, false, first, run);
}

/* Searches a tree for the first run, from first to run->last, that differs from another
 * tree (NULL: from holes, so that runs of blocks are found); false if there is none. The
 * higher of the two trees must reach to run->last. */
static bool tree_find_run(const Tree *tree, const Tree *other, size_t first, TreeRun *run)
{
    unsigned top = tree_top(tree);
    run->state = 0;
    run->end = run->last + 1;
    if (other == NULL) {
        (void)node_find_run(tree_root(tree), NULL, top, false, first, run);
    } else if (top < tree_top(other)) {
        return tree_find_run(other, tree, first, run);
    } else {
        (void)node_find_run_over(tree_root(tree), top, tree_root(other), tree_top(other),
                                 first, run);
    }
    return run->state != 0;
}

/* Whether a node has blocks from first to last. */
static bool node_has_blocks(Node *node, unsigned level, size_t first, size_t last)
{
    TreeRun run = {last, false, true, 0, 0, 0};
    return node_find_run(node, NULL, level, false, first, &run);
}

static size_t tree_blocks(const Tree *tree)
{
    Node *root = tree_root(tree);
    return root == NULL ? 0 : size_load_relaxed(&root->blocks);
}

/* Returns how many blocks below a node no other pool, view or slot refers to. */
static size_t node_private_blocks(Node *node, unsigned level)
{
    size_t blocks = 0;
    unsigned i;
    if (node == NULL || node_is_shared(node)) {
        return 0;
    }
    for (i = 0; i < TREE_SLOTS; i++) {
        void *child = ptr_load_acquire(&node->slot[i]);
        if (level > 0) {
            blocks += node_private_blocks((Node *)child, level - 1);
        } else if (child != NULL && !block_has_others(word_block((Word)child))) {
            blocks++;
        }
    }
    return blocks;
}

static size_t tree_private_blocks(const Tree *tree)
{
    return node_private_blocks(tree_root(tree), tree_top(tree));
}
