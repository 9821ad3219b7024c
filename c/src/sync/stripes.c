/* SPDX-License-Identifier: MIT */
/*
 * stripes.c - the locks of a pool, and reading without them
 *
 *     gate        who holds it has the whole pool, once no stripe and no span is held
 *     stripe[i]   who holds it has the blocks whose index is i modulo their number,
 *                 if it was admitted after the stripe was acquired
 *     span[i]     a range of as many blocks as there are stripes, or more
 *
 * ORDINARY WORK (writing to blocks, putting a block into a slot) holds the stripes of the
 * blocks it touches, or, if these are all stripes, a SPAN. A CHANGE OF SHAPE (a new or
 * copied node, a clone, a restore, a discard of whole blocks) holds the whole pool.
 *
 * Why stripes exclude: ordinary work acquires its stripes and then looks at the gate; the
 * other side acquires the gate and then looks at the stripes. All four are sequentially
 * consistent, so at least one of the two sees the other, and the one that is ordinary
 * gives way. Holding the whole pool thus costs one exchange and a look at each stripe,
 * where acquiring each stripe would cost an exchange a stripe.
 *
 * Why spans exclude: a span is entered by who holds the gate and has seen all stripes free
 * and no span that it overlaps; then the gate is released with the bit LOCK_SPANS. Ordinary
 * work that finds this bit, holding its stripes, looks at the spans: it is ADMITTED if it
 * touches none. No span can be entered while a stripe is held that was acquired before the
 * gate, so what is admitted stays so. Ranges that lie apart thus run side by side.
 *
 * Why this cannot deadlock: stripes are acquired in ascending order; who is not admitted
 * releases its stripes before it waits; the holder of a gate waits only for holders of
 * stripes and spans of the same pool, who never wait for the gate; and of two pools the
 * older one is locked first.
 *
 * Why nobody starves: each lock is fair (lock.c). Who is not admitted although it waited
 * and tried again until it was out of patience stands in line for the gate and locks the
 * whole pool. The holder of the gate waits for those who hold stripes or spans by then; who
 * comes later may set a stripe for an instant only.
 *
 * READING takes no lock. It is OPTIMISTIC and validated by version: a reader notes the
 * versions of the gate and of its stripes, reads, and looks at them again; if one moved,
 * what it read may be half of a change, and it starts over, holding the stripes if it has
 * bad luck two or three times (with a range of several blocks, once), or if there are spans.
 * Meanwhile it may come upon nodes and blocks that are no longer in the tree. Three rules
 * make that harmless: their memory stays mapped as long as the family lives (chunk.c,
 * slab.c); no pointer but the root is followed before the gate was seen unmoved after it was
 * loaded, so that it points to what it should, or did a moment ago; and a block that is one
 * no more has the address of the same data, or none (block_watch_data).
 */
#include "sync.h"

static void stripes_init(Stripes *stripes)
{
    unsigned i;
    lock_init(&stripes->gate.lock);
    for (i = 0; i < STRIPES; i++) {
        lock_init(&stripes->stripe[i].lock);
    }
    for (i = 0; i < SPANS; i++) {
        size_store_relaxed(&stripes->span[i].count, 0);
    }
}

static inline Lock *stripes_lock(Stripes *stripes, size_t index)
{
    return &stripes->stripe[index % STRIPES].lock;
}

/* ------------------------------------------------------------- the whole pool */

/* Waits until nobody has a stripe. The caller holds the gate. */
static void stripes_await(Stripes *stripes)
{
    size_t versions = 0;
    unsigned i;
    POOL_ASSERT(lock_is_held(&stripes->gate.lock));
    for (i = 0; i < STRIPES; i++) { /* one look at all of them, which is mostly enough */
        versions |= size_load_seq_cst(&stripes->stripe[i].lock.version);
    }
    for (i = 0; (versions & LOCK_HELD) != 0 && i < STRIPES; i++) {
        lock_await(&stripes->stripe[i].lock);
    }
}

static inline bool span_is_held(Span *span)
{
    return size_load_acquire(&span->count) != 0;
}

/* Waits until nobody has a span, and takes the mark off. The caller holds the gate. */
static NOT_INLINE void stripes_await_spans(Stripes *stripes)
{
    AtomicSize *gate = &stripes->gate.lock.version;
    size_t version;
    unsigned i, waits;
    for (i = 0; i < SPANS; i++) {
        for (waits = 0; span_is_held(&stripes->span[i]);) {
            waits = lock_wait(waits);
        }
    }
    do { /* the first in line may mark it meanwhile */
        version = size_load_relaxed(gate);
    } while (!size_swap_seq_cst(gate, version, version & ~(size_t)LOCK_SPANS));
}

/* Waits until the pool is free of others. The caller holds the gate. */
static Hold stripes_await_all(Stripes *stripes)
{
    Hold hold = {true, 0, 0, 0, NULL};
    stripes_await(stripes);
    if ((size_load_relaxed(&stripes->gate.lock.version) & LOCK_SPANS) != 0) {
        stripes_await_spans(stripes);
    }
    return hold;
}

static Hold stripes_hold_whole(Stripes *stripes)
{
    lock_acquire(&stripes->gate.lock);
    return stripes_await_all(stripes);
}

/* Whether somebody holds the whole pool, as far as a look can tell; for POOL_ASSERT. */
static inline bool stripes_are_held_whole(const Stripes *stripes)
{
    return lock_is_held((Lock *)&stripes->gate.lock);
}

/* The same for a thread that is out of patience. */
static NOT_INLINE Hold stripes_hold_whole_late(Stripes *stripes)
{
    lock_line_up(&stripes->gate.lock);
    return stripes_await_all(stripes);
}

static inline void stripes_let_go_whole(Stripes *stripes)
{
    lock_release(&stripes->gate.lock);
}

/* ---------------------------------------------------------------------- spans */

/* A span that somebody has and that has blocks of first to last, or NULL. */
static Span *stripes_span_of(Stripes *stripes, size_t first, size_t last)
{
    unsigned i;
    for (i = 0; i < SPANS; i++) {
        Span *span = &stripes->span[i];
        size_t count = size_load_acquire(&span->count);
        size_t start = size_load_relaxed(&span->first);
        if (count != 0 && start <= last && start + (count - 1) >= first) {
            return span;
        }
    }
    return NULL;
}

/* A span that nobody has, or NULL. */
static Span *stripes_free_span(Stripes *stripes)
{
    unsigned i;
    for (i = 0; i < SPANS; i++) {
        if (!span_is_held(&stripes->span[i])) {
            return &stripes->span[i];
        }
    }
    return NULL;
}

/* Enters a span for blocks that are in no other one, and releases the gate, which the
 * caller holds. */
static Hold stripes_enter_span(Stripes *stripes, Span *span, size_t first, size_t last)
{
    AtomicSize *gate = &stripes->gate.lock.version;
    Hold hold = {false, 0, 0, 0, span};
    stripes_await(stripes);
    size_store_relaxed(&span->first, first);
    size_store_relaxed(&span->count, last - first + 1);
    size_store_release(gate,
                       (size_load_relaxed(gate) | LOCK_SPANS) + LOCK_HOLD - LOCK_HELD);
    return hold;
}

/* Holds the blocks first to last, at least as many as there are stripes. */
static Hold stripes_hold_span(Stripes *stripes, size_t first, size_t last)
{
    unsigned waits = 0;
    Span *span, *other;
    do {
        lock_acquire(&stripes->gate.lock);
        other = stripes_span_of(stripes, first, last);
        span = stripes_free_span(stripes);
        if (other == NULL && span != NULL) {
            return stripes_enter_span(stripes, span, first, last);
        }
        lock_release(&stripes->gate.lock);
        do {
            waits = lock_wait(waits);
        } while (
            waits < PATIENCE &&
            (other != NULL ? span_is_held(other) : stripes_free_span(stripes) == NULL));
    } while (waits < PATIENCE);
    return stripes_hold_whole_late(stripes);
}

/* Releases a span; with the last one the gate is open again. Who holds the gate meanwhile
 * takes the mark off itself, or enters a span. */
static void stripes_let_go_span(Stripes *stripes, Span *span)
{
    AtomicSize *gate = &stripes->gate.lock.version;
    size_t version;
    unsigned i;
    POOL_ASSERT(span_is_held(span));
    size_store_release(&span->count, 0);
    do {
        version = size_load_seq_cst(gate);
        if ((version & LOCK_HELD) != 0 || (version & LOCK_SPANS) == 0) {
            return;
        }
        for (i = 0; i < SPANS; i++) {
            if (span_is_held(&stripes->span[i])) {
                return;
            }
        }
    } while (!size_swap_seq_cst(gate, version, version + LOCK_HOLD - LOCK_SPANS));
}

/* -------------------------------------------------------------------- stripes */

/* Whether who holds the stripes of the blocks first to last has them. */
static inline bool stripes_admit(Stripes *stripes, size_t first, size_t last)
{
    size_t gate = lock_version(&stripes->gate.lock);
    return (gate & (LOCK_HELD | LOCK_SPANS)) == 0 ||
           ((gate & LOCK_HELD) == 0 && stripes_span_of(stripes, first, last) == NULL);
}

/* Waits, holding nothing, until it looks as if the blocks would be admitted; each wait
 * costs patience, and it is false without any. */
static bool stripes_await_admission(Stripes *stripes, size_t first, size_t last,
                                    unsigned *waits)
{
    do {
        if (*waits == PATIENCE) {
            return false;
        }
        *waits = lock_wait(*waits);
    } while (!stripes_admit(stripes, first, last));
    return true;
}

static NOT_INLINE Lock *stripes_hold_block_late(Stripes *stripes, size_t index)
{
    Lock *lock = stripes_lock(stripes, index);
    unsigned waits = 0;
    while (stripes_await_admission(stripes, index, index, &waits)) {
        lock_acquire(lock);
        if (stripes_admit(stripes, index, index)) {
            return lock;
        }
        lock_release(lock);
    }
    (void)stripes_hold_whole_late(stripes);
    return &stripes->gate.lock;
}

/* Holds one block: by its stripe or, out of patience, by the gate; whichever it returns is
 * to be released with lock_release. */
static inline Lock *stripes_hold_block(Stripes *stripes, size_t index)
{
    Lock *lock = stripes_lock(stripes, index);
    lock_acquire(lock);
    if (stripes_admit(stripes, index, index)) {
        return lock;
    }
    lock_release(lock);
    return stripes_hold_block_late(stripes, index);
}

static void stripes_acquire(Stripes *stripes, const Hold *hold)
{
    unsigned i;
    for (i = 0; i < hold->low; i++) {
        lock_acquire(stripes_lock(stripes, i));
    }
    for (i = hold->from; i < hold->to; i++) {
        lock_acquire(stripes_lock(stripes, i));
    }
}

static void stripes_release(Stripes *stripes, const Hold *hold)
{
    unsigned i;
    for (i = hold->from; i < hold->to; i++) {
        lock_release(stripes_lock(stripes, i));
    }
    for (i = 0; i < hold->low; i++) {
        lock_release(stripes_lock(stripes, i));
    }
}

/* Holds the blocks first to last, both included: by their stripes, by a span if they are
 * many, or, out of patience, the whole pool. */
static Hold stripes_hold_range(Stripes *stripes, size_t first, size_t last)
{
    Hold hold = {false, 0, 0, 0, NULL};
    unsigned waits = 0;
    if (last - first >= STRIPES - 1) {
        return stripes_hold_span(stripes, first, last);
    }
    hold.from = (unsigned)(first % STRIPES);
    hold.to = (unsigned)(last % STRIPES) + 1;
    if (hold.to <= hold.from) { /* the range wraps round */
        hold.low = hold.to;
        hold.to = STRIPES;
    }
    do {
        stripes_acquire(stripes, &hold);
        if (stripes_admit(stripes, first, last)) {
            return hold;
        }
        stripes_release(stripes, &hold);
    } while (stripes_await_admission(stripes, first, last, &waits));
    return stripes_hold_whole_late(stripes);
}

static void stripes_let_go(Stripes *stripes, Hold hold)
{
    if (hold.whole) {
        stripes_let_go_whole(stripes);
    } else if (hold.span != NULL) {
        stripes_let_go_span(stripes, hold.span);
    } else {
        stripes_release(stripes, &hold);
    }
}

/* ------------------------------------------------------------------- watching */

/* ThreadSanitizer takes a reader that may see half a change, and then forgets what it
 * saw, for an error. Built for it, readers hold their stripes instead. */
#if defined(__SANITIZE_THREAD__)
#  define WATCH_ALLOWED false
#elif defined(__has_feature)
#  if __has_feature(thread_sanitizer)
#    define WATCH_ALLOWED false
#  endif
#endif
#ifndef WATCH_ALLOWED
#  define WATCH_ALLOWED true
#endif

/* The sum of the versions of the stripes watched, or an odd number if one of them is held.
 * Versions of free locks only grow (a mark adds 2 at most, a hold 8), so that if their sum
 * is what it was, then so is each of them. */
static inline size_t watch_sum(const Watch *watch)
{
    size_t sum = 0, held = 0, i;
    for (i = 0; i < watch->count; i++) {
        Lock *lock = stripes_lock(watch->stripes, watch->first + i);
        size_t version = size_load_acquire(&lock->version);
        held |= version & LOCK_HELD;
        sum += version;
    }
    return sum | held;
}

/* Begins to watch the gate alone; false if somebody holds it, or a span. */
static inline bool watch_gate(Watch *watch, Stripes *stripes)
{
    watch->stripes = stripes;
    watch->first = watch->count = watch->sum = 0;
    watch->gate = size_load_acquire(&stripes->gate.lock.version);
    return WATCH_ALLOWED && (watch->gate & (LOCK_HELD | LOCK_SPANS)) == 0;
}

/* Begins to watch the blocks first to last as well; false if somebody holds one of them. */
static inline bool watch_begin(Watch *watch, Stripes *stripes, size_t first, size_t last)
{
    if (!watch_gate(watch, stripes)) {
        return false;
    }
    watch->first = first;
    watch->count = last - first < STRIPES ? last - first + 1 : STRIPES;
    watch->sum = watch_sum(watch);
    return (watch->sum & LOCK_HELD) == 0;
}

/* Whether pointers that were loaded from the tree up to now may be followed. */
static inline bool watch_shape(const Watch *watch)
{
    fence_acquire();
    return size_load_relaxed(&watch->stripes->gate.lock.version) == watch->gate;
}

/* Whether all that was read is of one moment. */
static inline bool watch_end(const Watch *watch)
{
    return watch_shape(watch) && watch_sum(watch) == watch->sum;
}
