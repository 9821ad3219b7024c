/* SPDX-License-Identifier: MIT */
/* test_batch.c - gather, scatter and integers, against flat arrays */
#include "pools.h"

/* ----------------------------------------------------------- gather and scatter */

TEST(batches_at_random)
{
    static const size_t blocks[] = {1, 16, 64, 1024};
    static Flat flat, kept;
    TestRandom random = {test_seed};
    for (unsigned i = 0; i < test_times(100); i++) {
        flat.base = i % 2 != 0 ? SIZE_MAX - SPACE : 0;
        flat.pool = make(flat.base + SPACE, blocks[i / 2 % 4], 0);
        memset(flat.bytes, 0, SPACE);
        flat_scribble(&flat, &random);
        kept = flat;
        kept.pool = pool_clone(flat.pool);
        for (unsigned k = 0; k < 20; k++) {
            enum { ITEMS = 50, MOST = 200 };
            static unsigned char items[ITEMS * MOST], back[ITEMS * MOST + 1];
            size_t offsets[ITEMS], count = test_below(&random, ITEMS + 1);
            size_t item = test_below(&random, k % 2 != 0 ? MOST + 1 : 9);
            for (size_t n = 0; n < count; n++)
                offsets[n] = flat.base + test_below(&random, SPACE - item + 1);
            test_random_bytes(&random, items, count * item);
            CHECK_RETURNS(pool_scatter(flat.pool, offsets, items, count, item), POOL_OK);
            for (size_t n = 0; n < count; n++) /* in that order */
                memcpy(flat.bytes + (offsets[n] - flat.base), items + n * item, item);
            flat_check(&flat);
            flat_check(&kept);
            back[count * item] = 0xaa;
            CHECK_RETURNS(pool_gather(flat.pool, back, offsets, count, item), POOL_OK);
            CHECK_EQ_INT(back[count * item], 0xaa);
            for (size_t n = 0; n < count; n++)
                CHECK_MEM(back + n * item, flat.bytes + (offsets[n] - flat.base), item);
        }
        pool_destroy(flat.pool);
        pool_destroy(kept.pool);
    }
}

TEST(batches_refuse)
{
    MemoryPool *pool = make(1000, 64, 3 * 64);
    unsigned char bytes[100];
    size_t offsets[] = {0, 100, 991, 5}, *none = NULL;
    memset(bytes, 1, sizeof bytes);
    CHECK_RETURNS(pool_gather(NULL, bytes, offsets, 1, 1), POOL_INVALID);
    CHECK_RETURNS(pool_gather(pool, NULL, offsets, 1, 1), POOL_INVALID);
    CHECK_RETURNS(pool_gather(pool, bytes, none, 1, 1), POOL_INVALID);
    CHECK_RETURNS(pool_gather(pool, NULL, offsets, 4, 0), POOL_OK);
    CHECK_RETURNS(pool_gather(pool, NULL, none, 0, 5), POOL_OK);
    CHECK_RETURNS(pool_gather(pool, bytes, offsets, 4, 10), POOL_RANGE);
    CHECK_BYTES(bytes, 1, sizeof bytes);
    CHECK_RETURNS(pool_gather(pool, bytes, offsets, 4, SIZE_MAX), POOL_RANGE);
    CHECK_RETURNS(pool_gather(pool, bytes, offsets, 4, 9), POOL_OK);
    CHECK_BYTES(bytes, 0, 36);

    CHECK_RETURNS(pool_scatter(NULL, offsets, bytes, 1, 1), POOL_INVALID);
    CHECK_RETURNS(pool_scatter(pool, none, bytes, 1, 1), POOL_INVALID);
    CHECK_RETURNS(pool_scatter(pool, offsets, NULL, 1, 1), POOL_INVALID);
    CHECK_RETURNS(pool_scatter(pool, none, NULL, 0, 9), POOL_OK);
    CHECK_RETURNS(pool_scatter(pool, offsets, NULL, 4, 0), POOL_OK);
    memset(bytes, 2, sizeof bytes);
    CHECK_RETURNS(pool_scatter(pool, offsets, bytes, 4, 10), POOL_RANGE);
    check_blocks(pool, 0, 0, 0);
    offsets[2] = 60; /* blocks 0 and 1, 1, 0 and 1, 0: two in all */
    CHECK_RETURNS(pool_scatter(pool, offsets, bytes, 4, 10), POOL_OK);
    check_blocks(pool, 2, 0, 2);
    size_t many[] = {200, 300, 400};
    CHECK_RETURNS(pool_scatter(pool, many, bytes, 3, 1), POOL_LIMIT);
    check_blocks(pool, 2, 0, 2);
    check_filled(pool, 128, 0, 1000 - 128);
    CHECK_EQ_SIZE(stats_of(pool).family_peak_bytes, 2 * 64);
    CHECK_RETURNS(pool_scatter(pool, many, bytes, 1, 1), POOL_OK);
    pool_destroy(pool);
}

/* A node on the way to many items is taken once. Taken once for each item, as it was, it
 * made tens of megabytes of what are some hundred KiB, for as long as the family lives.
 * */
TEST(scatter_takes_the_nodes_of_single_writes)
{
    enum { ITEMS = 5000, BLOCK = 64 };
    static size_t offsets[ITEMS];
    static unsigned char items[ITEMS * 8];
    MemoryPool *pools[2][2]; /* way, and whether it shares what it writes to */
    memset(items, 1, sizeof items);
    for (size_t i = 0; i < ITEMS; i++) /* adjacent, every second, every 500th */
        offsets[i] = (i < 500 ? i : i < 4000 ? i * 2 : i * 500) * BLOCK;
    for (size_t way = 0; way < 2; way++) {
        pools[way][0] = make(SIZE_MAX, BLOCK, 0);
        for (size_t shares = 0; shares < 2; shares++) {
            MemoryPool *pool = pools[way][shares];
            for (size_t i = 0; way == 0 && i < ITEMS; i++)
                CHECK_EQ_SIZE(pool_write(pool, offsets[i], items, 8), 8);
            if (way == 1)
                CHECK_RETURNS(pool_scatter(pool, offsets, items, ITEMS, 8), POOL_OK);
            if (shares == 0)
                pools[way][1] = pool_clone(pool);
        }
    }
    CHECK_EQ_SIZE(stats_of(pools[1][0]).metadata_bytes,
                  stats_of(pools[0][0]).metadata_bytes);
    for (size_t i = 0; i < 4; i++)
        pool_destroy(pools[i / 2][i % 2]);
}

/* Offsets that change while items are written, because another thread writes to them or,
 * as here, the scatter itself does through a pin: those that were checked are used. */
TEST(scatter_over_its_own_offsets)
{
    const size_t wrong[] = {SIZE_MAX - 100, SIZE_MAX - 100, SIZE_MAX - 100, 3};
    MemoryPool *pool = make(SIZE_MAX / 2, 4096, 0);
    PoolView pin = {.struct_size = sizeof pin};
    CHECK_RETURNS(pool_pin(pool, 0, 4096, &pin), POOL_OK);
    size_t *offsets = pin.data;
    for (size_t i = 0; i < 3; i++)
        offsets[i] = (i + 1) * sizeof *offsets; /* of the next one */
    offsets[3] = 1 << 20; /* a hole, for which a block has to be made */
    CHECK_RETURNS(pool_scatter(pool, offsets, wrong, 4, sizeof *wrong), POOL_OK);
    CHECK_MEM(offsets + 1, wrong, 3 * sizeof *wrong);
    size_t last = 0;
    CHECK_EQ_SIZE(pool_read(pool, &last, 1 << 20, sizeof last), sizeof last);
    CHECK_EQ_SIZE(last, 3);
    check_blocks(pool, 2, 0, 2);
    pool_view_release(&pin);
    pool_destroy(pool);
}

/* ------------------------------------------------------------------- integers */

static uint64_t wrapped(uint64_t value, size_t size)
{
    return size == 8 ? value : value & ((UINT64_C(1) << (8 * size)) - 1);
}

/* The bytes as the machine has the integer. */
static uint64_t integer_at(MemoryPool *pool, size_t offset, size_t size)
{
    uint8_t one;
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    void *to = size == 1   ? (void *)&one
               : size == 2 ? (void *)&two
               : size == 4 ? (void *)&four
                           : (void *)&eight;
    CHECK_EQ_SIZE(pool_read(pool, to, offset, size), size);
    return size == 1 ? one : size == 2 ? two : size == 4 ? four : eight;
}

#define CHECK_EQ_U64(a, b) CHECK((uint64_t)(a) == (uint64_t)(b))

TEST(integers)
{
    static const size_t sizes[] = {1, 2, 4, 8}, offsets[] = {0, 3, 13, 61, 63, 992};
    for (size_t i = 0; i < TEST_COUNT(sizes) * TEST_COUNT(offsets); i++) {
        size_t size = sizes[i % 4], at = offsets[i / 4];
        uint64_t old = 99, most = wrapped(UINT64_MAX, size);
        MemoryPool *pool = make(1000, 8, 0);
        CHECK_RETURNS(pool_fetch_add(pool, at, size, 7, &old), POOL_OK);
        CHECK_EQ_U64(old, 0);
        MemoryPool *clone = pool_clone(pool);
        CHECK_RETURNS(pool_fetch_add(pool, at, size, most - 3, &old), POOL_OK);
        CHECK_EQ_U64(old, 7);
        CHECK_EQ_U64(integer_at(pool, at, size), 3); /* wrapped round */
        CHECK_RETURNS(pool_fetch_add(pool, at, size, UINT64_MAX, &old), POOL_OK);
        CHECK_EQ_U64(integer_at(pool, at, size), 2); /* minus one */
        CHECK_EQ_U64(integer_at(clone, at, size), 7);
        CHECK_RETURNS(pool_compare_exchange(pool, at, size, 3, 9, &old), POOL_OK);
        CHECK_EQ_U64(old, 2);
        CHECK_EQ_U64(integer_at(pool, at, size), 2);
        CHECK_RETURNS(pool_compare_exchange(pool, at, size, 2, UINT64_MAX, &old),
                      POOL_OK);
        CHECK_EQ_U64(old, 2);
        CHECK_EQ_U64(integer_at(pool, at, size), most);
        for (size_t bit = 0; bit < 8 * size; bit++) { /* all of it is compared */
            uint64_t wrong = most ^ (uint64_t)1 << bit;
            CHECK_RETURNS(pool_compare_exchange(pool, at, size, wrong, 5, &old), POOL_OK);
            CHECK_EQ_U64(integer_at(pool, at, size), most);
        }
        check_filled(pool, 0, 0, at); /* the neighbours */
        check_filled(pool, at + size, 0, 1000 - at - size);
        pool_destroy(pool);
        pool_destroy(clone);
    }
}

/* What is not exchanged changes nothing, not even where nothing is. */
TEST(exchange_that_fails)
{
    MemoryPool *pool = make(1000, 64, 0);
    uint64_t old = 5;
    CHECK_RETURNS(pool_compare_exchange(pool, 500, 8, 1, 2, &old), POOL_OK);
    CHECK_EQ_U64(old, 0);
    check_blocks(pool, 0, 0, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 1, 1000), POOL_OK);
    MemoryPool *clone = pool_clone(pool);
    CHECK_RETURNS(pool_compare_exchange(pool, 500, 2, 1, 2, &old), POOL_OK);
    CHECK_EQ_U64(old, 0x101);
    check_blocks(pool, 16, 16, 16);
    pool_destroy(clone);
    pool_destroy(pool);
}

TEST(integers_refuse)
{
    static const size_t wrong[] = {0, 3, 5, 6, 7, 9, 16, SIZE_MAX};
    MemoryPool *pool = make(1000, 64, 64);
    uint64_t old = 77;
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        CHECK_RETURNS(pool_fetch_add(pool, 0, wrong[i], 1, &old), POOL_INVALID);
        CHECK_RETURNS(pool_compare_exchange(pool, 0, wrong[i], 0, 1, &old), POOL_INVALID);
    }
    CHECK_RETURNS(pool_fetch_add(NULL, 0, 1, 1, &old), POOL_INVALID);
    CHECK_RETURNS(pool_fetch_add(pool, 0, 1, 1, NULL), POOL_INVALID);
    CHECK_RETURNS(pool_compare_exchange(NULL, 0, 1, 0, 1, &old), POOL_INVALID);
    CHECK_RETURNS(pool_compare_exchange(pool, 0, 1, 0, 1, NULL), POOL_INVALID);
    CHECK_RETURNS(pool_fetch_add(pool, 997, 4, 1, &old), POOL_RANGE);
    CHECK_RETURNS(pool_fetch_add(pool, SIZE_MAX, 1, 1, &old), POOL_RANGE);
    CHECK_RETURNS(pool_compare_exchange(pool, 1000, 1, 0, 1, &old), POOL_RANGE);
    CHECK_RETURNS(pool_fetch_add(pool, 60, 8, 1, &old), POOL_LIMIT);
    check_blocks(pool, 0, 0, 0);
    CHECK_EQ_U64(old, 77);
    CHECK_RETURNS(pool_fetch_add(pool, 56, 8, 1, &old), POOL_OK);
    CHECK_RETURNS(pool_compare_exchange(pool, 64, 1, 0, 1, &old), POOL_LIMIT);
    CHECK_EQ_U64(old, 0);
    pool_destroy(pool);
}

static const TestCase cases[] = {
    TEST_CASE(batches_at_random),
    TEST_CASE(batches_refuse),
    TEST_CASE(scatter_takes_the_nodes_of_single_writes),
    TEST_CASE(scatter_over_its_own_offsets),
    TEST_CASE(integers),
    TEST_CASE(exchange_that_fails),
    TEST_CASE(integers_refuse),
};
TEST_MAIN(cases)
