/* SPDX-License-Identifier: MIT */
/*
 * test_fail_allocation.c - pool_fail_allocation, as those who test their programs use it
 *
 * test_faults.c has every allocation of every call fail, from inside of the library; this
 * is the same through the front door, and among threads.
 */
#include "pools.h"
#include "test_threads.h"

TEST(counts_down)
{
    CHECK_EQ_SIZE(pool_fail_allocation(1000), 0);
    size_t left = pool_fail_allocation(1000); /* the call itself does not count */
    CHECK_EQ_SIZE(left, 1000);
    pool_destroy(make(1000, 16, 0));
    left = pool_fail_allocation(1000);
    CHECK_LE_SIZE(left, 998); /* a family and its pool */
    CHECK_EQ_SIZE(pool_fail_allocation(0), 1000);
    pool_destroy(make(1000, 16, 0));
    CHECK_EQ_SIZE(pool_fail_allocation(0), 0); /* nothing was counted */

    CHECK_EQ_SIZE(pool_fail_allocation(1), 0);
    CHECK(pool_create(1000, 16) == NULL);
    CHECK_STATUS(POOL_NO_MEMORY);
    CHECK_EQ_SIZE(pool_fail_allocation(0), 0); /* it was reached */
}

/* The one that fails is the only one. */
TEST(the_next_ones_succeed)
{
    (void)pool_trim();
    (void)pool_fail_allocation(1);
    CHECK(pool_create(1000, 16) == NULL);
    MemoryPool *pool = make(1000, 16, 0);
    CHECK_EQ_SIZE(pool_write(pool, 0, "abc", 3), 3);
    (void)pool_fail_allocation(1);
    CHECK_RETURNS(pool_adopt(pool, 0, NULL, 0, NULL, NULL), POOL_NO_MEMORY);
    CHECK_RETURNS(pool_adopt(pool, 0, NULL, 0, NULL, NULL), POOL_OK);
    check_filled(pool, 3, 0, 997);
    pool_destroy(pool);
}

TEST(leaves_the_status_alone)
{
    MemoryPool *pool = make(1000, 16, 0);
    CHECK_RETURNS(pool_discard(pool, 999, 2), POOL_RANGE);
    (void)pool_fail_allocation(5);
    CHECK_STATUS(POOL_RANGE);
    (void)pool_fail_allocation(0);
    CHECK_STATUS(POOL_RANGE);
    pool_destroy(pool);
}

/* ------------------------------------------------------------------ among threads */

enum { THREADS = 4, PART = 3000, BLOCK = 256 };

typedef struct Worker {
    MemoryPool *pool;
    size_t base; /* of the part that only this thread writes to */
    unsigned times, failed, made;
    TestRandom random;
    unsigned char bytes[PART], other[PART];
    TestThread thread;
} Worker;

/* Exactly once: AddressSanitizer sees what is freed twice or never. */
static void give_back(void *data, size_t size, void *context)
{
    (void)size, (void)context;
    free(data);
}

static PoolStatus worker_adopt(Worker *w, size_t at, size_t size)
{
    void *memory = test_alloc(size + 1);
    memcpy(memory, w->other, size);
    PoolStatus status = pool_adopt(w->pool, w->base + at, memory, size, give_back, NULL);
    if (status != POOL_OK)
        free(memory);
    return status;
}

/* A clone has what this thread wrote, and can be written to by itself. */
static PoolStatus worker_clone(Worker *w, size_t at, size_t size)
{
    unsigned char back[PART];
    MemoryPool *clone = pool_clone(w->pool);
    PoolStatus status = pool_last_status();
    CHECK((clone != NULL) == (status == POOL_OK));
    if (clone != NULL) {
        (void)pool_fill(clone, w->base + at, 7, size);
        CHECK(pool_last_status() == POOL_OK || pool_last_status() == POOL_NO_MEMORY);
        CHECK_EQ_SIZE(pool_read(clone, back, w->base, at), at);
        CHECK_MEM(back, w->bytes, at);
        pool_destroy(clone);
    }
    return status;
}

static PoolStatus worker_pin(Worker *w, size_t at, size_t size)
{
    PoolView pin = {.struct_size = sizeof pin};
    PoolStatus status = pool_pin(w->pool, w->base + at, size + 1, &pin);
    if (status == POOL_OK) {
        CHECK_MEM(pin.data, w->bytes + at, pin.size);
        pool_view_release(&pin);
    }
    return status;
}

/* One call on [at, at + size) of the part, with the bytes in other; keeps the array in
 * step if it succeeded. */
static PoolStatus worker_call(Worker *w, size_t at, size_t size)
{
    size_t offset = w->base + at, done;
    unsigned char back[PART];
    PoolStatus status;
    switch (test_below(&w->random, 6)) {
    case 0: return worker_clone(w, at, size);
    case 1: return worker_pin(w, at, size);
    case 2:
        status = worker_adopt(w, at, size);
        if (status == POOL_OK)
            memcpy(w->bytes + at, w->other, size);
        return status;
    case 3:
        done = pool_take(w->pool, back, offset, size);
        status = pool_last_status();
        CHECK_EQ_SIZE(done, status == POOL_OK ? size : 0);
        CHECK_MEM(back, w->bytes + at, done);
        memset(w->bytes + at, 0, done);
        return status;
    default:
        done = pool_write(w->pool, offset, w->other, size);
        status = pool_last_status();
        CHECK_EQ_SIZE(done, status == POOL_OK ? size : 0);
        memcpy(w->bytes + at, w->other, done);
        return status;
    }
}

static void work_with_faults(void *argument)
{
    Worker *w = argument;
    unsigned char back[PART];
    for (unsigned i = 0; i < w->times; i++) {
        size_t at = test_below(&w->random, PART),
               size = test_below(&w->random, PART - at);
        test_random_bytes(&w->random, w->other, size);
        if (test_below(&w->random, 2) == 0)
            (void)pool_fail_allocation(1 + test_below(&w->random, 20));
        PoolStatus status = worker_call(w, at, size);
        CHECK(status == POOL_OK || status == POOL_NO_MEMORY);
        w->failed += status != POOL_OK;
        w->made += status == POOL_OK;
        CHECK_EQ_SIZE(pool_read(w->pool, back, w->base, PART), PART);
        CHECK_MEM(back, w->bytes, PART);
    }
}

/* Allocations fail now in one thread's call, now in another's; every call does all it
 * should or nothing. */
TEST(calls_of_threads_do_all_or_nothing)
{
    static Worker workers[THREADS];
    unsigned failed = 0, succeeded = 0;
    MemoryPool *pool = make((size_t)THREADS * PART, BLOCK, 0);
    for (size_t i = 0; i < THREADS; i++) {
        Worker *w = &workers[i];
        memset(w, 0, sizeof *w);
        w->pool = pool;
        w->base = i * PART;
        w->times = test_times(3000);
        w->random.state = test_seed * 1000003 + i;
        test_thread_start(&w->thread, work_with_faults, w);
    }
    for (size_t i = 0; i < THREADS; i++)
        test_thread_join(&workers[i].thread);
    (void)pool_fail_allocation(0);
    for (size_t i = 0; i < THREADS; i++) {
        failed += workers[i].failed;
        succeeded += workers[i].made;
    }
    CHECK_LE_SIZE(1, failed);
    CHECK_LE_SIZE(1, succeeded);
    CHECK_RETURNS(pool_discard(pool, 0, (size_t)THREADS * PART), POOL_OK);
    PoolStats stats = stats_of(pool);
    CHECK_EQ_SIZE(stats.held_blocks, 0);
    CHECK_EQ_SIZE(stats.pinned_blocks, 0);
    CHECK_EQ_SIZE(stats.family_bytes, 0);
    CHECK_EQ_SIZE(stats.family_pools, 1);
    CHECK_EQ_SIZE(stats.family_views, 0);
    CHECK_EQ_SIZE(stats.adopted_blocks, 0);
    pool_destroy(pool);
}

static const TestCase cases[] = {
    TEST_CASE(counts_down),
    TEST_CASE(the_next_ones_succeed),
    TEST_CASE(leaves_the_status_alone),
    TEST_CASE(calls_of_threads_do_all_or_nothing),
};
TEST_MAIN(cases)
