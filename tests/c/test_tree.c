/* SPDX-License-Identifier: MIT */
/*
 * test_tree.c - the persistent tree by itself, against lists of blocks
 *
 * Several trees with common parts, at small and at the largest heights. Beside each one
 * stands a flat list of what it should hold around one place.
 */
#include "internal.h"

enum { TREES = 4, SPAN = 300 };

typedef struct Listed {
    Tree tree;
    Block *blocks[SPAN];
} Listed;

static Arena arena;
static Listed trees[TREES];
static size_t base; /* the index of blocks[0] */

static void open_trees(size_t blocks, size_t first)
{
    memset(trees, 0, sizeof trees);
    arena_init(&arena, WORD_DATA_MIN, sizeof(Node), SIZE_MAX);
    for (size_t i = 0; i < TREES; i++)
        size_store_relaxed(&trees[i].tree.height, tree_height(blocks));
    base = first;
}

static void close_trees(void)
{
    Reservation reservation = {0};
    for (size_t i = 0; i < TREES; i++)
        tree_replace(&trees[i].tree, NULL, 1, &reservation);
    reservation_empty(&reservation, &arena);
    CHECK_EQ_SIZE(slab_used(&arena.nodes), 0);
    CHECK_EQ_SIZE(arena.held, 0);
    arena_close(&arena);
    check_nothing_live();
}

/* Makes some of the blocks first to last of a tree exist and be private, as writes do,
 * with exactly the reservation that was measured: a run of them at every step. */
static void put_some(Listed *t, size_t first, size_t last, size_t run, size_t step)
{
    Reservation reservation = {0};
    Need need = {0, 0, 0, 0};
    size_t done = SIZE_MAX;
    for (size_t i = first; i <= last; i += step) {
        size_t end = checked_min(i + run - 1, last);
        Need more = tree_measure_next(&t->tree, base + i, base + end, &done);
        need.blocks += more.blocks;
        need.nodes += more.nodes;
    }
    CHECK_EQ_INT((int)reservation_fill(&reservation, &arena, need), POOL_OK);
    for (size_t i = first; i <= last; i++) {
        if ((i - first) % step >= run)
            continue;
        Node *leaf = tree_unshare_leaf(&t->tree, base + i, &reservation);
        CHECK(leaf == tree_private_leaf(&t->tree, base + i));
        Block *old = leaf_block(leaf, base + i);
        if (old == NULL || block_is_shared(old)) {
            CHECK(reservation.blocks != NULL);
            t->blocks[i] = reservation_take_block(&reservation);
            slot_set_sole(node_slot(leaf, 0, base + i), t->blocks[i]);
            if (old == NULL)
                tree_count(&t->tree, base + i, 1);
            else
                block_drop(old, &reservation);
        }
    }
    CHECK(reservation.blocks == NULL); /* no more blocks than needed were requested */
    CHECK(reservation.nodes == NULL);
    reservation_empty(&reservation, &arena);
}

static void put(Listed *t, size_t first, size_t last)
{
    put_some(t, first, last, SPAN, SPAN);
}

static void clear(Listed *t, size_t first, size_t last)
{
    Reservation reservation = {0};
    Need need = {0, 0, 0, 0};
    need.nodes = tree_measure_clear(&t->tree, base + first, base + last);
    CHECK_EQ_INT((int)reservation_fill(&reservation, &arena, need), POOL_OK);
    tree_clear(&t->tree, base + first, base + last, 0, &reservation);
    reservation_empty(&reservation, &arena);
    for (size_t i = first; i <= last; i++)
        t->blocks[i] = NULL;
}

static void restore(Listed *t, const Listed *from)
{
    Reservation reservation = {0};
    if (t == from)
        return;
    tree_replace(&t->tree, tree_retain_root(&from->tree), tree_top(&from->tree) + 1,
                 &reservation);
    reservation_empty(&reservation, &arena);
    memcpy(t->blocks, from->blocks, sizeof t->blocks);
}

/* ------------------------------------------------------------------- checking */

/* Whether two trees (b may be NULL) hold different blocks at a place. */
static bool is_different(const Listed *a, const Listed *b, size_t i)
{
    return a->blocks[i] != (b ? b->blocks[i] : NULL);
}

static void check_find(const Listed *a, const Listed *b, size_t from, size_t last)
{
    TreeRun run = {base + last, false, false, 0, 0, 0};
    size_t first = from, end;
    while (first <= last && !is_different(a, b, first))
        first++;
    for (end = first; end <= last && is_different(a, b, end);)
        end++;
    bool found = tree_find_run(&a->tree, b ? &b->tree : NULL, base + from, &run);
    CHECK_EQ_INT(found, first <= last);
    if (found) {
        CHECK_EQ_SIZE(run.first, base + first);
        CHECK_EQ_SIZE(run.end, base + end);
    }
    found = node_has_blocks(tree_root(&a->tree), tree_top(&a->tree), base + from,
                            base + last);
    CHECK_EQ_INT(found, b == NULL ? first <= last : found);
}

/* A block of which a slot is the sole owner has no other reference. */
static void check_word(Word word)
{
    Block *block = word_block(word);
    CHECK((word & WORD_SOLE) == 0 || size_load_relaxed(&block->refs) == 1);
    CHECK((word & ~(Word)WORD_SOLE) == (block == NULL ? 0 : block_word(block)));
}

/* Counts below a node, the slow way, checking each node's own count; no node may be
 * without a block. */
static size_t count_blocks(Node *node, unsigned level)
{
    size_t blocks = 0;
    for (unsigned i = 0; node != NULL && i < TREE_SLOTS; i++) {
        void *child = ptr_load_acquire(&node->slot[i]);
        blocks += level > 0 ? count_blocks(child, level - 1) : child != NULL;
        if (level == 0)
            check_word((Word)child);
    }
    if (node != NULL) {
        CHECK_EQ_SIZE(size_load_relaxed(&node->blocks), blocks);
        CHECK_LE_SIZE(1, blocks);
    }
    return blocks;
}

static int is_shared(const Listed *t, size_t i)
{
    int holders = 0;
    for (size_t k = 0; k < TREES; k++)
        holders += trees[k].blocks[i] == t->blocks[i];
    return holders > 1;
}

static void check_tree(const Listed *t)
{
    size_t held = 0, shared = 0;
    unsigned top = tree_top(&t->tree);
    for (size_t i = 0; i < SPAN; i++) {
        CHECK(tree_block(&t->tree, base + i) == t->blocks[i]);
        held += t->blocks[i] != NULL;
        shared += t->blocks[i] != NULL && is_shared(t, i);
    }
    CHECK_EQ_SIZE(tree_blocks(&t->tree), held);
    CHECK_EQ_SIZE(count_blocks(tree_root(&t->tree), top), held);
    CHECK_EQ_SIZE(node_private_blocks(tree_root(&t->tree), top), held - shared);
}

/* ---------------------------------------------------------------------- tests */

TEST(heights)
{
    CHECK_EQ_INT((int)tree_height(1), 1);
    CHECK_EQ_INT((int)tree_height(TREE_SLOTS), 1);
    CHECK_EQ_INT((int)tree_height(TREE_SLOTS + 1), 2);
    CHECK_EQ_INT((int)tree_height(TREE_SLOTS * TREE_SLOTS), 2);
    CHECK_EQ_INT((int)tree_height(TREE_SLOTS * TREE_SLOTS + 1), 3);
    CHECK_EQ_INT((int)tree_height(SIZE_MAX), (SIZE_BITS + TREE_BITS - 1) / TREE_BITS);
}

TEST(checked_arithmetic)
{
    CHECK_EQ_SIZE(checked_clip(10, 3, 4), 4);
    CHECK_EQ_SIZE(checked_clip(10, 3, SIZE_MAX), 7);
    CHECK_EQ_SIZE(checked_clip(10, 10, 1), 0);
    CHECK_EQ_SIZE(checked_clip(SIZE_MAX, SIZE_MAX - 1, SIZE_MAX), 1);
    CHECK(checked_fits(10, 10, 0));
    CHECK(!checked_fits(10, 11, 0));
    CHECK(!checked_fits(10, 5, SIZE_MAX));
    CHECK(!checked_fits(SIZE_MAX, SIZE_MAX, 1));
    CHECK_EQ_SIZE(checked_shift_right(SIZE_MAX, SIZE_BITS), 0);
    CHECK_EQ_SIZE(checked_shift_right(SIZE_MAX, SIZE_BITS - 1), 1);
    for (unsigned bits = 0; bits < SIZE_BITS; bits++) {
        size_t power = (size_t)1 << bits;
        CHECK_EQ_INT((int)checked_log2_floor(power), (int)bits);
        CHECK_EQ_INT((int)checked_log2_ceil(power), (int)bits);
        if (power > 1)
            CHECK_EQ_INT((int)checked_log2_floor(power - 1), (int)bits - 1);
        if (power > 2)
            CHECK_EQ_INT((int)checked_log2_ceil(power - 1), (int)bits);
    }
}

TEST(nodes_come_and_go_with_blocks)
{
    open_trees(SIZE_MAX, SIZE_MAX - SPAN);
    Listed *t = &trees[0];
    put(t, 0, 0);
    CHECK_EQ_SIZE(slab_used(&arena.nodes), tree_top(&t->tree) + 1);
    put(t, SPAN - 1, SPAN - 1);
    check_tree(t);
    clear(t, 0, 0);
    CHECK_EQ_SIZE(slab_used(&arena.nodes), tree_top(&t->tree) + 1);
    clear(t, 0, SPAN - 1);
    CHECK_EQ_SIZE(slab_used(&arena.nodes), 0);
    CHECK(tree_root(&t->tree) == NULL);
    close_trees();
}

/* The first write after a clone copies one path, and no more. */
TEST(a_path_is_copied_once)
{
    open_trees((size_t)TREE_SLOTS * TREE_SLOTS * TREE_SLOTS, 0);
    put(&trees[0], 0, SPAN - 1);
    size_t before = slab_used(&arena.nodes);
    restore(&trees[1], &trees[0]);
    CHECK_EQ_SIZE(slab_used(&arena.nodes), before);
    put(&trees[1], 5, 6);
    CHECK_EQ_SIZE(slab_used(&arena.nodes), before + 3);
    put(&trees[1], 5, 6);
    put(&trees[0], 5, 6);
    CHECK_EQ_SIZE(slab_used(&arena.nodes), before + 3);
    for (size_t i = 0; i < TREES; i++)
        check_tree(&trees[i]);
    close_trees();
}

/* What two trees share is skipped without a look: to prove it, the common part is made
 * such that a look would be noticed. */
TEST(what_is_shared_is_not_visited)
{
    open_trees((size_t)TREE_SLOTS * TREE_SLOTS, 0);
    put(&trees[0], 0, SPAN - 1);
    restore(&trees[1], &trees[0]);
    put(&trees[1], 200, 200);
    Node *common = node_child(tree_root(&trees[0].tree), 1, 0);
    CHECK(common == node_child(tree_root(&trees[1].tree), 1, 0));
    void *kept = ptr_load_acquire(&common->slot[3]);
    ptr_store_release(&common->slot[3], NULL);
    check_find(&trees[0], &trees[1], 0, SPAN - 1);
    ptr_store_release(&common->slot[3], kept);
    close_trees();
}

static void run_random(size_t blocks, size_t first, uint64_t seed)
{
    TestRandom random = {seed};
    open_trees(blocks, first);
    for (unsigned i = 0; i < 400; i++) {
        Listed *t = &trees[test_below(&random, TREES)];
        Listed *other = &trees[test_below(&random, TREES)];
        size_t from = test_below(&random, SPAN), to = from + test_below(&random, 50);
        size_t run = 1 + test_below(&random, 9), step = run + test_below(&random, 40);
        if (test_below(&random, 6) == 0)
            to = test_below(&random, 2) == 0 ? SPAN - 1 : from;
        to = to < SPAN ? to : SPAN - 1;
        switch (test_below(&random, 5)) {
        case 0: put(t, from, to); break;
        case 1: put_some(t, from, to, run, step); break;
        case 2:
        case 3: clear(t, from, to); break;
        default: restore(t, other); break;
        }
        check_tree(t);
        check_tree(other);
        check_find(t, NULL, from, SPAN - 1);
        check_find(t, NULL, from, to);
        check_find(t, other, from, SPAN - 1);
        check_find(t, other, from, to);
        check_find(other, t, 0, to);
    }
    close_trees();
}

TEST(random_edits)
{
    for (unsigned i = 0; i < test_times(20); i++) {
        uint64_t seed = test_seed * 1000 + i;
        run_random(SPAN, 0, seed);
        run_random((size_t)TREE_SLOTS * TREE_SLOTS * 40, 900, seed);
        run_random(SIZE_MAX, SIZE_MAX / 2 - 100, seed);
        run_random(SIZE_MAX, SIZE_MAX - SPAN, seed);
    }
}

/* As if 2^32 others held what this one does: slots that hold the same block, and so its
 * references, can be that many. */
TEST(references_pass_2_to_the_32)
{
    const size_t many = UINT32_MAX;
    if (SIZE_BITS == 32) {
        test_skip("2^32 slots do not fit an address space of 32 bits");
        return;
    }
    MemoryPool *pool = pool_create(1 << 20, 4096);
    CHECK_EQ_SIZE(pool_write(pool, 0, "a", 1), 1);
    Block *block = tree_block(&pool->tree, 0);
    Node *root = tree_root(&pool->tree);
    CHECK(slot_share(tree_slot(&pool->tree, 0)) == block);
    size_add_relaxed(&block->refs, many - 1);
    CHECK_EQ_SIZE(pool_write(pool, 0, "b", 1), 1);
    CHECK(tree_block(&pool->tree, 0) != block);
    CHECK_EQ_INT(block->data[0], 'a');
    CHECK_EQ_SIZE(size_load_acquire(&block->refs), many);
    size_add_relaxed(&root->refs, many);
    CHECK_EQ_SIZE(pool_write(pool, 0, "c", 1), 1);
    CHECK(tree_root(&pool->tree) != root);
    size_add_relaxed(&pool->refs, many);
    size_add_relaxed(&pool->family->refs, many);
    pool_destroy(pool);
    PoolStats stats = {.struct_size = sizeof stats};
    pool_stats(pool, &stats);
    CHECK_EQ_SIZE(stats.references, many);

    Reservation reservation = {0};
    size_store_relaxed(&block->refs, 1);
    size_store_relaxed(&root->refs, 1);
    size_store_relaxed(&pool->refs, 1);
    size_store_relaxed(&pool->family->refs, 1);
    block_drop(block, &reservation);
    node_drop(root, tree_top(&pool->tree), &reservation);
    reservation_empty(&reservation, &pool->family->arena);
    pool_destroy(pool);
    check_nothing_live();
}

/* The last block of a pool of SIZE_MAX bytes ends one byte past what a size can say. */
TEST(held_bytes_do_not_wrap)
{
    PoolStats stats = {.struct_size = offsetof(PoolStats, shared_blocks)};
    MemoryPool *pool = pool_create(SIZE_MAX, 4096);
    CHECK_EQ_SIZE(pool_write(pool, SIZE_MAX - 1, "a", 1), 1);
    Node *root = tree_root(&pool->tree);
    for (size_t missing = 0; missing < 2; missing++) {
        size_t blocks = SIZE_MAX / 4096 + 1 - missing;
        size_store_relaxed(&root->blocks, blocks); /* as if it held the others as well */
        pool_stats(pool, &stats);
        CHECK_EQ_SIZE(stats.held_blocks, blocks);
        CHECK_EQ_SIZE(stats.held_bytes, missing == 0 ? SIZE_MAX : blocks * 4096);
    }
    size_store_relaxed(&root->blocks, 1);
    pool_destroy(pool);
    check_nothing_live();
}

static const TestCase cases[] = {
    TEST_CASE(heights),
    TEST_CASE(checked_arithmetic),
    TEST_CASE(nodes_come_and_go_with_blocks),
    TEST_CASE(a_path_is_copied_once),
    TEST_CASE(what_is_shared_is_not_visited),
    TEST_CASE(random_edits),
    TEST_CASE(references_pass_2_to_the_32),
    TEST_CASE(held_bytes_do_not_wrap),
};
TEST_MAIN(cases)
