/* SPDX-License-Identifier: MIT */
/*
 * test_linear.c - what threads see of each other can be explained by one order of the
 * calls
 *
 * Threads make random calls on a pool and its clone and note when each began and ended
 * and what it returned; linear.h looks for the order. The cells: bodies somewhat smaller
 * than a block, which hold one word repeated, and between them integers of 8 bytes.
 *
 *     block     0           | 1                    | 2                   | 3
 *     cell       0 ........ 1 2 .............. 3 4 .................. 5 6 .........
 *
 * Cell 1 lies in two blocks. Words are different for each write, so that what was read
 * says whose it is. Half a write in one body needs no search: its words differ.
 */
#if !defined(_WIN32)
#  define _POSIX_C_SOURCE 200809L
#endif
#include <stdatomic.h>

#include "linear.h"
#include "pools.h"
#include "test_threads.h"

#if !defined(_WIN32)
#  include <sched.h>
#endif

enum {
    INTEGER = 8,
    START = 52,
    SMALLEST = 256,
    LARGEST = 16384,
    BODIES = LINEAR_CELLS / 2 + 1
};

/* ---------------------------------------------------------------------- cells */

static size_t block; /* bytes; set before the threads begin */

static size_t cell_size(size_t cell)
{
    return cell % 2 == 0 ? block - START - INTEGER / 2 : INTEGER;
}

static size_t cell_offset(size_t cell)
{
    return START + (cell + 1) / 2 * cell_size(0) + cell / 2 * INTEGER;
}

static size_t range_size(unsigned from, unsigned to)
{
    return cell_offset(to) - cell_offset(from);
}

/* Up to which cell so many bytes go; pools end where a cell does. */
static unsigned range_end(unsigned from, size_t size)
{
    unsigned to = from;
    while (to < LINEAR_CELLS && range_size(from, to) < size)
        to++;
    CHECK_EQ_SIZE(range_size(from, to), size);
    return to;
}

static void words_to_bytes(const uint64_t *words, unsigned from, unsigned to,
                           unsigned char *bytes)
{
    for (unsigned cell = from; cell < to; cell++) {
        for (size_t at = 0; at < cell_size(cell); at += INTEGER, bytes += INTEGER)
            memcpy(bytes, &words[cell - from], INTEGER);
    }
}

static void bytes_to_words(const unsigned char *bytes, unsigned from, unsigned to,
                           uint64_t *words)
{
    for (unsigned cell = from; cell < to; bytes += cell_size(cell), cell++) {
        memcpy(&words[cell - from], bytes, INTEGER);
        CHECK_MEM(bytes, bytes + INTEGER, cell_size(cell) - INTEGER); /* no half write */
    }
}

/* -------------------------------------------------------------------- threads */

static History history;
static atomic_uint moments, ready;

typedef struct Player {
    MemoryPool *pools[2];
    size_t id, players;
    unsigned calls;
    int resizes; /* the pools change their size; a call may find less, or be refused */
    int tiny;    /* blocks are of two bytes, so that most ranges are long ones       */
    TestRandom random;
    uint64_t writes;
    uint64_t last;                         /* an integer seen lately, to be expected */
    unsigned char bytes[BODIES * LARGEST]; /* what is written, or was read */
    TestThread thread;
} Player;

static Player players[LINEAR_THREADS];

static unsigned now(void)
{
    return atomic_fetch_add(&moments, 1);
}

static void let_others_run(void)
{
#if defined(_WIN32)
    Sleep(0);
#else
    sched_yield();
#endif
}

/* Returns a word that was never written before, and that no fill writes. */
static uint64_t new_word(Player *player)
{
    return ++player->writes << 16 | (player->id + 1) << 8;
}

static Step *begin(Player *player, const char *name, Effect effect, unsigned from,
                   unsigned to)
{
    Step *step = history_step(&history, player->id);
    memset(step, 0, sizeof *step);
    step->name = name;
    step->effect = effect;
    step->pool = (unsigned)test_below(&player->random, 2);
    step->from = from;
    step->to = to;
    return step;
}

/* ---------------------------------------------------------------------- calls */

/* What a call that clips has moved, by what it returned. */
static void clip(const Player *player, Step *step, size_t moved)
{
    step->requested = step->to;
    step->to = range_end(step->from, moved);
    CHECK(player->resizes || step->to == step->requested);
}

/* What another call has returned. */
static void accept(const Player *player, Step *step, PoolStatus status)
{
    if (player->resizes && status == POOL_RANGE) {
        step->value = step->effect == EFFECT_COPY;
        step->effect = EFFECT_REFUSE;
    } else {
        CHECK_EQ_INT((int)status, POOL_OK);
    }
}

static void call_read(Player *player, unsigned from, unsigned to)
{
    int takes = test_below(&player->random, 8) == 0;
    Step *step = begin(player, takes ? "take" : "read", takes ? EFFECT_TAKE : EFFECT_READ,
                       from, to);
    MemoryPool *pool = player->pools[step->pool];
    size_t size = range_size(from, to), got;
    step->begin = now();
    got = takes ? pool_take(pool, player->bytes, cell_offset(from), size)
                : pool_read(pool, player->bytes, cell_offset(from), size);
    step->end = now();
    clip(player, step, got);
    bytes_to_words(player->bytes, from, step->to, step->words);
}

static void call_write(Player *player, unsigned from, unsigned to)
{
    Step *step = begin(player, "write", EFFECT_SET, from, to);
    size_t size = range_size(from, to), put;
    for (unsigned i = 0; i < to - from; i++)
        step->words[i] = new_word(player);
    words_to_bytes(step->words, from, to, player->bytes);
    step->begin = now();
    put = pool_write(player->pools[step->pool], cell_offset(from), player->bytes, size);
    step->end = now();
    clip(player, step, put);
}

static void call_fill(Player *player, unsigned from, unsigned to)
{
    unsigned byte = (unsigned)test_below(&player->random, 256);
    int discards = byte < 128;
    Step *step = begin(player, discards ? "discard" : "fill", EFFECT_SET, from, to);
    MemoryPool *pool = player->pools[step->pool];
    size_t at = cell_offset(from), size = range_size(from, to);
    memset(step->words, discards ? 0 : (int)byte, sizeof step->words);
    step->begin = now();
    PoolStatus status =
        discards ? pool_discard(pool, at, size) : pool_fill(pool, at, (int)byte, size);
    step->end = now();
    accept(player, step, status);
}

static void call_integer(Player *player)
{
    unsigned cell = 1 + 2 * (unsigned)test_below(&player->random, LINEAR_CELLS / 2);
    int adds = test_below(&player->random, 2) == 0;
    Step *step = begin(player, adds ? "fetch_add" : "compare_exchange",
                       adds ? EFFECT_ADD : EFFECT_EXCHANGE, cell, cell + 1);
    MemoryPool *pool = player->pools[step->pool];
    size_t at = cell_offset(cell);
    PoolStatus status;
    step->value = adds ? test_below(&player->random, 256) : new_word(player);
    step->expected = player->last;
    step->begin = now();
    status = adds ? pool_fetch_add(pool, at, INTEGER, step->value, step->words)
                  : pool_compare_exchange(pool, at, INTEGER, step->expected, step->value,
                                          step->words);
    step->end = now();
    accept(player, step, status);
    player->last = adds ? step->words[0] + step->value : step->words[0];
}

/* All integers in one call, in which each is one step. */
static void call_items(Player *player)
{
    enum { ITEMS = LINEAR_CELLS / 2 };
    size_t offsets[ITEMS];
    uint64_t words[ITEMS];
    Step *steps[ITEMS];
    int gathers = test_below(&player->random, 2) == 0;
    unsigned pool = (unsigned)test_below(&player->random, 2), from;
    for (unsigned i = 0; i < ITEMS; i++) {
        from = 2 * i + 1;
        steps[i] = begin(player, gathers ? "gather" : "scatter",
                         gathers ? EFFECT_READ : EFFECT_SET, from, from + 1);
        steps[i]->pool = pool;
        offsets[i] = cell_offset(from);
        steps[i]->words[0] = words[i] = new_word(player);
    }
    unsigned first = now();
    PoolStatus status =
        gathers ? pool_gather(player->pools[pool], words, offsets, ITEMS, INTEGER)
                : pool_scatter(player->pools[pool], offsets, words, ITEMS, INTEGER);
    unsigned last = now();
    CHECK_EQ_INT((int)status, POOL_OK);
    for (unsigned i = 0; i < ITEMS; i++) {
        steps[i]->begin = first;
        steps[i]->end = last;
        steps[i]->words[0] = words[i];
    }
}

/* A clone has the contents of one moment of the call, however late they are read; no
 * other pool sees what is written to the clone. */
static void call_clone(Player *player)
{
    Step *step = begin(player, "clone", EFFECT_READ, 0, LINEAR_CELLS);
    size_t size = range_size(0, LINEAR_CELLS);
    step->begin = now();
    MemoryPool *clone = pool_clone(player->pools[step->pool]);
    step->end = now();
    CHECK(clone != NULL);
    let_others_run();
    clip(player, step, pool_read(clone, player->bytes, START, size));
    bytes_to_words(player->bytes, 0, step->to, step->words);
    CHECK_EQ_INT((int)pool_fill(clone, START, 0xee, cell_size(0)), POOL_OK);
    pool_destroy(clone);
}

/* Likewise for a view: of the second body and the integer behind it, in one block. */
static void call_view(Player *player)
{
    PoolView view = {.struct_size = sizeof view};
    Step *step = begin(player, "view", EFFECT_READ, 2, 4);
    step->begin = now();
    PoolStatus status =
        pool_view(player->pools[step->pool], cell_offset(2), range_size(2, 4), &view);
    step->end = now();
    accept(player, step, status);
    if (status != POOL_OK)
        return;
    CHECK_EQ_SIZE(view.size, range_size(2, 4));
    let_others_run();
    bytes_to_words(view.data, 2, 4, step->words);
    pool_view_release(&view);
}

static void call_restore(Player *player, unsigned from, unsigned to)
{
    int copies = test_below(&player->random, 2) == 0;
    Step *step =
        begin(player, copies ? "copy" : "restore", copies ? EFFECT_COPY : EFFECT_RESTORE,
              copies ? from : 0, copies ? to : LINEAR_CELLS);
    MemoryPool *pool = player->pools[step->pool], *other = player->pools[1 - step->pool];
    PoolStatus status;
    step->begin = now();
    status = copies ? pool_copy(pool, cell_offset(from), other, cell_offset(from),
                                range_size(from, to))
                    : pool_restore(pool, other);
    step->end = now();
    accept(player, step, status);
}

static void call_resize(Player *player, unsigned cells)
{
    Step *step = begin(player, "resize", EFFECT_RESIZE, 0, 0);
    step->value = cells;
    step->begin = now();
    PoolStatus status = pool_resize(player->pools[step->pool], cell_offset(cells));
    step->end = now();
    CHECK_EQ_INT((int)status, POOL_OK);
}

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
}

/* Some threads, each with so many calls, on pools of which nothing is there yet. */
static void run_history(uint64_t seed, size_t block_size, size_t threads, unsigned calls,
                        int resizes, int tiny)
{
    MemoryPool *pool = make(64 * block_size, tiny ? 2 : block_size, 0), *clone;
    block = block_size;
    if (resizes)
        CHECK_EQ_INT((int)pool_resize(pool, cell_offset(LINEAR_CELLS)), POOL_OK);
    clone = pool_clone(pool);
    CHECK(clone != NULL);
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
        player->resizes = resizes;
        player->tiny = tiny;
        player->random.state = seed * LINEAR_THREADS + i;
        player->writes = player->last = 0;
        test_thread_start(&player->thread, play, player);
    }
    for (size_t i = 0; i < threads; i++)
        test_thread_join(&players[i].thread);
    CHECK_LINEAR(&history);
    PoolStats stats = stats_of(pool);
    CHECK_EQ_SIZE(stats.family_pools, 2);
    CHECK_EQ_SIZE(stats.family_views, 0);
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
        run_history(test_seed * 1000003 + i, SMALLEST, 3 + i % 2, 8, 0, 0);
    CHECK_EQ_SIZE(history.given_up, 0); /* there are not so many orders */
}

TEST(an_order_explains_many_calls)
{
    for (unsigned i = 0; i < test_times(400); i++)
        run_history(test_seed * 2000003 + i, SMALLEST, 2 + i % (LINEAR_THREADS - 1), 300,
                    0, 0);
    tell_given_up(test_times(400));
}

/* Copying one takes so long that much can come between. */
TEST(an_order_explains_calls_on_large_blocks)
{
    for (unsigned i = 0; i < test_times(400); i++)
        run_history(test_seed * 3000017 + i, LARGEST, 2 + i % 3, 200, 0, 0);
    tell_given_up(test_times(400));
}

/* With pools that become smaller and larger, so that calls are clipped or refused. */
TEST(an_order_explains_calls_beside_resizing)
{
    for (unsigned i = 0; i < test_times(SHORT_HISTORIES / 2); i++)
        run_history(test_seed * 4000037 + i, SMALLEST, 3 + i % 2, 8, 1, 0);
    CHECK_EQ_SIZE(history.given_up, 0);
    for (unsigned i = 0; i < test_times(150); i++)
        run_history(test_seed * 5000011 + i, i % 4 == 0 ? LARGEST : SMALLEST, 2 + i % 3,
                    200, 1, 0);
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
        run_history(test_seed * 6000011 + i, SMALLEST, 3 + i % 2, 8, (int)(i % 2), 1);
    CHECK_EQ_SIZE(history.given_up, 0);
    for (unsigned i = 0; i < test_times(80); i++)
        run_history(test_seed * 7000003 + i, SMALLEST, 2 + i % 3, 200, (int)(i % 2), 1);
    tell_given_up(test_times(80));
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

static const TestCase cases[] = {
    TEST_CASE(a_read_beside_a_write_may_see_either),
    TEST_CASE(what_is_over_stays_over),
    TEST_CASE(half_a_write_is_none),
    TEST_CASE(each_change_counts_once),
    TEST_CASE(copies_are_of_one_moment),
    TEST_CASE(a_clipped_call_ends_where_its_pool_did),
    TEST_CASE(an_order_explains_few_calls),
    TEST_CASE(an_order_explains_many_calls),
    TEST_CASE(an_order_explains_calls_on_large_blocks),
    TEST_CASE(an_order_explains_calls_beside_resizing),
    TEST_CASE(an_order_explains_calls_on_long_ranges),
};
TEST_MAIN(cases)
