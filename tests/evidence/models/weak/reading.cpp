/* SPDX-License-Identifier: MIT */
/*
 * reading.cpp - optimistic reads of bytes during a write (pool_lock.c)
 *
 * A writer locks a stripe and writes two bytes, twice. A reader notes the version, reads
 * both, and compares the version: what it then accepts is of one write.
 *
 *  MUTATION NO_RELEASE_FENCE    no fence follows the exchange that makes a version odd
 *  MUTATION NO_ACQUIRE_FENCE    no fence comes before the comparison
 *  MUTATION UNLOCK_RELAXED      the store of an even version is relaxed
 *  MUTATION FIRST_LOOK_RELAXED  the first load of the version is relaxed
 */
#include "weak.h"

struct Reading : rl::test_suite<Reading, 2> {
    AtomicSize stripe, bytes[2]; /* relaxed: the library copies them with memcpy */

    void before()
    {
        stripe.store(0, rl::mo_relaxed, $);
        bytes[0].store(0, rl::mo_relaxed, $);
        bytes[1].store(0, rl::mo_relaxed, $);
    }

    void write(size_t value)
    {
        lock_acquire(stripe);
        bytes[0].store(value, rl::mo_relaxed, $);
        bytes[1].store(value, rl::mo_relaxed, $);
        lock_release(stripe);
    }

    void read()
    {
        size_t version = stripe.load(order(rl::mo_acquire, "FIRST_LOOK_RELAXED"), $);
        if ((version & 1) == 0) {
            size_t first = bytes[0].load(rl::mo_relaxed, $);
            size_t second = bytes[1].load(rl::mo_relaxed, $);
            fence_acquire();
            if (stripe.load(rl::mo_relaxed, $) == version) {
                RL_ASSERT(first == second && first == version / 2);
            }
        }
    }

    void thread(unsigned id)
    {
        if (id == 0) {
            write(1);
            write(2);
        } else {
            read();
        }
    }
};

MODEL(Reading)
