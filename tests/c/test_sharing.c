/* SPDX-License-Identifier: MIT */
/* test_sharing.c - views, pins, adopted memory, copies and integers from many threads */
#include "workers.h"

enum { AWAY = 20 * BLOCK /* whole blocks from the span: a copy there shares */ };

static void check_nothing_shared(MemoryPool *pool)
{
    PoolStats stats = {.struct_size = sizeof stats};
    pool_stats(pool, &stats);
    CHECK_EQ_SIZE(stats.family_pools, 1);
    CHECK_EQ_SIZE(stats.family_views, 0);
    CHECK_EQ_SIZE(stats.pinned_blocks, 0);
    CHECK_EQ_SIZE(stats.adopted_blocks, 0);
    CHECK_EQ_SIZE(stats.family_bytes, stats.held_bytes);
    CHECK_EQ_SIZE(stats.shared_blocks, 0);
}

/* -------------------------------------------------------------------- workers */

static void restore_often(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < w->times / 4 + 1; i++) {
        int forth = test_below(&w->random, 3) != 0;
        CHECK_RETURNS(
            pool_restore(forth ? w->pool : w->other, forth ? w->other : w->pool),
            POOL_OK);
    }
}

/* A view shows one value as long as it is held. */
static void view_often(void *argument)
{
    Worker *w = argument;
    PoolView views[4];
    unsigned char first[4] = {0};
    memset(views, 0, sizeof views);
    for (unsigned i = 0; i < w->times; i++) {
        PoolView *view = &views[i % 4];
        if (view->family != NULL)
            CHECK_BYTES(view->data, first[i % 4], view->size);
        pool_view_release(view);
        view->struct_size = sizeof *view;
        size_t at = START + test_below(&w->random, SPAN);
        CHECK_RETURNS(pool_view(w->pool, at, START + SPAN - at, view), POOL_OK);
        first[i % 4] = *(unsigned char *)view->data;
        CHECK_BYTES(view->data, first[i % 4], view->size);
    }
    for (unsigned i = 0; i < 4; i++)
        pool_view_release(&views[i]);
}

/* Pins come and go; their bytes are left to the others. */
static void pin_often(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < w->times; i++) {
        PoolView pin = {.struct_size = sizeof pin}, again = pin;
        size_t at = START + test_below(&w->random, SPAN);
        CHECK_RETURNS(pool_pin(w->pool, at, 1, &pin), POOL_OK);
        CHECK_RETURNS(pool_pin(w->pool, at, 1, &again), POOL_OK);
        pool_view_release(&pin);
        if (i % 3 == 0)
            check_span(w->pool, START);
        pool_view_release(&again);
    }
}

/* From the span of one pool to another place in the other, and the other way round. */
static void copy_often(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < w->times; i++) {
        int forth = test_below(&w->random, 2) != 0;
        MemoryPool *to = forth ? w->pool : w->other, *from = forth ? w->other : w->pool;
        size_t at = START + AWAY + test_below(&w->random, 2);
        CHECK_RETURNS(pool_copy(to, START, from, START, SPAN), POOL_OK);
        CHECK_RETURNS(pool_copy(to, at, to, START, SPAN), POOL_OK);
        CHECK_RETURNS(pool_copy(from, START, to, START, SPAN), POOL_OK);
    }
}

/* Never below the end of the span. */
static void resize_often(void *argument)
{
    static const size_t sizes[] = {START + SPAN, TOTAL, 3 * TOTAL, SIZE_MAX, 9 * BLOCK};
    Worker *w = argument;
    for (unsigned i = 0; i < w->times; i++) {
        size_t size = sizes[test_below(&w->random, TEST_COUNT(sizes))];
        CHECK_RETURNS(pool_resize(w->pool, size), POOL_OK);
    }
}

/* ---------------------------------------------------------------------- tests */

TEST(views_are_frozen)
{
    void (*const runs[THREADS])(void *) = {change_often, view_often, view_often,
                                           clone_often};
    MemoryPool *pool = pool_create(TOTAL, BLOCK);
    run_workers(runs, pool, NULL, 10000);
    check_nothing_shared(pool);
    pool_destroy(pool);
}

TEST(pins_come_and_go)
{
    static void (*const others[][2])(void *) = {{clone_often, change_often},
                                                {restore_often, change_often},
                                                {view_often, clone_often},
                                                {copy_often, read_often},
                                                {resize_often, change_often}};
    for (size_t i = 0; i < TEST_COUNT(others); i++) {
        void (*const runs[THREADS])(void *) = {pin_often, pin_often, others[i][0],
                                               others[i][1]};
        MemoryPool *pool = pool_create(TOTAL, BLOCK), *other = pool_clone(pool);
        run_workers(runs, pool, other, 4000);
        check_span(pool, START);
        pool_destroy(other);
        CHECK_RETURNS(pool_resize(pool, TOTAL), POOL_OK);
        CHECK_RETURNS(pool_discard(pool, START + SPAN, TOTAL - START - SPAN), POOL_OK);
        check_nothing_shared(pool);
        pool_destroy(pool);
    }
}

/* Pools end while their pins and views live on in other threads. */
static void hold_over_the_end(void *argument)
{
    Worker *w = argument;
    PoolView pin = {.struct_size = sizeof pin}, view = pin;
    CHECK_RETURNS(pool_pin(w->pool, START, 4, &pin), POOL_OK);
    CHECK_RETURNS(pool_view(w->pool, START + BLOCK, BLOCK, &view), POOL_OK);
    pool_destroy(w->pool);
    CHECK_BYTES(pin.data, 7, 4);
    CHECK_BYTES(view.data, 7, view.size);
    pool_view_release(w->times % 2 != 0 ? &pin : &view);
    pool_view_release(&view);
    pool_view_release(&pin);
}

TEST(pins_outlive_pools)
{
    void (*const runs[THREADS])(void *) = {hold_over_the_end, hold_over_the_end,
                                           hold_over_the_end, hold_over_the_end};
    for (unsigned round = 0; round < test_times(300); round++) {
        MemoryPool *pool = pool_create(TOTAL, BLOCK);
        CHECK_RETURNS(pool_fill(pool, START, 7, SPAN), POOL_OK);
        for (int i = 1; i < THREADS; i++)
            CHECK(pool_retain(pool) == pool);
        run_workers(runs, pool, NULL, 1);
    }
}

/* In both directions at once, between relatives and between unrelated pools. */
TEST(copies_do_not_wait_for_each_other)
{
    void (*const runs[THREADS])(void *) = {copy_often, copy_often, change_often,
                                           read_often};
    for (int related = 0; related < 2; related++) {
        MemoryPool *pool = pool_create(TOTAL, BLOCK);
        MemoryPool *other = related ? pool_clone(pool) : pool_create(TOTAL, BLOCK / 4);
        run_workers(runs, pool, other, 5000);
        check_span(pool, START);
        check_span(other, START);
        pool_destroy(pool);
        pool_destroy(other);
    }
}

TEST(reading_while_it_is_resized)
{
    void (*const runs[THREADS])(void *) = {resize_often, read_often, change_often,
                                           view_often};
    MemoryPool *pool = pool_create(TOTAL, BLOCK);
    run_workers(runs, pool, NULL, 10000);
    CHECK_RETURNS(pool_resize(pool, TOTAL), POOL_OK);
    check_nothing_shared(pool);
    pool_destroy(pool);
}

/* -------------------------------------------------------------- adopted memory */

typedef struct Loan {
    unsigned char data[SPAN];
    size_t released; /* set by the thread that releases it, read when all have ended */
} Loan;

static void take_back(void *data, size_t size, void *context)
{
    Loan *loan = context;
    CHECK_EQ_SIZE(size, SPAN);
    loan->released++;
    memset(data, 0xdd, size); /* no view and no read may show this */
}

static void adopt_often(void *argument)
{
    Worker *w = argument;
    unsigned count = w->times / 10 + 1;
    Loan *loans = test_alloc(count * sizeof *loans);
    for (unsigned i = 0; i < count; i++) {
        memset(loans[i].data, (int)test_below(&w->random, 200) + 1, SPAN);
        loans[i].released = 0;
        CHECK_RETURNS(
            pool_adopt(w->pool, START, loans[i].data, SPAN, take_back, &loans[i]),
            POOL_OK);
    }
    /* The last loans may still be in use, also by views; after the family of a pool
     * ended, all its loans are released. */
    w->other = (MemoryPool *)(void *)loans;
    w->times = count;
}

TEST(adopted_memory_is_released_once)
{
    static void (*const others[])(void *) = {change_often, clone_often, view_often,
                                             read_often, pin_often};
    for (size_t i = 0; i < TEST_COUNT(others); i++) {
        void (*const runs[THREADS])(void *) = {adopt_often, adopt_often, others[i],
                                               others[(i + 1) % TEST_COUNT(others)]};
        MemoryPool *pool = pool_create(TOTAL, BLOCK);
        run_workers(runs, pool, NULL, 10000);
        pool_destroy(pool);
        for (int k = 0; k < 2; k++) {
            Loan *loans = (Loan *)(void *)workers[k].other;
            for (unsigned n = 0; n < workers[k].times; n++)
                CHECK_EQ_SIZE(loans[n].released, 1);
            free(loans);
        }
    }
}

/* ------------------------------------------------------------------- integers */

enum { COUNTER = BLOCK - 3, LOCK = 8 * BLOCK - 2 }; /* both over the end of a block */

static void count_often(void *argument)
{
    Worker *w = argument;
    uint64_t old;
    for (unsigned i = 0; i < w->times; i++) {
        CHECK_RETURNS(pool_fetch_add(w->pool, COUNTER, 8, 3, &old), POOL_OK);
        CHECK(old % 3 == 0);
        if (i % 64 == 0)
            pool_destroy(pool_clone(w->pool));
    }
}

TEST(counting)
{
    void (*const runs[THREADS])(void *) = {count_often, count_often, count_often,
                                           count_often};
    MemoryPool *pool = pool_create(TOTAL, BLOCK);
    uint64_t sum = 0;
    run_workers(runs, pool, NULL, 10000);
    CHECK_RETURNS(pool_fetch_add(pool, COUNTER, 8, 0, &sum), POOL_OK);
    CHECK(sum == 3 * (uint64_t)THREADS * test_times(10000));
    pool_destroy(pool);
}

static unsigned guarded; /* by the flag in the pool; ThreadSanitizer sees if not */

static void lock_often(void *argument)
{
    Worker *w = argument;
    uint64_t old;
    for (unsigned i = 0; i < w->times; i++) {
        do
            CHECK_RETURNS(pool_compare_exchange(w->pool, LOCK, 4, 0, 1, &old), POOL_OK);
        while (old != 0);
        guarded++;
        CHECK_RETURNS(pool_compare_exchange(w->pool, LOCK, 4, 1, 0, &old), POOL_OK);
        CHECK(old == 1);
    }
}

TEST(a_lock_in_a_pool)
{
    void (*const runs[THREADS])(void *) = {lock_often, lock_often, lock_often,
                                           lock_often};
    MemoryPool *pool = pool_create(TOTAL, BLOCK);
    guarded = 0;
    run_workers(runs, pool, NULL, 2000);
    CHECK_EQ_SIZE(guarded, THREADS * test_times(2000));
    pool_destroy(pool);
}

/* ----------------------------------------------------------------------- fork */

#if defined(_WIN32)
TEST(a_child_has_views_and_pins)
{
    test_skip("there is no fork on Windows");
}
#elif defined(TEST_TSAN)
TEST(a_child_has_views_and_pins)
{
    test_skip("ThreadSanitizer does not follow a fork of several threads");
}
#else
static void child_main(MemoryPool *pool, MemoryPool *other, PoolView *view, PoolView *pin)
{
    alarm(120); /* if it hangs */
    CHECK_BYTES(view->data, 9, view->size);
    memset(pin->data, 5, pin->size);
    unsigned char back[BLOCK];
    CHECK_EQ_SIZE(pool_read(pool, back, 10 * BLOCK, BLOCK), BLOCK);
    CHECK_BYTES(back, 5, BLOCK);
    MemoryPool *clone = pool_clone(pool);
    CHECK(clone != NULL);
    CHECK_RETURNS(pool_copy(other, START, pool, START, SPAN), POOL_OK);
    check_span(other, START);
    CHECK_RETURNS(pool_resize(other, START + SPAN), POOL_OK);
    pool_destroy(pool);
    pool_view_release(view);
    CHECK_BYTES(pin->data, 5, pin->size);
    pool_view_release(pin);
    check_span(clone, START);
    pool_destroy(clone);
    pool_destroy(other);
    _exit(0);
}

TEST(a_child_has_views_and_pins)
{
    static void (*const runs[THREADS])(void *) = {copy_often, pin_often, view_often,
                                                  clone_often};
    MemoryPool *pool = pool_create(TOTAL, BLOCK), *other = pool_clone(pool);
    PoolView view = {.struct_size = sizeof view}, pin = view;
    CHECK_RETURNS(pool_fill(pool, 0, 9, BLOCK), POOL_OK);
    CHECK_RETURNS(pool_view(pool, 0, BLOCK, &view), POOL_OK);
    CHECK_RETURNS(pool_pin(pool, 10 * BLOCK, BLOCK, &pin), POOL_OK);
    CHECK_RETURNS(pool_discard(pool, 0, BLOCK), POOL_OK);
    for (unsigned round = 0; round < test_times(30); round++) {
        start_workers(runs, pool, other, 500);
        int status = -1;
        fflush(NULL); /* or the child would print it again */
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            child_main(pool, other, &view, &pin);
        CHECK(waitpid(child, &status, 0) == child);
        CHECK_EQ_INT(status, 0);
        join_workers();
    }
    CHECK_BYTES(view.data, 9, BLOCK);
    CHECK_BYTES(pin.data, 0, BLOCK);
    pool_view_release(&view);
    pool_view_release(&pin);
    pool_destroy(pool);
    pool_destroy(other);
}
#endif

static const TestCase cases[] = {
    TEST_CASE(views_are_frozen),
    TEST_CASE(pins_come_and_go),
    TEST_CASE(pins_outlive_pools),
    TEST_CASE(copies_do_not_wait_for_each_other),
    TEST_CASE(reading_while_it_is_resized),
    TEST_CASE(adopted_memory_is_released_once),
    TEST_CASE(counting),
    TEST_CASE(a_lock_in_a_pool),
    TEST_CASE(a_child_has_views_and_pins),
};
TEST_MAIN(cases)
