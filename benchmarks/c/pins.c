/* SPDX-License-Identifier: MIT */
/*
 * pins.c - W1 to W5: a pool that is pinned in full, in blocks of 4 KiB
 *
 * The caller writes to some pages through the pin. Then a restore puts them back, a clone
 * keeps them, or the pool says which they were. Each contender works in a process of its
 * own, which holds its memory and nothing else: fork copies the page tables of all of it.
 */
#include "pins.h"

#include <unistd.h>

enum { BLOCK = 4096, HISTORY = 8 };

/* -------------------------------------------------------------------- the pool's */

typedef struct PinnedPool {
    MemoryPool *pool, *saved;
    MemoryPool *history[HISTORY]; /* the last clones, which are kept */
    size_t next, pages;
    PoolView pin;
} PinnedPool;

static PinnedPool pinned_make(size_t size)
{
    PinnedPool it = {.pool = bench_filled_pool(size, BLOCK),
                     .pin = {.struct_size = sizeof it.pin}};
    bench_require(pool_pin(it.pool, 0, size, &it.pin) == POOL_OK && it.pin.size == size,
                  "pool_pin");
    it.saved = pool_clone(it.pool);
    bench_require(it.saved != NULL, "pool_clone");
    return it;
}

/* Where nothing is put back, nothing is saved either: a clone that lives would have each
 * later one make new frozen copies. */
static double pinned_rounds(const PinJob *job, void (*act)(void *), void (*after)(void *),
                            bool puts_back)
{
    PinnedPool it = pinned_make(job->size);
    PinWork work = {it.pin.data, act, after, &it, puts_back};
    it.pages = job->pages;
    if (!puts_back) {
        pool_destroy(it.saved);
    }
    return pin_rounds(job, &work);
}

static void restore(void *context)
{
    PinnedPool *it = context;
    bench_require(pool_restore(it->pool, it->saved) == POOL_OK, "pool_restore");
}

static double pool_put_back(const void *job)
{
    return pinned_rounds(job, restore, NULL, true);
}

static void clone_and_drop(void *context)
{
    PinnedPool *it = context;
    MemoryPool *clone = pool_clone(it->pool);
    bench_require(clone != NULL, "pool_clone");
    pool_destroy(clone);
}

static double pool_cloned_dropped(const void *job)
{
    return pinned_rounds(job, clone_and_drop, NULL, false);
}

static void clone_and_keep(void *context)
{
    PinnedPool *it = context;
    it->history[it->next] = pool_clone(it->pool);
    bench_require(it->history[it->next] != NULL, "pool_clone");
    it->next = (it->next + 1) % HISTORY;
}

static void drop_oldest(void *context)
{
    PinnedPool *it = context;
    pool_destroy(it->history[it->next]);
    it->history[it->next] = NULL;
}

static double pool_cloned_kept(const void *job)
{
    return pinned_rounds(job, clone_and_keep, drop_oldest, false);
}

static void find_changes(void *context)
{
    PinnedPool *it = context;
    size_t at, start, size, found = 0;
    for (at = 0; pool_next_change(it->pool, it->saved, at, SIZE_MAX, &start, &size) == 1;
         at = start + size) {
        found += size;
    }
    bench_require(found == it->pages * BLOCK, "finding what was written");
}

static double pool_changes(const void *job)
{
    return pinned_rounds(job, find_changes, restore, true);
}

/* ------------------------------------------------------ the same jobs without a pin */

typedef struct CalledPool {
    MemoryPool *pool, *saved;
    uint64_t state;
} CalledPool;

static void write_by_calls(MemoryPool *pool, const PinJob *job, uint64_t *state)
{
    size_t i;
    for (i = 0; i < job->pages; i++) {
        bench_require(pool_write(pool, random_place(state, job->size, PAGE), "x", 1) == 1,
                      "pool_write");
    }
}

static void calls_and_restore(CalledPool *it, const PinJob *job)
{
    write_by_calls(it->pool, job, &it->state);
    bench_require(pool_restore(it->pool, it->saved) == POOL_OK, "pool_restore");
}

static void clone_for_calls(CalledPool *it, const PinJob *job)
{
    MemoryPool *clone = pool_clone(it->saved);
    bench_require(clone != NULL, "pool_clone");
    write_by_calls(clone, job, &it->state);
    pool_destroy(clone);
}

static double called_rounds(const PinJob *job, void (*once)(CalledPool *, const PinJob *))
{
    CalledPool it = {bench_filled_pool(job->size, BLOCK), NULL, RANDOM_SEED};
    int count = bench_options.quick ? 10 : 1000, i;
    double start = 0;
    it.saved = pool_clone(it.pool);
    bench_require(it.saved != NULL, "pool_clone");
    for (i = -10; i < count; i++) {
        start = i == 0 ? bench_now() : start;
        once(&it, job);
    }
    return (bench_now() - start) / count / 1e3;
}

static double called_put_back(const void *job)
{
    return called_rounds(job, calls_and_restore);
}

static double called_on_clones(const void *job)
{
    return called_rounds(job, clone_for_calls);
}

/* -------------------------------------------------------------------- W1, W2, W3 */

static void add_fresh(Case *it, const char *name, Measure measure, const PinJob *job)
{
    case_add(it, name, measure, job)->fresh = true;
}

static void add_scan(Case *it, const char *name, Measure measure, const PinJob *job)
{
    const char *missing = put_back_by_scan_missing();
    if (missing == NULL) {
        add_fresh(it, name, measure, job);
    } else {
        case_add_missing(it, name, missing);
    }
}

/* The floor is the reference of the case that it is added to first. */
static void add_floor(Case *it, const PinJob *job)
{
    add_scan(it, "scan, copy back, protect: the floor", put_back_by_scan, job);
}

/* What was written is put back: by itself, and with the writes, of which some peers make
 * faults. The bounds are parts of the peers' times. */
static void put_back_case(const char *row, size_t size, size_t pages, double of_floor,
                          double of_copy, double of_faults, double of_fork)
{
    PinJob back = {size, pages, false}, all = {size, pages, true};
    Case it = {.row = row, .unit = "us"}, whole = {.row = row, .unit = "us"};
    snprintf(it.title, sizeof it.title, "%s pinned, %zu pages written: put back",
             bench_size(size), pages);
    add_floor(&it, &back);
    add_fresh(&it, "pool_restore", pool_put_back, &back);
    add_fresh(&it, "memcpy of all", put_back_by_memcpy, &back);
    add_fresh(&it, "memcmp, memcpy of what differs", put_back_by_memcmp, &back);
    case_at_most(&it, 1, of_floor, 0);
    case_at_most(&it, 1, of_copy, 2);
    bench_run(&it);

    snprintf(whole.title, sizeof whole.title, "the same with the writes");
    add_floor(&whole, &all);
    add_fresh(&whole, "pool_restore", pool_put_back, &all);
    add_fresh(&whole, "memcpy of all", put_back_by_memcpy, &all);
    add_fresh(&whole, "memcmp, memcpy of what differs", put_back_by_memcmp, &all);
    add_fresh(&whole, "SIGSEGV, mprotect", put_back_by_faults, &all);
    add_fresh(&whole, "fork, the child writes and ends", put_back_by_fork, &all);
    add_fresh(&whole, "pool_write, pool_restore, no pin", called_put_back, &all);
    add_fresh(&whole, "pool_clone, pool_write, the end", called_on_clones, &all);
    if (of_faults > 0) {
        case_at_most(&whole, 1, of_faults, 4);
        case_at_most(&whole, 1, of_fork, 5);
    }
    bench_run(&whole);
}

void row_put_back(void)
{
    put_back_case("W1", 16 * MIB, 10, 1.3, 1.0 / 15, 1.0 / 3, 1.0 / 40);
}

void row_put_back_large(void)
{
    put_back_case("W2", 64 * MIB, 100, 1.4, 1.0 / 10, 0, 0);
    if (!bench_options.quick) {
        put_back_case("W2", 256 * MIB, 100, 1.4, 1.0 / 25, 0, 0);
    }
}

static void clone_case(size_t size, size_t pages)
{
    PinJob job = {size, pages, false};
    Case it = {.row = "W3", .unit = "us"};
    snprintf(it.title, sizeof it.title, "%s pinned, %zu pages written: cloned, compared",
             bench_size(size), pages);
    add_floor(&it, &job);
    add_fresh(&it, "pool_clone, dropped", pool_cloned_dropped, &job);
    add_fresh(&it, "pool_clone, the last 8 kept", pool_cloned_kept, &job);
    add_fresh(&it, "pool_next_change, all of them", pool_changes, &job);
    add_fresh(&it, "memcpy of all", put_back_by_memcpy, &job);
    add_scan(&it, "a scan for each page, memcmp", find_by_scans, &job);
    case_at_most(&it, 1, 1.0, 0);
    case_at_most(&it, 2, 2.0, 0);
    case_at_most(&it, 3, 2.0, 0);
    bench_run(&it);
}

void row_pinned_clone(void)
{
    clone_case(16 * MIB, 10);
    clone_case(64 * MIB, 100);
    if (!bench_options.quick) {
        clone_case(256 * MIB, 100);
    }
}

/* ---------------------------------------------------------------------------- W4 */

static void much_case(size_t size, size_t part, const char *words)
{
    PinJob job = {size, size / PAGE / part, false};
    Case it = {.row = "W4", .unit = "us"};
    snprintf(it.title, sizeof it.title, "%s pinned, %s of the pages written",
             bench_size(size), words);
    add_fresh(&it, "memcpy of all", put_back_by_memcpy, &job);
    add_fresh(&it, "pool_restore", pool_put_back, &job);
    add_fresh(&it, "pool_clone, dropped", pool_cloned_dropped, &job);
    add_fresh(&it, "pool_clone, the last 8 kept", pool_cloned_kept, &job);
    add_fresh(&it, "memcpy of each page", put_back_by_pages, &job);
    add_fresh(&it, "memcmp, memcpy of what differs", put_back_by_memcmp, &job);
    case_at_most(&it, 1, 1.0, 0);
    case_at_most(&it, 2, 1.0, 0);
    case_at_most(&it, 3, 1.5, 0);
    bench_run(&it);
}

void row_much_written(void)
{
    static const struct Part {
        size_t part;
        const char *words;
    } parts[] = {{16, "a sixteenth"}, {4, "a quarter"}, {2, "half"}, {1, "all"}};
    size_t i;
    for (i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        much_case(16 * MIB, parts[i].part, parts[i].words);
        if (!bench_options.quick) {
            much_case(64 * MIB, parts[i].part, parts[i].words);
        }
    }
}

/* ---------------------------------------------------------------------------- W5 */

/* The library reads POOL_WRITTEN_PAGES once, and this process may have done so by now. So
 * the child becomes another program: this one, with the arguments for compare_only. */
static double by_comparing(const PinJob *job, const char *what)
{
    char program[1024], command[1200];
    double value = NAN;
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    FILE *output;
    bench_require(length > 0, "/proc/self/exe");
    program[length] = '\0';
    snprintf(command, sizeof command, "POOL_WRITTEN_PAGES=none '%s' %s%s %s %zu %zu",
             program, COMPARE_ONLY, bench_options.quick ? " --quick" : "", what,
             job->size, job->pages);
    output = popen(command, "r");
    bench_require(output != NULL && fscanf(output, "%lf", &value) == 1 &&
                      pclose(output) == 0,
                  "a process without page tracking");
    return value;
}

void compare_only(const char *what, size_t size, size_t pages)
{
    PinJob job = {size, pages, false};
    MemoryPool *pool = pool_create(1, 1);
    PoolStats stats = {.struct_size = sizeof stats};
    pool_stats(pool, &stats);
    pool_destroy(pool);
    bench_require(stats.page_tracking == POOL_TRACKING_COMPARE, "POOL_WRITTEN_PAGES");
    printf("%.17g\n", strcmp(what, "restore") == 0 ? pool_put_back(&job)
                                                   : pool_cloned_dropped(&job));
}

static double compared_back(const void *job)
{
    return by_comparing(job, "restore");
}

static double compared_clone(const void *job)
{
    return by_comparing(job, "clone");
}

void row_compare(void)
{
    static const size_t pages[] = {10, 100, 1000};
    size_t i;
    for (i = 0; i < 3; i++) {
        PinJob job = {64 * MIB, pages[i], false};
        Case it = {.row = "W5", .unit = "us"};
        snprintf(it.title, sizeof it.title,
                 "64 MiB pinned, %zu pages written, without the kernel's help", pages[i]);
        add_fresh(&it, "memcmp, memcpy of what differs", put_back_by_memcmp, &job);
        case_add(&it, "pool_restore", compared_back, &job);
        case_add(&it, "pool_clone, dropped", compared_clone, &job);
        case_at_most(&it, 1, 1.3, 0);
        case_at_most(&it, 2, 1.3, 0);
        bench_run(&it);
    }
}
