/* SPDX-License-Identifier: MIT */
/* test_batch.c - many ranges at once, and integers, against flat arrays */
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
    enum { ITEMS = 5000, BLOCK = 64, WAYS = 3 };
    static size_t offsets[ITEMS], sizes[ITEMS];
    static unsigned char items[ITEMS * 8];
    MemoryPool *pools[WAYS][2]; /* way, and whether it shares what it writes to */
    memset(items, 1, sizeof items);
    for (size_t i = 0; i < ITEMS; i++) { /* adjacent, every second, every 500th */
        offsets[i] = (i < 500 ? i : i < 4000 ? i * 2 : i * 500) * BLOCK;
        sizes[i] = 8;
    }
    for (size_t way = 0; way < WAYS; way++) {
        pools[way][0] = make(SIZE_MAX, BLOCK, 0);
        for (size_t shares = 0; shares < 2; shares++) {
            MemoryPool *pool = pools[way][shares];
            for (size_t i = 0; way == 0 && i < ITEMS; i++)
                CHECK_EQ_SIZE(pool_write(pool, offsets[i], items, 8), 8);
            if (way == 1)
                CHECK_RETURNS(pool_scatter(pool, offsets, items, ITEMS, 8), POOL_OK);
            if (way == 2)
                CHECK_RETURNS(pool_write_many(pool, offsets, sizes, items, ITEMS),
                              POOL_OK);
            if (shares == 0)
                pools[way][1] = pool_clone(pool);
        }
    }
    for (size_t way = 1; way < WAYS; way++)
        CHECK_EQ_SIZE(stats_of(pools[way][0]).metadata_bytes,
                      stats_of(pools[0][0]).metadata_bytes);
    for (size_t i = 0; i < WAYS * 2; i++)
        pool_destroy(pools[i / 2][i % 2]);
}

/* A pool that is full, so that no item needs a block, unless somebody else has some: then
 * the second item needs one, there is none to be had, and the first is not written. */
TEST(scatter_to_a_full_pool)
{
    enum { BLOCK = 512, BLOCKS = 300, WAYS = 4 };
    static unsigned char ones[BLOCKS * BLOCK];
    const size_t offsets[] = {0, 5 * BLOCK};
    memset(ones, 1, sizeof ones);
    for (int way = 0; way < WAYS; way++) {
        MemoryPool *pool = make(sizeof ones, BLOCK, sizeof ones), *clone = NULL;
        PoolView view = {.struct_size = sizeof view};
        CHECK_EQ_SIZE(pool_write(pool, 0, ones, sizeof ones), sizeof ones);
        if (way == 1)
            CHECK_RETURNS(pool_view(pool, offsets[1], 1, &view), POOL_OK);
        if (way == 2) { /* the pool alone has its first block */
            clone = pool_clone(pool);
            CHECK_RETURNS(pool_discard(clone, 0, BLOCK), POOL_OK);
        }
        if (way ==
            3) { /* two slots have one block, and a view has the rest of the limit */
            CHECK_RETURNS(pool_copy(pool, offsets[1], pool, 6 * BLOCK, BLOCK), POOL_OK);
            clone = pool_clone(pool);
            CHECK_EQ_SIZE(pool_write(clone, 9 * BLOCK, "x", 1), 1);
            CHECK_RETURNS(pool_discard(clone, 0, BLOCK), POOL_OK);
        }
        const size_t items[] = {7, 8};
        CHECK_RETURNS(pool_scatter(pool, offsets, items, 2, sizeof *items),
                      way == 0 ? POOL_OK : POOL_LIMIT);
        CHECK_EQ_SIZE(pool_read(pool, ones, 0, 1), 1);
        CHECK_EQ_INT(ones[0], way == 0 ? ((const unsigned char *)items)[0] : 1);
        ones[0] = 1;
        pool_view_release(&view);
        pool_destroy(clone);
        pool_destroy(pool);
    }
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

/* ------------------------------------------------------- ranges of several sizes */

enum { RANGES = 70, LONGEST = 300 };

typedef struct Ranges {
    size_t offsets[RANGES], sizes[RANGES], count, total;
} Ranges;

/* Ranges in [base, base + SPACE), short and long ones, and some of no bytes. */
static void ranges_at_random(Ranges *ranges, TestRandom *random, size_t base)
{
    ranges->total = 0;
    ranges->count = test_below(random, RANGES + 1);
    for (size_t i = 0; i < ranges->count; i++) {
        size_t most = test_below(random, 3) == 0 ? LONGEST : 9;
        ranges->sizes[i] = test_below(random, most + 1);
        ranges->offsets[i] = base + test_below(random, SPACE - ranges->sizes[i] + 1);
        ranges->total += ranges->sizes[i];
    }
}

/* Against single writes, and a flat array. */
TEST(many_at_random)
{
    static const size_t blocks[] = {1, 16, 64, 1024};
    static Flat flat, kept, single;
    static Ranges r;
    TestRandom random = {test_seed};
    for (unsigned i = 0; i < test_times(100); i++) {
        flat.base = i % 2 != 0 ? SIZE_MAX - SPACE : 0;
        flat.pool = make(flat.base + SPACE, blocks[i / 2 % 4], 0);
        memset(flat.bytes, 0, SPACE);
        flat_scribble(&flat, &random);
        kept = single = flat;
        kept.pool = pool_clone(flat.pool);
        single.pool = pool_clone(flat.pool);
        for (unsigned k = 0; k < 20; k++) {
            static unsigned char bytes[RANGES * LONGEST], back[RANGES * LONGEST + 1];
            size_t done = 0;
            ranges_at_random(&r, &random, flat.base);
            test_random_bytes(&random, bytes, r.total);
            CHECK_RETURNS(pool_write_many(flat.pool, r.offsets, r.sizes, bytes, r.count),
                          POOL_OK);
            for (size_t n = 0; n < r.count; done += r.sizes[n++]) { /* in that order */
                memcpy(flat.bytes + (r.offsets[n] - flat.base), bytes + done, r.sizes[n]);
                CHECK_EQ_SIZE(
                    pool_write(single.pool, r.offsets[n], bytes + done, r.sizes[n]),
                    r.sizes[n]);
            }
            flat_check(&flat);
            flat_check(&kept);
            CHECK_EQ_SIZE(stats_of(flat.pool).held_blocks,
                          stats_of(single.pool).held_blocks);
            CHECK_EQ_SIZE(stats_of(flat.pool).copied_blocks,
                          stats_of(single.pool).copied_blocks);
            back[r.total] = 0xaa;
            CHECK_RETURNS(pool_read_many(flat.pool, back, r.offsets, r.sizes, r.count),
                          POOL_OK);
            CHECK_EQ_INT(back[r.total], 0xaa);
            done = 0;
            for (size_t n = 0; n < r.count; done += r.sizes[n++])
                CHECK_MEM(back + done, flat.bytes + (r.offsets[n] - flat.base),
                          r.sizes[n]);
        }
        pool_destroy(flat.pool);
        pool_destroy(kept.pool);
        pool_destroy(single.pool);
    }
}

TEST(many_refuse)
{
    MemoryPool *pool = make(1000, 64, 3 * 64), *huge = make(SIZE_MAX, 64, 0);
    unsigned char bytes[100];
    size_t offsets[] = {0, 100, 991, 1000}, *none = NULL;
    size_t sizes[] = {5, 0, 10, 0}, nothing[] = {0, 0, 0, 0};
    size_t all[] = {SIZE_MAX, 1}, begins[] = {0, 5};
    memset(bytes, 1, sizeof bytes);
    CHECK_RETURNS(pool_read_many(NULL, bytes, offsets, sizes, 1), POOL_INVALID);
    CHECK_RETURNS(pool_read_many(NULL, NULL, none, none, 0), POOL_INVALID);
    CHECK_RETURNS(pool_read_many(pool, NULL, offsets, sizes, 1), POOL_INVALID);
    CHECK_RETURNS(pool_read_many(pool, bytes, none, sizes, 1), POOL_INVALID);
    CHECK_RETURNS(pool_read_many(pool, bytes, offsets, none, 1), POOL_INVALID);
    CHECK_RETURNS(pool_read_many(pool, NULL, none, none, 0), POOL_OK);
    CHECK_RETURNS(pool_read_many(pool, NULL, none, sizes, 0), POOL_OK);
    CHECK_RETURNS(pool_read_many(pool, NULL, offsets, nothing, 4), POOL_OK);
    CHECK_RETURNS(pool_read_many(pool, bytes, offsets, sizes, 4), POOL_RANGE);
    CHECK_RETURNS(pool_read_many(pool, NULL, offsets, sizes, 4), POOL_INVALID);
    CHECK_RETURNS(pool_read_many(huge, bytes, begins, all, 2), POOL_INVALID);
    CHECK_BYTES(bytes, 1, sizeof bytes);
    sizes[2] = 9;
    CHECK_RETURNS(pool_read_many(pool, bytes, offsets, sizes, 4), POOL_OK);
    CHECK_BYTES(bytes, 0, 5 + 9);
    CHECK_BYTES(bytes + 14, 1, sizeof bytes - 14);
    offsets[3]++; /* no bytes, but past the end */
    CHECK_RETURNS(pool_read_many(pool, bytes, offsets, sizes, 4), POOL_RANGE);
    CHECK_RETURNS(pool_write_many(pool, offsets, sizes, bytes, 4), POOL_RANGE);
    CHECK_RETURNS(pool_write_many(pool, offsets, nothing, NULL, 4), POOL_RANGE);
    offsets[3] = 1000;

    CHECK_RETURNS(pool_write_many(NULL, offsets, sizes, bytes, 1), POOL_INVALID);
    CHECK_RETURNS(pool_write_many(pool, offsets, sizes, NULL, 1), POOL_INVALID);
    CHECK_RETURNS(pool_write_many(pool, none, sizes, bytes, 1), POOL_INVALID);
    CHECK_RETURNS(pool_write_many(pool, offsets, none, bytes, 1), POOL_INVALID);
    CHECK_RETURNS(pool_write_many(pool, none, none, NULL, 0), POOL_OK);
    CHECK_RETURNS(pool_write_many(pool, offsets, nothing, NULL, 4), POOL_OK);
    CHECK_RETURNS(pool_write_many(huge, begins, all, bytes, 2), POOL_INVALID);
    check_blocks(huge, 0, 0, 0);
    sizes[2] = 10;
    CHECK_RETURNS(pool_write_many(pool, offsets, sizes, bytes, 4), POOL_RANGE);
    check_blocks(pool, 0, 0, 0);
    memset(bytes, 2, sizeof bytes);
    sizes[2] = 9; /* two blocks, and none for what has no bytes */
    CHECK_RETURNS(pool_write_many(pool, offsets, sizes, bytes, 4), POOL_OK);
    check_blocks(pool, 2, 0, 2);
    size_t many[] = {60, 70, 300}, long_ones[] = {5, 80, 1};
    CHECK_RETURNS(pool_write_many(pool, many, long_ones, bytes, 3), POOL_LIMIT);
    check_blocks(pool, 2, 0, 2);
    check_filled(pool, 0, 2, 5);
    check_filled(pool, 5, 0, 991 - 5);
    CHECK_EQ_SIZE(stats_of(pool).family_peak_bytes, 2 * 64);
    CHECK_RETURNS(pool_write_many(pool, many, long_ones, bytes, 1), POOL_OK);
    pool_destroy(pool);
    pool_destroy(huge);
}

/* Ranges that overlap: the later one wins, in blocks that are there and in holes. */
TEST(many_overlap)
{
    size_t offsets[] = {10, 100, 40, 12}, sizes[] = {200, 20, 70, 1};
    unsigned char bytes[291];
    memset(bytes, 1, 200);
    memset(bytes + 200, 2, 20);
    memset(bytes + 220, 3, 70);
    bytes[290] = 4;
    for (int there = 0; there < 4; there++) {
        MemoryPool *pool = make(1000, there < 2 ? 64 : 1024, 0);
        if (there % 2 != 0)
            CHECK_RETURNS(pool_fill(pool, 0, 9, 1000), POOL_OK);
        CHECK_RETURNS(pool_write_many(pool, offsets, sizes, bytes, 4), POOL_OK);
        check_filled(pool, 0, there % 2 != 0 ? 9 : 0, 10);
        check_filled(pool, 10, 1, 2);
        check_filled(pool, 12, 4, 1);
        check_filled(pool, 13, 1, 40 - 13);
        check_filled(pool, 40, 3, 70);
        check_filled(pool, 110, 2, 10);
        check_filled(pool, 120, 1, 90);
        check_filled(pool, 210, there % 2 != 0 ? 9 : 0, 1000 - 210);
        pool_destroy(pool);
    }
}

/* Sizes that change while ranges are written, as the offsets do above. */
TEST(many_over_their_own_sizes)
{
    const size_t wrong[] = {SIZE_MAX / 4, SIZE_MAX / 4, SIZE_MAX / 4};
    MemoryPool *pool = make(SIZE_MAX / 2, 4096, 0);
    PoolView pin = {.struct_size = sizeof pin};
    CHECK_RETURNS(pool_pin(pool, 0, 4096, &pin), POOL_OK);
    size_t *sizes = pin.data, offsets[] = {sizeof wrong[0], 1 << 20};
    sizes[0] = 2 * sizeof wrong[0];
    sizes[1] = sizeof wrong[0]; /* in a hole */
    CHECK_RETURNS(pool_write_many(pool, offsets, sizes, wrong, 2), POOL_OK);
    CHECK_EQ_SIZE(sizes[1], SIZE_MAX / 4);
    size_t last = 0;
    CHECK_EQ_SIZE(pool_read(pool, &last, 1 << 20, sizeof last), sizeof last);
    CHECK_EQ_SIZE(last, SIZE_MAX / 4);
    check_blocks(pool, 2, 0, 2);
    pool_view_release(&pin);
    pool_destroy(pool);
}

/* Sizes that grow after they were checked: the memory behind the caller's buffer is
 * neither read nor written. Those of the first ranges were loaded already. */
TEST(many_with_sizes_that_grow)
{
    enum { COUNT = 40, AWAY = 20 };
    static size_t arrays[AWAY + COUNT], offsets[COUNT];
    MemoryPool *pool = make(1 << 20, 4096, 0);
    size_t large[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        offsets[i] = 5000 + i * 4096;
        large[i] = 4096;
        arrays[i] = sizeof *arrays;
        arrays[AWAY + i] = i < COUNT - AWAY ? sizeof *arrays : 77;
        CHECK_EQ_SIZE(pool_write(pool, offsets[i], &large[i], sizeof *large),
                      sizeof *large);
    }
    /* Read to where the sizes of the next group are. */
    CHECK_RETURNS(pool_read_many(pool, arrays + AWAY, offsets, arrays, COUNT),
                  POOL_INVALID);
    for (size_t i = 0; i < COUNT + AWAY; i++)
        CHECK_EQ_SIZE(arrays[i], i < AWAY ? sizeof *arrays : i < AWAY + 32 ? 4096 : 77);

    /* Written to where the sizes are, in a pin. */
    PoolView pin = {.struct_size = sizeof pin};
    CHECK_RETURNS(pool_pin(pool, 0, sizeof arrays, &pin), POOL_OK);
    size_t *sizes = pin.data;
    for (size_t i = 0; i < COUNT; i++)
        sizes[i] = sizeof *sizes;
    offsets[0] = (COUNT - 1) * sizeof *sizes;
    large[0] = 4096;
    /* Where readers lock, no item is found without a lock: all arrays are copied. */
#if defined(TEST_READS_LOCK)
    CHECK_RETURNS(pool_write_many(pool, offsets, sizes, large, COUNT), POOL_OK);
#else
    CHECK_RETURNS(pool_write_many(pool, offsets, sizes, large, COUNT), POOL_INVALID);
#endif
    CHECK_EQ_SIZE(sizes[COUNT - 1], 4096);
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
    TEST_CASE(scatter_to_a_full_pool),
    TEST_CASE(scatter_over_its_own_offsets),
    TEST_CASE(many_at_random),
    TEST_CASE(many_refuse),
    TEST_CASE(many_overlap),
    TEST_CASE(many_over_their_own_sizes),
    TEST_CASE(many_with_sizes_that_grow),
    TEST_CASE(integers),
    TEST_CASE(exchange_that_fails),
    TEST_CASE(integers_refuse),
};
TEST_MAIN(cases)
