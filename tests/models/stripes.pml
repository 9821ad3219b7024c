/*
 * stripes.pml - the locks of c/src/sync/stripes.c, included by the models beside it
 *
 * Two pools, the older one 0, of two stripes and two spans each. A lock is its version, odd
 * while it is held; a gate has in its second bit the mark that there may be spans. Waiting
 * is a statement that cannot be executed yet: so a deadlock is an end state in which not
 * everybody is done, and spin reports it. Every look at a lock and every change of one is a
 * step of its own, but for the exchange that takes it. That locks are fair, and who is out
 * of patience, is the subject of fair.pml.
 *
 * #ifdef marks mutations: errors that spin must find.
 */
#define STRIPES 2
#define SPANS 2
#define MARK 2
#define odd(version) ((version) & 1)

typedef Stripes {
    byte gate;
    byte stripe[STRIPES];
    byte first[SPANS];
    byte count[SPANS] /* blocks; 0: nobody has it */
}
Stripes pool[2];

inline lock_acquire(version)
{
    atomic { !odd(version) -> version++ }
}

inline lock_release(version)
{
#ifdef SAME_VERSION
    version--
#else
    version++
#endif
}

/* A gate, with the mark or without it. */
inline gate_release(p, mark)
{
#ifdef SAME_VERSION
    pool[p].gate = (mark)
#else
    pool[p].gate = (pool[p].gate & 252) + 4 + (mark)
#endif
}

/* ------------------------------------------------------------------------- holding */

inline await_stripes(p)
{
    !odd(pool[p].stripe[0]);
    !odd(pool[p].stripe[1])
}

inline hold_whole(p)
{
    lock_acquire(pool[p].gate);
#ifndef NO_LOOK_AT_STRIPES
    await_stripes(p);
#endif
#ifndef WHOLE_BESIDE_SPANS
    if
    :: pool[p].gate & MARK ->
        pool[p].count[0] == 0;
        pool[p].count[1] == 0;
        pool[p].gate = pool[p].gate - MARK
    :: else
    fi
#endif
}

inline let_go_whole(p)
{
    gate_release(p, 0)
}

inline let_go_range(p, low, high)
{
    lock_release(pool[p].stripe[(low) % STRIPES]);
    if
    :: (low) != (high) -> lock_release(pool[p].stripe[(high) % STRIPES])
    :: else
    fi
}

#define in_span(p, i, low, high)                                                       \
    (pool[p].count[i] != 0 && pool[p].first[i] <= (high) &&                            \
     pool[p].first[i] + pool[p].count[i] > (low))

/* The blocks low and high, which is low or the next one, by their stripes. A mutation takes
 * them the other way round. */
inline hold_range(p, low, high)
{
    do
    ::
#ifdef LOOK_BEFORE_STRIPE
        !odd(pool[p].gate);
#endif
        lock_acquire(pool[p].stripe[(low) % STRIPES]);
        if
        :: (low) != (high) -> lock_acquire(pool[p].stripe[(high) % STRIPES])
        :: else
        fi;
#if defined(LOOK_BEFORE_STRIPE) || defined(NO_SECOND_LOOK)
        break
#else
        if
        :: !(pool[p].gate & (1 + MARK)) -> break
#  ifdef ADMITTED_TO_SPANS
        :: (pool[p].gate & (1 + MARK)) == MARK -> break
#  else
        :: (pool[p].gate & (1 + MARK)) == MARK ->
            if
            :: !in_span(p, 0, low, high) ->
                if
                :: !in_span(p, 1, low, high) -> break
                :: else
                fi
            :: else
            fi
#  endif
        :: odd(pool[p].gate)
        fi;
#  ifdef WAIT_WITH_STRIPES
        !odd(pool[p].gate);
        break
#  else
        let_go_range(p, low, high);
        !odd(pool[p].gate) && !in_span(p, 0, low, high) && !in_span(p, 1, low, high)
#  endif
#endif
    od
}

/* The blocks from low on by a span; span gets its number. */
inline hold_span(p, low, blocks, span)
{
    do
    ::  lock_acquire(pool[p].gate);
        span = (pool[p].count[0] == 0 -> 0 : 1);
        if
#ifndef SPANS_OVERLAP
        :: in_span(p, 0, low, (low) + (blocks)-1)
        :: in_span(p, 1, low, (low) + (blocks)-1)
#endif
        :: pool[p].count[span] != 0
        :: else -> break
        fi;
        gate_release(p, pool[p].gate & MARK);
        !in_span(p, 0, low, (low) + (blocks)-1) &&
            !in_span(p, 1, low, (low) + (blocks)-1) &&
            (pool[p].count[0] == 0 || pool[p].count[1] == 0)
    od;
#ifndef SPAN_BESIDE_STRIPES
    await_stripes(p);
#endif
    pool[p].first[span] = low;
    pool[p].count[span] = blocks;
    gate_release(p, MARK)
}

/* seen is for its use. */
inline let_go_span(p, span, seen)
{
    pool[p].count[span] = 0;
    do
    ::  seen = pool[p].gate;
        if
        :: odd(seen) || !(seen & MARK) -> break
        :: else
        fi;
#ifndef FIRST_OPENS_GATE
        if
        :: pool[p].count[0] != 0 -> break
        :: else
        fi;
        if
        :: pool[p].count[1] != 0 -> break
        :: else
        fi;
#endif
        atomic {
            if
            :: pool[p].gate == seen -> gate_release(p, 0); break
            :: else
            fi
        }
    od;
    seen = 0
}

/* ---------------------------------------------------------------------- watching */

/* The sum of the versions of both stripes of pool 0, or 1 if one of them is held; into
 * sum, with first for its use. */
inline watch_sum(sum, first)
{
    first = pool[0].stripe[0];
    sum = pool[0].stripe[1];
    d_step {
#ifdef SUM_ONLY
        sum = sum + first;
#else
        sum = (odd(sum) || odd(first) -> 1 : sum + first);
#endif
        first = 0
    }
}

#ifdef WATCH_BESIDE_SPANS
#define is_closed(gate) odd(gate)
#else
#define is_closed(gate) ((gate) & (1 + MARK))
#endif
#define watch_shape(noted) (pool[0].gate == noted)
