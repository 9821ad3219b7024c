/* SPDX-License-Identifier: MIT */
/*
 * pins.cpp - pins that are released during a call that frees their blocks (pins.c)
 *
 * Two blocks of one pool, each with a pin. Two threads write through the pins and release
 * them. A third one has locked the pool exclusively, discards both blocks, and reuses the
 * memory of those that it freed: this must come after all that was done through the pins.
 *
 *  MUTATION MARK_CLEARED_RELAXED  clearing the mark of a block is relaxed
 *  MUTATION MARK_READ_RELAXED     reading it is
 *  MUTATION COUNT_DOWN_RELAXED    counting a pin down is relaxed
 *  MUTATION COUNT_READ_RELAXED    reading the count is
 *  MUTATION COUNT_BEFORE_MARK     a pin is counted down before its mark is cleared
 */
#include "weak.h"

enum { BLOCKS = 2, CALLER = BLOCKS };

struct Pins : rl::test_suite<Pins, BLOCKS + 1> {
    AtomicSize pinned, mark[BLOCKS];
    VAR_T(int) block[BLOCKS]; /* the header and the data of each */

    void before()
    {
        pinned.store(BLOCKS, rl::mo_relaxed, $);
        for (int i = 0; i < BLOCKS; i++) {
            mark[i].store(1, rl::mo_relaxed, $);
            block[i]($) = 0;
        }
    }

    void clear_mark(unsigned i)
    {
        (void)(int)block[i]($); /* it is in the header of the block */
        mark[i].store(0, order(rl::mo_release, "MARK_CLEARED_RELAXED"), $);
    }

    /* pin_detach */
    void release(unsigned i)
    {
        block[i]($) = 1;
        if (!mutated("COUNT_BEFORE_MARK")) {
            clear_mark(i);
        }
        pinned.fetch_sub(1, order(rl::mo_acq_rel, "COUNT_DOWN_RELAXED"), $);
        if (mutated("COUNT_BEFORE_MARK")) {
            clear_mark(i);
        }
    }

    /* node_clear */
    void discard()
    {
        bool pins = pinned.load(order(rl::mo_acquire, "COUNT_READ_RELAXED"), $) > 0;
        for (int i = 0; i < BLOCKS; i++) {
            if (!pins ||
                mark[i].load(order(rl::mo_acquire, "MARK_READ_RELAXED"), $) == 0) {
                block[i]($) = 2;
            }
        }
    }

    void thread(unsigned id)
    {
        if (id == CALLER) {
            discard();
        } else {
            release(id);
        }
    }
};

MODEL(Pins)
