/* SPDX-License-Identifier: MIT */
/*
 * test_faults.c - the N-th allocation fails, for every N
 *
 * A call is made with its first allocation failing, then its second, and so on until it
 * gets through. After each failure everything must be as before the call, by the model
 * (model.h) and by the statistics; in the end nothing may be left allocated.
 */
#include "internal.h"
#include "pools.h"
#include "model_effects.h"

/* What a failed call must leave alone, beyond what the model knows. Nodes that it did not
 * use stay with the family for the next call, so its bookkeeping may have grown. */
static void check_stats_same(PoolStats a, PoolStats b)
{
    CHECK_EQ_SIZE(a.block_size, b.block_size);
    CHECK_EQ_SIZE(a.references, b.references);
    CHECK_EQ_SIZE(a.held_bytes, b.held_bytes);
    CHECK_EQ_SIZE(a.memory_limit, b.memory_limit);
    CHECK_LE_SIZE(b.metadata_bytes, a.metadata_bytes);
    CHECK_EQ_SIZE(a.held_blocks, b.held_blocks);
    CHECK_EQ_SIZE(a.shared_blocks, b.shared_blocks);
    CHECK_EQ_SIZE(a.copied_blocks, b.copied_blocks);
    CHECK_EQ_SIZE(a.family_bytes, b.family_bytes);
    CHECK_EQ_SIZE(a.family_peak_bytes, b.family_peak_bytes);
    CHECK_EQ_SIZE(a.family_pools, b.family_pools);
    CHECK_EQ_SIZE(a.family_views, b.family_views);
    CHECK_EQ_SIZE(a.pinned_blocks, b.pinned_blocks);
    CHECK_EQ_SIZE(a.adopted_blocks, b.adopted_blocks);
    CHECK_EQ_SIZE(a.total_size, b.total_size);
}

/* The statistics of all pools that a call may have to do with. */
typedef struct Snapshot {
    PoolStats pools[MODEL_POOLS], unrelated;
} Snapshot;

static Snapshot snapshot_of(const Model *m)
{
    Snapshot snapshot = {.unrelated = stats_of(m->unrelated)};
    for (size_t i = 0; i < MODEL_POOLS; i++) {
        if (m->pools[i].pool != NULL)
            snapshot.pools[i] = stats_of(m->pools[i].pool);
    }
    return snapshot;
}

static void check_failed(Model *m, PoolStatus status, Snapshot before)
{
    Snapshot after = snapshot_of(m);
    /* Every failed allocation is reported: no call goes on without the memory. */
    CHECK_EQ_INT((int)status, POOL_NO_MEMORY);
    for (size_t i = 0; i < MODEL_POOLS; i++)
        check_stats_same(after.pools[i], before.pools[i]);
    check_stats_same(after.unrelated, before.unrelated);
    model_check(m);
}

/* Makes a call of which the allocations fail that fault_in says; whether one did. */
static int call_with_fault(Model *m, const Op *op)
{
    static Op attempt;
    Snapshot before = snapshot_of(m);
    attempt = *op;
    size_t armed = fault_in;
    PoolStatus status = op_call(m, &attempt);
    if (status != POOL_OK)
        op_failed(m, &attempt, status);
    if (armed != 0 && fault_in == 0) {
        check_failed(m, status, before);
        return 1;
    }
    op_expect(m, &attempt, status);
    if (status == POOL_OK)
        op_apply(m, &attempt);
    model_check(m);
    return 0;
}

/* Makes a call with each allocation failing in turn, then without a failure; returns how
 * many failures there were. Releases cached memory before each try, because it would hide
 * allocations. */
static size_t step_with_faults(Model *m, const Op *op)
{
    for (size_t n = 1;; n++) {
        (void)pool_trim();
        fault_in = n;
        int failed = call_with_fault(m, op);
        fault_in = 0;
        if (!failed)
            return n - 1;
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
    CHECK_EQ_SIZE(faults_of[OP_GATHER], 0);
    CHECK_EQ_SIZE(faults_of[OP_RELEASE], 0);
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

/* One stream of calls, the same for each n, of which the n-th allocation fails. The call
 * that meets it changes nothing, succeeds when it is made again at once, and the stream
 * goes on. Here memory is used again, as it is in life; the nodes and blocks that an
 * earlier call left are what a failed one may lose. Whether an allocation failed. */
static int stream_with_fault(size_t n, uint64_t seed, size_t max_block_size, size_t limit)
{
    static Model model;
    static Op op;
    TestRandom random = {seed};
    int failed = 0;
    (void)pool_trim();
    model_create(&model, SIZE_MAX, max_block_size, limit, SIZE_MAX - 1800, 1800);
    fault_in = n;
    for (unsigned i = 0; i < 100; i++) {
        op_random(&model, &random, &op);
        if (call_with_fault(&model, &op)) {
            failed = 1;
            CHECK(!call_with_fault(&model, &op));
        }
    }
    fault_in = 0;
    model_destroy(&model);
    check_nothing_live();
    return failed;
}

static void run_streams(size_t max_block_size, size_t limit)
{
    for (unsigned i = 0; i < test_times(10); i++) {
        uint64_t seed = test_seed * 1000003 + max_block_size + i;
        size_t n = 1;
        while (stream_with_fault(n, seed, max_block_size, limit))
            n++;
        CHECK_LE_SIZE(5, n); /* a stream of so many calls had to allocate */
    }
}

TEST(whole_streams)
{
    run_streams(16, 0);
    run_streams(64, 64 * 40);
    run_streams((size_t)1 << 20, 0);
}

/* ------------------------------------------------ calls that share, one by one */

enum { SIDE = 4 << 20 }; /* blocks so large that each has a mapping of its own */

static unsigned given_back;

static void give_back(void *data, size_t size, void *context)
{
    (void)data, (void)size, (void)context;
    given_back++;
}

/* On a pool and its clone, of which blocks 0 to 3 are shared, 1 of the clone is pinned
 * and 0 is viewed. */
static PoolStatus sharing_call(int kind, MemoryPool *pool, MemoryPool *clone,
                               MemoryPool *unrelated, PoolView *view)
{
    static unsigned char data[3 * SIDE];
    size_t offsets[] = {5 * (size_t)SIDE, 2 * (size_t)SIDE, 10, 9 * (size_t)SIDE - 1};
    size_t sizes[] = {0, 7, SIDE, 2};
    uint64_t old;
    MemoryPool *made;
    switch (kind) {
    case 0: return pool_view(clone, 9 * (size_t)SIDE, 5, view);
    case 1: return pool_view(clone, SIDE + 5, 5, view);
    case 2: return pool_pin(clone, 0, 5, view);
    case 3: return pool_pin(clone, 9 * (size_t)SIDE, 5, view);
    case 4: return pool_adopt(clone, SIDE / 2, data, 3 * (size_t)SIDE, give_back, NULL);
    case 5: return pool_copy(pool, SIDE / 2, clone, SIDE / 2, 3 * (size_t)SIDE);
    case 6: return pool_copy(pool, 4 * (size_t)SIDE + 1, clone, 0, 3 * (size_t)SIDE);
    case 7: return pool_copy(unrelated, 9, clone, 0, 4 * (size_t)SIDE);
    case 8: return pool_copy(clone, 0, unrelated, 9, 4 * (size_t)SIDE);
    case 9: return pool_copy(clone, SIDE + 8, clone, 8, 3 * (size_t)SIDE);
    case 10: return pool_resize(pool, SIZE_MAX);
    case 11: return pool_resize(clone, 2 * (size_t)SIDE + 1);
    case 12: return pool_scatter(clone, offsets, data, 4, 2);
    case 13: return pool_fetch_add(pool, SIDE - 4, 8, 7, &old);
    case 14: return pool_compare_exchange(clone, 2 * (size_t)SIDE, 1, 1, 3, &old);
    case 15: return pool_restore(pool, clone);
    case 16:
        made = pool_clone(clone);
        pool_destroy(made);
        return made != NULL ? POOL_OK : POOL_NO_MEMORY;
    case 17: return pool_write_many(clone, offsets, sizes, data, 4);
    default: return POOL_INVALID;
    }
}

TEST(each_sharing_call)
{
    PoolStatus status = POOL_OK;
    for (int kind = 0; status == POOL_OK; kind++) {
        size_t faults = 0;
        MemoryPool *pool = pool_create(100 * (size_t)SIDE, SIDE);
        MemoryPool *unrelated = pool_create(100 * (size_t)SIDE, 4096);
        CHECK_RETURNS(pool_fill(pool, 0, 1, 4 * (size_t)SIDE), POOL_OK);
        CHECK_RETURNS(pool_fill(unrelated, 99 * (size_t)SIDE, 1, 9), POOL_OK);
        CHECK_RETURNS(pool_fill(unrelated, 4095, 1, 9), POOL_OK);
        MemoryPool *clone = pool_clone(pool);
        PoolView seen = {.struct_size = sizeof seen}, pin = seen, view = seen;
        CHECK_RETURNS(pool_view(clone, 0, 9, &seen), POOL_OK);
        CHECK_RETURNS(pool_pin(clone, SIDE, 9, &pin), POOL_OK);
        memset(pin.data, 2, 9); /* so that a view needs another frozen copy */
        given_back = 0;
        for (size_t n = 1;; n++) {
            PoolStats before = stats_of(clone), pool_before = stats_of(pool),
                      unrelated_before = stats_of(unrelated);
            size_t start, size, changes = 0, changes_after = 0;
            for (size_t at = 0;
                 pool_next_change(pool, clone, at, SIZE_MAX, &start, &size) == 1;
                 at = start + size)
                changes += size;
            (void)pool_trim();
            fault_in = n;
            status = sharing_call(kind, pool, clone, unrelated, &view);
            int failed = fault_in == 0;
            fault_in = 0;
            if (!failed)
                break;
            faults++;
            CHECK_EQ_INT((int)status, POOL_NO_MEMORY);
            CHECK(view.data == NULL);
            check_stats_same(stats_of(clone), before);
            check_stats_same(stats_of(pool), pool_before);
            check_stats_same(stats_of(unrelated), unrelated_before);
            for (size_t at = 0;
                 pool_next_change(pool, clone, at, SIZE_MAX, &start, &size) == 1;
                 at = start + size)
                changes_after += size;
            CHECK_EQ_SIZE(changes_after, changes);
            CHECK_EQ_INT((int)given_back, 0);
        }
        /* Except for the nodes of a taller tree, which may be at hand already. */
        CHECK(faults > 0 || status != POOL_OK || kind == 10);
        pool_view_release(&view);
        pool_view_release(&seen);
        pool_destroy(pool);
        pool_destroy(clone);
        pool_destroy(unrelated);
        pool_view_release(&pin);
        CHECK_EQ_INT((int)given_back, kind == 4);
        check_nothing_live();
    }
    CHECK_EQ_INT((int)status, POOL_INVALID); /* all of them were made */
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
    size_t start, size, state, before = allocations;
    CHECK_EQ_SIZE(pool_read(pool, bytes, 0, sizeof bytes), sizeof bytes);
    CHECK_EQ_SIZE(pool_read(pool, bytes, SIZE_MAX / 3, sizeof bytes), sizeof bytes);
    CHECK_EQ_INT(pool_next_extent(pool, 0, SIZE_MAX, &start, &size), 1);
    CHECK_EQ_INT(pool_next_change(pool, clone, 0, SIZE_MAX, &start, &size), 1);
    CHECK_EQ_INT(pool_next_state(pool, 0, SIZE_MAX, &start, &size, &state), 1);
    (void)stats_of(pool);
    PoolView view = {.struct_size = sizeof view};
    CHECK_RETURNS(pool_view(pool, 5000, 9, &view), POOL_OK);
    pool_view_release(&view);
    CHECK_EQ_INT((int)pool_last_status(), POOL_OK);
    CHECK_LE_SIZE(1, strlen(pool_status_text(POOL_NO_MEMORY)));
    CHECK_LE_SIZE(1, pool_version());
    CHECK(pool_retain(pool) == pool);
    pool_destroy(pool);
    CHECK_RETURNS(pool_restore(pool, clone), POOL_OK);
    (void)pool_trim();
    pool_destroy(pool);
    CHECK_RETURNS(pool_discard(clone, 0, SIZE_MAX), POOL_OK);
    pool_destroy(clone);
    CHECK_EQ_SIZE(allocations, before);
    check_nothing_live();
}

static const TestCase cases[] = {
    TEST_CASE(create), /* first: it sees what happens once in a process */
    TEST_CASE(small_blocks),
    TEST_CASE(large_blocks),
    TEST_CASE(whole_streams),
    TEST_CASE(each_sharing_call),
    TEST_CASE(many_blocks_in_one_call),
    TEST_CASE(looking_allocates_nothing),
};
TEST_MAIN(cases)
