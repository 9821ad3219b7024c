/* SPDX-License-Identifier: MIT */
/* test_api.c - the calls on one pool, each at its edges, through the public header */
#include "pools.h"

static const size_t KIB = 1024;

/* 2^40 where size_t can say it. */
#define LARGE_TOTAL ((size_t)1 << (sizeof(size_t) > 4 ? 40 : 30))

static const size_t block_sizes[] = {1, 8, 1024, 65536, 3, 1000, 65537};
static const size_t total_sizes[] = {
    1, 7, 4096, 4097, LARGE_TOTAL, LARGE_TOTAL + 5, SIZE_MAX - 4096, SIZE_MAX};

static void check_held(MemoryPool *pool, size_t blocks)
{
    PoolStats stats = stats_of(pool);
    CHECK_EQ_SIZE(stats.held_blocks, blocks);
    CHECK_EQ_SIZE(stats.held_bytes, blocks * stats.block_size);
}

/* The rule of the header, in the plainest words: the largest power of two that is not
 * above max, nor above the smallest power of two that covers total. Where that one does
 * not fit a size_t, the largest that does is meant. */
static size_t expected_block_size(size_t total, size_t max)
{
    size_t size = 1;
    while (size <= max / 2 && size < total)
        size *= 2;
    return size;
}

/* ------------------------------------------------------------------- lifetime */

TEST(block_size_follows_the_rule)
{
    static const size_t maxima[] = {
        1, 2, 3, 8, 1000, 1024, 65536, 65537, SIZE_MAX / 2, SIZE_MAX / 2 + 1, SIZE_MAX};
    for (size_t i = 0; i < TEST_COUNT(total_sizes); i++) {
        for (size_t j = 0; j < TEST_COUNT(maxima); j++) {
            MemoryPool *pool = make(total_sizes[i], maxima[j], 0);
            PoolStats stats = stats_of(pool);
            CHECK_EQ_SIZE(stats.total_size, total_sizes[i]);
            CHECK_EQ_SIZE(stats.block_size,
                          expected_block_size(total_sizes[i], maxima[j]));
            CHECK_EQ_SIZE(stats.held_blocks, 0);
            pool_destroy(pool);
        }
    }
}

TEST(create_refuses_zero)
{
    CHECK(pool_create(0, 1024) == NULL);
    CHECK_STATUS(POOL_INVALID);
    CHECK(pool_create(4096, 0) == NULL);
    CHECK_STATUS(POOL_INVALID);
    CHECK(pool_create(0, 0) == NULL);
    CHECK_STATUS(POOL_INVALID);
}

static void check_options(PoolOptions options, PoolStatus status, size_t limit)
{
    MemoryPool *pool = pool_create_with(&options);
    CHECK_STATUS(status);
    CHECK((pool != NULL) == (status == POOL_OK));
    if (pool != NULL) {
        PoolStats stats = stats_of(pool);
        CHECK_EQ_SIZE(stats.total_size, options.total_size);
        CHECK_EQ_SIZE(stats.block_size, 1024);
        CHECK_EQ_SIZE(stats.memory_limit, limit);
        pool_destroy(pool);
    }
}

TEST(options_are_checked)
{
    PoolOptions good = {.struct_size = sizeof good,
                        .total_size = 4096,
                        .max_block_size = 1024,
                        .memory_limit = 2048};
    check_options(good, POOL_OK, 2048);

    PoolOptions bad = good;
    bad.total_size = 0;
    check_options(bad, POOL_INVALID, 0);
    bad = good;
    bad.max_block_size = 0;
    check_options(bad, POOL_INVALID, 0);
    bad = good;
    bad.flags = POOL_WIPE | POOL_OVERCOMMIT | POOL_HUGE | 8;
    check_options(bad, POOL_INVALID, 0);
    bad.flags = SIZE_MAX;
    check_options(bad, POOL_INVALID, 0);

    CHECK(pool_create_with(NULL) == NULL);
    CHECK_STATUS(POOL_INVALID);
}

/* A caller of an older version has a shorter struct, one of a newer a longer one. */
TEST(options_of_other_versions)
{
    PoolOptions options = {
        .total_size = 4096, .max_block_size = 1024, .memory_limit = 2048, .flags = 4};
    for (size_t fields = 0; fields < 3; fields++) {
        options.struct_size = fields * sizeof(size_t);
        check_options(options, POOL_INVALID, 0);
    }
    options.struct_size = 3 * sizeof(size_t) - 1;
    check_options(options, POOL_INVALID, 0);
    options.struct_size = offsetof(PoolOptions, memory_limit);
    check_options(options, POOL_OK, 0); /* the limit and the bad flags are not seen */
    options.struct_size = offsetof(PoolOptions, flags);
    check_options(options, POOL_OK, 2048);

    struct {
        PoolOptions known;
        size_t unknown[3];
    } newer = {{.struct_size = sizeof newer,
                .total_size = 4096,
                .max_block_size = 1024,
                .memory_limit = 2048},
               {0}};
    MemoryPool *pool = pool_create_with(&newer.known);
    CHECK_STATUS(POOL_OK);
    pool_destroy(pool);
    newer.unknown[2] = 1;
    CHECK(pool_create_with(&newer.known) == NULL);
    CHECK_STATUS(POOL_INVALID);
}

TEST(retain_and_destroy_count)
{
    MemoryPool *pool = make(4096, 1024, 0);
    CHECK_EQ_SIZE(pool_write(pool, 0, "kept", 4), 4);
    for (int i = 0; i < 3; i++) {
        CHECK(pool_retain(pool) == pool);
        CHECK_STATUS(POOL_OK);
    }
    for (int i = 0; i < 3; i++) {
        char text[5] = "";
        pool_destroy(pool);
        CHECK_STATUS(POOL_OK);
        CHECK_EQ_SIZE(pool_read(pool, text, 0, 4), 4);
        CHECK_EQ_TEXT(text, "kept");
    }
    pool_destroy(pool);
    CHECK(pool_retain(NULL) == NULL);
    CHECK_STATUS(POOL_INVALID);
    pool_destroy(NULL);
    CHECK_STATUS(POOL_OK);
}

TEST(null_is_refused)
{
    MemoryPool *pool = make(4096, 1024, 0);
    char buffer[4] = "abc";
    size_t start = 7, size = 9, state = 11;

    CHECK_EQ_SIZE(pool_write(NULL, 0, buffer, 4), 0);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_SIZE(pool_write(pool, 0, NULL, 4), 0);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_SIZE(pool_read(NULL, buffer, 0, 4), 0);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_SIZE(pool_read(pool, NULL, 0, 4), 0);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_SIZE(pool_take(NULL, buffer, 0, 4), 0);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_SIZE(pool_take(pool, NULL, 0, 4), 0);
    CHECK_STATUS(POOL_INVALID);
    CHECK_RETURNS(pool_fill(NULL, 0, 1, 4), POOL_INVALID);
    CHECK_RETURNS(pool_discard(NULL, 0, 4), POOL_INVALID);
    CHECK(pool_clone(NULL) == NULL);
    CHECK_STATUS(POOL_INVALID);
    CHECK_RETURNS(pool_restore(NULL, pool), POOL_INVALID);
    CHECK_RETURNS(pool_restore(pool, NULL), POOL_INVALID);
    CHECK_EQ_INT(pool_next_extent(NULL, 0, SIZE_MAX, &start, &size), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_INT(pool_next_extent(pool, 0, SIZE_MAX, NULL, &size), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_INT(pool_next_extent(pool, 0, SIZE_MAX, &start, NULL), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_INT(pool_next_change(NULL, pool, 0, SIZE_MAX, &start, &size), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_INT(pool_next_change(pool, NULL, 0, SIZE_MAX, &start, &size), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_INT(pool_next_change(pool, pool, 0, SIZE_MAX, NULL, &size), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_INT(pool_next_change(pool, pool, 0, SIZE_MAX, &start, NULL), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_INT(pool_next_state(NULL, 0, SIZE_MAX, &start, &size, &state), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_INT(pool_next_state(pool, 0, SIZE_MAX, NULL, &size, &state), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_INT(pool_next_state(pool, 0, SIZE_MAX, &start, NULL, &state), -1);
    CHECK_STATUS(POOL_INVALID);
    CHECK_EQ_INT(pool_next_state(pool, 0, SIZE_MAX, &start, &size, NULL), -1);
    CHECK_STATUS(POOL_INVALID);

    CHECK_EQ_TEXT(buffer, "abc");
    CHECK_EQ_SIZE(start, 7);
    CHECK_EQ_SIZE(size, 9);
    CHECK_EQ_SIZE(state, 11);
    check_held(pool, 0);
    pool_destroy(pool);
}

/* With a size of 0 no buffer is looked at; without a pool it is still refused. */
TEST(size_zero_does_nothing)
{
    MemoryPool *pool = make(4096, 1024, 0);
    CHECK_EQ_SIZE(pool_write(pool, 0, NULL, 0), 0);
    CHECK_STATUS(POOL_OK);
    CHECK_EQ_SIZE(pool_read(pool, NULL, 4095, 0), 0);
    CHECK_STATUS(POOL_OK);
    CHECK_EQ_SIZE(pool_take(pool, NULL, 0, 0), 0);
    CHECK_STATUS(POOL_OK);
    CHECK_EQ_SIZE(pool_write(pool, SIZE_MAX, "x", 0), 0);
    CHECK_STATUS(POOL_OK);
    CHECK_RETURNS(pool_fill(pool, 0, 1, 0), POOL_OK);
    CHECK_RETURNS(pool_fill(pool, 4096, 1, 0), POOL_OK);
    CHECK_RETURNS(pool_discard(pool, 4096, 0), POOL_OK);
    CHECK_EQ_SIZE(pool_write(NULL, 0, NULL, 0), 0);
    CHECK_STATUS(POOL_INVALID);
    check_held(pool, 0);
    pool_destroy(pool);
}

/* ---------------------------------------------------------------------- bytes */

/* Offsets worth trying in a pool: its ends, and the ends of its first blocks. */
static size_t edges(size_t total, size_t block, size_t *out)
{
    const size_t wanted[] = {0,
                             1,
                             block - 1,
                             block,
                             block + 1,
                             2 * block,
                             5 * block + 3,
                             total / 2,
                             total - 2 * KIB,
                             total - block,
                             total - 2,
                             total - 1};
    size_t count = 0;
    for (size_t i = 0; i < TEST_COUNT(wanted); i++) {
        if (wanted[i] < total) /* what wrapped round or lies outside is left out */
            out[count++] = wanted[i];
    }
    return count;
}

/* Writes at one offset, reads back with both neighbours, takes it away again. */
static void check_round_trip(MemoryPool *pool, size_t total, size_t offset, size_t size)
{
    static unsigned char data[3 * 65536], back[3 * 65536 + 2];
    TestRandom random = {test_seed + offset + size};
    size_t fits = size < total - offset ? size : total - offset;
    size_t before = offset > 0, after = offset + (fits - 1) < total - 1;

    CHECK_LE_SIZE(size, sizeof data);
    test_random_bytes(&random, data, size);
    memset(back, 0xee, sizeof back);
    CHECK_EQ_SIZE(pool_write(pool, offset, data, size), fits);
    CHECK_STATUS(POOL_OK);
    CHECK_EQ_SIZE(pool_read(pool, back, offset - before, before + size + 1),
                  before + fits + after);
    CHECK_STATUS(POOL_OK);
    CHECK_MEM(back + before, data, fits);
    CHECK_BYTES(back, 0, before);
    CHECK_BYTES(back + before + fits, 0, after);
    CHECK_BYTES(back + before + fits + after, 0xee, size - fits);

    memset(back, 0xee, sizeof back);
    CHECK_EQ_SIZE(pool_take(pool, back, offset, size), fits);
    CHECK_STATUS(POOL_OK);
    CHECK_MEM(back, data, fits);
    CHECK_BYTES(back + fits, 0xee, size - fits + 1);
    check_held(pool, 0);
    CHECK_EQ_SIZE(pool_read(pool, back, offset, size), fits);
    CHECK_BYTES(back, 0, fits);
}

TEST(every_shape_of_pool)
{
    static const size_t lengths[] = {1,    2,    7,    8,         9,
                                     1023, 1025, 2049, 65536 + 9, 3 * 65536};
    for (size_t i = 0; i < TEST_COUNT(total_sizes); i++) {
        for (size_t j = 0; j < TEST_COUNT(block_sizes); j++) {
            MemoryPool *pool = make(total_sizes[i], block_sizes[j], 0);
            size_t offsets[16], count = edges(total_sizes[i], block_sizes[j], offsets);
            for (size_t k = 0; k < count; k++) {
                for (size_t n = 0; n < TEST_COUNT(lengths); n++) {
                    if (lengths[n] / block_sizes[j] <= 3000) /* 1-byte blocks are slow */
                        check_round_trip(pool, total_sizes[i], offsets[k], lengths[n]);
                }
            }
            pool_destroy(pool);
        }
    }
}

TEST(short_counts_only_at_the_end)
{
    static const size_t ends[] = {1, 4096, 4097, SIZE_MAX};
    for (size_t i = 0; i < TEST_COUNT(ends); i++) {
        MemoryPool *pool = make(ends[i], 1024, 0);
        char byte = 'x', back[2] = "?";
        CHECK_EQ_SIZE(pool_write(pool, ends[i] - 1, &byte, SIZE_MAX), 1);
        CHECK_STATUS(POOL_OK);
        CHECK_EQ_SIZE(pool_read(pool, back, ends[i] - 1, SIZE_MAX), 1);
        CHECK_EQ_TEXT(back, "x");
        CHECK_EQ_SIZE(pool_take(pool, back, ends[i] - 1, SIZE_MAX), 1);
        CHECK_STATUS(POOL_OK);
        check_held(pool, 0);

        for (size_t past = 0; past < 2; past++) {
            size_t offset = past ? SIZE_MAX : ends[i];
            CHECK_EQ_SIZE(pool_write(pool, offset, &byte, 1), 0);
            CHECK_STATUS(POOL_RANGE);
            CHECK_EQ_SIZE(pool_read(pool, back, offset, SIZE_MAX), 0);
            CHECK_STATUS(POOL_RANGE);
            CHECK_EQ_SIZE(pool_take(pool, back, offset, 1), 0);
            CHECK_STATUS(POOL_RANGE);
        }
        CHECK_EQ_TEXT(back, "x");
        check_held(pool, 0);
        pool_destroy(pool);
    }
}

TEST(fill_and_discard_do_not_clip)
{
    MemoryPool *pool = make(4000, 1024, 0);
    static const size_t ranges[][2] = {{0, 4001},
                                       {3999, 2},
                                       {4000, 1},
                                       {4001, 1},
                                       {10, SIZE_MAX},
                                       {SIZE_MAX, 1},
                                       {SIZE_MAX, SIZE_MAX},
                                       {0, SIZE_MAX}};
    unsigned char back[4000];
    CHECK_RETURNS(pool_fill(pool, 0, 7, 4000), POOL_OK);
    for (size_t i = 0; i < TEST_COUNT(ranges); i++) {
        CHECK_RETURNS(pool_fill(pool, ranges[i][0], 1, ranges[i][1]), POOL_RANGE);
        CHECK_RETURNS(pool_fill(pool, ranges[i][0], 0, ranges[i][1]), POOL_RANGE);
        CHECK_RETURNS(pool_discard(pool, ranges[i][0], ranges[i][1]), POOL_RANGE);
    }
    CHECK_EQ_SIZE(pool_read(pool, back, 0, 4000), 4000);
    CHECK_BYTES(back, 7, 4000);
    check_held(pool, 4);
    pool_destroy(pool);
}

TEST(fill_uses_the_low_bits)
{
    static const int bytes[] = {1, 0x7f, 0x80, 0xff, -1, 0x1ab, 0x12345678};
    MemoryPool *pool = make(8192, 1024, 0);
    unsigned char back[8192];
    for (size_t i = 0; i < TEST_COUNT(bytes); i++) {
        CHECK_RETURNS(pool_fill(pool, 1000, bytes[i], 3000), POOL_OK);
        check_held(pool, 4);
        CHECK_EQ_SIZE(pool_read(pool, back, 0, 8192), 8192);
        CHECK_BYTES(back, 0, 1000);
        CHECK_BYTES(back + 1000, bytes[i], 3000);
        CHECK_BYTES(back + 4000, 0, 4192);
        CHECK_RETURNS(pool_fill(pool, 1000, 0x100, 3000), POOL_OK); /* low bits: 0 */
        check_held(pool, 0);
    }
    pool_destroy(pool);
}

TEST(parts_become_a_hole)
{
    for (size_t block = 8; block <= 65536; block *= 8) {
        MemoryPool *pool = make(4 * block, block, 0);
        CHECK_RETURNS(pool_fill(pool, 0, 0xaa, 4 * block), POOL_OK);
        check_held(pool, 4);
        CHECK_RETURNS(pool_discard(pool, block + 1, block - 1), POOL_OK);
        check_held(pool, 4); /* its first byte is left */
        CHECK_RETURNS(pool_discard(pool, block, 1), POOL_OK);
        check_held(pool, 3);
        CHECK_RETURNS(pool_discard(pool, block / 2, 3 * block), POOL_OK);
        check_held(pool, 2); /* the first half of the first, the last of the last */
        CHECK_RETURNS(pool_fill(pool, 0, 0, block / 2), POOL_OK);
        check_held(pool, 1);
        CHECK_RETURNS(pool_discard(pool, 3 * block + block / 2, block / 2), POOL_OK);
        check_held(pool, 0);
        pool_destroy(pool);
    }
}

TEST(zeros_that_were_written_are_freed_by_a_partial_discard)
{
    static const char zeros[1024];
    MemoryPool *pool = make(4096, 1024, 0);
    CHECK_EQ_SIZE(pool_write(pool, 0, zeros, 1024), 1024);
    check_held(pool, 1); /* they were written: the block exists */
    CHECK_RETURNS(pool_discard(pool, 3, 1), POOL_OK);
    check_held(pool, 0);
    pool_destroy(pool);
}

/* A pool whose end is in the middle of a block: the block goes back with its last byte
 * inside the pool, and nothing of it can be seen past the end. */
TEST(short_last_block)
{
    MemoryPool *pool = make(2500, 1024, 0);
    unsigned char data[1000], back[1000];
    memset(data, 0x5a, sizeof data);
    CHECK_EQ_SIZE(pool_write(pool, 2040, data, sizeof data), 460);
    check_held(pool, 2);
    size_t start = 0, size = 0;
    CHECK_EQ_INT(pool_next_extent(pool, 0, SIZE_MAX, &start, &size), 1);
    CHECK_EQ_SIZE(start, 1024);
    CHECK_EQ_SIZE(size, 2500 - 1024);
    CHECK_EQ_SIZE(pool_read(pool, back, 2040, sizeof back), 460);
    CHECK_MEM(back, data, 460);
    CHECK_RETURNS(pool_discard(pool, 2048, 452), POOL_OK);
    check_held(pool, 1);
    CHECK_EQ_SIZE(pool_take(pool, back, 0, sizeof back), sizeof back);
    CHECK_EQ_SIZE(pool_take(pool, back, 2040, sizeof back), 460);
    CHECK_BYTES(back, 0x5a, 8);
    CHECK_BYTES(back + 8, 0, 452);
    check_held(pool, 0);
    pool_destroy(pool);
}

/* Fills blocks, frees them in each way there is, and takes new ones for a single byte:
 * whatever lay in the memory before must not be seen. */
TEST(recycled_memory_never_shows)
{
    enum { BLOCKS = 8 };
    static unsigned char back[BLOCKS * 65536];
    for (size_t i = 0; i < TEST_COUNT(block_sizes); i++) {
        for (int way = 0; way < 4; way++) {
            MemoryPool *pool = make(BLOCKS * 65536, block_sizes[i], 0);
            size_t block = stats_of(pool).block_size, size = BLOCKS * block;
            CHECK_RETURNS(pool_fill(pool, 0, 0xcc, size), POOL_OK);
            if (way == 0) {
                CHECK_RETURNS(pool_discard(pool, 0, size), POOL_OK);
            } else if (way == 1) {
                CHECK_EQ_SIZE(pool_take(pool, back, 0, size), size);
            } else if (way == 2) {
                pool_destroy(pool);
                pool = make(BLOCKS * 65536, block_sizes[i], 0);
            } else {
                MemoryPool *empty = make(size, block, 0), *filled = pool;
                pool = pool_clone(empty);
                pool_destroy(empty);
                pool_destroy(filled);
            }
            check_held(pool, 0);
            for (size_t at = 0; at < size; at += block)
                CHECK_EQ_SIZE(pool_write(pool, at + block / 3, "!", 1), 1);
            CHECK_EQ_SIZE(pool_read(pool, back, 0, size), size);
            for (size_t at = 0; at < size; at += block) {
                CHECK_BYTES(back + at, 0, block / 3);
                CHECK_BYTES(back + at + block / 3, '!', 1);
                CHECK_BYTES(back + at + block / 3 + 1, 0, block - block / 3 - 1);
            }
            pool_destroy(pool);
        }
    }
}

TEST(whole_pool_ranges)
{
    static const size_t offsets[] = {0, 1, SIZE_MAX / 3, SIZE_MAX / 2 + 5, SIZE_MAX - 1};
    for (size_t i = 0; i < TEST_COUNT(block_sizes); i++) {
        MemoryPool *pool = make(SIZE_MAX, block_sizes[i], 0);
        for (size_t j = 0; j < TEST_COUNT(offsets); j++)
            CHECK_EQ_SIZE(pool_write(pool, offsets[j], "x", 1), 1);
        CHECK_RETURNS(pool_discard(pool, 0, SIZE_MAX), POOL_OK);
        check_held(pool, 0);
        for (size_t j = 0; j < TEST_COUNT(offsets); j++) {
            char back = '?';
            CHECK_EQ_SIZE(pool_read(pool, &back, offsets[j], 1), 1);
            CHECK_EQ_INT(back, 0);
        }
        pool_destroy(pool);
    }
}

/* The data of one block would be half of all addresses. Where addresses have 32 bits the
 * system may well have room for one such block; never for two. */
TEST(block_too_large_to_allocate)
{
    MemoryPool *pool = make(SIZE_MAX, SIZE_MAX, 0);
    size_t block = stats_of(pool).block_size, failed = 0;
    CHECK_EQ_SIZE(block, SIZE_MAX / 2 + 1);
    for (size_t half = 0; half < 2; half++) {
        size_t offset = half * block + 1000;
        unsigned char back[3] = {1, 1, 1};
        size_t done = pool_write(pool, offset, "abc", 3);
        CHECK(done == 0 || done == 3);
        CHECK_STATUS(done == 0 ? POOL_NO_MEMORY : POOL_OK);
        CHECK_EQ_SIZE(pool_read(pool, back, offset, 3), 3);
        CHECK_MEM(back, done == 0 ? "\0\0\0" : "abc", 3);
        failed += done == 0;
    }
    CHECK_LE_SIZE(sizeof(size_t) > 4 ? 2 : 1, failed);
    check_held(pool, 2 - failed);
    CHECK_RETURNS(pool_discard(pool, 0, SIZE_MAX), POOL_OK);
    check_held(pool, 0);
    pool_destroy(pool);
}

/* Where a destination lies just behind its source within a page, it is copied in pieces.
 * */
TEST(read_to_any_place_in_a_page)
{
    enum { SIZE = 10000, PAGE = 4096 };
    MemoryPool *pool = make(65536, 65536, 0);
    unsigned char *bytes = test_alloc(SIZE);
    unsigned char *room = test_alloc(SIZE + 2 * PAGE);
    unsigned char *page = room + (PAGE - (uintptr_t)room % PAGE) % PAGE;
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 251);
    CHECK_EQ_SIZE(pool_write(pool, 0, bytes, SIZE), SIZE);
    for (size_t place = 0; place < 70; place++) {
        static const size_t sizes[] = {1, 16, 17, 511, 512, 513, 2048, 4096, 9000};
        for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
            memset(page, 0xEE, SIZE + 100);
            CHECK_EQ_SIZE(pool_read(pool, page + place, 3, sizes[i]), sizes[i]);
            CHECK_MEM(page + place, bytes + 3, sizes[i]);
            CHECK_BYTES(page, 0xEE, place);
            CHECK_BYTES(page + place + sizes[i], 0xEE, 30);
        }
    }
    free(room);
    free(bytes);
    pool_destroy(pool);
}

static const TestCase cases[] = {
    TEST_CASE(block_size_follows_the_rule),
    TEST_CASE(create_refuses_zero),
    TEST_CASE(options_are_checked),
    TEST_CASE(options_of_other_versions),
    TEST_CASE(retain_and_destroy_count),
    TEST_CASE(null_is_refused),
    TEST_CASE(size_zero_does_nothing),
    TEST_CASE(every_shape_of_pool),
    TEST_CASE(short_counts_only_at_the_end),
    TEST_CASE(fill_and_discard_do_not_clip),
    TEST_CASE(fill_uses_the_low_bits),
    TEST_CASE(parts_become_a_hole),
    TEST_CASE(zeros_that_were_written_are_freed_by_a_partial_discard),
    TEST_CASE(short_last_block),
    TEST_CASE(recycled_memory_never_shows),
    TEST_CASE(whole_pool_ranges),
    TEST_CASE(block_too_large_to_allocate),
    TEST_CASE(read_to_any_place_in_a_page),
};
TEST_MAIN(cases)
