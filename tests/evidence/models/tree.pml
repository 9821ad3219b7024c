/*
 * tree.pml - readers, writers and clones on a tree whose nodes and blocks are reused
 *
 * Pool 0 and a clone of it. A tree covers two blocks: by a leaf, or, once it was raised, by
 * a node above it. Nodes and blocks have reference counts; with the last reference they are
 * freed and reused at once, with other contents: a node becomes part of the free list, a
 * leaf takes the place of a block. Each step that follows a pointer asserts what the
 * pointer must point to; only the reader's check of the shape lock saves it from a dangling
 * one.
 *
 *     Writer   writes to both blocks of pool 0: under the stripes if the tree is private
 *              (and copies a block that a view holds), else with the exclusive lock
 *     Cloner   clones pool 0; then restores it from the clone, discards all, raises the
 *              tree, or does nothing; then writes to the clone, raises and destroys it, so
 *              that what pool 0 has freed is used for another purpose
 *     Viewer   holds a block as a view does
 *     Reader   reads both blocks of pool 0 optimistically, then under a lock if it must;
 *              they must be equal, and none may be of the clone
 *     Quick    writes to one block of pool 0 as small writes do: it finds the leaf without
 *              a lock, then locks the stripe and checks the shape lock; what it then writes
 *              to must be in the tree, and private
 *
 * Three of them run at once; all together have too many states. What the cloner does to the
 * clone is one step for each call, because no other thread uses it.
 *
 *  MUTATION NO_CHECK_OF_BLOCK   a block's pointer is followed without a check of the shape lock
 *  MUTATION NO_CHECK_OF_NODE    a leaf's pointer is
 *  MUTATION NO_SHAPE_AT_END     the reader's validation is of the stripes only
 *  MUTATION NO_STRIPES_AT_END   the reader's validation is of the shape lock only
 *  MUTATION SHAPE_BY_STRIPES    nodes are copied and linked without the shape lock
 *  MUTATION DISCARD_BY_STRIPES  a tree is emptied without the shape lock
 *  MUTATION CLONE_BY_STRIPES    a clone adds its reference without the shape lock
 *  MUTATION RESTORE_BY_STRIPES  a pool is restored from its clone without the shape lock
 *  MUTATION VIEW_NOT_COUNTED    a view does not count as a reference to the block
 *  MUTATION VIEW_WITHOUT_STRIPE a view adds its reference without the stripe
 *  MUTATION WRITE_TO_SHARED     a write does not copy a shared block
 *  MUTATION QUICK_WITHOUT_LOOK  a quick write does not check the shape lock under the stripe
 *  MUTATION QUICK_TO_SHARED     a quick write uses a shared leaf
 *  MUTATION QUICK_TO_VIEWED     a quick write uses a shared block
 *  MUTATION QUICK_ASKS_TWICE    a quick write stops at a shared node, and reads its count
 *                               again before it takes it for a leaf
 */
#include "pool_lock.pml"

#define NODES 6
#define BLOCKS 8
#define NONE 0
/* Pointers: 1 .. NODES are nodes, larger ones are blocks. */
#define is_node(p) ((p) >= 1 && (p) <= NODES)
#define is_block(p) ((p) > NODES)

typedef Node {
    byte refs;
    byte slot[2]
}
Node node[NODES + 1];
byte free_node; /* the first free node; linked by slot[0] */
byte block_refs[NODES + BLOCKS + 1];
byte data[NODES + BLOCKS + 1];
/* Of pool 0. The clone's are its only user's own, and its locks are left out. */
byte root;
byte height = 1;

/* -------------------------------------- allocating and freeing, under the arena's lock */

inline take_node(n)
{
    atomic {
        n = free_node;
        assert(is_node(n));
        free_node = node[n].slot[0];
        node[n].slot[0] = NONE;
        node[n].slot[1] = NONE;
        node[n].refs = 1
    }
}

/* Allocates the free block with the lowest number, so that blocks are soon reused. */
inline take_block(b)
{
    d_step {
        b = NODES + 1;
        do
        :: b <= NODES + BLOCKS && block_refs[b] > 0 -> b++
        :: else -> break
        od;
        assert(b <= NODES + BLOCKS);
        block_refs[b] = 1
    }
}

inline drop_block(b)
{
    d_step {
        assert(block_refs[b] > 0);
        block_refs[b]--
    }
}

/* The same for a node and, with its last reference, for what is below it. One step: all
 * of it was taken out of reach before. */
inline drop_child(c)
{
    if
    :: is_node(c) ->
        node[c].refs--;
        if
        :: node[c].refs == 0 -> drop_leaf(c)
        :: else
        fi
    :: is_block(c) -> block_refs[c]--
    :: else
    fi
}

inline drop_leaf(l)
{
    if
    :: node[l].slot[0] != NONE -> block_refs[node[l].slot[0]]--
    :: else
    fi;
    if
    :: node[l].slot[1] != NONE -> block_refs[node[l].slot[1]]--
    :: else
    fi;
    node[l].slot[0] = free_node;
    free_node = l
}

byte child;

/* What is below is freed last and allocated first, so that roles change. */
inline drop_node(n)
{
    d_step {
        if
        :: n != NONE ->
            assert(node[n].refs > 0);
            node[n].refs--;
            if
            :: node[n].refs == 0 ->
                child = node[n].slot[0];
                node[n].slot[0] = free_node;
                free_node = n;
                drop_child(child);
                drop_child(node[n].slot[1]);
                child = NONE
            :: else
            fi
        :: else
        fi;
        n = NONE
    }
}

/* ---------------------------------------------------------------- editing a tree */

/* Makes the node in a slot of a private node, or in the root, exist and be private; n is
 * it afterwards. old and i are for its use. */
inline own_node(at)
{
    n = at;
    if
    :: n == NONE ->
        take_node(n);
        at = n
    :: n != NONE && node[n].refs > 1 ->
        old = n;
        take_node(n);
        atomic { copy_slot(0); copy_slot(1) };
        at = n;
        drop_node(old)
    :: else
    fi
}

inline copy_slot(i)
{
    d_step {
        node[n].slot[i] = node[old].slot[i];
        if
        :: is_node(node[n].slot[i]) -> node[node[n].slot[i]].refs++
        :: is_block(node[n].slot[i]) -> block_refs[node[n].slot[i]]++
        :: else
        fi
    }
}

/* Writes to one block, through the leaf n. */
inline put(i, what)
{
    b = node[n].slot[i];
    if
#ifdef WRITE_TO_SHARED
    :: b != NONE -> data[b] = what
#else
    :: b != NONE && block_refs[b] == 1 -> data[b] = what
#endif
    :: else ->
        take_block(fresh);
        data[fresh] = what;
        node[n].slot[i] = fresh;
        if
        :: b != NONE -> drop_block(b)
        :: else
        fi;
        fresh = NONE
    fi;
    b = NONE
}

/* Writes to both blocks of a tree. */
inline put_both(its, levels, one, other)
{
    own_node(its);
    if
    :: levels == 2 ->
        top = n;
        own_node(node[top].slot[0]);
        top = NONE
    :: else
    fi;
    put(0, one);
    put(1, other);
    n = NONE
}

/* Puts a node on top. */
inline raise(its, levels)
{
    if
    :: levels == 1 && its != NONE ->
        take_node(n);
        node[n].slot[0] = its;
        its = n;
        levels = 2;
        n = NONE
    :: else
    fi
}

/* Gives a tree another root, with one more reference to it. */
inline replace(its, levels, with, with_levels)
{
    if
    :: with != NONE -> node[with].refs++
    :: else
    fi;
    old = its;
    its = with;
    levels = with_levels;
    drop_node(old)
}

/* ----------------------------------------------------------------------- threads */

/* One step: the stripes are held meanwhile, and a relative can only make what is shared
 * private. */
#define path_is_private                                                                \
    (root != NONE && node[root].refs == 1 &&                                           \
     (height == 1 || (node[root].slot[0] != NONE && node[node[root].slot[0]].refs == 1)))

proctype Writer(byte writes)
{
    byte n, old, top, b, fresh, value;
    do
    :: value < writes ->
        value++;
        lock_range(0, 0, 1);
        if
#ifdef SHAPE_BY_STRIPES
        :: true ->
#else
        :: path_is_private ->
#endif
            put_both(root, height, value, value);
            unlock_range(0, 0, 1)
        :: else ->
            unlock_range(0, 0, 1);
            lock_exclusive(0);
            put_both(root, height, value, value);
            unlock_exclusive(0)
        fi
    :: else -> break
    od
}

proctype Cloner()
{
    byte n, old, top, b, fresh, its_root, its_height = 1;
#ifdef CLONE_BY_STRIPES
    lock_range(0, 0, 1);
    replace(its_root, its_height, root, height);
    unlock_range(0, 0, 1);
#else
    lock_exclusive(0);
    replace(its_root, its_height, root, height);
    unlock_exclusive(0);
#endif
#if defined(DISCARD_BY_STRIPES)
    lock_range(0, 0, 1);
    replace(root, height, NONE, height);
    unlock_range(0, 0, 1);
#elif defined(RESTORE_BY_STRIPES)
    lock_range(0, 0, 1);
    replace(root, height, its_root, its_height);
    unlock_range(0, 0, 1);
#else
    lock_exclusive(0);
    if
    :: true -> replace(root, height, its_root, its_height)
    :: true -> replace(root, height, NONE, height)
    :: true -> raise(root, height)
    :: true
    fi;
    unlock_exclusive(0);
#endif
    atomic { put_both(its_root, its_height, 8, 9) };
    atomic { raise(its_root, its_height) };
    atomic { replace(its_root, its_height, NONE, 1) }
}

/* The block below the leaf of pool 0, for a thread that holds its stripe. */
#define its_leaf (height == 2 && root != NONE -> node[root].slot[0] : root)

proctype Viewer()
{
    byte n, b, seen;
#ifndef VIEW_WITHOUT_STRIPE
    lock_range(0, 0, 0);
#endif
    n = its_leaf;
    if
    :: n != NONE ->
        b = node[n].slot[0];
        if
        :: is_block(b) ->
#ifndef VIEW_NOT_COUNTED
            block_refs[b]++;
#endif
            seen = data[b]
        :: else
        fi
    :: else
    fi;
#ifndef VIEW_WITHOUT_STRIPE
    unlock_range(0, 0, 0);
#endif
    if
    :: is_block(b) ->
        assert(data[b] == seen && seen < 8);
#ifndef VIEW_NOT_COUNTED
        drop_block(b)
#endif
    :: else
    fi
}

/* A check of the shape lock between the load of a pointer and its use. */
inline check_shape()
{
    if
    :: !optimistic_validate_shape(shape) -> goto with_stripes
    :: else
    fi
}

inline get(i)
{
    b = node[n].slot[i];
#ifndef NO_CHECK_OF_BLOCK
    check_shape();
#endif
    if
    :: b != NONE ->
        assert(is_block(b));
        got[i] = data[b]
    :: else
    fi;
    b = NONE
}

proctype Reader()
{
    byte shape, sum, again, first, n, level, b, got[2];
    shape = optimistic_begin_shape;
    n = root;
    level = height - 1; /* of another tree, maybe; no harm before the next look */
    if
    :: n != NONE && level == 1 ->
        assert(is_node(n));
        n = node[n].slot[0];
#ifndef NO_CHECK_OF_NODE
        check_shape();
#endif
    :: else
    fi;
    optimistic_sum(sum, first);
    if
    :: odd(sum) -> goto with_stripes
    :: else
    fi;
    if
    :: n != NONE ->
        assert(is_node(n));
        get(0);
        get(1)
    :: else
    fi;
#ifndef NO_SHAPE_AT_END
    check_shape();
#endif
#ifndef NO_STRIPES_AT_END
    optimistic_sum(again, first);
    if
    :: sum != again -> goto with_stripes
    :: else
    fi;
#endif
    assert(got[0] == got[1] && got[0] < 8);
    goto done;

with_stripes:
    skip;
    d_step { got[0] = 0; got[1] = 0; shape = 0; sum = 0; again = 0; level = 0; b = 0 };
    lock_range(0, 0, 1);
    n = its_leaf;
    if
    :: n != NONE ->
        assert(is_node(n));
        if
        :: node[n].slot[0] != NONE ->
            assert(is_block(node[n].slot[0]));
            got[0] = data[node[n].slot[0]]
        :: else
        fi;
        if
        :: node[n].slot[1] != NONE ->
            assert(is_block(node[n].slot[1]));
            got[1] = data[node[n].slot[1]]
        :: else
        fi
    :: else
    fi;
    assert(got[0] == got[1] && got[0] < 8);
    unlock_range(0, 0, 1);
done:
    skip
}

/* What a quick write may count on once it has the stripe. */
#define is_its_own(b)                                                                  \
    (path_is_private && block_refs[b] == 1 &&                                          \
     node[(height == 2 -> node[root].slot[0] : root)].slot[0] == b)

#ifdef QUICK_TO_SHARED
#define is_shared(n) false
#else
#define is_shared(n) (node[n].refs > 1)
#endif

proctype Quick()
{
    byte shape, n, level, b;
    shape = optimistic_begin_shape;
    n = root;
    level = height - 1;
    if
    :: n == NONE -> goto done
#ifdef QUICK_ASKS_TWICE
    :: n != NONE && is_shared(n) -> level = 0
#else
    :: n != NONE && is_shared(n) -> goto done
#endif
    :: else
    fi;
    if
    :: level == 1 ->
        n = node[n].slot[0];
        if
        :: !optimistic_validate_shape(shape) || n == NONE -> goto done
        :: else
        fi;
        assert(is_node(n));
        if
        :: is_shared(n) -> goto done
        :: else
        fi
    :: else
    fi;
#ifdef QUICK_ASKS_TWICE
    if
    :: is_shared(n) -> goto done
    :: else
    fi;
#endif
    lock_acquire(pool[0].stripe[0]);
    if
#ifdef QUICK_WITHOUT_LOOK
    :: true ->
#else
    :: optimistic_validate_shape(shape) ->
#endif
        d_step { b = node[n].slot[0]; assert(b == NONE || is_block(b)) };
        if
#ifdef QUICK_TO_VIEWED
        :: b != NONE ->
#else
        :: b != NONE && block_refs[b] == 1 ->
#endif
            assert(is_its_own(b));
            data[b] = 7
        :: else
        fi
    :: else
    fi;
    lock_release(pool[0].stripe[0]);
done:
    skip
}

/* Pool 0 begins with two blocks of zeros below a leaf, with or without a node above. */
init
{
    atomic {
        root = 1;
        node[1].refs = 1;
        node[1].slot[0] = NODES + 1;
        node[1].slot[1] = NODES + 2;
        block_refs[NODES + 1] = 1;
        block_refs[NODES + 2] = 1;
        free_node = 2;
        node[2].slot[0] = 3;
        node[3].slot[0] = 4;
        node[4].slot[0] = 5;
        node[5].slot[0] = 6;
        if
        :: true
        :: true ->
            free_node = 3;
            node[2].refs = 1;
            node[2].slot[0] = 1;
            root = 2;
            height = 2
        fi;
        if
        :: run Writer(1); run Cloner(); run Reader()
        :: run Writer(1); run Cloner(); run Viewer()
        :: run Writer(2); run Reader(); run Viewer()
        :: run Quick(); run Cloner(); run Viewer()
        :: run Quick(); run Cloner(); run Writer(1)
        fi
    }
}
