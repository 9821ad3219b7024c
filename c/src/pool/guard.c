/* SPDX-License-Identifier: MIT */
/*
 * guard.c - what AddressSanitizer and valgrind see of views and pins
 *
 * Where such a tool checks what memory is touched (poison.h), each view and pin has a GUARD
 * from malloc, to which nothing but the caller's PoolView points: of a view a copy of its
 * bytes, which is what the caller gets, of a pin a byte. So the tool knows where a view
 * ends and until when it is valid, that it or a pin was released twice, or never, and
 * which call made it. Guards are not among the allocations that tests make fail.
 */
#include "pool.h"

#if defined(POOL_POISON)

/* Where the guard of a view or pin is; NULL if it has none. */
static void **view_guard_place(PoolView *view)
{
    void **place = view->pin != NULL ? &view->block : &view->data;
    bool guarded = view->pin != NULL || view->size <= POISON_MAX;
    return poison_is_checked() && guarded ? place : NULL;
}

/* Gives a view or pin its guard, after the call with that status that made it. If there is
 * no memory for it, releases the view and makes it what it was before the call. Context:
 * no locks; the bytes of a view stay what they are. */
static PoolStatus view_guard(PoolView *view, const PoolView *before, PoolStatus status)
{
    void **place = status == POOL_OK ? view_guard_place(view) : NULL;
    size_t size = status == POOL_OK && view->pin == NULL ? view->size : 1;
    void *guard = place == NULL ? NULL : platform_alloc(size);
    if (place != NULL && guard == NULL) {
        view_drop(view);
        *view = *before;
        return POOL_NO_MEMORY;
    }
    if (place != NULL) {
        memcpy(guard, view->data, size);
        *place = guard;
    }
    return status;
}

/* Frees it; before the view is released, so that the tool reports a second time. */
static void view_unguard(PoolView *view)
{
    void **place = view_guard_place(view);
    if (place != NULL) {
        if (view->pin == NULL && ((Family *)view->family)->arena.wipes) {
            memset(*place, 0, view->size);
        }
        platform_free(*place);
    }
}

#else

static PoolStatus view_guard(PoolView *view, const PoolView *before, PoolStatus status)
{
    (void)view;
    (void)before;
    return status;
}

static void view_unguard(PoolView *view)
{
    (void)view;
}

#endif
