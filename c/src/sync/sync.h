/* SPDX-License-Identifier: MIT */
/*
 * sync.h - locks, and optimistic reads without them
 */
#ifndef POOL_SYNC_H
#define POOL_SYNC_H

#include "../base/base.h"

/* ------------------------------------------------------------------------------ lock */

/* Bits of a lock's word, see lock.c. */
enum {
    LOCK_HELD = 1,    /* a thread holds the lock                                  */
    LOCK_HANDOFF = 2, /* the lock goes to the first thread in the queue           */
    LOCK_SPANS = 4,   /* of a shape lock: there may be spans, see pool_lock.c     */
    LOCK_STEP = 8     /* what each hold adds to the version of a free lock        */
};

typedef struct Lock {
    AtomicSize version;
    AtomicSize next, serving;
} Lock;

/* How often a waiting thread spins, yields and sleeps before it enters the queue. Few
 * yields: if the holder and the waiting thread share a processor, each costs a time
 * slice. */
enum { SPINS = 64, YIELDS = SPINS + 4, BACKOFF_MAX = YIELDS + 4 };

/* lock.c */
static void lock_init(Lock *lock);
static unsigned lock_backoff(unsigned waits);
static size_t lock_version(Lock *lock);
static bool lock_is_held(Lock *lock);
static void lock_await_free(Lock *lock);
static void lock_acquire_queued(Lock *lock);
static void lock_acquire(Lock *lock);
static bool lock_enter(Lock *lock);
static void lock_release(Lock *lock);

/* ------------------------------------------------------------------------- pool lock */

/* How many stripes; a power of two. A test has fewer, to meet every case. */
#ifndef POOL_STRIPES
#  define POOL_STRIPES 64
#endif
enum { CACHE_LINE = 64, STRIPES = POOL_STRIPES, SPANS = 16 };

typedef struct Stripe {
    Lock lock;
    char padding[CACHE_LINE - sizeof(Lock)];
} Stripe;

typedef struct Span {
    AtomicSize first, count; /* blocks; count 0: it is free */
} Span;

/* What a thread has locked: stripes [0, low) and [from, to), or a span, or the whole
 * pool. */
typedef struct Guard {
    bool exclusive;
    unsigned low, from, to;
    Span *span;
} Guard;

/* The locks of a pool, see pool_lock.c. */
typedef struct PoolLock {
    Stripe shape;
    Stripe stripe[STRIPES];
    Span span[SPANS];
} PoolLock;

/* The versions that an optimistic reader has noted. */
typedef struct OptimisticRead {
    PoolLock *locks;
    size_t first, count; /* blocks; at most as many as there are stripes          */
    size_t shape, sum;   /* versions: of the shape lock; of the stripes, added up */
} OptimisticRead;

/* pool_lock.c */
static void pool_lock_init(PoolLock *locks);
static Lock *pool_lock_stripe(PoolLock *locks, size_t index);
static Guard pool_lock_exclusive(PoolLock *locks);
static bool pool_lock_is_exclusive(const PoolLock *locks);
static void pool_unlock_exclusive(PoolLock *locks);
static Lock *pool_lock_block(PoolLock *locks, size_t index);
static Guard pool_lock_range(PoolLock *locks, size_t first, size_t last);
static void pool_unlock(PoolLock *locks, Guard guard);
static bool optimistic_begin_shape(OptimisticRead *read, PoolLock *locks);
static bool optimistic_begin_blocks(OptimisticRead *read, size_t first, size_t last);
static bool optimistic_begin(OptimisticRead *read, PoolLock *locks, size_t first,
                             size_t last);
static bool optimistic_validate_shape(const OptimisticRead *read);
static bool optimistic_validate(const OptimisticRead *read);

#endif /* POOL_SYNC_H */
