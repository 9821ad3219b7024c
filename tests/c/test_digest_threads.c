/* SPDX-License-Identifier: MIT */
/* test_digest_threads.c - digests beside writers, and of relatives in several threads */
#include <stdatomic.h>

#include "digests.h"
#include "test_threads.h"

enum { VALUES = 4 };

static MemoryPool *shared;
static Hash of_value[VALUES];
static atomic_uint writers;

/* Fills a span of several blocks, which is one step. */
static void fill_often(void *argument)
{
    TestRandom random = {*(const uint64_t *)argument};
    for (unsigned i = test_times(2000); i > 0; i--)
        CHECK_RETURNS(pool_fill(shared, BLOCK / 2, (int)test_below(&random, VALUES) + 1,
                                WHOLE - BLOCK),
                      POOL_OK);
    atomic_fetch_sub(&writers, 1);
}

/* Each digest is that of one moment. */
static void digest_often(void *argument)
{
    (void)argument;
    do {
        Hash digest = digest_of(shared);
        unsigned value = 0;
        while (value < VALUES && memcmp(&digest, &of_value[value], sizeof digest) != 0)
            value++;
        CHECK(value < VALUES);
    } while (atomic_load(&writers) > 0);
}

TEST(beside_writers)
{
    uint64_t seeds[2] = {test_seed, test_seed + 1};
    TestThread threads[4];
    shared = make(WHOLE, BLOCK, 0);
    for (int value = VALUES; value-- > 0;) {
        CHECK_RETURNS(pool_fill(shared, BLOCK / 2, value + 1, WHOLE - BLOCK), POOL_OK);
        of_value[value] = digest_of(shared);
    }
    atomic_store(&writers, 2);
    for (unsigned i = 0; i < 2; i++) {
        test_thread_start(&threads[i], fill_often, &seeds[i]);
        test_thread_start(&threads[2 + i], digest_often, NULL);
    }
    for (unsigned i = 0; i < 4; i++)
        test_thread_join(&threads[i]);
    check_digest(shared);
    pool_destroy(shared);
}

/* Single bytes at random places: in the end no digest is stale, however blocks and nodes
 * were shared between relatives meanwhile. */
static void scribble_often(void *argument)
{
    TestRandom random = {*(const uint64_t *)argument};
    MemoryPool *mine = pool_clone(shared);
    for (unsigned i = test_times(3000); i > 0; i--) {
        MemoryPool *pool = test_below(&random, 2) ? mine : shared;
        unsigned char byte = (unsigned char)test_random(&random);
        CHECK_EQ_SIZE(pool_write(pool, test_below(&random, WHOLE), &byte, 1), 1);
        if (i % 16 == 0)
            (void)digest_of(pool);
        if (i % 64 == 0) {
            CHECK_RETURNS(pool_restore(mine, shared), POOL_OK);
        }
    }
    check_digest(mine);
    pool_destroy(mine);
}

TEST(relatives_in_threads)
{
    uint64_t seeds[3] = {test_seed, test_seed + 1, test_seed + 2};
    TestThread threads[3];
    shared = make_full();
    for (unsigned i = 0; i < 3; i++)
        test_thread_start(&threads[i], scribble_often, &seeds[i]);
    for (unsigned i = 0; i < 3; i++)
        test_thread_join(&threads[i]);
    check_digest(shared);
    pool_destroy(shared);
}

static const TestCase cases[] = {
    TEST_CASE(beside_writers),
    TEST_CASE(relatives_in_threads),
};

TEST_MAIN(cases)
