/* SPDX-License-Identifier: MIT */
/*
 * fuzz_pools.c - bytes as calls on families of pools, against flat arrays
 *
 * For libFuzzer (define FUZZER) it is the target; otherwise a program, for any
 * compiler, that runs the files of some folders and says how many:
 *
 *     fuzz_replay FOLDER ...
 *
 * records.h says what the bytes mean. After each step the model (tests/c/model.h) has to
 * agree with the library in everything; a step that failed has to have changed nothing.
 */
#include <stdlib.h>
#if defined(FUZZER)
#  define TEST_END() abort()
#endif

#include "pools.h"
#include "records.h"
#if !defined(FUZZER)
#  include "listing.h"
#endif

/* Steps that are more than one call of model_ops.h, or one of those that came later, so
 * that what is in the corpus means what it did. */
typedef enum StepKind {
    STEP_FAMILY = OP_DIFFER, /* ends the family, and begins another one */
    STEP_TRIM,
    STEP_RETAIN,
    STEP_WIPE,    /* discards the whole pool, also outside of the window */
    STEP_LOOK,    /* looks for a run, a difference or a pattern in a part of the window */
    STEP_REFUSED, /* a call that is refused whatever the pool holds */
    STEP_KINDS
} StepKind;

/* So many blocks of 1 byte have numbers in the model, and a run ends in fair time. */
enum { STEPS_MOST = 400 };

static Model model;

/* ------------------------------------------------------------------- a family */

/* Windows in a small pool, at the end of one of 2^40 bytes, in the middle of all that
 * can be addressed, and at the very end. Blocks with many in the window and with one. */
static void family_begin(Record r)
{
    static const size_t block_sizes[] = {1, 3, 16, 64, 256, 1024, 4096, 65536};
    const size_t middle = (size_t)1 << (sizeof(size_t) > 4 ? 40 : 30);
    size_t block = block_sizes[r.pools % TEST_COUNT(block_sizes)];
    size_t most = block < 16 ? 100 : block < 64 ? 300 : 1200;
    size_t size = 1 + r.size % most, less = r.place % size;
    size_t limit = r.seed % 2 == 0 ? 0 : block * (r.seed / 2) + r.seed % 3;
    switch (r.size_mode) {
    case 0: model_create(&model, size, block, limit, 0, size); break;
    case 1: model_create(&model, middle, block, limit, middle - size, size); break;
    case 2: model_create(&model, SIZE_MAX, block, limit, middle - less, size); break;
    default: model_create(&model, SIZE_MAX, block, limit, SIZE_MAX - size, size); break;
    }
}

/* Gives up all but one pool, and what is in that. Then the family has nothing. */
static void family_empty(void)
{
    MemoryPool *last = model.pools[record_live_pool(&model, 0)].pool;
    for (size_t i = 0; i < MODEL_POOLS; i++) {
        if (model.pools[i].pool != last)
            pool_destroy(model.pools[i].pool);
        model.pools[i].pool = NULL;
    }
    for (size_t i = 0; i < MODEL_VIEWS; i++)
        pool_view_release(&model.views[i].view);
    CHECK_RETURNS(pool_discard(last, 0, stats_of(last).total_size), POOL_OK);
    PoolStats stats = stats_of(last);
    CHECK_EQ_SIZE(stats.held_blocks, 0);
    CHECK_EQ_SIZE(stats.pinned_blocks, 0);
    CHECK_EQ_SIZE(stats.adopted_blocks, 0);
    CHECK_EQ_SIZE(stats.family_bytes, 0);
    CHECK_EQ_SIZE(stats.family_views, 0);
    CHECK_EQ_SIZE(stats.family_pools, 1);
    CHECK_EQ_SIZE(stats.references, 1);
    pool_destroy(last);
}

static void family_end(Record r)
{
    if (r.value % 2 == 0)
        family_empty();
    model_destroy(&model); /* else the views come last */
}

/* ---------------------------------------------------------------------- steps */

/* What a call that failed must leave alone, beyond what the model knows. */
static void check_account(MemoryPool *pool, const PoolStats *before)
{
    PoolStats now = stats_of(pool);
    CHECK_EQ_SIZE(now.copied_blocks, before->copied_blocks);
    CHECK_EQ_SIZE(now.family_bytes, before->family_bytes);
    CHECK_EQ_SIZE(now.family_peak_bytes, before->family_peak_bytes);
    CHECK_EQ_SIZE(now.references, before->references);
}

static void step_op(Record r, OpKind kind)
{
    static Op op;
    record_decode(&model, r, kind, &op);
    MemoryPool *pool = model.pools[op.pool].pool;
    PoolStats before = stats_of(pool);
    (void)pool_fail_allocation(record_fault(r));
    PoolStatus status = op_call(&model, &op);
    int failed = pool_fail_allocation(0) == 0 && record_fault(r) != 0;
    if (failed) /* every failed allocation is reported */
        CHECK_EQ_INT((int)status, POOL_NO_MEMORY);
    else
        op_expect(&model, &op, status);
    if (status == POOL_OK)
        op_apply(&model, &op);
    else {
        check_account(pool, &before);
        op_failed(&model, &op, status);
    }
}

/* One more owner, and one fewer; the pool lives on. */
static void step_retain(MemoryPool *pool)
{
    CHECK(pool_retain(pool) == pool);
    CHECK_EQ_SIZE(stats_of(pool).references, 2);
    pool_destroy(pool);
    CHECK_EQ_SIZE(stats_of(pool).references, 1);
}

static void step_wipe(size_t i)
{
    PoolStatus status = pool_discard(model.pools[i].pool, 0, model.pools[i].total);
    CHECK_EQ_INT((int)status, POOL_OK);
    apply_discard(&model, i, 0, model_visible(&model, i));
}

/* One walk, from a place in the window to another one or to the end. */
static void step_look(Record r, size_t i, size_t j)
{
    size_t visible = model_visible(&model, i), from = model.base + r.place % visible;
    size_t end = r.size % 4 == 0 ? SIZE_MAX : model.base + r.size % (visible + 1);
    ModelWalk walk = {i, r.value % 2 == 0 ? j : MODEL_POOLS, r.value % 4 == 1};
    (void)model_count(&model); /* who shares what */
    (void)model_check_run(&model, walk, from, end);
    step_op(r, OP_DIFFER);
    step_op(r, OP_FIND);
}

/* Ranges past the end, also if their sums overflow; NULL; unrelated pools. */
static void step_refused(Record r, MemoryPool *pool, size_t total)
{
    unsigned char bytes[8];
    PoolView view = {.struct_size = r.value};
    uint64_t old = 5;
    size_t start = 1, at = r.place < total ? total - r.place : total;
    size_t size = SIZE_MAX - r.size; /* more than the rest of any pool from there */
    size_t offsets[] = {total - 1, at},
           sizes[] = {0, size}; /* their sum is no overflow */
    PoolStats before = stats_of(pool);
    switch (r.value % 16) {
    case 0: CHECK_RETURNS(pool_fill(pool, at, 1, size), POOL_RANGE); break;
    case 1: CHECK_RETURNS(pool_discard(pool, at, size), POOL_RANGE); break;
    case 2:
        CHECK_RETURNS(pool_copy(pool, at, model.unrelated, 0, size), POOL_RANGE);
        break;
    case 3:
        CHECK_RETURNS(pool_copy(model.unrelated, 0, pool, at, size), POOL_RANGE);
        break;
    case 4:
        CHECK_RETURNS(pool_adopt(pool, at, bytes, size, NULL, NULL), POOL_RANGE);
        break;
    case 5:
        CHECK_RETURNS(pool_gather(pool, bytes, offsets, 2, size), POOL_RANGE);
        CHECK_RETURNS(pool_read_many(pool, bytes, offsets, sizes, 2), POOL_RANGE);
        break;
    case 6:
        CHECK_RETURNS(pool_scatter(pool, offsets, bytes, 2, size), POOL_RANGE);
        CHECK_RETURNS(pool_write_many(pool, offsets, sizes, bytes, 2), POOL_RANGE);
        break;
    case 7: CHECK_RETURNS(pool_fetch_add(pool, 0, 3, 1, &old), POOL_INVALID); break;
    case 8:
        CHECK_RETURNS(pool_compare_exchange(pool, total, 1, 0, 1, &old), POOL_RANGE);
        break;
    case 9: CHECK_RETURNS(pool_restore(pool, model.unrelated), POOL_UNRELATED); break;
    case 10:
        CHECK_EQ_INT(
            pool_next_change(pool, model.unrelated, at, SIZE_MAX, &start, &start), -1);
        CHECK_STATUS(POOL_UNRELATED);
        break;
    case 11: CHECK_RETURNS(pool_resize(pool, 0), POOL_INVALID); break;
    case 12: CHECK_RETURNS(pool_pin(pool, 0, 1, NULL), POOL_INVALID); break;
    case 13:
        view.struct_size = r.size % sizeof view;
        CHECK_RETURNS(pool_view(pool, 0, 1, &view), POOL_INVALID);
        break;
    case 14:
        CHECK_EQ_SIZE(pool_write(pool, at - 1, NULL, size), 0);
        CHECK_STATUS(POOL_INVALID);
        break;
    default: CHECK_RETURNS(pool_copy(NULL, 0, pool, 0, 1), POOL_INVALID); break;
    }
    CHECK(old == 5 && start == 1 && view.data == NULL);
    check_account(pool, &before);
}

static void step(Record r)
{
    size_t i = record_live_pool(&model, r.pools & 15);
    size_t j = record_live_pool(&model, r.pools >> 4);
    MemoryPool *pool = model.pools[i].pool;
    switch (r.kind) {
    case STEP_FAMILY:
        family_end(r);
        family_begin(r);
        break;
    case STEP_TRIM:
        (void)pool_trim();
        CHECK_STATUS(POOL_OK);
        break;
    case STEP_RETAIN: step_retain(pool); break;
    case STEP_WIPE: step_wipe(i); break;
    case STEP_LOOK: step_look(r, i, j); break;
    case STEP_REFUSED: step_refused(r, pool, model.pools[i].total); break;
    default: step_op(r, (OpKind)r.kind); break;
    }
    model_check(&model);
}

/* ------------------------------------------------------------------- programs */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char first[RECORD_SIZE] = {0};
    memcpy(first, data, size < RECORD_SIZE ? size : RECORD_SIZE);
    Record last = record_read(first);
    (void)pool_trim(); /* so that a run does not depend on the one before */
    family_begin(last);
    for (size_t i = 1; i <= STEPS_MOST && (i + 1) * RECORD_SIZE <= size; i++) {
        last = record_read(data + i * RECORD_SIZE);
        last.kind %= STEP_KINDS;
        step(last);
    }
    family_end(last);
    return 0;
}

#if !defined(FUZZER)
static void replay_file(const char *name)
{
    static uint8_t bytes[1 << 16];
    FILE *file = fopen(name, "rb");
    test_running = name;
    CHECK(file != NULL);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    CHECK(!ferror(file));
    fclose(file);
    (void)LLVMFuzzerTestOneInput(bytes, size);
}

/* Replays each file of a folder; returns how many. */
static unsigned replay_folder(const char *folder)
{
    unsigned files = 0;
    char name[1000];
    Listing listing;
    for (const char *file = listing_first(&listing, folder); file != NULL;
         file = listing_next(&listing)) {
        int length = snprintf(name, sizeof name, "%s/%s", folder, file);
        CHECK(length > 0 && (size_t)length < sizeof name);
        if (file[0] != '.') {
            replay_file(name);
            files++;
        }
    }
    return files;
}

int main(int argc, char **argv)
{
    unsigned files = 0;
    for (int i = 1; i < argc; i++)
        files += replay_folder(argv[i]);
    printf("%u inputs replayed\n", files);
    return files == 0; /* then nothing was tested */
}
#endif
