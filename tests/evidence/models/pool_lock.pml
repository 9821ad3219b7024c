/*
 * pool_lock.pml - the locks of c/src/sync/pool_lock.c, included by the models beside it
 *
 * Two pools, the older one 0, of two stripes and two spans each. A lock is its version,
 * odd while it is held; the second bit of a shape lock is the mark that there may be
 * spans. A thread waits at a statement that is not executable yet: so a deadlock is an end
 * state in which not all threads have finished, and spin reports it. Every load and every
 * store of a lock is a step of its own, except the exchange that acquires it. Fairness and
 * the queue are the subject of fair.pml.
 *
 * #ifdef marks mutations: errors that spin must find.
 */
#define STRIPES 2
#define SPANS 2
#define MARK 2
#define odd(version) ((version) & 1)

typedef PoolLock {
    byte shape;
    byte stripe[STRIPES];
    byte first[SPANS];
    byte count[SPANS] /* blocks; 0: free */
}
PoolLock pool[2];

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

/* A shape lock, with the mark or without it. */
inline shape_release(p, mark)
{
#ifdef SAME_VERSION
    pool[p].shape = (mark)
#else
    pool[p].shape = (pool[p].shape & 252) + 4 + (mark)
#endif
}

/* ------------------------------------------------------------------------- locking */

inline await_stripes(p)
{
    !odd(pool[p].stripe[0]);
    !odd(pool[p].stripe[1])
}

inline lock_exclusive(p)
{
    lock_acquire(pool[p].shape);
#ifndef NO_LOOK_AT_STRIPES
    await_stripes(p);
#endif
#ifndef WHOLE_BESIDE_SPANS
    if
    :: pool[p].shape & MARK ->
        pool[p].count[0] == 0;
        pool[p].count[1] == 0;
        pool[p].shape = pool[p].shape - MARK
    :: else
    fi
#endif
}

inline unlock_exclusive(p)
{
    shape_release(p, 0)
}

inline unlock_range(p, low, high)
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

/* Locks the blocks low and high, which is low or the next one, by their stripes. A
 * mutation locks them in the other order. */
inline lock_range(p, low, high)
{
    do
    ::
#ifdef LOOK_BEFORE_STRIPE
        !odd(pool[p].shape);
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
        :: !(pool[p].shape & (1 + MARK)) -> break
#  ifdef ADMITTED_TO_SPANS
        :: (pool[p].shape & (1 + MARK)) == MARK -> break
#  else
        :: (pool[p].shape & (1 + MARK)) == MARK ->
            if
            :: !in_span(p, 0, low, high) ->
                if
                :: !in_span(p, 1, low, high) -> break
                :: else
                fi
            :: else
            fi
#  endif
        :: odd(pool[p].shape)
        fi;
#  ifdef WAIT_WITH_STRIPES
        !odd(pool[p].shape);
        break
#  else
        unlock_range(p, low, high);
        !odd(pool[p].shape) && !in_span(p, 0, low, high) && !in_span(p, 1, low, high)
#  endif
#endif
    od
}

/* Locks the blocks from low on by a span; span gets its number. */
inline lock_span(p, low, blocks, span)
{
    do
    ::  lock_acquire(pool[p].shape);
        span = (pool[p].count[0] == 0 -> 0 : 1);
        if
#ifndef SPANS_OVERLAP
        :: in_span(p, 0, low, (low) + (blocks)-1)
        :: in_span(p, 1, low, (low) + (blocks)-1)
#endif
        :: pool[p].count[span] != 0
        :: else -> break
        fi;
        shape_release(p, pool[p].shape & MARK);
        !in_span(p, 0, low, (low) + (blocks)-1) &&
            !in_span(p, 1, low, (low) + (blocks)-1) &&
            (pool[p].count[0] == 0 || pool[p].count[1] == 0)
    od;
#ifndef SPAN_BESIDE_STRIPES
    await_stripes(p);
#endif
    pool[p].first[span] = low;
    pool[p].count[span] = blocks;
    shape_release(p, MARK)
}

/* seen is a scratch variable. */
inline unlock_span(p, span, seen)
{
    pool[p].count[span] = 0;
    do
    ::  seen = pool[p].shape;
        if
        :: odd(seen) || !(seen & MARK) -> break
        :: else
        fi;
#ifndef FIRST_OPENS_SHAPE
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
            :: pool[p].shape == seen -> shape_release(p, 0); break
            :: else
            fi
        }
    od;
    seen = 0
}

/* ------------------------------------------------------------- optimistic reads */

/* The sum of the versions of both stripes of pool 0, or 1 if one of them is held; into
 * sum, with first for its use. */
inline optimistic_sum(sum, first)
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

/* The version that is noted: without the bits that say that the shape lock is held, or that
 * there may be spans. It then has no such version. */
#if defined(READ_BESIDE_SPANS)
#define optimistic_begin_shape (pool[0].shape & 254)
#elif defined(READ_BESIDE_CHANGE)
#define optimistic_begin_shape (pool[0].shape & (255 - MARK))
#else
#define optimistic_begin_shape (pool[0].shape & (254 - MARK))
#endif
#define optimistic_validate_shape(noted) (pool[0].shape == noted)
