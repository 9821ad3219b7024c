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

/* Whether size bytes differ from those of a copy (NULL: zeros).
 *
 * Each word is read once. memcmp reads a byte again that it found different; where
 * another thread writes to it meanwhile, it may call two ranges equal that were so at no
 * time, and what differs elsewhere in them goes unseen. */
static inline bool data_differs(const unsigned char *data, const unsigned char *copy,
                                size_t size)
{
    size_t at = 0;
    for (; size - at >= 64; at += 64) {
        uint64_t a[8], b[8] = {0}, differs = 0;
        unsigned k;
        memcpy(a, data + at, sizeof a);
        if (copy != NULL) {
            memcpy(b, copy + at, sizeof b);
        }
        for (k = 0; k < 8; k++) {
            differs |= a[k] ^ b[k];
        }
        if (differs != 0) {
            return true;
        }
    }
    for (; at < size; at++) {
        if (data[at] != (copy == NULL ? 0 : copy[at])) {
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
