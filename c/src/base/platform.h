/* SPDX-License-Identifier: MIT */
/*
 * platform.h - everything the library asks of the operating system
 *
 * platform_posix.c and platform_win32.c implement this; exactly one of them is compiled
 * in. Which pages were written to is a service of its own, written.h; nothing else
 * mentions a system.
 */
#ifndef POOL_PLATFORM_H
#define POOL_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h> /* tells which C library it is */

/* Called before a large request; tests replace it. */
#ifndef POOL_AVAILABLE
#  define POOL_AVAILABLE() platform_available()
#endif

/* Read at each acquisition of a lock; tests replace it. */
#ifndef POOL_SINGLE_THREADED
#  define POOL_SINGLE_THREADED() platform_single_threaded()
#endif

/* Asked before every allocation. */
#ifndef POOL_FAULT
#  define POOL_FAULT() fault_due()
#endif

#if defined(_MSC_VER)
#  define POOL_THREAD_LOCAL __declspec(thread)
#elif defined(__GLIBC__) && defined(__GNUC__) && defined(__PIC__)
/* Saves the call of __tls_get_addr in each function; a few bytes fit in what glibc keeps
 * free for libraries that are loaded late. musl keeps nothing, and would not load it. */
#  define POOL_THREAD_LOCAL __attribute__((tls_model("initial-exec"))) _Thread_local
#else
#  define POOL_THREAD_LOCAL _Thread_local
#endif

/* Small memory for bookkeeping, not cleared; NULL if there is none. */
static void *platform_alloc(size_t size);
static void platform_free(void *memory);

/* Closes a file descriptor, or a handle on Windows. */
static void platform_close(intptr_t descriptor);

/* Returns the size of the system's pages, the unit in which memory is returned to it: a
 * power of two, 4096 or more and PLATFORM_MAP_MIN at most. */
static size_t platform_page_size(void);

/* Pages that read as zeros; NULL if there are none. size is a power of two and at least
 * PLATFORM_MAP_MIN; they are aligned to it, or to PLATFORM_ALIGNED_MAX if that is less.
 * Memory is committed here and nowhere later. */
enum {
    PLATFORM_MAP_MIN = 65536,
    PLATFORM_ALIGNED_MAX = 4 << 20,
    PLATFORM_HUGE_SIZE = 2 << 20
};
typedef enum PlatformUse {
    PLATFORM_DENSE,  /* every page will be written to                             */
    PLATFORM_HUGE,   /* the same, of PLATFORM_HUGE_SIZE or more, for platform_huge */
    PLATFORM_SPARSE, /* touching a byte must not make more than its page resident */
    PLATFORM_ZEROS,  /* read-only; reading must not take memory for long          */
    PLATFORM_TRACKED /* not for platform_map: what written_map returns            */
} PlatformUse;
static void *platform_map(size_t size, PlatformUse use);
static void platform_unmap(void *pages, size_t size);

/* Tells that all of these pages, of which none was touched yet, are about to be written
 * to: where the system can, it makes them resident in one go. Only a hint. */
static void platform_populate(void *pages, size_t size);

/* Whether the system may use huge pages for pages that were mapped as PLATFORM_HUGE, from
 * now on: what is resident stays as it is. Only a hint; Windows does nothing. */
static void platform_huge(void *pages, size_t size, bool huge);

/* Gives the memory of pages back to the system but leaves them mapped, so that reading
 * one never faults. Whether they read as zeros from now on; if not, anything may be in
 * them. */
static bool platform_reset(void *pages, size_t size);

/* Bytes of memory that the machine has, or its container; SIZE_MAX if the system does not
 * say. */
static size_t platform_memory(void);

/* Bytes of memory that the process could have now, of the machine and of its container,
 * what is swapped out or freed for it included; SIZE_MAX if the system does not say. */
static size_t platform_available(void);

/* Whether the process has this one thread for certain, so that nobody sees its memory
 * between two instructions; false if it has more, or the system does not say. It may
 * change when this thread starts another one, and never otherwise from true to false. */
static bool platform_single_threaded(void);

/* Lets another thread run. */
static void platform_yield(void);

/* Sleeps for about so many microseconds; returns how many, at most, it asked of a system
 * that has no such short sleep. */
static unsigned platform_nap(unsigned microseconds);

/* Has prepare called before a fork, and parent and child after it. False if that cannot
 * be arranged. Systems without fork do nothing and say true. */
static bool platform_at_fork(void (*prepare)(void), void (*parent)(void),
                             void (*child)(void));

#endif /* POOL_PLATFORM_H */
