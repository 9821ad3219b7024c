/* SPDX-License-Identifier: MIT */
/*
 * sole.pml - the mark of a slot that is the sole owner of a block (block.c, tree_edit.c)
 *
 * Three pools share a leaf with one slot, which has the only reference to a block and is
 * marked. A leaf and a block have reference counts; with the last reference they are
 * freed and reused. Each load and each store of a slot of a shared leaf is a step, and so
 * is each change of a count.
 * A pool has one lock, for its stripes and its shape lock; a leaf has none, so that what
 * two pools share is changed under two locks at once.
 *
 *     Writer of pool 0   writes twice
 *     Writer of pool 1   writes, or takes the block of pool 0 (pool_copy); then writes
 *     Third              destroys pool 2; then it may clone pool 0 or 1 anew, write to
 *                        the clone or not, and destroy it
 *     Viewer             holds the block of pool 0 or 1 as a view does
 *
 * Three of them run at once, or all four, of which each then does one thing: the writers
 * write, or take, and pool 2 is destroyed.
 *
 * A writer first makes its leaf private, which copies a shared one. Then it writes in
 * place if the slot is marked, or the block has one reference, else to a new block.
 *
 * No thread writes in place to a block that is in another leaf, or that a view has. In a
 * leaf that is in use a mark means that the block has one reference, after each step. In
 * the end all is destroyed, and no leaf and no block has a reference.
 *
 *  MUTATION NOT_CLEARED         who copies a leaf does not clear the mark in the old one
 *  MUTATION MARK_COPIED         the copy of a leaf has the mark that the old one had
 *  MUTATION CLEARED_LATE        the mark is cleared when the old leaf has been dropped
 *  MUTATION DROPPED_EARLY       the old leaf is dropped before the mark is cleared
 *  MUTATION VIEW_KEEPS_MARK     a view does not clear the mark
 *  MUTATION GRAFT_KEEPS_MARK    pool_copy does not clear the mark in the source
 *  MUTATION ADDED_BEFORE        a reference is added before the mark is cleared
 *  MUTATION OWNS_BLINDLY        a slot is marked without a look at the count
 *  MUTATION SHARED_LEAF         a marked slot of a shared leaf is written through
 *  MUTATION REPLACED_STAYS      a block that was replaced in a slot keeps its reference
 *  MUTATION COPIED_NOT_ADDED    the copy of a leaf adds no reference to its block
 */
#define POOLS 3
#define LEAVES 5
#define BLOCKS 6
#define SOLE 8 /* the mark in a word; the rest is the number of a block */
#define NONE 7

byte leaf_refs[LEAVES], word[LEAVES];
byte block_refs[BLOCKS], views[BLOCKS];
byte leaf[POOLS]; /* the tree of each pool; NONE: it was destroyed */
bool locked[POOLS];
byte running; /* threads that have not finished */
bool once;    /* all four run, and do one thing each */

#define block_of(w) ((w) & (SOLE - 1))
#define is_sole(w) (((w) & SOLE) != 0)

#define acquire(p) !locked[p]; locked[p] = true

/* Takes the first free leaf, so that leaves are soon reused; so for blocks. */
inline take_leaf(l)
{
    d_step {
        l = 0;
        do
        :: l < LEAVES && leaf_refs[l] > 0 -> l++
        :: else -> break
        od;
        assert(l < LEAVES);
        leaf_refs[l] = 1;
        word[l] = NONE
    }
}

inline take_block(b)
{
    d_step {
        b = 0;
        do
        :: b < BLOCKS && block_refs[b] > 0 -> b++
        :: else -> break
        od;
        assert(b < BLOCKS);
        block_refs[b] = 1
    }
}

inline block_drop(b)
{
    d_step {
        assert(block_refs[b] > 0);
        block_refs[b]--
    }
}

/* The last reference drops that to the block, which the leaf keeps until then. */
inline node_drop(l)
{
    atomic {
        assert(leaf_refs[l] > 0);
        if
        :: leaf_refs[l] > 1 -> leaf_refs[l]--
        :: else -> leaf_refs[l] = 0; block_drop(block_of(word[l])); word[l] = NONE
        fi
    }
}

inline reference_add(b)
{
    d_step {
        assert(block_refs[b] > 0);
        block_refs[b]++
    }
}

/* The load of the word and the store without the mark are two steps. */
inline slot_clear_sole(l)
{
    w = word[l];
    d_step {
        if
        :: is_sole(w) -> w = w - SOLE; word[l] = w
        :: else
        fi
    }
}

inline slot_share(l)
{
#ifdef ADDED_BEFORE
    reference_add(block_of(word[l]));
    slot_clear_sole(l)
#else
    slot_clear_sole(l);
    reference_add(block_of(w))
#endif
}

#if defined(NOT_CLEARED) || defined(CLEARED_LATE)
#define node_copy(old, copy)                                                           \
    w = block_of(word[old]);                                                           \
    reference_add(w);                                                                  \
    word[copy] = w
#elif defined(DROPPED_EARLY)
#define node_copy(old, copy)                                                           \
    node_drop(old);                                                                    \
    slot_share(old);                                                                   \
    word[copy] = w
#elif defined(MARK_COPIED)
#define node_copy(old, copy)                                                           \
    word[copy] = word[old];                                                            \
    slot_share(old)
#elif defined(COPIED_NOT_ADDED)
#define node_copy(old, copy)                                                           \
    slot_clear_sole(old);                                                              \
    word[copy] = w
#else
#define node_copy(old, copy)                                                           \
    slot_share(old);                                                                   \
    word[copy] = word[old]
#endif

#ifdef SHARED_LEAF
#define must_copy(l) (leaf_refs[l] > 1 && !is_sole(word[l]))
#else
#define must_copy(l) (leaf_refs[l] > 1)
#endif

/* Makes the leaf of a pool private. */
inline tree_unshare_leaf(p)
{
    if
    :: must_copy(leaf[p]) ->
        atomic { old = leaf[p]; take_leaf(copy) };
        node_copy(old, copy);
        atomic {
            leaf[p] = copy;
            copy = NONE;
#ifndef DROPPED_EARLY
            node_drop(old)
#endif
        };
#ifdef CLEARED_LATE
        slot_clear_sole(old)
#endif
    :: else
    fi
}

/* Makes a block that of the slot of a private leaf, in place of what it had. */
inline slot_replace(l, new_word)
{
    atomic {
        old = block_of(word[l]);
        word[l] = new_word;
#ifndef REPLACED_STAYS
        block_drop(old)
#endif
    }
}

#ifdef OWNS_BLINDLY
#define may_be_owned(b) true
#else
#define may_be_owned(b) (block_refs[b] == 1)
#endif

#define shows(l, b) (leaf_refs[l] > 0 && block_of(word[l]) == (b))

inline write_in_place(l)
{
    assert(block_refs[block_of(word[l])] > 0);
    assert(views[block_of(word[l])] == 0);
    assert(leaf_refs[l] == 1);
    assert(shows(0, block_of(word[l])) + shows(1, block_of(word[l])) +
           shows(2, block_of(word[l])) + shows(3, block_of(word[l])) +
           shows(4, block_of(word[l])) == 1)
}

/* slot_owns and slot_put. */
inline write(p)
{
    atomic { acquire(p) };
    tree_unshare_leaf(p);
    if
    :: is_sole(word[leaf[p]])
    :: !is_sole(word[leaf[p]]) && may_be_owned(block_of(word[leaf[p]])) ->
        word[leaf[p]] = word[leaf[p]] | SOLE
    :: else ->
        take_block(fresh);
        slot_replace(leaf[p], fresh | SOLE)
    fi;
    d_step {
        write_in_place(leaf[p]);
        old = 0;
        w = 0;
        fresh = 0;
        locked[p] = false
    }
}

/* A pool takes the block of an older one: the slot of the leaf becomes the same. */
inline copy_from(p, from)
{
    atomic { acquire(from) };
    atomic { acquire(p) };
    tree_unshare_leaf(p);
    if
    :: block_of(word[leaf[p]]) != block_of(word[leaf[from]]) ->
#ifdef GRAFT_KEEPS_MARK
        w = block_of(word[leaf[from]]);
        reference_add(w);
#else
        slot_share(leaf[from]);
#endif
        slot_replace(leaf[p], w)
    :: else
    fi;
    d_step { old = 0; w = 0; locked[p] = false; locked[from] = false }
}

inline destroy(p)
{
    if
    :: leaf[p] != NONE ->
        atomic { node_drop(leaf[p]); leaf[p] = NONE }
    :: else
    fi
}

inline clone(p, from)
{
    atomic {
        !locked[from];
        leaf[p] = leaf[from];
        leaf_refs[leaf[p]]++
    }
}

inline view(p)
{
    atomic { acquire(p) };
#ifdef VIEW_KEEPS_MARK
    w = block_of(word[leaf[p]]);
    reference_add(w);
#else
    slot_share(leaf[p]);
#endif
    d_step {
        views[w]++;
        locked[p] = false
    };
    atomic { views[w]--; block_drop(w); w = 0 } /* it is released, without a lock */
}

#define has_references                                                                 \
    (leaf_refs[0] + leaf_refs[1] + leaf_refs[2] + leaf_refs[3] + leaf_refs[4] +        \
     block_refs[0] + block_refs[1] + block_refs[2] + block_refs[3] + block_refs[4] +   \
     block_refs[5] > 0)

/* The last thread destroys the pools that are left. */
inline finish()
{
    atomic {
        running--;
        if
        :: running == 0 ->
            destroy(0);
            destroy(1);
            destroy(2);
            assert(!has_references)
        :: else
        fi
    }
}

proctype Writer(byte me)
{
    byte old, w, fresh, copy = NONE;
    if
    :: write(me)
    :: me == 1 -> copy_from(1, 0)
    fi;
    if
    :: !once -> write(me)
    :: else
    fi;
    finish()
}

proctype Third()
{
    byte old, w, fresh, copy = NONE, from;
    destroy(2);
    if
    :: !once -> from = 0
    :: !once -> from = 1
    :: from = NONE
    fi;
    if
    :: from != NONE ->
        clone(2, from);
        if
        :: write(2)
        :: true
        fi;
        destroy(2)
    :: else
    fi;
    finish()
}

proctype Viewer()
{
    byte old, w, pool;
    if
    :: pool = 0
    :: pool = 1
    fi;
    view(pool);
    finish()
}

#define mark_is_wrong(l)                                                               \
    (leaf_refs[l] > 0 && is_sole(word[l]) && block_refs[block_of(word[l])] != 1)

proctype Monitor()
{
end:
    atomic {
        mark_is_wrong(0) || mark_is_wrong(1) || mark_is_wrong(2) || mark_is_wrong(3) ||
            mark_is_wrong(4) ->
        assert(false)
    }
}

init
{
    atomic {
        leaf_refs[0] = 3;
        word[0] = SOLE;
        word[1] = NONE;
        word[2] = NONE;
        word[3] = NONE;
        word[4] = NONE;
        block_refs[0] = 1;
        run Monitor();
        run Writer(0);
        running = 3;
        if
        :: run Writer(1); run Third()
        :: run Writer(1); run Viewer()
        :: run Third(); run Viewer()
        :: running = 4; once = true; run Writer(1); run Third(); run Viewer()
        fi
    }
}
