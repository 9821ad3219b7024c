/* SPDX-License-Identifier: MIT */
/*
 * pool_lock.c - the locks of a pool (lock striping, range locks), and optimistic reads
 *
 *     shape       locks the whole pool, once all stripes and spans are free
 *     stripe[i]   locks the blocks whose index modulo STRIPES is i, once it is granted
 *     span[i]     locks a range of at least STRIPES blocks
 *
 * A SHARED operation (a write to blocks, or of a block into a slot) locks the stripes of
 * its blocks, or, if these are all stripes, a SPAN. A CHANGE OF SHAPE (a new or copied
 * node, a clone, a restore, a discard of whole blocks) locks the pool EXCLUSIVELY.
 *
 * Why stripes exclude: a shared operation acquires its stripes and then checks the shape
 * lock; an exclusive one acquires the shape lock and then checks the stripes. All four
 * steps are sequentially consistent, so at least one of the two sees the other, and the
 * shared one gives way. To lock the whole pool thus costs one exchange and a load for
 * each stripe; to acquire each stripe would cost an exchange for each.
 *
 * Why spans exclude: a thread locks a span while it holds the shape lock, after it has
 * seen all stripes free and no span that overlaps; then it releases the shape lock with
 * the mark LOCK_SPANS. A shared operation that has its stripes and sees the mark checks
 * the spans: its lock is GRANTED if none overlaps. No span is locked while a stripe is
 * held that was acquired before the shape lock, so that what was granted stays valid. So
 * operations on ranges that do not overlap run in parallel.
 *
 * Why there is no deadlock: stripes are acquired in ascending order; a thread whose lock
 * is not granted releases its stripes before it waits; the holder of a shape lock waits
 * only for holders of stripes and spans of the same pool, who never wait for the shape
 * lock; and of two pools the older one is locked first.
 *
 * Why no thread starves: each lock is fair (lock.c). A thread whose lock is still not
 * granted at the end of its backoff enters the queue of the shape lock and locks the
 * whole pool. The holder of the shape lock waits for stripes and spans that were locked
 * before; later ones are held for an instant only.
 *
 * READS take no lock. They are OPTIMISTIC and validated by version, as in a seqlock: a
 * reader notes the versions of the shape lock and of its stripes, reads, and compares the
 * versions again. If one has changed, what it read may be half of a change, and it starts
 * over; after one to three failures, or if there are spans, it locks the range. Meanwhile
 * it may meet nodes and blocks that were unlinked from the tree. Three rules make that
 * harmless. Their memory stays mapped as long as the family lives (chunk.c, slab.c). A
 * pointer, except the root, is followed only if the shape lock has not changed after the
 * load, so that it points to what it should, or did a moment ago. And the header of a
 * freed block has the address of the same data, or none (word_data_optimistic).
 *
 * Function names say what they lock: pool_lock_... locks, pool_unlock... unlocks. None of
 * them may be called by a thread that holds a lock of the same pool.
 */
#include "sync.h"

static void pool_lock_init(PoolLock *locks)
{
    unsigned i;
    lock_init(&locks->shape.lock);
    for (i = 0; i < STRIPES; i++) {
        lock_init(&locks->stripe[i].lock);
    }
    for (i = 0; i < SPANS; i++) {
        size_store_relaxed(&locks->span[i].count, 0);
    }
}

static inline Lock *pool_lock_stripe(PoolLock *locks, size_t index)
{
    return &locks->stripe[index % STRIPES].lock;
}

/* ------------------------------------------------------------- the whole pool */

/* Waits until all stripes are free. Context: the caller holds the shape lock. */
static void pool_lock_await_stripes(PoolLock *locks)
{
    size_t versions = 0;
    unsigned i;
    POOL_ASSERT(lock_is_held(&locks->shape.lock));
    for (i = 0; i < STRIPES; i++) { /* one pass over all of them is mostly enough */
        versions |= size_load_seq_cst(&locks->stripe[i].lock.version);
    }
    for (i = 0; (versions & LOCK_HELD) != 0 && i < STRIPES; i++) {
        lock_await_free(&locks->stripe[i].lock);
    }
}

static inline bool span_is_held(Span *span)
{
    return size_load_acquire(&span->count) != 0;
}

/* Waits until all spans are free, and clears LOCK_SPANS. Context: the caller holds the
 * shape lock. */
static NOT_INLINE void pool_lock_await_spans(PoolLock *locks)
{
    AtomicSize *shape = &locks->shape.lock.version;
    size_t version;
    unsigned i, waits;
    for (i = 0; i < SPANS; i++) {
        for (waits = 0; span_is_held(&locks->span[i]);) {
            waits = lock_backoff(waits);
        }
    }
    do { /* the first thread in the queue may set its mark meanwhile */
        version = size_load_relaxed(shape);
    } while (!size_swap_seq_cst(shape, version, version & ~(size_t)LOCK_SPANS));
}

/* Waits until all stripes and spans are free, which makes the lock exclusive. Context:
 * the caller holds the shape lock. */
static Guard pool_lock_await_all(PoolLock *locks)
{
    Guard guard = {true, 0, 0, 0, NULL};
    pool_lock_await_stripes(locks);
    if ((size_load_relaxed(&locks->shape.lock.version) & LOCK_SPANS) != 0) {
        pool_lock_await_spans(locks);
    }
    return guard;
}

/* Locks the whole pool. */
static Guard pool_lock_exclusive(PoolLock *locks)
{
    lock_acquire(&locks->shape.lock);
    return pool_lock_await_all(locks);
}

/* Whether a thread has locked the whole pool, as far as one load can tell; for
 * POOL_ASSERT. */
static inline bool pool_lock_is_exclusive(const PoolLock *locks)
{
    return lock_is_held((Lock *)&locks->shape.lock);
}

/* Locks the whole pool from the queue, for a thread that has waited long enough. */
static NOT_INLINE Guard pool_lock_exclusive_queued(PoolLock *locks)
{
    lock_acquire_queued(&locks->shape.lock);
    return pool_lock_await_all(locks);
}

static inline void pool_unlock_exclusive(PoolLock *locks)
{
    lock_release(&locks->shape.lock);
}

/* ---------------------------------------------------------------------- spans */

/* Returns a held span that overlaps the blocks first to last, or NULL. */
static Span *pool_lock_find_overlap(PoolLock *locks, size_t first, size_t last)
{
    unsigned i;
    for (i = 0; i < SPANS; i++) {
        Span *span = &locks->span[i];
        size_t count = size_load_acquire(&span->count);
        size_t start = size_load_relaxed(&span->first);
        if (count != 0 && start <= last && start + (count - 1) >= first) {
            return span;
        }
    }
    return NULL;
}

/* Returns a free span, or NULL. */
static Span *pool_lock_find_free_span(PoolLock *locks)
{
    unsigned i;
    for (i = 0; i < SPANS; i++) {
        if (!span_is_held(&locks->span[i])) {
            return &locks->span[i];
        }
    }
    return NULL;
}

/* Locks a free span for blocks that are in no other span, and unlocks the shape lock.
 * Context: the caller holds the shape lock. */
static Guard pool_lock_enter_span(PoolLock *locks, Span *span, size_t first, size_t last)
{
    AtomicSize *shape = &locks->shape.lock.version;
    Guard guard = {false, 0, 0, 0, span};
    pool_lock_await_stripes(locks);
    size_store_relaxed(&span->first, first);
    size_store_relaxed(&span->count, last - first + 1);
    size_store_release(shape,
                       (size_load_relaxed(shape) | LOCK_SPANS) + LOCK_STEP - LOCK_HELD);
    return guard;
}

/* Locks the blocks first to last, at least as many as there are stripes, by a span; by
 * the whole pool if that takes too long. */
static Guard pool_lock_span(PoolLock *locks, size_t first, size_t last)
{
    unsigned waits = 0;
    Span *span, *other;
    do {
        lock_acquire(&locks->shape.lock);
        other = pool_lock_find_overlap(locks, first, last);
        span = pool_lock_find_free_span(locks);
        if (other == NULL && span != NULL) {
            return pool_lock_enter_span(locks, span, first, last);
        }
        lock_release(&locks->shape.lock);
        do {
            waits = lock_backoff(waits);
        } while (waits < BACKOFF_MAX &&
                 (other != NULL ? span_is_held(other)
                                : pool_lock_find_free_span(locks) == NULL));
    } while (waits < BACKOFF_MAX);
    return pool_lock_exclusive_queued(locks);
}

/* Unlocks a span; after the last one clears LOCK_SPANS, unless the shape lock is held:
 * its holder clears the mark itself, or locks a span. */
static void pool_unlock_span(PoolLock *locks, Span *span)
{
    AtomicSize *shape = &locks->shape.lock.version;
    size_t version;
    unsigned i;
    POOL_ASSERT(span_is_held(span));
    size_store_release(&span->count, 0);
    do {
        version = size_load_seq_cst(shape);
        if ((version & LOCK_HELD) != 0 || (version & LOCK_SPANS) == 0) {
            return;
        }
        for (i = 0; i < SPANS; i++) {
            if (span_is_held(&locks->span[i])) {
                return;
            }
        }
    } while (!size_swap_seq_cst(shape, version, version + LOCK_STEP - LOCK_SPANS));
}

/* -------------------------------------------------------------------- stripes */

/* Whether the lock of the blocks first to last is granted to a thread that holds their
 * stripes: no other thread holds the shape lock or a span with one of them. */
static inline bool pool_lock_grants(PoolLock *locks, size_t first, size_t last)
{
    size_t shape = lock_version(&locks->shape.lock);
    return (shape & (LOCK_HELD | LOCK_SPANS)) == 0 ||
           ((shape & LOCK_HELD) == 0 &&
            pool_lock_find_overlap(locks, first, last) == NULL);
}

/* Waits, with no lock held, until a lock of the blocks is likely to be granted; false if
 * the thread has waited long enough to enter the queue. Waits at least once. */
static bool pool_lock_await_grant(PoolLock *locks, size_t first, size_t last,
                                  unsigned *waits)
{
    do {
        if (*waits == BACKOFF_MAX) {
            return false;
        }
        *waits = lock_backoff(*waits);
    } while (!pool_lock_grants(locks, first, last));
    return true;
}

/* The slow path of pool_lock_block. */
static NOT_INLINE Lock *pool_lock_block_slow(PoolLock *locks, size_t index)
{
    Lock *lock = pool_lock_stripe(locks, index);
    unsigned waits = 0;
    while (pool_lock_await_grant(locks, index, index, &waits)) {
        lock_acquire(lock);
        if (pool_lock_grants(locks, index, index)) {
            return lock;
        }
        lock_release(lock);
    }
    (void)pool_lock_exclusive_queued(locks);
    return &locks->shape.lock;
}

/* Locks one block: by its stripe, or by the whole pool if that takes too long. Returns
 * the lock that the caller must release with lock_release. */
static inline Lock *pool_lock_block(PoolLock *locks, size_t index)
{
    Lock *lock = pool_lock_stripe(locks, index);
    lock_acquire(lock);
    if (pool_lock_grants(locks, index, index)) {
        return lock;
    }
    lock_release(lock);
    return pool_lock_block_slow(locks, index);
}

static void pool_lock_acquire_stripes(PoolLock *locks, const Guard *guard)
{
    unsigned i;
    for (i = 0; i < guard->low; i++) {
        lock_acquire(pool_lock_stripe(locks, i));
    }
    for (i = guard->from; i < guard->to; i++) {
        lock_acquire(pool_lock_stripe(locks, i));
    }
}

static void pool_lock_release_stripes(PoolLock *locks, const Guard *guard)
{
    unsigned i;
    for (i = guard->from; i < guard->to; i++) {
        lock_release(pool_lock_stripe(locks, i));
    }
    for (i = 0; i < guard->low; i++) {
        lock_release(pool_lock_stripe(locks, i));
    }
}

/* Locks the blocks first to last, both included: by their stripes, or by a span if they
 * are many; by the whole pool if that takes too long. */
static Guard pool_lock_range(PoolLock *locks, size_t first, size_t last)
{
    Guard guard = {false, 0, 0, 0, NULL};
    unsigned waits = 0;
    if (last - first >= STRIPES - 1) {
        return pool_lock_span(locks, first, last);
    }
    guard.from = (unsigned)(first % STRIPES);
    guard.to = (unsigned)(last % STRIPES) + 1;
    if (guard.to <= guard.from) { /* the stripes wrap round */
        guard.low = guard.to;
        guard.to = STRIPES;
    }
    do {
        pool_lock_acquire_stripes(locks, &guard);
        if (pool_lock_grants(locks, first, last)) {
            return guard;
        }
        pool_lock_release_stripes(locks, &guard);
    } while (pool_lock_await_grant(locks, first, last, &waits));
    return pool_lock_exclusive_queued(locks);
}

/* Unlocks what a guard has. */
static void pool_unlock(PoolLock *locks, Guard guard)
{
    if (guard.exclusive) {
        pool_unlock_exclusive(locks);
    } else if (guard.span != NULL) {
        pool_unlock_span(locks, guard.span);
    } else {
        pool_lock_release_stripes(locks, &guard);
    }
}

/* ----------------------------------------------------------- optimistic reads */

/* ThreadSanitizer reports a data race for each reader that may see half a change, and other
 * tools if it touches what was freed, even if it discards what it read. With these,
 * readers lock the stripes instead. */
#if defined(POOL_THREAD_SANITIZER)
#  define OPTIMISTIC_ALLOWED false
#else
#  define OPTIMISTIC_ALLOWED !poison_is_checked()
#endif

/* Returns the sum of the stripes' versions, or an odd number if one of them is held.
 * Versions of free locks only grow (a mark adds at most 2, a hold 8), so that if their
 * sum is the same, so is each version. */
static ALWAYS_INLINE size_t optimistic_sum(const OptimisticRead *read)
{
    size_t sum = 0, held = 0, i;
    for (i = 0; i < read->count; i++) {
        Lock *lock = pool_lock_stripe(read->locks, read->first + i);
        size_t version = size_load_acquire(&lock->version);
        held |= version & LOCK_HELD;
        sum += version;
    }
    return sum | held;
}

/* Begins an optimistic read of the tree, without its blocks; false if there are none in
 * this build. If another thread holds the shape lock or a span, its first validation
 * fails: it notes the version without these bits, which the lock never has again, because
 * it loses the bits only in a step to a larger version. */
static ALWAYS_INLINE bool optimistic_begin_shape(OptimisticRead *read, PoolLock *locks)
{
    read->locks = locks;
    read->first = read->count = read->sum = 0;
    read->shape =
        size_load_acquire(&locks->shape.lock.version) & ~(size_t)(LOCK_HELD | LOCK_SPANS);
    return OPTIMISTIC_ALLOWED;
}

/* Adds the blocks first to last to such a read; false if another thread holds a stripe of
 * them. */
static ALWAYS_INLINE bool optimistic_begin_blocks(OptimisticRead *read, size_t first,
                                                  size_t last)
{
    read->first = first;
    read->count = last - first < STRIPES ? last - first + 1 : STRIPES;
    read->sum = optimistic_sum(read);
    return (read->sum & LOCK_HELD) == 0;
}

/* Begins an optimistic read of the tree and of the blocks first to last. */
static ALWAYS_INLINE bool optimistic_begin(OptimisticRead *read, PoolLock *locks,
                                           size_t first, size_t last)
{
    return optimistic_begin_shape(read, locks) &&
           optimistic_begin_blocks(read, first, last);
}

/* Whether the shape lock has not changed, so that pointers that were loaded from the tree
 * until now may be followed. */
static ALWAYS_INLINE bool optimistic_validate_shape(const OptimisticRead *read)
{
    fence_acquire();
    return size_load_relaxed(&read->locks->shape.lock.version) == read->shape;
}

/* Whether no lock has changed, so that all that was read is from one moment. */
static ALWAYS_INLINE bool optimistic_validate(const OptimisticRead *read)
{
    return optimistic_validate_shape(read) && optimistic_sum(read) == read->sum;
}
