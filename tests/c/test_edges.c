/* SPDX-License-Identifier: MIT */
/* test_edges.c - arguments and pools at the edges of what is allowed */
#include "pools.h"

/* A structure of options that is larger than any version's is not looked at: it is more
 * likely to be something else. */
TEST(options_of_an_impossible_size)
{
    unsigned char space[1025] = {0};
    PoolOptions options = {.struct_size = 1024, .total_size = 1000, .max_block_size = 16};
    memcpy(space, &options, sizeof options);
    MemoryPool *pool = pool_create_with((const PoolOptions *)(void *)space);
    CHECK_STATUS(POOL_OK);
    pool_destroy(pool);

    options.struct_size = 1025;
    memcpy(space, &options, sizeof options);
    CHECK(pool_create_with((const PoolOptions *)(void *)space) == NULL);
    CHECK_STATUS(POOL_INVALID);

    options.struct_size = SIZE_MAX; /* what is behind it must not be read */
    CHECK(pool_create_with(&options) == NULL);
    CHECK_STATUS(POOL_INVALID);
}

/* Relatives of very different sizes, of which now the large one is empty and now the
 * small one: what either holds is found, and nothing beyond it. */
TEST(changes_of_relatives_that_were_resized)
{
    const size_t large = SIZE_MAX / 2, block = 64;
    size_t start = 1, size = 2;
    MemoryPool *pool = make(40 * block, block, 0), *clone = pool_clone(pool);
    CHECK_RETURNS(pool_resize(pool, large), POOL_OK);
    CHECK_RETURNS(pool_fill(clone, 10 * block, 1, block), POOL_OK);
    for (int turn = 0; turn < 2; turn++) {
        MemoryPool *a = turn == 0 ? pool : clone, *b = turn == 0 ? clone : pool;
        CHECK_EQ_INT(pool_next_change(a, b, 3, SIZE_MAX, &start, &size), 1);
        CHECK_EQ_SIZE(start, 10 * block);
        CHECK_EQ_SIZE(size, block);
        CHECK_EQ_INT(pool_next_change(a, b, 11 * block, SIZE_MAX, &start, &size), 0);
        CHECK_EQ_INT(pool_next_change(a, b, 1029 * block, SIZE_MAX, &start, &size), 0);
        CHECK_EQ_INT(pool_next_change(a, b, large - 1, SIZE_MAX, &start, &size), 0);
        CHECK_EQ_INT(pool_next_change(a, b, SIZE_MAX, SIZE_MAX, &start, &size), 0);
        CHECK_EQ_SIZE(start, 10 * block);
    }
    CHECK_RETURNS(pool_fill(pool, large - 5, 1, 5), POOL_OK);
    CHECK_EQ_INT(pool_next_change(clone, pool, 11 * block, SIZE_MAX, &start, &size), 1);
    CHECK_EQ_SIZE(start, (large - 1) / block * block);
    CHECK_EQ_SIZE(size, large - start);
    pool_destroy(pool);
    pool_destroy(clone);
}

/* More runs of data than a copy notes at first; between them, holes become holes. */
TEST(copy_of_many_runs)
{
    enum { RUNS = 100, BLOCK = 16 };
    MemoryPool *from = make(2 * RUNS * BLOCK, BLOCK, 0);
    MemoryPool *to = make(2 * RUNS * BLOCK, 64, 0);
    CHECK_RETURNS(pool_fill(to, 0, 9, 2 * RUNS * BLOCK), POOL_OK);
    for (size_t i = 0; i < RUNS; i++)
        CHECK_RETURNS(pool_fill(from, 2 * i * BLOCK, (int)i + 1, BLOCK), POOL_OK);
    CHECK_RETURNS(pool_copy(to, 0, from, 0, 2 * RUNS * BLOCK), POOL_OK);
    for (size_t i = 0; i < RUNS; i++) {
        check_filled(to, 2 * i * BLOCK, (int)i + 1, BLOCK);
        check_filled(to, (2 * i + 1) * BLOCK, 0, BLOCK);
    }
    pool_destroy(from);
    pool_destroy(to);
}

/* Blocks begin with a page; where in a page the caller's memory begins decides how bytes
 * are copied, and must not decide which. */
TEST(reads_to_any_place_in_a_page)
{
    enum { PAGE = 4096, SIZE = 5000, PLACES = 50 };
    TestRandom random = {test_seed};
    unsigned char *memory = test_alloc(3 * PAGE + PLACES), *src = test_alloc(SIZE);
    size_t page = (PAGE - (uintptr_t)memory % PAGE) % PAGE;
    MemoryPool *pool = make(4 * PAGE, 2 * PAGE, 0);
    test_random_bytes(&random, src, SIZE);
    CHECK_EQ_SIZE(pool_write(pool, 2 * PAGE, src, SIZE), SIZE);
    for (size_t place = 0; place < PLACES; place++) {
        unsigned char *dest = memory + page + place;
        memset(dest, 0xaa, SIZE + 1);
        CHECK_EQ_SIZE(pool_read(pool, dest, 2 * PAGE, SIZE), SIZE);
        CHECK_MEM(dest, src, SIZE);
        CHECK_EQ_INT(dest[SIZE], 0xaa);
    }
    pool_destroy(pool);
    free(src);
    free(memory);
}

static const TestCase cases[] = {
    TEST_CASE(options_of_an_impossible_size),
    TEST_CASE(changes_of_relatives_that_were_resized),
    TEST_CASE(copy_of_many_runs),
    TEST_CASE(reads_to_any_place_in_a_page),
};
TEST_MAIN(cases)
