/* SPDX-License-Identifier: MIT */
/*
 * lock.c - a fair spin lock whose word is a version
 *
 *     version   HELD, WANTED and SPANS in its low bits, the number of holds above them
 *     next      the ticket of the next thread that stands in line
 *     serving   the ticket of the first thread in line
 *
 * Optimistic readers (pool_lock.c) compare versions, so that a lock's word changes with
 * every hold. While the lock is free and nobody is in line, to acquire it is one
 * exchange, and to release it a plain store; that is what makes the pair cost half of a
 * mutex.
 *
 * A waiting thread spins, yields, and sleeps for 50 to 400 microseconds, and tries again
 * each time: whoever comes first gets the lock (barging), which is quick, and not fair. A
 * thread that was out of luck for about a millisecond is out of PATIENCE and stands in
 * line. The first in line marks the held lock WANTED; a lock that is free and WANTED is
 * taken by nobody else. So it waits for the present hold and for no other, and the n-th
 * in line for n holds.
 *
 * The mark may get lost, if it is set between the two steps of a release (a load and a
 * store); the first in line sets it again at its next look.
 *
 * A thread may die in line: on Windows the end of a process stops all threads but one. So
 * a place in line lapses. Who has waited for a second without the line moving on acts as
 * if it was the first; with the lock it moves the line on to behind itself. At most it is
 * a second first then, who was only slow: the exchange decides between them.
 */
#include "sync.h"

/* Makes a lock that nobody else can see yet. */
static inline void lock_init(Lock *lock)
{
    memset(lock, 0, sizeof *lock);
}

enum { NAP = 50, NAPS_MAX = 16, TICKET_TIMEOUT = 1000000 /* microseconds */ };

/* Waits a little, longer each time; returns the number of waits for the next call. */
static unsigned lock_backoff(unsigned waits)
{
    if (waits < SPINS) {
        cpu_relax();
        return waits + 1;
    }
    interpreter_unlock();
    if (waits < YIELDS) {
        platform_yield();
    } else {
        (void)platform_nap((unsigned)NAP << (waits - YIELDS));
    }
    return waits < BACKOFF_MAX ? waits + 1 : waits;
}

static inline size_t lock_version(Lock *lock)
{
    return size_load_seq_cst(&lock->version);
}

static inline bool lock_is_held(Lock *lock)
{
    return (lock_version(lock) & LOCK_HELD) != 0;
}

static void lock_await_free(Lock *lock)
{
    unsigned waits = 0;
    while (lock_is_held(lock)) {
        waits = lock_backoff(waits);
    }
}

static inline bool lock_try(Lock *lock)
{
    size_t version = size_load_relaxed(&lock->version);
    return (version & (LOCK_HELD | LOCK_HANDOFF)) == 0 &&
           size_swap_seq_cst(&lock->version, version, version + LOCK_HELD);
}

/* One look of a thread that is first in line: whether it has the lock now. */
static bool lock_try_first(Lock *lock)
{
    size_t version = size_load_relaxed(&lock->version);
    if ((version & LOCK_HELD) == 0) {
        size_t taken = (version & ~(size_t)LOCK_HANDOFF) + LOCK_HELD;
        return size_swap_seq_cst(&lock->version, version, taken);
    }
    if ((version & LOCK_HANDOFF) == 0) {
        (void)size_swap_seq_cst(&lock->version, version, version + LOCK_HANDOFF);
    }
    return false;
}

/* How many threads in line are before a ticket: 0 also if the line has passed it over. */
static size_t lock_queue_ahead(size_t ticket, size_t serving)
{
    size_t before = ticket - serving;
    return before <= SIZE_MAX / 2 ? before : 0;
}

/* Stands in line and acquires the lock. */
static void lock_acquire_queued(Lock *lock)
{
    size_t ticket = size_fetch_add_relaxed(&lock->next, 1);
    size_t serving = size_load_acquire(&lock->serving), now, before;
    unsigned slept = 0; /* microseconds since the line moved on */
    interpreter_unlock();
    for (;;) {
        before = lock_queue_ahead(ticket, serving);
        if ((before == 0 || slept >= TICKET_TIMEOUT) && lock_try_first(lock)) {
            break;
        }
        before = checked_max(1, checked_min(before, NAPS_MAX));
        now = platform_nap(NAP * (unsigned)before);
        slept = slept < TICKET_TIMEOUT ? slept + (unsigned)now : slept;
        now = size_load_acquire(&lock->serving);
        slept = now == serving ? slept : 0;
        serving = now;
    }
    if (lock_queue_ahead(ticket + 1, size_load_relaxed(&lock->serving)) > 0) {
        size_store_release(&lock->serving, ticket + 1);
    }
    fence_release(); /* as in lock_acquire */
}

static NOT_INLINE void lock_acquire_slow(Lock *lock)
{
    unsigned waits = 0;
    do {
        if (waits == BACKOFF_MAX) {
            lock_acquire_queued(lock);
            return;
        }
        waits = lock_backoff(waits);
    } while (!lock_try(lock));
}

static inline void lock_acquire(Lock *lock)
{
    if (!lock_try(lock)) {
        lock_acquire_slow(lock);
    }
    fence_release(); /* a reader that sees what follows sees HELD as well */
}

static inline void lock_release(Lock *lock)
{
    POOL_ASSERT(lock_is_held(lock));
    size_store_release(&lock->version,
                       size_load_relaxed(&lock->version) + LOCK_STEP - LOCK_HELD);
}
