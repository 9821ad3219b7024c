/* SPDX-License-Identifier: MIT */
/* test_model.c - random calls on a family of pools against the model of model.h */
#include "model_effects.h"

static void run_model(TestRandom *random, size_t total, size_t max_block_size,
                      size_t base, size_t size, unsigned ops)
{
    static Model model;
    static Op op;
    size_t blocks = size / max_block_size + 2;
    size_t limit = test_below(random, 2) == 0
                       ? 0 /* none; or one that is met often, and not a whole block */
                       : blocks * max_block_size * 3 / 2 + test_below(random, 3);
    model_create(&model, total, max_block_size, limit, base, size);
    for (unsigned i = 0; i < ops; i++) {
        op_random(&model, random, &op);
        PoolStatus status = op_call(&model, &op);
        op_expect(&model, &op, status);
        if (status == POOL_OK)
            op_apply(&model, &op);
        else
            op_failed(&model, &op, status);
        model_check(&model);
    }
    model_destroy(&model);
}

/* Windows in a small pool, at the end of one of 2^40 bytes or in its middle, and at the
 * very end of the addresses; aligned to blocks and not. */
static void run_seeds(size_t max_block_size, size_t size, unsigned seeds, unsigned ops)
{
    const size_t middle = (size_t)1 << (sizeof(size_t) > 4 ? 40 : 30);
    for (unsigned i = 0; i < test_times(seeds); i++) {
        TestRandom random = {test_seed * 1000003 + i * 7919 + max_block_size};
        size_t less = test_below(&random, size / 2);
        size_t window = size - less;
        switch (i % 4) {
        case 0: run_model(&random, window, max_block_size, 0, window, ops); break;
        case 1:
            run_model(&random, middle, max_block_size, middle - window, window, ops);
            break;
        case 2:
            run_model(&random, SIZE_MAX, max_block_size, middle - less, window, ops);
            break;
        default:
            run_model(&random, SIZE_MAX, max_block_size, SIZE_MAX - window, window, ops);
            break;
        }
    }
}

TEST(blocks_of_1_byte)
{
    run_seeds(1, 96, 8, 800);
}
TEST(blocks_of_3_bytes)
{
    run_seeds(3, 128, 8, 800);
}
TEST(blocks_of_16_bytes)
{
    run_seeds(16, 300, 16, 1500);
}
TEST(blocks_of_64_bytes)
{
    run_seeds(64, 2048, 16, 1000);
}
TEST(blocks_of_1024_bytes)
{
    run_seeds(1024, 2048, 8, 1500);
}
TEST(blocks_of_4096_bytes)
{
    run_seeds(4096, 2048, 4, 1500);
}
/* Two of them have pages that can be watched for writes. */
TEST(blocks_of_64_KiB)
{
    run_seeds(65536, 2048, 8, 500);
}

static const TestCase cases[] = {
    TEST_CASE(blocks_of_1_byte),     TEST_CASE(blocks_of_3_bytes),
    TEST_CASE(blocks_of_16_bytes),   TEST_CASE(blocks_of_64_bytes),
    TEST_CASE(blocks_of_1024_bytes), TEST_CASE(blocks_of_4096_bytes),
    TEST_CASE(blocks_of_64_KiB),
};
TEST_MAIN(cases)
