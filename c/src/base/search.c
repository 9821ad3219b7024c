/* SPDX-License-Identifier: MIT */
/*
 * search.c - where some bytes are in memory
 *
 * The search looks with memchr for a byte of the pattern that is likely to be rare, and
 * compares the pattern where that byte is. If there are too many places where the pattern
 * is not, the rest is searched in a way that takes linear time whatever the bytes are: by
 * memmem in glibc, musl and FreeBSD (at once if all bytes of the pattern are the same). On
 * macOS memmem is not linear, and Windows has none; there, and in builds with
 * POOL_NO_MEMMEM, it is the two-way algorithm (M. Crochemore and D. Perrin, Two-way
 * string-matching, JACM 38, 1991), which takes no memory and compares each byte at most
 * twice.
 */
#include "base.h"

/* glibc says whether it has declared memmem; of the others features.h requests it. */
#if !defined(POOL_NO_MEMMEM) && (defined(__USE_GNU) || defined(__FreeBSD__) ||           \
                                 (defined(__linux__) && !defined(__GLIBC__)))
#  define search_rest memmem
#  define SEARCH_IS_MEMMEM 1
#else
#  define search_rest search_two_way
#  define SEARCH_IS_MEMMEM 0

/* Returns where the greatest suffix of a pattern begins, in the order of the bytes, or in
 * the reverse order; *period gets the period of that suffix. */
static size_t pattern_suffix(const unsigned char *pattern, size_t size, bool reverse,
                             size_t *period)
{
    /* The greatest so far begins at start, the one that is compared with it at start + 1
     * or later; the first offset bytes of the two are equal. */
    size_t start = 0, other = 1, offset = 0;
    *period = 1;
    while (other + offset < size) {
        unsigned char a = pattern[start + offset], b = pattern[other + offset];
        if (a == b) {
            offset++;
            if (offset == *period) {
                other += offset;
                offset = 0;
            }
        } else if (reverse ? b > a : b < a) {
            other += offset + 1;
            offset = 0;
            *period = other - start;
        } else {
            start = other++;
            offset = 0;
            *period = 1;
        }
    }
    return start;
}

/* Searches by the two-way algorithm: the right part of the pattern is compared forwards,
 * then the left part backwards. A difference in the right part moves the pattern behind
 * it; one in the left part, by the period. */
static const void *search_two_way(const unsigned char *data, size_t size,
                                  const unsigned char *pattern, size_t length)
{
    size_t period, reverse_period, known = 0, at = 0;
    size_t middle = pattern_suffix(pattern, length, false, &period);
    size_t reverse_middle = pattern_suffix(pattern, length, true, &reverse_period);
    bool repeats;
    if (reverse_middle > middle) {
        middle = reverse_middle;
        period = reverse_period;
    }
    /* Whether the period is that of the whole pattern: then what matched before a move is
     * known to match after it. If not, the period is long. */
    repeats = memcmp(pattern, pattern + period, middle) == 0;
    if (!repeats) {
        period = checked_max(middle, length - middle) + 1;
    }
    while (size - at >= length) {
        size_t i = checked_max(middle, known);
        while (i < length && pattern[i] == data[at + i]) {
            i++;
        }
        if (i < length) {
            at += i - middle + 1;
            known = 0;
            continue;
        }
        i = middle;
        while (i > known && pattern[i - 1] == data[at + i - 1]) {
            i--;
        }
        if (i <= known) {
            return data + at;
        }
        at += checked_min(period, size - at);
        known = repeats ? length - period : 0;
    }
    return NULL;
}

#endif

/* Returns the index of a byte of the pattern that is likely to be rare: of the first ones
 * one that is neither 0 nor 0xff. */
static size_t pattern_rare(const unsigned char *pattern, size_t length)
{
    enum { FIRST = 64 };
    size_t i, end = checked_min(length, FIRST);
    for (i = 0; i < end; i++) {
        if (pattern[i] != 0 && pattern[i] != 0xff) {
            return i;
        }
    }
    return 0;
}

/* Whether the other search takes steps as long as the pattern, so that it is the quicker
 * one from the start: if all bytes are the same, for memmem. */
static bool search_takes_steps(const unsigned char *pattern, size_t length)
{
    enum { SHORT = 16 };
    return SEARCH_IS_MEMMEM && length >= SHORT &&
           memcmp(pattern, pattern + 1, length - 1) == 0;
}

/* Returns the first place of a pattern in size bytes of data, or NULL. The pattern has 1
 * byte or more, and no more than there is data. */
static const unsigned char *memory_search(const unsigned char *data, size_t size,
                                          const unsigned char *pattern, size_t length)
{
    /* A place that memchr finds takes as long as so many bytes of the other search; some
     * are allowed wherever they are. */
    enum { COST = 32, ALLOWED = 1024 };
    size_t rare = pattern_rare(pattern, length), at = 0, work = 0, equal;
    if (search_takes_steps(pattern, length)) {
        return (const unsigned char *)search_rest(data, size, pattern, length);
    }
    while (size - at >= length) {
        const unsigned char *hit = (const unsigned char *)memchr(
            data + at + rare, pattern[rare], size - at - length + 1);
        if (hit == NULL) {
            return NULL;
        }
        at = (size_t)(hit - data) - rare;
        equal = data_equal(data + at, pattern, length);
        if (equal == length) {
            return data + at;
        }
        at++;
        work += COST + equal;
        if (work > at + ALLOWED) {
            return (const unsigned char *)search_rest(data + at, size - at, pattern,
                                                      length);
        }
    }
    return NULL;
}
