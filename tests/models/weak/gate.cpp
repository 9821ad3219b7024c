/* SPDX-License-Identifier: MIT */
/*
 * gate.cpp - who has a stripe and who has the whole pool exclude each other (stripes.c)
 *
 * One side takes its stripe and then looks at the gate, the other takes the gate and then
 * looks at the stripe: each first writes one word and then reads the other, which only
 * sequentially consistent operations keep in that order.
 *
 *  MUTATION SWAP_ACQ_REL            locks are taken by an exchange that acquires and releases
 *  MUTATION LOOK_AT_GATE_ACQUIRE    the look at the gate acquires only
 *  MUTATION LOOK_AT_STRIPE_ACQUIRE  the look at the stripe acquires only
 *  MUTATION LOOK_AT_STRIPE_RELAXED  it has no order
 *  MUTATION UNLOCK_RELAXED          locks are released with no order
 */
#include "weak.h"

struct Gate : rl::test_suite<Gate, 2> {
    AtomicSize gate, stripe;
    VAR_T(int) pool;

    void before()
    {
        gate.store(0, rl::mo_relaxed, $);
        stripe.store(0, rl::mo_relaxed, $);
        pool($) = 0;
    }

    /* stripes_hold_block */
    void hold_block()
    {
        Order look = order(rl::mo_seq_cst, "LOOK_AT_GATE_ACQUIRE", rl::mo_acquire);
        for (;;) {
            lock_acquire(stripe);
            if (!lock_is_held(gate, look)) {
                return;
            }
            lock_release(stripe);
            lock_await(gate, look);
        }
    }

    /* stripes_hold_whole */
    void hold_whole()
    {
        Order look = mutated("LOOK_AT_STRIPE_RELAXED")   ? rl::mo_relaxed
                     : mutated("LOOK_AT_STRIPE_ACQUIRE") ? rl::mo_acquire
                                                         : rl::mo_seq_cst;
        lock_acquire(gate);
        lock_await(stripe, look);
    }

    void thread(unsigned id)
    {
        if (id == 0) {
            hold_block();
            pool($) = 1;
            lock_release(stripe);
        } else {
            hold_whole();
            pool($) = 2;
            lock_release(gate);
        }
    }
};

MODEL(Gate)
