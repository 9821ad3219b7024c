/* SPDX-License-Identifier: MIT */
/*
 * written_none.c - written.h on systems that do not tell which pages were written to
 */
#include "base.h"

static inline PoolTracking written_service(void)
{
    return POOL_TRACKING_COMPARE;
}

static inline void *written_map(size_t size)
{
    return platform_map(size, PLATFORM_SPARSE);
}

static inline void written_unmap(void *pages, size_t size)
{
    platform_unmap(pages, size);
}

static inline bool written_watch(void *pages, size_t size)
{
    (void)pages;
    (void)size;
    return false;
}

static inline void written_unwatch(void *pages, size_t size)
{
    (void)pages;
    (void)size;
}

static inline bool written_scan(unsigned char *at, unsigned char *end, bool protect,
                                size_t most, WrittenRange *ranges, size_t room,
                                size_t *count, unsigned char **stop)
{
    (void)end;
    (void)protect;
    (void)most;
    (void)ranges;
    (void)room;
    *count = 0;
    *stop = at;
    return false;
}

static inline bool written_protect(void *pages, size_t size)
{
    (void)pages;
    (void)size;
    return false;
}

static inline void written_after_fork_child(void)
{
}

static inline size_t written_generation(void)
{
    return 1;
}
