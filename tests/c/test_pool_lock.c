/* SPDX-License-Identifier: MIT */
/* test_pool_lock.c - the locks of a pool, by themselves */
#define POOL_STRIPES 8
#include "internal.h"
#include "test_threads.h"

enum { COUNT = STRIPES, THREADS = 4 };

static PoolLock locks;

static size_t held_stripes(void)
{
    size_t held = 0;
    for (unsigned i = 0; i < COUNT; i++)
        held += lock_is_held(pool_lock_stripe(&locks, i));
    return held;
}

static size_t held_spans(void)
{
    size_t held = 0;
    for (unsigned i = 0; i < SPANS; i++)
        held += span_is_held(&locks.span[i]);
    return held;
}

/* Checks that all locks are free and that no mark is left. */
static void check_all_free(void)
{
    CHECK_EQ_SIZE(held_stripes(), 0);
    CHECK_EQ_SIZE(held_spans(), 0);
    CHECK_EQ_SIZE(lock_version(&locks.shape.lock) % LOCK_STEP, 0);
}

/* Which stripes, or span, a range of blocks takes, for every start and length. */
TEST(ranges_take_their_stripes)
{
    pool_lock_init(&locks);
    for (size_t first = SIZE_MAX / 2; first < SIZE_MAX / 2 + COUNT; first++) {
        for (size_t length = 1; length <= 2 * COUNT; length++) {
            Guard guard = pool_lock_range(&locks, first, first + length - 1);
            CHECK(!guard.exclusive);
            CHECK(!lock_is_held(&locks.shape.lock));
            CHECK_EQ_INT(guard.span != NULL, length >= COUNT);
            CHECK_EQ_SIZE(held_spans(), length >= COUNT);
            CHECK_EQ_SIZE(held_stripes(), length >= COUNT ? 0 : length);
            for (size_t i = 0; i < length && length < COUNT; i++)
                CHECK(lock_is_held(pool_lock_stripe(&locks, first + i)));
            pool_unlock(&locks, guard);
            check_all_free();
        }
    }
}

/* A span excludes all others from its blocks, and from no other blocks. */
TEST(a_span_is_its_blocks)
{
    enum { FIRST = 3 * COUNT + 3, LAST = FIRST + COUNT + 2 };
    pool_lock_init(&locks);
    Guard span = pool_lock_range(&locks, FIRST, LAST);
    for (size_t first = 0; first < 8 * COUNT; first++) {
        for (size_t last = first; last < 8 * COUNT; last++) {
            int apart = last < FIRST || first > LAST;
            CHECK_EQ_INT(pool_lock_grants(&locks, first, last), apart);
            if (apart) {
                Guard guard = pool_lock_range(&locks, first, last);
                CHECK(!guard.exclusive);
                pool_unlock(&locks, guard);
            }
        }
    }
    CHECK_EQ_SIZE(held_spans(), 1);
    pool_unlock(&locks, span);
    check_all_free();
}

/* To the last block that there can be, and from the first. */
TEST(spans_at_both_ends)
{
    pool_lock_init(&locks);
    Guard last = pool_lock_range(&locks, SIZE_MAX - COUNT, SIZE_MAX - 1);
    Guard first = pool_lock_range(&locks, 0, SIZE_MAX - COUNT - 1);
    CHECK(!first.exclusive && first.span != NULL && last.span != NULL);
    CHECK(!pool_lock_grants(&locks, SIZE_MAX - 1, SIZE_MAX - 1));
    CHECK(!pool_lock_grants(&locks, 0, 0));
    pool_unlock(&locks, last);
    CHECK(pool_lock_grants(&locks, SIZE_MAX - 1, SIZE_MAX - 1));
    pool_unlock(&locks, first);
    check_all_free();
}

/* As many as there are, released in the order in which they came and in another one. */
TEST(spans_come_and_go_in_any_order)
{
    for (size_t other = 0; other < 2; other++) {
        Guard holds[SPANS];
        pool_lock_init(&locks);
        for (size_t i = 0; i < SPANS; i++)
            holds[i] = pool_lock_range(&locks, i * COUNT, i * COUNT + COUNT - 1);
        CHECK_EQ_SIZE(held_spans(), SPANS);
        CHECK(pool_lock_find_free_span(&locks) == NULL);
        for (size_t i = 0; i < SPANS; i++)
            pool_unlock(&locks, holds[i ^ other]);
        check_all_free();
    }
}

/* Plain counters, one a block. They are right in the end only if holders of a stripe, and
 * of spans that overlap, exclude each other, and an exclusive lock excludes all. Two
 * values that are changed under one lock never differ for another holder. */
enum { BLOCKS = 4 * COUNT };

static struct Counter {
    unsigned a, b;
} counters[BLOCKS];

typedef struct Worker {
    TestThread thread;
    TestRandom random;
    unsigned times, done[BLOCKS];
} Worker;

static void count_under_hold(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < w->times; i++) {
        size_t first = test_below(&w->random, BLOCKS);
        size_t length = test_below(&w->random, BLOCKS - first) + 1;
        int exclusive = test_below(&w->random, 4) == 0;
        Guard guard = exclusive ? pool_lock_exclusive(&locks)
                                : pool_lock_range(&locks, first, first + length - 1);
        for (size_t k = first; k < first + length; k++) {
            struct Counter *counter = &counters[k];
            CHECK_EQ_INT((int)counter->a, (int)counter->b);
            counter->a++;
            w->done[k]++;
            counter->b++;
        }
        pool_unlock(&locks, guard);
    }
}

TEST(locks_exclude_each_other)
{
    static Worker workers[THREADS];
    memset(counters, 0, sizeof counters);
    pool_lock_init(&locks);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].random.state = test_seed * 1000 + i;
        workers[i].times = test_times(100000);
        test_thread_start(&workers[i].thread, count_under_hold, &workers[i]);
    }
    for (unsigned i = 0; i < THREADS; i++)
        test_thread_join(&workers[i].thread);
    check_all_free();
    for (unsigned k = 0; k < BLOCKS; k++) {
        unsigned sum = 0;
        for (unsigned i = 0; i < THREADS; i++)
            sum += workers[i].done[k];
        CHECK_LE_SIZE(1, sum);
        CHECK_EQ_SIZE(counters[k].a, sum);
        CHECK_EQ_SIZE(counters[k].b, sum);
    }
}

/* ----------------------------------------------------------- optimistic reads */

#if defined(TEST_READS_LOCK)
static const char *const no_optimistic_reads = "in this build readers hold their stripes";
TEST(an_optimistic_read_notices_each_lock)
{
    test_skip(no_optimistic_reads);
}
TEST(optimistic_reads_see_whole_changes)
{
    test_skip(no_optimistic_reads);
}
#else
/* An optimistic read of the blocks [first, first + length), with a lock of [other, ...)
 * and its release in between. */
static void check_watch(size_t first, size_t length, size_t other, size_t others)
{
    OptimisticRead read;
    Guard guard;
    int touches = others > COUNT - 1;
    for (size_t i = 0; i < length; i++) {
        for (size_t k = 0; k < others; k++)
            touches |= (first + i) % COUNT == (other + k) % COUNT;
    }
    guard = pool_lock_range(&locks, other, other + others - 1);
    int open = optimistic_begin(&read, &locks, first, first + length - 1);
    CHECK_EQ_INT(open && optimistic_validate_shape(&read),
                 guard.span == NULL && !touches);
    CHECK_EQ_INT(open && optimistic_validate(&read), !touches);
    pool_unlock(&locks, guard);
    CHECK_EQ_INT(open && optimistic_validate(&read), !touches);

    CHECK(optimistic_begin(&read, &locks, first, first + length - 1));
    CHECK(optimistic_validate(&read));
    guard = pool_lock_range(&locks, other, other + others - 1);
    CHECK_EQ_INT(optimistic_validate_shape(&read), guard.span == NULL);
    CHECK_EQ_INT(optimistic_validate(&read), !touches);
    pool_unlock(&locks, guard);
    CHECK_EQ_INT(optimistic_validate_shape(&read), guard.span == NULL);
    CHECK_EQ_INT(optimistic_validate(&read), !touches);
}

TEST(an_optimistic_read_notices_each_lock)
{
    OptimisticRead read;
    Guard guard;
    pool_lock_init(&locks);
    guard = pool_lock_exclusive(&locks);
    int open = optimistic_begin(&read, &locks, 0, 0);
    CHECK(!open || !optimistic_validate_shape(&read));
    pool_unlock(&locks, guard);
    CHECK(!open || !optimistic_validate_shape(&read));
    for (size_t first = 0; first < COUNT; first++) {
        for (size_t length = 1; length <= COUNT + 1; length++) {
            for (size_t other = 0; other < COUNT; other++) {
                for (size_t others = 1; others <= COUNT; others++)
                    check_watch(first, length, other, others);
            }
        }
    }
}

/* Writers change a pair of cells, one by one, under a lock of both their stripes or of
 * the whole pool; an optimistic read that is valid has seen one value in both. */
static AtomicSize cells[2];

static void change_cells(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < w->times; i++) {
        Guard guard = i % 5 == 0   ? pool_lock_exclusive(&locks)
                      : i % 5 == 1 ? pool_lock_range(&locks, 1, COUNT)
                                   : pool_lock_range(&locks, 3, 4);
        size_store_relaxed(&cells[0], size_load_relaxed(&cells[0]) + 1);
        size_store_relaxed(&cells[1], size_load_relaxed(&cells[1]) + 1);
        pool_unlock(&locks, guard);
    }
}

static void read_cells(void *argument)
{
    Worker *w = argument;
    size_t last = 0;
    for (unsigned i = 0; i < w->times; i++) {
        OptimisticRead read;
        if (!optimistic_begin(&read, &locks, 3, 4))
            continue;
        size_t a = size_load_relaxed(&cells[0]), b = size_load_relaxed(&cells[1]);
        if (optimistic_validate(&read)) {
            CHECK_EQ_SIZE(a, b);
            CHECK_LE_SIZE(last, a);
            last = a;
            w->done[0]++;
        }
    }
}

TEST(optimistic_reads_see_whole_changes)
{
    static Worker workers[THREADS];
    pool_lock_init(&locks);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].times = test_times(200000);
        test_thread_start(&workers[i].thread, i % 2 ? read_cells : change_cells,
                          &workers[i]);
    }
    for (unsigned i = 0; i < THREADS; i++)
        test_thread_join(&workers[i].thread);
    CHECK_EQ_SIZE(size_load_relaxed(&cells[0]), 2 * (size_t)test_times(200000));
}
#endif

/* Two pools held as wholes by threads that name them in either order: a wrong order
 * would hang, and the test's time limit would end it. */
static MemoryPool *pair[2];
static unsigned held_pairs;

static void hold_both(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < w->times; i++) {
        size_t turn = test_below(&w->random, 2);
        pools_lock(pair[turn], pair[1 - turn]);
        held_pairs++; /* not atomic: only under both holds */
        pools_unlock(pair[turn], pair[1 - turn]);
        w->done[0]++;
    }
}

TEST(two_pools_in_either_order)
{
    static Worker workers[THREADS];
    unsigned sum = 0;
    pair[0] = pool_create(4096, 64);
    pair[1] = pool_clone(pair[0]);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].random.state = test_seed * 1000 + i;
        workers[i].times = test_times(20000);
        test_thread_start(&workers[i].thread, hold_both, &workers[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        test_thread_join(&workers[i].thread);
        sum += workers[i].done[0];
    }
    CHECK_EQ_SIZE(held_pairs, sum);
    pools_lock(pair[0], pair[0]); /* one pool twice is held once */
    pools_unlock(pair[0], pair[0]);
    pool_destroy(pair[0]);
    pool_destroy(pair[1]);
    check_nothing_live();
}

/* What all read, what is counted, the shape lock and each stripe: a line each. */
TEST(lines_are_not_shared)
{
    size_t first = offsetof(MemoryPool, first_line); /* behind the handle */
    CHECK_EQ_SIZE(first % CACHE_LINE, 0);
    CHECK_EQ_SIZE(offsetof(MemoryPool, refs), first + CACHE_LINE);
    CHECK_EQ_SIZE(offsetof(MemoryPool, locks), first + 2 * CACHE_LINE);
    CHECK_EQ_SIZE(sizeof(Stripe), CACHE_LINE);
}

static const TestCase cases[] = {
    TEST_CASE(ranges_take_their_stripes),
    TEST_CASE(a_span_is_its_blocks),
    TEST_CASE(spans_at_both_ends),
    TEST_CASE(spans_come_and_go_in_any_order),
    TEST_CASE(locks_exclude_each_other),
    TEST_CASE(an_optimistic_read_notices_each_lock),
    TEST_CASE(optimistic_reads_see_whole_changes),
    TEST_CASE(two_pools_in_either_order),
    TEST_CASE(lines_are_not_shared),
};
TEST_MAIN(cases)
