/* SPDX-License-Identifier: MIT */
/*
 * written_win32.c - written.h on Windows: write watch
 *
 * Pages must be mapped for it, and are watched from then on. There is no fork.
 */
#include "base.h"

#ifndef WIN32_LEAN_AND_MEAN
#  define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>

static inline PoolTracking written_service(void)
{
    return written_is_allowed("watch") ? POOL_TRACKING_WRITE_WATCH
                                       : POOL_TRACKING_COMPARE;
}

static inline void *written_map(size_t size)
{
    DWORD how = MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH;
    void *pages = NULL;
    if (written_service() == POOL_TRACKING_WRITE_WATCH) {
        pages = VirtualAlloc(NULL, size, how, PAGE_READWRITE);
    }
    return pages != NULL ? pages : platform_map(size, PLATFORM_SPARSE);
}

static inline void written_unmap(void *pages, size_t size)
{
    platform_unmap(pages, size);
}

/* Fails for pages that were mapped otherwise. */
static inline bool written_protect(void *pages, size_t size)
{
    return written_service() == POOL_TRACKING_WRITE_WATCH &&
           ResetWriteWatch(pages, size) == 0;
}

static inline bool written_watch(void *pages, size_t size)
{
    return written_protect(pages, size);
}

static inline void written_unwatch(void *pages, size_t size)
{
    (void)pages;
    (void)size;
}

/* Adds a page to ranges, of which there are so many; returns how many there are then. */
static size_t written_add(WrittenRange *ranges, size_t count, unsigned char *page,
                          size_t page_size)
{
    if (count == 0 || ranges[count - 1].end != page) {
        ranges[count++].start = page;
    }
    ranges[count - 1].end = page + page_size;
    return count;
}

/* The system lists pages, and protects those that it lists. So each call requests no
 * more than there is certainly room for, each in a range of its own. */
static inline bool written_scan(unsigned char *at, unsigned char *end, bool protect,
                                size_t most, WrittenRange *ranges, size_t room,
                                size_t *count, unsigned char **stop)
{
    DWORD granularity, flags = protect ? WRITE_WATCH_FLAG_RESET : 0;
    size_t page_size = platform_page_size();
    *count = 0;
    *stop = at;
    if (written_service() != POOL_TRACKING_WRITE_WATCH) {
        return false;
    }
    while (*stop < end && *count < room && most > 0) {
        void *page[256];
        size_t wanted =
            checked_min(checked_min(room - *count, most), sizeof page / sizeof *page);
        ULONG_PTR found = wanted, i;
        if (GetWriteWatch(flags, *stop, (size_t)(end - *stop), page, &found,
                          &granularity) != 0) {
            return false;
        }
        for (i = 0; i < found; i++) {
            *count = written_add(ranges, *count, page[i], page_size);
        }
        most -= found;
        *stop = found < wanted ? end : (unsigned char *)page[found - 1] + page_size;
    }
    return true;
}

static inline void written_after_fork_child(void)
{
}

static inline size_t written_generation(void)
{
    return 1;
}
