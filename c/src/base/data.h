/* SPDX-License-Identifier: MIT */
/*
 * data.h - comparing and clearing bytes that others may be writing to
 */
#ifndef POOL_DATA_H
#define POOL_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "features.h"

/* Between these two, ThreadSanitizer takes no note of what this thread reads. For reads
 * of pinned blocks to which their user may write meanwhile (pool_pin in memory_pool.h):
 * what they miss is found the next time (dirty.c). */
#if defined(POOL_THREAD_SANITIZER)
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
#  define DATA_RACE_BEGIN() AnnotateIgnoreReadsBegin(__FILE__, __LINE__)
#  define DATA_RACE_END() AnnotateIgnoreReadsEnd(__FILE__, __LINE__)
#else
#  define DATA_RACE_BEGIN() ((void)0)
#  define DATA_RACE_END() ((void)0)
#endif

/* The bits in which two words differ. */
static inline uint64_t data_xor(const unsigned char *a, const unsigned char *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x ^ y;
}

/* Returns how many bytes are equal before the first that differs. */
static inline size_t data_equal(const unsigned char *data, const unsigned char *other,
                                size_t size)
{
    enum { WORD = 8 };
    size_t at = 0;
    while (size - at >= WORD && data_xor(data + at, other + at) == 0) {
        at += WORD;
    }
    while (at < size && data[at] == other[at]) {
        at++;
    }
    return at;
}

/* Whether size bytes differ from those of a copy (NULL: zeros).
 *
 * Each word is read once. memcmp reads a byte again that it found different; where
 * another thread writes to it meanwhile, it may call two ranges equal that were so at no
 * time, and what differs elsewhere in them goes unseen.
 *
 * The words are named one by one: of a loop over them compilers make one that stores
 * them first, which takes twice as long where the data is in the cache. */
static inline bool data_differs(const unsigned char *data, const unsigned char *copy,
                                size_t size)
{
    enum { PART = 64 };
    static const unsigned char zeros[PART] = {0};
    size_t step = copy == NULL ? 0 : (size_t)PART;
    copy = copy == NULL ? zeros : copy;
    for (; size >= PART; size -= PART, data += PART, copy += step) {
        uint64_t differs = data_xor(data, copy);
        differs |= data_xor(data + 8, copy + 8);
        differs |= data_xor(data + 16, copy + 16);
        differs |= data_xor(data + 24, copy + 24);
        differs |= data_xor(data + 32, copy + 32);
        differs |= data_xor(data + 40, copy + 40);
        differs |= data_xor(data + 48, copy + 48);
        differs |= data_xor(data + 56, copy + 56);
        if (differs != 0) {
            return true;
        }
    }
    for (; size > 0; size--) {
        if (*data++ != *copy++) {
            return true;
        }
    }
    return false;
}

/* Sets size bytes to zero, without touching pages of which nobody has written a byte. */
static inline void data_clear(unsigned char *data, size_t size)
{
    enum { PART = 4096 };
    size_t at;
    for (at = 0; at < size; at += PART) {
        size_t part = size - at < PART ? size - at : PART;
        if (data_differs(data + at, NULL, part)) {
            memset(data + at, 0, part);
        }
    }
}

#endif /* POOL_DATA_H */
