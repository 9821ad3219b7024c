/* SPDX-License-Identifier: MIT */
/*
 * pins.cpp - pins that are released beside a call that drops their blocks (pins.c)
 *
 * Two blocks of one pool, each with a pin. Their threads write through the pin and release
 * it. A third one has the whole pool, discards both blocks, and uses the memory of those
 * that it dropped for something else: after all that was done through the pin.
 *
 *  MUTATION MARK_CLEARED_RELAXED  the mark of a block is cleared with no order
 *  MUTATION MARK_READ_RELAXED     it is read with none
 *  MUTATION COUNT_DOWN_RELAXED    a pin is counted off its pool with no order
 *  MUTATION COUNT_READ_RELAXED    the count is read with none
 *  MUTATION COUNT_BEFORE_MARK     a pin is counted off before its mark is cleared
 */
#include "weak.h"

enum { BLOCKS = 2, CALLER = BLOCKS };

struct Pins : rl::test_suite<Pins, BLOCKS + 1> {
    AtomicSize pinned, mark[BLOCKS];
    VAR_T(int) block[BLOCKS]; /* the description and the data of each */

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
        (void)(int)block[i]($); /* it lies in the description of the block */
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
