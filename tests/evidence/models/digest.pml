/* SPDX-License-Identifier: MIT */
/*
 * digest.pml - the digests that are kept in nodes and beside blocks (digest.c, digests.c)
 *
 * A pool of two blocks: a root, a leaf with two slots, a value in each block. All of them
 * have reference counts; with the last reference they are freed and reused. A block of
 * value v has the digest v, a node has as its digest the two values below it. Each load
 * and each store of a count, slot, value or digest that another thread may see is a step;
 * a clone is one.
 *
 *     Writer      of a block of pool 0, once: quickly, after a search without a lock
 *                 (block_try_write), or else slowly (bytes_write), under the stripe, or
 *                 the exclusive lock if a node must be copied
 *     Digester    takes a snapshot of pool 0 or 1, hashes it without any lock, keeps the
 *                 digests under the arena's lock, and drops the snapshot
 *     Relative    clones pool 0 to pool 1, writes slowly to a block of it, destroys it
 *
 * At once run two writers of two blocks and two digesters; two writers of one block and a
 * digester; a writer, the relative and a digester; or the relative and two digesters.
 * Before, either nothing was hashed, or all was, and is kept.
 *
 * After each step: a marked node in use has the digest of what is below it; a kept digest
 * of a block in use is that of its value; a slot that is marked as a sole owner has a
 * block without a kept digest. A digester returns what was in the pool at the moment of
 * its snapshot. In the end all is destroyed, and no node and no block has a reference.
 *
 * The three mutations OPENED_LATE, SOLE_CLEARED_LATE and FORGOTTEN_LATE make no digest
 * wrong: until the late step the stripe, or the snapshot, keeps away those who would see
 * it. They only break the rules for each step, which are the invariants of tree.c and
 * digests.c. All others make a digest wrong or lose a reference.
 *
 *  MUTATION ASKS_NOT_SHARED     a quick writer takes a marked node for a private one
 *  MUTATION ASKS_LEAF_ONLY      a quick writer does not look at the count of the root
 *  MUTATION SHAPE_STAYS         a snapshot does not change the version of the shape lock
 *  MUTATION NOT_OPENED          a slow writer does not take the marks off
 *  MUTATION ROOT_NOT_OPENED     it takes only that of the leaf off
 *  MUTATION LEAF_NOT_OPENED     it takes only that of the root off
 *  MUTATION OPENED_LATE         it takes them off after the write
 *  MUTATION MARK_COPIED         the copy of a node has its mark and its digest
 *  MUTATION MARK_COUNTED        the mark counts as a reference when one is dropped
 *  MUTATION MARKED_EARLY        a node is marked before its digest is stored
 *  MUTATION KNOWN_EARLY         the same for a block
 *  MUTATION NODES_KEPT_LATE     a node's digest is kept when the snapshot was dropped
 *  MUTATION BLOCKS_KEPT_LATE    the same for a block
 *  MUTATION NO_SNAPSHOT         a digester hashes the pool's own tree
 *  MUTATION SOLE_STAYS          a digester does not clear the mark of a sole owner
 *  MUTATION SOLE_CLEARED_LATE   it clears it when the digest of the block is kept
 *  MUTATION NOT_FORGOTTEN       who marks a sole owner does not forget the block's digest
 *  MUTATION FORGOTTEN_LATE      it forgets it after the write
 *  MUTATION REUSED_WITH_DIGEST  a block that is reused has the digest that it had
 */
#define ROOTS 5
#define LEAVES 5
#define BLOCKS 8
#define SOLE 8     /* the mark in a word; the rest is the number of a block */
#define HASHED 8   /* the mark in a count of references to a node */
#define NONE 7     /* the root of a pool that does not exist */
#define NOTHING 99 /* a digest that was not stored */
#define POOLS 2
#define WRITERS 2

byte root_refs[ROOTS], root_digest[ROOTS], child[ROOTS];
byte leaf_refs[LEAVES], leaf_digest[LEAVES], word[2 * LEAVES];
byte block_refs[BLOCKS], value[BLOCKS], kept[BLOCKS];
bool known[BLOCKS];
byte root[POOLS];
bool stripe[2 * POOLS]; /* is held; both of a pool, by one thread: its exclusive lock */
bool exclusive;         /* that of pool 0 */
bool unmoved[WRITERS];  /* the version of its shape lock is what a quick writer read */
bool arena;             /* its lock is held */
byte running;           /* threads that have not finished */

#define block_of(w) ((w) & (SOLE - 1))
#define is_sole(w) ((w) >= SOLE)
#define slot(l, s) word[2 * (l) + (s)]
#define content(l) (value[block_of(slot(l, 0))] * 4 + value[block_of(slot(l, 1))])

#define is_hashed(refs) ((refs) >= HASHED)
#define is_shared(refs) ((refs) % HASHED > 1)
#ifdef MARK_COUNTED
#define is_last(refs) ((refs) == 1)
#else
#define is_last(refs) ((refs) % HASHED == 1)
#endif

/* -------------------------------------------------------------------- locks */

#define is_free(p) (!stripe[2 * (p)] && !stripe[2 * (p) + 1])

/* Whatever a thread does with the exclusive lock, the version changes. */
inline shape_moves(p)
{
    if
    :: p == 0 -> unmoved[0] = false; unmoved[1] = false
    :: else
    fi
}

inline lock_exclusive(p)
{
    atomic {
        is_free(p);
        stripe[2 * p] = true;
        stripe[2 * p + 1] = true;
        exclusive = exclusive || p == 0;
        shape_moves(p)
    }
}

inline unlock_exclusive(p)
{
    d_step {
        stripe[2 * p] = false;
        stripe[2 * p + 1] = false;
        exclusive = exclusive && p != 0
    }
}

/* ---------------------------------------------------------- nodes and blocks */

/* Takes the first free root, so that roots are soon reused; so for leaves and blocks. */
#define take(refs, count, item)                                                        \
    d_step {                                                                           \
        item = 0;                                                                      \
        do                                                                             \
        :: item < count && refs[item] > 0 -> item++                                    \
        :: else -> break                                                               \
        od;                                                                            \
        assert(item < count);                                                          \
        refs[item] = 1                                                                 \
    }

inline block_drop(b)
{
    assert(block_refs[b] > 0);
    block_refs[b]--;
    if
    :: block_refs[b] == 0 -> value[b] = 0
    :: else
    fi
}

/* The last reference to a leaf drops those to its blocks, in the same step. */
inline leaf_drop(l)
{
    d_step {
        assert(leaf_refs[l] % HASHED > 0);
        if
        :: is_last(leaf_refs[l]) ->
            leaf_refs[l] = 0;
            leaf_digest[l] = NOTHING;
            block_drop(block_of(slot(l, 0)));
            block_drop(block_of(slot(l, 1)));
            slot(l, 0) = 0;
            slot(l, 1) = 0
        :: else -> leaf_refs[l]--
        fi
    }
}

/* That to a root drops that to its leaf, in another one. */
inline root_drop(r)
{
    d_step {
        assert(root_refs[r] % HASHED > 0);
        if
        :: is_last(root_refs[r]) ->
            gone = child[r];
            root_refs[r] = 0;
            root_digest[r] = NOTHING;
            child[r] = 0
        :: else -> root_refs[r]--
        fi
    };
    if
    :: gone != NONE -> atomic { leaf_drop(gone); gone = NONE }
    :: else
    fi
}

/* The load of the word and the store without the mark are two steps. */
inline slot_clear_sole(l, s)
{
    w = slot(l, s);
    d_step {
        if
        :: is_sole(w) -> w = w - SOLE; slot(l, s) = w
        :: else
        fi
    }
}

/* The load of the count and the compare-and-swap are two steps. What the digest was is
 * not kept: nobody may read it. */
inline node_open(refs, digest)
{
    if
    :: refs != 1 ->
        d_step {
            if
            :: refs == HASHED + 1 -> refs = 1; digest = NOTHING
            :: else
            fi
        }
    :: else
    fi
}

/* --------------------------------------------------------------------- writing */

inline open_root()
{
#if !defined(NOT_OPENED) && !defined(ROOT_NOT_OPENED)
    node_open(root_refs[r], root_digest[r])
#else
    skip
#endif
}

inline open_leaf()
{
#if !defined(NOT_OPENED) && !defined(LEAF_NOT_OPENED)
    node_open(leaf_refs[l], leaf_digest[l])
#else
    skip
#endif
}

/* node_unshare of the root of a pool. */
inline unshare_root(p)
{
    r = root[p];
    if
    :: is_shared(root_refs[r]) ->
        atomic {
            take(root_refs, ROOTS, copy);
            d_step {
                l = child[r];
                leaf_refs[l]++;
                child[copy] = l;
#ifdef MARK_COPIED
                root_refs[copy] = (root_refs[r] & HASHED) + 1;
                root_digest[copy] = root_digest[r]
#endif
            }
        };
        d_step { root[p] = copy; copy = r; r = root[p] };
        root_drop(copy);
        copy = 0
    :: else ->
#ifndef OPENED_LATE
        open_root()
#endif
    fi
}

inline slot_share(to, l, s)
{
    slot_clear_sole(l, s);
    d_step { block_refs[w]++; slot(to, s) = w; w = 0 }
}

/* The same for its leaf. */
inline unshare_leaf()
{
    l = child[r];
    if
    :: is_shared(leaf_refs[l]) ->
        take(leaf_refs, LEAVES, copy);
        slot_share(copy, l, 0);
        slot_share(copy, l, 1);
        d_step {
#ifdef MARK_COPIED
            leaf_refs[copy] = (leaf_refs[l] & HASHED) + 1;
            leaf_digest[copy] = leaf_digest[l];
#endif
            child[r] = copy;
            copy = l;
            l = child[r]
        };
        leaf_drop(copy);
        copy = 0
    :: else ->
#ifndef OPENED_LATE
        open_leaf()
#endif
    fi
}

inline forget(b)
{
    d_step { known[b] = false; kept[b] = NOTHING }
}

/* slot_owns, and a write in place if it does; done: whether. */
inline write_in_place(s, v)
{
    w = slot(l, s);
    if
    :: is_sole(w) -> done = true
    :: !is_sole(w) && block_refs[w] == 1 ->
#if !defined(NOT_FORGOTTEN) && !defined(FORGOTTEN_LATE)
        forget(w);
#endif
        d_step { slot(l, s) = w + SOLE; done = true }
    :: else
    fi;
    if
    :: done ->
        value[block_of(w)] = v;
#ifdef FORGOTTEN_LATE
        forget(block_of(w))
#endif
    :: else
    fi
}

/* A new block in place of a shared one. Nobody sees it before it is in the slot. */
inline write_new(s, v)
{
    atomic {
        take(block_refs, BLOCKS, fresh);
        d_step {
            value[fresh] = v;
#ifndef REUSED_WITH_DIGEST
            forget(fresh);
#endif
            slot(l, s) = fresh + SOLE;
            fresh = 0
        }
    };
    d_step { block_drop(w); w = 0 }
}

#if defined(ASKS_NOT_SHARED)
#define search_goes_on(refs) (!is_shared(refs))
#else
#define search_goes_on(refs) ((refs) == 1)
#endif

#ifdef ASKS_LEAF_ONLY
#define search_goes_on_below(r) true
#else
#define search_goes_on_below(r) search_goes_on(root_refs[r])
#endif

/* The search reads nodes that may be freed and reused meanwhile. If another thread has
 * the exclusive lock, or gets it before this one has the stripe, nothing is written. */
inline write_quickly(s, v)
{
    unmoved[me] = !exclusive;
    r = root[0];
    if
    :: search_goes_on_below(r) ->
        l = child[r];
        if
        :: search_goes_on(leaf_refs[l]) ->
            atomic { !stripe[s] -> stripe[s] = true };
            if
            :: unmoved[me] -> write_in_place(s, v)
            :: else
            fi;
            stripe[s] = false
        :: else
        fi
    :: else
    fi;
    d_step { unmoved[me] = false; r = 0; l = 0; w = 0 }
}

/* After the lock: the stripe, or the exclusive lock if a node was shared. (One that is
 * no longer shared is then opened.) */
inline bytes_put(p, s, v)
{
    unshare_root(p);
    unshare_leaf();
    write_in_place(s, v);
    if
    :: !done -> write_new(s, v)
    :: else
    fi;
#ifdef OPENED_LATE
    open_root();
    open_leaf();
#endif
    d_step { r = 0; l = 0; w = 0; done = false }
}

inline write_slowly(p, s, v)
{
    atomic { !stripe[2 * p + s] -> stripe[2 * p + s] = true };
    r = root[p];
    shared = is_shared(root_refs[r]);
    l = child[r];
    d_step { shared = shared || is_shared(leaf_refs[l]); r = 0; l = 0 };
    if
    :: shared -> stripe[2 * p + s] = false; lock_exclusive(p)
    :: else
    fi;
    bytes_put(p, s, v);
    if
    :: shared -> unlock_exclusive(p)
    :: else -> stripe[2 * p + s] = false
    fi;
    shared = false
}

/* --------------------------------------------------------------------- hashing */

/* Stores a digest and then that it is kept, under the arena's lock. */
#define keep(is_kept, first, second)                                                   \
    if                                                                                 \
    :: atomic { !arena && (is_kept) }                                                  \
    :: atomic { !arena && !(is_kept) -> arena = true; first };                         \
        d_step { second; arena = false }                                               \
    fi

#ifdef KNOWN_EARLY
#define keep_block(b, digest) keep(known[b], known[b] = true, kept[b] = digest)
#else
#define keep_block(b, digest) keep(known[b], kept[b] = digest, known[b] = true)
#endif

#ifdef MARKED_EARLY
#define keep_node(refs, kept_digest, digest)                                           \
    keep(is_hashed(refs), refs = refs + HASHED, kept_digest = digest)
#else
#define keep_node(refs, kept_digest, digest)                                           \
    keep(is_hashed(refs), kept_digest = digest, refs = refs + HASHED)
#endif

/* Makes the digest of the block in a slot. */
inline hash_block(s, digest, hashed)
{
#if defined(SOLE_STAYS) || defined(SOLE_CLEARED_LATE)
    w = block_of(slot(l, s));
#else
    slot_clear_sole(l, s);
#endif
    if
    :: known[w] -> digest = kept[w]
    :: else ->
        digest = value[w];
#ifdef BLOCKS_KEPT_LATE
        hashed = w;
#else
        keep_block(w, digest)
#endif
    fi;
#ifdef SOLE_CLEARED_LATE
    slot_clear_sole(l, s);
#endif
    w = 0
}

inline hash_leaf()
{
    if
    :: is_hashed(leaf_refs[l])
    :: else ->
        hash_block(0, first, hashed_first);
        hash_block(1, second, hashed_second);
#ifndef NODES_KEPT_LATE
        keep_node(leaf_refs[l], leaf_digest[l], first * 4 + second)
#endif
    fi
}

inline hash_root()
{
    if
    :: is_hashed(root_refs[r]) -> result = root_digest[r]
    :: else ->
        l = child[r];
        hash_leaf();
#ifdef NODES_KEPT_LATE
        result = first * 4 + second
#else
        result = leaf_digest[l];
        keep_node(root_refs[r], root_digest[r], result);
        result = root_digest[r]
#endif
    fi
}

/* --------------------------------------------------------------------- threads */

inline destroy(p)
{
    lock_exclusive(p);
    d_step { r = root[p]; root[p] = NONE };
    root_drop(r);
    r = 0;
    unlock_exclusive(p)
}

#define references_of_nodes                                                            \
    (root_refs[0] + root_refs[1] + root_refs[2] + root_refs[3] + root_refs[4] +        \
     leaf_refs[0] + leaf_refs[1] + leaf_refs[2] + leaf_refs[3] + leaf_refs[4])

#define references_of_blocks                                                           \
    (block_refs[0] + block_refs[1] + block_refs[2] + block_refs[3] + block_refs[4] +   \
     block_refs[5] + block_refs[6] + block_refs[7])

/* The last thread destroys the pool that is left. */
inline finish()
{
    atomic {
        running--;
        if
        :: running == 0 ->
            destroy(0);
            assert(references_of_nodes == 0 && references_of_blocks == 0)
        :: else
        fi
    }
}

proctype Writer(byte me, s)
{
    byte r, l, w, fresh, copy, gone = NONE;
    bool shared, done;
    write_quickly(s, me + 1);
    if
    :: !done -> write_slowly(0, s, me + 1)
    :: else -> done = false
    fi;
    finish()
}

proctype Relative()
{
    byte r, l, w, fresh, copy, gone = NONE, s;
    bool shared, done;
    atomic {
        is_free(0);
        shape_moves(0);
        root[1] = root[0];
        root_refs[root[1]]++
    };
    if
    :: s = 0
    :: s = 1
    fi;
    write_slowly(1, s, 3);
    destroy(1);
    finish()
}

proctype Digester()
{
    byte r, l, w, gone = NONE, was, result;
    byte first = NOTHING, second = NOTHING, hashed_first = NONE, hashed_second = NONE;
    atomic {
        if
        :: is_free(0) -> r = 0
        :: is_free(1) && root[1] != NONE -> r = 1
        fi;
#ifndef SHAPE_STAYS
        shape_moves(r);
#endif
        r = root[r];
        was = content(child[r]);
#ifndef NO_SNAPSHOT
        root_refs[r]++
#endif
    };
    hash_root();
    d_step { assert(result == was); was = 0; result = 0 };
#ifndef NO_SNAPSHOT
    root_drop(r);
#endif
#ifdef BLOCKS_KEPT_LATE
    if
    :: hashed_first != NONE -> keep_block(hashed_first, first)
    :: else
    fi;
    if
    :: hashed_second != NONE -> keep_block(hashed_second, second)
    :: else
    fi;
#endif
#ifdef NODES_KEPT_LATE
    if
    :: first != NOTHING ->
        keep_node(leaf_refs[l], leaf_digest[l], first * 4 + second);
        keep_node(root_refs[r], root_digest[r], first * 4 + second)
    :: else
    fi;
#endif
    d_step { r = 0; l = 0; first = NOTHING; second = NOTHING };
    finish()
}

#define root_is_wrong(r) (is_hashed(root_refs[r]) && root_digest[r] != content(child[r]))
#define leaf_is_wrong(l) (is_hashed(leaf_refs[l]) && leaf_digest[l] != content(l))

#define block_is_wrong(w) (known[block_of(w)] && (is_sole(w) || kept[w] != value[w]))
#define blocks_are_wrong(l)                                                            \
    (leaf_refs[l] > 0 && (block_is_wrong(slot(l, 0)) || block_is_wrong(slot(l, 1))))

proctype Monitor()
{
end:
    atomic {
        root_is_wrong(0) || root_is_wrong(1) || root_is_wrong(2) || root_is_wrong(3) ||
            root_is_wrong(4) || leaf_is_wrong(0) || leaf_is_wrong(1) ||
            leaf_is_wrong(2) || leaf_is_wrong(3) || leaf_is_wrong(4) ||
            blocks_are_wrong(0) || blocks_are_wrong(1) || blocks_are_wrong(2) ||
            blocks_are_wrong(3) || blocks_are_wrong(4) ->
        assert(false)
    }
}

init
{
    atomic {
        byte i;
        for (i : 0 .. ROOTS - 1) {
            root_digest[i] = NOTHING;
            leaf_digest[i] = NOTHING
        }
        for (i : 0 .. BLOCKS - 1) {
            kept[i] = NOTHING
        }
        i = 0;
        root_refs[0] = 1;
        leaf_refs[0] = 1;
        block_refs[0] = 1;
        block_refs[1] = 1;
        slot(0, 0) = 0;
        slot(0, 1) = 1;
        root[1] = NONE;
        if
        :: slot(0, 0) = SOLE; slot(0, 1) = SOLE + 1
        :: root_refs[0] = HASHED + 1;
            root_digest[0] = 0;
            leaf_refs[0] = HASHED + 1;
            leaf_digest[0] = 0;
            kept[0] = 0;
            known[0] = true;
            kept[1] = 0;
            known[1] = true
        fi;
        run Monitor();
        if
        :: running = 4; run Writer(0, 0); run Writer(1, 1); run Digester(); run Digester()
        :: running = 3; run Writer(0, 0); run Writer(1, 0); run Digester()
        :: running = 3; run Writer(0, 0); run Relative(); run Digester()
        :: running = 3; run Relative(); run Digester(); run Digester()
        fi
    }
}
