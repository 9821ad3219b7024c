/* SPDX-License-Identifier: MIT */
/* test_views.c - frozen views and live pins */
#include "pools.h"

enum { BLOCK = 1024, BLOCKS = 64, TOTAL = BLOCK * BLOCKS };

static void check_held(MemoryPool *pool, size_t views, size_t pinned)
{
    CHECK_EQ_SIZE(stats_of(pool).family_views, views);
    CHECK_EQ_SIZE(stats_of(pool).pinned_blocks, pinned);
}

static void fill(MemoryPool *pool, size_t offset, int byte, size_t size)
{
    CHECK_RETURNS(pool_fill(pool, offset, byte, size), POOL_OK);
}

static PoolView view_of(MemoryPool *pool, size_t offset, size_t size)
{
    PoolView view = {.struct_size = sizeof view};
    CHECK_RETURNS(pool_view(pool, offset, size, &view), POOL_OK);
    CHECK(view.data != NULL);
    CHECK(view.family != NULL);
    return view;
}

static PoolView pin_of(MemoryPool *pool, size_t offset, size_t size)
{
    PoolView pin = {.struct_size = sizeof pin};
    CHECK_RETURNS(pool_pin(pool, offset, size, &pin), POOL_OK);
    CHECK(pin.data != NULL);
    return pin;
}

static void release(PoolView *view)
{
    pool_view_release(view);
    CHECK_STATUS(POOL_OK);
    CHECK(view->data == NULL);
    CHECK_EQ_SIZE(view->size, 0);
    CHECK_EQ_SIZE(view->struct_size, sizeof *view); /* it can be used again */
}

/* ---------------------------------------------------------------------- views */

TEST(view_is_frozen)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0), *other = pool_clone(pool);
    unsigned char bytes[BLOCK];
    fill(other, 0, 9, TOTAL);
    for (int way = 0; way < 7; way++) {
        CHECK_RETURNS(pool_discard(pool, 0, TOTAL), POOL_OK);
        fill(pool, 0, 1, 4 * BLOCK);
        PoolView view = view_of(pool, BLOCK + 10, 200);
        CHECK_EQ_SIZE(view.size, 200);
        check_held(pool, 1, 0);
        CHECK_EQ_SIZE(stats_of(pool).shared_blocks, 1);
        switch (way) {
        case 0: CHECK_EQ_SIZE(pool_write(pool, BLOCK + 50, "abc", 3), 3); break;
        case 1: fill(pool, BLOCK, 2, BLOCK); break;
        case 2: CHECK_RETURNS(pool_discard(pool, 0, TOTAL), POOL_OK); break;
        case 3: CHECK_EQ_SIZE(pool_take(pool, bytes, BLOCK + 20, 100), 100); break;
        case 4: CHECK_RETURNS(pool_restore(pool, other), POOL_OK); break;
        case 5: CHECK_RETURNS(pool_copy(pool, 0, other, 5, TOTAL - 5), POOL_OK); break;
        default: CHECK_RETURNS(pool_resize(pool, BLOCK), POOL_OK); break;
        }
        CHECK_BYTES(view.data, 1, view.size);
        release(&view);
        check_held(pool, 0, 0);
        CHECK_RETURNS(pool_resize(pool, TOTAL), POOL_OK);
    }
    pool_destroy(other);
    pool_destroy(pool);
}

TEST(view_costs_nothing_until_a_write)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    fill(pool, 0, 7, BLOCK);
    PoolView view = view_of(pool, 100, 5), again = view_of(pool, 100, 5);
    CHECK_SHARED(view.data, again.data, 5);
    check_blocks(pool, 1, 1, 1);
    fill(pool, 0, 8, 1);
    check_blocks(pool, 1, 0, 2);
    CHECK_EQ_SIZE(stats_of(pool).copied_blocks, 1);
    fill(pool, 0, 9, 1); /* the copy is the pool's alone */
    check_blocks(pool, 1, 0, 2);
    release(&view);
    check_blocks(pool, 1, 0, 2);
    CHECK_BYTES(again.data, 7, 5);
    release(&again);
    check_blocks(pool, 1, 0, 1);
    pool_destroy(pool);
}

TEST(view_of_a_hole)
{
    MemoryPool *pool = make(SIZE_MAX, BLOCK, BLOCK);
    PoolView view = view_of(pool, SIZE_MAX - 5, 5);
    PoolView other = view_of(pool, 3 * BLOCK + 1, 10 * BLOCK);
    CHECK_EQ_SIZE(view.size, 5);
    CHECK_EQ_SIZE(other.size, BLOCK - 1);
    check_blocks(pool, 0, 0, 0);
    check_held(pool, 2, 0);
    fill(pool, SIZE_MAX - 5, 1, 5);
    CHECK_BYTES(view.data, 0, 5);
    pool_destroy(pool);
    CHECK_BYTES(other.data, 0, BLOCK - 1);
    release(&view);
    CHECK_BYTES(other.data, 0, BLOCK - 1);
    release(&other);
}

/* Views of all from one place on, one after the other; returns how many it takes. */
static size_t count_views(MemoryPool *pool, size_t at, const unsigned char *data)
{
    size_t views = 0;
    for (; at < TOTAL; views++) {
        PoolView view = view_of(pool, at, TOTAL - at);
        CHECK_MEM(view.data, data + at, view.size);
        CHECK(view.size == TOTAL - at || (at + view.size) % BLOCK == 0);
        at += view.size;
        release(&view);
    }
    check_held(pool, 0, 0);
    return views;
}

/* Blocks that are written to in order follow each other. One that is copied lies elsewhere,
 * and a view of a hole is of one block. */
TEST(view_reaches_as_far_as_blocks_follow_each_other)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    static unsigned char data[TOTAL];
    TestRandom random = {test_seed};
    test_random_bytes(&random, data, TOTAL);
    CHECK_EQ_SIZE(pool_write(pool, 0, data, TOTAL), TOTAL);
    CHECK_EQ_SIZE(count_views(pool, 100, data), 1);
    PoolView view = view_of(pool, 9 * BLOCK + 5, 1), all = view_of(pool, 0, TOTAL);
    CHECK_EQ_SIZE(stats_of(pool).shared_blocks,
                  BLOCKS); /* all are held, each by itself */
    release(&all);
    CHECK_EQ_SIZE(stats_of(pool).shared_blocks, 1);
    CHECK_EQ_SIZE(pool_write(pool, 9 * BLOCK, data + 9 * BLOCK, 1), 1);
    release(&view);
    CHECK_EQ_SIZE(count_views(pool, 100, data), 3);
    memset(data + 20 * BLOCK, 0, 2 * BLOCK);
    CHECK_RETURNS(pool_discard(pool, 20 * BLOCK, 2 * BLOCK), POOL_OK);
    CHECK_EQ_SIZE(count_views(pool, 100, data), 6);
    pool_destroy(pool);
}

TEST(view_outlives_pool_and_family)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    fill(pool, 0, 3, TOTAL);
    MemoryPool *clone = pool_clone(pool);
    PoolView view = view_of(pool, 0, BLOCK), late = view_of(clone, BLOCK, BLOCK);
    pool_destroy(pool);
    check_held(clone, 2, 0);
    fill(clone, 0, 4, TOTAL);
    pool_destroy(clone);
    MemoryPool *unrelated =
        make(TOTAL, BLOCK, 0); /* must not get what the views still use */
    fill(unrelated, 0, 5, TOTAL);
    (void)pool_trim();
    CHECK_BYTES(view.data, 3, BLOCK);
    release(&late);
    CHECK_BYTES(view.data, 3, BLOCK);
    release(&view);
    pool_destroy(unrelated);
}

/* Both by themselves and with what they leave alone when they fail. */
static void check_refused(PoolStatus (*call)(MemoryPool *, size_t, size_t, PoolView *),
                          MemoryPool *pool)
{
    PoolView view, before;
    memset(&view, 0x5a, sizeof view);
    view.struct_size = sizeof view;
    before = view;
    CHECK_RETURNS(call(NULL, 0, 1, &view), POOL_INVALID);
    CHECK_RETURNS(call(pool, 0, 1, NULL), POOL_INVALID);
    CHECK_RETURNS(call(pool, 0, 0, &view), POOL_INVALID);
    CHECK_RETURNS(call(pool, TOTAL, 1, &view), POOL_RANGE);
    CHECK_RETURNS(call(pool, TOTAL - 1, 2, &view), POOL_RANGE);
    CHECK_RETURNS(call(pool, SIZE_MAX, 1, &view), POOL_RANGE);
    CHECK_RETURNS(call(pool, 1, SIZE_MAX, &view), POOL_RANGE);
    CHECK_MEM(&view, &before, sizeof view);
    view.struct_size = before.struct_size = sizeof view - 1;
    CHECK_RETURNS(call(pool, 0, 1, &view), POOL_INVALID);
    view.struct_size = before.struct_size = 0;
    CHECK_RETURNS(call(pool, 0, 1, &view), POOL_INVALID);
    CHECK_MEM(&view, &before, sizeof view);
    check_held(pool, 0, 0);
    check_blocks(pool, 0, 0, 0);
}

TEST(wrong_arguments)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    check_refused(pool_view, pool);
    check_refused(pool_pin, pool);
    PoolView never = {.struct_size = sizeof never};
    (void)pool_read(NULL, NULL, 0, 0); /* so that there is a status to be set */
    pool_view_release(NULL);
    CHECK_STATUS(POOL_OK);
    release(&never);
    PoolView view = view_of(pool, 0, 1);
    release(&view);
    release(&view); /* again: nothing */
    check_held(pool, 0, 0);
    pool_destroy(pool);
}

/* ----------------------------------------------------------------------- pins */

TEST(pin_is_live)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    PoolView pin = pin_of(pool, 2 * BLOCK + 100, BLOCK - 100);
    unsigned char *bytes = pin.data;
    CHECK_EQ_SIZE(pin.size, BLOCK - 100);
    CHECK_BYTES(bytes, 0, pin.size);
    check_blocks(pool, 1, 0, 1);
    check_held(pool, 1, 1);
    memset(bytes, 1, pin.size);
    check_filled(pool, 2 * BLOCK + 100, 1, BLOCK - 100);
    check_filled(pool, 0, 0, 2 * BLOCK + 100);
    fill(pool, 0, 2, TOTAL);
    CHECK_BYTES(bytes, 2, pin.size);
    CHECK_EQ_SIZE(pool_write(pool, 2 * BLOCK + 99, "abc", 3), 3);
    CHECK_MEM(bytes, "bc", 2);
    check_blocks(pool, BLOCKS, 0, BLOCKS);
    CHECK_EQ_SIZE(stats_of(pool).copied_blocks, 0);
    release(&pin);
    check_held(pool, 0, 0);
    check_filled(pool, 2 * BLOCK + 102, 2, 100);
    pool_destroy(pool);
}

/* The block comes from memory that held something before. */
TEST(pin_shows_no_old_bytes)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    fill(pool, 0, 0xee, TOTAL);
    CHECK_RETURNS(pool_discard(pool, 0, TOTAL), POOL_OK);
    for (size_t i = 0; i < BLOCKS; i++) {
        PoolView pin = pin_of(pool, i * BLOCK, BLOCK);
        CHECK_BYTES(pin.data, 0, BLOCK);
        release(&pin);
    }
    check_blocks(pool, BLOCKS, 0, BLOCKS);
    pool_destroy(pool);
}

static MemoryPool *other_pool; /* what replace takes contents from */

/* Each call that would replace block 1 must write into it, here all 9 or all 0. */
static int replace(MemoryPool *pool, int way)
{
    static unsigned char adopted[3 * BLOCK], bytes[TOTAL];
    memset(adopted, 9, sizeof adopted);
    switch (way) {
    case 0: CHECK_RETURNS(pool_discard(pool, 0, TOTAL), POOL_OK); return 0;
    case 1: CHECK_EQ_SIZE(pool_take(pool, bytes, 0, TOTAL), TOTAL); return 0;
    case 2: CHECK_RETURNS(pool_discard(pool, BLOCK, BLOCK), POOL_OK); return 0;
    case 3: fill(pool, BLOCK - 1, 0, BLOCK + 2); return 0;
    case 4: CHECK_RETURNS(pool_restore(pool, other_pool), POOL_OK); return 9;
    case 5: CHECK_RETURNS(pool_copy(pool, 0, other_pool, 0, TOTAL), POOL_OK); return 9;
    case 6:
        CHECK_RETURNS(pool_copy(pool, 0, other_pool, 7, TOTAL - 7), POOL_OK);
        return 9;
    case 7:
        CHECK_RETURNS(pool_adopt(pool, 0, adopted, sizeof adopted, NULL, NULL), POOL_OK);
        return 9;
    case 8:
        CHECK_RETURNS(pool_copy(pool, 0, pool, 30 * BLOCK, 9 * BLOCK), POOL_OK);
        return 0;
    case 9: fill(pool, 0, 9, TOTAL); return 9;
    default: CHECK_RETURNS(pool_resize(pool, TOTAL), POOL_OK); return 5;
    }
}

TEST(pinned_block_stays)
{
    for (int way = 0; way <= 10; way++) {
        MemoryPool *pool = make(TOTAL, BLOCK, 0);
        other_pool = pool_clone(pool);
        fill(other_pool, 0, 9, TOTAL);
        PoolView pin = pin_of(pool, BLOCK, BLOCK);
        unsigned char *bytes = pin.data;
        memset(bytes, 5, BLOCK);
        int byte = replace(pool, way);
        CHECK_BYTES(bytes, byte, BLOCK);
        check_held(pool, 1, 1);
        memset(bytes, 77, BLOCK); /* still the same window */
        check_filled(pool, BLOCK, 77, BLOCK);
        check_filled(other_pool, 0, 9, TOTAL);
        MemoryPool *clone = pool_clone(pool);
        check_held(clone, 1, 0);
        memset(bytes, 78, BLOCK);
        check_filled(clone, BLOCK, 77, BLOCK);
        pool_destroy(clone);
        release(&pin);
        check_held(pool, 0, 0);
        CHECK_RETURNS(pool_discard(pool, 0, TOTAL), POOL_OK);
        check_blocks(pool, 0, 0, BLOCKS);
        pool_destroy(pool);
        check_blocks(other_pool, BLOCKS, 0, BLOCKS);
        pool_destroy(other_pool);
    }
}

TEST(clone_and_view_of_a_pinned_block_share_its_frozen_copy)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    fill(pool, 0, 1, TOTAL);
    PoolView pin = pin_of(pool, 0, BLOCK);
    check_blocks(pool, BLOCKS, 0, BLOCKS);
    PoolView view = view_of(pool, 10, 20);
    CHECK(view.data != (unsigned char *)pin.data + 10);
    check_blocks(pool, BLOCKS, 0, BLOCKS + 1);
    MemoryPool *clone = pool_clone(pool);
    check_blocks(pool, BLOCKS, BLOCKS - 1, BLOCKS + 1);
    check_blocks(clone, BLOCKS, BLOCKS, BLOCKS + 1);
    check_held(clone, 2, 0);
    size_t start = 0, size = 0;
    CHECK_EQ_INT(pool_next_change(pool, clone, 0, SIZE_MAX, &start, &size), 0);
    memset(pin.data, 2, BLOCK);
    check_filled(pool, 0, 2, BLOCK);
    check_filled(clone, 0, 1, TOTAL);
    CHECK_BYTES(view.data, 1, 20);
    CHECK_EQ_INT(pool_next_change(pool, clone, 0, SIZE_MAX, &start, &size), 1);
    CHECK_EQ_SIZE(size, BLOCK);
    release(&view);
    release(&pin);
    MemoryPool *second = pool_clone(pool); /* now it can be shared */
    check_blocks(second, BLOCKS, BLOCKS, BLOCKS + 1);
    pool_destroy(second);
    pool_destroy(clone);
    pool_destroy(pool);
}

/* The ways to many pinned blocks have most nodes in common, and a clone takes them once.
 * */
TEST(clone_of_many_pinned_blocks_takes_each_node_once)
{
    enum { PINS = 3000 };
    static PoolView pins[PINS];
    MemoryPool *pool = make(SIZE_MAX, 64, 0);
    for (size_t i = 0; i < PINS; i++) {
        pins[i] = pin_of(pool, i * 64, 64);
        memset(pins[i].data, 1, 1);
    }
    MemoryPool *clone =
        pool_clone(pool); /* each pin has a frozen copy, with a path to it */
    check_blocks(clone, PINS, PINS, 2 * PINS);
    size_t once = stats_of(pool).metadata_bytes;
    MemoryPool *second = pool_clone(pool);
    check_blocks(clone, PINS, PINS, 2 * PINS);
    CHECK_LE_SIZE(stats_of(pool).metadata_bytes, 3 * once);
    CHECK_RETURNS(pool_restore(pool, clone), POOL_OK);
    CHECK_LE_SIZE(stats_of(pool).metadata_bytes, 5 * once);
    pool_destroy(second);
    for (size_t i = 0; i < PINS; i++)
        release(&pins[i]);
    pool_destroy(clone);
    pool_destroy(pool);
}

/* In a clone nothing may be written through to the origin. */
TEST(pin_of_a_shared_block)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    fill(pool, 0, 1, TOTAL);
    MemoryPool *clone = pool_clone(pool);
    PoolView view = view_of(pool, 0, BLOCK);
    PoolView pin = pin_of(clone, 0, BLOCK), mine = pin_of(pool, 0, BLOCK);
    memset(pin.data, 2, BLOCK);
    memset(mine.data, 3, BLOCK);
    CHECK_BYTES(view.data, 1, BLOCK);
    check_filled(clone, 0, 2, BLOCK);
    check_filled(pool, 0, 3, BLOCK);
    CHECK_RETURNS(pool_restore(pool, clone), POOL_OK); /* both have it pinned */
    CHECK_BYTES(mine.data, 2, BLOCK);
    memset(mine.data, 4, BLOCK);
    check_filled(clone, 0, 2, BLOCK);
    check_filled(clone, BLOCK, 1, BLOCK);
    release(&pin);
    release(&view);
    pool_destroy(pool);
    CHECK_BYTES(mine.data, 4, BLOCK);
    release(&mine);
    pool_destroy(clone);
}

TEST(several_pins_of_one_block)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    PoolView a = pin_of(pool, 0, 10), b = pin_of(pool, 5, 10), c = pin_of(pool, BLOCK, 1);
    CHECK((unsigned char *)a.data + 5 == b.data);
    check_held(pool, 3, 2);
    memset(a.data, 6, 10);
    CHECK_BYTES(b.data, 6, 5);
    release(&a);
    check_held(pool, 2, 2);
    CHECK_RETURNS(pool_discard(pool, 0, TOTAL), POOL_OK);
    CHECK_BYTES(b.data, 0, 10);
    check_blocks(pool, 2, 0, 2);
    memset(b.data, 7, 10);
    check_filled(pool, 5, 7, 10);
    release(&b);
    check_held(pool, 1, 1);
    CHECK_RETURNS(pool_discard(pool, 0, TOTAL), POOL_OK);
    check_blocks(pool, 1, 0, 1);
    release(&c);
    CHECK_RETURNS(pool_discard(pool, 0, TOTAL), POOL_OK);
    check_blocks(pool, 0, 0, 0);
    pool_destroy(pool);
}

TEST(pin_outlives_pool)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0), *clone = pool_clone(pool);
    PoolView a = pin_of(pool, 0, BLOCK), b = pin_of(pool, 0, BLOCK);
    memset(a.data, 1, BLOCK);
    pool_destroy(pool);
    check_held(clone, 2, 0);
    check_blocks(clone, 0, 0, 1);
    memset(b.data, 2, BLOCK);
    CHECK_BYTES(a.data, 2, BLOCK);
    release(&a);
    pool_destroy(clone);
    CHECK_BYTES(b.data, 2, BLOCK);
    release(&b);
}

TEST(pins_and_resize)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    fill(pool, 0, 1, TOTAL);
    PoolView stays = pin_of(pool, 0, BLOCK), cut = pin_of(pool, BLOCK, BLOCK);
    PoolView gone = pin_of(pool, 9 * BLOCK, BLOCK), view = view_of(pool, 9 * BLOCK, 1);
    CHECK_RETURNS(pool_resize(pool, BLOCK + 100), POOL_OK);
    check_held(pool, 4, 2);
    check_blocks(pool, 2, 0, 4);
    CHECK_BYTES(gone.data, 1, BLOCK);
    CHECK_BYTES(view.data, 1, 1);
    CHECK_BYTES((unsigned char *)cut.data + 100, 0, BLOCK - 100);
    memset(gone.data, 3, BLOCK); /* no window on the pool any more */
    memset(cut.data, 4, BLOCK);  /* a part of it still is one */
    memset(stays.data, 5, BLOCK);
    CHECK_RETURNS(pool_resize(pool, TOTAL), POOL_OK);
    check_filled(pool, 0, 5, BLOCK);
    check_filled(pool, BLOCK, 4, 100);
    check_filled(pool, BLOCK + 100, 0, TOTAL - BLOCK - 100);
    memset(cut.data, 6, BLOCK);
    check_filled(pool, BLOCK, 6, BLOCK);
    CHECK_BYTES(gone.data, 3, BLOCK);
    release(&gone);
    check_held(pool, 3, 2);
    release(&stays);
    release(&cut);
    release(&view);
    check_held(pool, 0, 0);
    pool_destroy(pool);
}

TEST(restore_makes_pools_shorter)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0), *small = pool_clone(pool);
    fill(pool, 0, 1, TOTAL);
    CHECK_RETURNS(pool_resize(small, 2 * BLOCK), POOL_OK);
    fill(small, 0, 2, BLOCK);
    PoolView a = pin_of(pool, 0, BLOCK), b = pin_of(pool, BLOCK, BLOCK),
             c = pin_of(pool, 7 * BLOCK, BLOCK);
    CHECK_RETURNS(pool_restore(pool, small), POOL_OK);
    CHECK_EQ_SIZE(stats_of(pool).total_size, 2 * BLOCK);
    CHECK_BYTES(a.data, 2, BLOCK);
    CHECK_BYTES(b.data, 0, BLOCK); /* what was a hole is a pinned block */
    CHECK_BYTES(c.data, 1, BLOCK); /* cut off */
    check_held(pool, 3, 2);
    check_blocks(pool, 2, 0, 4);
    release(&c);
    release(&a);
    release(&b);
    pool_destroy(pool);
    check_blocks(small, 1, 0, 1);
    pool_destroy(small);
}

/* --------------------------------------------------------------------- limits */

TEST(limit_counts_what_is_held)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 2 * BLOCK);
    PoolView none = {.struct_size = sizeof none};
    fill(pool, 0, 1, BLOCK);
    PoolView view = view_of(pool, 0, 1); /* free of charge */
    PoolView hole = view_of(pool, 5 * BLOCK, 1);
    PoolView pin = pin_of(pool, 0, BLOCK); /* of a copy, for the view */
    check_blocks(pool, 1, 0, 2);
    PoolView frozen = view_of(pool, 0, 1); /* nobody wrote: it is the same as the view */
    CHECK_SHARED(frozen.data, view.data, 1);
    release(&frozen);
    memset(pin.data, 2, 1);
    CHECK_RETURNS(pool_pin(pool, 3 * BLOCK, 1, &none), POOL_LIMIT);
    CHECK_RETURNS(pool_view(pool, 0, 1, &none), POOL_LIMIT);
    CHECK(pool_clone(pool) == NULL);
    CHECK_STATUS(POOL_LIMIT);
    CHECK_EQ_SIZE(stats_of(pool).family_pools, 1);
    check_held(pool, 3, 1);
    CHECK(none.data == NULL);
    check_blocks(pool, 1, 0, 2);
    PoolView second = pin_of(pool, 9, 9); /* of the same block: nothing is needed */
    release(&view);
    view = view_of(pool, 0, 1);
    check_blocks(pool, 1, 0, 2);
    release(&pin);
    release(&second);
    MemoryPool *clone = pool_clone(pool);
    check_blocks(clone, 1, 1, 2);
    CHECK_RETURNS(pool_pin(clone, 0, 1, &none), POOL_LIMIT); /* it is shared again */
    release(&view);
    pin = pin_of(clone, 0, 1);
    check_blocks(clone, 1, 0, 2);
    release(&pin);
    release(&hole);
    pool_destroy(clone);
    pool_destroy(pool);
}

TEST(limit_of_restore)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 2 * BLOCK), *other = pool_clone(pool);
    PoolView pin = pin_of(pool, 0, BLOCK);
    memset(pin.data, 1, BLOCK);
    fill(other, 0, 2, BLOCK);
    CHECK_RETURNS(pool_restore(other, pool), POOL_LIMIT);
    check_filled(other, 0, 2, BLOCK);
    check_filled(pool, 0, 1, BLOCK);
    check_blocks(other, 1, 0, 2);
    CHECK_RETURNS(pool_restore(pool, other), POOL_OK); /* into the pinned block */
    CHECK_BYTES(pin.data, 2, BLOCK);
    check_blocks(pool, 1, 0, 2);
    release(&pin);
    CHECK_RETURNS(pool_restore(other, pool), POOL_OK);
    check_blocks(pool, 1, 1, 1);
    pool_destroy(pool);
    pool_destroy(other);
}

static const TestCase cases[] = {
    TEST_CASE(view_is_frozen),
    TEST_CASE(view_costs_nothing_until_a_write),
    TEST_CASE(view_of_a_hole),
    TEST_CASE(view_reaches_as_far_as_blocks_follow_each_other),
    TEST_CASE(view_outlives_pool_and_family),
    TEST_CASE(wrong_arguments),
    TEST_CASE(pin_is_live),
    TEST_CASE(pin_shows_no_old_bytes),
    TEST_CASE(pinned_block_stays),
    TEST_CASE(clone_and_view_of_a_pinned_block_share_its_frozen_copy),
    TEST_CASE(clone_of_many_pinned_blocks_takes_each_node_once),
    TEST_CASE(pin_of_a_shared_block),
    TEST_CASE(several_pins_of_one_block),
    TEST_CASE(pin_outlives_pool),
    TEST_CASE(pins_and_resize),
    TEST_CASE(restore_makes_pools_shorter),
    TEST_CASE(limit_counts_what_is_held),
    TEST_CASE(limit_of_restore),
};
TEST_MAIN(cases)
