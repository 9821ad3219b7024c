/* SPDX-License-Identifier: MIT */
/*
 * compare.c - where two pools differ, to the byte
 *
 * Both calls clone the two pools in one step and compare the clones, without a lock.
 * Where the pools are relatives, what their trees share is skipped, however large. The
 * rest is compared segment by segment (segment.c), as far as both are in one piece: data
 * with data, or with the zeros of a hole. Two holes are equal at once, and so is data at
 * one address.
 */
#include "pool.h"

/* --------------------------------------------------------------------- memory */

/* Returns the index of the first byte in which data differs from other data (NULL:
 * zeros), or size. */
static size_t data_find_difference(const unsigned char *data, const unsigned char *other,
                                   size_t size)
{
    enum { PART = 4096 };
    static const unsigned char zeros[PART] = {0};
    size_t step = other == NULL ? 0 : (size_t)PART, at;
    other = other == NULL ? zeros : other;
    for (at = 0; at < size; at += PART, other += step) {
        size_t part = checked_min(size - at, PART);
        if (memcmp(data + at, other, part) != 0) {
            return at + data_equal(data + at, other, part);
        }
    }
    return size;
}

/* Whether one of the 8 bytes of a word is 0: if none is, the subtraction borrows nowhere,
 * so that it sets no highest bit that was clear. */
static inline bool word_has_zero(uint64_t word)
{
    return ((word - UINT64_C(0x0101010101010101)) & ~word &
            UINT64_C(0x8080808080808080)) != 0;
}

/* Returns the index of the first byte in which data is equal to other data (NULL: zeros),
 * or size. */
static size_t data_find_equal(const unsigned char *data, const unsigned char *other,
                              size_t size)
{
    enum { WORD = 8 };
    size_t at = 0;
    if (other == NULL) {
        const unsigned char *zero = (const unsigned char *)memchr(data, 0, size);
        return zero == NULL ? size : (size_t)(zero - data);
    }
    while (size - at >= WORD && !word_has_zero(data_xor(data + at, other + at))) {
        at += WORD;
    }
    while (at < size && data[at] != other[at]) {
        at++;
    }
    return at;
}

/* ---------------------------------------------------------------------- pools */

/* Two pools that are compared. */
typedef struct Comparison {
    Segment a, b;
    bool relatives;
} Comparison;

/* Bytes that are compared at once, if so many follow each other. */
enum { COMPARED = 16384 };

/* Moves both sides to an offset; returns for how many bytes each is in one piece. Sets
 * *data to the one that is no hole, if there is one, and *other to the other. */
static size_t comparison_move(Comparison *pair, size_t at, const unsigned char **data,
                              const unsigned char **other)
{
    Segment *a = &pair->a, *b = &pair->b;
    segment_move(a, at);
    segment_move(b, at);
    *data = a->data != NULL ? a->data : b->data;
    *other = a->data != NULL ? b->data : NULL;
    return checked_min(a->end, b->end) - at;
}

/* Returns the first offset from at to end in different blocks, of different leaves or
 * nodes, of two relatives; or end. */
static size_t comparison_skip(const Comparison *pair, size_t at, size_t end)
{
    const MemoryPool *a = pair->a.pool, *b = pair->b.pool;
    TreeRun run = {0, false, true, 0, 0, 0};
    if (!pair->relatives || at >= end) {
        return at;
    }
    run.last = pool_index(a, end - 1);
    if (!tree_find_run(&a->tree, &b->tree, pool_index(a, at), &run)) {
        return end;
    }
    return checked_max(at, run.first << a->block_shift);
}

/* Returns the first offset from at to end whose bytes differ, or end. */
static size_t comparison_find_difference(Comparison *pair, size_t at, size_t end)
{
    const unsigned char *data, *other;
    at = comparison_skip(pair, at, end);
    while (at < end) {
        size_t size = comparison_move(pair, at, &data, &other), equal;
        if (data == other) {
            at = comparison_skip(pair, at + size, end);
            continue;
        }
        equal = data_find_difference(data, other, size);
        at += equal;
        if (equal < size) {
            break;
        }
    }
    return at;
}

/* Returns the first offset from at to end whose bytes are equal, or end. */
static size_t comparison_find_equal(Comparison *pair, size_t at, size_t end)
{
    const unsigned char *data, *other;
    while (at < end) {
        size_t size = comparison_move(pair, at, &data, &other), different;
        different = data == other ? 0 : data_find_equal(data, other, size);
        at += different;
        if (different < size) {
            break;
        }
    }
    return at;
}

/* Finds the first run of bytes in [offset, end) that differ. What only the larger pool
 * has differs from all. No other thread may know the pools. */
static bool pools_find_difference(const MemoryPool *pool, const MemoryPool *base,
                                  size_t offset, size_t end, size_t *start, size_t *size)
{
    size_t common = checked_min(pool_total(pool), pool_total(base)), first, last;
    Comparison pair;
    end = checked_min(end, checked_max(pool_total(pool), pool_total(base)));
    common = checked_min(common, end);
    if (offset >= end) {
        return false;
    }
    pair.a = segments_of(pool, common, COMPARED);
    pair.b = segments_of(base, common, COMPARED);
    pair.relatives = pool->family == base->family;
    first = comparison_find_difference(&pair, offset, common);
    if (first == end) {
        return false;
    }
    last = comparison_find_equal(&pair, first, common);
    *start = first;
    *size = (last < common ? last : end) - first;
    return true;
}

/* Clones two pools and finds their first difference; if whole, only if they have equal
 * sizes: if not, all of them differs. Locks: as pools_clone. */
static int difference_find(MemoryPool *pool, MemoryPool *base, bool whole, size_t offset,
                           size_t end, size_t *start, size_t *size)
{
    MemoryPool *pools[2], *clones[2];
    PoolStatus status;
    bool found;
    if (pool == NULL || base == NULL || start == NULL || size == NULL) {
        (void)status_set(POOL_INVALID);
        return -1;
    }
    (void)status_set(POOL_OK);
    if (pool == base || offset >= end) {
        return 0;
    }
    interpreter_unlock();
    pools[0] = pool;
    pools[1] = base;
    status = pools_clone(pools, 2, clones);
    if (status_set(status) != POOL_OK) {
        return -1;
    }
    found = (whole && pool_total(clones[0]) != pool_total(clones[1])) ||
            pools_find_difference(clones[0], clones[1], offset, end, start, size);
    pool_destroy(clones[0]);
    pool_destroy(clones[1]);
    return found;
}

/* Locks: as pools_clone. */
int pool_next_difference(MemoryPool *pool, MemoryPool *base, size_t offset, size_t end,
                         size_t *start, size_t *size)
{
    HANDLE_CHECK(pool);
    HANDLE_CHECK(base);
    return difference_find(pool, base, false, offset, end, start, size);
}

/* Locks: as pools_clone. */
int pool_same(MemoryPool *pool, MemoryPool *other)
{
    HANDLE_CHECK(pool);
    HANDLE_CHECK(other);
    size_t start, size;
    int found = difference_find(pool, other, true, 0, SIZE_MAX, &start, &size);
    return found < 0 ? found : !found;
}
