/* SPDX-License-Identifier: MIT */
/*
 * pins.cpp - a pin that is released during calls that use it and free its blocks (pins.c)
 *
 * A thread writes to two blocks through their pin and releases it. Another one has locked
 * the pool exclusively: it uses the frozen copies of the pin, if there still is one, as a
 * clone does; then it discards both blocks, and reuses the memory of those that it freed.
 * This must come after all that was done through the pin; and nobody may use the pin after
 * its last user has freed it.
 *
 *  MUTATION MARK_CLEARED_RELAXED  clearing the mark of a block is relaxed
 *  MUTATION MARK_READ_RELAXED     reading it is
 *  MUTATION COUNT_DOWN_RELAXED    counting the blocks of a pin down is relaxed
 *  MUTATION COUNT_READ_RELAXED    reading the count is
 *  MUTATION COUNT_BEFORE_MARK     blocks are counted down before their marks are cleared
 *  MUTATION FIRST_MARK_ONLY       only the first block's mark is cleared
 *  MUTATION RELEASE_UNLOCKED      a user is taken off without the arena's lock
 *  MUTATION ENTER_UNLOCKED        a call becomes a user without it
 *  MUTATION CALL_NO_USER          a call does not become a user
 *  MUTATION FIRST_USER_ENDS       the first user that leaves ends the pin
 */
#include "weak.h"

enum { CALLER = 1, BLOCKS = 2 };

struct Pins : rl::test_suite<Pins, 2> {
    rl::mutex arena; /* the arena's lock; other models have the library's own */
    AtomicSize pinned, mark[BLOCKS];
    VAR_T(int) block[BLOCKS]; /* the header and the data of each */
    VAR_T(int) listed, users; /* the pool's list of pins, and the pin's count */
    VAR_T(int) pin;           /* its frozen copies, and all of it when it is freed */

    void before()
    {
        pinned.store(BLOCKS, rl::mo_relaxed, $);
        for (int i = 0; i < BLOCKS; i++) {
            mark[i].store(1, rl::mo_relaxed, $);
            block[i]($) = 0;
        }
        listed($) = 1;
        users($) = 1;
        pin($) = 0;
    }

    void after()
    {
        RL_ASSERT(pinned.load(rl::mo_relaxed, $) == 0);
        for (int i = 0; i < BLOCKS; i++) {
            RL_ASSERT(mark[i].load(rl::mo_relaxed, $) == 0);
        }
    }

    void clear_marks()
    {
        for (int i = 0; i < (mutated("FIRST_MARK_ONLY") ? 1 : BLOCKS); i++) {
            (void)(int)block[i]($); /* it is in the header of the block */
            mark[i].store(0, order(rl::mo_release, "MARK_CLEARED_RELAXED"), $);
        }
    }

    /* pin_detach_locked */
    void detach()
    {
        listed($) = 0;
        if (!mutated("COUNT_BEFORE_MARK")) {
            clear_marks();
        }
        pinned.fetch_sub(BLOCKS, order(rl::mo_acq_rel, "COUNT_DOWN_RELAXED"), $);
        if (mutated("COUNT_BEFORE_MARK")) {
            clear_marks();
        }
    }

    /* pin_release_locked */
    void release_locked()
    {
        int left = users($) - 1;
        users($) = left;
        if (left == 0 || (mutated("FIRST_USER_ENDS") && listed($) != 0)) {
            detach();
            pin($) = 1;
        }
    }

    void lock(const char *mutation)
    {
        if (!mutated(mutation)) {
            arena.lock($);
        }
    }

    void unlock(const char *mutation)
    {
        if (!mutated(mutation)) {
            arena.unlock($);
        }
    }

    void release()
    {
        for (int i = 0; i < BLOCKS; i++) {
            block[i]($) = 1;
        }
        lock("RELEASE_UNLOCKED");
        release_locked();
        unlock("RELEASE_UNLOCKED");
    }

    bool has_pins()
    {
        return pinned.load(order(rl::mo_acquire, "COUNT_READ_RELAXED"), $) > 0;
    }

    /* pins_enter, what a call does with frozen copies, pins_leave */
    void clone()
    {
        bool user = false;
        if (has_pins()) {
            lock("ENTER_UNLOCKED");
            if (listed($) != 0) {
                user = true;
                users($) = users($) + !mutated("CALL_NO_USER");
            }
            unlock("ENTER_UNLOCKED");
        }
        if (user) {
            pin($) = 2;
            if (!mutated("CALL_NO_USER")) {
                arena.lock($);
                release_locked();
                arena.unlock($);
            }
        }
    }

    /* node_clear: finds the pins without the arena's lock */
    void discard()
    {
        bool pins = has_pins();
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
            clone();
            discard();
        } else {
            release();
        }
    }
};

MODEL(Pins)
