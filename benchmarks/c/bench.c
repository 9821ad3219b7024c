/* SPDX-License-Identifier: MIT */
/* bench.c - cases, rounds, and what is computed from them; see bench.h */
#include "bench.h"

#include <malloc.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* -------------------------------------------------------------- making a case */

Contender *case_add(Case *it, const char *name, Measure measure, const void *context)
{
    Contender *contender = &it->contenders[it->contender_count];
    bench_require(it->contender_count < CASE_CONTENDERS, "room for a contender");
    it->contender_count++;
    *contender = (Contender){.name = name, .measure = measure, .context = context};
    return contender;
}

void case_add_missing(Case *it, const char *name, const char *why)
{
    case_add(it, name, NULL, NULL)->missing = why;
}

static void case_goal(Case *it, Goal goal)
{
    bench_require(it->goal_count < CASE_GOALS, "room for a goal");
    it->goals[it->goal_count++] = goal;
}

void case_at_most(Case *it, int subject, double bound, int against)
{
    case_goal(it, (Goal){.subject = subject, .bound = bound, .against = against});
}

void case_at_least(Case *it, int subject, double bound, int against)
{
    case_goal(
        it,
        (Goal){.subject = subject, .bound = bound, .against = against, .at_least = true});
}

/* -------------------------------------------------------------------- running */

/* A child of this process, which holds next to nothing between rounds. */
static double measure_in_child(const Contender *contender)
{
    double value = NAN;
    int ends[2], status;
    pid_t child;
    pool_trim();
    malloc_trim(0);
    fflush(NULL);
    bench_require(pipe(ends) == 0, "pipe");
    child = fork();
    bench_require(child >= 0, "fork");
    if (child == 0) {
        value = contender->measure(contender->context);
        _exit(write(ends[1], &value, sizeof value) != sizeof value);
    }
    close(ends[1]);
    bench_require(read(ends[0], &value, sizeof value) == sizeof value, "a child's value");
    close(ends[0]);
    bench_require(waitpid(child, &status, 0) == child && status == 0, "a child");
    return value;
}

void bench_run(Case *it)
{
    int round, i;
    for (round = 0; round < bench_options.rounds; round++) {
        for (i = 0; i < it->contender_count; i++) {
            Contender *contender = &it->contenders[i];
            if (contender->missing == NULL) {
                contender->values[round] = contender->fresh
                                               ? measure_in_child(contender)
                                               : contender->measure(contender->context);
            }
        }
    }
    report_case(it);
}

/* ------------------------------------------------------------------ computing */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(const double *values)
{
    double sorted[MOST_ROUNDS];
    size_t count = (size_t)bench_options.rounds;
    memcpy(sorted, values, count * sizeof *values);
    qsort(sorted, count, sizeof *sorted, compare);
    return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

double contender_median(const Contender *contender)
{
    return contender->missing != NULL ? NAN : median(contender->values);
}

void contender_range(const Contender *contender, double *least, double *most)
{
    int round;
    *least = *most = contender->values[0];
    for (round = 1; round < bench_options.rounds; round++) {
        *least = fmin(*least, contender->values[round]);
        *most = fmax(*most, contender->values[round]);
    }
}

double contender_ratio(const Contender *contender, const Contender *reference)
{
    double ratios[MOST_ROUNDS];
    int round;
    if (contender->missing != NULL || reference->missing != NULL) {
        return NAN;
    }
    for (round = 0; round < bench_options.rounds; round++) {
        ratios[round] = contender->values[round] / reference->values[round];
    }
    return median(ratios);
}

static double goal_value_of(const Case *it, const Goal *goal, int subject)
{
    const Contender *contender = &it->contenders[subject];
    return goal->against == ITSELF
               ? contender_median(contender)
               : contender_ratio(contender, &it->contenders[goal->against]);
}

double goal_value(const Case *it, const Goal *goal)
{
    double worst = NAN; /* fmin and fmax prefer a number to NAN */
    int i;
    if (goal->subject != EVERY) {
        return goal_value_of(it, goal, goal->subject);
    }
    for (i = 0; i < it->contender_count; i++) {
        double value = goal_value_of(it, goal, i);
        worst = goal->at_least ? fmin(worst, value) : fmax(worst, value);
    }
    return worst;
}

Verdict goal_verdict(const Case *it, const Goal *goal)
{
    double value = goal_value(it, goal);
    if (isnan(value)) {
        return NOT_MEASURED;
    }
    return (goal->at_least ? value >= goal->bound : value <= goal->bound) ? REACHED
                                                                          : NOT_REACHED;
}

/* --------------------------------------------------------------- for measuring */

void bench_require(bool ok, const char *what)
{
    if (!ok) {
        fflush(stdout);
        fprintf(stderr, "bench: %s failed\n", what);
        exit(1);
    }
}

double bench_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

size_t bench_memory_available(void)
{
    size_t kib = 0;
    char line[128];
    FILE *file = fopen("/proc/meminfo", "r");
    bench_require(file != NULL, "/proc/meminfo");
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "MemAvailable: %zu", &kib) == 1) {
            break;
        }
    }
    fclose(file);
    return kib * KIB;
}

const char *bench_size(size_t size)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB",
                                        "TiB",   "PiB", "EiB"};
    static char texts[16][24];
    static size_t next;
    char *text = texts[next++ % 16];
    size_t unit = 0;
    while (size >= KIB && size % KIB == 0) {
        size /= KIB;
        unit++;
    }
    snprintf(text, sizeof texts[0], "%zu %s", size, units[unit]);
    return text;
}

MemoryPool *bench_filled_pool(size_t size, size_t block_size)
{
    static unsigned char data[1 << 20];
    MemoryPool *pool = pool_create(size, block_size);
    size_t offset;
    bench_require(pool != NULL, "pool_create");
    memset(data, 1, sizeof data);
    for (offset = 0; offset < size; offset += sizeof data) {
        bench_require(pool_write(pool, offset, data, sizeof data) > 0, "pool_write");
    }
    return pool;
}
