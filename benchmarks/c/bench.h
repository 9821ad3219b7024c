/* SPDX-License-Identifier: MIT */
/*
 * bench.h - the little that the benchmarks need from a framework
 *
 * A CASE is one thing to do, and CONTENDERS that do it: the pool and its peers. bench_run
 * measures them in turns, each once a round, so that whatever else the machine does falls
 * on all of them alike; then it reports medians, the smallest and the largest value, and
 * each contender's ratio to the case's reference. A ratio is the median of the ratios of
 * the rounds, not the ratio of the medians: two neighbours in time had the same noise.
 *
 * A GOAL bounds a contender's median, or its ratio to another. Goals are reported as
 * reached or not; they decide nothing. A contender that cannot be measured says why, and
 * so is no goal that needs it.
 *
 * A ROW is a function that runs the cases of one line of the goals, C1 to D4. It takes
 * the memory it needs and gives all of it back, so that the children that a later row
 * forks are small. Linux only, for memfd, fork as it is there, and /proc.
 */
#ifndef BENCH_H
#define BENCH_H

#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1 /* memfd_create, sched_setaffinity */
#endif

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory_pool.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)
#define TIB ((size_t)1 << 40)

enum { CASE_CONTENDERS = 12, CASE_GOALS = 8, MOST_ROUNDS = 101 };

/* What the command line asked for. */
typedef struct BenchOptions {
    int rounds;
    bool quick;   /* short rounds, small sizes: to see that everything works */
    bool full;    /* also what takes most of the machine's memory            */
    bool threads; /* an idle thread is there from the beginning */
    FILE *json;   /* NULL: none */
} BenchOptions;

extern BenchOptions bench_options;

/* One round: a value in the unit of the case. */
typedef double (*Measure)(const void *context);

typedef struct Contender {
    const char *name;
    Measure measure;
    const void *context;
    const char *missing; /* why it is not measured; NULL: it is                  */
    bool fresh;          /* each round in a process of its own, that just began  */
    double scale;        /* its place on the axis of a plot, where there is one  */
    double values[MOST_ROUNDS];
} Contender;

enum { EVERY = -1, ITSELF = -2 };

typedef struct Goal {
    int subject; /* a contender, or EVERY: the one that is worst           */
    int against; /* a contender, or ITSELF: the bound is in the case's unit */
    double bound;
    bool at_least; /* else at most                                            */
} Goal;

typedef struct Case {
    const char *row;
    char title[96];
    const char *unit;
    int reference;
    int contender_count;
    int goal_count;
    Contender contenders[CASE_CONTENDERS];
    Goal goals[CASE_GOALS];
} Case;

/* -------------------------------------------------------------- making a case */

/* Adds a contender and returns it, for its other fields to be set. */
Contender *case_add(Case *it, const char *name, Measure measure, const void *context);

/* Adds a contender that is not measured, and why. */
void case_add_missing(Case *it, const char *name, const char *why);

void case_at_most(Case *it, int subject, double bound, int against);
void case_at_least(Case *it, int subject, double bound, int against);

void bench_run(Case *it);

/* ------------------------------------------------------------------- reporting */

typedef enum Verdict { REACHED, NOT_REACHED, NOT_MEASURED } Verdict;

/* The median of the rounds; NAN if the contender was not measured. */
double contender_median(const Contender *contender);
void contender_range(const Contender *contender, double *least, double *most);
/* The median over the rounds of value / reference. */
double contender_ratio(const Contender *contender, const Contender *reference);

/* What is compared with the goal's bound, and what came out. */
double goal_value(const Case *it, const Goal *goal);
Verdict goal_verdict(const Case *it, const Goal *goal);

void report_begin(void);
void report_case(const Case *it);
void report_end(void);

/* --------------------------------------------------------------- for measuring */

/* Ends the program with a message unless ok. */
void bench_require(bool ok, const char *what);

/* Nanoseconds since some moment. */
double bench_now(void);

/* Bytes of memory that could be had without pushing anything out. */
size_t bench_memory_available(void);

/* A text for a size, such as "64 KiB"; in one of a few buffers that are used in turn. */
const char *bench_size(size_t size);

/* A pool with size bytes written to it. */
MemoryPool *bench_filled_pool(size_t size, size_t block_size);

/* xorshift: a place that neither the prefetcher nor the compiler can guess, a multiple
 * of size in [0, span). */
static inline size_t random_place(uint64_t *state, size_t span, size_t size)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (size_t)*state % (span / size) * size;
}

#define RANDOM_SEED 88172645463325252u

/* The compiler must believe that the memory at data is read and changed here. */
static inline void keep(void *data)
{
    __asm__ __volatile__("" ::"r"(data) : "memory");
}

/* ------------------------------------------------------------------------- rows */

void row_hot(void);      /* C1  transfers.c */
void row_large(void);    /* C2  transfers.c */
void row_pages(void);    /* C3  transfers.c */
void row_long(void);     /* C4  transfers.c */
void row_holes(void);    /* C5  holes.c     */
void row_create(void);   /* C6  lifetimes.c */
void row_clone(void);    /* C7  clones.c    */
void row_first(void);    /* C8  snapshots.c */
void row_changes(void);  /* C9  changes.c   */
void row_resident(void); /* C10 resident.c  */
void row_threads(void);  /* C11 threads.c   */
void row_fresh(void);    /* C12 lifetimes.c */
void row_steady(void);   /* C13 lifetimes.c */
void row_batches(void);  /* C14 batches.c   */
void row_waits(void);    /* C15 waits.c     */
void row_left(void);     /* C16 resident.c  */
void row_huge(void);     /* C17 huge.c      */

void row_put_back(void);       /* W1 pins.c      */
void row_put_back_large(void); /* W2 pins.c      */
void row_pinned_clone(void);   /* W3 pins.c      */
void row_much_written(void);   /* W4 pins.c      */
void row_compare(void);        /* W5 pins.c      */
void row_pin_costs(void);      /* W9 pin_costs.c */

void row_difference(void); /* D3 content.c */
void row_find(void);       /* D4 content.c */

/* What a process of row W5 does, which has no page tracking: prints one value. The program
 * is called with this option, a word, and the two numbers. */
#define COMPARE_ONLY "--compare-only"
void compare_only(const char *what, size_t size, size_t pages);

#endif /* BENCH_H */
