/* SPDX-License-Identifier: MIT */
/*
 * watched.h - pages that are watched, for the tests of written.h
 *
 * Where the system has no such service, or refuses it, area_watch checks that every call
 * says so and that the pages work as any others. POOL_WRITTEN_PAGES in the environment names
 * the service that must be in use ("none" on every system).
 */
#ifndef WATCHED_H
#define WATCHED_H

#include "internal.h"
#if defined(__linux__)
#  include <dirent.h>
#  include <sys/wait.h>
#endif

enum { PAGES = 512, MOST = 100000 };

static size_t page_size; /* set by WATCHED_MAIN */

typedef struct Area {
    unsigned char *at, *end;
    size_t pages;
    bool watched;
} Area;

static inline unsigned char *page_at(const Area *area, size_t page)
{
    return area->at + page * page_size;
}

/* Pages as the library has them, without service: everything says no, and does no harm. */
static inline void check_refused(const Area *area)
{
    WrittenRange range;
    unsigned char *stop;
    size_t count;
    CHECK(!written_scan(area->at, area->end, false, SIZE_MAX, &range, 1, &count, &stop));
    CHECK_EQ_SIZE(count, 0);
    CHECK(!written_scan(area->at, area->end, true, SIZE_MAX, &range, 1, &count, &stop));
    CHECK(!written_protect(area->at, page_size));
    written_unwatch(area->at, (size_t)(area->end - area->at));
    memset(area->at, 1, page_size);
    CHECK_BYTES(area->at, 1, page_size);
}

static inline Area area_map(size_t pages)
{
    Area area = {NULL, NULL, pages, false};
    area.at = written_map(pages * page_size);
    CHECK(area.at != NULL);
    area.end = area.at + pages * page_size;
    return area;
}

/* Fresh pages that are watched, if the system watches any; otherwise what has to be said of
 * them has been checked. */
static inline Area area_watch(size_t pages)
{
    Area area = area_map(pages);
    area.watched = written_watch(area.at, pages * page_size);
    CHECK_EQ_INT(area.watched, written_service() != POOL_TRACKING_COMPARE);
    if (!area.watched)
        check_refused(&area);
    return area;
}

static inline void area_unmap(Area *area)
{
    written_unwatch(area->at, area->pages * page_size);
    written_unmap(area->at, area->pages * page_size);
}

/* Scans a part of an area, with so much room, and has mark[page] say what was found. */
static inline size_t scan_part(const Area *area, size_t first, size_t end, bool protect,
                               size_t room, unsigned char *mark)
{
    WrittenRange ranges[1000];
    unsigned char *at = page_at(area, first), *stop = at;
    size_t found = 0;
    memset(mark + first, 0, end - first);
    CHECK_LE_SIZE(room, TEST_COUNT(ranges));
    while (at < page_at(area, end)) {
        size_t count, i;
        CHECK(written_scan(at, page_at(area, end), protect, SIZE_MAX, ranges, room,
                           &count, &stop));
        CHECK_LE_SIZE(count, room);
        CHECK(stop > at && stop <= page_at(area, end));
        for (i = 0; i < count; i++) {
            CHECK(at <= ranges[i].start && ranges[i].start < ranges[i].end &&
                  ranges[i].end <= stop);
            CHECK_EQ_SIZE((size_t)(ranges[i].start - area->at) % page_size, 0);
            CHECK_EQ_SIZE((size_t)(ranges[i].end - area->at) % page_size, 0);
            for (; ranges[i].start < ranges[i].end; ranges[i].start += page_size, found++)
                mark[(size_t)(ranges[i].start - area->at) / page_size] = 1;
            at = ranges[i].end;
        }
        at = stop;
    }
    return found;
}

static inline size_t scan(const Area *area, bool protect, unsigned char *mark)
{
    return scan_part(area, 0, area->pages, protect, 16, mark);
}

/* All that is written is this. */
static inline void check_written(const Area *area, const unsigned char *expected)
{
    unsigned char mark[MOST];
    scan(area, false, mark);
    CHECK_MEM(mark, expected, area->pages);
}

static inline void check_none_written(const Area *area)
{
    unsigned char mark[MOST];
    CHECK_EQ_SIZE(scan(area, false, mark), 0);
}

#if defined(__linux__)
/* Runs a test in a process of its own, which has no descriptors of the service yet. */
static inline void in_child(void (*run)(void))
{
    int status = -1;
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        written_after_fork_child();
        run();
        exit(0); /* not _exit: what measures coverage wants to have its say */
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ_INT(status, 0);
}

static inline size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    CHECK(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static inline void check_watching_works(void)
{
    Area area = area_watch(PAGES);
    unsigned char expected[PAGES] = {0};
    CHECK(area.watched);
    *page_at(&area, 3) = expected[3] = 1;
    check_written(&area, expected);
    area_unmap(&area);
}
#endif

#define WATCHED_MAIN(cases)                                                              \
    int main(int argc, char **argv)                                                      \
    {                                                                                    \
        page_size = platform_page_size();                                                \
        return test_main(argc, argv, cases, TEST_COUNT(cases));                          \
    }

#endif /* WATCHED_H */
