/*
 * fair.pml - no thread starves beside others that lock again and again
 *
 * The fair lock of c/src/sync/lock.c and, built of it, a shape lock, a stripe and a span
 * that contains the stripe's block. At most two threads never stop: one locks the whole
 * pool in a loop, the other the block or the span. Up to three others lock once, in each
 * way there is. Checked: they finish, if each thread that can go on does so at some time
 * (weak fairness), and no two are in the pool at once.
 *
 * A thread that fails tries again or enters the queue; it chooses, but not for ever
 * (tried). A mark that is set between the two steps of a release is lost: once for each
 * lock, because to lose it always would need a coincidence without end. Tickets do not
 * expire here: all threads live.
 *
 *  MUTATION NO_MARK            the first in the queue does not mark the lock
 *  MUTATION NO_HEED            any thread takes a marked lock
 *  MUTATION NO_QUEUE           a thread that stops backing off marks the lock, without a queue
 *  MUTATION NO_QUEUE_AT_SHAPE  a thread that finds the shape lock held never queues for it
 *  MUTATION UNCOUNTED          a round that finds the shape lock free again does not count
 *  MUTATION NO_QUEUE_AT_SPAN   a thread that finds a span never queues for the shape lock
 *  MUTATION TURN_FIRST         the queue moves on before the lock was taken
 */
#define HELD 1
#define HANDOFF 2
#define SHAPE 0
#define STRIPE 1
#define TURNS 4 /* as many as can be in the queue */

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

inline acquire_queued(l)
{
    d_step {
        ticket = lock[l].next;
        lock[l].next = (ticket + 1) % TURNS
    };
#ifndef NO_QUEUE
    lock[l].serving == ticket;
#endif
#ifdef TURN_FIRST
    lock[l].serving = (ticket + 1) % TURNS;
#endif
    do
    :: atomic { !held(l) -> lock[l].bits = HELD; break }
#ifndef NO_MARK
    :: atomic { lock[l].bits == HELD -> lock[l].bits = HELD + HANDOFF }
#endif
    od;
#ifndef TURN_FIRST
    lock[l].serving = (ticket + 1) % TURNS;
#endif
    ticket = 0
}

/* A try; then the queue. */
inline acquire(l)
{
    if
    :: atomic { may_take(l) -> lock[l].bits = lock[l].bits | HELD }
    :: atomic { !may_take(l) -> skip }; acquire_queued(l)
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

/* ------------------------------------------------------------------ as in pool_lock.c */

inline lock_exclusive()
{
    acquire(SHAPE);
    !held(STRIPE);
    span == 0
}

inline lock_exclusive_queued()
{
    acquire_queued(SHAPE);
    !held(STRIPE);
    span == 0
}

/* how: what it has locked in the end. */
inline lock_block()
{
    do
    ::  acquire(STRIPE);
        if
        :: !held(SHAPE) && !span -> how = STRIPE; break
        :: else
        fi;
        release(STRIPE);
        if
#if defined(NO_QUEUE_AT_SHAPE)
        :: !held(SHAPE) && !span
#elif defined(UNCOUNTED)
        :: !held(SHAPE) && !span
        :: held(SHAPE) || span -> lock_exclusive_queued(); how = SHAPE; break
#else
        :: !tried -> tried = 1
        :: lock_exclusive_queued(); how = SHAPE; break
#endif
        fi
    od;
    tried = 0
}

inline unlock_block()
{
    if
    :: how == STRIPE -> release(STRIPE)
    :: else -> release(SHAPE)
    fi;
    how = 0
}

/* how: 2 for a span. */
inline lock_span()
{
    do
    ::  acquire(SHAPE);
        if
        :: !span -> !held(STRIPE); span = 1; how = 2; release(SHAPE); break
        :: else
        fi;
        release(SHAPE);
        if
#ifdef NO_QUEUE_AT_SPAN
        :: !span
#else
        :: !tried -> tried = 1
        :: lock_exclusive_queued(); how = SHAPE; break
#endif
        fi
    od;
    tried = 0
}

inline unlock_span()
{
    if
    :: how == 2 -> span = 0
    :: else -> release(SHAPE)
    fi;
    how = 0
}

inline critical()
{
    d_step { inside++; assert(inside == 1) };
    d_step { inside-- }
}

/* ------------------------------------------------------------------------ threads */

proctype GreedyWhole()
{
    byte ticket, seen;
    do
    :: lock_exclusive(); critical(); release(SHAPE)
    od
}

proctype GreedyBlock()
{
    byte ticket, seen, how;
    bit tried;
    do
    :: lock_block(); critical(); unlock_block()
    od
}

proctype GreedySpan()
{
    byte ticket, seen, how;
    bit tried;
    do
    :: lock_span(); critical(); unlock_span()
    od
}

proctype Whole()
{
    byte ticket, seen;
    lock_exclusive(); critical(); release(SHAPE);
    done++
}

proctype Block()
{
    byte ticket, seen, how;
    bit tried;
    lock_block(); critical(); unlock_block();
    done++
}

proctype Span()
{
    byte ticket, seen, how;
    bit tried;
    lock_span(); critical(); unlock_span();
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
