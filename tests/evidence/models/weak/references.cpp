/* SPDX-License-Identifier: MIT */
/*
 * references.cpp - reference counts: the last one, and the only one (tree_edit.c, tree.c)
 *
 * Two pools share a leaf with a block. Either the slot is marked as its sole owner, or a
 * view has a reference as well. The first pool copies the leaf (which clears the mark and
 * adds a reference to the block), drops the shared one, and reads the block; the second
 * one writes to the block if its path is private, and the slot is marked or the block has
 * one reference; the view reads and is released. The thread that drops the last reference
 * to the block reuses its memory.
 *
 *  MUTATION LEAF_READ_RELAXED   the load of a node's count is relaxed
 *  MUTATION LEAF_DROP_RELAXED   dropping a node is relaxed
 *  MUTATION BLOCK_READ_RELAXED  the load of a block's count is relaxed
 *  MUTATION BLOCK_DROP_RELAXED  dropping a block is relaxed
 *  MUTATION BLOCK_DROP_RELEASE  a block is dropped without acquiring what others did
 *  MUTATION BLOCK_DROP_ACQUIRE  a block is dropped without releasing what was done
 *  MUTATION MARK_STAYS          who copies a leaf does not clear the mark
 *  MUTATION MARK_CLEARED_LATE   the mark is cleared when the shared leaf has been dropped
 */
#include "weak.h"

struct References : rl::test_suite<References, 3> {
    AtomicSize leaf, block; /* counts of references */
    AtomicSize slot;        /* of the shared leaf: whether it is marked */
    VAR_T(int) data;
    bool viewed;

    void before()
    {
        viewed = rl::rand(2) != 0;
        leaf.store(2, rl::mo_relaxed, $);
        block.store(viewed ? 2 : 1, rl::mo_relaxed, $);
        slot.store(viewed ? 0 : 1, rl::mo_relaxed, $);
        data($) = 0;
    }

    void slot_clear_sole()
    {
        if (slot.load(rl::mo_acquire, $) != 0) {
            slot.store(0, rl::mo_release, $);
        }
    }

    bool slot_owns()
    {
        if (slot.load(rl::mo_acquire, $) != 0) {
            return true;
        }
        if (is_shared(block, "BLOCK_READ_RELAXED")) {
            return false;
        }
        slot.store(1, rl::mo_release, $);
        return true;
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
            if (!mutated("MARK_STAYS") && !mutated("MARK_CLEARED_LATE")) {
                slot_clear_sole();
            }
            block.fetch_add(1, rl::mo_relaxed, $);
            leaf_drop();
            if (mutated("MARK_CLEARED_LATE")) {
                slot_clear_sole();
            }
            (void)(int)data($);
            block_drop();
        } else if (id == 1) {
            if (!is_shared(leaf, "LEAF_READ_RELAXED") && slot_owns()) {
                data($) = 1;
            }
            leaf_drop();
        } else if (viewed) {
            (void)(int)data($);
            block_drop();
        }
    }
};

MODEL(References)
