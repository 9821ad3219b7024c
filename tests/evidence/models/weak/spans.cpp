/* SPDX-License-Identifier: MIT */
/*
 * spans.cpp - range locks (spans) beside stripes and exclusive locks (pool_lock.c)
 *
 * A writer has a span, unlocks it, locks it again for other blocks, and writes to these.
 * Another thread writes to one of these blocks under its stripe, if it is granted. Or the
 * writer only writes and unlocks, and another thread locks the whole pool.
 *
 *  MUTATION LOOK_AT_SHAPE_ACQUIRE   the check of the shape lock under a stripe has acquire only
 *  MUTATION LOOK_AT_STRIPE_ACQUIRE  the check of the stripe for a span has acquire only
 *  MUTATION ENTER_RELAXED           the release of the shape lock with a span is relaxed
 *  MUTATION LEAVE_RELAXED           the release of a span is relaxed
 *  MUTATION SPAN_READ_RELAXED       the load of a span is relaxed
 *  MUTATION LAST_SWAP_RELAXED       clearing the mark after the last span is relaxed
 */
#include "weak.h"

enum { SPANS = 2, HOLD = 4 }; /* flags beside 1, which means that the lock is held */
enum { FIRST = 10, SECOND = 20, COUNT = 2 };

struct Spans : rl::test_suite<Spans, 2> {
    AtomicSize shape, stripe, first, count;
    VAR_T(int) data; /* of the block SECOND */
    bool whole;      /* the other thread locks the whole pool */

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
