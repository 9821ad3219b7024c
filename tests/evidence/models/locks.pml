/*
 * locks.pml - mutual exclusion and absence of deadlock in one pool and in two
 *
 * Shared operations on one block and on two, these twice in a row; changes of shape in one
 * pool; and calls that lock two pools, named in both orders. Checked: no two have a block
 * at once (users), and all threads finish.
 *
 *  MUTATION NO_SECOND_LOOK      a shared operation does not check the shape lock at all
 *  MUTATION LOOK_BEFORE_STRIPE  it checks before it has its stripes, not after
 *  MUTATION NO_LOOK_AT_STRIPES  the holder of the shape lock does not wait for the stripes
 *  MUTATION WAIT_WITH_STRIPES   a shared operation waits without releasing its stripes
 *  MUTATION STRIPES_DESCENDING  one of those with two stripes locks the higher one first
 *  MUTATION POOLS_AS_NAMED      two pools are locked in the order in which they are named
 */
#define SAME_VERSION /* there are no readers here, and versions would only multiply states */
#include "pool_lock.pml"

/* How many threads have the blocks of a stripe, in whichever way: never two. */
typedef Users {
    byte count[STRIPES]
}
Users users[2];

inline enter(p, low, high)
{
    d_step {
        users[p].count[low]++;
        assert(users[p].count[low] == 1);
        if
        :: low != high ->
            users[p].count[high]++;
            assert(users[p].count[high] == 1)
        :: else
        fi
    }
}

inline leave(p, low, high)
{
    d_step {
        users[p].count[low]--;
        if
        :: low != high -> users[p].count[high]--
        :: else
        fi
    }
}

proctype Block(byte p, s)
{
    lock_range(p, s, s);
    enter(p, s, s);
    leave(p, s, s);
    unlock_range(p, s, s)
}

proctype Range(byte low, high)
{
    lock_range(0, low, high);
    enter(0, low, high);
    leave(0, low, high);
    unlock_range(0, low, high);
    lock_range(0, low, high);
    enter(0, low, high);
    leave(0, low, high);
    unlock_range(0, low, high)
}

proctype Whole(byte p)
{
    lock_exclusive(p);
    enter(p, 0, 1);
    leave(p, 0, 1);
    unlock_exclusive(p);
    lock_exclusive(p);
    enter(p, 0, 1);
    leave(p, 0, 1);
    unlock_exclusive(p)
}

/* pools_lock; they are unlocked in the order in which they were named. */
proctype Pair(byte a, b)
{
#ifdef POOLS_AS_NAMED
    lock_exclusive(a);
    lock_exclusive(b);
#else
    lock_exclusive(0);
    lock_exclusive(1);
#endif
    enter(0, 0, 1);
    enter(1, 0, 1);
    leave(0, 0, 1);
    leave(1, 0, 1);
    unlock_exclusive(a);
    unlock_exclusive(b)
}

init
{
    atomic {
        run Block(0, 0);
        run Block(1, 1);
        run Range(0, 1);
#ifdef STRIPES_DESCENDING
        run Range(1, 0);
#else
        run Range(0, 1);
#endif
        run Whole(0);
        run Pair(0, 1);
        run Pair(1, 0)
    }
}
