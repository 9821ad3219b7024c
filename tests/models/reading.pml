/*
 * reading.pml - a reader without a lock never believes half a write
 *
 * Two blocks, each below its own stripe. Every write gives both the same value; one writer
 * holds the stripes, one a span, one the whole pool. The reader notes the versions, reads,
 * and looks again; if it is out of luck it reads under the stripes. Whatever it believes
 * has two equal halves, and is not older than what it read before.
 *
 *  MUTATION NO_GATE_AT_END      the second look is at the stripes only
 *  MUTATION NO_STRIPES_AT_END   the second look is at the gate only
 *  MUTATION SUM_ONLY            two held stripes make an even sum, and it is believed
 *  MUTATION SAME_VERSION        letting go restores the version that was there before
 *  MUTATION WRITE_AFTER_LET_GO  the second block is written after the stripes are let go
 *  MUTATION NO_SECOND_LOOK      ordinary work does not look at the gate at all
 *  MUTATION NO_LOOK_AT_STRIPES  who has the gate does not wait for the stripes
 *  MUTATION WATCH_BESIDE_SPANS  the reader begins while there are spans
 */
#include "stripes.pml"

byte data[2];
byte writes; /* so many were begun: the next value */

inline write_both()
{
    d_step { writes++; value = writes };
    data[0] = value;
#ifndef WRITE_AFTER_LET_GO
    data[1] = value;
#endif
}

proctype Writer()
{
    byte value;
    hold_range(0, 0, 1);
    write_both();
    let_go_range(0, 0, 1);
#ifdef WRITE_AFTER_LET_GO
    data[1] = value
#endif
}

proctype SpanWriter()
{
    byte value, span, seen;
    hold_span(0, 0, 2, span);
    write_both();
    let_go_span(0, span, seen);
#ifdef WRITE_AFTER_LET_GO
    data[1] = value
#endif
}

proctype WholeWriter()
{
    byte value;
    hold_whole(0);
    write_both();
    let_go_whole(0);
#ifdef WRITE_AFTER_LET_GO
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
        gate = 0;
        sum = 0;
        again = 0
    }
}

/* Believes what it read, or goes to where it reads under the stripes. */
inline read_watching()
{
    gate = pool[0].gate;
    watch_sum(sum, first);
    if
    :: is_closed(gate) || odd(sum) -> goto with_stripes
    :: else
    fi;
    read_both();
#ifndef NO_GATE_AT_END
    if
    :: !watch_shape(gate) -> goto with_stripes
    :: else
    fi;
#endif
#ifndef NO_STRIPES_AT_END
    watch_sum(again, first);
    if
    :: sum != again -> goto with_stripes
    :: else
    fi;
#endif
    believe()
}

proctype Reader()
{
    byte got[2], gate, sum, again, first, before;
    read_watching();
    read_watching();
    goto done;
with_stripes:
    hold_range(0, 0, 1);
    read_both();
    believe();
    let_go_range(0, 0, 1);
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
