/* SPDX-License-Identifier: MIT */
/*
 * report.c - who holds what: all families and pools and, with POOL_DEBUG, views and pins
 *
 * The report is collected first, with the registry locked, so that nothing in it ends
 * meanwhile; then the callback is called without a lock. What is about to end (it has
 * no reference any more) is left out.
 */
#include "pool.h"

#include <inttypes.h>
#include <stdio.h>

static PoolReport report_of(PoolReportKind kind, const void *handle, const void *family)
{
    PoolReport report;
    memset(&report, 0, sizeof report);
    report.struct_size = sizeof report;
    report.kind = (size_t)kind;
    report.handle = handle;
    report.family = family;
    return report;
}

/* ------------------------------------------------- what debug builds know besides */

#if defined(POOL_DEBUG)

#  define REPORT_PLACE(report, pool) report_place(report, &(pool)->handle.made)

static void report_place(PoolReport *report, const Place *made)
{
    report->file = made->file;
    report->line = made->line;
    report->address = made->address;
}

/* Reports on views and pins, or only counts them if reports is NULL; returns how many.
 * Context: the caller holds the registry's lock. */
static size_t report_views(PoolReport *reports)
{
    const ViewRecord *view;
    size_t count = 0;
    for (view = registry_first_view(); view != NULL; view = view_next(view), count++) {
        if (reports != NULL) {
            PoolReport *report = &reports[count];
            *report = report_of(view->is_pin ? POOL_REPORT_PIN : POOL_REPORT_VIEW,
                                hidden_pointer(view->data), view->family);
            report->references = 1;
            report->size = view->size;
            report_place(report, &view->handle.made);
        }
    }
    return count;
}

static void report_print_place(const PoolReport *report)
{
    if (report->file != NULL) {
        fprintf(stderr, ", made at %s:%" PRIu64, report->file, (uint64_t)report->line);
    } else if (report->address != NULL) {
        fprintf(stderr, ", made at address %p", report->address);
    }
}

#else

#  define REPORT_PLACE(report, pool) ((void)0)

static size_t report_views(const PoolReport *reports)
{
    (void)reports;
    return 0;
}

static void report_print_place(const PoolReport *report)
{
    (void)report;
}

#endif

/* ------------------------------------------------------------------- collecting */

/* Locks: the arena. */
static PoolReport report_family(Family *family)
{
    PoolReport report = report_of(POOL_REPORT_FAMILY, family, family);
    report.references = size_load_relaxed(&family->refs);
    lock_acquire(&family->arena.lock);
    report.held_bytes = family->arena.held;
    report.views = size_load_relaxed(&family->views);
    lock_release(&family->arena.lock);
    return report;
}

/* Returns how many pins of a pool callers have. Context: the pool is locked exclusively, so
 * that no other call is a user of one. Locks: the arena. */
static size_t pool_count_pins(const MemoryPool *pool)
{
    const Pin *pin;
    size_t count = 0;
    lock_acquire(&pool->family->arena.lock);
    for (pin = pool->pins; pin != NULL; pin = pin->next) {
        count += pin->users;
    }
    lock_release(&pool->family->arena.lock);
    return count;
}

/* Locks: the pool exclusively; inside it the arena. */
static PoolReport report_pool(MemoryPool *pool)
{
    PoolReport report = report_of(POOL_REPORT_POOL, pool, pool->family);
    Guard guard = pool_lock_exclusive(&pool->locks);
    size_t blocks = tree_blocks(&pool->tree);
    report.references = size_load_acquire(&pool->refs);
    report.size = pool_total(pool);
    report.held_bytes = pool_bytes(pool, blocks);
    report.shared_bytes = pool_bytes(pool, blocks - tree_private_blocks(&pool->tree));
    report.views = size_load_relaxed(&pool->family->views);
    report.pins = pool_count_pins(pool);
    pool_unlock(&pool->locks, guard);
    REPORT_PLACE(&report, pool);
    return report;
}

/* How many reports there will be at most. Context of this and the next one: the caller
 * holds the registry's lock. */
static size_t reports_count(void)
{
    size_t count = report_views(NULL);
    Family *family;
    for (family = registry_first_family(); family != NULL; family = family_next(family)) {
        count += 1 + size_load_relaxed(&family->pools);
    }
    return count;
}

/* Collects them; returns how many. Locks: pools exclusively, one at a time; arenas. */
static size_t reports_collect(PoolReport *reports)
{
    size_t count = 0;
    Family *family;
    MemoryPool *pool;
    POOL_ASSERT(lock_is_held(&registry.lock));
    for (family = registry_first_family(); family != NULL; family = family_next(family)) {
        reports[count] = report_family(family);
        count += reports[count].references > 0;
    }
    for (pool = registry_first_pool(); pool != NULL; pool = pool_next(pool)) {
        reports[count] = report_pool(pool);
        count += reports[count].references > 0;
    }
    return count + report_views(reports + count);
}

/* --------------------------------------------------------------------- printing */

/* The callback that prints a line of stderr. */
static void report_print(const PoolReport *report, void *nothing)
{
    static const char *const kinds[] = {"family", "pool", "view", "pin"};
    (void)nothing;
    fprintf(stderr, "%s %p", kinds[report->kind], report->handle);
    if (report->kind != POOL_REPORT_FAMILY) {
        fprintf(stderr, " of family %p, %" PRIu64 " bytes", report->family,
                (uint64_t)report->size);
    }
    if (report->kind == POOL_REPORT_POOL) {
        fprintf(stderr, ", %" PRIu64 " shared, %" PRIu64 " pins",
                (uint64_t)report->shared_bytes, (uint64_t)report->pins);
    } else if (report->kind == POOL_REPORT_FAMILY) {
        fprintf(stderr, ", %" PRIu64 " views and pins", (uint64_t)report->views);
    }
    if (report->kind <= POOL_REPORT_POOL) {
        fprintf(stderr, ", %" PRIu64 " held, %" PRIu64 " references",
                (uint64_t)report->held_bytes, (uint64_t)report->references);
    }
    report_print_place(report);
    fputc('\n', stderr);
}

/* -------------------------------------------------------------------- functions */

/* Locks: the registry; inside it each pool exclusively, and in that its arena. */
PoolStatus pool_report(void (*callback)(const PoolReport *report, void *context),
                       void *context)
{
    PoolReport *reports;
    PoolStatus status = POOL_NO_MEMORY;
    size_t count = 0, i;
    lock_acquire(&registry.lock);
    reports = (PoolReport *)memory_alloc((reports_count() + 1) * sizeof *reports);
    if (reports != NULL) { /* one more, so that there is some even without a pool */
        status = POOL_OK;
        count = reports_collect(reports);
    }
    lock_release(&registry.lock);
    for (i = 0; i < count; i++) {
        (callback != NULL ? callback : report_print)(&reports[i], context);
    }
    platform_free(reports);
    return status_set(status);
}
