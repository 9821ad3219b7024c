/* SPDX-License-Identifier: MIT */
/*
 * steady.c - random calls without end, and memory that does not grow
 *
 *     tests/evidence/long/run steady [CALLS [faults [SEED]]]    100,000,000 calls by default
 *
 * Eight threads work on one pool, on clones of it and of one another, and on views, pins
 * and adopted memory. What they hold is bounded, so that resident memory must become
 * constant. With `faults`, allocations fail all the time: then calls may return
 * POOL_NO_MEMORY, and everything else must hold.
 *
 * Bytes [0, SPAN) of every pool are only ever written to as a whole, with one value: a
 * thread that sees two has seen half a call. The rest is written to at random.
 */
#include "long.h"
#include "test_threads.h"

#include <stdatomic.h>

enum {
    BLOCK = 4096,
    BLOCKS = 256,
    TOTAL = BLOCK * BLOCKS,
    SPAN = 2 * BLOCK + 100,
    THREADS = 8,
    OWN = 3,
    MOST = 3 * BLOCK,
    KINDS = 20
};

static MemoryPool *shared, *start;
static uint64_t calls;
static int faults;
static atomic_ullong done, failed, lent, returned;

typedef struct Worker {
    TestThread thread;
    TestRandom random;
    MemoryPool *own[OWN];
    PoolView views[OWN];
    unsigned char bytes[MOST];
} Worker;

static Worker workers[THREADS];

/* Calls may fail for lack of memory if faults were requested, and for no other reason. */
static int went_well(void)
{
    PoolStatus status = pool_last_status();
    if (faults && status == POOL_NO_MEMORY) {
        atomic_fetch_add(&failed, 1);
        return 0;
    }
    CHECK_STATUS(POOL_OK);
    return 1;
}

static void check_span(MemoryPool *pool, unsigned char *bytes)
{
    CHECK_EQ_SIZE(pool_read(pool, bytes, 0, SPAN), SPAN);
    CHECK_BYTES(bytes, bytes[0], SPAN);
}

static void come_back(void *data, size_t size, void *context)
{
    (void)size, (void)context;
    free(data);
    atomic_fetch_add(&returned, 1);
}

/* Lends two blocks and a bit. */
static void adopt(Worker *w, MemoryPool *pool, size_t at)
{
    void *data = test_alloc(MOST);
    memset(data, 0x5a, MOST);
    (void)pool_adopt(pool, at, data, MOST, come_back, NULL);
    if (went_well())
        atomic_fetch_add(&lent, 1);
    else
        free(data);
    (void)w;
}

static void scatter_and_gather(Worker *w, MemoryPool *pool)
{
    enum { ITEMS = 40 };
    size_t offsets[ITEMS];
    for (size_t i = 0; i < ITEMS; i++)
        offsets[i] = SPAN + test_below(&w->random, TOTAL - SPAN - 8);
    (void)pool_scatter(pool, offsets, w->bytes, ITEMS, 8);
    (void)went_well();
    CHECK(pool_gather(pool, w->bytes, offsets, ITEMS, 8) == POOL_OK);
}

/* A pool or a view in one of the worker's places, in place of what is there. */
static void replace_own(Worker *w, MemoryPool *pool, size_t place)
{
    MemoryPool *clone = pool_clone(pool);
    if (went_well()) {
        pool_destroy(w->own[place]);
        w->own[place] = clone;
    }
}

static void replace_view(Worker *w, MemoryPool *pool, size_t place, size_t at, int pins)
{
    PoolView *view = &w->views[place];
    pool_view_release(view);
    (void)(pins ? pool_pin(pool, at, 100, view) : pool_view(pool, at, 100, view));
    (void)went_well();
}

static void write_span(Worker *w, MemoryPool *pool)
{
    memset(w->bytes, (int)test_below(&w->random, 256), SPAN);
    (void)pool_write(pool, 0, w->bytes, SPAN);
    (void)went_well();
}

/* One random call, or two. Sizes are small, mostly. */
static void call(Worker *w)
{
    TestRandom *random = &w->random;
    size_t place = test_below(random, OWN), other = test_below(random, OWN);
    MemoryPool *pool = test_below(random, 2) == 0 ? shared : w->own[place];
    size_t most = test_below(random, 8) == 0 ? MOST : 64;
    size_t size = 1 + test_below(random, most);
    size_t at = SPAN + test_below(random, TOTAL - SPAN - MOST);
    uint64_t old;
    switch (test_below(random, KINDS * 4)) {
    case 0: replace_own(w, pool, other); return;
    case 1: replace_view(w, pool, other, at, 0); return;
    case 2: replace_view(w, pool, other, at, 1); return;
    case 3: (void)pool_restore(pool, w->own[other]); break;
    case 4: (void)pool_copy(pool, at, w->own[other], at, size); break;
    case 5: adopt(w, pool, at); return;
    case 6: scatter_and_gather(w, pool); return;
    case 7: (void)pool_restore(pool, start); break;
    case 8:
        if (test_below(random, 64) == 0)
            (void)pool_trim();
        return;
    case 9:
    case 10:
    case 11: write_span(w, pool); return;
    case 12:
    case 13:
    case 14:
    case 15: check_span(pool, w->bytes); return;
    case 16:
    case 17: (void)pool_fetch_add(pool, at, 8, 1, &old); break;
    case 18:
    case 19: (void)pool_fill(pool, at, (int)size & 255, size); break;
    case 20:
    case 21:
    case 22: (void)pool_discard(pool, at, size); break;
    case 23: (void)pool_take(pool, w->bytes, at, size); break;
    default:
        if (test_below(random, 2) == 0)
            (void)pool_write(pool, at, w->bytes, size);
        else
            (void)pool_read(pool, w->bytes, at, size);
    }
    (void)went_well();
}

static void work(void *argument)
{
    enum { AT_ONCE = 100 };
    Worker *w = argument;
    for (size_t i = 0; i < OWN; i++)
        w->views[i].struct_size = sizeof w->views[i];
    while (atomic_fetch_add(&done, AT_ONCE) < calls) {
        for (int i = 0; i < AT_ONCE; i++) {
            if (faults && i % 10 == 0)
                (void)pool_fail_allocation(1 + test_below(&w->random, 20));
            call(w);
        }
    }
    for (size_t i = 0; i < OWN; i++) {
        pool_view_release(&w->views[i]);
        check_span(w->own[i], w->bytes);
        pool_destroy(w->own[i]);
    }
}

/* --------------------------------------------------------------- resident memory */

static size_t print_resident(const char *when, double begin)
{
    PoolStats stats = {.struct_size = offsetof(PoolStats, shared_blocks)};
    size_t resident = long_resident();
    pool_stats(start, &stats);
    printf(
        "%-6s %7.1f MiB resident, %6.1f MiB in blocks, %5.1f of bookkeeping, %5.1f kept; "
        "%.0f s\n",
        when, (double)resident / 1048576, (double)stats.family_bytes / 1048576,
        (double)stats.metadata_bytes / 1048576, (double)stats.cached_bytes / 1048576,
        long_seconds() - begin);
    fflush(stdout);
    return resident;
}

/* Prints at each tenth; the most from the second to the fifth, and from the sixth on. */
static void watch_resident(double begin, size_t *before, size_t *after)
{
    char when[16];
    for (unsigned tenth = 1; tenth <= 10; tenth++) {
        while (atomic_load(&done) < calls / 10 * tenth)
            usleep(1000);
        (void)snprintf(when, sizeof when, "%u %%", tenth * 10);
        size_t resident = print_resident(when, begin);
        size_t *most = tenth <= 5 ? before : after;
        if (tenth > 1 && resident > *most)
            *most = resident;
    }
}

int main(int argc, char **argv)
{
    double begin = long_seconds();
    size_t before = 0, after = 0;
    calls = long_argument(argc, argv, 1, 100000000);
    faults = argc > 2 && strcmp(argv[2], "faults") == 0;
    test_seed = long_argument(argc, argv, 3, 1);
    test_running = "steady";
    start = pool_create(TOTAL, BLOCK);
    shared = pool_clone(start);
    CHECK(shared != NULL);
    (void)print_resident("begin", begin);
    for (size_t i = 0; i < THREADS; i++) {
        workers[i].random.state = test_seed * 1000003 + i;
        for (size_t k = 0; k < OWN; k++)
            CHECK((workers[i].own[k] = pool_clone(start)) != NULL);
    }
    for (size_t i = 0; i < THREADS; i++)
        test_thread_start(&workers[i].thread, work, &workers[i]);
    watch_resident(begin, &before, &after);
    for (size_t i = 0; i < THREADS; i++)
        test_thread_join(&workers[i].thread);
    (void)pool_fail_allocation(0);
    pool_destroy(shared);
    (void)pool_trim();
    (void)print_resident("end", begin);
    PoolStats stats = {.struct_size = sizeof stats};
    pool_stats(start, &stats);
    CHECK_EQ_SIZE(stats.family_bytes, 0);
    CHECK_EQ_SIZE(stats.family_pools, 1);
    CHECK_EQ_SIZE(stats.family_views, 0);
    CHECK_EQ_SIZE(stats.adopted_blocks, 0);
    CHECK(atomic_load(&lent) == atomic_load(&returned));
    pool_destroy(start);
    printf(
        "%llu calls by %d threads, %llu of them without memory, %llu loans, all of them "
        "back\n",
        (unsigned long long)calls, THREADS, (unsigned long long)atomic_load(&failed),
        (unsigned long long)atomic_load(&lent));
    long_check_steady(before, after);
    CHECK(!faults || atomic_load(&failed) > 0);
    return 0;
}
