/* SPDX-License-Identifier: MIT */
/*
 * test_faults.c - the N-th allocation fails, for every N
 *
 * A call is made with its first allocation failing, then its second, and so on until it
 * gets through. After each failure everything must be as before the call, by the model
 * (model.h) and by the statistics; in the end nothing may be left allocated.
 */
#include "internal.h"
#include "model.h"

static PoolStats stats_of(MemoryPool *pool)
{
    PoolStats stats = {.struct_size = sizeof stats};
    pool_stats(pool, &stats);
    CHECK_STATUS(POOL_OK);
    return stats;
}

/* What a failed call must leave alone, beyond what the model knows. */
static void check_stats_same(PoolStats a, PoolStats b)
{
    CHECK_EQ_SIZE(a.held_blocks, b.held_blocks);
    CHECK_EQ_SIZE(a.shared_blocks, b.shared_blocks);
    CHECK_EQ_SIZE(a.copied_blocks, b.copied_blocks);
    CHECK_EQ_SIZE(a.family_bytes, b.family_bytes);
    CHECK_EQ_SIZE(a.family_peak_bytes, b.family_peak_bytes);
    CHECK_EQ_SIZE(a.family_pools, b.family_pools);
}

/* Makes one call with every fault there is, then without; returns how many faults it
 * had. Memory that is kept would hide allocations, so it goes before each try. */
static size_t step_with_faults(Model *m, const Op *op)
{
    static Op attempt;
    for (size_t n = 1;; n++) {
        PoolStats before = stats_of(m->pools[op->pool].pool);
        attempt = *op;
        (void)pool_trim();
        fault_in = n;
        PoolStatus status = op_call(m, &attempt);
        int failed = fault_in == 0;
        fault_in = 0;
        if (!failed) {
            op_expect(m, &attempt, status);
            if (status == POOL_OK)
                op_apply(m, &attempt);
            model_check(m);
            return n - 1;
        }
        /* No call goes on without memory that it asked for, so the fault is told. */
        CHECK_EQ_INT((int)status, POOL_NO_MEMORY);
        check_stats_same(stats_of(m->pools[op->pool].pool), before);
        model_check(m);
    }
}

static void run_faults(TestRandom *random, size_t total, size_t max_block_size,
                       size_t limit, size_t base, size_t size)
{
    static Model model;
    static Op op;
    size_t faults = 0, faults_of[OP_KINDS] = {0};
    model_create(&model, total, max_block_size, limit, base, size);
    for (unsigned i = 0; i < test_times(400); i++) {
        op_random(&model, random, &op);
        size_t had = step_with_faults(&model, &op);
        faults_of[op.kind] += had;
        faults += had;
    }
    CHECK_LE_SIZE(1, faults); /* else nothing was tested */
    CHECK_EQ_SIZE(faults_of[OP_READ], 0);
    CHECK_EQ_SIZE(faults_of[OP_RESTORE], 0);
    CHECK_EQ_SIZE(faults_of[OP_DESTROY], 0);
    model_destroy(&model);
    check_nothing_live();
}

TEST(small_blocks)
{
    TestRandom random = {test_seed};
    run_faults(&random, 200, 1, 0, 0, 200);
    run_faults(&random, SIZE_MAX, 1, 120, SIZE_MAX - 200, 200);
    run_faults(&random, SIZE_MAX, 16, 0, SIZE_MAX / 2 - 150, 300);
    run_faults(&random, 2000, 64, 64 * 40, 0, 2000);
}

/* Blocks that each have system pages of their own. */
TEST(large_blocks)
{
    TestRandom random = {test_seed};
    const size_t block = (size_t)4 << 20, middle = 100 * block;
    run_faults(&random, SIZE_MAX, block, 0, middle - 1000, 2000);
    run_faults(&random, SIZE_MAX, block, 5 * block + 1, middle - 1000, 2000);
}

/* A range of several such blocks: each of many mappings fails, and what the call got
 * before goes back. */
TEST(many_blocks_in_one_call)
{
    enum { BLOCKS = 5, BLOCK = 4 << 20 };
    unsigned char *back = test_alloc((size_t)BLOCKS * BLOCK);
    const size_t size = (size_t)BLOCKS * BLOCK - 2000, at = 1000;
    MemoryPool *origin = pool_create(SIZE_MAX, BLOCK);
    CHECK_EQ_SIZE(pool_write(origin, 3 * (size_t)BLOCK, "old", 3), 3);
    MemoryPool *pool = pool_clone(origin);
    size_t faults = 0;
    for (size_t n = 1;; n++) {
        (void)pool_trim();
        PoolStats before = stats_of(pool);
        fault_in = n;
        PoolStatus status = pool_fill(pool, at, 0x55, size);
        int failed = fault_in == 0;
        fault_in = 0;
        if (!failed) {
            CHECK_EQ_INT((int)status, POOL_OK);
            break;
        }
        faults++;
        CHECK_EQ_INT((int)status, POOL_NO_MEMORY);
        check_stats_same(stats_of(pool), before);
        CHECK_EQ_SIZE(pool_read(pool, back, 0, (size_t)BLOCKS * BLOCK),
                      (size_t)BLOCKS * BLOCK);
        CHECK_MEM(back + 3 * (size_t)BLOCK, "old", 3);
        memset(back + 3 * (size_t)BLOCK, 0, 3);
        CHECK_BYTES(back, 0, (size_t)BLOCKS * BLOCK);
    }
    CHECK_LE_SIZE(BLOCKS, faults);
    CHECK_EQ_SIZE(pool_read(pool, back, at, size), size);
    CHECK_BYTES(back, 0x55, size);
    free(back);
    pool_destroy(origin);
    pool_destroy(pool);
    check_nothing_live();
}

TEST(create)
{
    PoolOptions options = {
        .struct_size = sizeof options, .total_size = SIZE_MAX, .max_block_size = 4096};
    MemoryPool *pool = NULL;
    size_t n = 0;
    while (pool == NULL) {
        fault_in = ++n;
        pool = n % 2 != 0 ? pool_create(SIZE_MAX, 4096) : pool_create_with(&options);
        CHECK_STATUS(fault_in == 0 ? POOL_NO_MEMORY : POOL_OK);
        CHECK((pool == NULL) == (fault_in == 0));
        fault_in = 0;
        if (pool == NULL)
            check_nothing_live();
    }
    CHECK_LE_SIZE(2, n); /* at least one allocation failed */
    pool_destroy(pool);
    check_nothing_live();
}

/* What the header says never allocates. */
TEST(looking_allocates_nothing)
{
    MemoryPool *pool = pool_create(SIZE_MAX, 4096);
    CHECK_RETURNS(pool_fill(pool, 5000, 1, 100000), POOL_OK);
    MemoryPool *clone = pool_clone(pool);
    CHECK_RETURNS(pool_fill(clone, 9000, 2, 10000), POOL_OK);
    unsigned char bytes[5000];
    size_t start, size, before = asked;
    CHECK_EQ_SIZE(pool_read(pool, bytes, 0, sizeof bytes), sizeof bytes);
    CHECK_EQ_SIZE(pool_read(pool, bytes, SIZE_MAX / 3, sizeof bytes), sizeof bytes);
    CHECK_EQ_INT(pool_next_extent(pool, 0, &start, &size), 1);
    CHECK_EQ_INT(pool_next_change(pool, clone, 0, &start, &size), 1);
    (void)stats_of(pool);
    CHECK(pool_retain(pool) == pool);
    pool_destroy(pool);
    CHECK_RETURNS(pool_restore(pool, clone), POOL_OK);
    (void)pool_trim();
    pool_destroy(pool);
    CHECK_RETURNS(pool_discard(clone, 0, SIZE_MAX), POOL_OK);
    pool_destroy(clone);
    CHECK_EQ_SIZE(asked, before);
    check_nothing_live();
}

static const TestCase cases[] = {
    TEST_CASE(create), /* first: it sees what happens once in a process */
    TEST_CASE(small_blocks),
    TEST_CASE(large_blocks),
    TEST_CASE(many_blocks_in_one_call),
    TEST_CASE(looking_allocates_nothing),
};
TEST_MAIN(cases)
