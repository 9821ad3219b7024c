/* SPDX-License-Identifier: MIT */
/*
 * exclusive.cpp - the holders of a stripe and of the whole pool exclude each other
 * (pool_lock.c)
 *
 * One thread acquires its stripe and then checks the shape lock, the other acquires the
 * shape lock and then checks the stripe: each first writes one word and then reads the
 * other, and only sequentially consistent operations keep that order.
 *
 *  MUTATION SWAP_ACQ_REL            locks are acquired by an exchange with acq_rel only
 *  MUTATION LOOK_AT_SHAPE_ACQUIRE   the check of the shape lock has acquire only
 *  MUTATION LOOK_AT_STRIPE_ACQUIRE  the check of the stripe has acquire only
 *  MUTATION LOOK_AT_STRIPE_RELAXED  the check of the stripe is relaxed
 *  MUTATION UNLOCK_RELAXED          the release of locks is relaxed
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
