/* SPDX-License-Identifier: MIT */
/*
 * tree.h - the tree of blocks, and changing it
 */
#ifndef POOL_TREE_H
#define POOL_TREE_H

#include "../memory/memory.h"

/* ----------------------------------------------------------------------- reservation */

/* A node has 2^TREE_BITS slots: why so many, says tree.c. */
enum { TREE_BITS = 5, TREE_SLOTS = 1 << TREE_BITS };

/* A node of the tree, see tree.c. */
typedef struct Node {
    AtomicSize refs;            /* and NODE_HASHED                                   */
    AtomicSize blocks;          /* blocks below this node; the mark of a free item   */
    AtomicPtr slot[TREE_SLOTS]; /* Node, or Word at the lowest level; NULL: a hole   */
    Digest digest;              /* of all that is below it, if it is marked as such  */
} Node;

/* The mark of a node with a digest. Whoever changes what is below the node takes it off
 * first, see node_open. */
#define NODE_HASHED (SIZE_MAX / 2 + 1)

/* Blocks and nodes that a call has allocated for a change, and those that the change has
 * unlinked; see reservation.c. */
typedef struct Reservation {
    Block *blocks;       /* allocated; linked by as.next               */
    Block *unlinked;     /* to be freed; likewise                      */
    Node *nodes;         /* both; linked by slot[0]                    */
    Adoption *released;  /* to be released after all locks             */
    Block *run;          /* blocks that follow each other, the caller's */
    size_t replacements; /* of those, see ReservationRun              */
    Trace trace;         /* all of them, if a profiler runs           */
} Reservation;

/* What a change needs, or an upper bound. A block that replaces another is written to in
 * full, by the copy; of one that replaces a hole only what the call writes becomes
 * resident. */
typedef struct Need {
    size_t blocks, nodes;
    size_t holes;   /* of the blocks, those that replace holes     */
    size_t written; /* bytes that the call writes, to all of these */
} Need;

/* Blocks that follow each other, allocated beside that; see arena_alloc_run. */
typedef struct ReservationRun {
    size_t blocks;
    size_t replacements; /* of them, those that replace a block which the call frees */
    size_t copied;       /* of them, those that are not left untouched                */
} ReservationRun;

/* It does not pay to make fewer bytes resident by a system call. */
enum { POPULATE_MIN = 65536 };

/* From so many bytes on, copying, clearing or wiping takes too long to keep the
 * interpreter's lock meanwhile. */
enum { RESERVATION_LONG = 1 << 20 };

/* reservation.c */
static void reservation_put_block(Reservation *reservation, Block *block);
static void reservation_put_node(Reservation *reservation, Node *node);
static Block *reservation_take_block(Reservation *reservation);
static Node *reservation_take_raw_node(Reservation *reservation);
static Node *reservation_take_node(Reservation *reservation);
static void reservation_empty(Reservation *reservation, Arena *arena);
static PoolStatus reservation_fill(Reservation *reservation, Arena *arena, Need need);
static PoolStatus reservation_fill_run(Reservation *reservation, Arena *arena, Need need,
                                       ReservationRun run);
static void reservation_populate(const Reservation *reservation, size_t block_size,
                                 bool edges);
static void reservation_release_adopted(Reservation *reservation);

/* ------------------------------------------------------------------------------ tree */

/* The blocks of a pool, by their index; see tree.c. */
typedef struct Tree {
    AtomicPtr root;    /* Node; NULL: all is a hole  */
    AtomicSize height; /* levels of nodes, 1 or more */
} Tree;

/* A search for the first run of indexes at which two trees have different blocks. */
typedef struct TreeRun {
    size_t last;       /* where the search ends                                  */
    bool by_state;     /* the run ends where the state of the blocks changes     */
    bool start_only;   /* its end is not looked for                              */
    size_t state;      /* 0: none was found; else 1, or by state: 1 + the state  */
    size_t first, end; /* what was found; end is last + 1 if it goes on to last  */
} TreeRun;

/* tree.c */
static unsigned tree_height(size_t blocks);
static unsigned tree_top(const Tree *tree);
static Node *tree_root(const Tree *tree);
static AtomicPtr *node_slot(Node *node, unsigned level, size_t index);
static Node *node_child(Node *node, unsigned level, size_t index);
static bool node_is_shared(Node *node);
static bool node_is_hashed(Node *node);
static void node_open(Node *node);
static Word slot_word(AtomicPtr *slot);
static Block *slot_block(AtomicPtr *slot);
static Block *leaf_block(Node *leaf, size_t index);
static bool block_is_pinned(Block *block);
static bool block_is_shared(Block *block);
static bool word_is_shared(Word word);
static size_t level_last(unsigned level, size_t index);
static Node *tree_leaf(const Tree *tree, size_t index);
static bool tree_leaf_optimistic(const Tree *tree, size_t index,
                                 const OptimisticRead *read, bool private_only, bool low,
                                 Node **leaf);
static Node *tree_private_leaf(const Tree *tree, size_t index);
static AtomicPtr *tree_slot(const Tree *tree, size_t index);
static Block *tree_block(const Tree *tree, size_t index);
static bool tree_path_is_shared(const Tree *tree, size_t index);
static bool tree_find_run(const Tree *tree, const Tree *other, size_t first,
                          TreeRun *run);
static bool node_has_blocks(Node *node, unsigned level, size_t first, size_t last);
static size_t tree_blocks(const Tree *tree);
static size_t tree_private_blocks(const Tree *tree);

/* tree_edit.c */
static Need tree_measure(const Tree *tree, size_t first, size_t last);
static Need tree_measure_next(const Tree *tree, size_t first, size_t last,
                              size_t *last_done);
static size_t nodes_between(unsigned level, size_t first, size_t last);
static void slot_set(AtomicPtr *slot, const Block *block);
static void slot_set_sole(AtomicPtr *slot, Block *block);
static Word slot_clear_sole(AtomicPtr *slot);
static Block *slot_share(AtomicPtr *slot);
static bool slot_owns(AtomicPtr *slot);
static void block_drop(Block *block, Reservation *reservation);
static Node *tree_unshare_leaf(Tree *tree, size_t index, Reservation *reservation);
static void tree_count(Tree *tree, size_t index, size_t added);
static size_t tree_measure_clear(const Tree *tree, size_t first, size_t last);
static void tree_clear(Tree *tree, size_t first, size_t last, size_t pinned_size,
                       Reservation *reservation);
static void tree_replace(Tree *tree, Node *root, unsigned height,
                         Reservation *reservation);
static void tree_graft(Tree *tree, const Tree *from, size_t first, size_t last,
                       Reservation *reservation);
static void tree_raise(Tree *tree, unsigned height, Reservation *reservation);
static Node *tree_retain_root(const Tree *tree);

#endif /* POOL_TREE_H */
