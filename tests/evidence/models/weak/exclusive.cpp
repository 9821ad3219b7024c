/* SPDX-License-Identifier: MIT */
/*
 * exclusive.cpp - who has a stripe and who has the whole pool exclude each other
 * (pool_lock.c)
 *
 * One side takes its stripe and then looks at the shape lock, the other takes the shape
 * lock and then looks at the stripe: each first writes one word and then reads the other,
 * which only sequentially consistent operations keep in that order.
 *
 *  MUTATION SWAP_ACQ_REL            locks are taken by an exchange that acquires and releases
 *  MUTATION LOOK_AT_SHAPE_ACQUIRE   the look at the shape lock acquires only
 *  MUTATION LOOK_AT_STRIPE_ACQUIRE  the look at the stripe acquires only
 *  MUTATION LOOK_AT_STRIPE_RELAXED  the look at the stripe has no order
 *  MUTATION UNLOCK_RELAXED          locks are released with no order
 */
#include "weak.h"

struct Exclusive : rl::test_suite<Exclusive, 2> {
    AtomicSize shape, stripe;
    VAR_T(int) pool;

    void before()
    {
        shape.store(0, rl::mo_relaxed, $);
        stripe.store(0, rl::mo_relaxed, $);
        pool($) = 0;
    }

    /* pool_lock_block */
    void lock_block()
    {
        Order look = order(rl::mo_seq_cst, "LOOK_AT_SHAPE_ACQUIRE", rl::mo_acquire);
        for (;;) {
            lock_acquire(stripe);
            if (!lock_is_held(shape, look)) {
                return;
            }
            lock_release(stripe);
            lock_await_free(shape, look);
        }
    }

    /* pool_lock_exclusive */
    void lock_exclusive()
    {
        Order look = mutated("LOOK_AT_STRIPE_RELAXED")   ? rl::mo_relaxed
                     : mutated("LOOK_AT_STRIPE_ACQUIRE") ? rl::mo_acquire
                                                         : rl::mo_seq_cst;
        lock_acquire(shape);
        lock_await_free(stripe, look);
    }

    void thread(unsigned id)
    {
        if (id == 0) {
            lock_block();
            pool($) = 1;
            lock_release(stripe);
        } else {
            lock_exclusive();
            pool($) = 2;
            lock_release(shape);
        }
    }
};

MODEL(Exclusive)
