/* SPDX-License-Identifier: MIT */
/*
 * lock.c - a spin lock with a version (as a seqlock has) and a fair queue (a ticket lock)
 *
 *     version   HELD, HANDOFF and SPANS in the low bits, the number of holds above them
 *     next      the ticket of the next thread that enters the queue
 *     serving   the ticket of the first thread in the queue
 *
 * Optimistic readers (pool_lock.c) compare versions, so each hold changes the version. To
 * acquire a free lock is one compare-and-swap, to release it a plain store; so the pair
 * costs half of a mutex.
 *
 * While the process has one thread, to acquire a free lock is a load and a plain store.
 * Another thread could acquire it between the two, but none can come
 * into being there. The flag is read right before, by the only thread, and only a call of
 * pthread_create clears it, before the new thread starts. This thread makes no call
 * between the flag and the store. Where it starts a thread later, be it in the middle of
 * a critical section (a malloc that does so), all that it stored before is visible to the
 * new thread, the held lock as well. The cases that look different:
 *
 *   - The flag turns true again once the other threads were joined, or in the child of a
 *     fork: they have ended or are not there, and what they did came before.
 *   - A signal handler may call neither pthread_create (POSIX) nor the library, which
 *     would wait for ever for a lock that the interrupted call holds.
 *   - A thread made by clone(), past the C library, cannot call the library: it cannot
 *     even call malloc, which omits its own locks by the same flag.
 *   - Finalizers of another thread run while it is there, and the flag is false; those of
 *     this thread run before or after a call.
 *   - Other processes share no lock with this one.
 *
 * A waiting thread spins, yields, and sleeps for 50 to 400 microseconds, and tries again
 * each time: the first thread that tries gets the lock (barging), which is fast but not
 * fair. After about a millisecond (BACKOFF_MAX) a thread enters the queue. The first
 * thread in the queue sets HANDOFF in the held lock, and no other thread acquires a free
 * lock with that mark. So the first thread waits for the present holder only, and the
 * n-th for n holders.
 *
 * The mark is lost if it is set between the two steps of a release (a load and a store);
 * the first thread then sets it again at its next try.
 *
 * A thread may die in the queue: on Windows the end of a process stops all threads but
 * one. So a ticket expires. A thread that has waited for a second (TICKET_TIMEOUT) while
 * the queue did not move acts as if it was the first; once it has the lock, it moves the
 * queue on past itself. If the first thread was only slow, two act as the first, and the
 * compare-and-swap decides.
 */
#include "sync.h"

/* Initialises a lock that no other thread uses yet. */
static inline void lock_init(Lock *lock)
{
    memset(lock, 0, sizeof *lock);
}

enum { NAP = 50, NAPS_MAX = 16, TICKET_TIMEOUT = 1000000 /* microseconds */ };

/* Waits a little, longer each time (exponential backoff). waits is the number of waits
 * before; returns it for the next call. */
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

/* Waits until a lock is free; another thread may have it then. */
static void lock_await_free(Lock *lock)
{
    unsigned waits = 0;
    while (lock_is_held(lock)) {
        waits = lock_backoff(waits);
    }
}

/* Acquires a lock if it is free and unmarked; returns whether it did. (The flag comes
 * first: each of the two cases then needs a register less.) */
static inline bool lock_try(Lock *lock)
{
    bool single = POOL_SINGLE_THREADED();
    size_t version = size_load_relaxed(&lock->version);
    if ((version & (LOCK_HELD | LOCK_HANDOFF)) != 0) {
        return false;
    }
    if (single) {
        size_store_relaxed(&lock->version, version + LOCK_HELD);
        return true;
    }
    return size_swap_seq_cst(&lock->version, version, version + LOCK_HELD);
}

/* The same for the first thread in the queue; sets the mark if the lock is held. */
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

/* Returns how many threads in the queue are before a ticket; 0 also if its turn has
 * passed. */
static size_t lock_queue_ahead(size_t ticket, size_t serving)
{
    size_t before = ticket - serving;
    return before <= SIZE_MAX / 2 ? before : 0;
}

/* Enters the queue and acquires the lock. */
static void lock_acquire_queued(Lock *lock)
{
    size_t ticket = size_fetch_add_relaxed(&lock->next, 1);
    size_t serving = size_load_acquire(&lock->serving), now, before;
    unsigned slept = 0; /* microseconds since the queue moved */
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

/* The slow path of lock_acquire. */
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
    fence_release(); /* a reader that sees what follows also sees HELD */
}

/* The same without waiting; returns whether the lock was free. */
static inline bool lock_enter(Lock *lock)
{
    bool free = lock_try(lock);
    fence_release();
    return free;
}

static inline void lock_release(Lock *lock)
{
    POOL_ASSERT(lock_is_held(lock));
    size_store_release(&lock->version,
                       size_load_relaxed(&lock->version) + LOCK_STEP - LOCK_HELD);
}
