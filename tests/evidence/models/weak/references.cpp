/* SPDX-License-Identifier: MIT */
/*
 * references.cpp - reference counts: the last one, and the only one (tree_edit.c, tree.c)
 *
 * Two pools share a leaf with a block, to which a view also has a reference once the model
 * has begun. The first pool copies the leaf (which adds a reference to the block), drops
 * the shared one, and reads the block; the second one writes to the block if its path and
 * the block are private; the view reads and is released. The thread that drops the last
 * reference to the block reuses its memory.
 *
 *  MUTATION LEAF_READ_RELAXED   the load of a node's count is relaxed
 *  MUTATION LEAF_DROP_RELAXED   dropping a node is relaxed
 *  MUTATION BLOCK_READ_RELAXED  the load of a block's count is relaxed
 *  MUTATION BLOCK_DROP_RELAXED  dropping a block is relaxed
 *  MUTATION BLOCK_DROP_RELEASE  a block is dropped without acquiring what others did
 *  MUTATION BLOCK_DROP_ACQUIRE  a block is dropped without releasing what was done
 */
#include "weak.h"

struct References : rl::test_suite<References, 3> {
    AtomicSize leaf, block; /* counts of references */
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
            data($) = 9; /* it is reused */
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
