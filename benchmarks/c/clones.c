/* SPDX-License-Identifier: MIT */
/*
 * clones.c - C7: a clone, by bytes held and by clones alive, beside fork and a full copy
 */
#include "bench.h"

#include <sys/wait.h>
#include <unistd.h>

/* ---------------------------------------------------------------- by bytes held */

/* Microseconds for each of a hundred clones; their ends are not timed. */
static double time_clone(const void *context)
{
    MemoryPool *pool = *(MemoryPool *const *)context, *clones[100];
    double start = bench_now(), time;
    int i;
    for (i = 0; i < 100; i++) {
        clones[i] = pool_clone(pool);
    }
    time = (bench_now() - start) / 100;
    for (i = 0; i < 100; i++) {
        bench_require(clones[i] != NULL, "pool_clone");
        pool_destroy(clones[i]);
    }
    return time / 1e3;
}

/* Holds size bytes in blocks of 64 KiB of which one page each is there: the tree is that
 * of a full pool, the memory a sixteenth. */
static MemoryPool *sparse_pool(size_t size)
{
    MemoryPool *pool = pool_create(size, 64 * KIB);
    size_t offset;
    bench_require(pool != NULL, "pool_create");
    for (offset = 0; offset < size; offset += 64 * KIB) {
        bench_require(pool_write(pool, offset, "x", 1) == 1, "pool_write");
    }
    return pool;
}

static void clone_by_held(void)
{
    static const size_t sizes[] = {MIB, 16 * MIB, 256 * MIB, GIB, 4 * GIB, 16 * GIB};
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    MemoryPool *pools[COUNT + 1] = {NULL};
    Case it = {.row = "C7", .title = "clone, by bytes held", .unit = "us"};
    int i;
    for (i = 0; i < COUNT; i++) {
        bool large = sizes[i] >= GIB, huge = sizes[i] >= 16 * GIB;
        const char *name = bench_size(sizes[i]);
        if (large && bench_options.quick) {
            case_add_missing(&it, name, "left out by --quick");
        } else if (huge && !bench_options.full) {
            case_add_missing(&it, name, "only with --full");
        } else if (bench_memory_available() < sizes[i] + sizes[i] / 8) {
            case_add_missing(&it, name, "not enough memory");
        } else {
            pools[i] = bench_filled_pool(sizes[i], 4 * KIB);
            case_add(&it, name, time_clone, &pools[i])->scale = (double)sizes[i];
        }
    }
    if (!bench_options.quick) {
        pools[COUNT] = sparse_pool(16 * GIB);
        case_add(&it, "16 GiB, a page in each 64 KiB", time_clone, &pools[COUNT])->scale =
            16.0 * (double)GIB;
    }
    case_at_most(&it, EVERY, 3.0, ITSELF);
    case_at_most(&it, EVERY, 1.5, 0); /* "the same for all", on a machine with noise */
    bench_run(&it);
    for (i = 0; i <= COUNT; i++) {
        pool_destroy(pools[i]);
    }
    pool_trim();
}

/* ----------------------------------------------------------------- by clones alive */

static MemoryPool *origin;

/* Makes clones and hands them to end, which returns what is to be known. */
static double with_clones(size_t count, double (*end)(MemoryPool **clones, size_t count))
{
    MemoryPool **clones = malloc(count * sizeof *clones);
    double value;
    size_t i;
    bench_require(clones != NULL, "malloc");
    value = end(clones, count);
    for (i = 0; i < count; i++) {
        pool_destroy(clones[i]);
    }
    free(clones);
    return value;
}

static double time_alive(MemoryPool **clones, size_t count)
{
    double start = bench_now();
    size_t i;
    for (i = 0; i < count; i++) {
        clones[i] = pool_clone(origin);
    }
    start = bench_now() - start;
    bench_require(clones[count - 1] != NULL, "pool_clone");
    return start / (double)count / 1e3;
}

static double family_bytes(void)
{
    PoolStats stats = {.struct_size = offsetof(PoolStats, shared_blocks)};
    pool_stats(origin, &stats);
    return (double)(stats.metadata_bytes + stats.family_bytes);
}

static double bytes_alive(MemoryPool **clones, size_t count)
{
    double before = family_bytes();
    time_alive(clones, count);
    return (family_bytes() - before) / (double)count;
}

static double bytes_written(MemoryPool **clones, size_t count)
{
    double before = family_bytes();
    size_t i;
    time_alive(clones, count);
    for (i = 0; i < count; i++) {
        bench_require(pool_write(clones[i], i * 4 * KIB % (16 * MIB), "y", 1) == 1,
                      "pool_write");
    }
    return (family_bytes() - before) / (double)count;
}

/* Microseconds for a byte written to one clone after the other, each to a block of its own:
 * the first time it is the first write to that clone, the second time an ordinary one. */
static double time_writes(MemoryPool **clones, size_t count, int rounds)
{
    double start = 0;
    size_t i;
    int round;
    for (round = 0; round < rounds; round++) {
        start = bench_now();
        for (i = 0; i < count; i++) {
            pool_write(clones[i], i * 4 * KIB % (16 * MIB), "y", 1);
        }
        start = bench_now() - start;
    }
    return start / (double)count / 1e3;
}

static double time_first(MemoryPool **clones, size_t count)
{
    time_alive(clones, count);
    return time_writes(clones, count, 1);
}

static double time_again(MemoryPool **clones, size_t count)
{
    time_alive(clones, count);
    return time_writes(clones, count, 2);
}

/* The mean over as many rounds as make a thousand clones. */
static double mean_of(size_t count, double (*end)(MemoryPool **clones, size_t count))
{
    size_t repeats = 1 + 1000 / count, i;
    double time = 0;
    for (i = 0; i < repeats; i++) {
        time += with_clones(count, end);
    }
    return time / (double)repeats;
}

static double measure_time(const void *count)
{
    return mean_of(*(const size_t *)count, time_alive);
}

static double measure_first(const void *count)
{
    return mean_of(*(const size_t *)count, time_first);
}

static double measure_again(const void *count)
{
    return mean_of(*(const size_t *)count, time_again);
}

static double measure_bytes(const void *count)
{
    return with_clones(*(const size_t *)count, bytes_alive);
}

static double measure_written(const void *count)
{
    return with_clones(*(const size_t *)count, bytes_written);
}

static void clone_by_alive(const char *title, const char *unit, Measure measure,
                           bool fresh)
{
    static const size_t numbers[] = {1, 10, 100, 1000, 10000};
    static const char *const names[] = {"1", "10", "100", "1,000", "10,000"};
    Case it = {.row = "C7", .unit = unit, .reference = 2};
    int i;
    snprintf(it.title, sizeof it.title, "%s", title);
    for (i = 0; i < 5; i++) {
        Contender *contender = case_add(&it, names[i], measure, &numbers[i]);
        contender->scale = (double)numbers[i];
        contender->fresh = fresh; /* where memory that is kept would hide the cost */
    }
    bench_run(&it);
}

/* ------------------------------------------------------------------- beside peers */

/* In a child, so that the process that forks holds these 256 MiB and nothing else. */
static double fork_snapshot(const void *context)
{
    unsigned char *memory = aligned_alloc(4096, 256 * MIB);
    double start;
    pid_t child;
    (void)context;
    bench_require(memory != NULL, "aligned_alloc");
    memset(memory, 1, 256 * MIB);
    keep(memory);
    start = bench_now();
    child = fork();
    start = bench_now() - start;
    if (child == 0) {
        _exit(0);
    }
    bench_require(child > 0 && waitpid(child, NULL, 0) == child, "fork");
    return start / 1e3;
}

static double clone_snapshot(const void *context)
{
    MemoryPool *pool = bench_filled_pool(256 * MIB, 4 * KIB), *clone;
    double start = bench_now();
    clone = pool_clone(pool);
    start = bench_now() - start;
    bench_require(clone != NULL, "pool_clone");
    return context == NULL ? start / 1e3 : time_clone(&pool);
}

static double copy_snapshot(const void *context)
{
    unsigned char *memory = aligned_alloc(4096, 256 * MIB);
    unsigned char *copy = aligned_alloc(4096, 256 * MIB);
    double start;
    bench_require(memory != NULL && copy != NULL, "aligned_alloc");
    memset(memory, 1, 256 * MIB);
    keep(memory);
    if (context != NULL) { /* into memory that is there */
        memset(copy, 1, 256 * MIB);
        keep(copy);
    }
    start = bench_now();
    memcpy(copy, memory, 256 * MIB);
    keep(copy);
    return (bench_now() - start) / 1e3;
}

static void clone_beside_peers(void)
{
    Case it = {.row = "C7",
               .title = "snapshot of 256 MiB, in a fresh process",
               .unit = "us",
               .reference = 2};
    case_add(&it, "pool, the first clone", clone_snapshot, NULL)->fresh = true;
    case_add(&it, "pool, one of 100 more", clone_snapshot, "")->fresh = true;
    case_add(&it, "fork", fork_snapshot, NULL)->fresh = true;
    case_add(&it, "memcpy into memory that is there", copy_snapshot, "")->fresh = true;
    case_add(&it, "memcpy into fresh memory", copy_snapshot, NULL)->fresh = true;
    case_at_most(&it, 0, 0.001, 2);
    case_at_most(&it, 1, 0.001, 2);
    bench_run(&it);
}

void row_clone(void)
{
    clone_by_held();
    clone_beside_peers();
    origin = bench_filled_pool(16 * MIB, 4 * KIB);
    clone_by_alive("clone of 16 MiB, by clones alive at the end", "us", measure_time,
                   false);
    clone_by_alive("bytes for each clone alive, of 16 MiB", "bytes", measure_bytes, true);
    clone_by_alive("the same, each with one byte written, 4 KiB blocks", "bytes",
                   measure_written, true);
    clone_by_alive("first write to a clone of 16 MiB, by clones alive", "us",
                   measure_first, false);
    clone_by_alive("write to a block of its own, by clones alive", "us", measure_again,
                   false);
    pool_destroy(origin);
}
