/*
 * tree.c - the persistent radix tree that a pool is
 *
 *     root ──► node ─┬► node ─┬► leaf ─┬► block     height 3: the index of a block is
 *                    │        │        ├► (hole)    three digits of TREE_BITS each
 *                    │        │        └► block
 *                    │        └► (hole)
 *                    └► node ◄── another pool's tree may share any of these
 *
 * Nodes and blocks count their references: each slot that points to one is a reference,
 * each root is, and so is each view of a block. A node is PRIVATE to a tree if it and all
 * nodes above it have one reference; it may then be changed in place. A node that is not
 * is copied first (the copy takes a reference on each child), and its whole path with it.
 * So a clone is one more reference to the root, and two trees are equal wherever they
 * share a node. A node that holds no block is removed: a tree grows with its blocks only.
 *
 * TREE_BITS: a node of 2^TREE_BITS slots is a trade between short walks (large) and cheap
 * copies of paths and little memory for isolated blocks (small); docs/design.md has the
 * measurements.
 *
 * Locks: the caller holds, of the pool whose tree it is,
 *     tree_watch_leaf                              nothing
 *     tree_leaf, tree_private_leaf, tree_measure   the stripes of the blocks named
 *     tree_own_leaf, tree_count                    the same, if no node is to be made
 *     everything else                              the whole pool
 * The trees of relatives need no lock: what they share with this one is not private to
 * them either, and so is never changed, and the reference held from here keeps it alive.
 */
typedef struct Tree {
    AtomicPtr root;    /* Node; NULL: all is a hole  */
    AtomicSize height; /* levels of nodes, 1 or more */
} Tree;

/* The levels needed for so many blocks. */
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

/* The slot of a node at a level (0: leaf) on the way to a block. */
static inline AtomicPtr *node_slot(Node *node, unsigned level, size_t index)
{
    return &node->slot[(index >> (level * TREE_BITS)) & (TREE_SLOTS - 1)];
}

static inline Node *node_child(Node *node, unsigned level, size_t index)
{
    return (Node *)ptr_load_acquire(node_slot(node, level, index));
}

static inline bool node_is_shared(Node *node)
{
    return size_load_acquire(&node->refs) > 1;
}

static inline Block *leaf_block(Node *leaf, size_t index)
{
    return (Block *)ptr_load_acquire(node_slot(leaf, 0, index));
}

static inline bool block_is_pinned(Block *block)
{
    return ptr_load_acquire(&block->as.pin) != NULL;
}

/* Whether anybody but one slot holds it. A pin has no reference beside the slot's. */
static inline bool block_has_others(Block *block)
{
    return size_load_acquire(&block->refs) > 1;
}

/* Whether it must be copied before it is written to. */
static inline bool block_is_shared(Block *block)
{
    return block_is_adopted(block) || block_has_others(block);
}

/* The last index that lies below the same slot of a node at this level as index does. */
static inline size_t level_last(unsigned level, size_t index)
{
    return index | (((size_t)1 << (level * TREE_BITS)) - 1);
}

/* ------------------------------------------------------------------- looking */

/* The leaf in which a block has its slot, or NULL. */
static inline Node *tree_leaf(const Tree *tree, size_t index)
{
    Node *node = tree_root(tree);
    unsigned level = tree_top(tree);
    for (; node != NULL && level > 0; level--) {
        node = node_child(node, level, index);
    }
    return node;
}

/* The same for a reader that only watches; false if it must start over. With own set, a
 * leaf that is not private counts as none. Each node is asked once whether it is shared: a
 * relative that goes may change the answer at any time. */
static ALWAYS_INLINE bool tree_watch_leaf(const Tree *tree, size_t index,
                                          const Watch *watch, bool own, Node **leaf)
{
    Node *node = tree_root(tree);
    unsigned bits = tree_top(tree) * TREE_BITS;
    *leaf = NULL;
    while (node != NULL && !(own && node_is_shared(node))) {
        if (bits == 0) {
            *leaf = node;
            break;
        }
        node = (Node *)ptr_load_acquire(&node->slot[(index >> bits) & (TREE_SLOTS - 1)]);
        if (!watch_shape(watch)) { /* the root needs no look: it is a node, or was one */
            return false;
        }
        bits -= TREE_BITS;
    }
    return true;
}

/* The same if it is private to the tree, else NULL. */
static inline Node *tree_private_leaf(const Tree *tree, size_t index)
{
    Node *node = tree_root(tree);
    unsigned level = tree_top(tree);
    for (; node != NULL && !node_is_shared(node); level--) {
        if (level == 0) {
            return node;
        }
        node = node_child(node, level, index);
    }
    return NULL;
}

static Block *tree_block(const Tree *tree, size_t index)
{
    Node *leaf = tree_leaf(tree, index);
    return leaf == NULL ? NULL : leaf_block(leaf, index);
}

/* Whether a node on the way to a block, as far as there are any, is shared. */
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

/* Slots of no node. */
static AtomicPtr tree_holes[TREE_SLOTS];

/* The slots of a node, or holes; all of its cache lines are asked for at once. */
static inline AtomicPtr *node_slots(Node *node)
{
    size_t at;
    for (at = 0; node != NULL && at < sizeof *node; at += CACHE_LINE) {
        cpu_prefetch((unsigned char *)node + at);
    }
    return node == NULL ? tree_holes : node->slot;
}

/* Finds the first index at or after from where two nodes of one level, of which either
 * may be NULL, hold different blocks. With other == NULL: the first block. */
static bool node_find(Node *node, Node *other, unsigned level, size_t from, size_t *found)
{
    unsigned bits = level * TREE_BITS;
    unsigned i = (unsigned)(from >> bits) & (TREE_SLOTS - 1);
    AtomicPtr *slots, *others;
    if (node == other) {
        return false;
    }
    slots = node_slots(node);
    others = node_slots(other);
    for (;;) {
        void *a = ptr_load_acquire(&slots[i]);
        void *b = ptr_load_acquire(&others[i]);
        if (a != b && level == 0) {
            *found = from;
            return true;
        }
        if (a != b && node_find((Node *)a, (Node *)b, level - 1, from, found)) {
            return true;
        }
        if (++i == TREE_SLOTS) {
            return false;
        }
        from = ((from >> bits) + 1) << bits; /* may wrap where no slot is used any more */
    }
}

/* Whether an index lies below a node of that level that begins at 0. */
static inline bool level_reaches(unsigned level, size_t index)
{
    return checked_shift_right(index, (level + 1) * TREE_BITS) == 0;
}

/* The same for nodes that both begin at 0 but whose levels may differ: beyond the lower
 * one there are only holes. */
static bool node_find_any(Node *node, unsigned level, Node *other, unsigned other_level,
                          size_t from, size_t *found)
{
    size_t last;
    if (level < other_level) {
        return node_find_any(other, other_level, node, level, from, found);
    }
    if (!level_reaches(level, from)) {
        return false;
    }
    if (level == other_level) {
        return node_find(node, other, level, from, found);
    }
    if (node == NULL) {
        return node_find_any(NULL, other_level, other, other_level, from, found);
    }
    last = level_last(level, 0);
    if (from <= last) {
        if (node_find_any(node_child(node, level, 0), level - 1, other, other_level, from,
                          found)) {
            return true;
        }
        from = last + 1;
    }
    return node_find(node, NULL, level, from, found);
}

/* The same for whole trees; without another (NULL) the first block. */
static bool tree_find(const Tree *tree, const Tree *other, size_t from, size_t *found)
{
    if (other == NULL) {
        return node_find(tree_root(tree), NULL, tree_top(tree), from, found);
    }
    return node_find_any(tree_root(tree), tree_top(tree), tree_root(other),
                         tree_top(other), from, found);
}

/* Whether two trees (other may be NULL) hold different blocks at index. */
static bool tree_differs(const Tree *tree, const Tree *other, size_t index)
{
    Node *a = level_reaches(tree_top(tree), index) ? tree_leaf(tree, index) : NULL;
    Node *b = other != NULL && level_reaches(tree_top(other), index)
                  ? tree_leaf(other, index)
                  : NULL;
    return a != b && (a == NULL ? NULL : leaf_block(a, index)) !=
                         (b == NULL ? NULL : leaf_block(b, index));
}

/* What the block at index, of which there must be one, is: flags of PoolKind. */
static size_t tree_kind(const Tree *tree, size_t index)
{
    Block *block = tree_block(tree, index);
    size_t kind = block_is_adopted(block) ? POOL_KIND_ADOPTED : 0;
    if (block_is_pinned(block)) {
        kind |= POOL_KIND_PINNED;
    } else if (tree_path_is_shared(tree, index) || block_has_others(block)) {
        kind |= POOL_KIND_SHARED;
    }
    return kind;
}

static size_t tree_blocks(const Tree *tree)
{
    Node *root = tree_root(tree);
    return root == NULL ? 0 : size_load_relaxed(&root->blocks);
}

/* How many blocks below a node nobody else holds. */
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
        } else if (child != NULL && !block_has_others((Block *)child)) {
            blocks++;
        }
    }
    return blocks;
}

static size_t tree_private_blocks(const Tree *tree)
{
    return node_private_blocks(tree_root(tree), tree_top(tree));
}
