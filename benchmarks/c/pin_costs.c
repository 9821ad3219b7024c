/* SPDX-License-Identifier: MIT */
/* pin_costs.c - W9: a pin of 64 MiB in blocks of 4 KiB is made, cloned, released */
#include "bench.h"

enum { BLOCK = 4096 };

#define SPAN (64 * MIB)

typedef enum PinStep { MAKE, FIRST_CLONE, RELEASE, MAKE_AGAIN } PinStep;

/* What is pinned, and what is timed. */
typedef struct Pinning {
    bool data; /* else one hole */
    PinStep step;
} Pinning;

static double since(double start)
{
    return (bench_now() - start) / 1e3;
}

static double make(MemoryPool *pool, PoolView *pin)
{
    double start = bench_now();
    bench_require(pool_pin(pool, 0, SPAN, pin) == POOL_OK && pin->size == SPAN,
                  "pool_pin");
    return since(start);
}

static double release(PoolView *pin)
{
    double start = bench_now();
    pool_view_release(pin);
    return since(start);
}

static double first_clone(MemoryPool *pool)
{
    double start = bench_now(), time;
    MemoryPool *clone = pool_clone(pool);
    time = since(start);
    bench_require(clone != NULL, "pool_clone");
    pool_destroy(clone);
    return time;
}

static double time_step(const void *context)
{
    const Pinning *it = context;
    MemoryPool *pool =
        it->data ? bench_filled_pool(SPAN, BLOCK) : pool_create(SPAN, BLOCK);
    PoolView pin = {.struct_size = sizeof pin};
    double time;
    bench_require(pool != NULL, "pool_create");
    time = make(pool, &pin);
    if (it->step == FIRST_CLONE) {
        time = first_clone(pool);
    } else if (it->step != MAKE) {
        double released = release(&pin);
        time = it->step == RELEASE ? released : make(pool, &pin);
    }
    pool_view_release(&pin);
    pool_destroy(pool);
    return time;
}

static double time_copy(const void *fresh)
{
    unsigned char *from = aligned_alloc(BLOCK, SPAN), *to = aligned_alloc(BLOCK, SPAN);
    double start;
    bench_require(from != NULL && to != NULL, "aligned_alloc");
    memset(from, 1, SPAN);
    keep(from);
    if (fresh == NULL) {
        memset(to, 1, SPAN);
        keep(to);
    }
    start = bench_now();
    memcpy(to, from, SPAN);
    keep(to);
    start = since(start);
    free(from);
    free(to);
    return start;
}

void row_pin_costs(void)
{
    static const Pinning holes[] = {
        {false, MAKE}, {false, FIRST_CLONE}, {false, RELEASE}, {false, MAKE_AGAIN}};
    static const Pinning data[] = {
        {true, MAKE}, {true, FIRST_CLONE}, {true, RELEASE}, {true, MAKE_AGAIN}};
    static const char *const names[] = {"pool_pin", "the first clone", "the release",
                                        "pool_pin, once more"};
    Case of_holes = {.row = "W9", .title = "64 MiB of holes pinned", .unit = "us"};
    Case of_data = {.row = "W9", .title = "64 MiB of data pinned", .unit = "us"};
    int i;
    of_data.reference = 4;
    for (i = 0; i < 4; i++) {
        case_add(&of_holes, names[i], time_step, &holes[i])->fresh = true;
        case_add(&of_data, names[i], time_step, &data[i])->fresh = true;
    }
    case_add(&of_data, "memcpy into fresh memory", time_copy, "")->fresh = true;
    case_add(&of_data, "memcpy into memory that is there", time_copy, NULL)->fresh = true;
    case_at_most(&of_holes, 0, 1000, ITSELF);
    case_at_most(&of_data, 0, 1.3, 4);
    bench_run(&of_holes);
    bench_run(&of_data);
}
