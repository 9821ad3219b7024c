/* SPDX-License-Identifier: MIT */
/*
 * wrong.h - small programs that use a pool wrongly, and what a tool must say of them
 *
 * Each program says in its first comment what it does. The lines `asan:` and `valgrind:`
 * there have what the report of the tool must match ("silent": there is none), and all lines
 * that end with WRONG must be in it, by file and number. checks/wrong.cmake runs them.
 */
#ifndef WRONG_H
#define WRONG_H

#include "memory_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 4096, TOTAL = 16 * BLOCK };

/* A pool of which the first half is written to. */
static inline MemoryPool *filled_pool(void)
{
    MemoryPool *pool = pool_create(TOTAL, BLOCK);
    (void)pool_fill(pool, 0, 1, TOTAL / 2);
    return pool;
}

static inline PoolView view_of(MemoryPool *pool, size_t offset, size_t size)
{
    PoolView view = {sizeof view, NULL, 0, NULL, NULL, NULL, 0};
    if (pool_view(pool, offset, size, &view) != POOL_OK) {
        abort();
    }
    return view;
}

static inline PoolView pin_of(MemoryPool *pool, size_t offset, size_t size)
{
    PoolView pin = {sizeof pin, NULL, 0, NULL, NULL, NULL, 0};
    if (pool_pin(pool, offset, size, &pin) != POOL_OK) {
        abort();
    }
    return pin;
}

/* Overwrites what earlier calls have left on the stack, where a leak checker would look for
 * pointers. Not instrumented: its frame would have parts that are not the array's. */
#if defined(__GNUC__)
__attribute__((no_sanitize("address")))
#endif
static inline void forget(void)
{
    volatile char stack[65536];
    for (size_t i = 0; i < sizeof stack; i++)
        stack[i] = 0;
}

/* Uses a byte, so that no compiler leaves it out. */
static inline void use(const volatile unsigned char *byte)
{
    (void)*byte;
}

#endif /* WRONG_H */
