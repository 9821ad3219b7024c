/* SPDX-License-Identifier: MIT */
/*
 * test_fair.c - no thread starves, judged by how often rivals went first
 *
 * Most tests need one thread: when the library would yield or sleep while it waits, it
 * calls the test's RIVALS instead. They release what they hold and try at once to get it
 * again, as a thread in a tight loop does, and count how often they went first. No test
 * depends on the clock.
 */
#if !defined(_WIN32) && !defined(_DEFAULT_SOURCE)
#  define _DEFAULT_SOURCE 1
#endif
#if defined(_WIN32)
#  define WIN32_LEAN_AND_MEAN
#  include <windows.h>
#else
#  include <pthread.h>
#  include <sched.h>
#  include <time.h>
#endif
#include <stdatomic.h>

static void (*rivals)(void); /* NULL: waits are real */
static size_t nap_time;      /* microseconds that were to be slept, rivals set */
static atomic_uint naps;     /* that were real                                 */

#if defined(_WIN32)
static void fair_sleep(unsigned milliseconds)
{
    if (rivals == NULL) {
        naps++;
        Sleep(milliseconds);
        return;
    }
    nap_time += (size_t)16000 * milliseconds; /* at most */
    rivals();
}
static int fair_yield(void)
{
    if (rivals == NULL)
        return SwitchToThread();
    rivals();
    return 1;
}
#  define CreateWaitableTimerExW(attributes, name, flags, access) NULL
#  define Sleep(milliseconds) fair_sleep(milliseconds)
#  define SwitchToThread() fair_yield()
#else
static int fair_sleep(const struct timespec *time)
{
    if (rivals == NULL) {
        naps++;
        return nanosleep(time, NULL);
    }
    nap_time += (size_t)(time->tv_nsec / 1000);
    rivals();
    return 0;
}
static int fair_yield(void)
{
    if (rivals == NULL)
        return sched_yield();
    rivals();
    return 0;
}
#  define nanosleep(time, rest) fair_sleep(time)
#  define sched_yield() fair_yield()
#endif

#define POOL_STRIPES 8
#include "internal.h"
#include "test_threads.h"
#undef Sleep
#undef nanosleep
#undef sched_yield

/* How often rivals may go first: at each yield and nap before the thread enters the
 * queue, and once more for the lock that they hold then. */
enum { COUNT = STRIPES, OFTEN = BACKOFF_MAX - SPINS + 2 };

static PoolLock locks;
static Lock lock;
static Guard theirs;   /* what the rivals hold                     */
static unsigned first; /* how often they went first                */
static unsigned tries; /* how often they would have liked to do so */

static void begin(void (*those)(void))
{
    rivals = those;
    first = tries = 0;
    nap_time = 0;
}

/* Checks that the waiting thread got the lock, and soon enough. */
static void check_served(unsigned least)
{
    CHECK_LE_SIZE(first, OFTEN);
    CHECK_LE_SIZE(least, first); /* barging is allowed, for a while */
    rivals = NULL;
}

/* A test that would go on for ever ends here. */
static void went_first(void)
{
    CHECK_LE_SIZE(++first, OFTEN);
}

/* ------------------------------------------------------------------ single locks */

static int they_have_it;

static void lock_again(void)
{
    if (they_have_it)
        lock_release(&lock);
    they_have_it = lock_try(&lock);
    if (they_have_it)
        went_first();
    tries++;
    CHECK_LE_SIZE(tries, 1000);
}

TEST(a_lock_is_left_to_who_waits)
{
    lock_init(&lock);
    they_have_it = lock_try(&lock);
    begin(lock_again);
    lock_acquire(&lock);
    check_served(1);
    CHECK(!they_have_it);
    lock_release(&lock);
    lock_acquire(&lock); /* and is as it was */
    lock_release(&lock);
    CHECK_EQ_SIZE(lock_version(&lock) % LOCK_STEP, 0);
}

/* A thread that enters the queue gets the lock after all that are before it. */
enum { IN_QUEUE = 5 };
static size_t queue_begin, served;

static void line_moves_on(void)
{
    if (served < IN_QUEUE && lock_try_first(&lock)) {
        size_store_release(&lock.serving, queue_begin + ++served);
        lock_release(&lock);
    }
    CHECK_LE_SIZE(++tries, 1000);
}

TEST(the_line_is_served_in_order)
{
    for (size_t turn = 0; turn < IN_QUEUE + 2;
         turn++) { /* tickets wrap round at any place */
        lock_init(&lock);
        queue_begin = (size_t)0 - turn;
        size_store_relaxed(&lock.serving, queue_begin);
        size_store_relaxed(&lock.next, queue_begin + IN_QUEUE);
        served = 0;
        begin(line_moves_on);
        lock_acquire_queued(&lock);
        rivals = NULL;
        CHECK_EQ_SIZE(served, IN_QUEUE);
        CHECK_EQ_SIZE(size_load_relaxed(&lock.serving), queue_begin + IN_QUEUE + 1);
        lock_release(&lock);
    }
}

static void nobody(void)
{
    CHECK_LE_SIZE(++tries, 100000);
}

/* A thread that died in the queue, with the lock marked for it, delays others once. */
TEST(a_ticket_expires)
{
    for (int marked = 0; marked < 2; marked++) {
        lock_init(&lock);
        lock.next = 1;
        lock.version = marked ? LOCK_STEP + LOCK_HANDOFF : LOCK_STEP;
        begin(nobody);
        lock_acquire_queued(&lock);
        CHECK_LE_SIZE(TICKET_TIMEOUT, nap_time);
        CHECK_LE_SIZE(nap_time, 2 * TICKET_TIMEOUT);
        lock_release(&lock);
        CHECK_EQ_SIZE(size_load_relaxed(&lock.serving), size_load_relaxed(&lock.next));
        begin(nobody);
        lock_acquire(&lock);
        lock_release(&lock);
        lock_acquire_queued(&lock);
        lock_release(&lock);
        CHECK_EQ_SIZE(nap_time, 0);
        rivals = NULL;
    }
}

/* A thread whose turn has passed, because it slept for too long, is first when it
 * wakes. */
TEST(a_thread_that_was_passed_over_goes_on)
{
    CHECK_EQ_SIZE(lock_queue_ahead(7, 5), 2);
    CHECK_EQ_SIZE(lock_queue_ahead(7, 7), 0);
    CHECK_EQ_SIZE(lock_queue_ahead(7, 9), 0);
    CHECK_EQ_SIZE(lock_queue_ahead(1, SIZE_MAX), 2);
    CHECK_EQ_SIZE(lock_queue_ahead(SIZE_MAX, 1), 0);
    lock_init(&lock);
    lock.next = 3;
    lock.serving = 5; /* two behind it were served */
    begin(nobody);
    lock_acquire_queued(&lock);
    CHECK_EQ_SIZE(nap_time, 0);
    CHECK_EQ_SIZE(size_load_relaxed(&lock.serving), 5);
    lock_release(&lock);
    rivals = NULL;
}

/* -------------------------------------------------------------- the locks of a pool */

static void whole_again(void)
{
    if (theirs.exclusive)
        pool_unlock_exclusive(&locks);
    theirs.exclusive = lock_try(&locks.shape.lock);
    if (theirs.exclusive)
        went_first();
}

/* A span of the rivals, from block 0 on. It ends when they are called, and they enter
 * another one if they get the shape lock. */
static void span_again(void)
{
    if (theirs.span != NULL)
        pool_unlock_span(&locks, theirs.span);
    theirs.span = NULL;
    if (lock_try(&locks.shape.lock)) {
        theirs = pool_lock_enter_span(&locks, &locks.span[0], 0, 2 * COUNT);
        went_first();
    }
}

/* Ordinary work on block 3. */
static void block_again(void)
{
    Lock *third = pool_lock_stripe(&locks, 3);
    if (they_have_it)
        lock_release(third);
    they_have_it = lock_try(third);
    if (they_have_it && !pool_lock_grants(&locks, 3, 3)) {
        lock_release(third);
        they_have_it = 0;
    }
    if (they_have_it)
        went_first();
}

/* What waits for the blocks 2 to 4 of the pool, in each way there is. */
static void wait_for_blocks(int way)
{
    Guard guard;
    Lock *held;
    switch (way) {
    case 0: guard = pool_lock_exclusive(&locks); break;
    case 1: guard = pool_lock_range(&locks, 2, 4); break;
    case 2: guard = pool_lock_range(&locks, 2, 2 * COUNT); break;
    default:
        held = pool_lock_block(&locks, 3);
        lock_release(held);
        return;
    }
    pool_unlock(&locks, guard);
}

TEST(exclusive_locks_starve_no_thread)
{
    for (int way = 0; way < 4; way++) {
        pool_lock_init(&locks);
        theirs = pool_lock_exclusive(&locks);
        begin(whole_again);
        wait_for_blocks(way);
        check_served(1);
    }
}

TEST(spans_starve_no_thread)
{
    for (int way = 0; way < 4; way++) {
        pool_lock_init(&locks);
        theirs = pool_lock_range(&locks, 0, 2 * COUNT);
        begin(span_again);
        wait_for_blocks(way);
        check_served(way == 0 ? 0 : 1); /* the shape lock is free */
        CHECK_EQ_SIZE(lock_version(&locks.shape.lock) % LOCK_STEP, 0);
    }
}

TEST(locks_of_a_block_starve_no_thread)
{
    for (int way = 0; way < 4; way++) {
        int by_gate = way == 0 || way == 2; /* which keeps newcomers out at once */
        pool_lock_init(&locks);
        they_have_it = lock_try(pool_lock_stripe(&locks, 3));
        begin(block_again);
        wait_for_blocks(way);
        check_served(by_gate ? 0 : 1);
    }
}

/* All spans are in use, and each that ends begins anew at once. */
static Guard many[SPANS];

static void one_of_many_again(void)
{
    size_t at = tries++ % SPANS;
    if (many[at].span != NULL)
        pool_unlock_span(&locks, many[at].span);
    Span *span = many[at].span;
    many[at].span = NULL;
    if (span != NULL && lock_try(&locks.shape.lock)) {
        size_t from = (at + 1) * 4 * COUNT;
        many[at] = pool_lock_enter_span(&locks, span, from, from + COUNT);
        went_first();
    }
}

TEST(many_spans_starve_no_thread)
{
    pool_lock_init(&locks);
    for (size_t i = 0; i < SPANS; i++)
        many[i] =
            pool_lock_range(&locks, (i + 1) * 4 * COUNT, (i + 1) * 4 * COUNT + COUNT);
    begin(one_of_many_again);
    Guard guard = pool_lock_range(&locks, 0, 2 * COUNT);
    check_served(1);
    CHECK(guard.exclusive); /* it gave up the backoff */
    pool_unlock(&locks, guard);
}

/* The shape lock is free at each check before the stripe, and held once the stripe was
 * acquired, for which the rivals make the thread wait: such a round also counts as a
 * wait. */
static void close_behind(void)
{
    Lock *third = pool_lock_stripe(&locks, 3);
    if (they_have_it) {
        lock_release(third);
        they_have_it = 0;
        theirs.exclusive = lock_try(&locks.shape.lock);
        if (theirs.exclusive)
            went_first();
    } else {
        if (theirs.exclusive)
            pool_unlock_exclusive(&locks);
        theirs.exclusive = 0;
        they_have_it = lock_try(third);
    }
}

TEST(a_lost_race_for_a_free_shape_lock_counts_as_a_wait)
{
    pool_lock_init(&locks);
    they_have_it = 0;
    theirs = pool_lock_exclusive(&locks);
    begin(close_behind);
    wait_for_blocks(3);
    check_served(2);
}

/* ------------------------------------------------------------------- real threads */

#if defined(_WIN32)
TEST(a_cancelled_thread_ends_its_call)
{
    test_skip("threads cannot be cancelled here");
}
#else
static atomic_int got_it;

static void wait_in_line(void *unused)
{
    (void)unused;
    lock_acquire(&lock);
    got_it = 1;
    lock_release(&lock);
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL); /* it was, and is over */
}

TEST(a_cancelled_thread_ends_its_call)
{
    TestThread thread;
    lock_init(&lock);
    got_it = 0;
    lock_acquire(&lock);
    test_thread_start(&thread, wait_in_line, NULL);
    while (size_load_acquire(&lock.next) == 0)
        (void)sched_yield();
    CHECK_EQ_INT(pthread_cancel(thread.handle), 0);
    for (unsigned seen = naps; naps < seen + 3;) /* it has slept since */
        (void)sched_yield();
    lock_release(&lock);
    test_thread_join(&thread);
    CHECK_EQ_INT(got_it, 1);
    lock_acquire_queued(&lock); /* the queue is empty */
    CHECK_EQ_SIZE(size_load_relaxed(&lock.serving), size_load_relaxed(&lock.next));
}
#endif

/* Threads in endless loops of calls that lock the whole pool and long ranges, beside some
 * that make a number of small calls. If those starve, the test does not end. */
enum { BLOCK = 512, SPAN_SIZE = 2 * COUNT * BLOCK, TOTAL = 64 * BLOCK };

typedef struct Worker {
    TestThread thread;
    MemoryPool *pool;
    unsigned times;
    size_t most; /* long calls during a small one */
} Worker;

static atomic_int over;
static atomic_size_t long_calls;

static void look_for_ever(void *argument)
{
    Worker *w = argument;
    size_t start, size;
    while (!over) {
        (void)pool_next_extent(w->pool, 0, SIZE_MAX, &start, &size);
        long_calls++;
    }
}

static void write_for_ever(void *argument)
{
    static const unsigned char bytes[SPAN_SIZE];
    Worker *w = argument;
    while (!over) {
        CHECK_EQ_SIZE(pool_write(w->pool, 0, bytes, SPAN_SIZE), SPAN_SIZE);
        long_calls++;
    }
}

static void call_sometimes(void *argument)
{
    Worker *w = argument;
    unsigned char bytes[8] = {0};
    for (unsigned i = 0; i < w->times; i++) {
        size_t before = long_calls, at = i % 2 == 0 ? 100 : TOTAL - 100;
        if (i % 3 == 0)
            CHECK_EQ_SIZE(pool_read(w->pool, bytes, at, 8), 8);
        else
            CHECK_EQ_SIZE(pool_write(w->pool, at, bytes, 8), 8);
        w->most = checked_max(w->most, long_calls - before);
    }
}

TEST(small_calls_get_done_beside_long_ones)
{
    static Worker workers[4];
    static void (*const runs[])(void *) = {look_for_ever, write_for_ever, call_sometimes,
                                           call_sometimes};
    MemoryPool *pool = pool_create(TOTAL, BLOCK);
    CHECK_RETURNS(pool_fill(pool, 0, 1, TOTAL), POOL_OK);
    over = 0;
    for (size_t i = 0; i < 4; i++) {
        workers[i].pool = pool;
        workers[i].times = test_times(200000);
        test_thread_start(&workers[i].thread, runs[i], &workers[i]);
    }
    test_thread_join(&workers[2].thread);
    test_thread_join(&workers[3].thread);
    over = 1;
    test_thread_join(&workers[0].thread);
    test_thread_join(&workers[1].thread);
    printf("  at most %zu long calls beside one small\n",
           checked_max(workers[2].most, workers[3].most));
    pool_destroy(pool);
    (void)chunk_cache_trim();
}

static const TestCase cases[] = {
    TEST_CASE(a_lock_is_left_to_who_waits),
    TEST_CASE(the_line_is_served_in_order),
    TEST_CASE(a_ticket_expires),
    TEST_CASE(a_thread_that_was_passed_over_goes_on),
    TEST_CASE(exclusive_locks_starve_no_thread),
    TEST_CASE(spans_starve_no_thread),
    TEST_CASE(locks_of_a_block_starve_no_thread),
    TEST_CASE(many_spans_starve_no_thread),
    TEST_CASE(a_lost_race_for_a_free_shape_lock_counts_as_a_wait),
    TEST_CASE(a_cancelled_thread_ends_its_call),
    TEST_CASE(small_calls_get_done_beside_long_ones),
};
TEST_MAIN(cases)
