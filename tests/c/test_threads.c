/* SPDX-License-Identifier: MIT */
/* test_threads.c - calls from many threads on one family of pools */
#include "workers.h"

/* Back and forth between the workers' pool and its relative. */
static void restore_often(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < w->times / 4 + 1; i++) {
        int forth = test_below(&w->random, 3) != 0;
        MemoryPool *to = forth ? w->pool : w->other, *from = forth ? w->other : w->pool;
        CHECK_RETURNS(pool_restore(to, from), POOL_OK);
        check_span(to, START);
        check_span(from, START);
    }
}

/* Everything that only looks, in the middle of all changes. */
static void look_often(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < w->times / 4 + 1; i++) {
        PoolStats stats = {.struct_size = sizeof stats};
        size_t start = 0, size = 0, state = 0;
        pool_stats(w->pool, &stats);
        CHECK_STATUS(POOL_OK);
        CHECK_LE_SIZE(stats.shared_blocks, stats.held_blocks);
        CHECK(stats.held_blocks == 0 || stats.held_blocks == 5); /* the span's blocks */
        if (pool_next_extent(w->pool, 0, SIZE_MAX, &start, &size) == 1) {
            CHECK_EQ_SIZE(start, FIRST);
            CHECK_EQ_SIZE(size, 5 * BLOCK);
        }
        CHECK_LE_SIZE(
            0, (size_t)pool_next_change(w->pool, w->other, 0, SIZE_MAX, &start, &size));
        CHECK_STATUS(POOL_OK);
        if (pool_next_state(w->pool, 0, SIZE_MAX, &start, &size, &state) == 1) {
            CHECK_EQ_SIZE(start, FIRST);
            CHECK_LE_SIZE(size, 5 * BLOCK);
            CHECK_LE_SIZE(state, POOL_BLOCK_SHARED);
        }
        CHECK_STATUS(POOL_OK);
        if (i % 16 == 0)
            (void)pool_trim();
    }
}

/* Two values side by side are in no span. */
static void find_often(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < w->times / 4 + 1; i++) {
        unsigned char pattern[2] = {(unsigned char)(1 + i % 255), (unsigned char)(i % 7)};
        size_t found = 0;
        if (pattern[0] != pattern[1]) {
            CHECK_EQ_INT(pool_find(w->pool, pattern, 2, START, START + SPAN, &found), 0);
            CHECK_STATUS(POOL_OK);
        }
    }
}

static void change_other_often(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < w->times; i++)
        change_span(w->other, &w->random);
}

/* Two spans of one value each differ in all of their bytes or in none. */
static void compare_often(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < w->times / 4 + 1; i++) {
        size_t start = START, size = SPAN;
        CHECK_LE_SIZE(0, (size_t)pool_next_difference(w->pool, w->other, 0, SIZE_MAX,
                                                      &start, &size));
        CHECK_STATUS(POOL_OK);
        CHECK_EQ_SIZE(start, START);
        CHECK_EQ_SIZE(size, SPAN);
    }
}

/* Sets one byte after the other, each first in the one pool, then in the other. */
static void set_both(void *argument)
{
    Worker *w = argument;
    for (size_t i = 0; i < w->times; i++) {
        size_t at = i % TOTAL;
        int byte = 1 + (int)(i / TOTAL % 255);
        CHECK_RETURNS(pool_fill(w->pool, at, byte, 1), POOL_OK);
        CHECK_RETURNS(pool_fill(w->other, at, byte, 1), POOL_OK);
    }
}

/* So there is never a moment at which they differ in more than that byte. */
static void compare_both(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < w->times / 4 + 1; i++) {
        size_t start = 0, size = 1;
        CHECK_LE_SIZE(0, (size_t)pool_next_difference(w->other, w->pool, 0, SIZE_MAX,
                                                      &start, &size));
        CHECK_STATUS(POOL_OK);
        CHECK_EQ_SIZE(size, 1);
    }
}

/* ---------------------------------------------------------------------- tests */

/* The span in 5 blocks, in 67 (more than there are locks) and in one. */
TEST(no_thread_sees_half_a_call)
{
    static const size_t block_sizes[] = {BLOCK, 16, TOTAL};
    void (*const runs[THREADS])(void *) = {change_often, change_often, read_often,
                                           read_often};
    for (size_t i = 0; i < TEST_COUNT(block_sizes); i++) {
        MemoryPool *pool = make(TOTAL, block_sizes[i], 0);
        run_workers(runs, pool, NULL, 20000);
        check_span(pool, START);
        pool_destroy(pool);
    }
}

TEST(clones_are_whole)
{
    void (*const runs[THREADS])(void *) = {change_often, clone_often, clone_often,
                                           read_often};
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    CHECK_RETURNS(pool_fill(pool, START, 1, SPAN), POOL_OK);
    run_workers(runs, pool, NULL, 10000);
    PoolStats stats = {.struct_size = sizeof stats};
    pool_stats(pool, &stats);
    CHECK_EQ_SIZE(stats.family_pools, 1);
    CHECK_EQ_SIZE(stats.family_bytes, stats.held_bytes);
    CHECK_EQ_SIZE(stats.shared_blocks, 0);
    pool_destroy(pool);
}

TEST(restore_is_one_step)
{
    void (*const runs[THREADS])(void *) = {change_often, restore_often, restore_often,
                                           read_often};
    MemoryPool *pool = make(TOTAL, BLOCK, 0), *other = pool_clone(pool);
    CHECK_RETURNS(pool_fill(other, START, 1, SPAN), POOL_OK);
    run_workers(runs, pool, other, 10000);
    pool_destroy(pool);
    check_span(other, START);
    pool_destroy(other);
}

TEST(walks_disturb_no_call)
{
    void (*const runs[THREADS])(void *) = {change_often, clone_often, restore_often,
                                           look_often};
    MemoryPool *pool = make(TOTAL, BLOCK, 0), *other = pool_clone(pool);
    run_workers(runs, pool, other, 10000);
    pool_destroy(other);
    pool_destroy(pool);
}

/* Each worker owns bytes in every block, between those of the others: a copy on write
 * that loses a neighbour's write loses bytes here. */
static void write_own_bytes(void *argument)
{
    enum { PIECE = 24, PIECES = TOTAL / (PIECE * THREADS) };
    Worker *w = argument;
    unsigned char back[PIECE];
    for (unsigned i = 0; i < w->times; i++) {
        size_t piece = test_below(&w->random, PIECES) * THREADS + w->id;
        size_t at = piece * PIECE, size = test_below(&w->random, PIECE) + 1;
        CHECK_EQ_SIZE(pool_read(w->pool, back, at, PIECE), PIECE);
        CHECK_MEM(back, w->mine + at, PIECE);
        if (test_below(&w->random, 4) == 0) {
            memset(w->mine + at, 0, size);
            CHECK_RETURNS(pool_discard(w->pool, at, size), POOL_OK);
        } else {
            test_random_bytes(&w->random, w->mine + at, size);
            CHECK_EQ_SIZE(pool_write(w->pool, at, w->mine + at, size), size);
        }
        if (i % 50 == 0) { /* makes all writers copy again */
            MemoryPool *clone = pool_clone(w->pool);
            CHECK(clone != NULL);
            pool_destroy(clone);
        }
    }
}

TEST(no_write_is_lost)
{
    void (*const runs[THREADS])(void *) = {write_own_bytes, write_own_bytes,
                                           write_own_bytes, write_own_bytes};
    static unsigned char all[TOTAL], back[TOTAL];
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    run_workers(runs, pool, NULL, 30000);
    memset(all, 0, TOTAL);
    for (size_t i = 0; i < THREADS; i++) {
        for (size_t at = 0; at < TOTAL; at++)
            all[at] |= workers[i].mine[at]; /* at most one of them is not 0 */
    }
    CHECK_EQ_SIZE(pool_read(pool, back, 0, TOTAL), TOTAL);
    CHECK_MEM(back, all, TOTAL);
    pool_destroy(pool);
}

static unsigned char byte_at(size_t offset)
{
    return (unsigned char)(offset % 251 + 1);
}

static void take_often(void *argument)
{
    Worker *w = argument;
    for (unsigned i = 0; i < w->times; i++) {
        unsigned char bytes[3 * BLOCK];
        size_t at = test_below(&w->random, TOTAL);
        size_t got =
            pool_take(w->pool, bytes, at, test_below(&w->random, sizeof bytes) + 1);
        CHECK_STATUS(POOL_OK);
        for (size_t k = 0; k < got; k++) {
            if (bytes[k] == 0)
                continue;
            CHECK_EQ_INT(bytes[k], byte_at(at + k));
            w->counts[at + k]++;
        }
    }
}

TEST(take_gives_every_byte_once)
{
    void (*const runs[THREADS])(void *) = {take_often, take_often, take_often,
                                           take_often};
    static unsigned char data[TOTAL], rest[TOTAL];
    for (size_t at = 0; at < TOTAL; at++)
        data[at] = byte_at(at);
    for (unsigned round = 0; round < test_times(40); round++) {
        MemoryPool *pool = make(TOTAL, BLOCK, 0);
        CHECK_EQ_SIZE(pool_write(pool, 0, data, TOTAL), TOTAL);
        MemoryPool *clone = pool_clone(pool);
        run_workers(runs, pool, NULL, 100);
        CHECK_EQ_SIZE(pool_take(pool, rest, 0, TOTAL), TOTAL);
        for (size_t at = 0; at < TOTAL; at++) {
            size_t times = rest[at] != 0;
            for (size_t i = 0; i < THREADS; i++)
                times += workers[i].counts[at];
            CHECK_EQ_SIZE(times, 1);
        }
        CHECK_EQ_SIZE(pool_read(clone, rest, 0, TOTAL), TOTAL);
        CHECK_MEM(rest, data, TOTAL);
        pool_destroy(clone);
        pool_destroy(pool);
    }
}

/* Writes and discards in a relative of its own; the family has room for half of them. */
static void meet_the_limit(void *argument)
{
    Worker *w = argument;
    MemoryPool *own = pool_clone(w->pool);
    CHECK(own != NULL);
    for (unsigned i = 0; i < w->times; i++) {
        size_t at = test_below(&w->random, TOTAL - BLOCK), size = 2 * BLOCK;
        if (pool_write(own, at, w->mine, size) == 0)
            CHECK_STATUS(POOL_LIMIT);
        if (i % 3 == 0 && pool_take(own, w->mine, at, BLOCK) == 0)
            CHECK_STATUS(POOL_LIMIT);
        if (i % 50 == 0)
            CHECK_RETURNS(pool_discard(own, 0, TOTAL), POOL_OK);
    }
    pool_destroy(own);
}

TEST(limit_holds_for_all_threads)
{
    void (*const runs[THREADS])(void *) = {meet_the_limit, meet_the_limit, meet_the_limit,
                                           meet_the_limit};
    PoolStats stats = {.struct_size = sizeof stats};
    MemoryPool *pool = make(TOTAL, BLOCK, 48 * BLOCK);
    CHECK_RETURNS(pool_fill(pool, 0, 1, 8 * BLOCK), POOL_OK);
    run_workers(runs, pool, NULL, 5000);
    pool_stats(pool, &stats);
    CHECK_EQ_SIZE(stats.family_bytes, 8 * BLOCK);
    CHECK_LE_SIZE(stats.family_peak_bytes, 48 * BLOCK);
    CHECK_LE_SIZE(9 * BLOCK, stats.family_peak_bytes);
    CHECK_EQ_SIZE(stats.family_pools, 1);
    pool_destroy(pool);
}

/* Drops a reference that another thread added, and creates and destroys pools. */
static void destroy_given(void *argument)
{
    Worker *w = argument;
    unsigned char byte = 0;
    MemoryPool *own = make(TOTAL, BLOCK, 0), *clone = pool_clone(w->pool);
    CHECK_EQ_SIZE(pool_read(w->pool, &byte, START, 1), 1);
    CHECK_EQ_INT(byte, 77);
    CHECK_RETURNS(pool_fill(own, 0, 5, TOTAL), POOL_OK);
    pool_destroy(w->pool);
    CHECK_RETURNS(pool_fill(clone, START + w->id, 88, 1), POOL_OK);
    pool_destroy(own);
    CHECK_EQ_SIZE(pool_read(clone, &byte, START + w->id, 1), 1);
    CHECK_EQ_INT(byte, 88);
    pool_destroy(clone);
    CHECK(pool_create(0, 0) == NULL);
    CHECK_STATUS(POOL_INVALID); /* of this thread, whatever the others do */
}

TEST(the_last_owner_may_be_any_thread)
{
    void (*const runs[THREADS])(void *) = {destroy_given, destroy_given, destroy_given,
                                           destroy_given};
    for (unsigned round = 0; round < test_times(200); round++) {
        MemoryPool *pool = make(TOTAL, BLOCK, 0);
        CHECK_RETURNS(pool_fill(pool, START, 77, SPAN), POOL_OK);
        for (int i = 1; i < THREADS; i++)
            CHECK(pool_retain(pool) == pool);
        run_workers(runs, pool, NULL, 1);
        CHECK_STATUS(POOL_OK);
    }
}

static void note_status(void *argument)
{
    Worker *w = argument;
    CHECK_STATUS(POOL_OK); /* a thread that made no call has nothing to report */
    CHECK_EQ_SIZE(pool_read(w->pool, w->mine, TOTAL, 1), 0);
    CHECK_STATUS(POOL_RANGE);
}

TEST(status_is_of_the_thread)
{
    void (*const runs[THREADS])(void *) = {note_status, note_status, note_status,
                                           note_status};
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    CHECK_RETURNS(pool_restore(pool, NULL), POOL_INVALID);
    run_workers(runs, pool, NULL, 1);
    CHECK_STATUS(POOL_INVALID);
    pool_destroy(pool);
}

/* ----------------------------------------------------------------------- fork */

#if defined(_WIN32)
TEST(a_child_can_use_every_pool)
{
    test_skip("there is no fork on Windows");
}
#elif defined(TEST_TSAN)
TEST(a_child_can_use_every_pool)
{
    test_skip("ThreadSanitizer does not follow a fork of several threads");
}
#else
/* What the child does; a lock that stayed locked would leave it hanging, so the alarm
 * ends it then. A failed check ends it with 1. */
static void child_main(MemoryPool *pool, MemoryPool *other)
{
    alarm(120);
    check_span(pool, START);
    check_span(other, START);
    MemoryPool *clone = pool_clone(pool), *own = make(TOTAL, BLOCK, 0);
    CHECK(clone != NULL);
    TestRandom random = {test_seed};
    for (int i = 0; i < 20; i++) {
        change_span(pool, &random);
        change_span(other, &random);
        change_span(clone, &random);
        change_span(own, &random);
    }
    CHECK_RETURNS(pool_restore(pool, other), POOL_OK);
    (void)pool_trim();
    check_span(pool, START);
    pool_destroy(pool);
    check_span(other, START);
    pool_destroy(other);
    pool_destroy(own);
    check_span(clone, START);
    pool_destroy(clone);
    _exit(0);
}

TEST(a_child_can_use_every_pool)
{
    static void (*const runs[THREADS])(void *) = {change_often, clone_often,
                                                  restore_often, look_often};
    MemoryPool *pool = make(TOTAL, BLOCK, 0), *other = pool_clone(pool);
    for (unsigned round = 0; round < test_times(50); round++) {
        start_workers(runs, pool, other, 1000);
        int status = -1;
        fflush(NULL); /* or the child would print it again */
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            child_main(pool, other);
        CHECK(waitpid(child, &status, 0) == child);
        CHECK_EQ_INT(status, 0);
        join_workers();
    }
    pool_destroy(pool);
    pool_destroy(other);
}
#endif

/* With a relative, and with a pool of another family and block size. */
TEST(content_is_of_one_moment)
{
    void (*const runs[THREADS])(void *) = {change_often, change_other_often, find_often,
                                           compare_often};
    void (*const both[THREADS])(void *) = {set_both, compare_both, compare_both,
                                           compare_both};
    for (int turn = 0; turn < 2; turn++) {
        MemoryPool *pool = make(TOTAL, BLOCK, 0);
        MemoryPool *other = turn == 0 ? pool_clone(pool) : make(TOTAL, 4 * BLOCK, 0);
        run_workers(runs, pool, other, 4000);
        CHECK_RETURNS(pool_discard(pool, 0, TOTAL), POOL_OK);
        CHECK_RETURNS(pool_discard(other, 0, TOTAL), POOL_OK);
        run_workers(both, pool, other, 8000);
        pool_destroy(pool);
        pool_destroy(other);
    }
}

static const TestCase cases[] = {
    TEST_CASE(no_thread_sees_half_a_call),
    TEST_CASE(clones_are_whole),
    TEST_CASE(restore_is_one_step),
    TEST_CASE(walks_disturb_no_call),
    TEST_CASE(content_is_of_one_moment),
    TEST_CASE(no_write_is_lost),
    TEST_CASE(take_gives_every_byte_once),
    TEST_CASE(limit_holds_for_all_threads),
    TEST_CASE(the_last_owner_may_be_any_thread),
    TEST_CASE(status_is_of_the_thread),
    TEST_CASE(a_child_can_use_every_pool),
};
TEST_MAIN(cases)
