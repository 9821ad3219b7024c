/* SPDX-License-Identifier: MIT */
/*
 * snapshots.c - C8: first writes after a snapshot, to a clone and after fork
 *
 * 10,000 bytes are written at random places of 256 MiB, each in a page or block of 4 KiB
 * of its own but for chance. Every contender works in a fresh process, which holds these
 * 256 MiB and nothing else. "Steady" is the mean of five rounds after five that
 * are not timed, "the very first" is what it says.
 */
#include "bench.h"

#include <sys/wait.h>
#include <unistd.h>

enum { WRITES = 10000, BLOCK = 4096 };

#define SPAN (256 * MIB)

/* Which part of a round is timed, how many rounds come before, and how many are timed. */
typedef struct Part {
    bool whole; /* the snapshot and its end as well */
    int before, count;
} Part;

static double clone_round(MemoryPool *pool, bool whole, uint64_t *state)
{
    double start = bench_now(), writes, end;
    MemoryPool *clone = pool_clone(pool);
    int i;
    bench_require(clone != NULL, "pool_clone");
    writes = bench_now();
    for (i = 0; i < WRITES; i++) {
        pool_write(clone, random_place(state, SPAN, BLOCK), "x", 1);
    }
    end = bench_now();
    pool_destroy(clone);
    return (whole ? bench_now() - start : end - writes) / WRITES;
}

static double clone_writes(const void *context)
{
    const Part *part = context;
    MemoryPool *pool = bench_filled_pool(SPAN, BLOCK);
    uint64_t state = RANDOM_SEED;
    double time = 0;
    int i;
    for (i = 0; i < part->before; i++) {
        clone_round(pool, false, &state);
    }
    for (i = 0; i < part->count; i++) {
        time += clone_round(pool, part->whole, &state);
    }
    return time / part->count;
}

/* The parent writes while the child lives, and holds the pages as they were. */
static double fork_round(unsigned char *memory, bool whole, uint64_t *state)
{
    double start = bench_now(), writes, end;
    int ends[2], i;
    pid_t child;
    bench_require(pipe(ends) == 0, "pipe");
    child = fork();
    if (child == 0) {
        char byte;
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) != 0);
    }
    bench_require(child > 0, "fork");
    writes = bench_now();
    for (i = 0; i < WRITES; i++) {
        memory[random_place(state, SPAN, BLOCK)] = 'x';
    }
    keep(memory);
    end = bench_now();
    close(ends[0]);
    close(ends[1]);
    bench_require(waitpid(child, NULL, 0) == child, "waitpid");
    return (whole ? bench_now() - start : end - writes) / WRITES;
}

static double fork_writes(const void *context)
{
    const Part *part = context;
    unsigned char *memory = aligned_alloc(BLOCK, SPAN);
    uint64_t state = RANDOM_SEED;
    double time = 0;
    int i;
    bench_require(memory != NULL, "aligned_alloc");
    memset(memory, 1, SPAN);
    keep(memory);
    for (i = 0; i < part->before; i++) {
        fork_round(memory, false, &state);
    }
    for (i = 0; i < part->count; i++) {
        time += fork_round(memory, part->whole, &state);
    }
    return time / part->count;
}

void row_first(void)
{
    static const Part steady = {false, 5, 5}, first = {false, 0, 1}, whole = {true, 5, 5};
    Case it = {.row = "C8",
               .title = "a byte written to a snapshot of 256 MiB, one of 10,000",
               .unit = "ns",
               .reference = 2};
    case_add(&it, "pool, steady", clone_writes, &steady)->fresh = true;
    case_add(&it, "pool, the very first round", clone_writes, &first)->fresh = true;
    case_add(&it, "fork, steady", fork_writes, &steady)->fresh = true;
    case_add(&it, "fork, the very first round", fork_writes, &first)->fresh = true;
    case_add(&it, "pool, clone and drop included", clone_writes, &whole)->fresh = true;
    case_add(&it, "fork, fork and end included", fork_writes, &whole)->fresh = true;
    case_at_most(&it, 0, 0.5, 2);
    case_at_most(&it, 1, 1.3, 3);
    bench_run(&it);
}
