/*
 * locks.pml - who may be in a pool at once, and that nobody waits for ever
 *
 * Ordinary work on one block and on two, which twice in a row; changes of shape in one
 * pool; and what holds two pools, named in both orders. Checked: no two have a block at
 * once (users), and everybody gets done.
 *
 *  MUTATION NO_SECOND_LOOK      ordinary work does not look at the shape lock at all
 *  MUTATION LOOK_BEFORE_STRIPE  it looks before it has its stripes, not after
 *  MUTATION NO_LOOK_AT_STRIPES  who has the shape lock does not wait for the stripes
 *  MUTATION WAIT_WITH_STRIPES   ordinary work keeps its stripes while it waits
 *  MUTATION STRIPES_DESCENDING  one of those with two stripes takes the higher one first
 *  MUTATION POOLS_AS_NAMED      two pools are held in the order in which they are named
 */
#define SAME_VERSION /* nobody watches here, and old versions would only multiply states */
#include "pool_lock.pml"

/* How many have the blocks of a stripe, whichever way they hold them: never two. */
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
