/* SPDX-License-Identifier: MIT */
/*
 * tree_edit.c - changes of a tree
 *
 * Functions that measure return what a change needs, or an upper bound where they say so.
 * All of that is reserved before the change begins, so that the change cannot fail. For
 * the locks see tree.c.
 */
#include "tree.h"

/* ------------------------------------------------------------------ measuring */

/* Returns how many nodes a subtree needs, from a level down, for blocks first to last. */
static size_t nodes_between(unsigned level, size_t first, size_t last)
{
    size_t nodes = 0;
    unsigned l;
    for (l = 0; l <= level; l++) {
        unsigned bits = (l + 1) * TREE_BITS;
        nodes += checked_shift_right(last, bits) - checked_shift_right(first, bits) + 1;
    }
    return nodes;
}

/* Adds what tree_measure needs below a node. shared: whether a node above it is
 * shared. */
static void node_measure(Node *node, unsigned level, size_t first, size_t last,
                         bool shared, Need *need)
{
    if (node == NULL) {
        need->nodes += nodes_between(level, first, last);
        need->blocks += last - first + 1;
        need->holes += last - first + 1;
        return;
    }
    shared = shared || node_is_shared(node);
    need->nodes += shared;
    for (;;) {
        size_t end = checked_min(level_last(level, first), last);
        void *child = node_child(node, level, first);
        if (level > 0) {
            node_measure((Node *)child, level - 1, first, end, shared, need);
        } else if (child == NULL || shared || word_is_shared((Word)child)) {
            need->blocks++;
            need->holes += child == NULL;
        }
        if (end == last) {
            return;
        }
        first = end + 1;
    }
}

/* Returns what is needed so that all blocks from first to last exist and are private. */
static Need tree_measure(const Tree *tree, size_t first, size_t last)
{
    Need need = {0, 0, 0, 0};
    node_measure(tree_root(tree), tree_top(tree), first, last, false, &need);
    return need;
}

/* Returns how many of the nodes that tree_measure counts for the path to a block are also
 * on the path to an earlier block. */
static size_t tree_measured_twice(const Tree *tree, size_t earlier, size_t index)
{
    Node *node = tree_root(tree);
    unsigned level = tree_top(tree) + 1;
    bool counts = false;
    size_t nodes = 0;
    while (level > 0 && checked_shift_right(earlier ^ index, level * TREE_BITS) == 0) {
        counts = counts || node == NULL || node_is_shared(node);
        nodes += counts;
        level--;
        node = node == NULL || level == 0 ? NULL : node_child(node, level, index);
    }
    return nodes;
}

/* tree_measure for one of several ranges, in ascending order. Does not count again the
 * nodes on the path to the last block of the ranges before, *last_done (SIZE_MAX: this is
 * the first range); for short ranges that would be most nodes. Updates *last_done. */
static Need tree_measure_next(const Tree *tree, size_t first, size_t last,
                              size_t *last_done)
{
    Need need = tree_measure(tree, first, last);
    if (*last_done != SIZE_MAX) {
        need.nodes -= tree_measured_twice(tree, *last_done, first);
    }
    *last_done = last;
    return need;
}

/* -------------------------------------------------------------------- editing */

/* Makes a block that of a slot, which has one of several references to it, or of a private
 * block. For the mark of the second see block.c. */
static inline void slot_set(AtomicPtr *slot, const Block *block)
{
    ptr_store_release(slot, (void *)block_word(block));
}

static inline void slot_set_sole(AtomicPtr *slot, Block *block)
{
    POOL_ASSERT(!block_is_adopted(block) && size_load_relaxed(&block->refs) == 1);
    block_forget_digest(block);
    ptr_store_release(slot, (void *)(block_word(block) | WORD_SOLE));
}

/* Takes the mark from a slot, before a reference to its block is added; returns what it
 * has then. The leaf may be shared: all who do that store the same. */
static inline Word slot_clear_sole(AtomicPtr *slot)
{
    Word word = slot_word(slot);
    if ((word & WORD_SOLE) != 0) {
        word -= WORD_SOLE;
        ptr_store_release(slot, (void *)word);
    }
    return word;
}

/* Adds a reference to the block of a slot, if it has one, and returns it. */
static Block *slot_share(AtomicPtr *slot)
{
    Block *block = word_block(slot_clear_sole(slot));
    if (block != NULL) {
        size_add_relaxed(&block->refs, 1);
    }
    return block;
}

/* Whether the slot of a private leaf, which the caller has locked, has a block that may be
 * written to in place: sets the mark then, for which the block must have no digest. */
static bool slot_owns(AtomicPtr *slot)
{
    Word word = slot_word(slot);
    if (word == 0 || word_is_shared(word)) {
        return false;
    }
    POOL_ASSERT(!block_is_shared(word_block(word)));
    if ((word & WORD_SOLE) == 0) {
        block_forget_digest(word_block(word));
        ptr_store_release(slot, (void *)(word | WORD_SOLE));
    }
    return true;
}

/* Drops a reference to a block; the last one unlinks it. */
static void block_drop(Block *block, Reservation *reservation)
{
    if (size_sub_acq_rel(&block->refs, 1) == 1) {
        reservation_put_block(reservation, block);
    }
}

/* Drops a reference to a node; the last one unlinks it and drops those to its
 * children. */
static void node_drop(Node *node, unsigned level, Reservation *reservation)
{
    unsigned i;
    if ((size_sub_acq_rel(&node->refs, 1) & ~NODE_HASHED) != 1) {
        return;
    }
    for (i = 0; i < TREE_SLOTS; i++) {
        void *child = ptr_load_acquire(&node->slot[i]);
        if (child == NULL) {
            continue;
        }
        if (level > 0) {
            node_drop((Node *)child, level - 1, reservation);
        } else {
            block_drop(word_block((Word)child), reservation);
        }
    }
    reservation_put_node(reservation, node);
}

/* Returns a copy of a node with one reference; adds one to each child. */
static Node *node_copy(Node *node, unsigned level, Reservation *reservation)
{
    Node *copy = reservation_take_raw_node(reservation);
    unsigned i;
    size_store_relaxed(&copy->blocks, size_load_relaxed(&node->blocks));
    for (i = 0; i < TREE_SLOTS; i++) {
        if (level > 0) {
            Node *child = (Node *)ptr_load_acquire(&node->slot[i]);
            if (child != NULL) {
                size_add_relaxed(&child->refs, 1);
            }
            ptr_store_release(&copy->slot[i], child);
        } else {
            (void)slot_share(&node->slot[i]);
            ptr_store_release(&copy->slot[i], ptr_load_acquire(&node->slot[i]));
        }
    }
    return copy;
}

/* Returns the node in a slot of a private node (or in the root), for a change below it:
 * after it was allocated or copied if it was missing or shared. */
static inline Node *node_unshare(AtomicPtr *slot, unsigned level,
                                 Reservation *reservation)
{
    Node *node = (Node *)ptr_load_acquire(slot);
    if (node == NULL) {
        node = reservation_take_node(reservation);
        ptr_store_release(slot, node);
    } else if (node_is_shared(node)) {
        Node *copy = node_copy(node, level, reservation);
        ptr_store_release(slot, copy);
        node_drop(node, level, reservation);
        node = copy;
    } else {
        node_open(node);
    }
    return node;
}

/* Returns the leaf of a block, after all nodes on its path were allocated or copied that
 * were missing or shared. */
static Node *tree_unshare_leaf(Tree *tree, size_t index, Reservation *reservation)
{
    AtomicPtr *slot = &tree->root;
    unsigned level = tree_top(tree) + 1;
    Node *node = NULL;
    while (level-- > 0) {
        node = node_unshare(slot, level, reservation);
        slot = node_slot(node, level, index);
    }
    return node;
}

/* Adds to the counts of blocks on the path to a leaf, which is private. */
static void tree_count(Tree *tree, size_t index, size_t added)
{
    Node *node = tree_root(tree);
    unsigned level = tree_top(tree);
    for (;; level--) {
        size_add_relaxed(&node->blocks, added);
        if (level == 0) {
            return;
        }
        node = node_child(node, level, index);
    }
}

/* Returns an upper bound of the nodes that tree_clear needs for a range. */
static size_t tree_measure_clear(const Tree *tree, size_t first, size_t last)
{
    size_t paths = (size_t)tree_path_is_shared(tree, first) +
                   (size_t)tree_path_is_shared(tree, last);
    return paths * (tree_top(tree) + 1);
}

/* Whether a range is all that lies below one node of a level. */
static bool level_covers(unsigned level, size_t first, size_t last)
{
    unsigned bits = (level + 1) * TREE_BITS;
    size_t inside = bits < SIZE_BITS ? ((size_t)1 << bits) - 1 : SIZE_MAX;
    return (first & inside) == 0 && (last & inside) == inside;
}

/* Removes a block from a slot of a private leaf and returns 1; a pinned block is cleared
 * (pinned_size bytes) and stays. Its pin may be released meanwhile: the reference of the
 * slot, the only one, keeps the block alive. */
static size_t slot_clear(AtomicPtr *slot, size_t pinned_size, Reservation *reservation)
{
    Block *block = slot_block(slot);
    if (block == NULL) {
        return 0;
    }
    if (block_is_pinned(block)) {
        data_clear(block->data, pinned_size);
        return 0;
    }
    ptr_store_release(slot, NULL);
    block_drop(block, reservation);
    return 1;
}

/* Removes the blocks first to last, and the nodes that are then empty; returns how many
 * blocks were removed. Pinned blocks, of pinned_size bytes (0: there are none), are
 * cleared and stay. (The path to a pinned block is private, so that there is none below a
 * shared node.) */
static size_t node_clear(AtomicPtr *slot, unsigned level, size_t first, size_t last,
                         size_t pinned_size, Reservation *reservation)
{
    Node *node = (Node *)ptr_load_acquire(slot);
    size_t removed = 0;
    if (!node_has_blocks(node, level, first, last)) {
        return 0;
    }
    if (level_covers(level, first, last) && (pinned_size == 0 || node_is_shared(node))) {
        removed = size_load_relaxed(&node->blocks);
        ptr_store_release(slot, NULL);
        node_drop(node, level, reservation);
        return removed;
    }
    node = node_unshare(slot, level, reservation);
    for (;;) {
        size_t end = checked_min(level_last(level, first), last);
        AtomicPtr *child = node_slot(node, level, first);
        if (level > 0) {
            removed += node_clear(child, level - 1, first, end, pinned_size, reservation);
        } else {
            removed += slot_clear(child, pinned_size, reservation);
        }
        if (end == last) {
            break;
        }
        first = end + 1;
    }
    size_sub_relaxed(&node->blocks, removed);
    if (size_load_relaxed(&node->blocks) == 0) {
        ptr_store_release(slot, NULL);
        node_drop(node, level, reservation);
    }
    return removed;
}

/* The same for a tree. */
static void tree_clear(Tree *tree, size_t first, size_t last, size_t pinned_size,
                       Reservation *reservation)
{
    (void)node_clear(&tree->root, tree_top(tree), first, last, pinned_size, reservation);
}

/* Replaces the root by another one, of which the tree gets the caller's reference, and
 * drops the old one. */
static void tree_replace(Tree *tree, Node *root, unsigned height,
                         Reservation *reservation)
{
    Node *old = tree_root(tree);
    unsigned top = tree_top(tree);
    ptr_store_release(&tree->root, root);
    size_store_relaxed(&tree->height, height);
    if (old != NULL) {
        node_drop(old, top, reservation);
    }
}

/* Makes the block of a slot of another tree (NULL: a hole) that of a slot. */
static void slot_graft(AtomicPtr *slot, AtomicPtr *from, Reservation *reservation,
                       size_t *grown)
{
    Block *old = slot_block(slot), *block = from == NULL ? NULL : slot_block(from);
    if (old == block) {
        return;
    }
    if (block != NULL) {
        slot_set(slot, slot_share(from));
        *grown += 1;
    } else {
        ptr_store_release(slot, NULL);
    }
    if (old != NULL) {
        *grown -= 1;
        block_drop(old, reservation);
    }
}

/* Makes the blocks first to last below a slot those below a node of another tree, at the
 * same level or a lower one (then it covers what begins at 0), and shares the nodes that
 * lie in the range as a whole. Returns by how many the blocks grew, modulo its type's
 * range. */
static size_t node_graft(AtomicPtr *slot, unsigned level, Node *from, unsigned from_level,
                         size_t first, size_t last, Reservation *reservation)
{
    Node *old = (Node *)ptr_load_acquire(slot);
    Node *node;
    size_t grown = 0;
    if (old == from) {
        return 0;
    }
    if ((from == NULL || level == from_level) && level_covers(level, first, last)) {
        if (from != NULL) {
            size_add_relaxed(&from->refs, 1);
            grown = size_load_relaxed(&from->blocks);
        }
        ptr_store_release(slot, from);
        if (old != NULL) {
            grown -= size_load_relaxed(&old->blocks);
            node_drop(old, level, reservation);
        }
        return grown;
    }
    node = node_unshare(slot, level, reservation);
    for (;;) {
        size_t end = checked_min(level_last(level, first), last);
        AtomicPtr *to = node_slot(node, level, first);
        bool lower = from_level < level;
        if (level == 0) {
            slot_graft(to, from == NULL ? NULL : node_slot(from, 0, first), reservation,
                       &grown);
        } else if (from == NULL ||
                   (lower && checked_shift_right(first, level * TREE_BITS) != 0)) {
            grown += node_graft(to, level - 1, NULL, level - 1, first, end, reservation);
        } else {
            grown +=
                node_graft(to, level - 1, lower ? from : node_child(from, level, first),
                           lower ? from_level : level - 1, first, end, reservation);
        }
        if (end == last) {
            break;
        }
        first = end + 1;
    }
    size_add_relaxed(&node->blocks, grown);
    if (size_load_relaxed(&node->blocks) == 0) {
        ptr_store_release(slot, NULL);
        node_drop(node, level, reservation);
    }
    return grown;
}

/* Makes the blocks first to last of a tree those of another one, which keeps them. Takes
 * two nodes a level at most, whatever the range: what lies in it as a whole is shared. */
static void tree_graft(Tree *tree, const Tree *from, size_t first, size_t last,
                       Reservation *reservation)
{
    Node *node = tree_root(from);
    unsigned level = tree_top(from);
    for (; level > tree_top(tree); level--) {
        node = node == NULL ? NULL : node_child(node, level, 0);
    }
    (void)node_graft(&tree->root, tree_top(tree), node, level, first, last, reservation);
}

/* Adds nodes above the root until the tree has that height. Needs one node a level. */
static void tree_raise(Tree *tree, unsigned height, Reservation *reservation)
{
    for (; tree_top(tree) + 1 < height; size_add_relaxed(&tree->height, 1)) {
        Node *root = tree_root(tree);
        if (root != NULL) {
            Node *above = reservation_take_node(reservation);
            size_store_relaxed(&above->blocks, size_load_relaxed(&root->blocks));
            ptr_store_release(&above->slot[0], root);
            ptr_store_release(&tree->root, above);
        }
    }
}

/* Adds a reference to the root and returns it, for tree_replace in another tree. */
static Node *tree_retain_root(const Tree *tree)
{
    Node *root = tree_root(tree);
    if (root != NULL) {
        size_add_relaxed(&root->refs, 1);
    }
    return root;
}
