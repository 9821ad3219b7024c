/* SPDX-License-Identifier: MIT */
/*
 * checked.h - arithmetic of sizes and ranges that cannot overflow
 */
#ifndef POOL_CHECKED_H
#define POOL_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SIZE_BITS = sizeof(size_t) * 8 };

/* Returns how many of size bytes at offset lie below total. */
static inline size_t checked_clip(size_t total, size_t offset, size_t size)
{
    if (offset >= total) {
        return 0;
    }
    return size < total - offset ? size : total - offset;
}

/* Whether [offset, offset + size) lies in [0, total). */
static inline bool checked_fits(size_t total, size_t offset, size_t size)
{
    return offset <= total && size <= total - offset;
}

/* Returns value >> bits; bits may be as many as the type has, or more. */
static inline size_t checked_shift_right(size_t value, unsigned bits)
{
    return bits < SIZE_BITS ? value >> bits : 0;
}

static inline size_t checked_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Return a + b and a * b, or SIZE_MAX if that is more (saturating). */
static inline size_t checked_plus(size_t a, size_t b)
{
    return b > SIZE_MAX - a ? SIZE_MAX : a + b;
}

static inline size_t checked_times(size_t a, size_t b)
{
    return b != 0 && a > SIZE_MAX / b ? SIZE_MAX : a * b;
}

static inline size_t checked_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Returns the largest n with 2^n <= value; value is 1 or more. */
static inline unsigned checked_log2_floor(size_t value)
{
    unsigned bits = 0;
    while (value >>= 1) {
        bits++;
    }
    return bits;
}

/* Returns the smallest n with 2^n >= value; value is 1 or more. */
static inline unsigned checked_log2_ceil(size_t value)
{
    return value == 1 ? 0 : checked_log2_floor(value - 1) + 1;
}

#endif /* POOL_CHECKED_H */
