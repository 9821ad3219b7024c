/*
 * reading.pml - an optimistic reader never accepts half a write
 *
 * Two blocks, each with its own stripe. Every write gives both the same value; one writer
 * locks the stripes, one a span, one the whole pool. The reader notes the versions, reads,
 * and compares them; if one has changed it reads under the stripes. All that it accepts has
 * two equal halves, and is not older than what it read before.
 *
 *  MUTATION NO_SHAPE_AT_END     the validation is of the stripes only
 *  MUTATION NO_STRIPES_AT_END   the validation is of the shape lock only
 *  MUTATION SUM_ONLY            two held stripes make an even sum, which is accepted
 *  MUTATION SAME_VERSION        a release restores the version before the lock
 *  MUTATION WRITE_AFTER_UNLOCK  the second block is written after the stripes are released
 *  MUTATION NO_SECOND_LOOK      a shared operation does not check the shape lock at all
 *  MUTATION NO_LOOK_AT_STRIPES  the holder of the shape lock does not wait for the stripes
 *  MUTATION READ_BESIDE_SPANS   the reader begins while there are spans
 *  MUTATION READ_BESIDE_CHANGE  the reader begins while the whole pool is locked
 */
#include "pool_lock.pml"

byte data[2];
byte writes; /* how many have begun; also the next value */

inline write_both()
{
    d_step { writes++; value = writes };
    data[0] = value;
#ifndef WRITE_AFTER_UNLOCK
    data[1] = value;
#endif
}

proctype Writer()
{
    byte value;
    lock_range(0, 0, 1);
    write_both();
    unlock_range(0, 0, 1);
#ifdef WRITE_AFTER_UNLOCK
    data[1] = value
#endif
}

proctype SpanWriter()
{
    byte value, span, seen;
    lock_span(0, 0, 2, span);
    write_both();
    unlock_span(0, span, seen);
#ifdef WRITE_AFTER_UNLOCK
    data[1] = value
#endif
}

proctype WholeWriter()
{
    byte value;
    lock_exclusive(0);
    write_both();
    unlock_exclusive(0);
#ifdef WRITE_AFTER_UNLOCK
    data[1] = value
#endif
}

inline read_both()
{
    got[0] = data[0];
    got[1] = data[1]
}

inline believe()
{
    d_step {
        assert(got[0] == got[1]);
        assert(got[0] >= before);
        before = got[0];
        got[0] = 0;
        got[1] = 0;
        shape = 0;
        sum = 0;
        again = 0
    }
}

/* Accepts what it read, or goes on to read under the stripes. */
inline read_watching()
{
    shape = optimistic_begin_shape;
    optimistic_sum(sum, first);
    if
    :: odd(sum) -> goto with_stripes
    :: else
    fi;
    read_both();
#ifndef NO_SHAPE_AT_END
    if
    :: !optimistic_validate_shape(shape) -> goto with_stripes
    :: else
    fi;
#endif
#ifndef NO_STRIPES_AT_END
    optimistic_sum(again, first);
    if
    :: sum != again -> goto with_stripes
    :: else
    fi;
#endif
    believe()
}

proctype Reader()
{
    byte got[2], shape, sum, again, first, before;
    read_watching();
    read_watching();
    goto done;
with_stripes:
    lock_range(0, 0, 1);
    read_both();
    believe();
    unlock_range(0, 0, 1);
done:
    skip
}

init
{
    atomic {
        run Writer();
        run SpanWriter();
        run WholeWriter();
        run Reader()
    }
}
