/* SPDX-License-Identifier: MIT */
/*
 * content.c - D3, D4: pools compared to the byte, and searched, beside flat memory
 *
 * D3: two relatives of which all blocks were written to, with the same bytes, so that all
 * of them are compared; its reference is memcmp of as much. D4: a pattern that is nowhere
 * in the pool; its reference is memmem. What is held is random bytes, as the pattern is; or
 * the pattern's are all the same, so that memmem takes steps as long as the pattern.
 */
#include "bench.h"

enum { BLOCK = 4096 };

typedef struct Content {
    MemoryPool *pool, *base;
    unsigned char *flat, *other;
    size_t size, pattern_size;
    unsigned char pattern[1024];
} Content;

static void random_fill(unsigned char *to, size_t size, uint64_t seed)
{
    uint64_t state = RANDOM_SEED * seed;
    for (size_t at = 0; at < size; at += sizeof state) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(to + at, &state, sizeof state);
    }
}

/* scattered: no block follows another one in memory. */
static Content content_make(size_t size, bool scattered)
{
    Content it = {.size = size,
                  .pool = pool_create(size, BLOCK),
                  .flat = malloc(size),
                  .other = malloc(size)};
    bench_require(it.pool != NULL && it.flat != NULL && it.other != NULL, "memory");
    random_fill(it.flat, size, 1);
    memcpy(it.other, it.flat, size);
    for (size_t i = 0; i < size / BLOCK; i++) {
        size_t at = (scattered ? size / BLOCK - 1 - i : i) * BLOCK;
        bench_require(pool_write(it.pool, at, it.flat + at, BLOCK) == BLOCK, "writing");
    }
    it.base = pool_clone(it.pool);
    bench_require(it.base != NULL, "pool_clone");
    bench_require(pool_write(it.base, 0, it.flat, size) == size, "writing");
    return it;
}

static void content_end(Content *it)
{
    pool_destroy(it->pool);
    pool_destroy(it->base);
    free(it->flat);
    free(it->other);
}

static double time_difference(const void *context)
{
    const Content *it = context;
    size_t start, size;
    double begin = bench_now();
    int found = pool_next_difference(it->pool, it->base, 0, SIZE_MAX, &start, &size);
    begin = bench_now() - begin;
    bench_require(found == 0, "comparing");
    return begin / 1e6;
}

static double time_memcmp(const void *context)
{
    const Content *it = context;
    double begin = bench_now();
    keep(it->flat);
    int different = memcmp(it->flat, it->other, it->size);
    begin = bench_now() - begin;
    bench_require(different == 0, "memcmp");
    return begin / 1e6;
}

static double time_find(const void *context)
{
    const Content *it = context;
    size_t found;
    double begin = bench_now();
    int result = pool_find(it->pool, it->pattern, it->pattern_size, 0, SIZE_MAX, &found);
    begin = bench_now() - begin;
    bench_require(result == 0, "searching");
    return begin / 1e6;
}

static double time_memmem(const void *context)
{
    const Content *it = context;
    double begin = bench_now();
    keep(it->flat);
    const void *found = memmem(it->flat, it->size, it->pattern, it->pattern_size);
    begin = bench_now() - begin;
    bench_require(found == NULL, "memmem");
    return begin / 1e6;
}

static size_t content_size(void)
{
    return bench_options.quick ? 16 * MIB : 256 * MIB;
}

void row_difference(void)
{
    Content dense = content_make(content_size(), false);
    Content scattered = content_make(content_size(), true);
    Case it = {.row = "D3", .unit = "ms"};
    snprintf(it.title, sizeof it.title, "%s in blocks of 4 KiB, all changed, compared",
             bench_size(dense.size));
    case_add(&it, "memcmp", time_memcmp, &dense);
    case_add(&it, "pool_next_difference", time_difference, &dense);
    case_add(&it, "the same, scattered blocks", time_difference, &scattered);
    case_at_most(&it, EVERY, 1.3, 0);
    bench_run(&it);
    content_end(&dense);
    content_end(&scattered);
}

static void pattern_make(Content *it, size_t size, bool uniform)
{
    it->pattern_size = size;
    random_fill(it->pattern, sizeof it->pattern, 7);
    if (uniform) {
        memset(it->pattern, it->pattern[0], size);
    }
}

void row_find(void)
{
    static const struct {
        size_t size;
        bool uniform;
    } patterns[] = {{4, false}, {32, false}, {1024, false}, {32, true}, {1024, true}};
    Content dense = content_make(content_size(), false);
    Content scattered = content_make(content_size(), true);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        Case it = {.row = "D4", .unit = "ms"};
        pattern_make(&dense, patterns[i].size, patterns[i].uniform);
        pattern_make(&scattered, patterns[i].size, patterns[i].uniform);
        snprintf(it.title, sizeof it.title, "%zu %s bytes looked for in %s",
                 patterns[i].size, patterns[i].uniform ? "equal" : "random",
                 bench_size(dense.size));
        case_add(&it, "memmem", time_memmem, &dense);
        case_add(&it, "pool_find", time_find, &dense);
        case_add(&it, "the same, scattered blocks", time_find, &scattered);
        case_at_most(&it, 1, 1.1, 0);
        bench_run(&it);
    }
    content_end(&dense);
    content_end(&scattered);
}
