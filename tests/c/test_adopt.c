/* SPDX-License-Identifier: MIT */
/* test_adopt.c - the caller's memory as part of a pool, and when it is released */
#include "pools.h"
#include "test_threads.h"

enum { BLOCK = 1024, BLOCKS = 40, TOTAL = BLOCK * BLOCKS + 100 };

/* A caller's memory; counts how often it was released. */
typedef struct Lender {
    unsigned char data[TOTAL];
    size_t size;
    unsigned released;
    MemoryPool *call;   /* used by release, if it is not NULL   */
    MemoryPool *caller; /* of which a call released it; the same */
    PoolView view;      /* released by the release function */
} Lender;

static Lender lender, second;

static void take_back(void *data, size_t size, void *context)
{
    Lender *from = context;
    CHECK(data == from->data);
    CHECK_EQ_SIZE(size, from->size);
    from->released++;
    if (from->call != NULL) { /* nothing is held, so all of it works */
        PoolStats stats = {.struct_size = sizeof stats};
        unsigned char byte;
        MemoryPool *clone = pool_clone(from->call);
        CHECK(clone != NULL);
        CHECK_EQ_SIZE(pool_read(clone, &byte, 0, 1), 1);
        CHECK_RETURNS(pool_fill(from->call, TOTAL - 10, 99, 10), POOL_OK);
        CHECK_RETURNS(pool_restore(from->call, clone), POOL_OK);
        pool_destroy(clone);
        pool_stats(from->call, &stats);
        (void)pool_trim();
        pool_view_release(&from->view);
    }
    if (from->caller != NULL)
        (void)stats_of(from->caller); /* waits for all threads that have locked a part */
    CHECK(pool_create(0, 0) == NULL); /* must not show as the status of the call */
}

/* Memory of that size, full of numbers that are never 0. */
static void lend(Lender *from, size_t size)
{
    memset(from, 0, sizeof *from);
    from->size = size;
    for (size_t i = 0; i < size; i++)
        from->data[i] = (unsigned char)(i % 251 + 1);
}

static void adopt(MemoryPool *pool, size_t offset, Lender *from)
{
    CHECK_RETURNS(pool_adopt(pool, offset, from->data, from->size, take_back, from),
                  POOL_OK);
}

/* In blocks: those the pool holds, those adopted, and the family's own. */
static void check_adopted(MemoryPool *pool, size_t held, size_t adopted, size_t own)
{
    CHECK_EQ_SIZE(stats_of(pool).held_blocks, held);
    CHECK_EQ_SIZE(stats_of(pool).adopted_blocks, adopted);
    CHECK_EQ_SIZE(stats_of(pool).family_bytes, own * BLOCK);
}

static void check_content(MemoryPool *pool, size_t offset, const Lender *from)
{
    static unsigned char back[TOTAL];
    CHECK_EQ_SIZE(pool_read(pool, back, offset, from->size), from->size);
    CHECK_MEM(back, from->data, from->size);
}

/* -------------------------------------------------------------- what is shared */

/* Every kind of end: offset, size, whole blocks, ragged ends. */
TEST(ranges)
{
    static const size_t rows[][4] = {
        {0, BLOCK, 1, 0},
        {0, TOTAL, BLOCKS, 1}, /* the short last block is copied */
        {BLOCK, 3 * BLOCK, 3, 0},
        {BLOCK - 1, BLOCK + 1, 1, 1},
        {BLOCK, BLOCK + 1, 1, 1},
        {BLOCK + 1, BLOCK, 0, 2},
        {BLOCK + 1, 2 * BLOCK, 1, 2},
        {5, 10, 0, 1},
        {BLOCK, 10, 0, 1},
        {2 * BLOCK - 10, 10, 0, 1},
        {2 * BLOCK - 10, 20, 0, 2},
        {TOTAL - 100, 100, 0, 1},
        {TOTAL - 101, 101, 0, 2},
        {TOTAL - 100 - BLOCK, BLOCK + 100, 1, 1},
        {30 * BLOCK + 7, 5 * BLOCK, 4, 2}, /* from one leaf of the tree to the next */
    };
    for (size_t i = 0; i < TEST_COUNT(rows); i++) {
        for (int data = 0; data < 2; data++) { /* over a hole, and over data */
            size_t offset = rows[i][0], size = rows[i][1], end = offset + size;
            size_t whole = rows[i][2], ends = rows[i][3];
            MemoryPool *pool = make(TOTAL, BLOCK, 0);
            size_t all = data ? BLOCKS + 1 : whole + ends;
            if (data)
                CHECK_RETURNS(pool_fill(pool, 0, 0x77, TOTAL), POOL_OK);
            lend(&lender, size);
            adopt(pool, offset, &lender);
            CHECK_EQ_INT((int)lender.released, whole == 0);
            check_content(pool, offset, &lender);
            check_filled(pool, 0, data ? 0x77 : 0, offset);
            check_filled(pool, end, data ? 0x77 : 0, TOTAL - end);
            check_adopted(pool, all, whole, all - whole);
            CHECK_EQ_SIZE(stats_of(pool).shared_blocks, 0);
            pool_destroy(pool);
            CHECK_EQ_INT((int)lender.released, 1);
        }
    }
}

TEST(it_is_the_same_memory)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    lend(&lender, 3 * BLOCK);
    adopt(pool, BLOCK, &lender);
    PoolView view = {.struct_size = sizeof view};
    CHECK_RETURNS(pool_view(pool, 2 * BLOCK + 5, 10, &view), POOL_OK);
    CHECK_SHARED(view.data, lender.data + BLOCK + 5, 10);
    pool_view_release(&view);
    CHECK_EQ_INT((int)lender.released, 0);
    pool_destroy(pool);
    CHECK_EQ_INT((int)lender.released, 1);
}

/* The lent memory is never written to. */
TEST(first_write_copies)
{
    static Lender kept;
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    lend(&lender, 4 * BLOCK);
    lend(&kept, 4 * BLOCK);
    adopt(pool, 0, &lender);
    check_adopted(pool, 4, 4, 0);
    CHECK_EQ_SIZE(pool_write(pool, 10, "abc", 3), 3);
    check_adopted(pool, 4, 3, 1);
    CHECK_EQ_SIZE(stats_of(pool).copied_blocks, 1);
    CHECK_EQ_SIZE(pool_write(pool, 20, "abc", 3), 3);
    CHECK_EQ_SIZE(stats_of(pool).copied_blocks, 1);
    CHECK_RETURNS(pool_discard(pool, BLOCK + 1, 10), POOL_OK);
    check_adopted(pool, 4, 2, 2);
    uint64_t old = 0;
    CHECK_RETURNS(pool_fetch_add(pool, 2 * BLOCK, 1, 5, &old), POOL_OK);
    CHECK_EQ_SIZE((size_t)old, kept.data[2 * BLOCK]);
    check_adopted(pool, 4, 1, 3);
    CHECK_EQ_INT((int)lender.released, 0);
    PoolView pin = {.struct_size = sizeof pin};
    CHECK_RETURNS(pool_pin(pool, 3 * BLOCK + 1, 1, &pin), POOL_OK);
    CHECK_EQ_INT(*(unsigned char *)pin.data, kept.data[3 * BLOCK + 1]);
    CHECK_EQ_INT((int)lender.released, 1);
    check_adopted(pool, 4, 0, 4);
    CHECK_MEM(lender.data, kept.data, kept.size);
    unsigned char back[3];
    CHECK_EQ_SIZE(pool_read(pool, back, 13, 3), 3);
    CHECK_MEM(back, kept.data + 13, 3);
    pool_view_release(&pin);
    pool_destroy(pool);
    CHECK_EQ_INT((int)lender.released, 1);
}

TEST(over_pins)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    PoolView pin = {.struct_size = sizeof pin};
    CHECK_RETURNS(pool_pin(pool, BLOCK, BLOCK, &pin), POOL_OK);
    lend(&lender, 3 * BLOCK);
    adopt(pool, 0, &lender);
    CHECK_MEM(pin.data, lender.data + BLOCK, BLOCK);
    check_adopted(pool, 3, 2, 1);
    CHECK_EQ_SIZE(stats_of(pool).pinned_blocks, 1);
    memset(pin.data, 5, BLOCK);
    check_filled(pool, BLOCK, 5, BLOCK);
    CHECK_EQ_INT(lender.data[BLOCK], BLOCK % 251 + 1);

    lend(&second, BLOCK); /* all of it is pinned: released at once */
    adopt(pool, BLOCK, &second);
    CHECK_EQ_INT((int)second.released, 1);
    CHECK_MEM(pin.data, second.data, BLOCK);
    pool_view_release(&pin);
    check_adopted(pool, 3, 2, 1);
    pool_destroy(pool);
    CHECK_EQ_INT((int)lender.released, 1);
    CHECK_EQ_INT((int)second.released, 1);
}

TEST(one_after_the_other)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    lend(&lender, 4 * BLOCK);
    lend(&second, 4 * BLOCK);
    adopt(pool, 0, &lender);
    adopt(pool, 2 * BLOCK, &second); /* over half of it */
    check_adopted(pool, 6, 6, 0);
    CHECK_EQ_INT((int)lender.released, 0);
    CHECK_RETURNS(pool_discard(pool, 0, 2 * BLOCK), POOL_OK);
    CHECK_EQ_INT((int)lender.released, 1);
    check_content(pool, 2 * BLOCK, &second);
    CHECK_RETURNS(pool_adopt(pool, 0, NULL, 0, NULL, NULL), POOL_OK);
    lend(&lender, 0);
    adopt(pool, TOTAL, &lender); /* nothing is needed of it */
    CHECK_EQ_INT((int)lender.released, 1);
    adopt(pool, 3, &lender);
    CHECK_EQ_INT((int)lender.released, 2);
    pool_destroy(pool);
    CHECK_EQ_INT((int)second.released, 1);
}

/* ---------------------------------------------------- which call releases it last */

TEST(released_by_every_call_that_can)
{
    for (int way = 0; way < 12; way++) {
        MemoryPool *pool = make(TOTAL, BLOCK, 0), *empty = pool_clone(pool);
        unsigned char bytes[2 * BLOCK];
        uint64_t old;
        size_t offset = BLOCK, item = 0;
        PoolView view = {.struct_size = sizeof view};
        lend(&lender, BLOCK);
        lender.call = empty;
        lender.view.struct_size = sizeof lender.view;
        lender.caller = way == 0 || way == 11 ? NULL : pool; /* it may be destroyed */
        adopt(pool, offset, &lender);
        CHECK_RETURNS(pool_view(empty, 0, 1, &lender.view), POOL_OK);
        memset(bytes, 3, sizeof bytes);
        switch (way) {
        case 0: pool_destroy(pool); break;
        case 1: CHECK_EQ_SIZE(pool_write(pool, offset - 5, bytes, 10), 10); break;
        case 2: CHECK_RETURNS(pool_fill(pool, offset, 1, 1), POOL_OK); break;
        case 3: CHECK_RETURNS(pool_discard(pool, 0, TOTAL), POOL_OK); break;
        case 4: CHECK_EQ_SIZE(pool_take(pool, bytes, 0, 2 * BLOCK), 2 * BLOCK); break;
        case 5: CHECK_RETURNS(pool_restore(pool, empty), POOL_OK); break;
        case 6: CHECK_RETURNS(pool_copy(pool, 0, empty, 0, TOTAL), POOL_OK); break;
        case 7: CHECK_RETURNS(pool_resize(pool, 10), POOL_OK); break;
        case 8:
            CHECK_RETURNS(pool_scatter(pool, &item, bytes, 1, sizeof bytes), POOL_OK);
            break;
        case 9:
            CHECK_RETURNS(pool_compare_exchange(pool, BLOCK, 1, lender.data[0], 9, &old),
                          POOL_OK);
            break;
        case 10:
            lend(&second, BLOCK);
            adopt(pool, BLOCK, &second);
            break;
        default:
            CHECK_RETURNS(pool_view(pool, offset, 1, &view), POOL_OK);
            pool_destroy(pool);
            CHECK_EQ_INT((int)lender.released, 0);
            CHECK_BYTES(view.data, 1, 1);
            pool_view_release(&view);
            CHECK_STATUS(POOL_OK);
            pool = NULL;
            break;
        }
        CHECK_EQ_INT((int)lender.released, 1);
        CHECK_STATUS(POOL_OK);
        CHECK_EQ_SIZE(stats_of(empty).held_blocks, 0);
        CHECK_EQ_SIZE(stats_of(empty).adopted_blocks, way == 10);
        pool_destroy(way == 0 ? NULL : pool);
        pool_destroy(empty);
        CHECK_EQ_INT((int)lender.released, 1);
    }
}

/* What was lent is part of another pool, which lives until it is no longer needed. */
TEST(a_view_can_be_adopted)
{
    static PoolView view;
    MemoryPool *source = make(TOTAL, BLOCK, 0), *pool = make(TOTAL, BLOCK, 0);
    memset(&view, 0, sizeof view);
    view.struct_size = sizeof view;
    CHECK_RETURNS(pool_fill(source, 0, 6, BLOCK), POOL_OK);
    CHECK_RETURNS(pool_view(source, 0, BLOCK, &view), POOL_OK);
    CHECK_RETURNS(pool_adopt(pool, BLOCK, view.data, BLOCK, NULL, NULL), POOL_OK);
    pool_destroy(source);
    check_filled(pool, BLOCK, 6, BLOCK);
    pool_destroy(pool);
    CHECK_BYTES(view.data, 6, BLOCK);
    pool_view_release(&view);
}

TEST(clones_share_it)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    lend(&lender, 8 * BLOCK);
    adopt(pool, 0, &lender);
    MemoryPool *clone = pool_clone(pool), *third = pool_clone(clone);
    check_adopted(clone, 8, 8, 0);
    CHECK_EQ_SIZE(stats_of(clone).shared_blocks, 8);
    pool_destroy(pool);
    CHECK_RETURNS(pool_fill(clone, 0, 1, 8 * BLOCK), POOL_OK);
    check_adopted(clone, 8, 8, 8);
    check_content(third, 0, &lender);
    CHECK_RETURNS(pool_copy(clone, 9 * BLOCK, third, BLOCK, BLOCK), POOL_OK);
    check_adopted(clone, 9, 8, 8);
    CHECK_RETURNS(pool_restore(third, clone), POOL_OK);
    CHECK_EQ_INT((int)lender.released, 0); /* one block of it is left */
    check_adopted(third, 9, 1, 8);
    pool_destroy(clone);
    CHECK_RETURNS(pool_discard(third, 9 * BLOCK, BLOCK), POOL_OK);
    CHECK_EQ_INT((int)lender.released, 1);
    pool_destroy(third);
}

static void release_view(void *view)
{
    pool_view_release(view);
}

TEST(released_from_another_thread)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    PoolView view = {.struct_size = sizeof view};
    TestThread thread;
    lend(&lender, BLOCK);
    adopt(pool, 0, &lender);
    CHECK_RETURNS(pool_view(pool, 0, BLOCK, &view), POOL_OK);
    pool_destroy(pool);
    CHECK_EQ_INT((int)lender.released, 0);
    test_thread_start(&thread, release_view, &view);
    test_thread_join(&thread);
    CHECK_EQ_INT((int)lender.released, 1);
}

/* ------------------------------------------------------------- limits and errors */

TEST(adopted_memory_is_not_limited)
{
    MemoryPool *pool = make(TOTAL, BLOCK, BLOCK);
    lend(&lender, 8 * BLOCK);
    adopt(pool, 0, &lender);
    check_adopted(pool, 8, 8, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 1, 1), POOL_OK);
    CHECK_RETURNS(pool_fill(pool, BLOCK, 1, 1), POOL_LIMIT);
    check_adopted(pool, 8, 7, 1);
    CHECK_EQ_SIZE(stats_of(pool).family_peak_bytes, BLOCK);
    adopt(pool, 20 * BLOCK, &lender); /* whole blocks need nothing */
    check_adopted(pool, 16, 15, 1);
    lend(&second, BLOCK);
    CHECK_RETURNS(
        pool_adopt(pool, 39 * BLOCK + 1, second.data, BLOCK, take_back, &second),
        POOL_LIMIT);
    CHECK_EQ_INT((int)second.released, 0);
    check_adopted(pool, 16, 15, 1);
    pool_destroy(pool);
    CHECK_EQ_INT((int)second.released, 0);
    CHECK_EQ_INT((int)lender.released, 2);
}

TEST(a_failure_leaves_the_memory_to_its_owner)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    lend(&lender, BLOCK);
    unsigned char *data = lender.data;
    CHECK_RETURNS(pool_adopt(NULL, 0, data, BLOCK, take_back, &lender), POOL_INVALID);
    CHECK_RETURNS(pool_adopt(pool, 0, NULL, BLOCK, take_back, &lender), POOL_INVALID);
    CHECK_RETURNS(pool_adopt(pool, TOTAL - BLOCK + 1, data, BLOCK, take_back, &lender),
                  POOL_RANGE);
    CHECK_RETURNS(pool_adopt(pool, SIZE_MAX, data, BLOCK, take_back, &lender),
                  POOL_RANGE);
    CHECK_RETURNS(pool_adopt(pool, 1, data, SIZE_MAX, take_back, &lender), POOL_RANGE);
    CHECK_RETURNS(pool_adopt(pool, TOTAL + 1, data, 0, take_back, &lender), POOL_RANGE);
    check_adopted(pool, 0, 0, 0);
    pool_destroy(pool);
    CHECK_EQ_INT((int)lender.released, 0);
}

static const TestCase cases[] = {
    TEST_CASE(ranges),
    TEST_CASE(it_is_the_same_memory),
    TEST_CASE(first_write_copies),
    TEST_CASE(over_pins),
    TEST_CASE(one_after_the_other),
    TEST_CASE(released_by_every_call_that_can),
    TEST_CASE(a_view_can_be_adopted),
    TEST_CASE(clones_share_it),
    TEST_CASE(released_from_another_thread),
    TEST_CASE(adopted_memory_is_not_limited),
    TEST_CASE(a_failure_leaves_the_memory_to_its_owner),
};
TEST_MAIN(cases)
