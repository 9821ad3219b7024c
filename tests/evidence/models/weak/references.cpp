/* SPDX-License-Identifier: MIT */
/*
 * references.cpp - counts that go down: the last one, the only one (tree_edit.c, tree.c)
 *
 * A leaf is shared by two pools, and holds a block that a view holds as well once the
 * model has begun. The first pool copies the leaf (which takes a reference on the block),
 * drops the shared one, and reads the block; the second one writes to the block if its way
 * to it is private and nobody else holds it; the view reads and is released. Whoever drops
 * the last reference to the block uses its memory for something else.
 *
 *  MUTATION LEAF_READ_RELAXED   whether a node is shared is read with no order
 *  MUTATION LEAF_DROP_RELAXED   a node is dropped with no order
 *  MUTATION BLOCK_READ_RELAXED  whether a block is shared is read with no order
 *  MUTATION BLOCK_DROP_RELAXED  a block is dropped with no order
 *  MUTATION BLOCK_DROP_RELEASE  a block is dropped without acquiring what others did
 *  MUTATION BLOCK_DROP_ACQUIRE  a block is dropped without releasing what was done
 */
#include "weak.h"

struct References : rl::test_suite<References, 3> {
    AtomicSize leaf, block; /* how many hold it */
    VAR_T(int) data;

    void before()
    {
        leaf.store(2, rl::mo_relaxed, $);
        block.store(2, rl::mo_relaxed, $);
        data($) = 0;
    }

    void block_drop()
    {
        Order drop = mutated("BLOCK_DROP_RELAXED")   ? rl::mo_relaxed
                     : mutated("BLOCK_DROP_RELEASE") ? rl::mo_release
                     : mutated("BLOCK_DROP_ACQUIRE") ? rl::mo_acquire
                                                     : rl::mo_acq_rel;
        if (block.fetch_sub(1, drop, $) == 1) {
            data($) = 9; /* it is used again */
        }
    }

    bool is_shared(AtomicSize &refs, const char *relaxed)
    {
        return refs.load(order(rl::mo_acquire, relaxed), $) > 1;
    }

    void leaf_drop()
    {
        if (leaf.fetch_sub(1, order(rl::mo_acq_rel, "LEAF_DROP_RELAXED"), $) == 1) {
            block_drop();
        }
    }

    void thread(unsigned id)
    {
        if (id == 0) { /* node_copy, node_drop */
            block.fetch_add(1, rl::mo_relaxed, $);
            leaf_drop();
            (void)(int)data($);
            block_drop();
        } else if (id == 1) {
            if (!is_shared(leaf, "LEAF_READ_RELAXED") &&
                !is_shared(block, "BLOCK_READ_RELAXED")) {
                data($) = 1;
            }
            leaf_drop();
        } else {
            (void)(int)data($);
            block_drop();
        }
    }
};

MODEL(References)
