/*
 * stripes.pml - the locks of c/src/stripes.c, included by the models beside it
 *
 * Two pools, the older one 0, of two stripes each. A lock is its version, odd while it is
 * held. Waiting is a statement that cannot be executed yet: so a deadlock is an end state
 * in which not everybody is done, and spin reports it. Every look at a lock and every
 * change of one is a step of its own, but for the exchange that takes it.
 *
 * #ifdef marks mutations: errors that spin must find.
 */
#define STRIPES 2
#define odd(version) ((version) & 1)

typedef Stripes {
    byte gate;
    byte stripe[STRIPES]
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

/* ---------------------------------------------------------------- holding, let go */

inline hold_whole(p)
{
    lock_acquire(pool[p].gate);
#ifndef NO_LOOK_AT_STRIPES
    !odd(pool[p].stripe[0]);
    !odd(pool[p].stripe[1])
#endif
}

inline let_go_whole(p)
{
    lock_release(pool[p].gate)
}

inline let_go_range(p, low, high)
{
    lock_release(pool[p].stripe[low]);
    if
    :: low != high -> lock_release(pool[p].stripe[high])
    :: else
    fi
}

/* The stripes from low to high: one or both. A mutation takes them the other way round. */
inline hold_range(p, low, high)
{
    do
    ::
#ifdef LOOK_BEFORE_STRIPE
        !odd(pool[p].gate);
#endif
        lock_acquire(pool[p].stripe[low]);
        if
        :: low != high -> lock_acquire(pool[p].stripe[high])
        :: else
        fi;
#if defined(LOOK_BEFORE_STRIPE) || defined(NO_SECOND_LOOK)
        break
#else
        if
        :: !odd(pool[p].gate) -> break
        :: else
        fi;
#  ifdef WAIT_WITH_STRIPES
        !odd(pool[p].gate);
        break
#  else
        let_go_range(p, low, high);
        !odd(pool[p].gate)
#  endif
#endif
    od
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

#define watch_shape(noted) (pool[0].gate == noted)
