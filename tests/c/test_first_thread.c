/* SPDX-License-Identifier: MIT */
/*
 * test_first_thread.c - a process of one thread, and the moment in which it has two
 *
 * While the process has one thread, and the C library says so, locks are acquired by
 * plain stores (lock.c). Each test is in a process of its own, a child of fork, and starts
 * the first thread at another moment. Compare-and-swaps are counted, and a thread that
 * waits for a lock notes it.
 */
#if !defined(_DEFAULT_SOURCE)
#  define _DEFAULT_SOURCE 1
#endif
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/atomics.h"

static AtomicSize swaps, waited;

static int counted_swap(AtomicSize *at, size_t expected, size_t value)
{
    size_add_relaxed(&swaps, 1);
    return size_swap_seq_cst(at, expected, value);
}

static int counted_yield(void)
{
    size_add_relaxed(&waited, 1);
    return sched_yield();
}

#define size_swap_seq_cst(at, expected, value) counted_swap(at, expected, value)
#define sched_yield() counted_yield()
#include "internal.h"
#include "pools.h"
#undef sched_yield
#include "test_threads.h"

enum { BLOCK = 64, TOTAL = 100 * BLOCK, ADDS = 2000 };

static MemoryPool *pool; /* of all threads of a test */

/* ------------------------------------------------------------- each in its process */

static void in_child(void (*run)(void))
{
    int status = -1;
    fflush(NULL); /* or the child would print it again */
    pid_t child = fork();
    if (child == 0) {
        alarm(600);
        pool = make(TOTAL, BLOCK, 0);
        CHECK_RETURNS(pool_fill(pool, 0, 1, TOTAL), POOL_OK);
        run();
        pool_destroy(pool);
        check_nothing_live();
        exit(0);
    }
    CHECK(child > 0);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ_INT(status, 0);
}

/* ---------------------------------------------------------- without another thread */

static unsigned given_back;

static void give_back(void *data, size_t size, void *context)
{
    (void)data, (void)size, (void)context;
    given_back++;
}

/* One call of each kind, except pins and ranges of 64 blocks and more, which exchange
 * other words than those of locks. */
static void use_everything(void)
{
    static unsigned char bytes[4 * BLOCK], adopted[2 * BLOCK];
    size_t offsets[] = {3, BLOCK, 70 * BLOCK + 9};
    uint64_t old;
    PoolView view = {.struct_size = sizeof view};
    MemoryPool *clone = pool_clone(pool);
    CHECK(clone != NULL);
    for (size_t size = 1; size <= sizeof bytes; size *= 2) {
        CHECK_EQ_SIZE(pool_write(pool, BLOCK + 5, bytes, size), size);
        CHECK_EQ_SIZE(pool_read(pool, bytes, BLOCK + 5, size), size);
    }
    CHECK_EQ_SIZE(pool_take(pool, bytes, 5 * BLOCK, BLOCK), BLOCK);
    CHECK_RETURNS(pool_fill(pool, 5 * BLOCK, 3, 2 * BLOCK), POOL_OK);
    CHECK_RETURNS(pool_scatter(pool, offsets, bytes, 3, 8), POOL_OK);
    CHECK_RETURNS(pool_gather(pool, bytes, offsets, 3, 8), POOL_OK);
    CHECK_RETURNS(pool_fetch_add(pool, 8, 8, 1, &old), POOL_OK);
    CHECK_RETURNS(pool_view(pool, 7, 2 * BLOCK, &view), POOL_OK);
    CHECK_RETURNS(pool_copy(pool, 0, clone, 10 * BLOCK, 3 * BLOCK), POOL_OK);
    given_back = 0;
    CHECK_RETURNS(pool_adopt(pool, 20 * BLOCK, adopted, sizeof adopted, give_back, NULL),
                  POOL_OK);
    CHECK_RETURNS(pool_restore(pool, clone), POOL_OK);
    CHECK_EQ_INT((int)given_back, 1);
    pool_view_release(&view);
    pool_destroy(clone);
    (void)pool_trim();
}

static AtomicSize stopped;

static void idle(void *unused)
{
    (void)unused;
    while (size_load_acquire(&stopped) == 0)
        sched_yield();
}

static void count_swaps(void)
{
    TestThread thread;
    size_store_relaxed(&swaps, 0);
    use_everything();
    CHECK_EQ_SIZE(size_load_relaxed(&swaps), 0);
    size_store_relaxed(&stopped, 0);
    test_thread_start(&thread, idle, NULL);
    CHECK(!platform_single_threaded());
    use_everything();
    CHECK(size_load_relaxed(&swaps) > 20);
    size_store_release(&stopped, 1);
    test_thread_join(&thread);
    use_everything();
}

TEST(one_thread_swaps_nothing)
{
#if defined(TEST_TSAN)
    (void)count_swaps;
    test_skip("ThreadSanitizer has a thread of its own");
#else
    if (platform_single_threaded())
        in_child(count_swaps);
    else
        test_skip("the C library does not say that there is one thread");
#endif
}

/* ------------------------------------------------------------------ the first thread */

/* Both threads of a test do this; in the end the sum is that of all. */
static void add_often(void *unused)
{
    uint64_t old;
    unsigned char bytes[3 * BLOCK];
    (void)unused;
    memset(bytes, 1, sizeof bytes);
    for (unsigned i = 0; i < test_times(ADDS); i++) {
        CHECK_RETURNS(pool_fetch_add(pool, 8, 8, 1, &old), POOL_OK);
        CHECK_EQ_SIZE(pool_write(pool, 3 * BLOCK + 9, bytes, sizeof bytes), sizeof bytes);
        if (i % 64 == 0)
            CHECK_RETURNS(pool_discard(pool, 60 * BLOCK, 2 * BLOCK), POOL_OK);
        else
            CHECK_EQ_SIZE(pool_write(pool, 60 * BLOCK, bytes, 8), 8);
    }
}

static void clear_sum(void)
{
    CHECK_RETURNS(pool_fill(pool, 8, 0, 8), POOL_OK);
}

static void check_sum(unsigned threads)
{
    uint64_t sum;
    CHECK_RETURNS(pool_fetch_add(pool, 8, 8, 0, &sum), POOL_OK);
    CHECK(sum == threads * (uint64_t)test_times(ADDS));
}

static void two_threads(void)
{
    TestThread thread;
    test_thread_start(&thread, add_often, NULL);
    add_often(NULL);
    test_thread_join(&thread);
}

/* And again after the first was joined, when there may be one thread for certain. */
static void after_some_calls(void)
{
    use_everything();
    clear_sum();
    two_threads();
    check_sum(2);
    use_everything();
    two_threads();
    check_sum(4);
}

static void with_a_view_and_a_pin(void)
{
    PoolView view = {.struct_size = sizeof view}, pin = {.struct_size = sizeof pin};
    MemoryPool *clone;
    clear_sum();
    CHECK_RETURNS(pool_view(pool, 60 * BLOCK, 2 * BLOCK, &view), POOL_OK);
    CHECK_RETURNS(pool_pin(pool, 80 * BLOCK, 2 * BLOCK, &pin), POOL_OK);
    memset(pin.data, 7, BLOCK);
    two_threads();
    check_sum(2);
    CHECK_BYTES(view.data, 1, 2 * BLOCK);
    clone = pool_clone(pool);
    CHECK(clone != NULL);
    check_filled(clone, 80 * BLOCK, 7, BLOCK);
    check_filled(clone, 81 * BLOCK, 1, BLOCK);
    pool_destroy(clone);
    pool_view_release(&view);
    pool_view_release(&pin);
}

static TestThread started;

static void start_in_callback(void *data, size_t size, void *context)
{
    give_back(data, size, context);
    test_thread_start(&started, add_often, NULL);
    add_often(NULL);
}

static void in_a_callback(void)
{
    static unsigned char adopted[2 * BLOCK];
    clear_sum();
    CHECK_RETURNS(
        pool_adopt(pool, 20 * BLOCK, adopted, sizeof adopted, start_in_callback, NULL),
        POOL_OK);
    CHECK_RETURNS(pool_discard(pool, 20 * BLOCK, 2 * BLOCK), POOL_OK);
    CHECK_EQ_INT((int)given_back, 1);
    add_often(NULL);
    test_thread_join(&started);
    check_sum(3);
}

/* --------------------------------------------------- while this thread has locked */

static AtomicSize written;

static void write_block(void *unused)
{
    unsigned char bytes[BLOCK];
    (void)unused;
    memset(bytes, 9, sizeof bytes);
    CHECK_EQ_SIZE(pool_write(pool, BLOCK, bytes, BLOCK), BLOCK);
    size_store_release(&written, 1);
}

static void clone_pool(void *unused)
{
    (void)unused;
    MemoryPool *clone = pool_clone(pool);
    CHECK(clone != NULL);
    check_filled(clone, 0, 1, TOTAL);
    pool_destroy(clone);
    size_store_release(&written, 1);
}

/* The lock was acquired without another thread; the first one waits for it. */
static void await_holder(Lock *lock, void (*call)(void *))
{
    TestThread thread;
    size_store_relaxed(&written, 0);
    size_store_relaxed(&waited, 0);
    test_thread_start(&thread, call, NULL);
    while (size_load_acquire(&waited) == 0 && size_load_acquire(&written) == 0)
        sched_yield();
    CHECK_EQ_SIZE(size_load_acquire(&written), 0);
    CHECK_BYTES(tree_block(&pool->tree, 1)->data, 1, BLOCK);
    lock_release(lock);
    test_thread_join(&thread);
    CHECK_EQ_SIZE(size_load_relaxed(&written), 1);
}

static void with_a_stripe(void)
{
    await_holder(pool_lock_block(&pool->locks, 1), write_block);
    check_filled(pool, BLOCK, 9, BLOCK);
}

static void clone_beside_a_stripe(void)
{
    await_holder(pool_lock_block(&pool->locks, 1), clone_pool);
}

static void with_the_whole_pool(void)
{
    (void)pool_lock_exclusive(&pool->locks);
    await_holder(&pool->locks.shape.lock, write_block);
    check_filled(pool, BLOCK, 9, BLOCK);
}

static void with_the_registry(void)
{
    lock_acquire(&registry.lock);
    await_holder(&registry.lock, clone_pool);
}

TEST(the_first_thread_starts_between_calls)
{
    in_child(after_some_calls);
}

TEST(the_first_thread_starts_beside_a_view_and_a_pin)
{
    in_child(with_a_view_and_a_pin);
}

TEST(the_first_thread_starts_in_a_callback)
{
    in_child(in_a_callback);
}

TEST(the_first_thread_waits_for_what_is_locked)
{
    in_child(with_a_stripe);
    in_child(clone_beside_a_stripe);
    in_child(with_the_whole_pool);
    in_child(with_the_registry);
}

static const TestCase cases[] = {
    TEST_CASE(one_thread_swaps_nothing),
    TEST_CASE(the_first_thread_starts_between_calls),
    TEST_CASE(the_first_thread_starts_beside_a_view_and_a_pin),
    TEST_CASE(the_first_thread_starts_in_a_callback),
    TEST_CASE(the_first_thread_waits_for_what_is_locked),
};
TEST_MAIN(cases)
