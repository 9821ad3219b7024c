/* SPDX-License-Identifier: MIT */
/*
 * test_pin_writers.c - threads that write through a pin while others clone the pool
 *
 * Each word belongs to one writer, which counts in it, and says how far it has got after it
 * has written. So a clone has to have at least what was said before it was made, no more
 * than what was said afterwards and one, and no less than the clone before it: no finished
 * write is lost. Two words of a block are written one after the other.
 */
#if !defined(_WIN32)
#  define _POSIX_C_SOURCE 200809L
#endif
#include <stdatomic.h>

#include "pools.h"
#include "test_threads.h"

enum { WORDS_MOST = 2048, WRITERS = 2, PINNED = 512 << 10, CLONES = 200 };

typedef atomic_uint Word;

static Word said[WORDS_MOST], stop;
static PoolView pin;
static size_t stride, count; /* bytes from one counted place to the next; places */

/* What another thread wrote before it said so is seen by who has read what it said. */
static unsigned word_load(Word *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

static void word_store(Word *word, unsigned value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

static Word *place(void *data, size_t i, int second)
{
    unsigned char *at = (unsigned char *)data + i * stride;
    return (Word *)(void *)(at + (second ? stride - sizeof(unsigned) : 0));
}

/* Writer k has every place of which the number has the remainder k. */
static void write_often(void *argument)
{
    size_t k = *(size_t *)argument;
    TestRandom random = {test_seed + k};
    while (!word_load(&stop)) {
        /* Now few places, now many, so that all ways to find them are taken. */
        size_t most = test_below(&random, 8) == 0 ? count : 40;
        for (size_t n = 0; n < 2 * most; n++) {
            size_t i = test_below(&random, most) / WRITERS * WRITERS + k;
            unsigned next = i < count ? word_load(&said[i]) + 1 : 0;
            if (i >= count)
                continue;
            word_store(place(pin.data, i, 0), next);
            word_store(place(pin.data, i, 1), next);
            word_store(&said[i], next);
        }
    }
}

static void check_clone(MemoryPool *clone, const unsigned *before, unsigned *last,
                        unsigned char *bytes)
{
    CHECK_EQ_SIZE(pool_read(clone, bytes, 0, PINNED), PINNED);
    for (size_t i = 0; i < count; i++) {
        unsigned after = word_load(&said[i]);
        for (int second = 0; second < 2; second++) {
            unsigned value = word_load(place(bytes, i, second));
            CHECK_LE_SIZE(before[i], value);
            CHECK_LE_SIZE(value, (size_t)after + 1);
        }
        unsigned value = word_load(place(bytes, i, 0));
        CHECK_LE_SIZE(last[i], value);
        last[i] = value;
    }
}

/* A second pin on the side comes and goes, and one of the first one's users as well. */
static void pin_beside(MemoryPool *pool, TestRandom *random)
{
    PoolView other = {.struct_size = sizeof other};
    size_t at = test_below(random, 2 * PINNED - 1);
    CHECK_RETURNS(pool_pin(pool, at, 2 * PINNED - at, &other), POOL_OK);
    pool_view_release(&other);
}

static void clones_beside_writers(size_t block_size)
{
    static unsigned before[WORDS_MOST], last[WORDS_MOST];
    static unsigned char bytes[PINNED], again[PINNED];
    size_t numbers[WRITERS];
    TestThread threads[WRITERS];
    TestRandom random = {test_seed};
    MemoryPool *pool = make(2 * PINNED, block_size, 0), *clone = NULL;
    pin.struct_size = sizeof pin;
    stride = block_size < 1024 ? 1024 : block_size;
    count = PINNED / stride;
    memset(last, 0, sizeof last);
    for (size_t i = 0; i < count; i++)
        word_store(&said[i], 0);
    CHECK_RETURNS(pool_pin(pool, 0, PINNED, &pin), POOL_OK);
    CHECK_EQ_SIZE(pin.size, PINNED);
    word_store(&stop, 0);
    for (size_t k = 0; k < WRITERS; k++) {
        numbers[k] = k;
        test_thread_start(&threads[k], write_often, &numbers[k]);
    }
    for (unsigned round = 0; round < test_times(CLONES); round++) {
        for (size_t i = 0; i < count; i++)
            before[i] = word_load(&said[i]);
        MemoryPool *older = clone;
        clone = pool_clone(pool);
        CHECK_STATUS(POOL_OK);
        if (older != NULL) { /* it stays what it was */
            CHECK_EQ_SIZE(pool_read(older, again, 0, PINNED), PINNED);
            CHECK_MEM(again, bytes, PINNED);
        }
        check_clone(clone, before, last, bytes);
        pool_destroy(older);
        pin_beside(pool, &random);
    }
    word_store(&stop, 1);
    for (size_t k = 0; k < WRITERS; k++)
        test_thread_join(&threads[k]);
    MemoryPool *end = pool_clone(pool);
    CHECK_EQ_SIZE(pool_read(end, bytes, 0, PINNED), PINNED);
    CHECK_MEM(bytes, pin.data, PINNED); /* nobody writes any more: all of it */
    pool_destroy(end);
    pool_destroy(clone);
    pool_destroy(pool);
    pool_view_release(&pin);
}

TEST(blocks_of_256_bytes)
{
    clones_beside_writers(256);
}
TEST(blocks_of_4_KiB)
{
    clones_beside_writers(4096);
}
TEST(blocks_of_64_KiB)
{
    clones_beside_writers(65536);
}

static const TestCase cases[] = {
    TEST_CASE(blocks_of_256_bytes),
    TEST_CASE(blocks_of_4_KiB),
    TEST_CASE(blocks_of_64_KiB),
};
TEST_MAIN(cases)
