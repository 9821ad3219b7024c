/* SPDX-License-Identifier: MIT */
/*
 * test_linear.c - what threads see of each other can be explained by one order of the
 * calls
 *
 * Threads make random calls on a pool and its clone and note when each began and ended
 * and what it returned; linear.h looks for the order. linear_calls.h has the calls, and
 * linear_pins.h pins of several blocks. What is checked:
 *
 *     - each call is one step: reads, writes, integers, clones, views, copies, restores,
 *       and in histories of their own changes of a pool's size
 *     - calls and accesses through pins see each other's writes, and what a restore
 *       writes into a pinned pool; also if the blocks move into a pin meanwhile
 *     - a clone or a view has each write through a pin that ended before it began, and
 *       none that began after it ended; of one meanwhile, each byte or not
 *     - a clone stays what it was while others write, make clones and restore from it
 *
 * No access through a pin overlaps a call that reads or writes the same bytes, or
 * restores the pool or from it: the header promises nothing of those. No pool with pins
 * changes its size, after which a pin may be detached.
 */
#if !defined(_WIN32)
#  define _POSIX_C_SOURCE 200809L
#endif
#include "linear_pins.h"

static void play(void *argument)
{
    Player *player = argument;
    TestRandom *random = &player->random;
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < player->players) /* so that all begin together */
        let_others_run();
    for (unsigned i = 0; i < player->calls; i++) {
        unsigned from = (unsigned)test_below(random, LINEAR_CELLS);
        unsigned to = from + 1 + (unsigned)test_below(random, LINEAR_CELLS - from);
        if (player->pins && test_below(random, 2) == 0) {
            call_pinned(player);
            continue;
        }
        switch (test_below(random, 16)) {
        case 0:
        case 1:
        case 2: call_write(player, from, to); break;
        case 3:
        case 4: call_fill(player, from, to); break;
        case 5:
        case 6: call_integer(player); break;
        case 7: /* after an error it is not known how many items were copied */
            if (player->resizes)
                call_resize(player, to);
            else
                call_items(player);
            break;
        case 8: call_clone(player); break;
        case 9: /* which lies in one block */
            if (player->tiny)
                call_read(player, from, to);
            else
                call_view(player);
            break;
        case 10: call_restore(player, from, to); break;
        default: call_read(player, from, to); break;
        }
    }
    if (player->pins)
        pinner_end(player);
}

/* Kinds of histories; see Player. */
enum { RESIZES = 1, TINY = 2, PINS = 4 };

/* Some threads, each with so many calls, on pools of which nothing is there yet. */
static void run_history(uint64_t seed, size_t block_size, size_t threads, unsigned calls,
                        unsigned kinds)
{
    MemoryPool *pool = make(64 * block_size, kinds & TINY ? 2 : block_size, 0), *clone;
    block = block_size;
    if (kinds & RESIZES)
        CHECK_EQ_INT((int)pool_resize(pool, cell_offset(LINEAR_CELLS)), POOL_OK);
    clone = pool_clone(pool);
    CHECK(clone != NULL);
    if (kinds & PINS)
        pins_begin(pool, clone, seed);
    history_begin(&history, threads);
    atomic_store(&ready, 0);
    atomic_store(&moments, 0);
    for (size_t i = 0; i < threads; i++) {
        Player *player = &players[i];
        player->pools[0] = pool;
        player->pools[1] = clone;
        player->id = i;
        player->players = threads;
        player->calls = calls;
        player->resizes = (kinds & RESIZES) != 0;
        player->tiny = (kinds & TINY) != 0;
        player->pins = (kinds & PINS) != 0;
        player->random.state = seed * LINEAR_THREADS + i;
        player->writes = player->last = 0;
        test_thread_start(&player->thread, play, player);
    }
    for (size_t i = 0; i < threads; i++)
        test_thread_join(&players[i].thread);
    pins_end();
    CHECK_LINEAR(&history);
    PoolStats stats = stats_of(pool);
    CHECK_EQ_SIZE(stats.family_pools, 2);
    CHECK_EQ_SIZE(stats.family_views, 0);
    CHECK_EQ_SIZE(stats.pinned_blocks, 0);
    pool_destroy(pool);
    pool_destroy(clone);
}

/* Reports the histories that were given up; none if threads run in parallel. */
static void tell_given_up(unsigned histories)
{
    if (history.given_up != 0)
        printf("given up: %zu of %u histories, for their number of orders\n",
               history.given_up, histories);
    history.given_up = 0;
}

/* Wine takes a millisecond to start a thread. */
#if defined(_WIN32)
enum { SHORT_HISTORIES = 500 };
#else
enum { SHORT_HISTORIES = 3000 };
#endif

TEST(an_order_explains_few_calls)
{
    for (unsigned i = 0; i < test_times(SHORT_HISTORIES); i++)
        run_history(test_seed * 1000003 + i, SMALLEST, 3 + i % 2, 8, 0);
    CHECK_EQ_SIZE(history.given_up, 0); /* there are not so many orders */
}

TEST(an_order_explains_many_calls)
{
    for (unsigned i = 0; i < test_times(400); i++)
        run_history(test_seed * 2000003 + i, SMALLEST, 2 + i % (LINEAR_THREADS - 1), 300,
                    0);
    tell_given_up(test_times(400));
}

/* Copying one takes so long that much can come between. */
TEST(an_order_explains_calls_on_large_blocks)
{
    for (unsigned i = 0; i < test_times(400); i++)
        run_history(test_seed * 3000017 + i, LARGEST, 2 + i % 3, 200, 0);
    tell_given_up(test_times(400));
}

/* With pools that become smaller and larger, so that calls are clipped or refused. */
TEST(an_order_explains_calls_beside_resizing)
{
    for (unsigned i = 0; i < test_times(SHORT_HISTORIES / 2); i++)
        run_history(test_seed * 4000037 + i, SMALLEST, 3 + i % 2, 8, RESIZES);
    CHECK_EQ_SIZE(history.given_up, 0);
    for (unsigned i = 0; i < test_times(150); i++)
        run_history(test_seed * 5000011 + i, i % 4 == 0 ? LARGEST : SMALLEST, 2 + i % 3,
                    200, RESIZES);
    tell_given_up(test_times(150));
}

/* ------------------------------------------------- the checker itself can say no */

/* A step of a thread, from one moment to another, with cell 1 of pool 0. */
static Step *add_step(size_t thread, unsigned from, unsigned to, Effect effect,
                      uint64_t word)
{
    Step *step = history_step(&history, thread);
    *step = (Step){.name = "made up", .begin = from, .end = to, .effect = effect};
    step->from = 1;
    step->to = 2;
    step->words[0] = word;
    return step;
}

TEST(a_read_beside_a_write_may_see_either)
{
    for (uint64_t seen = 0; seen < 3; seen++) {
        history_begin(&history, 2);
        (void)add_step(0, 1, 4, EFFECT_SET, 1);
        (void)add_step(1, 2, 3, EFFECT_READ, seen);
        CHECK_EQ_INT(history_is_linear(&history), seen < 2);
    }
}

TEST(what_is_over_stays_over)
{
    history_begin(&history, 2);
    (void)add_step(0, 1, 2, EFFECT_SET, 1);
    (void)add_step(1, 3, 4, EFFECT_READ, 0); /* the write had ended */
    CHECK(!history_is_linear(&history));

    history_begin(&history, 3);
    (void)add_step(0, 1, 9, EFFECT_SET, 1);
    (void)add_step(1, 2, 3, EFFECT_READ, 1);
    (void)add_step(2, 4, 5, EFFECT_READ, 0); /* another read has seen it already */
    CHECK(!history_is_linear(&history));
    history.steps[2][0].begin = 3;
    history.steps[1][0].end = 5;
    CHECK(history_is_linear(&history));
}

TEST(half_a_write_is_none)
{
    history_begin(&history, 2);
    add_step(0, 1, 4, EFFECT_SET, 7)->to = 3;
    history.steps[0][0].words[1] = 8;
    Step *read = add_step(1, 2, 3, EFFECT_READ, 7);
    read->to = 3;
    CHECK(!history_is_linear(&history)); /* the second cell is not written yet */
    read->words[1] = 8;
    CHECK(history_is_linear(&history));
}

TEST(each_change_counts_once)
{
    history_begin(&history, 2);
    add_step(0, 1, 4, EFFECT_ADD, 0)->value = 5;
    add_step(1, 2, 3, EFFECT_ADD, 0)->value = 6; /* neither has seen the other */
    CHECK(!history_is_linear(&history));
    history.steps[0][0].words[0] = 6;
    CHECK(history_is_linear(&history));
    (void)add_step(1, 5, 6, EFFECT_READ, 11);
    CHECK(history_is_linear(&history));

    history_begin(&history, 2);
    for (size_t i = 0; i < 2; i++) { /* both have exchanged 0 */
        Step *step = add_step(i, 1, 2, EFFECT_EXCHANGE, 0);
        step->value = 1 + i;
    }
    CHECK(!history_is_linear(&history));
    history.steps[1][0].words[0] = 1;
    CHECK(history_is_linear(&history));

    history_begin(&history, 2);
    (void)add_step(0, 0, 1, EFFECT_SET, 3);
    (void)add_step(0, 2, 4, EFFECT_TAKE, 3);
    (void)add_step(1, 3, 5, EFFECT_TAKE, 3); /* taken twice */
    CHECK(!history_is_linear(&history));
    history.steps[1][0].words[0] = 0;
    CHECK(history_is_linear(&history));
}

TEST(copies_are_of_one_moment)
{
    history_begin(&history, 2);
    (void)add_step(0, 1, 2, EFFECT_SET, 3);
    add_step(0, 3, 6, EFFECT_COPY, 0)->pool = 1;
    add_step(1, 4, 5, EFFECT_READ, 4)->pool = 1;
    CHECK(!history_is_linear(&history));
    history.steps[1][0].words[0] = 3;
    CHECK(history_is_linear(&history));
}

/* With blocks so small that nearly every range is one of 64 blocks or more. */
TEST(an_order_explains_calls_on_long_ranges)
{
    for (unsigned i = 0; i < test_times(SHORT_HISTORIES / 5); i++)
        run_history(test_seed * 6000011 + i, SMALLEST, 3 + i % 2, 8, TINY + i % 2);
    CHECK_EQ_SIZE(history.given_up, 0);
    for (unsigned i = 0; i < test_times(80); i++)
        run_history(test_seed * 7000003 + i, SMALLEST, 2 + i % 3, 200, TINY + i % 2);
    tell_given_up(test_times(80));
}

/* With pins of several blocks: few calls, so that most orders are searched; many; and
 * blocks so large that the system tracks which pages of them were written to. */
TEST(an_order_explains_calls_beside_pins)
{
    atomic_store(&accesses, 0);
    for (unsigned i = 0; i < test_times(SHORT_HISTORIES / 6); i++)
        run_history(test_seed * 8000009 + i, SMALLEST, 2 + i % 3, 10, PINS);
    CHECK_EQ_SIZE(history.given_up, 0);
    for (unsigned i = 0; i < test_times(200); i++)
        run_history(test_seed * 10000019 + i, i % 2 == 0 ? MEDIUM : LARGEST,
                    2 + i / 2 % 2, 10, PINS);
    CHECK_EQ_SIZE(history.given_up, 0);
    for (unsigned i = 0; i < test_times(80); i++)
        run_history(test_seed * 9000011 + i, i % 2 == 0 ? MEDIUM : SMALLEST, 2 + i % 3,
                    100, i % 8 == 7 ? PINS + TINY : PINS);
    for (unsigned i = 0; i < test_times(40); i++)
        run_history(test_seed * 11000027 + i, LARGEST, 2 + i % 2, 100, PINS);
    tell_given_up(test_times(120));
    CHECK_LE_SIZE(1, atomic_load(&accesses));
}

TEST(a_clipped_call_ends_where_its_pool_did)
{
    static const struct {
        unsigned from, to, requested;
        uint64_t cells; /* before and after */
        int fits;
    } rows[] = {
        {1, 3, 3, 3, 1}, {1, 3, 3, 4, 1}, {1, 3, 4, 3, 1},
        {1, 3, 4, 4, 0}, {1, 3, 0, 3, 1}, {1, 3, 0, 2, 0},
        {3, 3, 5, 3, 1}, {3, 3, 5, 2, 1}, {3, 3, 5, 4, 0},
    };
    for (size_t i = 0; i < TEST_COUNT(rows); i++) {
        history_begin(&history, 1);
        add_step(0, 1, 2, EFFECT_RESIZE, 0)->value = rows[i].cells;
        Step *read = add_step(0, 3, 4, EFFECT_READ, 0);
        read->from = rows[i].from;
        read->to = rows[i].to;
        read->requested = rows[i].requested;
        CHECK_EQ_INT(history_is_linear(&history), rows[i].fits);
    }
    history_begin(&history, 1);
    (void)add_step(0, 1, 2, EFFECT_SET, 9);
    add_step(0, 3, 4, EFFECT_RESIZE, 0)->value = 1;
    (void)add_step(0, 5, 6, EFFECT_REFUSE, 0);
    add_step(0, 7, 8, EFFECT_RESIZE, 0)->value = 7;
    Step *read = add_step(0, 9, 10, EFFECT_READ, 0);
    CHECK(history_is_linear(&history));
    read->words[0] = 9; /* it was cut off */
    CHECK(!history_is_linear(&history));
}

/* A snapshot and two writes through a pin: one before it, one from one moment to
 * another. */
TEST(a_snapshot_reads_apart_what_is_written_meanwhile)
{
    for (unsigned begins = 5; begins < 10; begins += 2) {
        for (uint64_t seen = 0; seen < 3; seen++) {
            history_begin(&history, 2);
            add_step(0, 1, 2, EFFECT_SET, 1)->through = 1;
            add_step(0, begins, begins + 1, EFFECT_SET, 2)->through = 1;
            add_step(1, 4, 8, EFFECT_READ, seen)->snapshot = 1;
            CHECK_EQ_INT(history_is_linear(&history),
                         begins == 9 ? seen == 1 : seen == 1 || seen == 2);
            history.steps[1][0].mixed = 2; /* of 1 and 2 */
            CHECK_EQ_INT(history_is_linear(&history), begins < 9);
        }
    }
}

/* Two writes, one after the other, of which a read sees the second only. */
TEST(a_snapshot_reads_other_cells_together)
{
    history_begin(&history, 2);
    Step *first = add_step(0, 3, 4, EFFECT_SET, 5);
    Step *second = add_step(0, 5, 6, EFFECT_SET, 9);
    Step *read = add_step(1, 2, 7, EFFECT_READ, 0);
    second->from = 3;
    second->to = read->to = 4;
    read->words[2] = 9;
    CHECK(!history_is_linear(&history));
    first->through = second->through = 1;
    CHECK(!history_is_linear(&history)); /* no snapshot */
    read->snapshot = 1;
    CHECK(history_is_linear(&history));
    first->through = second->through = 0;
    CHECK(!history_is_linear(&history));
}

static const TestCase cases[] = {
    TEST_CASE(a_read_beside_a_write_may_see_either),
    TEST_CASE(what_is_over_stays_over),
    TEST_CASE(half_a_write_is_none),
    TEST_CASE(each_change_counts_once),
    TEST_CASE(copies_are_of_one_moment),
    TEST_CASE(a_clipped_call_ends_where_its_pool_did),
    TEST_CASE(a_snapshot_reads_apart_what_is_written_meanwhile),
    TEST_CASE(a_snapshot_reads_other_cells_together),
    TEST_CASE(an_order_explains_few_calls),
    TEST_CASE(an_order_explains_many_calls),
    TEST_CASE(an_order_explains_calls_on_large_blocks),
    TEST_CASE(an_order_explains_calls_beside_resizing),
    TEST_CASE(an_order_explains_calls_on_long_ranges),
    TEST_CASE(an_order_explains_calls_beside_pins),
};
TEST_MAIN(cases)
