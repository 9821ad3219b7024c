/*
 * locks.pml - who may be in a pool at once, and that nobody waits for ever
 *
 * Ordinary work on one block and on two, which twice in a row; changes of shape in one
 * pool; and what holds two pools, named in both orders. Checked: no two have a block at
 * once (users), and everybody gets done.
 *
 *  MUTATION NO_SECOND_LOOK      ordinary work does not look at the gate at all
 *  MUTATION LOOK_BEFORE_STRIPE  it looks before it has its stripes, not after
 *  MUTATION NO_LOOK_AT_STRIPES  who has the gate does not wait for the stripes
 *  MUTATION WAIT_WITH_STRIPES   ordinary work keeps its stripes while it waits
 *  MUTATION STRIPES_DESCENDING  one of those with two stripes takes the higher one first
 *  MUTATION POOLS_AS_NAMED      two pools are held in the order in which they are named
 */
#define SAME_VERSION /* nobody watches here, and old versions would only multiply states */
#include "stripes.pml"

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
    hold_range(p, s, s);
    enter(p, s, s);
    leave(p, s, s);
    let_go_range(p, s, s)
}

proctype Range(byte low, high)
{
    hold_range(0, low, high);
    enter(0, low, high);
    leave(0, low, high);
    let_go_range(0, low, high);
    hold_range(0, low, high);
    enter(0, low, high);
    leave(0, low, high);
    let_go_range(0, low, high)
}

proctype Whole(byte p)
{
    hold_whole(p);
    enter(p, 0, 1);
    leave(p, 0, 1);
    let_go_whole(p);
    hold_whole(p);
    enter(p, 0, 1);
    leave(p, 0, 1);
    let_go_whole(p)
}

/* pools_hold; they are let go in the order in which they were named. */
proctype Pair(byte a, b)
{
#ifdef POOLS_AS_NAMED
    hold_whole(a);
    hold_whole(b);
#else
    hold_whole(0);
    hold_whole(1);
#endif
    enter(0, 0, 1);
    enter(1, 0, 1);
    leave(0, 0, 1);
    leave(1, 0, 1);
    let_go_whole(a);
    let_go_whole(b)
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
