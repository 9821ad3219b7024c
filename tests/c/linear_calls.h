/* SPDX-License-Identifier: MIT */
/*
 * linear_calls.h - players: threads that make random calls, each of which becomes a step
 *
 * The cells of a pool: bodies somewhat smaller than a block, which hold one word repeated,
 * and between them integers of 8 bytes.
 *
 *     block     0           | 1                    | 2                   | 3
 *     cell       0 ........ 1 2 .............. 3 4 .................. 5 6 .........
 *
 * Cell 1 lies in two blocks. Words are different for each write, so that what was read
 * says whose it is. Half a write in one body needs no search: its words differ.
 */
#ifndef LINEAR_CALLS_H
#define LINEAR_CALLS_H

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
    MEDIUM = 1024, /* a page has several, and 64 of them are tracked if they are pinned */
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

/* What a step has read. If it is no snapshot, there is no half of a write in a cell. */
static void bytes_to_words(const unsigned char *bytes, Step *step)
{
    for (unsigned cell = step->from; cell < step->to; bytes += cell_size(cell), cell++) {
        memcpy(&step->words[cell - step->from], bytes, INTEGER);
        if (!step->snapshot)
            CHECK_MEM(bytes, bytes + INTEGER, cell_size(cell) - INTEGER);
        else if (memcmp(bytes, bytes + INTEGER, cell_size(cell) - INTEGER) != 0)
            step->mixed |= 1U << cell;
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
    int pins;    /* there are pins, and accesses through them: linear_pins.h         */
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

/* ---------------------------------------------------------------------- gates */

/* The calls that are in a cell of a pool; -1: an access through a pin. The two exclude
 * each other, as pool_pin demands; any number of calls run together. Clones and views
 * pass by, for which the promise is another one. */
static atomic_int gates[2][LINEAR_CELLS];

static int gate_try(atomic_int *gate, int access)
{
    int inside = atomic_load(gate);
    return (access ? inside == 0 : inside >= 0) &&
           atomic_compare_exchange_strong(gate, &inside, access ? -1 : inside + 1);
}

/* Whether a step touches the cells of the other pool as well. */
static int has_both_pools(const Step *step)
{
    return step->effect == EFFECT_COPY || step->effect == EFFECT_RESTORE;
}

/* Begins the call of a step. */
static void enter(const Player *player, Step *step)
{
    for (unsigned p = 0; player->pins && p < 2; p++) {
        for (unsigned cell = step->from; cell < step->to; cell++) {
            if (p != step->pool && !has_both_pools(step))
                break;
            while (!gate_try(&gates[p][cell], 0))
                let_others_run();
        }
    }
    step->begin = now();
}

/* Ends it. */
static void leave(const Player *player, Step *step)
{
    step->end = now();
    for (unsigned p = 0; player->pins && p < 2; p++) {
        for (unsigned cell = step->from; cell < step->to; cell++) {
            if (p == step->pool || has_both_pools(step))
                (void)atomic_fetch_sub(&gates[p][cell], 1);
        }
    }
}

/* ---------------------------------------------------------------------- calls */

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
    enter(player, step);
    got = takes ? pool_take(pool, player->bytes, cell_offset(from), size)
                : pool_read(pool, player->bytes, cell_offset(from), size);
    leave(player, step);
    clip(player, step, got);
    bytes_to_words(player->bytes, step);
}

static void call_write(Player *player, unsigned from, unsigned to)
{
    Step *step = begin(player, "write", EFFECT_SET, from, to);
    size_t size = range_size(from, to), put;
    for (unsigned i = 0; i < to - from; i++)
        step->words[i] = new_word(player);
    words_to_bytes(step->words, from, to, player->bytes);
    enter(player, step);
    put = pool_write(player->pools[step->pool], cell_offset(from), player->bytes, size);
    leave(player, step);
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
    enter(player, step);
    PoolStatus status =
        discards ? pool_discard(pool, at, size) : pool_fill(pool, at, (int)byte, size);
    leave(player, step);
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
    enter(player, step);
    status = adds ? pool_fetch_add(pool, at, INTEGER, step->value, step->words)
                  : pool_compare_exchange(pool, at, INTEGER, step->expected, step->value,
                                          step->words);
    leave(player, step);
    accept(player, step, status);
    player->last = adds ? step->words[0] + step->value : step->words[0];
}

/* All integers in one call, in which each is one step. */
static void call_items(Player *player)
{
    enum { ITEMS = LINEAR_CELLS / 2 };
    static const char *const names[] = {"gather", "read_many", "scatter", "write_many"};
    size_t offsets[ITEMS], sizes[ITEMS];
    uint64_t words[ITEMS];
    Step *steps[ITEMS];
    unsigned way = (unsigned)test_below(&player->random, 4);
    int reads = way < 2;
    unsigned pool = (unsigned)test_below(&player->random, 2), from;
    for (unsigned i = 0; i < ITEMS; i++) {
        from = 2 * i + 1;
        steps[i] =
            begin(player, names[way], reads ? EFFECT_READ : EFFECT_SET, from, from + 1);
        steps[i]->pool = pool;
        offsets[i] = cell_offset(from);
        sizes[i] = INTEGER;
        steps[i]->words[0] = words[i] = new_word(player);
    }
    for (unsigned i = 0; i < ITEMS; i++)
        enter(player, steps[i]);
    unsigned first = now();
    PoolStatus status;
    switch (way) {
    case 0:
        status = pool_gather(player->pools[pool], words, offsets, ITEMS, INTEGER);
        break;
    case 1:
        status = pool_read_many(player->pools[pool], words, offsets, sizes, ITEMS);
        break;
    case 2:
        status = pool_scatter(player->pools[pool], offsets, words, ITEMS, INTEGER);
        break;
    default: status = pool_write_many(player->pools[pool], offsets, sizes, words, ITEMS);
    }
    unsigned last = now();
    CHECK_EQ_INT((int)status, POOL_OK);
    for (unsigned i = 0; i < ITEMS; i++) {
        leave(player, steps[i]);
        steps[i]->begin = first;
        steps[i]->end = last;
        steps[i]->words[0] = words[i];
    }
}

/* So many threads make a clone or a view now. */
static atomic_uint snapshots;

static void begin_snapshot(Step *step)
{
    (void)atomic_fetch_add(&snapshots, 1);
    step->begin = now();
}

static void end_snapshot(Step *step)
{
    step->end = now();
    (void)atomic_fetch_sub(&snapshots, 1);
}

/* A clone has the contents of one moment of the call, however late they are read; no
 * other pool sees what is written to the clone. */
static void call_clone(Player *player)
{
    Step *step = begin(player, "clone", EFFECT_READ, 0, LINEAR_CELLS);
    step->snapshot = player->pins;
    size_t size = range_size(0, LINEAR_CELLS);
    begin_snapshot(step);
    MemoryPool *clone = pool_clone(player->pools[step->pool]);
    end_snapshot(step);
    CHECK(clone != NULL);
    let_others_run();
    clip(player, step, pool_read(clone, player->bytes, START, size));
    bytes_to_words(player->bytes, step);
    CHECK_EQ_INT((int)pool_fill(clone, START, 0xee, cell_size(0)), POOL_OK);
    pool_destroy(clone);
}

/* Likewise for a view: of the second body and the integer behind it, in one block. With
 * pins it may go on, as the blocks of a pin follow each other. */
static void call_view(Player *player)
{
    PoolView view = {.struct_size = sizeof view};
    Step *step = begin(player, "view", EFFECT_READ, 2, player->pins ? LINEAR_CELLS : 4);
    size_t size = range_size(2, step->to);
    step->snapshot = player->pins;
    begin_snapshot(step);
    PoolStatus status = pool_view(player->pools[step->pool], cell_offset(2), size, &view);
    end_snapshot(step);
    accept(player, step, status);
    if (status != POOL_OK)
        return;
    CHECK_LE_SIZE(range_size(2, 4), view.size);
    while (range_size(2, step->to) > view.size)
        step->to--;
    let_others_run();
    bytes_to_words(view.data, step);
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
    enter(player, step);
    status = copies ? pool_copy(pool, cell_offset(from), other, cell_offset(from),
                                range_size(from, to))
                    : pool_restore(pool, other);
    leave(player, step);
    accept(player, step, status);
}

static void call_resize(Player *player, unsigned cells)
{
    Step *step = begin(player, "resize", EFFECT_RESIZE, 0, 0);
    step->value = cells;
    enter(player, step);
    PoolStatus status = pool_resize(player->pools[step->pool], cell_offset(cells));
    leave(player, step);
    CHECK_EQ_INT((int)status, POOL_OK);
}

#endif /* LINEAR_CALLS_H */
