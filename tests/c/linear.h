/* SPDX-License-Identifier: MIT */
/*
 * linear.h - a linearizability checker: does an order of the calls explain their results?
 *
 * A HISTORY is what some threads did: each call with the times of its begin and its end,
 * taken from one counter, and its result. Calls are linearizable if there is an order in
 * which
 *
 *     - a call that ended before another began comes before it, and
 *     - each returns what it did return, if they are made one by one in that order
 *
 *     thread 0   |--- write 7 ---|        |-- read: 7 --|
 *     thread 1         |-- read: 0 --|         write 7 can only come after this read
 *
 * The search is that of Wing and Gong: of the next calls of all threads, those that began
 * before any of them had ended may come first; it tries one, goes on with the rest, and
 * backtracks if that fails. It does not search a state twice (as many calls of each
 * thread done, and the same contents): a cache has the last states, and one that it has
 * lost costs time only. If calls of all threads overlap for long, as on a busy machine,
 * there may be too many states to be searched: the history is then given up, and counted.
 *
 * Contents are CELLS of words, in two pools, and how many of its cells each pool has. A
 * call reads or changes the cells [from, to) of a pool; a call that was clipped must come
 * when the pool ended where the call did. There are few effects, which many functions
 * share.
 *
 * Accesses THROUGH A PIN are steps as well. Other calls do not overlap them, which is the
 * caller's duty, but for those that return contents of one moment: clones and views.
 *
 *     thread 0   |- cell 1 = 7 -|   |- cell 3 = 8 -|         through a pin
 *     thread 1                   |------ clone ------|
 *                                 7 in cell 1; 8 or not in cell 3
 *
 * Such a call has each byte as it was or as it is written, so it reads a cell that was
 * written to meanwhile APART: in a step of its own, with the same begin and end, in a row
 * of its own. If the cell was a MIX of what it was and what it is, there is no such step.
 * All other cells are of one moment.
 */
#ifndef LINEAR_H
#define LINEAR_H

#include "test.h"

enum {
    LINEAR_THREADS = 6,
    LINEAR_PINNERS = 4, /* threads, if there are pins                            */
    LINEAR_APART = 3,   /* cells that one call reads apart; it leaves out others */
    LINEAR_ROWS = LINEAR_PINNERS *
        (1 + LINEAR_APART), /* of steps, each after the other */
    LINEAR_STEPS = 1024,
    LINEAR_CELLS = 7, /* and one more for the size of a pool */
    LINEAR_PLACES = 1 << 16,
    LINEAR_TRIES = 3000000 /* a history takes some thousands, nearly always */
};

typedef enum Effect {
    EFFECT_READ,     /* words are what was there               */
    EFFECT_SET,      /* words are what is there afterwards     */
    EFFECT_TAKE,     /* words are what was there; then it is 0 */
    EFFECT_ADD,      /* words[0] was there, value is added     */
    EFFECT_EXCHANGE, /* words[0] was there, value is there afterwards if it was expected */
    EFFECT_COPY,     /* of the same cells of the other pool    */
    EFFECT_RESTORE,  /* of all cells of the other pool, and their number */
    EFFECT_RESIZE,   /* value is the number of cells; those cut off are 0 from then on */
    EFFECT_REFUSE    /* nothing: a pool ends before the cell to; value: either of them */
} Effect;

typedef struct Step {
    const char *name;
    unsigned begin, end;
    Effect effect;
    unsigned pool, from, to;
    unsigned requested; /* the last cell requested; 0: it does not clip */
    uint64_t words[LINEAR_CELLS];
    uint64_t value, expected;
    /* Of pins; cells are bits. */
    int through;    /* it is an access through a pin                           */
    int snapshot;   /* it has each byte as it was or as it is written meanwhile */
    unsigned mixed; /* cells with parts of several words                       */
    unsigned apart; /* cells that were written to meanwhile, through a pin     */
} Step;

typedef struct Contents {
    uint64_t cell[2][LINEAR_CELLS];
    uint64_t cells[2];
} Contents;

/* So many steps of each row were put into the order. */
typedef struct Place {
    Contents contents;
    uint16_t done[LINEAR_ROWS];
} Place;

typedef struct History {
    size_t threads, counts[LINEAR_ROWS];
    Step steps[LINEAR_ROWS][LINEAR_STEPS]; /* of threads, and of cells read apart */
    /* Of the search. */
    size_t rows;
    unsigned turns[LINEAR_ROWS * LINEAR_STEPS]; /* whose step came at each position */
    Contents before[LINEAR_ROWS * LINEAR_STEPS];
    size_t deepest;
    Place deepest_at;
    struct {
        unsigned run; /* of which search; 0: none */
        Place place;
    } seen[LINEAR_PLACES];
    unsigned run;
    size_t given_up; /* histories */
} History;

static inline void history_begin(History *h, size_t threads)
{
    h->threads = threads;
    memset(h->counts, 0, sizeof h->counts);
}

static inline Step *history_step(History *h, size_t thread)
{
    CHECK_LE_SIZE(h->counts[thread] + 1, LINEAR_STEPS);
    return &h->steps[thread][h->counts[thread]++];
}

/* -------------------------------------------------------------- what a step does */

static inline unsigned step_least(unsigned a, uint64_t b)
{
    return a < b ? a : (unsigned)b;
}

/* Whether the pool has the cells of a step, and no more of those requested. */
static inline int step_fits(const Step *step, const Contents *contents)
{
    uint64_t cells = contents->cells[step->pool];
    uint64_t others = contents->cells[1 - step->pool];
    switch (step->effect) {
    case EFFECT_RESTORE:
    case EFFECT_RESIZE: return 1;
    case EFFECT_REFUSE:
        return step->to > cells || (step->value != 0 && step->to > others);
    case EFFECT_COPY: return step->to <= cells && step->to <= others;
    default: break;
    }
    if (step->requested == 0)
        return step->to <= cells;
    return step->from == step->to ? cells <= step->from
                                  : step->to == step_least(step->requested, cells);
}

/* Whether a step has read what was there. */
static inline int step_agrees(const Step *step, const uint64_t *cell)
{
    for (unsigned i = step->from; i < step->to; i++) {
        if ((step->apart >> i & 1) == 0 &&
            ((step->mixed >> i & 1) != 0 ||
             cell[i - step->from] != step->words[i - step->from]))
            return 0;
    }
    return 1;
}

/* Makes a step; false if it cannot have returned what it did. */
static inline int step_make(const Step *step, Contents *contents)
{
    if (!step_fits(step, contents))
        return 0;
    uint64_t *cell = &contents->cell[step->pool][step->from];
    size_t size = (step->to - step->from) * sizeof *cell;
    switch (step->effect) {
    case EFFECT_READ: return step_agrees(step, cell);
    case EFFECT_SET: memcpy(cell, step->words, size); return 1;
    case EFFECT_TAKE:
        if (memcmp(cell, step->words, size) != 0)
            return 0;
        memset(cell, 0, size);
        return 1;
    case EFFECT_ADD:
    case EFFECT_EXCHANGE:
        if (*cell != step->words[0])
            return 0;
        if (step->effect == EFFECT_ADD)
            *cell += step->value;
        else if (*cell == step->expected)
            *cell = step->value;
        return 1;
    case EFFECT_COPY:
        memcpy(cell, &contents->cell[1 - step->pool][step->from], size);
        return 1;
    case EFFECT_RESTORE:
        memcpy(contents->cell[step->pool], contents->cell[1 - step->pool],
               sizeof contents->cell[0]);
        contents->cells[step->pool] = contents->cells[1 - step->pool];
        return 1;
    case EFFECT_REFUSE: return 1;
    case EFFECT_RESIZE:
        for (uint64_t i = step->value; i < LINEAR_CELLS; i++)
            contents->cell[step->pool][i] = 0;
        contents->cells[step->pool] = step->value;
        return 1;
    }
    return 0;
}

/* -------------------------------------------------------------- cells read apart */

/* The cells of a snapshot that were written to through a pin before it ended, by writes
 * that had not ended before it began. */
static inline unsigned step_written(const History *h, const Step *step)
{
    unsigned cells = 0;
    for (size_t t = 0; t < h->threads; t++) {
        for (size_t i = 0; i < h->counts[t]; i++) {
            const Step *write = &h->steps[t][i];
            if (write->begin > step->end)
                break;
            if (write->through && write->effect != EFFECT_READ &&
                write->pool == step->pool && write->end >= step->begin &&
                write->from >= step->from && write->to <= step->to)
                cells |= 1U << write->from;
        }
    }
    return cells;
}

/* Has each snapshot of a thread read such cells apart. */
static inline void history_part(History *h, size_t thread)
{
    size_t first = h->threads + thread * LINEAR_APART, row;
    for (size_t i = 0; i < h->counts[thread]; i++) {
        Step *step = &h->steps[thread][i];
        if (!step->snapshot)
            continue;
        CHECK_LE_SIZE(h->threads, LINEAR_PINNERS);
        step->apart = step_written(h, step);
        row = first;
        for (unsigned cell = step->from; cell < step->to; cell++) {
            if ((step->apart & ~step->mixed) >> cell & 1 && row - first < LINEAR_APART) {
                Step *part = &h->steps[row][h->counts[row]++];
                *part = *step;
                part->name = "cell, apart,";
                part->from = cell;
                part->to = cell + 1;
                part->words[0] = step->words[cell - step->from];
                part->requested = part->mixed = part->apart = 0;
                row++;
                h->rows = h->rows < row ? row : h->rows;
            }
        }
    }
}

/* The same for all threads. */
static inline void history_part_all(History *h)
{
    h->rows = h->threads;
    for (size_t row = h->threads; row < LINEAR_ROWS; row++)
        h->counts[row] = 0;
    for (size_t t = 0; t < h->threads; t++)
        history_part(h, t);
}

/* ------------------------------------------------------------------- the search */

/* Whether the search is here for the first time, as far as it remembers. */
static inline int place_is_new(History *h, const Place *place)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < 2 * LINEAR_CELLS; i++)
        hash = (hash ^ place->contents.cell[i / LINEAR_CELLS][i % LINEAR_CELLS]) *
               UINT64_C(0x9e3779b97f4a7c15);
    hash ^= place->contents.cells[0] << 8 ^ place->contents.cells[1];
    for (size_t t = 0; t < h->rows; t++)
        hash = (hash ^ (hash >> 29) ^ place->done[t]) * UINT64_C(0xbf58476d1ce4e5b9);
    size_t at = (size_t)(hash >> 40) % LINEAR_PLACES;
    if (h->seen[at].run == h->run &&
        memcmp(&h->seen[at].place, place, sizeof *place) == 0)
        return 0;
    h->seen[at].run = h->run;
    h->seen[at].place = *place;
    return 1;
}

/* The first row from a number on whose next step may come next and fits; makes it. If
 * there is none: the number of rows. */
static inline size_t place_go_on(const History *h, Place *place, size_t row)
{
    unsigned first_end = UINT32_MAX;
    for (size_t t = 0; t < h->rows; t++) {
        if (place->done[t] < h->counts[t] && h->steps[t][place->done[t]].end < first_end)
            first_end = h->steps[t][place->done[t]].end;
    }
    for (; row < h->rows; row++) {
        if (place->done[row] == h->counts[row])
            continue;
        const Step *step = &h->steps[row][place->done[row]];
        if (step->begin <= first_end && step_make(step, &place->contents)) {
            place->done[row]++;
            return row;
        }
    }
    return row;
}

/* Whether an order explains the history, from contents of zeros in all cells; also if it
 * is given up. */
static inline int history_is_linear(History *h)
{
    Place place = {.contents.cells = {LINEAR_CELLS, LINEAR_CELLS}};
    size_t depth = 0, total = 0, next = 0, tries = 0;
    history_part_all(h);
    for (size_t t = 0; t < h->rows; t++)
        total += h->counts[t];
    h->run++;
    h->deepest = 0;
    h->deepest_at = place;
    while (depth < total) {
        if (++tries > LINEAR_TRIES) {
            h->given_up++;
            return 1;
        }
        h->before[depth] = place.contents;
        size_t turn = place_go_on(h, &place, next);
        if (turn < h->rows) {
            h->turns[depth] = (unsigned)turn;
            if (place_is_new(h, &place)) {
                depth++;
                next = 0;
                if (depth > h->deepest) {
                    h->deepest = depth;
                    h->deepest_at = place;
                }
                continue;
            }
        } else if (depth == 0) {
            return 0;
        } else {
            turn = h->turns[--depth];
        }
        place.contents = h->before[depth]; /* take that step back, try the next row */
        place.done[turn]--;
        next = turn + 1;
    }
    return 1;
}

/* ---------------------------------------------------------------- what went wrong */

static inline void step_print(const Step *step)
{
    fprintf(stderr,
            "%u..%u %s of pool %u, cells %u up to %u (requested %u):", step->begin,
            step->end, step->name, step->pool, step->from, step->to, step->requested);
    if (step->mixed != 0 || step->apart != 0)
        fprintf(stderr, " (mixed %x, apart %x)", step->mixed, step->apart);
    if (step->effect <= EFFECT_TAKE) {
        for (size_t i = 0; i < step->to - step->from; i++)
            fprintf(stderr, " %llx", (unsigned long long)step->words[i]);
    } else if (step->effect == EFFECT_REFUSE) {
        fprintf(stderr, " refused");
    } else if (step->effect != EFFECT_COPY && step->effect != EFFECT_RESTORE) {
        fprintf(stderr, " was %llx, value %llx, expected %llx",
                (unsigned long long)step->words[0], (unsigned long long)step->value,
                (unsigned long long)step->expected);
    }
    fprintf(stderr, "\n");
}

/* Where the longest order ends that the search found, and what each row has then. */
static inline void history_print(const History *h)
{
    const Place *place = &h->deepest_at;
    fprintf(stderr, "  no order explains more than %zu calls; after those:\n",
            h->deepest);
    for (size_t p = 0; p < 2; p++) {
        fprintf(stderr, "    pool %zu:", p);
        for (size_t i = 0; i < place->contents.cells[p]; i++)
            fprintf(stderr, " %llx", (unsigned long long)place->contents.cell[p][i]);
        fprintf(stderr, "\n");
    }
    for (size_t t = 0; t < h->rows; t++) {
        size_t from = place->done[t] < 3 ? 0 : place->done[t] - 3U;
        for (size_t i = from; i < h->counts[t] && i < place->done[t] + 3U; i++) {
            fprintf(stderr, "    %s %zu %s ", t < h->threads ? "thread" : "row", t,
                    i < place->done[t] ? "done" : "next");
            step_print(&h->steps[t][i]);
        }
    }
}

#define CHECK_LINEAR(history)                                                            \
    do {                                                                                 \
        if (!history_is_linear(history)) {                                               \
            history_print(history);                                                      \
            test_fail_at(__FILE__, __LINE__);                                            \
        }                                                                                \
    } while (0)

#endif /* LINEAR_H */
