/* SPDX-License-Identifier: MIT */
/*
 * poison.h - what the library reports to AddressSanitizer, LeakSanitizer and valgrind
 *
 * These tools know what malloc returned. Blocks are parts of large chunks, so the library
 * tells them which bytes nobody may touch (POISONED):
 *
 *     chunk   | block | free block | block | never allocated |
 *                       ^^^^^^^^^^^^         ^^^^^^^^^^^^^^^^^
 *     run     | redzone | block | block | block | redzone |      one pin has all of it
 *               ^^^^^^^                      ^^^^^^^^^^^^
 *                                            from the pool's end on, if it is in there
 *     view    its bytes, copied into memory from malloc          see guard.c
 *
 * In a build for AddressSanitizer a tool always checks. One with POOL_VALGRIND asks at run
 * time, so that it behaves as any other build outside of valgrind. In all other builds
 * everything here is empty.
 *
 * Poisoned memory must be lifted before it is unmapped: who maps the same addresses next
 * knows nothing of it.
 */
#ifndef POOL_POISON_H
#define POOL_POISON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "features.h"

#if defined(POOL_ADDRESS_SANITIZER)
#  include <sanitizer/asan_interface.h>
#  include <sanitizer/lsan_interface.h>
#elif defined(POOL_VALGRIND)
#  include <valgrind/memcheck.h>
#endif

/* Bytes of a redzone, and the largest chunk or view that is poisoned or copied: the tools note
 * the state of each byte, which takes time and memory. */
#define POISON_REDZONE ((size_t)65536)
#define POISON_MAX ((size_t)64 << 20)

/* Whether a tool checks what memory is touched. */
static inline bool poison_is_checked(void)
{
#if defined(POOL_ADDRESS_SANITIZER)
    return true;
#elif defined(POOL_VALGRIND)
    return RUNNING_ON_VALGRIND != 0;
#else
    return false;
#endif
}

/* From now on, touching these bytes is an error. */
static inline void poison_set(const void *memory, size_t size)
{
#if defined(POOL_ADDRESS_SANITIZER)
    __asan_poison_memory_region(memory, size);
#elif defined(POOL_VALGRIND)
    (void)VALGRIND_MAKE_MEM_NOACCESS(memory, size);
#else
    (void)memory;
    (void)size;
#endif
}

/* Ends that. */
static inline void poison_lift(const void *memory, size_t size)
{
#if defined(POOL_ADDRESS_SANITIZER)
    __asan_unpoison_memory_region(memory, size);
#elif defined(POOL_VALGRIND)
    (void)VALGRIND_MAKE_MEM_DEFINED(memory, size);
#else
    (void)memory;
    (void)size;
#endif
}

/* These pages have pointers to memory from malloc, which is no leak. LeakSanitizer does not
 * look for pointers in pages by itself, as valgrind does. */
static inline void poison_add_pointers(const void *pages, size_t size)
{
#if defined(POOL_ADDRESS_SANITIZER)
    __lsan_register_root_region(pages, size);
#else
    (void)pages;
    (void)size;
#endif
}

/* Ends that; before they are unmapped. */
static inline void poison_drop_pointers(const void *pages, size_t size)
{
#if defined(POOL_ADDRESS_SANITIZER)
    __lsan_unregister_root_region(pages, size);
#else
    (void)pages;
    (void)size;
#endif
}

/* This is what a caller keeps, inside of a larger piece from malloc. valgrind would call it
 * "possibly lost" all the time, because nobody has the address of the whole piece. */
static inline void poison_begin_handle(const void *handle, size_t size)
{
#if defined(POOL_VALGRIND) && !defined(POOL_ADDRESS_SANITIZER)
    VALGRIND_MALLOCLIKE_BLOCK(handle, size, 0, 0);
#else
    (void)handle;
    (void)size;
#endif
}

/* Ends that; before the piece is freed. */
static inline void poison_end_handle(const void *handle)
{
#if defined(POOL_VALGRIND) && !defined(POOL_ADDRESS_SANITIZER)
    VALGRIND_FREELIKE_BLOCK(handle, 0);
#else
    (void)handle;
#endif
}

#endif /* POOL_POISON_H */
