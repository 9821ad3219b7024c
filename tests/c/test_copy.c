/* SPDX-License-Identifier: MIT */
/* test_copy.c - copy and resize, against flat arrays */
#include "pools.h"

/* ----------------------------------------------------------------------- copy */

static void copy_once(Flat *dst, Flat *src, size_t block, TestRandom *random)
{
    size_t to = test_below(random, SPACE), from = test_below(random, SPACE);
    if (test_below(random, 2) == 0) /* so that whole blocks can be shared */
        to = (to & ~(block - 1)) | (from & (block - 1));
    if (test_below(random, 4) == 0) /* whole blocks only */
        to = to / block * block, from = from / block * block;
    if (to > SPACE)
        to -= block;
    size_t most = SPACE - (to > from ? to : from);
    size_t size = test_below(random, most + 1);
    CHECK_RETURNS(pool_copy(dst->pool, dst->base + to, src->pool, src->base + from, size),
                  POOL_OK);
    memmove(dst->bytes + to, src->bytes + from, size);
    flat_check(dst);
    flat_check(src);
}

static void run_copies(size_t dst_block, size_t src_block, int related, size_t base)
{
    static Flat dst, src;
    TestRandom random = {test_seed + dst_block * 77 + src_block + base};
    for (unsigned i = 0; i < test_times(60); i++) {
        memset(&dst, 0, sizeof dst);
        memset(&src, 0, sizeof src);
        dst.base = base;
        src.base = related ? base : 0; /* congruent or not, as copy_once has it */
        dst.pool = make(base + SPACE, dst_block, 0);
        flat_scribble(&dst, &random);
        if (related) {
            src = dst;
            src.pool = pool_clone(dst.pool);
        } else {
            src.pool = make(SPACE, src_block, 0);
        }
        for (unsigned k = 0; k < 20; k++) {
            flat_scribble(&src, &random);
            copy_once(&dst, &src, dst_block, &random);
            copy_once(&dst, &dst, dst_block, &random); /* overlapping */
            copy_once(&src, &dst, dst_block, &random);
            if (k % 4 == 0)
                flat_scribble(&dst, &random);
        }
        pool_destroy(dst.pool);
        flat_check(&src);
        pool_destroy(src.pool);
    }
}

TEST(copy_between_relatives)
{
    static const size_t blocks[] = {1, 16, 128, 1024, 8192};
    const size_t far = SIZE_MAX - 5 * 8192 - SPACE + 1;
    for (size_t i = 0; i < TEST_COUNT(blocks); i++) {
        run_copies(blocks[i], blocks[i], 1, 0);
        run_copies(blocks[i], blocks[i], 1, far + 3);
    }
}

TEST(copy_between_unrelated_pools)
{
    static const size_t blocks[] = {1, 16, 128, 1024};
    for (size_t i = 0; i < TEST_COUNT(blocks); i++) {
        for (size_t k = 0; k < TEST_COUNT(blocks); k++)
            run_copies(blocks[i], blocks[k], 0, i == 0 ? 0 : SIZE_MAX - SPACE);
    }
}

TEST(whole_blocks_are_shared)
{
    MemoryPool *pool = make(64 * 1024, 1024, 0), *other = pool_clone(pool);
    CHECK_RETURNS(pool_fill(pool, 0, 1, 32 * 1024), POOL_OK);
    CHECK_RETURNS(pool_copy(other, 1024, pool, 0, 8 * 1024), POOL_OK);
    check_blocks(other, 8, 8, 32);
    CHECK_RETURNS(pool_copy(other, 1024, pool, 0, 8 * 1024), POOL_OK); /* no change */
    check_blocks(other, 8, 8, 32);
    CHECK_RETURNS(pool_copy(other, 20 * 1024 + 1, pool, 1, 2 * 1024), POOL_OK);
    check_blocks(other, 11, 9, 34); /* two ends, and one whole */
    CHECK_RETURNS(pool_copy(other, 30 * 1024, pool, 1, 2 * 1024), POOL_OK);
    check_blocks(other, 13, 9, 36); /* not congruent */
    CHECK_EQ_SIZE(stats_of(other).copied_blocks, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 2, 32 * 1024), POOL_OK);
    check_filled(other, 1024, 1, 8 * 1024);
    CHECK_RETURNS(pool_copy(other, 0, pool, 32 * 1024, 32 * 1024), POOL_OK);
    check_blocks(other, 0, 0, 32); /* holes become holes */
    pool_destroy(pool);
    pool_destroy(other);
}

/* One block many times in one pool. */
TEST(copy_repeats_a_block)
{
    enum { BLOCK = 256, COUNT = 100 };
    MemoryPool *pool = make(COUNT * BLOCK, BLOCK, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 7, BLOCK), POOL_OK);
    for (size_t i = 1; i < COUNT; i++)
        CHECK_RETURNS(pool_copy(pool, i * BLOCK, pool, (i - 1) * BLOCK, BLOCK), POOL_OK);
    check_blocks(pool, COUNT, COUNT, 1);
    check_filled(pool, 0, 7, COUNT * BLOCK);
    CHECK_RETURNS(pool_fill(pool, 10 * BLOCK + 1, 8, 1), POOL_OK);
    check_blocks(pool, COUNT, COUNT - 1, 2);
    PoolView pin = {.struct_size = sizeof pin};
    CHECK_RETURNS(pool_pin(pool, 0, BLOCK, &pin), POOL_OK);
    memset(pin.data, 9, BLOCK);
    check_filled(pool, BLOCK, 7, 9 * BLOCK);
    check_filled(pool, 0, 9, BLOCK);
    check_blocks(pool, COUNT, COUNT - 2, 3);
    pool_view_release(&pin);
    CHECK_RETURNS(pool_discard(pool, 0, 99 * BLOCK), POOL_OK);
    check_blocks(pool, 1, 0, 1);
    pool_destroy(pool);
}

TEST(copy_of_pinned_blocks)
{
    enum { BLOCK = 64, TOTAL = 50 * BLOCK };
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 1, TOTAL), POOL_OK);
    MemoryPool *other = pool_clone(pool);
    PoolView pin = {.struct_size = sizeof pin}, target = {.struct_size = sizeof target};
    CHECK_RETURNS(pool_pin(pool, 5 * BLOCK, BLOCK, &pin), POOL_OK);
    CHECK_RETURNS(pool_pin(other, 7 * BLOCK, BLOCK, &target), POOL_OK);
    memset(pin.data, 2, BLOCK);
    memset(target.data, 3, BLOCK);
    check_blocks(pool, 50, 49, 52); /* block 7 is the frozen copy of the other's pin */
    CHECK_RETURNS(pool_copy(other, 0, pool, 0, TOTAL), POOL_OK);
    CHECK_BYTES(target.data, 1, BLOCK);
    check_blocks(other, 50, 49, 52); /* it has the frozen copy of the pin */
    memset(pin.data, 4, BLOCK);
    check_filled(other, 5 * BLOCK, 2, BLOCK);
    CHECK_RETURNS(pool_copy(other, 7 * BLOCK, pool, 5 * BLOCK, BLOCK), POOL_OK);
    CHECK_BYTES(target.data, 4, BLOCK); /* from pin to pin */
    /* Up and down by whole blocks, with a pin on the way. */
    CHECK_RETURNS(pool_copy(pool, 2 * BLOCK + 1, pool, 1, 20 * BLOCK), POOL_OK);
    check_filled(pool, 7 * BLOCK + 1, 4, BLOCK - 1);
    CHECK_BYTES(pin.data, 1, BLOCK);
    CHECK_RETURNS(pool_copy(pool, 1, pool, 2 * BLOCK + 1, 20 * BLOCK), POOL_OK);
    check_filled(pool, 0, 1, 5 * BLOCK);
    CHECK_BYTES((unsigned char *)pin.data + 1, 4, BLOCK - 1);
    pool_view_release(&pin);
    pool_view_release(&target);
    pool_destroy(pool);
    pool_destroy(other);
}

/* A copy that needs no block must not meet the limit; one that does must change nothing.
 * */
TEST(copy_and_the_limit)
{
    enum { BLOCK = 128, TOTAL = 100 * BLOCK };
    MemoryPool *pool = make(TOTAL, BLOCK, 10 * BLOCK), *other = pool_clone(pool);
    CHECK_RETURNS(pool_fill(pool, 0, 1, 10 * BLOCK), POOL_OK);
    CHECK_RETURNS(pool_copy(other, 0, pool, 0, BLOCK), POOL_OK);
    CHECK_RETURNS(pool_copy(other, 0, pool, 0, 2 * BLOCK), POOL_OK);
    CHECK_RETURNS(pool_copy(other, 50 * BLOCK, pool, 0, 10 * BLOCK), POOL_OK);
    CHECK_RETURNS(pool_copy(other, 0, other, 45 * BLOCK, 10 * BLOCK), POOL_OK);
    check_filled(other, 0, 0, 5 * BLOCK);
    check_filled(other, 5 * BLOCK, 1, 5 * BLOCK);
    check_blocks(other, 15, 15, 10);
    CHECK_RETURNS(pool_copy(other, 20 * BLOCK, pool, 0, BLOCK + 1), POOL_LIMIT);
    CHECK_RETURNS(pool_copy(other, 20 * BLOCK + 1, pool, 0, 9), POOL_LIMIT);
    CHECK_RETURNS(pool_copy(other, 50 * BLOCK + 1, pool, 20 * BLOCK, 9), POOL_LIMIT);
    PoolView pin = {.struct_size = sizeof pin};
    CHECK_RETURNS(pool_discard(other, 0, TOTAL), POOL_OK);
    CHECK_RETURNS(pool_pin(pool, 0, BLOCK, &pin), POOL_OK);
    CHECK_RETURNS(pool_copy(other, 0, pool, 0, BLOCK), POOL_LIMIT);
    CHECK_RETURNS(pool_copy(other, 0, pool, BLOCK, 9 * BLOCK), POOL_OK);
    check_blocks(other, 9, 9, 10);
    pool_view_release(&pin);
    CHECK_RETURNS(pool_copy(other, 0, pool, 0, BLOCK), POOL_OK);
    pool_destroy(pool);
    pool_destroy(other);
}

/* A pinned block that is a source of whole blocks and in part a target is written to where
 * it is: nobody shares it. */
TEST(copy_over_its_own_pinned_source)
{
    enum { BLOCK = 128, TOTAL = 8 * BLOCK };
    MemoryPool *pool = make(TOTAL, BLOCK, TOTAL + BLOCK);
    PoolView pin = {.struct_size = sizeof pin};
    CHECK_RETURNS(pool_fill(pool, 0, 1, TOTAL), POOL_OK);
    CHECK_RETURNS(pool_pin(pool, 3 * BLOCK, BLOCK, &pin), POOL_OK);
    memset(pin.data, 2, BLOCK);
    pool_destroy(
        pool_clone(pool)); /* makes the frozen copy, the last block that there is */
    CHECK_RETURNS(pool_fill(pool, 4 * BLOCK, 3, BLOCK), POOL_OK);
    CHECK_RETURNS(pool_copy(pool, 2 * BLOCK, pool, 3 * BLOCK, BLOCK + BLOCK / 2),
                  POOL_OK);
    check_filled(pool, 2 * BLOCK, 2, BLOCK);
    check_filled(pool, 3 * BLOCK, 3, BLOCK / 2);
    check_filled(pool, 3 * BLOCK + BLOCK / 2, 2, BLOCK / 2);
    CHECK_BYTES(pin.data, 3, BLOCK / 2);
    pool_view_release(&pin);
    pool_destroy(pool);
}

/* A node on the way to many runs of data, or to the holes between them, is taken once. */
TEST(copy_of_many_runs_takes_each_node_once)
{
    enum { RUNS = 5000, BLOCK = 64 };
    MemoryPool *src = make(SIZE_MAX, BLOCK, 0), *dst = make(SIZE_MAX, BLOCK, 0);
    for (size_t i = 0; i < RUNS; i++)
        CHECK_RETURNS(pool_fill(src, i * 2 * BLOCK, 1, BLOCK), POOL_OK);
    const size_t size = (size_t)RUNS * 2 * BLOCK;
    const size_t once = stats_of(src).metadata_bytes;
    CHECK_RETURNS(pool_copy(dst, 0, src, 0, size), POOL_OK);
    CHECK_LE_SIZE(stats_of(dst).metadata_bytes, once);
    /* Into shared nodes, with blocks where the source has holes. */
    CHECK_RETURNS(pool_copy(dst, BLOCK, src, 0, size), POOL_OK);
    MemoryPool *clone = pool_clone(dst);
    CHECK_RETURNS(pool_copy(clone, 0, src, 0, size), POOL_OK);
    check_filled(clone, 0, 1, BLOCK);
    CHECK_LE_SIZE(stats_of(clone).metadata_bytes, 3 * once);
    pool_destroy(clone);
    pool_destroy(dst);
    pool_destroy(src);
}

TEST(copy_refuses)
{
    MemoryPool *pool = make(1000, 64, 0), *other = make(500, 64, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 1, 1000), POOL_OK);
    CHECK_RETURNS(pool_copy(NULL, 0, pool, 0, 1), POOL_INVALID);
    CHECK_RETURNS(pool_copy(pool, 0, NULL, 0, 1), POOL_INVALID);
    CHECK_RETURNS(pool_copy(other, 0, pool, 0, 501), POOL_RANGE);
    CHECK_RETURNS(pool_copy(pool, 0, other, 0, 501), POOL_RANGE);
    CHECK_RETURNS(pool_copy(other, 500, pool, 0, 1), POOL_RANGE);
    CHECK_RETURNS(pool_copy(other, SIZE_MAX, pool, 0, 1), POOL_RANGE);
    CHECK_RETURNS(pool_copy(other, 0, pool, 1, SIZE_MAX), POOL_RANGE);
    CHECK_RETURNS(pool_copy(pool, 0, pool, 0, 1001), POOL_RANGE);
    CHECK_RETURNS(pool_copy(other, 500, pool, 1000, 0), POOL_OK);
    CHECK_RETURNS(pool_copy(pool, 0, pool, 0, 1000), POOL_OK);
    check_blocks(other, 0, 0, 0);
    CHECK_RETURNS(pool_copy(other, 100, pool, 600, 400), POOL_OK);
    check_filled(other, 0, 0, 100);
    check_filled(other, 100, 1, 400);
    pool_destroy(pool);
    pool_destroy(other);
}

/* What lies after the range is none of its business, however huge the pools. */
TEST(copy_of_a_hole_before_data)
{
    MemoryPool *pool = make(SIZE_MAX, 4096, 0), *other = pool_clone(pool);
    CHECK_RETURNS(pool_fill(pool, SIZE_MAX - 10, 1, 10), POOL_OK);
    CHECK_RETURNS(pool_fill(other, 50, 2, 100), POOL_OK);
    CHECK_RETURNS(pool_copy(other, 60, pool, 60, 80), POOL_OK);
    check_filled(other, 50, 2, 10);
    check_filled(other, 60, 0, 80);
    check_filled(other, 140, 2, 10);
    CHECK_RETURNS(pool_copy(other, 0, pool, 0, SIZE_MAX), POOL_OK);
    check_filled(other, SIZE_MAX - 10, 1, 10);
    check_blocks(other, 1, 0, 2); /* the last block is short of one byte: copied */
    CHECK_RETURNS(pool_copy(other, 1, other, 0, SIZE_MAX - 1), POOL_OK);
    check_filled(other, SIZE_MAX - 9, 1, 9);
    check_filled(other, SIZE_MAX - 100, 0, 91);
    pool_destroy(pool);
    pool_destroy(other);
}

/* --------------------------------------------------------------------- resize */

TEST(resize_at_its_edges)
{
    MemoryPool *pool = make(1000, 64, 0);
    CHECK_RETURNS(pool_resize(NULL, 1), POOL_INVALID);
    CHECK_RETURNS(pool_resize(pool, 0), POOL_INVALID);
    CHECK_RETURNS(pool_fill(pool, 0, 1, 1000), POOL_OK);
    CHECK_RETURNS(pool_resize(pool, 1000), POOL_OK);
    CHECK_EQ_SIZE(stats_of(pool).held_blocks, 16);
    CHECK_RETURNS(pool_resize(pool, SIZE_MAX), POOL_OK);
    CHECK_EQ_SIZE(stats_of(pool).total_size, SIZE_MAX);
    CHECK_EQ_SIZE(stats_of(pool).block_size, 64);
    check_filled(pool, 0, 1, 1000);
    check_filled(pool, 1000, 0, 5000);
    CHECK_EQ_SIZE(pool_write(pool, SIZE_MAX - 3, "abcdef", 6), 3);
    CHECK_RETURNS(pool_resize(pool, SIZE_MAX - 1), POOL_OK);
    CHECK_RETURNS(pool_resize(pool, SIZE_MAX), POOL_OK);
    unsigned char back[3];
    CHECK_EQ_SIZE(pool_read(pool, back, SIZE_MAX - 3, 3), 3);
    CHECK_MEM(back, "ab", 3);
    CHECK_RETURNS(pool_resize(pool, 65), POOL_OK);
    check_blocks(pool, 2, 0, 2);
    CHECK_EQ_SIZE(pool_read(pool, back, 64, 3), 1);
    CHECK_RETURNS(pool_fill(pool, 65, 1, 1), POOL_RANGE);
    CHECK_RETURNS(pool_resize(pool, 1), POOL_OK);
    CHECK_RETURNS(pool_resize(pool, 1000), POOL_OK);
    check_filled(pool, 0, 1, 1);
    check_filled(pool, 1, 0, 999);
    check_blocks(pool, 1, 0, 1);
    pool_destroy(pool);
}

/* Clones keep their own size; what a shared block has beyond the end is copied away. */
TEST(resize_and_relatives)
{
    MemoryPool *pool = make(200, 64, 5 * 64);
    CHECK_RETURNS(pool_fill(pool, 0, 1, 200), POOL_OK);
    MemoryPool *clone = pool_clone(pool), *third = pool_clone(pool);
    CHECK_RETURNS(pool_resize(clone, 100), POOL_OK);
    check_blocks(clone, 2, 1, 5);
    CHECK_RETURNS(pool_resize(third, 70), POOL_LIMIT);
    CHECK_EQ_SIZE(stats_of(third).total_size, 200);
    check_filled(third, 0, 1, 200);
    CHECK_RETURNS(pool_resize(third, 128), POOL_OK); /* nothing to copy */
    CHECK_RETURNS(pool_resize(clone, SIZE_MAX), POOL_OK);
    size_t start = 0, size = 0;
    CHECK_EQ_INT(pool_next_change(clone, pool, 0, SIZE_MAX, &start, &size), 1);
    CHECK_EQ_SIZE(start, 64);
    CHECK_EQ_SIZE(size, 3 * 64);
    CHECK_EQ_INT(pool_next_change(pool, third, 0, SIZE_MAX, &start, &size), 1);
    CHECK_EQ_SIZE(start, 128);
    CHECK_EQ_INT(pool_next_change(pool, clone, SIZE_MAX / 2, SIZE_MAX, &start, &size), 0);
    CHECK_RETURNS(pool_restore(pool, clone), POOL_OK);
    CHECK_EQ_SIZE(stats_of(pool).total_size, SIZE_MAX);
    check_filled(pool, 0, 1, 100);
    check_filled(pool, 100, 0, 1000);
    CHECK_RETURNS(pool_restore(clone, third), POOL_OK);
    CHECK_EQ_SIZE(stats_of(clone).total_size, 128);
    CHECK_EQ_INT(pool_next_change(clone, third, 0, SIZE_MAX, &start, &size), 0);
    pool_destroy(pool);
    pool_destroy(clone);
    pool_destroy(third);
}

TEST(resize_at_random)
{
    static unsigned char bytes[SPACE], saved[SPACE];
    TestRandom random = {test_seed};
    for (unsigned i = 0; i < test_times(100); i++) {
        size_t total = test_below(&random, SPACE) + 1, saved_total = total;
        MemoryPool *pool = make(total, (size_t)1 << test_below(&random, 7), 0);
        MemoryPool *clone = pool_clone(pool);
        memset(bytes, 0, SPACE);
        memset(saved, 0, SPACE);
        for (unsigned k = 0; k < 60; k++) {
            size_t at = test_below(&random, SPACE), size = test_below(&random, 300);
            unsigned char data[300], back[SPACE];
            switch (test_below(&random, 4)) {
            case 0: /* now and then far beyond what the model has, then to where it is */
                if (size % 3 == 0)
                    CHECK_RETURNS(pool_resize(pool, SIZE_MAX / (size + 1)), POOL_OK);
                CHECK_RETURNS(pool_resize(pool, at + 1), POOL_OK);
                total = at + 1;
                memset(bytes + total, 0, SPACE - total);
                break;
            case 1:
                pool_destroy(clone);
                clone = pool_clone(pool);
                memcpy(saved, bytes, SPACE);
                saved_total = total;
                break;
            case 2:
                if (size % 4 != 0)
                    break;
                CHECK_RETURNS(pool_restore(pool, clone), POOL_OK);
                memcpy(bytes, saved, SPACE);
                total = saved_total;
                break;
            default:
                test_random_bytes(&random, data, size);
                size_t room = at < total ? total - at : 0;
                size_t moved = size < room ? size : room;
                CHECK_EQ_SIZE(pool_write(pool, at, data, size), moved);
                memcpy(bytes + at, data, moved);
                break;
            }
            CHECK_EQ_SIZE(stats_of(pool).total_size, total);
            CHECK_EQ_SIZE(pool_read(pool, back, 0, SPACE), total);
            CHECK_MEM(back, bytes, total);
            CHECK_EQ_SIZE(pool_read(clone, back, 0, SPACE), saved_total);
            CHECK_MEM(back, saved, saved_total);
            /* All differences lie in the changes that are reported. */
            size_t end = 0, start = 0, length = 0;
            while (pool_next_change(pool, clone, end, SIZE_MAX, &start, &length) == 1) {
                CHECK(start >= end);
                CHECK_LE_SIZE(start + length, total > saved_total ? total : saved_total);
                CHECK_MEM(bytes + end, saved + end, start - end);
                end = start + length;
            }
            CHECK_MEM(bytes + end, saved + end, SPACE - end);
        }
        pool_destroy(pool);
        pool_destroy(clone);
    }
}

static const TestCase cases[] = {
    TEST_CASE(copy_between_relatives),
    TEST_CASE(copy_between_unrelated_pools),
    TEST_CASE(whole_blocks_are_shared),
    TEST_CASE(copy_repeats_a_block),
    TEST_CASE(copy_of_pinned_blocks),
    TEST_CASE(copy_and_the_limit),
    TEST_CASE(copy_over_its_own_pinned_source),
    TEST_CASE(copy_of_many_runs_takes_each_node_once),
    TEST_CASE(copy_refuses),
    TEST_CASE(copy_of_a_hole_before_data),
    TEST_CASE(resize_at_its_edges),
    TEST_CASE(resize_and_relatives),
    TEST_CASE(resize_at_random),
};
TEST_MAIN(cases)
