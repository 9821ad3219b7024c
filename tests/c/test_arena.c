/* SPDX-License-Identifier: MIT */
/* test_arena.c - the arena, slabs and the chunk cache, by themselves */
#include "internal.h"

enum { NODE = 48 }; /* items of the slab that comes with an arena */

static Arena arena;

static PoolStatus alloc_blocks(size_t count, Block **blocks)
{
    PoolStatus status;
    lock_acquire(&arena.lock);
    status = arena_alloc(&arena, count, blocks);
    lock_release(&arena.lock);
    CHECK((*blocks != NULL) == (status == POOL_OK && count > 0));
    return status;
}

static void free_blocks(Block *blocks)
{
    lock_acquire(&arena.lock);
    arena_free(&arena, blocks, NULL);
    lock_release(&arena.lock);
}

/* Ends the arena with nothing left of it. */
static void close_arena(void)
{
    CHECK_EQ_SIZE(arena.held, 0);
    arena_close(&arena);
    check_nothing_live();
}

static size_t list_length(const Block *blocks)
{
    size_t count = 0;
    for (; blocks != NULL; blocks = blocks->as.next)
        count++;
    return count;
}

/* Uses a block as every caller must: clears it if it is dirty, then writes to it. */
static void use_block(Block *block, size_t size, int byte)
{
    if (!block_is_dirty(block))
        CHECK_BYTES(block->data, 0, size);
    memset(block->data, byte, size);
    block->from |= BLOCK_DIRTY;
}

TEST(blocks_do_not_overlap)
{
    static const size_t sizes[] = {1, 2, 16, 64, 4096, 65536, (size_t)1 << 23};
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        size_t count = sizes[i] <= 4096 ? 3000 : 7;
        Block *blocks = NULL, *block;
        arena_init(&arena, sizes[i], NODE, SIZE_MAX);
        CHECK_EQ_INT((int)alloc_blocks(count, &blocks), POOL_OK);
        CHECK_EQ_SIZE(list_length(blocks), count);
        CHECK_EQ_SIZE(arena.held, count * sizes[i]);
        CHECK_EQ_SIZE(arena.peak, count * sizes[i]);
        CHECK_LE_SIZE(count * sizes[i], arena.mapped);

        /* Aligned to their size, up to a page; each keeps what was put into it. */
        size_t alignment = sizes[i] < 4096 ? sizes[i] : 4096, n = 0;
        for (block = blocks; block != NULL; block = block->as.next) {
            CHECK_EQ_SIZE((size_t)((uintptr_t)block->data % alignment), 0);
            use_block(block, sizes[i], (int)(n++ % 251));
        }
        n = 0;
        for (block = blocks; block != NULL; block = block->as.next)
            CHECK_BYTES(block->data, n++ % 251, sizes[i]);
        free_blocks(blocks);
        close_arena();
    }
}

/* The words of blocks lead to their data and to their headers, and all but the first chunk
 * of blocks that are neither small nor large have both in their pages. */
static size_t check_words(const Block *blocks)
{
    size_t direct = 0;
    for (; blocks != NULL; blocks = blocks->as.next) {
        Word word = block_word(blocks);
        CHECK(word_block(word) == blocks);
        CHECK(word_block(word | WORD_SOLE) == blocks);
        CHECK(word_data(word) == blocks->data);
        CHECK(word_data_optimistic(word | WORD_SOLE) == blocks->data);
        direct += (word & WORD_HEADER) == 0;
    }
    return direct;
}

TEST(headers_are_found_by_arithmetic)
{
    CHECK(word_block(0) == NULL);
    for (size_t size = 1; size <= (size_t)1 << 21; size *= 2) {
        size_t count = size <= 4096 ? 5000 : ((size_t)64 << 20) / size;
        Block *blocks = NULL, *run = NULL;
        arena_init(&arena, size, NODE, SIZE_MAX);
        CHECK_EQ_INT((int)alloc_blocks(count, &blocks), POOL_OK);
        size_t direct = check_words(blocks);
        if (size < WORD_DATA_MIN || size > (size_t)1 << 19)
            CHECK_EQ_SIZE(direct, 0);
        else
            CHECK_LE_SIZE(count / 2, direct);
        lock_acquire(&arena.lock);
        CHECK_EQ_INT((int)arena_alloc_run(&arena, 3, 0, &run), POOL_OK);
        for (size_t i = 0; i < 3; i++) {
            run[i].as.next = i < 2 ? &run[i + 1] : NULL;
            CHECK(block_word(&run[i]) == ((Word)&run[i] | WORD_HEADER));
        }
        lock_release(&arena.lock);
        CHECK_EQ_SIZE(check_words(run), 0);
        free_blocks(run);
        free_blocks(blocks);
        close_arena();
    }
}

TEST(limit_is_all_or_nothing)
{
    Block *some = NULL, *more = NULL;
    arena_init(&arena, 1024, NODE, 10 * 1024 + 1023);
    CHECK_EQ_INT((int)alloc_blocks(11, &more), POOL_LIMIT);
    CHECK(more == NULL);
    CHECK_EQ_SIZE(arena.held, 0);
    CHECK_EQ_INT((int)alloc_blocks(6, &some), POOL_OK);
    CHECK_EQ_INT((int)alloc_blocks(5, &more), POOL_LIMIT);
    CHECK_EQ_INT((int)alloc_blocks(SIZE_MAX, &more), POOL_LIMIT);
    CHECK_EQ_SIZE(arena.held, 6 * 1024);
    CHECK_EQ_SIZE(arena.peak, 6 * 1024);
    CHECK_EQ_INT((int)alloc_blocks(4, &more), POOL_OK);
    free_blocks(some);
    free_blocks(more);
    CHECK_EQ_SIZE(arena.peak, 10 * 1024);
    close_arena();
}

TEST(more_than_can_be_counted)
{
    Block *blocks = NULL;
    arena_init(&arena, 1024, NODE, SIZE_MAX);
    CHECK_EQ_INT((int)alloc_blocks(SIZE_MAX / 2, &blocks), POOL_NO_MEMORY);
    CHECK(blocks == NULL);
    close_arena();
}

TEST(every_failure_frees_everything)
{
    enum { COUNT = 2000, SIZE = 1024 };
    for (size_t n = 1, failed = 1; failed; n++) {
        Block *held = NULL, *blocks = NULL;
        arena_init(&arena, SIZE, NODE, SIZE_MAX);
        CHECK_EQ_INT((int)alloc_blocks(10, &held), POOL_OK);
        fault_in = n;
        PoolStatus status = alloc_blocks(COUNT, &blocks);
        failed = fault_in == 0;
        fault_in = 0;
        CHECK_EQ_INT((int)status, failed ? POOL_NO_MEMORY : POOL_OK);
        CHECK_EQ_SIZE(arena.held, (failed ? 10 : 10 + COUNT) * SIZE);
        CHECK_EQ_SIZE(arena.peak, arena.held);
        CHECK_LE_SIZE(failed ? 1 : 6, n); /* several chunks, of an allocation each */
        free_blocks(blocks);
        free_blocks(held);
        close_arena();
    }
}

/* Freed blocks are reused before fresh ones, and are marked as dirty. */
TEST(freed_blocks_are_dirty)
{
    enum { COUNT = 32, SIZE = 2048 }; /* fills the first chunk */
    Block *blocks = NULL, *again = NULL;
    arena_init(&arena, SIZE, NODE, SIZE_MAX);
    CHECK_EQ_INT((int)alloc_blocks(COUNT, &blocks), POOL_OK);
    size_t mapped = arena.mapped;
    for (Block *block = blocks; block != NULL; block = block->as.next) {
        CHECK(!block_is_dirty(block));
        use_block(block, SIZE, 0xdd);
    }
    free_blocks(blocks);
    CHECK_EQ_INT((int)alloc_blocks(COUNT, &again), POOL_OK);
    CHECK_EQ_SIZE(arena.mapped, mapped);
    for (Block *block = again; block != NULL; block = block->as.next)
        CHECK(block_is_dirty(block));
    free_blocks(again);
    close_arena();
}

/* A chunk goes from family to family through the chunk cache; the part of it that was
 * never used is still known to be zeros, and the part that was is known to be dirty. */
TEST(chunk_cache_knows_what_is_dirty)
{
    enum { SIZE = 4096, IN_CHUNK = 65536 / SIZE };
    for (size_t used = 1; used <= IN_CHUNK; used++) {
        Block *blocks = NULL;
        size_t clean = 0;
        check_nothing_live();
        arena_init(&arena, SIZE, NODE, SIZE_MAX);
        CHECK_EQ_INT((int)alloc_blocks(used, &blocks), POOL_OK);
        for (Block *block = blocks; block != NULL; block = block->as.next)
            use_block(block, SIZE, 0xdd);
        free_blocks(blocks);
        CHECK_EQ_SIZE(chunk_cache_bytes(), 65536); /* empty, and counted already */
        arena_close(&arena);
        CHECK_EQ_SIZE(chunk_cache_bytes(), 65536);

        size_t before = allocations;
        arena_init(&arena, SIZE, NODE, SIZE_MAX);
        CHECK_EQ_INT((int)alloc_blocks(IN_CHUNK, &blocks), POOL_OK);
        CHECK_EQ_SIZE(allocations, before + 1); /* a header, and no pages */
        CHECK_EQ_SIZE(chunk_cache_bytes(), 0);
        for (Block *block = blocks; block != NULL; block = block->as.next) {
            clean += !block_is_dirty(block);
            use_block(block, SIZE, 0xee);
        }
        CHECK_EQ_SIZE(clean, IN_CHUNK - used);
        free_blocks(blocks);
        close_arena();
    }
}

/* Chunks that have their headers in their own pages, of which the next family makes such
 * chunks and others. Of these it uses more than was used before. */
TEST(chunk_cache_knows_what_is_dirty_after_headers)
{
    enum { SIZE = 4096 };
    for (size_t count = 60; count <= 90; count += 15) {
        Block *blocks = NULL;
        arena_init(&arena, SIZE, NODE, SIZE_MAX);
        CHECK_EQ_INT((int)alloc_blocks(count, &blocks), POOL_OK);
        CHECK(arena.newest->aligned != 0 || platform_page_size() > SIZE);
        for (const Chunk *chunk = arena.newest; chunk != NULL; chunk = chunk->older) {
            CHECK_LE_SIZE(chunk->dirty_end, chunk->size);
            CHECK_LE_SIZE(chunk->warm_end, chunk->size);
        }
        for (Block *block = blocks; block != NULL; block = block->as.next)
            use_block(block, SIZE, 0xee);
        free_blocks(blocks);
        arena_close(&arena);
    }
    (void)pool_trim();
    check_nothing_live();
}

/* Blocks of one chunk each whose pages were decommitted: they are zeros, or marked as
 * dirty if the system does not promise zeros. */
static void check_reset(size_t count)
{
    Block *blocks = NULL;
    size_t before = allocations;
    CHECK_EQ_INT((int)alloc_blocks(count, &blocks), POOL_OK);
    CHECK_EQ_SIZE(allocations, before); /* the addresses are those that there were */
    for (Block *block = blocks; block != NULL; block = block->as.next) {
#if !defined(_WIN32)
        CHECK(!block_is_dirty(block));
#endif
        use_block(block, 65536, 0xdd);
    }
    free_blocks(blocks);
}

static size_t blocks_free(void)
{
    size_t count = 0;
    for (const Chunk *chunk = arena.newest; chunk != NULL; chunk = chunk->older)
        count += chunk->count - chunk->used;
    return count;
}

TEST(trim_takes_empty_chunks)
{
    enum { COUNT = 40, SIZE = 65536 };
    Block *kept = NULL, *gone = NULL;
    arena_init(&arena, SIZE, NODE, SIZE_MAX);
    CHECK_EQ_INT((int)alloc_blocks(1, &kept), POOL_OK);
    memset(kept->data, 0x11, SIZE);
    CHECK_EQ_INT((int)alloc_blocks(COUNT, &gone), POOL_OK);
    for (Block *block = gone; block != NULL; block = block->as.next)
        use_block(block, SIZE, 0xdd);
    free_blocks(gone);
    size_t empty = chunk_cache_bytes();
    CHECK_LE_SIZE(COUNT / 2 * SIZE, empty);
    CHECK_EQ_SIZE(arena_trim(&arena), empty);
    CHECK_EQ_SIZE(chunk_cache_bytes(), 0);
    CHECK_EQ_SIZE(arena_trim(&arena), 0);
    CHECK_BYTES(kept->data, 0x11, SIZE);
    check_reset(blocks_free());
    free_blocks(kept);
    close_arena();
}

/* In a chunk that is partly used, and then full again. */
TEST(trim_takes_whole_pages_of_free_blocks)
{
    enum { COUNT = 4 + 3 + 7 }; /* fill three chunks */
    Block *blocks = NULL, *some = NULL, *rest = NULL;
    size_t page = platform_page_size(), size = 4 * page;
    arena_init(&arena, size, NODE, SIZE_MAX);
    CHECK_EQ_INT((int)alloc_blocks(COUNT, &blocks), POOL_OK);
    for (size_t i = 0; blocks != NULL; i++) {
        Block *next = blocks->as.next, **list = i % 4 == 0 ? &some : &rest;
        use_block(blocks, size, (int)i);
        blocks->as.next = *list;
        *list = blocks;
        blocks = next;
    }
    size_t count = list_length(rest), before = allocations, free_bytes = count * size;
    free_blocks(rest);
    CHECK_LE_SIZE(free_bytes - free_bytes / 4, chunk_cache_bytes());
    CHECK_LE_SIZE(chunk_cache_bytes(), free_bytes);
    CHECK_EQ_SIZE(arena_trim(&arena), free_bytes);
    CHECK_EQ_SIZE(arena_trim(&arena), 0);
    CHECK_EQ_SIZE(chunk_cache_bytes(), 0);
    for (Block *block = some; block != NULL; block = block->as.next)
        CHECK_BYTES(block->data, block->data[0], size);
    CHECK_EQ_INT((int)alloc_blocks(count, &rest), POOL_OK);
    CHECK_EQ_SIZE(allocations, before);
    for (Block *block = rest; block != NULL; block = block->as.next) {
#if !defined(_WIN32)
        CHECK(!block_is_dirty(block));
#endif
        use_block(block, size, 0xdd);
    }
    free_blocks(rest);
    free_blocks(some);
    close_arena();
}

TEST(chunk_cache_is_bounded)
{
    check_nothing_live();
    CHECK(chunk_cache_reserve(0)); /* has it find out its bound */
    size_t bound = chunk_cache.bound;
    CHECK_LE_SIZE(1, bound);
    CHECK_LE_SIZE(bound, CHUNK_CACHE_MAX);
    CHECK(!chunk_cache_reserve(SIZE_MAX));
    CHECK(!chunk_cache_reserve(bound + 1));
    CHECK(chunk_cache_reserve(bound));
    CHECK(!chunk_cache_reserve(1));
    CHECK_EQ_SIZE(chunk_cache_bytes(), bound);

    /* If nothing may be cached, the pages of an empty chunk are decommitted at once. */
    Block *block = NULL;
    arena_init(&arena, 65536, NODE, SIZE_MAX);
    CHECK_EQ_INT((int)alloc_blocks(1, &block), POOL_OK);
    use_block(block, 65536, 0xdd);
    free_blocks(block);
    check_reset(1);
    CHECK_EQ_SIZE(chunk_cache_bytes(), bound);
    chunk_cache_unreserve(bound);
    close_arena();
}

/* Takes, gives and trims at random; the arena's account must be ours. */
static void random_takes_and_gives_of(size_t size, size_t most, unsigned times)
{
    enum { LISTS = 50 };
    static Block *lists[LISTS];
    TestRandom random = {test_seed};
    size_t held = 0, peak = 0;
    arena_init(&arena, size, NODE, 17 * most * size);
    for (unsigned i = 0; i < test_times(times); i++) {
        Block **list = &lists[test_below(&random, LISTS)];
        if (test_below(&random, 20) == 0) {
            (void)arena_trim(&arena);
            CHECK_EQ_SIZE(chunk_cache_bytes(), 0);
        } else if (*list != NULL) {
            size_t count = list_length(*list);
            int byte = (*list)->data[0];
            for (Block *block = *list; block != NULL; block = block->as.next)
                CHECK_BYTES(block->data, byte, size);
            free_blocks(*list);
            *list = NULL;
            held -= count * size;
        } else {
            size_t count = test_below(&random, most) + 1;
            PoolStatus status = alloc_blocks(count, list);
            CHECK_EQ_INT((int)status,
                         held + count * size <= arena.limit ? POOL_OK : POOL_LIMIT);
            held += status == POOL_OK ? count * size : 0;
            int byte = (int)test_below(&random, 256);
            for (Block *block = *list; block != NULL; block = block->as.next)
                use_block(block, size, byte);
        }
        CHECK_LE_SIZE(chunk_cache_bytes(), chunk_cache.bound);
        peak = held > peak ? held : peak;
        CHECK_EQ_SIZE(arena.held, held);
        CHECK_EQ_SIZE(arena.peak, peak);
    }
    for (size_t i = 0; i < LISTS; i++) {
        free_blocks(lists[i]);
        lists[i] = NULL;
    }
    close_arena();
}

/* So many blocks of 16 bytes that headers are decommitted as well; with a small and with
 * a large chunk cache. */
TEST(random_allocs_and_frees)
{
    random_takes_and_gives_of(512, 120, 20000);
    CHECK(chunk_cache_reserve(0));
    for (unsigned little = 0; little < 2; little++) {
        chunk_cache.bound = little ? 1 << 18 : 1 << 26;
        random_takes_and_gives_of(16, 3000, 2000);
        random_takes_and_gives_of(1024, 500, 2000);
        random_takes_and_gives_of(65536, 20, 2000);
    }
    chunk_cache.bound = 0;
}

/* ----------------------------------------------------------------------- slab */

TEST(slab_items_are_used_again)
{
    enum { COUNT = 5000 };
    static unsigned char *items[COUNT];
    Slab slab = {.item_size = NODE};
    for (size_t i = 0; i < COUNT; i++) {
        items[i] = slab_alloc(&slab);
        CHECK(items[i] != NULL && (uintptr_t)items[i] % sizeof(void *) == 0);
        memset(items[i], (int)(i % 251), NODE);
    }
    for (size_t i = 0; i < COUNT; i++)
        CHECK_BYTES(items[i], i % 251, NODE);
    CHECK_EQ_SIZE(slab_used(&slab), COUNT);
    for (size_t i = 0; i < COUNT; i += 2)
        slab_free(&slab, items[i]);
    size_t before = allocations, bytes = slab.bytes;
    for (size_t i = 0; i < COUNT; i += 2)
        memset(items[i] = slab_alloc(&slab), (int)(i % 251), NODE);
    CHECK_EQ_SIZE(allocations, before);
    CHECK_EQ_SIZE(slab.bytes, bytes);
    for (size_t i = 0; i < COUNT; i++)
        CHECK_BYTES(items[i], i % 251, NODE);
    slab_close(&slab); /* also frees allocated items */
    check_nothing_live();
}

/* Trimmed again and again: what is in use stays what it is, and no item is lost. */
TEST(slab_decommits_pages)
{
    enum { COUNT = 20000, SIZE = 272 };
    static unsigned char *items[COUNT];
    static unsigned char bytes[COUNT];
    TestRandom random = {test_seed};
    Slab slab = {.item_size = SIZE};
    size_t most = 0, used = 0;
    for (unsigned i = 0; i < test_times(40) || i < 2; i++) {
        size_t first = test_below(&random, COUNT), end = first + COUNT / 2;
        bool gives = i % 2 == 1;
        for (size_t at = i == 0 ? 0 : first; at < (i == 0 ? COUNT : end); at++) {
            size_t n = at % COUNT;
            if (items[n] == NULL) {
                bytes[n] = (unsigned char)test_below(&random, 251);
                memset(items[n] = slab_alloc(&slab), bytes[n], SIZE);
                used++;
            } else if (gives && test_below(&random, 200) != 0) {
                CHECK_BYTES(items[n], bytes[n], SIZE);
                slab_free(&slab, items[n]);
                items[n] = NULL;
                used--;
            }
        }
        most = slab.bytes > most ? slab.bytes : most;
        size_t before = slab.bytes, given = slab_trim(&slab);
        CHECK_EQ_SIZE(slab.bytes, before - given);
        CHECK_EQ_SIZE(slab_trim(&slab), 0);
        CHECK_EQ_SIZE(slab_used(&slab), used);
        CHECK_LE_SIZE(used, slab_items(&slab));
    }
    for (size_t n = 0; n < COUNT; n++) {
        if (items[n] != NULL) {
            CHECK_BYTES(items[n], bytes[n], SIZE);
            slab_free(&slab, items[n]);
        }
    }
    CHECK_LE_SIZE(slab.bytes, most);
    (void)slab_trim(&slab);
    CHECK_EQ_SIZE(slab_used(&slab), 0);
    CHECK_LE_SIZE(slab.bytes, most / 4); /* first pages, and pieces that are no pages */
    slab_close(&slab);
    check_nothing_live();
}

TEST(slab_without_memory)
{
    Slab slab = {.item_size = NODE};
    fault_in = 1;
    CHECK(slab_alloc(&slab) == NULL);
    CHECK_EQ_SIZE(slab.bytes, 0);
    CHECK(slab_alloc(&slab) != NULL);
    slab_close(&slab);
    check_nothing_live();
}

/* If the system has no memory for bookkeeping, cached chunks are released. */
TEST(cached_chunks_are_released_for_bookkeeping)
{
#if defined(TEST_ASAN) || defined(TEST_TSAN)
    test_skip("the sanitizers end a program that asks for so much");
#else
    volatile size_t too_much = SIZE_MAX - 4096;
    void *volatile memory; /* a compiler may leave out an allocation that nobody uses */
    MemoryPool *pool = pool_create(65536, 4096);
    CHECK_EQ_INT((int)pool_fill(pool, 0, 1, 65536), POOL_OK);
    pool_destroy(pool);
    CHECK_LE_SIZE(65536, chunk_cache_bytes());
    memory = memory_alloc(too_much);
    CHECK(memory == NULL);
    CHECK_EQ_SIZE(chunk_cache_bytes(), 0);
    check_nothing_live();
#endif
}

static const TestCase cases[] = {
    TEST_CASE(blocks_do_not_overlap),
    TEST_CASE(headers_are_found_by_arithmetic),
    TEST_CASE(limit_is_all_or_nothing),
    TEST_CASE(more_than_can_be_counted),
    TEST_CASE(every_failure_frees_everything),
    TEST_CASE(freed_blocks_are_dirty),
    TEST_CASE(chunk_cache_knows_what_is_dirty),
    TEST_CASE(chunk_cache_knows_what_is_dirty_after_headers),
    TEST_CASE(trim_takes_empty_chunks),
    TEST_CASE(trim_takes_whole_pages_of_free_blocks),
    TEST_CASE(chunk_cache_is_bounded),
    TEST_CASE(random_allocs_and_frees),
    TEST_CASE(slab_items_are_used_again),
    TEST_CASE(slab_decommits_pages),
    TEST_CASE(slab_without_memory),
    TEST_CASE(cached_chunks_are_released_for_bookkeeping),
};
TEST_MAIN(cases)
