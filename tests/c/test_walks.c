/* SPDX-License-Identifier: MIT */
/*
 * test_walks.c - runs of data, of changes and of one state in parts of large pools
 *
 * A family of relatives of more blocks than a node of the third level has below it, so
 * that there are nodes of every level that are full, shared, empty and mixed. Beside each
 * pool stands a list of the identities of its blocks: 0 is a hole, equal numbers are one
 * block.
 */
#include "pools.h"

enum {
    BLOCK = 4,
    NODE = 32,
    BLOCKS = NODE * NODE * NODE + 3 * NODE * NODE + 77,
    POOLS = 3
};

typedef struct Listed {
    MemoryPool *pool;
    size_t total; /* of the pool, in bytes */
    unsigned ids[BLOCKS];
} Listed;

static Listed pools[POOLS];
static size_t first_block; /* that of ids[0]                       */
static unsigned last_id;   /* odd ones are those of adopted blocks */
static unsigned char memory[BLOCKS * BLOCK];
static PoolView pin;
static size_t pinned;      /* the block of pools[0] that is pinned; BLOCKS: none */
static unsigned frozen;    /* the identity of its frozen copy; 0: zeros          */
static int byte, old_byte; /* what it is filled with, and its frozen copy        */
static int dirty;          /* it has none yet                                    */
static unsigned zeros[200], zeros_count; /* frozen copies that are zeros         */

static size_t offset_of(size_t block)
{
    return (first_block + block) * BLOCK;
}

/* ------------------------------------------------------------ what must be found */

static int is_pinned(const Listed *p, size_t block)
{
    return p == &pools[0] && block == pinned;
}

/* What the block of an identity is filled with. */
static int byte_of(unsigned id)
{
    for (unsigned i = 0; i < zeros_count; i++) {
        if (zeros[i] == id)
            return 0;
    }
    return id == 0 || id % 2 != 0 ? 0 : 7;
}

/* What counts when two pools are compared: of a pinned block to which nobody wrote since,
 * the frozen copy. */
static unsigned id_of(const Listed *p, size_t block)
{
    return is_pinned(p, block) && !dirty && byte == old_byte ? frozen : p->ids[block];
}

/* SHARED, ADOPTED and PINNED of a block that is there. */
static size_t state_of(const Listed *p, size_t block)
{
    size_t state = p->ids[block] % 2 != 0 ? POOL_BLOCK_ADOPTED : 0;
    if (is_pinned(p, block))
        return state | POOL_BLOCK_PINNED;
    if (block == pinned && p->ids[block] == frozen)
        state |= POOL_BLOCK_SHARED;
    for (size_t i = 0; i < POOLS; i++) {
        if (&pools[i] != p && pools[i].ids[block] == p->ids[block])
            state |= POOL_BLOCK_SHARED;
    }
    return state;
}

/* What a block is to a walk: 0 if it is in no run, else the same within one run. */
static size_t group_of(const Listed *p, const Listed *base, int by_state, size_t block)
{
    if (base != NULL ? id_of(p, block) == id_of(base, block) : p->ids[block] == 0)
        return 0;
    return by_state ? state_of(p, block) + 1 : 1;
}

/* Compares one answer; returns where to go on, 0 if nothing was found. */
static size_t check_run(const Listed *p, const Listed *base, int by_state, size_t offset,
                        size_t end)
{
    size_t total = base != NULL && base->total > p->total ? base->total : p->total;
    size_t start = 1, size = 2, state = 3, b = 0, first;
    size_t stop = end < total ? end : total;
    int found = by_state ? pool_next_state(p->pool, offset, end, &start, &size, &state)
                : base != NULL
                    ? pool_next_change(p->pool, base->pool, offset, end, &start, &size)
                    : pool_next_extent(p->pool, offset, end, &start, &size);
    if (offset / BLOCK > first_block)
        b = offset / BLOCK - first_block;
    while (b < BLOCKS && group_of(p, base, by_state, b) == 0)
        b++;
    first = b;
    if (offset >= stop || b >= BLOCKS || offset_of(b) >= stop) {
        CHECK_EQ_INT(found, 0);
        CHECK_EQ_SIZE(start, 1);
        CHECK_EQ_SIZE(size, 2);
        CHECK_EQ_SIZE(state, 3);
        return 0;
    }
    while (b < BLOCKS && offset_of(b) < stop &&
           group_of(p, base, by_state, b) == group_of(p, base, by_state, first))
        b++;
    size_t from = offset_of(first) > offset ? offset_of(first) : offset;
    size_t to = b < BLOCKS && offset_of(b) < stop ? offset_of(b) : stop;
    if (b == BLOCKS && stop - offset_of(BLOCKS - 1) > BLOCK)
        to = offset_of(BLOCKS - 1) + BLOCK;
    CHECK_EQ_INT(found, 1);
    CHECK_EQ_SIZE(start, from);
    CHECK_EQ_SIZE(size, to - from);
    if (by_state)
        CHECK_EQ_SIZE(state, state_of(p, first));
    return start + size;
}

/* ---------------------------------------------------------------- what is changed */

/* A number of blocks of the order of a leaf, of a node above it, or of more. */
static size_t some_blocks(TestRandom *random)
{
    static const size_t most[] = {3, 2 * NODE, 3 * NODE * NODE, BLOCKS};
    return 1 + test_below(random, most[test_below(random, 4)]);
}

static void fill(Listed *p, size_t first, size_t end)
{
    CHECK_RETURNS(
        pool_fill(p->pool, offset_of(first), 7, offset_of(end) - offset_of(first)),
        POOL_OK);
    for (size_t b = first; b < end; b++) {
        int own = p->ids[b] != 0 && (state_of(p, b) & ~(size_t)POOL_BLOCK_PINNED) == 0;
        p->ids[b] = own && byte_of(p->ids[b]) == 7 ? p->ids[b] : (last_id += 2);
        if (is_pinned(p, b))
            byte = 7;
    }
}

static void discard(Listed *p, size_t first, size_t end)
{
    CHECK_RETURNS(
        pool_discard(p->pool, offset_of(first), offset_of(end) - offset_of(first)),
        POOL_OK);
    for (size_t b = first; b < end; b++) {
        if (is_pinned(p, b))
            byte = 0;
        else
            p->ids[b] = 0;
    }
}

static void adopt(Listed *p, size_t first, size_t end)
{
    size_t size = offset_of(end) - offset_of(first);
    CHECK_RETURNS(pool_adopt(p->pool, offset_of(first), memory, size, NULL, NULL),
                  POOL_OK);
    for (size_t b = first; b < end; b++) {
        if (is_pinned(p, b))
            byte = 0;
        else
            p->ids[b] = (last_id += 2) + 1;
    }
}

/* An identity for a block that is all zeros, or all 7. */
static unsigned new_id(int filled_with)
{
    last_id += 2;
    if (filled_with == 0) {
        CHECK(zeros_count < TEST_COUNT(zeros));
        zeros[zeros_count++] = last_id;
    }
    return last_id;
}

/* Brings the frozen copy up to date. */
static void freeze(void)
{
    if (!dirty && byte == old_byte)
        return;
    frozen = new_id(byte);
    old_byte = byte;
    dirty = 0;
}

/* As a clone does; a pinned block stays what it is, and others get its frozen copy. */
static void restore(Listed *p, const Listed *from)
{
    unsigned here = pinned < BLOCKS ? pools[0].ids[pinned] : 0;
    if (p == from)
        return;
    CHECK_RETURNS(pool_restore(p->pool, from->pool), POOL_OK);
    memcpy(p->ids, from->ids, sizeof p->ids);
    p->total = from->total;
    if (pinned < BLOCKS && from == &pools[0]) {
        freeze();
        p->ids[pinned] = frozen;
    } else if (pinned < BLOCKS && p == &pools[0]) {
        frozen = from->ids[pinned];
        byte = old_byte = byte_of(frozen);
        dirty = 0;
        p->ids[pinned] = here;
    }
}

static void toggle_pin(TestRandom *random)
{
    if (pinned < BLOCKS) {
        pool_view_release(&pin);
        pools[0].ids[pinned] = new_id(byte);
        pinned = BLOCKS;
        return;
    }
    Listed *p = &pools[0];
    size_t block = test_below(random, BLOCKS - 1);
    unsigned old = p->ids[block];
    int shared = old != 0 && (state_of(p, block) & POOL_BLOCK_SHARED) != 0;
    CHECK_RETURNS(pool_pin(p->pool, offset_of(block), 1, &pin), POOL_OK);
    pinned = block;
    byte = byte_of(old);
    frozen = shared ? old : 0;
    old_byte = byte_of(frozen);
    dirty = old != 0 && !shared;
    if (old == 0 || shared || old % 2 != 0)
        p->ids[block] = last_id += 2;
    if (test_below(random, 2) == 0)
        fill(p, block, block + 1);
}

static void resize(Listed *p, size_t larger)
{
    size_t total = offset_of(BLOCKS - 1) + 1 + larger;
    CHECK_RETURNS(pool_resize(p->pool, total), POOL_OK);
    p->total = total;
}

/* ------------------------------------------------------------------------- tests */

static void change_one(TestRandom *random)
{
    Listed *p = &pools[test_below(random, POOLS)];
    Listed *other = &pools[test_below(random, POOLS)];
    size_t first = test_below(random, BLOCKS), end = first + some_blocks(random);
    end = end < BLOCKS ? end : BLOCKS - 1; /* the last block may be a part of one */
    first = first < end ? first : end - 1;
    switch (test_below(random, 10)) {
    case 0:
    case 1:
    case 2: fill(p, first, end); break;
    case 3:
    case 4: discard(p, first, end); break;
    case 5: adopt(p, first, end); break;
    case 6: resize(p, test_below(random, 3)); break;
    case 7: resize(p, (size_t)BLOCKS * BLOCK * test_below(random, 300)); break;
    case 8: toggle_pin(random); break;
    default: restore(p, other); break;
    }
}

static size_t some_place(TestRandom *random)
{
    switch (test_below(random, 10)) {
    case 0: return 0;
    case 1: return SIZE_MAX - test_below(random, 2 * BLOCK);
    case 2: return offset_of(BLOCKS) + test_below(random, 2 * BLOCK);
    default: return offset_of(0) + test_below(random, BLOCKS * BLOCK);
    }
}

static void check_walks(TestRandom *random)
{
    for (unsigned i = 0; i < 12; i++) {
        const Listed *p = &pools[test_below(random, POOLS)];
        const Listed *base = &pools[test_below(random, POOLS)];
        size_t offset = some_place(random), end = some_place(random), at = offset;
        if (test_below(random, 3) == 0)
            end = offset + test_below(random, 100 * BLOCK); /* it may wrap */
        for (unsigned steps = 0; steps < 3; steps++) {
            at = check_run(p, i % 3 == 0 ? base : NULL, i % 3 == 1, at, end);
            if (at == 0)
                break;
        }
    }
}

static void run_walks(size_t before, uint64_t seed)
{
    TestRandom random = {seed};
    memset(pools, 0, sizeof pools);
    pin = (PoolView){.struct_size = sizeof pin};
    first_block = before;
    last_id = zeros_count = 0;
    pinned = BLOCKS;
    for (size_t i = 0; i < POOLS; i++) {
        pools[i].total = offset_of(BLOCKS - 1) + 1;
        pools[i].pool =
            i == 0 ? make(pools[0].total, BLOCK, 0) : pool_clone(pools[0].pool);
    }
    for (unsigned i = 0; i < 150; i++) {
        change_one(&random);
        check_walks(&random);
    }
    for (size_t i = 0; i < POOLS; i++)
        pool_destroy(pools[i].pool);
    pool_view_release(&pin);
}

TEST(random_ranges_at_the_start)
{
    for (unsigned i = 0; i < test_times(6); i++)
        run_walks(0, test_seed * 1000 + i);
}

TEST(random_ranges_that_lie_across_nodes)
{
    for (unsigned i = 0; i < test_times(6); i++)
        run_walks((size_t)NODE * NODE * NODE * 29 + 5, test_seed * 1000 + i);
}

/* An end in the middle of a block, at its edges, and where there is nothing before it. */
TEST(ends)
{
    MemoryPool *pool = make(100 * NODE, NODE, 0), *clone = pool_clone(pool);
    size_t start = 0, size = 0, state = 0;
    CHECK_RETURNS(pool_fill(pool, 2 * NODE, 1, 50 * NODE), POOL_OK);
    static const struct {
        size_t offset, end, start, size; /* size 0: nothing is found */
    } ranges[] = {
        {0, SIZE_MAX, 2 * NODE, 50 * NODE},
        {0, 100 * NODE, 2 * NODE, 50 * NODE},
        {0, 52 * NODE + 1, 2 * NODE, 50 * NODE},
        {0, 52 * NODE, 2 * NODE, 50 * NODE},
        {0, 52 * NODE - 1, 2 * NODE, 50 * NODE - 1},
        {3 * NODE + 1, 3 * NODE + 2, 3 * NODE + 1, 1},
        {0, 2 * NODE + 1, 2 * NODE, 1},
        {0, 2 * NODE, 0, 0},
        {0, 0, 0, 0},
        {3 * NODE, 3 * NODE, 0, 0},
        {3 * NODE, 3 * NODE - 1, 0, 0},
        {3 * NODE, 0, 0, 0},
        {52 * NODE, SIZE_MAX, 0, 0},
        {SIZE_MAX, SIZE_MAX, 0, 0},
        {SIZE_MAX - 1, SIZE_MAX, 0, 0},
        {100 * NODE, SIZE_MAX, 0, 0},
    };
    for (size_t i = 0; i < 3 * TEST_COUNT(ranges); i++) {
        size_t offset = ranges[i / 3].offset, end = ranges[i / 3].end;
        int found = i % 3 == 0 ? pool_next_extent(pool, offset, end, &start, &size)
                    : i % 3 == 1
                        ? pool_next_state(pool, offset, end, &start, &size, &state)
                        : pool_next_change(clone, pool, offset, end, &start, &size);
        CHECK_STATUS(POOL_OK);
        CHECK_EQ_INT(found, ranges[i / 3].size != 0);
        if (found) {
            CHECK_EQ_SIZE(start, ranges[i / 3].start);
            CHECK_EQ_SIZE(size, ranges[i / 3].size);
        }
    }
    pool_destroy(pool);
    pool_destroy(clone);
}

static const TestCase cases[] = {
    TEST_CASE(random_ranges_at_the_start),
    TEST_CASE(random_ranges_that_lie_across_nodes),
    TEST_CASE(ends),
};
TEST_MAIN(cases)
