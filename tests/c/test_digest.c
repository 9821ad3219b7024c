/* SPDX-License-Identifier: MIT */
/*
 * test_digest.c - pool_digest, and that no change is missed by what is kept of it
 *
 * That the definition in memory_pool.h is met, with contents of all kinds, is tested by
 * tests/python/core/test_digest.py, which has it a second time.
 */
#include "internal.h"

#include "digests.h"

/* ------------------------------------------------------------------ known digests */

static void check_text(MemoryPool *pool, const char *expected)
{
    Hash digest = digest_of(pool);
    char text[2 * sizeof digest + 1];
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(text + 2 * i, 3, "%02x", digest.bytes[i]);
    CHECK_EQ_TEXT(text, expected);
}

/* Made by a program with Python's hashlib. */
TEST(known_digests)
{
    static const struct {
        size_t size;
        const char *text;
    } known[] = {{1, "4746fba811440139ad93e7befc70ed5a"
                     "3f1b3374434565e99acf770c0a9b898c"},
                 {4096, "9252ca3fd32d52127da3365f7dccc4e8"
                        "2381c4739c80d82b00b127e8e9c3564e"},
                 {4097, "c57d48a3e248b327af8b76371ca17cb8"
                        "d1cd89bf6d520acd066a8756c381e5ff"},
                 {100000, "6bff12b6612bed77e2ab6b81ee9c0fcd"
                          "40d53ebafa0dc03314ae76d2d5efe6c1"}};
    static unsigned char bytes[100000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 256);
    for (size_t i = 0; i < TEST_COUNT(known); i++)
        for (size_t block = 1; block <= 1 << 18; block *= 2) {
            MemoryPool *pool = make(known[i].size, block, 0);
            CHECK_EQ_SIZE(pool_write(pool, 0, bytes, known[i].size), known[i].size);
            check_text(pool, known[i].text);
            pool_destroy(pool);
        }
}

TEST(zeros_and_holes)
{
    for (size_t block = 1; block <= 1 << 16; block *= 2) {
        MemoryPool *pool = make(4096, block, 0);
        check_text(pool, "0c72dec55d99efd23edb45e2669a0cd4"
                         "0c44ece435e37f9aa7c022a40a8d646d");
        CHECK_EQ_SIZE(pool_write(pool, 100, "x", 1), 1);
        CHECK_EQ_SIZE(pool_write(pool, 100, "", 1), 1); /* a zero, that is held */
        check_text(pool, "0c72dec55d99efd23edb45e2669a0cd4"
                         "0c44ece435e37f9aa7c022a40a8d646d");
        pool_destroy(pool);
    }
}

#if SIZE_MAX > UINT32_MAX
TEST(a_large_pool)
{
    for (size_t block = 1; block <= (size_t)1 << 24; block *= 16) {
        MemoryPool *pool = make((size_t)1 << 40, block, 0);
        CHECK_EQ_SIZE(pool_write(pool, (size_t)1 << 39, "abc", 3), 3);
        check_text(pool, "6bc2144e4064c4b9e0afe00fc999f820"
                         "2327b93466a1b4f1b2e9e53f81d7c3af");
        pool_destroy(pool);
    }
    MemoryPool *pool = make(SIZE_MAX, BLOCK, 0);
    Hash holes = digest_of(pool), digest;
    CHECK_EQ_SIZE(pool_write(pool, SIZE_MAX - 1, "x", 1), 1);
    digest = digest_of(pool);
    CHECK(memcmp(&holes, &digest, sizeof digest) != 0);
    pool_destroy(pool);
}
#endif

/* ------------------------------------------------------------------ what is kept */

static size_t hashed_nodes(Node *node, unsigned level)
{
    size_t nodes = 0;
    if (node == NULL)
        return 0;
    for (unsigned i = 0; level > 0 && i < TREE_SLOTS; i++)
        nodes += hashed_nodes(ptr_load_acquire(&node->slot[i]), level - 1);
    return nodes + node_is_hashed(node);
}

static bool block_is_hashed(MemoryPool *pool, size_t index)
{
    Digest digest;
    Block *block = tree_block(&pool->tree, index);
    return block != NULL && block_has_digest(block, &digest);
}

static size_t hashed_blocks(MemoryPool *pool)
{
    size_t blocks = 0;
    for (size_t i = 0; i < BLOCKS; i++)
        blocks += block_is_hashed(pool, i);
    return blocks;
}

/* A root of two leaves: what a write changed is hashed anew, and no more. */
TEST(the_rest_is_kept)
{
    MemoryPool *pool = make_full();
    PoolStats before = stats_of(pool);
    CHECK_EQ_SIZE(hashed_blocks(pool), 0);
    check_digest(pool);
    CHECK_EQ_SIZE(hashed_blocks(pool), BLOCKS);
    CHECK_EQ_SIZE(hashed_nodes(tree_root(&pool->tree), 1), 2); /* not of half a root */
    CHECK_LE_SIZE(before.metadata_bytes + BLOCKS * sizeof(KeptDigest),
                  stats_of(pool).metadata_bytes);
    for (unsigned i = 0; i < 2; i++) {
        CHECK_EQ_SIZE(pool_write(pool, BLOCK + 1, i == 0 ? "a" : "b", 1), 1);
        CHECK(!block_is_hashed(pool, 1));
        CHECK_EQ_SIZE(hashed_blocks(pool), BLOCKS - 1);
        CHECK_EQ_SIZE(hashed_nodes(tree_root(&pool->tree), 1), 1);
        CHECK_EQ_SIZE(stats_of(pool).shared_blocks, 0);
        CHECK_EQ_SIZE(stats_of(pool).copied_blocks, 0); /* it was written in place */
        check_digest(pool);
        CHECK_EQ_SIZE(hashed_blocks(pool), BLOCKS);
    }
    pool_destroy(pool);
    check_nothing_live();
}

TEST(relatives_share_it)
{
    MemoryPool *pool = make_full();
    check_digest(pool);
    MemoryPool *clone = pool_clone(pool);
    CHECK_EQ_SIZE(pool_write(clone, 5 * BLOCK, "x", 1), 1);
    CHECK_EQ_SIZE(hashed_blocks(pool), BLOCKS);
    CHECK_EQ_SIZE(hashed_blocks(clone), BLOCKS - 1);
    CHECK_EQ_SIZE(hashed_nodes(tree_root(&pool->tree), 1), 2);
    CHECK_EQ_SIZE(hashed_nodes(tree_root(&clone->tree), 1), 1);
    check_digest(clone);
    check_digest(pool);
    pool_destroy(pool);
    check_digest(clone);
    pool_destroy(clone);
    check_nothing_live();
}

/* With all blocks of a chunk their digests are freed, and new blocks have none. */
TEST(it_ends_with_the_blocks)
{
    MemoryPool *pool = make_full();
    check_digest(pool);
    size_t metadata = stats_of(pool).metadata_bytes;
    CHECK_RETURNS(pool_discard(pool, 0, WHOLE), POOL_OK);
    (void)pool_trim();
    CHECK_LE_SIZE(stats_of(pool).metadata_bytes + BLOCKS * sizeof(KeptDigest), metadata);
    check_digest(pool);
    for (unsigned i = 0; i < 3; i++) { /* blocks are freed and used again */
        CHECK_RETURNS(pool_fill(pool, 0, 1, WHOLE), POOL_OK);
        check_digest(pool);
        CHECK_RETURNS(pool_discard(pool, BLOCK, WHOLE - BLOCK), POOL_OK);
        check_digest(pool);
        CHECK_RETURNS(pool_fill(pool, 0, 2, WHOLE / 2), POOL_OK);
        CHECK_EQ_SIZE(hashed_blocks(pool), 0);
        check_digest(pool);
    }
    pool_destroy(pool);
    check_nothing_live();
}

/* ------------------------------------------------------------------ every change */

static void change_small(MemoryPool *pool)
{
    CHECK_EQ_SIZE(pool_write(pool, 3 * BLOCK + 8, "12345678", 8), 8);
}

static void change_large(MemoryPool *pool)
{
    static unsigned char bytes[3 * BLOCK];
    bytes[BLOCK]++;
    CHECK_EQ_SIZE(pool_write(pool, 3 * BLOCK + 5, bytes, sizeof bytes), sizeof bytes);
}

static void change_fill(MemoryPool *pool)
{
    CHECK_RETURNS(pool_fill(pool, 3 * BLOCK + 5, 7, BLOCK), POOL_OK);
}

static void change_discard_part(MemoryPool *pool)
{
    CHECK_RETURNS(pool_discard(pool, 3 * BLOCK + 5, 100), POOL_OK);
}

static void change_discard(MemoryPool *pool)
{
    CHECK_RETURNS(pool_discard(pool, 3 * BLOCK + 5, 4 * BLOCK), POOL_OK);
}

static void change_take(MemoryPool *pool)
{
    char taken[100];
    CHECK_EQ_SIZE(pool_take(pool, taken, 9 * BLOCK, sizeof taken), sizeof taken);
}

static void change_scatter(MemoryPool *pool)
{
    static const size_t offsets[] = {0, 5 * BLOCK, 63 * BLOCK, 4093};
    CHECK_RETURNS(pool_scatter(pool, offsets, "abcdefghijkl", 4, 3), POOL_OK);
}

static void change_write_many(MemoryPool *pool)
{
    static const size_t offsets[] = {8, 40 * BLOCK}, sizes[] = {5, 7};
    CHECK_RETURNS(pool_write_many(pool, offsets, sizes, "abcdefghijkl", 2), POOL_OK);
}

static void change_add(MemoryPool *pool)
{
    uint64_t old;
    CHECK_RETURNS(pool_fetch_add(pool, 12 * BLOCK, 4, 1, &old), POOL_OK);
}

static void change_exchange(MemoryPool *pool)
{
    uint64_t old, now;
    CHECK_RETURNS(pool_fetch_add(pool, 12 * BLOCK, 8, 0, &old), POOL_OK);
    check_digest(pool);
    CHECK_RETURNS(pool_compare_exchange(pool, 12 * BLOCK, 8, old, ~old, &now), POOL_OK);
}

static void change_copy(MemoryPool *pool)
{
    CHECK_RETURNS(pool_copy(pool, 20 * BLOCK, pool, 30 * BLOCK, 5 * BLOCK), POOL_OK);
    check_digest(pool);
    CHECK_RETURNS(pool_copy(pool, 20 * BLOCK + 1, pool, 50 * BLOCK, 300), POOL_OK);
}

static void change_adopt(MemoryPool *pool)
{
    static unsigned char bytes[3 * BLOCK + 1];
    bytes[BLOCK]++;
    CHECK_RETURNS(pool_adopt(pool, 7 * BLOCK, bytes, sizeof bytes, NULL, NULL), POOL_OK);
}

static void change_size(MemoryPool *pool)
{
    CHECK_RETURNS(pool_resize(pool, WHOLE - 3 * BLOCK / 2), POOL_OK);
    check_digest(pool);
    CHECK_RETURNS(pool_resize(pool, WHOLE + 5), POOL_OK);
    check_digest(pool);
    CHECK_RETURNS(pool_resize(pool, WHOLE), POOL_OK);
}

static void change_restore(MemoryPool *pool)
{
    MemoryPool *clone = pool_clone(pool);
    CHECK_EQ_SIZE(pool_write(clone, 3 * BLOCK, "x", 1), 1);
    CHECK_RETURNS(pool_restore(pool, clone), POOL_OK);
    check_digest(pool);
    CHECK_EQ_SIZE(pool_write(clone, 3 * BLOCK, "y", 1), 1);
    check_digest(clone);
    pool_destroy(clone);
}

static void change_beside_view(MemoryPool *pool)
{
    PoolView view = {.struct_size = sizeof view};
    CHECK_RETURNS(pool_view(pool, 3 * BLOCK, 2 * BLOCK, &view), POOL_OK);
    change_small(pool);
    check_digest(pool);
    pool_view_release(&view);
    change_small(pool);
}

/* Through a pin of one block or several, which are there and lie side by side, or are
 * moved; with and without clones, and after its end. */
static void change_pinned(MemoryPool *pool, size_t offset, size_t size)
{
    PoolView pin = {.struct_size = sizeof pin};
    CHECK_RETURNS(pool_pin(pool, offset, size, &pin), POOL_OK);
    unsigned char *data = pin.data;
    data[0]++;
    check_digest(pool);
    data[pin.size - 1]++;
    check_digest(pool);
    MemoryPool *clone = pool_clone(pool);
    data[pin.size / 2]++;
    check_digest(clone);
    check_digest(pool);
    CHECK_RETURNS(pool_restore(pool, clone), POOL_OK);
    check_digest(pool);
    pool_destroy(clone);
    data[1]++;
    pool_view_release(&pin);
    check_digest(pool);
    CHECK_RETURNS(pool_pin(pool, offset, size, &pin), POOL_OK); /* it stays in place */
    CHECK(pin.data == data);
    data[2]++;
    check_digest(pool);
    pool_view_release(&pin);
}

static void change_pin_of_one(MemoryPool *pool)
{
    change_pinned(pool, 3 * BLOCK + 5, 100);
}

static void change_pin_of_many(MemoryPool *pool)
{
    change_pinned(pool, 20 * BLOCK + 5, 30 * BLOCK);
}

static void change_all_pinned(MemoryPool *pool)
{
    change_pinned(pool, 0, WHOLE);
}

static void (*const changes[])(MemoryPool *) = {
    change_small,       change_large,     change_fill,        change_discard_part,
    change_discard,     change_take,      change_scatter,     change_write_many,
    change_add,         change_exchange,  change_copy,        change_adopt,
    change_size,        change_restore,   change_beside_view, change_pin_of_one,
    change_pin_of_many, change_all_pinned};

/* After a digest, when nobody else has the blocks: the change is made in place. */
TEST(every_change_counts)
{
    for (size_t i = 0; i < TEST_COUNT(changes); i++) {
        MemoryPool *pool = make_full();
        for (unsigned round = 0; round < 3; round++) {
            check_digest(pool);
            changes[i](pool);
        }
        check_digest(pool);
        pool_destroy(pool);
        check_nothing_live();
    }
}

/* The same while a clone is kept that has a digest, and again when it has gone. */
TEST(every_change_beside_a_clone)
{
    for (size_t i = 0; i < TEST_COUNT(changes); i++) {
        MemoryPool *pool = make_full(), *clone = pool_clone(pool);
        Hash before = digest_of(clone), after;
        changes[i](pool);
        check_digest(pool);
        after = digest_of(clone);
        CHECK_MEM(after.bytes, before.bytes, sizeof before);
        pool_destroy(clone);
        changes[i](pool);
        check_digest(pool);
        pool_destroy(pool);
        check_nothing_live();
    }
}

/* The frozen copies of a pin are brought up to date in place. */
TEST(pins_with_and_without_tracking)
{
    static const size_t services[] = {WRITTEN_FORBIDDEN, WRITTEN_ALLOWED};
    size_t usual = size_load_relaxed(&written_switch);
    for (size_t i = 0; i < TEST_COUNT(services); i++) {
        size_store_relaxed(&written_switch, services[i]);
        MemoryPool *pool = make_full();
        PoolView pin = {.struct_size = sizeof pin};
        CHECK_RETURNS(pool_pin(pool, 0, WHOLE, &pin), POOL_OK);
        for (unsigned round = 0; round < 8; round++) {
            ((unsigned char *)pin.data)[round * 1000]++;
            check_digest(pool);
            if (round == 4) { /* what was written is found by a search */
                size_t start, size;
                MemoryPool *clone = pool_clone(pool);
                CHECK(pool_next_change(pool, clone, 0, WHOLE, &start, &size) == 0);
                pool_destroy(clone);
            }
        }
        pool_view_release(&pin);
        pool_destroy(pool);
        check_nothing_live();
    }
    size_store_relaxed(&written_switch, usual);
}

/* What was pinned before it was cut off is the pin's, and not the pool's. */
TEST(bytes_behind_the_end)
{
    MemoryPool *pool = make(2 * BLOCK, BLOCK, 0);
    PoolView pin = {.struct_size = sizeof pin};
    CHECK_RETURNS(pool_pin(pool, BLOCK, BLOCK, &pin), POOL_OK);
    CHECK_RETURNS(pool_resize(pool, 2 * BLOCK - 100), POOL_OK);
    CHECK_RETURNS(pool_fill(pool, 0, 9, 2 * BLOCK - 100), POOL_OK);
    Hash before = digest_of(pool), after;
    ((unsigned char *)pin.data)[BLOCK - 50] = 1;
    after = digest_of(pool);
    CHECK_MEM(after.bytes, before.bytes, sizeof before);
    pool_view_release(&pin);
    after = digest_of(pool);
    CHECK_MEM(after.bytes, before.bytes, sizeof before);
    pool_destroy(pool);
    check_nothing_live();
}

/* A pool that was made smaller has larger blocks, and a higher tree, than it needs. */
TEST(made_smaller)
{
    static const size_t sizes[] = {100000, 65536, 65535, 8193, 4096, 100};
    for (size_t block = 16; block <= 1 << 17; block *= 2)
        for (unsigned held = 0; held < 2; held++) {
            MemoryPool *pool = make((size_t)1 << 24, block, 0);
            CHECK_EQ_SIZE(pool_write(pool, held ? 90 : 200000, "text", 4), 4);
            CHECK_EQ_SIZE(pool_write(pool, held ? 8000 : 200100, "text", 4), 4);
            for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
                CHECK_RETURNS(pool_resize(pool, sizes[i]), POOL_OK);
                check_digest(pool);
                check_digest(pool);
            }
            pool_destroy(pool);
        }
    check_nothing_live();
}

/* ------------------------------------------------------------------ failures */

TEST(bad_arguments)
{
    Hash digest = {{7}};
    MemoryPool *pool = make(100, 16, 0);
    CHECK_RETURNS(pool_digest(NULL, digest.bytes), POOL_INVALID);
    CHECK_RETURNS(pool_digest(pool, NULL), POOL_INVALID);
    CHECK_EQ_INT(digest.bytes[0], 7);
    pool_destroy(pool);
}

/* Without memory for its snapshot it fails; without memory to keep anything it does
 * not. */
TEST(every_allocation_fails)
{
    for (unsigned pinned = 0; pinned < 2; pinned++) {
        MemoryPool *pool = make_full();
        PoolView pin = {.struct_size = sizeof pin};
        Hash expected, digest;
        size_t failed = 0;
        if (pinned)
            CHECK_RETURNS(pool_pin(pool, 0, WHOLE / 2, &pin), POOL_OK);
        MemoryPool *other = stranger(pool, BLOCK);
        expected = digest_of(other);
        pool_destroy(other);
        for (size_t i = 1;; i++) {
            memset(&digest, 7, sizeof digest);
            (void)pool_trim();
            fault_in = i;
            PoolStatus status = pool_digest(pool, digest.bytes);
            bool reached = fault_in == 0;
            fault_in = 0;
            if (status == POOL_OK) {
                CHECK_MEM(digest.bytes, expected.bytes, sizeof digest);
            } else {
                CHECK_EQ_INT((int)status, (int)POOL_NO_MEMORY);
                CHECK_BYTES(digest.bytes, 7, sizeof digest);
                failed++;
            }
            if (!reached)
                break;
        }
        CHECK(failed > 0);
        digest = digest_of(pool);
        CHECK_MEM(digest.bytes, expected.bytes, sizeof digest);
        pool_view_release(&pin);
        pool_destroy(pool);
        check_nothing_live();
    }
}

TEST(the_memory_limit)
{
    MemoryPool *pool = make(WHOLE, BLOCK, WHOLE);
    PoolView pin = {.struct_size = sizeof pin};
    Hash digest = {{7}};
    CHECK_RETURNS(pool_fill(pool, 0, 1, WHOLE), POOL_OK);
    check_digest(pool); /* a snapshot takes no blocks */
    CHECK_RETURNS(pool_pin(pool, 0, BLOCK, &pin), POOL_OK);
    ((unsigned char *)pin.data)[0]++;
    CHECK_RETURNS(pool_digest(pool, digest.bytes), POOL_LIMIT); /* a frozen copy */
    CHECK_EQ_INT(digest.bytes[0], 7);
    pool_view_release(&pin);
    check_digest(pool);
    pool_destroy(pool);
    check_nothing_live();
}

static const TestCase cases[] = {
    TEST_CASE(known_digests),
    TEST_CASE(zeros_and_holes),
#if SIZE_MAX > UINT32_MAX
    TEST_CASE(a_large_pool),
#endif
    TEST_CASE(the_rest_is_kept),
    TEST_CASE(relatives_share_it),
    TEST_CASE(it_ends_with_the_blocks),
    TEST_CASE(every_change_counts),
    TEST_CASE(every_change_beside_a_clone),
    TEST_CASE(pins_with_and_without_tracking),
    TEST_CASE(bytes_behind_the_end),
    TEST_CASE(made_smaller),
    TEST_CASE(bad_arguments),
    TEST_CASE(every_allocation_fails),
    TEST_CASE(the_memory_limit),
};

TEST_MAIN(cases)
