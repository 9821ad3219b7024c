/*
 * stripes.c - the locks of a pool, and reading without them
 *
 *     gate        who holds it has the whole pool, once every stripe was seen free
 *     stripe[i]   who holds it has the blocks whose index is i modulo their number,
 *                 if the gate was open after the stripe was taken
 *
 * ORDINARY WORK (writing to blocks, putting a block into a slot) holds the stripes of the
 * blocks it touches. A CHANGE OF SHAPE (a new or copied node, a clone, a restore, a
 * discard of whole blocks) holds the whole pool, and so does whatever spans all stripes.
 *
 * Why this excludes: ordinary work sets its stripe and then looks at the gate; the other
 * side sets the gate and then looks at the stripes. All four are sequentially consistent,
 * so at least one of the two sees the other, and the one that is ordinary gives way.
 * Holding the whole pool thus costs one atomic exchange and a look at each stripe, where
 * taking each stripe would cost an exchange a stripe.
 *
 * Why this cannot deadlock: stripes are taken in ascending order; who finds the gate
 * closed lets go of its stripes before it waits; the holder of a gate waits only for
 * holders of stripes of the same pool; and of two pools the older one is held first.
 *
 * READING takes no lock. A lock is one word, its version: odd while it is held, and two
 * more after each hold. A reader WATCHES: it notes the versions of the gate and of its
 * stripes, reads, and looks at them again; if one moved, what it read may be half of a
 * change, and it starts over, holding the stripes if it has bad luck two or three times
 * (with a range of several blocks, once). Meanwhile it may come upon nodes and blocks
 * that are no longer in the tree. Two rules make that harmless: their memory stays mapped
 * as long as the family lives (arena.c), and no pointer but the root is followed before
 * the gate was seen unmoved after it was loaded, so that it points to what it should, or
 * did a moment ago.
 *
 * Who waits for a lock spins for a moment, then offers the processor to others, then
 * sleeps for 50 microseconds, doubling up to about a millisecond. So an unlock is a plain
 * store, which makes a pair cost half of what it costs with a mutex; the longest holds
 * (copies of many megabytes) are long beside the sleep.
 */
/* How many; a power of two. A test takes fewer, to meet every case of them. */
#ifndef POOL_STRIPES
#  define POOL_STRIPES 64
#endif
enum { CACHE_LINE = 64, STRIPES = POOL_STRIPES };

typedef struct Lock {
    AtomicSize version;
} Lock;

/* Waits a little, longer each time; returns the number of waits for the next call. */
static unsigned lock_wait(unsigned waits)
{
    if (waits < 64) {
        cpu_relax();
    } else if (waits < 80) {
        platform_yield();
    } else {
        platform_nap(50u << (waits < 84 ? waits - 80 : 4));
    }
    return waits < 84 ? waits + 1 : waits;
}

static inline size_t lock_version(Lock *lock)
{
    return size_load_seq_cst(&lock->version);
}

static inline bool lock_is_held(Lock *lock)
{
    return (lock_version(lock) & 1) != 0;
}

static void lock_await(Lock *lock)
{
    unsigned waits = 0;
    while (lock_is_held(lock)) {
        waits = lock_wait(waits);
    }
}

static inline void lock_acquire(Lock *lock)
{
    for (;;) {
        size_t version = size_load_relaxed(&lock->version);
        if ((version & 1) == 0 &&
            size_swap_seq_cst(&lock->version, version, version + 1)) {
            break;
        }
        lock_await(lock);
    }
    fence_release(); /* a reader that sees what follows sees the odd version as well */
}

static inline void lock_release(Lock *lock)
{
    size_store_release(&lock->version, size_load_relaxed(&lock->version) + 1);
}

typedef struct Stripe {
    Lock lock;
    char padding[CACHE_LINE - sizeof(Lock)];
} Stripe;

/* What is held: stripes [0, low) and [from, to), or the whole pool by its gate. */
typedef struct Hold {
    bool whole;
    unsigned low, from, to;
} Hold;

typedef struct Stripes {
    Stripe gate;
    Stripe stripe[STRIPES];
} Stripes;

static void stripes_init(Stripes *stripes)
{
    unsigned i;
    size_store_relaxed(&stripes->gate.lock.version, 0);
    for (i = 0; i < STRIPES; i++) {
        size_store_relaxed(&stripes->stripe[i].lock.version, 0);
    }
}

static inline Lock *stripes_lock(Stripes *stripes, size_t index)
{
    return &stripes->stripe[index % STRIPES].lock;
}

static Hold stripes_hold_whole(Stripes *stripes)
{
    Hold hold = {true, 0, 0, 0};
    size_t versions = 0;
    unsigned i;
    lock_acquire(&stripes->gate.lock);
    for (i = 0; i < STRIPES; i++) { /* one look at all of them, which is mostly enough */
        versions |= size_load_seq_cst(&stripes->stripe[i].lock.version);
    }
    for (i = 0; (versions & 1) != 0 && i < STRIPES; i++) {
        lock_await(&stripes->stripe[i].lock);
    }
    return hold;
}

static void stripes_let_go(Stripes *stripes, Hold hold)
{
    unsigned i;
    if (hold.whole) {
        lock_release(&stripes->gate.lock);
        return;
    }
    for (i = hold.from; i < hold.to; i++) {
        lock_release(stripes_lock(stripes, i));
    }
    for (i = 0; i < hold.low; i++) {
        lock_release(stripes_lock(stripes, i));
    }
}

/* Holds one block; to be let go with lock_release. */
static inline Lock *stripes_hold_block(Stripes *stripes, size_t index)
{
    Lock *lock = stripes_lock(stripes, index);
    for (;;) {
        lock_acquire(lock);
        if (!lock_is_held(&stripes->gate.lock)) {
            return lock;
        }
        lock_release(lock);
        lock_await(&stripes->gate.lock);
    }
}

/* Holds the blocks first to last, both included; the whole pool if they are many. */
static Hold stripes_hold_range(Stripes *stripes, size_t first, size_t last)
{
    Hold hold = {false, 0, 0, 0};
    unsigned i;
    if (last - first >= STRIPES - 1) {
        return stripes_hold_whole(stripes);
    }
    hold.from = (unsigned)(first % STRIPES);
    hold.to = (unsigned)(last % STRIPES) + 1;
    if (hold.to <= hold.from) { /* the range wraps round */
        hold.low = hold.to;
        hold.to = STRIPES;
    }
    for (;;) {
        for (i = 0; i < hold.low; i++) {
            lock_acquire(stripes_lock(stripes, i));
        }
        for (i = hold.from; i < hold.to; i++) {
            lock_acquire(stripes_lock(stripes, i));
        }
        if (!lock_is_held(&stripes->gate.lock)) {
            return hold;
        }
        stripes_let_go(stripes, hold);
        lock_await(&stripes->gate.lock);
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

/* What a reader noted. */
typedef struct Watch {
    Stripes *stripes;
    size_t first, count; /* the blocks watched; no more than there are stripes */
    size_t gate, sum;    /* the versions */
} Watch;

/* The sum of the versions of the stripes watched, or an odd number if one of them is held.
 * Versions only grow, so that if their sum is what it was, then so is each of them. */
static inline size_t watch_sum(const Watch *watch)
{
    size_t sum = 0, held = 0, i;
    for (i = 0; i < watch->count; i++) {
        Lock *lock = stripes_lock(watch->stripes, watch->first + i);
        size_t version = size_load_acquire(&lock->version);
        held |= version & 1;
        sum += version;
    }
    return sum | held;
}

/* Begins to watch the gate alone; false if somebody holds it. */
static inline bool watch_gate(Watch *watch, Stripes *stripes)
{
    watch->stripes = stripes;
    watch->first = watch->count = watch->sum = 0;
    watch->gate = size_load_acquire(&stripes->gate.lock.version);
    return WATCH_ALLOWED && (watch->gate & 1) == 0;
}

/* Begins to watch the blocks first to last as well; false if somebody holds one of them. */
static inline bool watch_begin(Watch *watch, Stripes *stripes, size_t first, size_t last)
{
    bool open = watch_gate(watch, stripes);
    watch->first = first;
    watch->count = last - first < STRIPES ? last - first + 1 : STRIPES;
    watch->sum = watch_sum(watch);
    return open && (watch->sum & 1) == 0;
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
