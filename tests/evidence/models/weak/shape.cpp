/* SPDX-License-Identifier: MIT */
/*
 * shape.cpp - pointers that are followed while the tree changes (pool_lock.c, tree.c)
 *
 * A pool's tree is one leaf. A thread with the exclusive lock either puts a node on top, or
 * frees the leaf, which a relative then reuses for another purpose: as a node that points
 * to a leaf. An optimistic reader loads the root, the height and slots, and checks the
 * shape lock before it follows what it loaded: it never takes a block for a node, or a node
 * for a block. Of the arena's lock the model has only the order between a free and the next
 * allocation: one releases, the other acquires. (Without the fence before a check of the
 * shape lock nothing goes wrong here, because pointers are loaded with acquire; reading.cpp
 * shows what the fence is for.)
 *
 *  MUTATION NO_RELEASE_FENCE   no fence follows the exchange that acquires the shape lock
 *  MUTATION NO_LOOK_AT_NODE    a node is followed without a check of the shape lock
 *  MUTATION NO_LOOK_AT_BLOCK   a block is
 *  MUTATION SLOT_RELAXED       the store to a slot of a reused node is relaxed
 *  MUTATION TAKEN_RELAXED      the allocation of a node is relaxed
 *  MUTATION WITHOUT_SHAPE_LOCK  the tree is changed without the shape lock
 */
#include "weak.h"

enum { NONE, LEAF, NODE, BLOCK }; /* pointers; the first two are also numbers of nodes */

struct Shape : rl::test_suite<Shape, 3> {
    AtomicSize shape, root, height, slot[NODE + 1];
    AtomicSize freed; /* the leaf, to the arena */
    bool raises;

    void before()
    {
        shape.store(0, rl::mo_relaxed, $);
        root.store(LEAF, rl::mo_relaxed, $);
        height.store(1, rl::mo_relaxed, $);
        slot[LEAF].store(BLOCK, rl::mo_relaxed, $);
        slot[NODE].store(NONE, rl::mo_relaxed, $);
        freed.store(0, rl::mo_relaxed, $);
        raises = rl::rand(2) != 0;
    }

    void change()
    {
        if (!mutated("WITHOUT_SHAPE_LOCK")) {
            lock_acquire(shape);
        }
        if (raises) { /* tree_raise */
            slot[NODE].store(LEAF, rl::mo_release, $);
            root.store(NODE, rl::mo_release, $);
            height.store(2, rl::mo_relaxed, $);
        } else { /* tree_clear, reservation_free */
            root.store(NONE, rl::mo_release, $);
            freed.store(1, rl::mo_release, $);
        }
        if (!mutated("WITHOUT_SHAPE_LOCK")) {
            lock_release(shape);
        }
    }

    /* A relative allocates what is free; it does not use this pool's shape lock. */
    void use_again()
    {
        if (freed.load(order(rl::mo_acquire, "TAKEN_RELAXED"), $) != 0) {
            slot[LEAF].store(NODE, order(rl::mo_release, "SLOT_RELAXED"), $);
        }
    }

    /* optimistic_validate_shape */
    bool unmoved(size_t noted, const char *skipped)
    {
        if (mutated(skipped)) {
            return true;
        }
        fence_acquire();
        return shape.load(rl::mo_relaxed, $) == noted;
    }

    void read()
    {
        size_t noted = shape.load(rl::mo_acquire, $) & ~(size_t)1, node, level, block;
        node = root.load(rl::mo_acquire, $);
        level = height.load(rl::mo_acquire, $);
        if (node != NONE && level == 2) {
            node = slot[node].load(rl::mo_acquire, $);
            if (!unmoved(noted, "NO_LOOK_AT_NODE")) {
                return;
            }
            RL_ASSERT(node == LEAF);
        }
        if (node != NONE) {
            block = slot[node].load(rl::mo_acquire, $);
            if (unmoved(noted, "NO_LOOK_AT_BLOCK")) {
                RL_ASSERT(block == BLOCK);
            }
        }
    }

    void thread(unsigned id)
    {
        if (id == 0) {
            change();
        } else if (id == 1) {
            use_again();
        } else {
            read();
        }
    }
};

MODEL(Shape)
