/* SPDX-License-Identifier: MIT */
/*
 * test_pins_meanwhile.c - what the owner of a pin does in the middle of a call
 *
 * As in test_meanwhile.c, one thread plays both: the test replaces the functions by which
 * the library copies and compares by ones that release pins between two bytes, or return
 * what a comparison may return while another thread writes to the bytes.
 */
#if !defined(_WIN32) && !defined(_DEFAULT_SOURCE)
#  define _DEFAULT_SOURCE 1
#endif
#include <stddef.h>
#include <string.h>

static size_t copies_left; /* up to the one at which all pins are released; 0: none is */
static int compares_equal; /* each comparison says that there is no difference    */
static void release_pins(void);

static void *pins_copy(void *to, const void *from, size_t size)
{
    memmove(to, from, size);
    if (copies_left > 0 && --copies_left == 0)
        release_pins();
    return to;
}

static int pins_compare(const void *a, const void *b, size_t size)
{
    return compares_equal ? 0 : memcmp(a, b, size);
}

#undef memcpy
#undef memmove
#undef memcmp
#define memcpy(to, from, size) pins_copy(to, from, size)
#define memmove(to, from, size) pins_copy(to, from, size)
#define memcmp(a, b, size) pins_compare(a, b, size)

#include "internal.h"

#undef memcpy
#undef memmove
#undef memcmp

#include "pools.h"

enum { BLOCK = 64, BLOCKS = 80, TOTAL = BLOCKS * BLOCK };

static PoolView pins[BLOCKS];

static void pin(MemoryPool *pool, size_t offset, PoolView *view)
{
    memset(view, 0, sizeof *view);
    view->struct_size = sizeof *view;
    CHECK_RETURNS(pool_pin(pool, offset, BLOCK, view), POOL_OK);
}

static void release_pins(void)
{
    for (size_t i = 0; i < BLOCKS; i++)
        pool_view_release(&pins[i]);
}

/* --------------------------------------------- pins that are released meanwhile */

typedef struct Case {
    MemoryPool *pool, *other;
    size_t at; /* where the bytes go: whole blocks away, or not */
    unsigned char bytes[TOTAL];
} Case;

/* Half of the pool has data, a pin in every third block. */
static void begin(Case *c, int holes, size_t at)
{
    c->pool = make(TOTAL, BLOCK, 0);
    for (size_t i = 0; i < TOTAL; i++)
        c->bytes[i] = (unsigned char)(holes && i / BLOCK % 2 != 0 ? 0 : i % 251);
    for (size_t i = 0; i < BLOCKS; i++) {
        if (!holes || i % 2 == 0)
            CHECK_EQ_SIZE(pool_write(c->pool, i * BLOCK, c->bytes + i * BLOCK, BLOCK),
                          BLOCK);
    }
    c->other = pool_clone(c->pool);
    c->at = at;
    for (size_t i = 0; i < BLOCKS; i += 3)
        pin(c->pool, i * BLOCK, &pins[i]);
}

static void copy_within(Case *c)
{
    size_t from = BLOCK / 2; /* a pinned block is a source, and in part a target */
    size_t size = TOTAL - c->at - from;
    CHECK_RETURNS(pool_copy(c->pool, from + c->at, c->pool, from, size), POOL_OK);
    memmove(c->bytes + from + c->at, c->bytes + from, size);
}

static void copy_there_and_back(Case *c)
{
    size_t size = TOTAL - c->at;
    CHECK_RETURNS(pool_copy(c->other, c->at, c->pool, 0, size), POOL_OK);
    CHECK_RETURNS(pool_copy(c->pool, 0, c->other, c->at, size), POOL_OK);
}

static void take_parts(Case *c)
{
    unsigned char bytes[TOTAL];
    size_t size = TOTAL - 2 * c->at - 1;
    CHECK_EQ_SIZE(pool_take(c->pool, bytes, c->at, size), size);
    CHECK_MEM(bytes, c->bytes + c->at, size);
    memset(c->bytes + c->at, 0, size);
}

static void end(Case *c)
{
    unsigned char bytes[TOTAL];
    copies_left = 0;
    CHECK_EQ_SIZE(pool_read(c->pool, bytes, 0, TOTAL), TOTAL);
    CHECK_MEM(bytes, c->bytes, TOTAL);
    release_pins();
    pool_destroy(c->other);
    CHECK_RETURNS(pool_discard(c->pool, 0, TOTAL), POOL_OK);
    CHECK_EQ_SIZE(stats_of(c->pool).family_bytes, 0);
    pool_destroy(c->pool);
    check_nothing_live();
}

/* What a call took before it began is enough, whenever the pins are released. */
TEST(pins_are_released_in_the_midst_of_a_call)
{
    static void (*const calls[])(Case *) = {copy_within, copy_there_and_back, take_parts};
    static const size_t places[] = {3 * BLOCK, BLOCK / 2, 3 * BLOCK + 1};
    static Case c;
    for (size_t i = 0; i < TEST_COUNT(calls) * TEST_COUNT(places) * 2; i++) {
        for (size_t at_copy = 1; at_copy < 2 * BLOCKS; at_copy += 7) {
            begin(&c, i % 2 != 0, places[i / 2 % TEST_COUNT(places)]);
            copies_left = at_copy;
            calls[i / 2 / TEST_COUNT(places)](&c);
            end(&c);
        }
    }
}

/* ------------------------------------- bytes of a pinned block that are not compared */

/* A comparison that meets a byte which changes may find that all are zeros where another
 * byte, written long ago, never was. So nothing depends on one while there is a pin. */
TEST(no_byte_beside_the_range_decides)
{
    static const size_t sizes[] = {BLOCK / 2, BLOCK / 2 + BLOCK};
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        MemoryPool *pool = make(TOTAL, BLOCK, 0);
        unsigned char byte = 0;
        pin(pool, 0, &pins[0]);
        ((unsigned char *)pins[0].data)[5] = 9;
        compares_equal = 1;
        CHECK_RETURNS(pool_discard(pool, BLOCK / 2, sizes[i]), POOL_OK);
        CHECK_RETURNS(pool_fill(pool, BLOCK / 2, 0, sizes[i]), POOL_OK);
        compares_equal = 0;
        CHECK_EQ_SIZE(stats_of(pool).pinned_blocks, 1);
        release_pins();
        CHECK_EQ_SIZE(pool_read(pool, &byte, 5, 1), 1);
        CHECK_EQ_INT(byte, 9);
        pool_destroy(pool);
        check_nothing_live();
    }
}

/* The same for what an earlier cut left of the block: it is a hole when the pool grows.
 * */
TEST(what_was_cut_off_reads_as_zeros)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    pin(pool, 0, &pins[0]);
    CHECK_RETURNS(pool_resize(pool, BLOCK / 2), POOL_OK);
    ((unsigned char *)pins[0].data)[BLOCK - 5] = 9;
    compares_equal = 1;
    CHECK_RETURNS(pool_resize(pool, TOTAL), POOL_OK);
    compares_equal = 0;
    check_filled(pool, 0, 0, TOTAL);
    release_pins();
    pool_destroy(pool);
    check_nothing_live();
}

static const TestCase cases[] = {
    TEST_CASE(pins_are_released_in_the_midst_of_a_call),
    TEST_CASE(no_byte_beside_the_range_decides),
    TEST_CASE(what_was_cut_off_reads_as_zeros),
};
TEST_MAIN(cases)
