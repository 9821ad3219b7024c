/* SPDX-License-Identifier: MIT */
/*
 * main.c - the C benchmarks: a pool beside what people use today, in one run
 *
 *     cc -O2 -Ic -rdynamic -o bench benchmarks/c/[a-z]*.c c/memory_pool.c \
 *         -lpthread -lm -ldl && ./bench
 *
 * See usage() below, and benchmarks/README.md for what is measured and how.
 */
#include "bench.h"

#include <pthread.h>
#include <unistd.h>

BenchOptions bench_options = {.rounds = 7};

typedef struct Row {
    const char *name;
    const char *what;
    void (*run)(void);
} Row;

static const Row rows[] = {
    {"C1", "8 bytes, hot", row_hot},
    {"C2", "8 bytes, large", row_large},
    {"C3", "4 KiB, large", row_pages},
    {"C4", "64 KiB and 1 MiB, large", row_long},
    {"C5", "reading a hole of 4 KiB", row_holes},
    {"C6", "create and destroy, by total size", row_create},
    {"C7", "clone, by bytes held and by clones alive, beside fork", row_clone},
    {"C8", "first writes to a clone, beside fork", row_first},
    {"C9", "what changed, 1,000 blocks of 16 GiB", row_changes},
    {"C10", "bytes resident for isolated writes", row_resident},
    {"C11", "two threads against one", row_threads},
    {"C12", "filling a fresh pool, first in the process", row_fresh},
    {"C13", "create, write 256 MiB, destroy, again", row_steady},
    {"C14", "gather and scatter", row_batches},
    {"C15", "waits of short writes beside long ones", row_waits},
    {"C16", "bytes resident when most was discarded", row_left},
    {"C17", "huge pages: 8 bytes, first writes, bytes resident", row_huge},
    {"W1", "16 MiB pinned: written to, and put back", row_put_back},
    {"W2", "64 and 256 MiB pinned: written to, and put back", row_put_back_large},
    {"W3", "pinned memory written to: cloned, compared", row_pinned_clone},
    {"W4", "the same, most of it written", row_much_written},
    {"W5", "the same without the kernel's help", row_compare},
    {"W9", "a pin made, first cloned, released", row_pin_costs},
    {"D3", "two pools compared to the byte", row_difference},
    {"D4", "bytes looked for in a pool", row_find},
};

enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

static void usage(FILE *out)
{
    fputs("usage: bench [--rows C1,C7] [--rounds N] [--quick] [--full] [--threads]\n"
          "             [--json FILE]\n"
          "       bench --list\n"
          "  --rows    these rows alone\n"
          "  --rounds  7 or more unless --quick, at most 101; 7 without it\n"
          "  --quick   3 short rounds, to see that everything works\n"
          "  --full    also what takes 17 GiB of memory\n"
          "  --threads start an idle thread first: locks cost less in a process of one\n"
          "  --json    write the results to FILE as well\n",
          out);
}

static void wrong(const char *what, const char *value)
{
    fprintf(stderr, "bench: %s: %s\n", what, value);
    usage(stderr);
    exit(2);
}

/* Marks the rows that a list such as C1,C7 names. */
static void choose(char *list, bool *chosen)
{
    char *name, *rest = NULL;
    int i;
    for (name = strtok_r(list, ",", &rest); name != NULL;
         name = strtok_r(NULL, ",", &rest)) {
        for (i = 0; i < ROW_COUNT && strcmp(rows[i].name, name) != 0; i++) {
        }
        if (i == ROW_COUNT) {
            wrong("no such row", name);
        }
        chosen[i] = true;
    }
}

static void list_rows(void)
{
    int i;
    for (i = 0; i < ROW_COUNT; i++) {
        printf("%-4s %s\n", rows[i].name, rows[i].what);
    }
}

/* Takes one option; returns how many arguments it was. */
static int take_option(char **argument, bool *chosen, bool *some)
{
    char *value = argument[1];
    if (strcmp(*argument, "--quick") == 0) {
        bench_options.quick = true;
        return 1;
    }
    if (strcmp(*argument, "--full") == 0) {
        bench_options.full = true;
        return 1;
    }
    if (strcmp(*argument, "--threads") == 0) {
        bench_options.threads = true;
        return 1;
    }
    if (value == NULL) {
        wrong("unknown, or without its value", *argument);
    } else if (strcmp(*argument, "--rows") == 0) {
        choose(value, chosen);
        *some = true;
    } else if (strcmp(*argument, "--rounds") == 0) {
        bench_options.rounds = atoi(value);
    } else if (strcmp(*argument, "--json") == 0) {
        bench_options.json = fopen(value, "w");
        bench_require(bench_options.json != NULL, "opening the JSON file");
    } else {
        wrong("unknown option", *argument);
    }
    return 2;
}

static void *idle(void *unused)
{
    for (;;) {
        pause();
    }
    return unused;
}

/* From now on the process has more than one thread, for the C library as well. */
static void start_idle_thread(void)
{
    pthread_t thread;
    bench_require(pthread_create(&thread, NULL, idle, NULL) == 0, "pthread_create");
}

static bool starts_threads(const Row *row)
{
    return row->run == row_threads || row->run == row_waits;
}

/* Runs the chosen rows that start threads, or those that do not. */
static void run_rows(const bool *chosen, bool all, bool threads)
{
    int i;
    for (i = 0; i < ROW_COUNT; i++) {
        if ((all || chosen[i]) && starts_threads(&rows[i]) == threads) {
            rows[i].run();
            pool_trim();
        }
    }
}

int main(int argc, char **argv)
{
    bool chosen[ROW_COUNT] = {false}, some = false;
    int i;
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        list_rows();
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        usage(stdout);
        return 0;
    }
    if (argc >= 5 && strcmp(argv[1], COMPARE_ONLY) == 0) {
        bench_options.quick = strcmp(argv[2], "--quick") == 0;
        compare_only(argv[argc - 3], strtoull(argv[argc - 2], NULL, 10),
                     strtoull(argv[argc - 1], NULL, 10));
        return 0;
    }
    for (i = 1; i < argc;) {
        i += take_option(argv + i, chosen, &some);
    }
    if (bench_options.quick) {
        bench_options.rounds = 3;
    } else if (bench_options.rounds < 7 || bench_options.rounds > MOST_ROUNDS) {
        wrong("--rounds", "7 to 101");
    }
    if (bench_options.threads) {
        start_idle_thread();
    }
    report_begin();
    run_rows(chosen, !some, false);
    run_rows(chosen, !some, true);
    report_end();
    return 0;
}
