/* SPDX-License-Identifier: MIT */
/*
 * short_of_memory.c - random calls while allocations fail at random, for so long
 *
 *     tests/evidence/long/run short_of_memory [SECONDS [SEED]]   an hour by default
 *
 * Families of pools come and go; each is compared with its model (model.h) after every
 * call. A call of which an allocation failed must say POOL_NO_MEMORY and have changed
 * nothing, and every other must say what the model expects. When a family has ended
 * nothing of it may be left allocated.
 */
#include "internal.h"
#include "long.h"
#include "model_effects.h"

static struct Count {
    uint64_t families, calls, failed;
} count;

/* One in two calls has an allocation fail, if it comes so far. */
static void step(Model *m, Op *op, TestRandom *random)
{
    if (test_below(random, 16) == 0)
        (void)pool_trim(); /* so that cached memory does not hide allocations */
    op_random(m, random, op);
    fault_in = test_below(random, 2) == 0 ? 0 : 1 + test_below(random, 6);
    int armed = fault_in > 0;
    PoolStatus status = op_call(m, op);
    int fault = armed && fault_in == 0;
    fault_in = 0;
    if (fault) {
        CHECK_EQ_INT((int)status, POOL_NO_MEMORY);
        count.failed++;
    } else {
        op_expect(m, op, status);
        if (status == POOL_OK)
            op_apply(m, op);
    }
    model_check(m);
    count.calls++;
}

static void run_family(TestRandom *random)
{
    static const size_t block_sizes[] = {1, 16, 64, 1024, 65536, 4 << 20};
    static Model model;
    static Op op;
    size_t block_size = block_sizes[test_below(random, TEST_COUNT(block_sizes))];
    size_t size = block_size == 1 ? 100 : 300 + test_below(random, 1500);
    size_t base = test_below(random, 2) == 0 ? 0 : SIZE_MAX / 2 - size / 2;
    size_t total = base == 0 ? size : SIZE_MAX;
    size_t limit =
        test_below(random, 2) == 0 ? 0 : (size / block_size + 2) * block_size * 2;
    model_create(&model, total, block_size, limit, base, size);
    for (int i = 0; i < 300; i++)
        step(&model, &op, random);
    model_destroy(&model);
    check_nothing_live();
    count.families++;
}

int main(int argc, char **argv)
{
    double seconds = (double)long_argument(argc, argv, 1, 3600), begin = long_seconds();
    double next = seconds / 10;
    test_seed = long_argument(argc, argv, 2, 1);
    test_running = "short_of_memory";
    TestRandom random = {test_seed};
    size_t resident = 0;
    for (double now = 0; now < seconds; now = long_seconds() - begin) {
        run_family(&random);
        if (now < next)
            continue;
        next += seconds / 10;
        resident = resident == 0 ? long_resident() : resident;
        printf("%5.0f s: %llu families, %llu calls, %llu of them without memory, "
               "%.1f MiB resident\n",
               now, (unsigned long long)count.families, (unsigned long long)count.calls,
               (unsigned long long)count.failed, (double)long_resident() / 1048576);
        fflush(stdout);
        long_check_steady(resident, long_resident());
    }
    printf("%.0f s: %llu families, %llu calls, %llu of them without memory; contents, "
           "statistics and allocations right after each\n",
           seconds, (unsigned long long)count.families, (unsigned long long)count.calls,
           (unsigned long long)count.failed);
    CHECK(count.failed > count.calls / 100); /* else there was always enough */
    return 0;
}
