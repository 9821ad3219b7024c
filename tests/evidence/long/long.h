/* SPDX-License-Identifier: MIT */
/* long.h - what the programs here share: arguments, time, and resident memory */
#ifndef LONG_H
#define LONG_H

#if !defined(_DEFAULT_SOURCE)
#  define _DEFAULT_SOURCE 1
#endif
#include "test.h"

#include <time.h>
#include <unistd.h>

/* The number-th argument as a number; other if there is none. 1e8 is one as well. */
static inline uint64_t long_argument(int argc, char **argv, int number, uint64_t other)
{
    return argc > number ? (uint64_t)strtod(argv[number], NULL) : other;
}

static inline double long_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Bytes of this process that are in memory now; Linux only. */
static inline size_t long_resident(void)
{
    size_t size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL);
    CHECK_EQ_INT(fscanf(file, "%zu %zu", &size, &resident), 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Resident memory did not grow but for what chance makes of it. */
static inline void long_check_steady(size_t before, size_t after)
{
#if defined(TEST_ASAN) || defined(TEST_TSAN)
    (void)before, (void)after;
    test_skip("a sanitizer keeps what was freed, so resident memory says nothing");
#else
    CHECK_LE_SIZE(after, before + before / 10 + ((size_t)1 << 20));
#endif
}

#endif /* LONG_H */
