/*
 * spans.pml - range locks (spans) exclude each other if, and only if, they overlap
 *
 * Four blocks on two stripes. Shared operations on one block and on two neighbours by their
 * stripes; three spans, of which the one in the middle overlaps both others; exclusive
 * locks. Checked: no two have a block at once (users), all threads finish, and in the end
 * the shape lock has no mark, so that reads can be optimistic again.
 *
 *  MUTATION ADMITTED_TO_SPANS    a shared operation does not check the spans
 *  MUTATION SPAN_BESIDE_STRIPES  a span does not wait for the stripes
 *  MUTATION SPANS_OVERLAP        a span does not check the others
 *  MUTATION WHOLE_BESIDE_SPANS   an exclusive lock does not wait for spans
 *  MUTATION FIRST_OPENS_SHAPE    the first of two spans clears the mark
 *  MUTATION MARK_IS_LEFT         the last span does not check the shape lock at its end
 *  MUTATION SAME_VERSION         a release restores the version before the lock
 */
#include "pool_lock.pml"

byte users[4]; /* how many threads have a block: never two */
byte running;

inline enter(first, last)
{
    d_step {
        assert(users[first] == 0 && users[last] == 0);
        users[first]++;
        users[last] = 1
    }
}

inline leave(first, last)
{
    d_step { users[first] = 0; users[last] = 0 }
}

inline finish()
{
    d_step {
        running--;
        assert(running > 0 || !(pool[0].shape & (1 + MARK)))
    }
}

proctype Range(byte first, last)
{
    lock_range(0, first, last);
    enter(first, last);
    leave(first, last);
    unlock_range(0, first, last);
    finish()
}

proctype Span(byte first)
{
    byte span, seen;
    lock_span(0, first, 2, span);
    enter(first, first + 1);
    leave(first, first + 1);
#ifdef MARK_IS_LEFT
    pool[0].count[span] = 0;
#else
    unlock_span(0, span, seen);
#endif
    finish()
}

proctype Whole()
{
    lock_exclusive(0);
    enter(0, 1);
    enter(2, 3);
    leave(0, 1);
    leave(2, 3);
    unlock_exclusive(0);
    finish()
}

init
{
    atomic {
        if
        :: running = 4; run Range(2, 3); run Span(0); run Span(2); run Whole()
        :: running = 4; run Range(1, 1); run Span(0); run Span(1); run Span(2)
        :: running = 4; run Range(0, 0); run Range(1, 2); run Span(1); run Whole()
        fi
    }
}
