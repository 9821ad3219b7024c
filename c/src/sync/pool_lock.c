/* SPDX-License-Identifier: MIT */
/*
 * pool_lock.c - the locks of a pool, and reading without them
 *
 *     shape       who holds it has the whole pool, once no stripe and no span is held
 *     stripe[i]   who holds it has the blocks whose index is i modulo their number,
 *                 if it was admitted after the stripe was acquired
 *     span[i]     a range of as many blocks as there are stripes, or more
 *
 * ORDINARY WORK (writing to blocks, putting a block into a slot) holds the stripes of the
 * blocks it touches, or, if these are all stripes, a SPAN. A CHANGE OF SHAPE (a new or
 * copied node, a clone, a restore, a discard of whole blocks) holds the whole pool.
 *
 * Why stripes exclude: ordinary work acquires its stripes and then looks at the shape
 * lock; the other side acquires the shape lock and then looks at the stripes. All four
 * are sequentially consistent, so at least one of the two sees the other, and the one
 * that is ordinary gives way. Holding the whole pool thus costs one exchange and a look
 * at each stripe, where acquiring each stripe would cost an exchange a stripe.
 *
 * Why spans exclude: a span is entered by who holds the shape lock and has seen all
 * stripes free and no span that it overlaps; then the shape lock is released with the bit
 * LOCK_SPANS. Ordinary work that finds this bit, holding its stripes, looks at the spans:
 * it is ADMITTED if it touches none. No span can be entered while a stripe is held that
 * was acquired before the shape lock, so what is admitted stays so. Ranges that lie apart
 * thus run side by side.
 *
 * Why this cannot deadlock: stripes are acquired in ascending order; who is not admitted
 * releases its stripes before it waits; the holder of a shape lock waits only for holders
 * of stripes and spans of the same pool, who never wait for the shape lock; and of two
 * pools the older one is locked first.
 *
 * Why nobody starves: each lock is fair (lock.c). Who is not admitted although it waited
 * and tried again until it was out of patience stands in line for the shape lock and
 * locks the whole pool. The holder of the shape lock waits for those who hold stripes or
 * spans by then; who comes later may set a stripe for an instant only.
 *
 * READING takes no lock. It is OPTIMISTIC and validated by version: a reader notes the
 * versions of the shape lock and of its stripes, reads, and looks at them again; if one
 * moved, what it read may be half of a change, and it starts over, holding the stripes if
 * it has bad luck two or three times (with a range of several blocks, once), or if there
 * are spans. Meanwhile it may come upon nodes and blocks that are no longer in the tree.
 * Three rules make that harmless: their memory stays mapped as long as the family lives
 * (chunk.c, slab.c); no pointer but the root is followed before the shape lock was seen
 * unmoved after it was loaded, so that it points to what it should, or did a moment ago;
 * and a block that is one no more has the address of the same data, or none
 * (block_data_optimistic).
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

/* Waits until nobody has a stripe. The caller holds the shape lock. */
static void pool_lock_await_stripes(PoolLock *locks)
{
    size_t versions = 0;
    unsigned i;
    POOL_ASSERT(lock_is_held(&locks->shape.lock));
    for (i = 0; i < STRIPES; i++) { /* one look at all of them, which is mostly enough */
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

/* Waits until nobody has a span, and takes the mark off. The caller holds the shape lock.
 * */
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
    do { /* the first in line may mark it meanwhile */
        version = size_load_relaxed(shape);
    } while (!size_swap_seq_cst(shape, version, version & ~(size_t)LOCK_SPANS));
}

/* Waits until the pool is free of others. The caller holds the shape lock. */
static Guard pool_lock_await_all(PoolLock *locks)
{
    Guard guard = {true, 0, 0, 0, NULL};
    pool_lock_await_stripes(locks);
    if ((size_load_relaxed(&locks->shape.lock.version) & LOCK_SPANS) != 0) {
        pool_lock_await_spans(locks);
    }
    return guard;
}

static Guard pool_lock_exclusive(PoolLock *locks)
{
    lock_acquire(&locks->shape.lock);
    return pool_lock_await_all(locks);
}

/* Whether somebody holds the whole pool, as far as a look can tell; for POOL_ASSERT. */
static inline bool pool_lock_is_exclusive(const PoolLock *locks)
{
    return lock_is_held((Lock *)&locks->shape.lock);
}

/* The same for a thread that is out of patience. */
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

/* A span that somebody has and that has blocks of first to last, or NULL. */
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

/* A span that nobody has, or NULL. */
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

/* Enters a span for blocks that are in no other one, and releases the shape lock, which
 * the caller holds. */
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

/* Holds the blocks first to last, at least as many as there are stripes. */
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

/* Releases a span; with the last one the shape lock is open again. Who holds the shape
 * lock meanwhile takes the mark off itself, or enters a span. */
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

/* Whether who holds the stripes of the blocks first to last has them. */
static inline bool pool_lock_grants(PoolLock *locks, size_t first, size_t last)
{
    size_t shape = lock_version(&locks->shape.lock);
    return (shape & (LOCK_HELD | LOCK_SPANS)) == 0 ||
           ((shape & LOCK_HELD) == 0 &&
            pool_lock_find_overlap(locks, first, last) == NULL);
}

/* Waits, holding nothing, until it looks as if the blocks would be admitted; each wait
 * costs patience, and it is false without any. */
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

/* Holds one block: by its stripe or, out of patience, by the shape lock; whichever it
 * returns is to be released with lock_release. */
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

/* Holds the blocks first to last, both included: by their stripes, by a span if they are
 * many, or, out of patience, the whole pool. */
static Guard pool_lock_range(PoolLock *locks, size_t first, size_t last)
{
    Guard guard = {false, 0, 0, 0, NULL};
    unsigned waits = 0;
    if (last - first >= STRIPES - 1) {
        return pool_lock_span(locks, first, last);
    }
    guard.from = (unsigned)(first % STRIPES);
    guard.to = (unsigned)(last % STRIPES) + 1;
    if (guard.to <= guard.from) { /* the range wraps round */
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

/* ------------------------------------------------------------------- watching */

/* ThreadSanitizer takes a reader that may see half a change, and then forgets what it
 * saw, for an error. Built for it, readers hold their stripes instead. */
#if defined(__SANITIZE_THREAD__)
#  define OPTIMISTIC_ALLOWED false
#elif defined(__has_feature)
#  if __has_feature(thread_sanitizer)
#    define OPTIMISTIC_ALLOWED false
#  endif
#endif
#ifndef OPTIMISTIC_ALLOWED
#  define OPTIMISTIC_ALLOWED true
#endif

/* The sum of the versions of the stripes watched, or an odd number if one of them is
 * held. Versions of free locks only grow (a mark adds 2 at most, a hold 8), so that if
 * their sum is what it was, then so is each of them. */
static inline size_t optimistic_sum(const OptimisticRead *read)
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

/* Begins to watch the shape lock alone; false if somebody holds it, or a span. */
static inline bool optimistic_begin_shape(OptimisticRead *read, PoolLock *locks)
{
    read->locks = locks;
    read->first = read->count = read->sum = 0;
    read->shape = size_load_acquire(&locks->shape.lock.version);
    return OPTIMISTIC_ALLOWED && (read->shape & (LOCK_HELD | LOCK_SPANS)) == 0;
}

/* Begins to watch the blocks first to last as well; false if somebody holds one of them.
 * */
static inline bool optimistic_begin(OptimisticRead *read, PoolLock *locks, size_t first,
                                    size_t last)
{
    if (!optimistic_begin_shape(read, locks)) {
        return false;
    }
    read->first = first;
    read->count = last - first < STRIPES ? last - first + 1 : STRIPES;
    read->sum = optimistic_sum(read);
    return (read->sum & LOCK_HELD) == 0;
}

/* Whether pointers that were loaded from the tree up to now may be followed. */
static inline bool optimistic_validate_shape(const OptimisticRead *read)
{
    fence_acquire();
    return size_load_relaxed(&read->locks->shape.lock.version) == read->shape;
}

/* Whether all that was read is of one moment. */
static inline bool optimistic_validate(const OptimisticRead *read)
{
    return optimistic_validate_shape(read) && optimistic_sum(read) == read->sum;
}
