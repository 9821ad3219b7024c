/*
 * fair.pml - nobody waits for ever beside others that come again and again
 *
 * The fair lock of c/src/sync/lock.c and, built of it, a gate, a stripe and a span that lies on
 * the stripe's block. Two threads at most never stop: one locks the whole pool in a loop, the other
 * the block or the span. Others come once, in each way there is, up to three in line.
 * Checked: they get done, if each thread that can go on does so at some time (weak fairness), and no two are
 * in the pool at once.
 *
 * A thread out of luck tries again or, out of patience, stands in line; it chooses, but not
 * for ever (tried). A mark that falls between the two steps of a release is lost: once for
 * each lock, since to be lost always would take a coincidence without end. Places in line
 * do not lapse here: all threads live.
 *
 *  MUTATION NO_MARK        who is first in line does not mark the lock
 *  MUTATION NO_HEED        a marked lock is taken by anybody
 *  MUTATION NO_LINE        who is out of patience marks the lock, but there is no line
 *  MUTATION NO_LATE_GATE   who meets the gate closed never stands in line for it
 *  MUTATION UNCOUNTED      a round that finds the gate open again costs no patience
 *  MUTATION SPAN_NEVER_LATE who meets a span never stands in line for the gate
 *  MUTATION TURN_FIRST     the line moves on before the lock was taken
 */
#define HELD 1
#define WANTED 2
#define GATE 0
#define STRIPE 1
#define TURNS 4 /* as many as can stand in line */

typedef Lock { byte bits, next, serving, lost }
Lock lock[2];
bit span;
byte inside, done;

#define held(l) (lock[l].bits & HELD)
#ifdef NO_HEED
#define may_take(l) (!held(l))
#else
#define may_take(l) (lock[l].bits == 0)
#endif

inline line_up(l)
{
    d_step {
        ticket = lock[l].next;
        lock[l].next = (ticket + 1) % TURNS
    };
#ifndef NO_LINE
    lock[l].serving == ticket;
#endif
#ifdef TURN_FIRST
    lock[l].serving = (ticket + 1) % TURNS;
#endif
    do
    :: atomic { !held(l) -> lock[l].bits = HELD; break }
#ifndef NO_MARK
    :: atomic { lock[l].bits == HELD -> lock[l].bits = HELD + WANTED }
#endif
    od;
#ifndef TURN_FIRST
    lock[l].serving = (ticket + 1) % TURNS;
#endif
    ticket = 0
}

/* A try; then the line. */
inline acquire(l)
{
    if
    :: atomic { may_take(l) -> lock[l].bits = lock[l].bits | HELD }
    :: atomic { !may_take(l) -> skip }; line_up(l)
    fi
}

inline release(l)
{
    seen = lock[l].bits;
    d_step {
        if
        :: lock[l].bits != seen && lock[l].lost == 0 ->
            lock[l].lost = 1;
            lock[l].bits = seen - HELD
        :: else -> lock[l].bits = lock[l].bits - HELD
        fi;
        seen = 0
    }
}

/* ------------------------------------------------------------------ as in stripes.c */

inline hold_whole()
{
    acquire(GATE);
    !held(STRIPE);
    span == 0
}

inline hold_whole_late()
{
    line_up(GATE);
    !held(STRIPE);
    span == 0
}

/* how: what it has in the end. */
inline hold_block()
{
    do
    ::  acquire(STRIPE);
        if
        :: !held(GATE) && !span -> how = STRIPE; break
        :: else
        fi;
        release(STRIPE);
        if
#if defined(NO_LATE_GATE)
        :: !held(GATE) && !span
#elif defined(UNCOUNTED)
        :: !held(GATE) && !span
        :: held(GATE) || span -> hold_whole_late(); how = GATE; break
#else
        :: !tried -> tried = 1
        :: hold_whole_late(); how = GATE; break
#endif
        fi
    od;
    tried = 0
}

inline let_go_block()
{
    if
    :: how == STRIPE -> release(STRIPE)
    :: else -> release(GATE)
    fi;
    how = 0
}

/* how: 2 for a span. */
inline hold_span()
{
    do
    ::  acquire(GATE);
        if
        :: !span -> !held(STRIPE); span = 1; how = 2; release(GATE); break
        :: else
        fi;
        release(GATE);
        if
#ifdef SPAN_NEVER_LATE
        :: !span
#else
        :: !tried -> tried = 1
        :: hold_whole_late(); how = GATE; break
#endif
        fi
    od;
    tried = 0
}

inline let_go_span()
{
    if
    :: how == 2 -> span = 0
    :: else -> release(GATE)
    fi;
    how = 0
}

inline critical()
{
    d_step { inside++; assert(inside == 1) };
    d_step { inside-- }
}

/* ---------------------------------------------------------------------- who comes */

proctype GreedyWhole()
{
    byte ticket, seen;
    do
    :: hold_whole(); critical(); release(GATE)
    od
}

proctype GreedyBlock()
{
    byte ticket, seen, how;
    bit tried;
    do
    :: hold_block(); critical(); let_go_block()
    od
}

proctype GreedySpan()
{
    byte ticket, seen, how;
    bit tried;
    do
    :: hold_span(); critical(); let_go_span()
    od
}

proctype Whole()
{
    byte ticket, seen;
    hold_whole(); critical(); release(GATE);
    done++
}

proctype Block()
{
    byte ticket, seen, how;
    bit tried;
    hold_block(); critical(); let_go_block();
    done++
}

proctype Span()
{
    byte ticket, seen, how;
    bit tried;
    hold_span(); critical(); let_go_span();
    done++
}

init
{
    atomic {
        if
        :: done = 1; run GreedyWhole(); run Whole(); run Block()
        :: done = 1; run GreedySpan(); run Span(); run Block()
        :: done = 1; run GreedyBlock(); run Whole(); run Block()
        :: done = 2; run GreedyWhole(); run GreedyBlock(); run Block()
        :: done = 2; run GreedyWhole(); run GreedySpan(); run Block()
        :: done = 2; run GreedySpan(); run GreedyBlock(); run Span()
        :: run GreedyWhole(); run Whole(); run Whole(); run Block()
        fi
    }
}

ltl served { <> (done == 3) }
