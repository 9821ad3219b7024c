/* SPDX-License-Identifier: MIT */
/*
 * test_meanwhile.c - calls of another thread in the middle of a call, made to happen
 *
 * A race between two threads happens by chance, and seldom. Here one thread plays both.
 * The library waits by sched_yield and copies by memcpy and memmove; the test replaces
 * these by functions that make the other thread's call exactly there: while a call waits
 * for a lock that the test holds for the other thread, or while an optimistic reader is
 * between two bytes. One count of references is replaced in the same way: the other call
 * comes right after it was read.
 *
 * All is done twice: with locks that are acquired by compare-and-swap, and as in a process
 * of one thread, by plain stores.
 */
#if !defined(_WIN32) && !defined(_DEFAULT_SOURCE)
#  define _DEFAULT_SOURCE 1
#endif
#include <string.h>
#if defined(_WIN32)
#  define WIN32_LEAN_AND_MEAN
#  include <windows.h>
#else
#  include <sched.h>
#endif

#include "src/base/atomics.h"

/* What happens at the next wait, at the next copy, and after the next look at a count;
 * each happens once. */
static void (*at_wait)(void), (*at_copy)(void), (*at_look)(void);
static AtomicSize *looked_at;

static void once(void (**action)(void))
{
    void (*now)(void) = *action;
    *action = NULL;
    if (now != NULL)
        now();
}

static int meanwhile_yield(void)
{
    once(&at_wait);
    return 0;
}

static void *meanwhile_copy(void *to, const void *from, size_t size)
{
    memmove(to, from, size);
    once(&at_copy);
    return to;
}

static size_t meanwhile_load(AtomicSize *at)
{
    size_t value = size_load_acquire(at);
    if (at == looked_at)
        once(&at_look);
    return value;
}

#define size_load_acquire(at) meanwhile_load(at)
#undef memcpy
#undef memmove
#define memcpy(to, from, size) meanwhile_copy(to, from, size)
#define memmove(to, from, size) meanwhile_copy(to, from, size)
#if defined(_WIN32)
#  define SwitchToThread() meanwhile_yield()
#else
#  define sched_yield() meanwhile_yield()
#endif

static int alone; /* as if there were no other thread */
#define POOL_SINGLE_THREADED() (alone != 0)

#include "internal.h"
#include "pools.h"

#undef memcpy
#undef memmove

enum { BLOCK = 64, TOTAL = 100 * BLOCK, LESS = 50 * BLOCK + 20 };

static MemoryPool *shared_with_others; /* the pool of which the test is about */
static MemoryPool *made;               /* by the other thread, to be destroyed */

static MemoryPool *filled_pool(void)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 1, TOTAL), POOL_OK);
    shared_with_others = pool;
    return pool;
}

static void end_pools(MemoryPool *pool)
{
    CHECK(at_wait == NULL); /* it did happen */
    CHECK(at_copy == NULL);
    CHECK(at_look == NULL);
    pool_destroy(made);
    made = NULL;
    pool_destroy(pool);
    check_nothing_live();
}

/* ------------------------------------------------ a pool that was made smaller */

static void unlock_and_cut(void)
{
    lock_release(&shared_with_others->locks.shape.lock);
    CHECK_RETURNS(pool_resize(shared_with_others, LESS), POOL_OK);
}

/* The next call finds the pool locked exclusively, and smaller when it gets the lock. */
static void cut_before_it_gets_in(MemoryPool *pool)
{
    (void)pool_lock_exclusive(&pool->locks);
    at_wait = unlock_and_cut;
}

/* Below the cut there is what was there before, beyond it nothing. */
static void check_cut(MemoryPool *pool, int below)
{
    CHECK_EQ_SIZE(stats_of(pool).total_size, LESS);
    CHECK_RETURNS(pool_resize(pool, TOTAL), POOL_OK);
    check_filled(pool, 0, 1, LESS - 8);
    check_filled(pool, LESS - 8, below, 8);
    check_filled(pool, LESS, 0, TOTAL - LESS);
}

/* Calls that clip do so by the size that the pool has when they get in. */
TEST(clipping_calls_see_the_new_end)
{
    static const size_t sizes[] = {16, 40, 3 * BLOCK};
    unsigned char bytes[3 * BLOCK];
    for (size_t i = 0; i < 3 * TEST_COUNT(sizes); i++) {
        size_t size = sizes[i / 3], moved = 0;
        MemoryPool *pool = filled_pool();
        memset(bytes, 2, sizeof bytes);
        cut_before_it_gets_in(pool);
        switch (i % 3) {
        case 0: moved = pool_read(pool, bytes, LESS - 8, size); break;
        case 1: moved = pool_write(pool, LESS - 8, bytes, size); break;
        default: moved = pool_take(pool, bytes, LESS - 8, size); break;
        }
        CHECK_STATUS(POOL_OK);
        CHECK_EQ_SIZE(moved, 8);
        CHECK_BYTES(bytes, i % 3 == 1 ? 2 : 1, 8);
        CHECK_BYTES(bytes + 8, 2, sizeof bytes - 8);
        check_cut(pool, i % 3 == 0 ? 1 : (i % 3 == 1 ? 2 : 0));
        end_pools(pool);
    }
}

static unsigned given_back;

static void give_back(void *data, size_t size, void *context)
{
    (void)data, (void)size, (void)context;
    given_back++;
}

/* Calls on ranges that were in the pool when they were made. */
static PoolStatus late_call(int kind, MemoryPool *pool, PoolView *view)
{
    static unsigned char data[4 * BLOCK];
    size_t offsets[] = {0, LESS - 7}, sizes[] = {1, 8}, one[] = {LESS};
    uint64_t old = 77;
    PoolStatus status = POOL_OK;
    switch (kind) {
    case 0: (void)pool_read(pool, data, LESS, 5); return pool_last_status();
    case 1: (void)pool_write(pool, LESS + 1, data, 5 * BLOCK); return pool_last_status();
    case 2: (void)pool_take(pool, data, LESS, 5); return pool_last_status();
    case 3: return pool_discard(pool, LESS - 7, 8);
    case 4: return pool_discard(pool, 0, LESS + 1);
    case 5: return pool_fill(pool, LESS - 7, 5, 8);
    case 6: return pool_fill(pool, 0, 5, LESS + 1);
    case 7: return pool_view(pool, LESS - 1, 2, view);
    case 8: return pool_pin(pool, LESS - 1, 2, view);
    case 9: return pool_adopt(pool, LESS - BLOCK, data, 4 * BLOCK, give_back, NULL);
    case 10: return pool_scatter(pool, offsets, data, 2, 8);
    case 11: return pool_gather(pool, data, one, 1, 8);
    case 12: return pool_copy(pool, 0, pool, LESS - 7, 8);
    case 13: status = pool_fetch_add(pool, LESS - 2, 4, 1, &old); break;
    case 14: status = pool_compare_exchange(pool, LESS - 2, 4, 1, 1, &old); break;
    case 15: return pool_write_many(pool, offsets, sizes, data, 2);
    case 16: return pool_read_many(pool, data, one, sizes, 1);
    default: return POOL_INVALID;
    }
    CHECK(old == 77);
    return status;
}

TEST(late_calls_fail_and_change_nothing)
{
    PoolView view = {.struct_size = sizeof view};
    for (int kind = 0; kind < 17; kind++) {
        MemoryPool *pool = filled_pool();
        cut_before_it_gets_in(pool);
        CHECK_RETURNS(late_call(kind, pool, &view), POOL_RANGE);
        CHECK(view.data == NULL);
        CHECK_EQ_INT((int)given_back, 0);
        check_cut(pool, 1);
        end_pools(pool);
    }
    CHECK_EQ_INT((int)late_call(17, NULL, &view), POOL_INVALID); /* all were made */
}

/* A gather whose first items are still in the pool and whose last ones are not: looked up
 * when the pool is free, but smaller than when the offsets were checked. */
TEST(gather_stops_at_the_new_end)
{
    size_t offsets[40];
    unsigned char bytes[40];
    MemoryPool *pool = filled_pool();
    for (size_t i = 0; i < 40; i++)
        offsets[i] = i < 35 ? i * BLOCK : TOTAL - 1 - i;
    memset(bytes, 2, sizeof bytes);
    cut_before_it_gets_in(pool);
    CHECK_RETURNS(pool_gather(pool, bytes, offsets, 40, 1), POOL_RANGE);
    CHECK_BYTES(bytes, 1, 35);
    CHECK_BYTES(bytes + 35, 2, 5);
    check_cut(pool, 1);
    end_pools(pool);
}

/* The same of ranges of different sizes. One of no bytes is nowhere past the end. */
TEST(read_many_stops_at_the_new_end)
{
    size_t offsets[40], sizes[40], done = 0;
    unsigned char bytes[40 * 3];
    MemoryPool *pool = filled_pool();
    for (size_t i = 0; i < 40; i++) {
        offsets[i] = i < 35 ? i * BLOCK : TOTAL - (i - 35);
        sizes[i] = i < 35 ? i % 4 : i - 35;
        done += i < 35 ? sizes[i] : 0;
    }
    memset(bytes, 2, sizeof bytes);
    cut_before_it_gets_in(pool);
    CHECK_RETURNS(pool_read_many(pool, bytes, offsets, sizes, 40), POOL_RANGE);
    CHECK_BYTES(bytes, 1, done);
    CHECK_BYTES(bytes + done, 2, sizeof bytes - done);
    check_cut(pool, 1);
    end_pools(pool);
}

static void unlock_and_raise(void)
{
    lock_release(&shared_with_others->locks.shape.lock);
    CHECK_RETURNS(pool_resize(shared_with_others, 50 * TOTAL), POOL_OK);
    CHECK_RETURNS(pool_fill(shared_with_others, 50 * TOTAL - 1, 3, 1), POOL_OK);
}

/* A clone is of the size that the pool has when it gets in, smaller or larger. */
TEST(clone_has_the_new_end)
{
    unsigned char bytes[2 * BLOCK];
    MemoryPool *pool = filled_pool();
    cut_before_it_gets_in(pool);
    made = pool_clone(pool);
    CHECK_STATUS(POOL_OK);
    CHECK_EQ_SIZE(pool_read(made, bytes, LESS - 8, sizeof bytes), 8);
    check_cut(made, 1);
    end_pools(pool);

    pool = filled_pool();
    (void)pool_lock_exclusive(&pool->locks);
    at_wait = unlock_and_raise;
    made = pool_clone(pool);
    CHECK_STATUS(POOL_OK);
    CHECK_EQ_SIZE(stats_of(made).total_size, 50 * TOTAL);
    check_filled(made, 0, 1, TOTAL);
    check_filled(made, TOTAL, 0, 49 * TOTAL - 1);
    check_filled(made, 50 * TOTAL - 1, 3, 1);
    end_pools(pool);
}

/* ---------------------------------------------- a stripe that had to be waited for */

/* The stripe of block 1 is unlocked, and then another thread shares or removes that
 * block: a writer that had found it before must not write to it. */
static void unlock(void)
{
    lock_release(pool_lock_stripe(&shared_with_others->locks, 1));
}

static void unlock_and_clone(void)
{
    unlock();
    made = pool_clone(shared_with_others);
    CHECK(made != NULL);
}

static PoolView seen = {.struct_size = sizeof seen};

static void unlock_and_view(void)
{
    unlock();
    CHECK_RETURNS(pool_view(shared_with_others, BLOCK, BLOCK, &seen), POOL_OK);
}

/* The block is in another pool of the family when the writer comes. */
static void unlock_and_reuse(void)
{
    MemoryPool *pool = shared_with_others;
    unlock();
    CHECK_RETURNS(pool_discard(pool, BLOCK, BLOCK), POOL_OK);
    made = pool_clone(pool);
    CHECK(made != NULL);
    CHECK_RETURNS(pool_fill(made, BLOCK, 1, BLOCK), POOL_OK);
}

static void write_after(void (*action)(void), size_t size)
{
    unsigned char bytes[BLOCK];
    MemoryPool *pool = filled_pool();
    memset(bytes, 9, sizeof bytes);
    (void)pool_lock_block(&pool->locks, 1);
    at_wait = action;
    CHECK_EQ_SIZE(pool_write(pool, BLOCK + 3, bytes, size), size);
    CHECK_STATUS(POOL_OK);
    check_filled(pool, BLOCK + 3, 9, size);
    if (made != NULL)
        check_filled(made, 0, 1, TOTAL);
    if (seen.data != NULL)
        CHECK_BYTES(seen.data, 1, BLOCK);
    pool_view_release(&seen);
    end_pools(pool);
}

TEST(writers_look_again_after_waiting)
{
    static const size_t sizes[] = {1, 8, 16, 40};
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        write_after(unlock, sizes[i]);
        write_after(unlock_and_clone, sizes[i]);
        write_after(unlock_and_view, sizes[i]);
        write_after(unlock_and_reuse, sizes[i]);
    }
}

/* ------------------------------------------------ a relative that goes meanwhile */

static void end_the_clone(void)
{
    pool_destroy(made);
    made = NULL;
}

/* A clone shares the root, and so all nodes, of a pool of two levels; it is destroyed
 * right after the reader saw that the root is shared. The root is then private, but no
 * leaf. */
static MemoryPool *pool_whose_clone_ends(void)
{
    MemoryPool *pool = filled_pool();
    made = pool_clone(pool);
    CHECK(made != NULL);
    CHECK_EQ_SIZE(tree_top(&pool->tree), 1);
    looked_at = &tree_root(&pool->tree)->refs;
    at_look = end_the_clone;
    return pool;
}

#if defined(TEST_READS_LOCK)
TEST(an_inner_node_is_no_leaf)
{
    (void)pool_whose_clone_ends;
    test_skip("in this build nobody walks without a lock");
}
#else
TEST(an_inner_node_is_no_leaf)
{
    static const size_t sizes[] = {1, 8, 16, 40};
    MemoryPool *pool = pool_whose_clone_ends();
    OptimisticRead read;
    Node *leaf = NULL;
    CHECK(optimistic_begin_shape(&read, &pool->locks));
    CHECK(tree_leaf_optimistic(&pool->tree, 40, &read, true, false, &leaf));
    CHECK(leaf == NULL); /* it was shared when it was looked at */
    CHECK(tree_leaf_optimistic(&pool->tree, 40, &read, true, false, &leaf));
    CHECK(leaf == tree_leaf(&pool->tree, 40));
    end_pools(pool);

    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        unsigned char bytes[BLOCK];
        memset(bytes, 9, sizeof bytes);
        pool = pool_whose_clone_ends();
        CHECK_EQ_SIZE(pool_write(pool, 40 * BLOCK + 3, bytes, sizes[i]), sizes[i]);
        check_filled(pool, 0, 1, 40 * BLOCK + 3);
        check_filled(pool, 40 * BLOCK + 3, 9, sizes[i]);
        check_filled(pool, 41 * BLOCK, 1, TOTAL - 41 * BLOCK);
        end_pools(pool);
    }
}
#endif

#if !defined(TEST_READS_LOCK)
/* Whether the first items of a batch, and no others, are ready to be written. */
static void check_ready(MemoryPool *pool, Batch batch, const unsigned char *bytes,
                        size_t ready)
{
    const unsigned char *at = bytes;
    size_t left = 0;
    CHECK(batch_seems_ready(pool, batch, 4 * 8) == (ready == batch.count));
    CHECK_EQ_SIZE(batch_try_put(pool, batch, &at, 4 * 8), ready);
    for (size_t i = 0; i < ready; i++)
        left += batch_size(batch, i);
    CHECK(at == bytes + left);
}
#endif

/* A scatter writes its items one by one up to the first in a hole or in a shared block;
 * the rest needs the exclusive lock. */
TEST(scatter_stops_at_what_is_not_ready)
{
    unsigned char bytes[4 * 8];
    MemoryPool *pool = filled_pool();
    PoolView view = {.struct_size = sizeof view};
    size_t offsets[] = {0, BLOCK, 2 * BLOCK, 3 * BLOCK}, sizes[] = {8, 8, 8, 8};
    Batch alike = {offsets, NULL, 4, 8}, many = {offsets, sizes, 4, 0};
    memset(bytes, 3, sizeof bytes);
#if defined(TEST_READS_LOCK)
    test_skip("in this build readers hold their stripes");
#else
    check_ready(pool, alike, bytes, 4);
    check_ready(pool, many, bytes, 4);
    CHECK(!batch_seems_ready(pool, many, 4 * 8 - 1)); /* sizes that have grown */
    offsets[2] = 6 * BLOCK - 4;                       /* in two blocks */
    check_ready(pool, alike, bytes, 4);
    check_ready(pool, many, bytes, 4);
    check_filled(pool, 6 * BLOCK - 4, 3, 8);
    CHECK_RETURNS(pool_view(pool, 6 * BLOCK, 1, &view), POOL_OK); /* one is shared */
    CHECK(!batch_seems_ready(pool, alike, 4 * 8));
    CHECK(!batch_seems_ready(pool, many, 4 * 8));
    pool_view_release(&view);
    offsets[2] = TOTAL - 4; /* half of it is no longer there */
    check_ready(pool, alike, bytes, 2);
    check_ready(pool, many, bytes, 2);
    CHECK_RETURNS(pool_view(pool, BLOCK, 1, &view), POOL_OK);
    check_ready(pool, alike, bytes, 1);
    check_ready(pool, many, bytes, 1);
    sizes[1] = 0; /* no bytes are ready anywhere */
    check_ready(pool, many, bytes, 2);
    check_filled(pool, TOTAL - 4, 1, 4);
    sizes[2] = 4;
    check_ready(pool, many, bytes, 4);
    check_filled(pool, TOTAL - 4, 3, 4);
    CHECK_RETURNS(pool_discard(pool, 0, BLOCK), POOL_OK);
    check_ready(pool, alike, bytes, 0);
    check_ready(pool, many, bytes, 0);
    check_filled(pool, 0, 0, BLOCK);
    check_filled(pool, BLOCK, 3, 8);
#endif
    pool_view_release(&view);
    /* More items than a list of offsets can have: room for the rest of SIZE_MAX, by which
     * they are too many, would not do. */
    alike.count = SIZE_MAX / sizeof(size_t) + 2;
    CHECK_EQ_INT((int)batch_put(pool, alike, bytes, SIZE_MAX), POOL_NO_MEMORY);
    many.count = SIZE_MAX / (4 * sizeof(size_t)) + 2;
    CHECK_EQ_INT((int)batch_put(pool, many, bytes, SIZE_MAX), POOL_NO_MEMORY);
    end_pools(pool);
}

/* ------------------------------------------------------------------- the registry */

static void unlock_registry(void)
{
    lock_release(&registry.lock);
}

static void hold_register(void)
{
    lock_acquire(&registry.lock);
    at_wait = unlock_registry;
}

/* All that changes or walks the registry waits for the holder of its lock. */
TEST(pools_come_and_go_in_the_registry)
{
    PoolView view = {.struct_size = sizeof view};
    hold_register();
    MemoryPool *pool = filled_pool(), *clone;
    CHECK(at_wait == NULL);
    hold_register();
    clone = pool_clone(pool);
    CHECK(clone != NULL && at_wait == NULL);
    hold_register();
    pool_destroy(clone);
    CHECK(at_wait == NULL);
    hold_register();
    (void)pool_trim();
    CHECK(at_wait == NULL);
    CHECK_RETURNS(pool_view(pool, 0, 1, &view), POOL_OK);
    hold_register();
    pool_destroy(pool);
    CHECK(at_wait == NULL);
    hold_register();
    pool_view_release(&view); /* with it the family goes */
    end_pools(NULL);
}

/* ----------------------------------------------------- readers without a lock */

#if defined(TEST_READS_LOCK)
TEST(readers_start_over)
{
    test_skip("in this build readers hold their stripes");
}
#else
static void fill_with_2(void)
{
    CHECK_RETURNS(pool_fill(shared_with_others, 0, 2, TOTAL), POOL_OK);
}

static void clone_and_fill_with_2(void)
{
    made = pool_clone(shared_with_others);
    CHECK(made != NULL);
    fill_with_2();
}

/* The blocks are freed, and reused by a clone that writes a secret into them. */
static void discard_and_reuse(void)
{
    CHECK_RETURNS(pool_discard(shared_with_others, 0, TOTAL), POOL_OK);
    made = pool_clone(shared_with_others);
    CHECK(made != NULL);
    CHECK_RETURNS(pool_fill(made, 0, 99, TOTAL), POOL_OK);
}

/* All bytes are of one moment: that before or that after what happened. */
static void check_one_moment(const unsigned char *bytes, size_t size)
{
    CHECK_BYTES(bytes, bytes[0], size);
    CHECK(bytes[0] != 99);
}

static void read_during(void (*action)(void), size_t size)
{
    unsigned char bytes[3 * BLOCK];
    size_t offsets[] = {BLOCK + 5};
    MemoryPool *pool = filled_pool();
    at_copy = action;
    CHECK_EQ_SIZE(pool_read(pool, bytes, BLOCK + 5, size), size);
    check_one_moment(bytes, size);
    end_pools(pool);

    pool = filled_pool();
    at_copy = action;
    CHECK_RETURNS(pool_gather(pool, bytes, offsets, 1, size), POOL_OK);
    check_one_moment(bytes, size);
    end_pools(pool);

    pool = filled_pool();
    at_copy = action;
    CHECK_RETURNS(pool_read_many(pool, bytes, offsets, &size, 1), POOL_OK);
    check_one_moment(bytes, size);
    end_pools(pool);
}

/* Another thread changes everything between the first bytes and the next. */
TEST(readers_start_over)
{
    static const size_t sizes[] = {5, 8, 13, 16, 40, 3 * BLOCK};
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        read_during(fill_with_2, sizes[i]);
        read_during(clone_and_fill_with_2, sizes[i]);
        read_during(discard_and_reuse, sizes[i]);
    }
}

static void cut(void)
{
    CHECK_RETURNS(pool_resize(shared_with_others, LESS), POOL_OK);
}

/* What a read returns is as long as the pool was when its bytes were there. */
TEST(readers_see_the_new_end)
{
    static const size_t sizes[] = {8, 16, 40, 3 * BLOCK};
    unsigned char bytes[3 * BLOCK];
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        MemoryPool *pool = filled_pool();
        at_copy = cut;
        CHECK_EQ_SIZE(pool_read(pool, bytes, LESS - 6, sizes[i]), 6);
        CHECK_BYTES(bytes, 1, 6);
        end_pools(pool);
    }
}
#endif

/* ----------------------------------------------------------------- adopted memory */

/* Adopted memory may be unmapped as soon as it was released, so that, unlike the
 * library's own, it must not be read without a lock. */
static void check_held(void)
{
    PoolLock *locks = &shared_with_others->locks;
    CHECK(lock_is_held(pool_lock_stripe(locks, 1)) || lock_is_held(&locks->shape.lock));
}

TEST(adopted_memory_is_read_under_a_lock)
{
    static const size_t sizes[] = {5, 8, 16, 40, 2 * BLOCK};
    static unsigned char data[3 * BLOCK];
    unsigned char bytes[2 * BLOCK];
    size_t offsets[] = {BLOCK + 5};
    MemoryPool *pool = filled_pool();
    given_back = 0;
    memset(data, 7, sizeof data);
    CHECK_RETURNS(pool_adopt(pool, BLOCK, data, sizeof data, give_back, NULL), POOL_OK);
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        at_copy = check_held;
        CHECK_EQ_SIZE(pool_read(pool, bytes, BLOCK + 5, sizes[i]), sizes[i]);
        CHECK_BYTES(bytes, 7, sizes[i]);
        CHECK(at_copy == NULL);
        at_copy = check_held;
        CHECK_RETURNS(pool_gather(pool, bytes, offsets, 1, sizes[i]), POOL_OK);
        CHECK_BYTES(bytes, 7, sizes[i]);
        CHECK(at_copy == NULL);
        at_copy = check_held;
        CHECK_RETURNS(pool_read_many(pool, bytes, offsets, &sizes[i], 1), POOL_OK);
        CHECK_BYTES(bytes, 7, sizes[i]);
        CHECK(at_copy == NULL);
    }
    CHECK_EQ_INT((int)given_back, 0);
    end_pools(pool);
    CHECK_EQ_INT((int)given_back, 1);
}

static const TestCase cases[] = {
    TEST_CASE(clipping_calls_see_the_new_end),
    TEST_CASE(late_calls_fail_and_change_nothing),
    TEST_CASE(gather_stops_at_the_new_end),
    TEST_CASE(read_many_stops_at_the_new_end),
    TEST_CASE(clone_has_the_new_end),
    TEST_CASE(writers_look_again_after_waiting),
    TEST_CASE(an_inner_node_is_no_leaf),
    TEST_CASE(scatter_stops_at_what_is_not_ready),
    TEST_CASE(pools_come_and_go_in_the_registry),
    TEST_CASE(readers_start_over),
#if !defined(TEST_READS_LOCK)
    TEST_CASE(readers_see_the_new_end),
#endif
    TEST_CASE(adopted_memory_is_read_under_a_lock),
};

int main(int argc, char **argv)
{
    int nothing_ran = test_main(argc, argv, cases, TEST_COUNT(cases));
    puts("the same with locks of a process of one thread");
    alone = 1;
    test_skipped = 0;
    given_back = 0;
    return test_main(argc, argv, cases, TEST_COUNT(cases)) || nothing_ran;
}
