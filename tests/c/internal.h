/* SPDX-License-Identifier: MIT */
/*
 * internal.h - the library's insides, with an eye on its memory
 *
 * Includes memory_pool.c, so that its static functions can be called, with the system's
 * allocation calls wrapped: live memory is counted, and a chosen allocation fails. To be
 * included first. Counting is for one thread; tests with several use it for the insides
 * only.
 */
#ifndef INTERNAL_H
#define INTERNAL_H

#if !defined(_WIN32) && !defined(_DEFAULT_SOURCE)
#  define _DEFAULT_SOURCE 1
#endif
#include <stdlib.h>
#if defined(_WIN32)
#  define WIN32_LEAN_AND_MEAN
#  include <windows.h>
#else
#  include <sched.h> /* declares free, in musl */
#  include <sys/mman.h>
#endif

static size_t live_allocs, live_maps; /* what the library has from the system; of maps
                                       * the bytes, or on Windows how many     */
static size_t allocations;            /* that the library has requested, ever */
static size_t fault_in;               /* 1: the next one fails; 0: none does  */

static int internal_fault(void)
{
    allocations++;
    return fault_in != 0 && --fault_in == 0;
}

static void *count_up(void *memory, const void *failed, size_t *live)
{
    *live += memory != failed;
    return memory;
}

#if !defined(_WIN32)
static void *count_map(void *pages, const void *failed, size_t size)
{
    live_maps += pages != failed ? size : 0;
    return pages;
}
#endif

static void *count_down(void *memory, size_t *live)
{
    *live -= memory != NULL;
    return memory;
}

/* Inside its own definition a macro's name is not expanded again. Mapping over pages that
 * are there already gives no new ones. */
#define POOL_FAULT() internal_fault()
#define POOL_QUARANTINE 0
#define malloc(size) count_up(malloc(size), NULL, &live_allocs)
#define free(memory) free(count_down(memory, &live_allocs))
#if defined(_WIN32)
#  define VirtualAlloc(at, size, type, protection)                                       \
      count_up(VirtualAlloc(at, size, type, protection),                                 \
               ((type) & MEM_RESERVE) != 0 ? NULL : (at), &live_maps)
#  define VirtualFree(memory, size, type)                                                \
      VirtualFree(count_down(memory, &live_maps), size, type)
#else
#  define mmap(at, size, protection, flags, file, offset)                                \
      count_map(mmap(at, size, protection, flags, file, offset),                         \
                (at) == NULL ? MAP_FAILED : (at), size)
#  define munmap(memory, size) (live_maps -= (size), munmap(memory, size))
#endif

#include "memory_pool.c"

#undef malloc
#undef free
#if defined(_WIN32)
#  undef VirtualAlloc
#  undef VirtualFree
#else
#  undef mmap
#  undef munmap
#endif

#include "test.h"

/* Checks that all memory was freed, after the cached memory was released. */
static inline void check_nothing_live(void)
{
    (void)chunk_cache_trim();
    CHECK_EQ_SIZE(live_allocs, 0);
    CHECK_EQ_SIZE(live_maps, 0);
    CHECK_EQ_SIZE(chunk_cache_bytes(), 0);
}

/* Returns how many items of a slab are allocated. */
static inline size_t slab_used(const Slab *slab)
{
    size_t items = 0;
    for (const SlabPiece *piece = slab->pieces; piece != NULL; piece = piece->next)
        for (size_t i = 0; i < piece->row.count; i++)
            items += !row_is_decommitted(&piece->row, i);
    for (void *item = slab->free; item != NULL; item = *(void **)item)
        items--;
    return items;
}

#endif /* INTERNAL_H */
