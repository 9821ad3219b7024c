/* SPDX-License-Identifier: MIT */
/*
 * test_pin_tracking.c - pins whose written pages the system tracks, and then does not
 *
 * The descriptors of the service are closed between two calls, as programs do that close all
 * they did not open. Whatever a call was about to ask, no write through a pin is lost, and
 * the next calls are as good as before.
 */
#define _DEFAULT_SOURCE 1
#include <sys/mman.h>
#include <unistd.h>

static int keeps_pages; /* the system does not clear what is decommitted */
#define madvise(at, size, advice)                                                        \
    (keeps_pages && (advice) == MADV_DONTNEED ? -1 : madvise(at, size, advice))

#include "internal.h"
#undef madvise

enum { PAGE = 4096, BLOCKS = 1024, SIZE = BLOCKS * PAGE };

static MemoryPool *pool;
static PoolView pin;

static void lose_descriptors(void)
{
    if (written_service() == POOL_TRACKING_PAGEMAP_SCAN)
        CHECK(close(scanner.pagemap.number) == 0);
}

static unsigned char *page(size_t i)
{
    return (unsigned char *)pin.data + i * PAGE;
}

static void start(void)
{
    pin = (PoolView){.struct_size = sizeof pin};
    pool = pool_create(SIZE, PAGE);
    CHECK(pool != NULL);
    CHECK(pool_pin(pool, 0, SIZE, &pin) == POOL_OK);
    CHECK_EQ_SIZE(pin.size, SIZE);
    memset(pin.data, 1, SIZE);
}

static void end(void)
{
    pool_view_release(&pin);
    pool_destroy(pool);
    check_nothing_live();
}

/* A clone that has a byte, which is then changed in the pool. */
static MemoryPool *clone_with(size_t i, unsigned char byte)
{
    MemoryPool *clone;
    unsigned char seen = 0;
    *page(i) = byte;
    clone = pool_clone(pool);
    CHECK(clone != NULL);
    *page(i) = 0;
    CHECK_EQ_SIZE(pool_read(clone, &seen, i * PAGE, 1), 1);
    CHECK_EQ_INT(seen, byte);
    return clone;
}

TEST(clones)
{
    start();
    for (unsigned i = 0; i < 6; i++) {
        MemoryPool *before = clone_with(i, 2), *after;
        if (i % 2 == 0)
            lose_descriptors();
        after = clone_with(100 + i, 3);
        pool_destroy(before);
        pool_destroy(after);
    }
    end();
}

/* So much is written that the pin is left open. */
TEST(an_open_pin)
{
    start();
    MemoryPool *base = pool_clone(pool);
    CHECK(base != NULL);
    for (unsigned round = 0; round < 4; round++) {
        for (size_t i = 0; i < BLOCKS; i++)
            *page(i) = (unsigned char)(2 + round);
        if (round == 2)
            lose_descriptors();
        pool_destroy(clone_with(7, 9));
    }
    CHECK(pool_restore(pool, base) == POOL_OK);
    CHECK_BYTES(pin.data, 1, SIZE);
    pool_destroy(base);
    end();
}

TEST(changes)
{
    size_t at, size;
    start();
    MemoryPool *base = pool_clone(pool);
    CHECK(base != NULL);
    *page(50) = *page(700) = 2;
    lose_descriptors();
    CHECK_EQ_INT(pool_next_change(pool, base, 0, SIZE_MAX, &at, &size), 1);
    CHECK_EQ_SIZE(at, 50 * PAGE);
    CHECK_EQ_SIZE(size, PAGE);
    CHECK_EQ_INT(pool_next_change(pool, base, 51 * PAGE, SIZE_MAX, &at, &size), 1);
    CHECK_EQ_SIZE(at, 700 * PAGE);
    CHECK_EQ_INT(pool_next_change(pool, base, 701 * PAGE, SIZE_MAX, &at, &size), 0);
    pool_destroy(base);
    end();
}

/* Pages to which what they had was written are no changes, however many there are. */
TEST(changes_behind_pages_that_are_none)
{
    size_t at, size, i;
    start();
    MemoryPool *base = pool_clone(pool);
    CHECK(base != NULL);
    for (i = 0; i < 100; i++)
        *page(3 * i) = 1;
    *page(150) = *page(600) = 2;
    CHECK_EQ_INT(pool_next_change(pool, base, 0, SIZE_MAX, &at, &size), 1);
    CHECK_EQ_SIZE(at, 150 * PAGE);
    CHECK_EQ_SIZE(size, PAGE);
    CHECK_EQ_INT(pool_next_change(pool, base, 151 * PAGE, SIZE_MAX, &at, &size), 1);
    CHECK_EQ_SIZE(at, 600 * PAGE);
    CHECK_EQ_INT(pool_next_change(pool, base, 601 * PAGE, SIZE_MAX, &at, &size), 0);
    pool_destroy(base);
    end();
}

static unsigned char byte_of(MemoryPool *of, size_t i)
{
    unsigned char byte = 0;
    CHECK_EQ_SIZE(pool_read(of, &byte, i * PAGE, 1), 1);
    return byte;
}

static size_t blocks_held(void)
{
    PoolStats stats = {.struct_size = sizeof stats};
    pool_stats(pool, &stats);
    return stats.family_bytes / PAGE;
}

/* A frozen copy that nobody else has is written to; one that a clone or a view has is not,
 * whether they share it or a node above it. */
TEST(frozen_copies_that_others_have)
{
    start();
    MemoryPool *base = pool_clone(pool), *clone;
    PoolView view = {.struct_size = sizeof view};
    CHECK(base != NULL);
    for (unsigned char byte = 2; byte < 5; byte++) {
        size_t before = blocks_held();
        *page(5) = *page(900) = byte;
        clone = pool_clone(pool);
        CHECK_EQ_SIZE(blocks_held(), before + (byte == 2 ? 2 : 0));
        CHECK_EQ_INT(byte_of(clone, 5), byte);
        CHECK_EQ_INT(byte_of(base, 5), 1);
        pool_destroy(clone);
    }
    CHECK(pool_view(pool, 5 * PAGE, PAGE, &view) == POOL_OK);
    *page(5) = *page(6) = *page(900) = 6;
    clone = pool_clone(pool);
    CHECK_EQ_INT(byte_of(clone, 5), 6);
    CHECK_EQ_INT(byte_of(clone, 6), 6);
    CHECK_EQ_INT(byte_of(clone, 900), 6);
    CHECK_EQ_INT(*(const unsigned char *)view.data, 4);
    CHECK_EQ_INT(byte_of(base, 6), 1);
    pool_view_release(&view);
    pool_destroy(clone);
    pool_destroy(base);
    end();
}

/* A block is searched to its end, also where it begins behind what was written before it. */
TEST(changes_in_large_blocks)
{
    enum { BLOCK = 4 * PAGE };
    size_t at, size;
    start();
    pool_view_release(&pin);
    pool_destroy(pool);
    pool = pool_create(SIZE, BLOCK);
    CHECK(pool != NULL);
    CHECK(pool_pin(pool, 0, SIZE, &pin) == POOL_OK);
    MemoryPool *base = pool_clone(pool);
    CHECK(base != NULL);
    *page(43) = *page(47) = 0; /* what they were */
    *page(55) = 1;
    CHECK_EQ_INT(pool_next_change(pool, base, 0, SIZE_MAX, &at, &size), 1);
    CHECK_EQ_SIZE(at, 13 * BLOCK);
    CHECK_EQ_SIZE(size, BLOCK);
    *page(43) = *page(47) = *page(81) =
        1; /* the ends of blocks 10 and 11, and one of 20 */
    CHECK_EQ_INT(pool_next_change(pool, base, 0, SIZE_MAX, &at, &size), 1);
    CHECK_EQ_SIZE(at, 10 * BLOCK);
    CHECK_EQ_SIZE(size, 2 * BLOCK);
    CHECK_EQ_INT(pool_next_change(pool, base, at + size, SIZE_MAX, &at, &size), 1);
    CHECK_EQ_SIZE(at, 13 * BLOCK);
    CHECK_EQ_SIZE(size, BLOCK);
    CHECK_EQ_INT(pool_next_change(pool, base, at + size, SIZE_MAX, &at, &size), 1);
    CHECK_EQ_SIZE(at, 20 * BLOCK);
    CHECK_EQ_INT(pool_next_change(pool, base, at + size, SIZE_MAX, &at, &size), 0);
    pool_destroy(base);
    end();
}

/* Of a mebibyte and more, which lets the threads of an interpreter go on. */
TEST(views)
{
    PoolView view = {.struct_size = sizeof view};
    start();
    pool_destroy(clone_with(3, 2));
    for (unsigned i = 0; i < 2; i++) {
        *page(5) = (unsigned char)(7 + i);
        lose_descriptors();
        CHECK(pool_view(pool, 5 * PAGE, SIZE - 5 * PAGE, &view) == POOL_OK);
        CHECK_EQ_INT(*(unsigned char *)view.data, 7 + (int)i);
        pool_view_release(&view);
        pool_destroy(clone_with(6, 2));
    }
    end();
}

/* More ranges than are protected one by one, and fewer pages than leave a pin open. */
TEST(restores)
{
    start();
    MemoryPool *base = pool_clone(pool);
    CHECK(base != NULL);
    for (unsigned round = 0; round < 6; round++) {
        for (size_t i = 0; i < 100; i++)
            *page(10 * i) = (unsigned char)(2 + round);
        if (round % 3 == 2)
            lose_descriptors();
        CHECK(pool_restore(pool, base) == POOL_OK);
        CHECK_BYTES(pin.data, 1, SIZE);
    }
    pool_destroy(base);
    end();
}

/* The pages of a run that is used again are zeros, whoever clears them. */
TEST(a_run_that_is_used_again)
{
    for (keeps_pages = 0; keeps_pages < 2; keeps_pages++) {
        start();
        void *before = pin.data;
        pool_view_release(&pin);
        CHECK(pool_discard(pool, 0, SIZE) == POOL_OK);
        CHECK(pool_pin(pool, 0, SIZE, &pin) == POOL_OK);
        CHECK(pin.data == before);
        CHECK_BYTES(pin.data, 0, SIZE);
        end();
    }
    keeps_pages = 0;
}

static const TestCase cases[] = {TEST_CASE(clones),
                                 TEST_CASE(an_open_pin),
                                 TEST_CASE(changes),
                                 TEST_CASE(changes_behind_pages_that_are_none),
                                 TEST_CASE(frozen_copies_that_others_have),
                                 TEST_CASE(changes_in_large_blocks),
                                 TEST_CASE(views),
                                 TEST_CASE(restores),
                                 TEST_CASE(a_run_that_is_used_again)};
TEST_MAIN(cases)
