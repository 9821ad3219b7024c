/* SPDX-License-Identifier: MIT */
/*
 * handles.c - with POOL_DEBUG: is this a pool, and who made it?
 *
 * A pool begins with a HANDLE: a magic number, which is overwritten at the end, the copy of
 * the library that made it, and the places where it was made and ended. Each public
 * function checks the pools that it is given (HANDLE_CHECK), and ends the process with a
 * message if one is dead, of another copy of the library, or no pool. A view gets a RECORD,
 * which begins in the same way. It stands in for the block in the caller's PoolView, so
 * that a copy of this struct is known when it is released once more.
 *
 * What has ended is not freed at once, but put into a QUARANTINE of the last few hundred:
 * else its memory would soon be something else. AddressSanitizer has a quarantine of its
 * own, and reports with the stacks of the call and of the free; so there is none then.
 *
 * A build without POOL_DEBUG has nothing of this but a pool_place that does nothing: the
 * macros in pool.h are empty.
 */
#include "pool.h"

#if defined(POOL_DEBUG)

#  include <inttypes.h>
#  include <stdio.h>

/* How many handles are kept after their end; tests that count what is allocated keep
 * none. */
#  if !defined(POOL_QUARANTINE)
#    if defined(POOL_ADDRESS_SANITIZER)
#      define POOL_QUARANTINE 0
#    else
#      define POOL_QUARANTINE 256
#    endif
#  endif

/* The line that this thread's next calls are to be known by; see pool_place. */
static POOL_THREAD_LOCAL struct CallerLine {
    const char *file;
    size_t line;
} caller_line;

/* ------------------------------------------------------------------- messages */

static void place_print(const char *what, const Place *place)
{
    if (place->file != NULL) {
        fprintf(stderr, "    %s at %s:%" PRIu64 "\n", what, place->file,
                (uint64_t)place->line);
    } else if (place->address != NULL) {
        fprintf(stderr, "    %s at address %p\n", what, place->address);
    }
}

/* Says what is wrong with what a function was given, and ends the process. */
static void handle_fail(const char *function, const void *address, const char *wrong,
                        const Handle *handle)
{
    fprintf(stderr, "memory_pool: %s: %p is %s\n", function, address, wrong);
    if (handle != NULL) {
        place_print("made", &handle->made);
        place_print("ended", &handle->ended);
    }
    fflush(stderr);
    abort();
}

/* -------------------------------------------------------------------- handles */

/* Where the present call was made, with the address to which it returns. */
static Place place_here(const void *address)
{
    Place place = {caller_line.file, caller_line.line, address};
    return place;
}

/* Begins a handle that is all zeros. */
static void handle_begin(Handle *handle, size_t magic)
{
    handle->magic = magic;
    handle->library = &registry;
}

/* Notes who made it. Locks: the registry. */
static void handle_made(Handle *handle, const void *address)
{
    lock_acquire(&registry.lock);
    handle->made = place_here(address);
    lock_release(&registry.lock);
}

static void handle_end(Handle *handle, const void *address)
{
    handle->magic = HANDLE_DEAD;
    handle->ended = place_here(address);
}

static NOT_INLINE void handle_fail_pool(const char *function, const MemoryPool *pool)
{
    const Handle *handle = &pool->handle;
    if ((uintptr_t)pool % CACHE_LINE != 0) {
        handle_fail(function, pool, "not a pool", NULL);
    } else if (handle->magic == HANDLE_POOL) {
        handle_fail(function, pool, "a foreign pool: another copy of the library made it",
                    handle);
    } else if (handle->magic == HANDLE_DEAD) {
        handle_fail(function, pool, "a dead pool: its last reference was dropped",
                    handle);
    }
    handle_fail(function, pool, "not a pool", NULL);
}

/* Ends the process if a pool is none; NULL is for the function to refuse. Context: the
 * caller of the library owns a reference, so that the pool does not end meanwhile. */
static inline void handle_check(const MemoryPool *pool, const char *function)
{
    if (pool != NULL &&
        ((uintptr_t)pool % CACHE_LINE != 0 || pool->handle.magic != HANDLE_POOL ||
         pool->handle.library != &registry)) {
        handle_fail_pool(function, pool);
    }
}

/* Frees the memory of a handle that has ended, later. Locks: the registry. */
static void quarantine_put(void *memory)
{
#  if POOL_QUARANTINE > 0
    static void *ring[POOL_QUARANTINE];
    static size_t next;
    void *oldest;
    lock_acquire(&registry.lock);
    oldest = ring[next];
    ring[next] = memory;
    next = (next + 1) % POOL_QUARANTINE;
    lock_release(&registry.lock);
    memory = oldest;
#  endif
    platform_free(memory);
}

/* ---------------------------------------------------------------------- views */

static const ViewRecord *link_view(const HiddenLink *link)
{
    return link == NULL ? NULL
                        : (const ViewRecord *)((const unsigned char *)link -
                                               offsetof(ViewRecord, link));
}

/* The records of all views and pins that were not released: the oldest one, and the next
 * one or NULL. Context: the caller holds the registry's lock. */
static const ViewRecord *registry_first_view(void)
{
    return link_view(hidden_oldest(&registry.views));
}

static const ViewRecord *view_next(const ViewRecord *record)
{
    return link_view(hidden_younger(&record->link));
}

/* Notes who made a view or pin, if that succeeded. Returns the status. Locks: the
 * registry. */
static PoolStatus view_made(PoolStatus status, const MemoryPool *pool, PoolView *view,
                            const void *address)
{
    ViewRecord *record;
    if (status != POOL_OK) {
        return status;
    }
    record = (ViewRecord *)platform_alloc(sizeof *record);
    if (record == NULL) {
        handle_fail("pool_view", pool, "a pool, but there is no memory to note its views",
                    NULL);
    }
    memset(record, 0, sizeof *record);
    handle_begin(&record->handle, HANDLE_VIEW);
    record->block = view->block;
    record->family = view->family;
    record->data = hidden_from(view->data);
    record->size = view->size;
    record->is_pin = view->pin != NULL;
    view->block = record;
    lock_acquire(&registry.lock);
    record->handle.made = place_here(address);
    hidden_add(&registry.views, &record->link);
    lock_release(&registry.lock);
    return POOL_OK;
}

/* Ends the process if a view that seems not to be released is none, or a copy of one that
 * was. Else restores what it had before view_made. Locks: the registry. */
static void view_end(PoolView *view, const void *address)
{
    ViewRecord *record = (ViewRecord *)view->block;
    if (record == NULL || (uintptr_t)record % sizeof(void *) != 0) {
        handle_fail("pool_view_release", view, "not a view", NULL);
    } else if (record->handle.magic == HANDLE_DEAD) {
        handle_fail("pool_view_release", view,
                    "a copy of a view that was released: each is released once",
                    &record->handle);
    } else if (record->handle.magic != HANDLE_VIEW) {
        handle_fail("pool_view_release", view, "not a view", NULL);
    } else if (record->handle.library != &registry) {
        handle_fail("pool_view_release", view,
                    "a foreign view: another copy of the library made it",
                    &record->handle);
    }
    view->block = record->block;
    handle_end(&record->handle, address);
    lock_acquire(&registry.lock);
    hidden_remove(&registry.views, &record->link);
    lock_release(&registry.lock);
    quarantine_put(record);
}

void pool_place(const char *file, size_t line)
{
    caller_line.file = line == 0 ? NULL : file;
    caller_line.line = line;
}

#else

void pool_place(const char *file, size_t line)
{
    (void)file;
    (void)line;
}

#endif
