/* SPDX-License-Identifier: MIT */
/*
 * clones.c - thousands of clones alive at once, made of one another and dropped at random
 *
 *     tests/evidence/long/run clones [CLONES [SEED]]             10,000 by default
 *
 * Each clone is made of any that lives, and all of them are written to in between. Of each
 * block of each clone the model knows the number of the write that it is of; so it knows
 * both the contents and how many blocks the family holds.
 */
#include "long.h"

enum { BLOCK = 256, BLOCKS = 64 };

typedef struct Twin {
    MemoryPool *pool;
    uint32_t words[BLOCKS]; /* what each block is full of */
} Twin;

static Twin *twins;
static size_t alive;
static uint32_t writes;
static TestRandom chance;

static void twin_write(Twin *twin)
{
    uint32_t words[BLOCK / sizeof(uint32_t)];
    size_t block = test_below(&chance, BLOCKS);
    uint32_t word = twin->words[block] = ++writes;
    for (size_t i = 0; i < TEST_COUNT(words); i++)
        words[i] = word;
    CHECK_EQ_SIZE(pool_write(twin->pool, block * BLOCK, words, BLOCK), BLOCK);
}

static void twin_check(const Twin *twin)
{
    uint32_t back[BLOCKS * BLOCK / sizeof(uint32_t)];
    CHECK_EQ_SIZE(pool_read(twin->pool, back, 0, sizeof back), sizeof back);
    for (size_t i = 0; i < TEST_COUNT(back); i++)
        CHECK_EQ_SIZE(back[i], twin->words[i * sizeof(uint32_t) / BLOCK]);
}

/* Writes to some, and looks at one. */
static void twins_work(void)
{
    for (int i = 0; i < 4; i++)
        twin_write(&twins[test_below(&chance, alive)]);
    twin_check(&twins[test_below(&chance, alive)]);
}

/* Looks at all of them, and counts the blocks that they hold together. */
static void twins_check(void)
{
    unsigned char *held = calloc(writes + 1, 1);
    size_t blocks = 0;
    PoolStats stats = {.struct_size = sizeof stats};
    CHECK(held != NULL);
    for (size_t i = 0; i < alive; i++) {
        twin_check(&twins[i]);
        for (size_t b = 0; b < BLOCKS; b++) {
            uint32_t word = twins[i].words[b];
            blocks += word != 0 && !held[word];
            held[word] = 1;
        }
    }
    free(held);
    pool_stats(twins[0].pool, &stats);
    CHECK_EQ_SIZE(stats.family_pools, alive);
    CHECK_EQ_SIZE(stats.family_bytes, blocks * BLOCK);
    printf("%6zu clones alive, %7zu blocks, %5zu KiB of bookkeeping, %4zu MiB resident\n",
           alive, blocks, stats.metadata_bytes >> 10, long_resident() >> 20);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    double begin = long_seconds();
    size_t most = (size_t)long_argument(argc, argv, 1, 10000);
    test_seed = long_argument(argc, argv, 2, 1);
    test_running = "clones";
    chance.state = test_seed;
    twins = calloc(most, sizeof *twins);
    CHECK(twins != NULL && most >= 5);
    twins[0].pool = pool_create(BLOCKS * BLOCK, BLOCK);
    for (alive = 1; alive < most;) {
        const Twin *origin = &twins[test_below(&chance, alive)];
        Twin *twin = &twins[alive++];
        *twin = *origin;
        twin->pool = pool_clone(origin->pool);
        CHECK(twin->pool != NULL);
        twins_work();
        if (alive % (most / 5) == 0)
            twins_check();
    }
    while (alive > 1) {
        Twin *twin = &twins[test_below(&chance, alive)];
        pool_destroy(twin->pool);
        *twin = twins[--alive];
        twins_work();
        if (alive % (most / 5) == 0)
            twins_check();
    }
    twins_check();
    CHECK(pool_discard(twins[0].pool, 0, BLOCKS * BLOCK) == POOL_OK);
    PoolStats stats = {.struct_size = sizeof stats};
    pool_stats(twins[0].pool, &stats);
    CHECK_EQ_SIZE(stats.family_bytes, 0);
    pool_destroy(twins[0].pool);
    (void)pool_trim();
    printf("%zu clones, %u writes, %.1f s; all contents right\n", most, writes,
           long_seconds() - begin);
    free(twins);
    return 0;
}
