/* SPDX-License-Identifier: MIT */
/*
 * spans.cpp - long ranges beside everybody else (pool_lock.c)
 *
 * A writer has a span, leaves it, enters it again for other blocks, and writes to these.
 * Beside it somebody writes to one of them under its stripe, if he is admitted. Or the
 * writer only writes and leaves, and somebody gets the whole pool.
 *
 *  MUTATION LOOK_AT_SHAPE_ACQUIRE   who has a stripe looks at the shape lock with acquire only
 *  MUTATION LOOK_AT_STRIPE_ACQUIRE  who enters a span looks at the stripe with acquire only
 *  MUTATION ENTER_RELAXED           the shape lock is released with no order once a span is there
 *  MUTATION LEAVE_RELAXED           a span is left with no order
 *  MUTATION SPAN_READ_RELAXED       whether somebody has a span is read with no order
 *  MUTATION LAST_SWAP_RELAXED       the last one leaves the shape lock with no order
 */
#include "weak.h"

enum { SPANS = 2, HOLD = 4 }; /* beside 1, which says that the lock is held */
enum { FIRST = 10, SECOND = 20, COUNT = 2 };

struct Spans : rl::test_suite<Spans, 2> {
    AtomicSize shape, stripe, first, count;
    VAR_T(int) data; /* of the block SECOND */
    bool whole;      /* the other thread gets the whole pool */

    void before()
    {
        shape.store(SPANS, rl::mo_relaxed, $);
        stripe.store(0, rl::mo_relaxed, $);
        first.store(FIRST, rl::mo_relaxed, $);
        count.store(COUNT, rl::mo_relaxed, $);
        data($) = 0;
        whole = rl::rand(2) != 0;
    }

    bool span_is_held()
    {
        return count.load(order(rl::mo_acquire, "SPAN_READ_RELAXED"), $) != 0;
    }

    void enter(size_t start)
    {
        lock_acquire(shape);
        lock_await_free(stripe,
                   order(rl::mo_seq_cst, "LOOK_AT_STRIPE_ACQUIRE", rl::mo_acquire));
        first.store(start, rl::mo_relaxed, $);
        count.store(COUNT, rl::mo_relaxed, $);
        shape.store((shape.load(rl::mo_relaxed, $) | SPANS) + HOLD - 1,
                   order(rl::mo_release, "ENTER_RELAXED"), $);
    }

    void leave()
    {
        size_t version;
        count.store(0, order(rl::mo_release, "LEAVE_RELAXED"), $);
        do {
            version = shape.load(rl::mo_seq_cst, $);
            if ((version & 1) != 0 || (version & SPANS) == 0 || span_is_held()) {
                return;
            }
        } while (!shape.compare_exchange_strong(version, version + HOLD - SPANS,
                                               order(rl::mo_seq_cst, "LAST_SWAP_RELAXED"),
                                               $));
    }

    bool admitted()
    {
        size_t version =
            shape.load(order(rl::mo_seq_cst, "LOOK_AT_SHAPE_ACQUIRE", rl::mo_acquire), $);
        if ((version & (1 | SPANS)) == 0) {
            return true;
        }
        if ((version & 1) != 0) {
            return false;
        }
        size_t blocks = count.load(order(rl::mo_acquire, "SPAN_READ_RELAXED"), $);
        size_t start = first.load(rl::mo_relaxed, $);
        return blocks == 0 || SECOND < start || SECOND >= start + blocks;
    }

    void write_block()
    {
        lock_acquire(stripe);
        if (admitted()) {
            data($) = 1;
        }
        lock_release(stripe);
    }

    void write_whole()
    {
        lock_acquire(shape);
        while (span_is_held()) {
            rl::yield(1, $);
        }
        data($) = 2;
        lock_release(shape);
    }

    void thread(unsigned id)
    {
        if (id == 0) {
            if (!whole) {
                leave();
                enter(SECOND);
            }
            data($) = 3;
            leave();
        } else if (whole) {
            write_whole();
        } else {
            write_block();
        }
    }
};

MODEL(Spans)
