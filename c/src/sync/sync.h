/* SPDX-License-Identifier: MIT */
/*
 * sync.h - locks, and reading without them
 */
#ifndef POOL_SYNC_H
#define POOL_SYNC_H

#include "../base/base.h"

/* ------------------------------------------------------------------------------ lock */

/* Bits of a lock's word, see lock.c. */
enum {
    LOCK_HELD = 1,   /* somebody holds it                                         */
    LOCK_WANTED = 2, /* the first in line gets it next                            */
    LOCK_SPANS = 4,  /* of a gate: there may be spans, see stripes.c              */
    LOCK_HOLD = 8    /* in versions in which the lock is free, one more hold      */
};

typedef struct Lock {
    AtomicSize version;
    AtomicSize next, serving;
} Lock;

/* How often a thread waits in which way before it stands in line. Few yields: where the
 * holder and the waiting thread share a processor, each costs a time slice. */
enum { SPINS = 64, YIELDS = SPINS + 4, PATIENCE = YIELDS + 4 };

/* lock.c */
static void lock_init(Lock *lock);
static unsigned lock_wait(unsigned waits);
static size_t lock_version(Lock *lock);
static bool lock_is_held(Lock *lock);
static void lock_await(Lock *lock);
static void lock_line_up(Lock *lock);
static void lock_acquire(Lock *lock);
static void lock_release(Lock *lock);

/* --------------------------------------------------------------------------- stripes */

/* How many stripes; a power of two. A test takes fewer, to meet every case of them. */
#ifndef POOL_STRIPES
#  define POOL_STRIPES 64
#endif
enum { CACHE_LINE = 64, STRIPES = POOL_STRIPES, SPANS = 16 };

typedef struct Stripe {
    Lock lock;
    char padding[CACHE_LINE - sizeof(Lock)];
} Stripe;

typedef struct Span {
    AtomicSize first, count; /* blocks; count 0: nobody has it */
} Span;

/* What is held: stripes [0, low) and [from, to), or a span, or the whole pool. */
typedef struct Hold {
    bool whole;
    unsigned low, from, to;
    Span *span;
} Hold;

/* The locks of a pool, see stripes.c. */
typedef struct Stripes {
    Stripe gate;
    Stripe stripe[STRIPES];
    Span span[SPANS];
} Stripes;

/* What an optimistic reader noted. */
typedef struct Watch {
    Stripes *stripes;
    size_t first, count; /* the blocks watched; no more than there are stripes */
    size_t gate, sum;    /* the versions */
} Watch;

/* stripes.c */
static void stripes_init(Stripes *stripes);
static Lock *stripes_lock(Stripes *stripes, size_t index);
static Hold stripes_hold_whole(Stripes *stripes);
static bool stripes_are_held_whole(const Stripes *stripes);
static void stripes_let_go_whole(Stripes *stripes);
static Lock *stripes_hold_block(Stripes *stripes, size_t index);
static Hold stripes_hold_range(Stripes *stripes, size_t first, size_t last);
static void stripes_let_go(Stripes *stripes, Hold hold);
static bool watch_gate(Watch *watch, Stripes *stripes);
static bool watch_begin(Watch *watch, Stripes *stripes, size_t first, size_t last);
static bool watch_shape(const Watch *watch);
static bool watch_end(const Watch *watch);

#endif /* POOL_SYNC_H */
