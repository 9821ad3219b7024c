/* SPDX-License-Identifier: MIT */
/*
 * test_written.c - which pages were written to since the last time
 *
 * What written.h promises on every system that has the service; see watched.h for the
 * others.
 */
#include "watched.h"
#include "test_threads.h"

#if defined(_WIN32)
#  include <fcntl.h>
#  include <io.h>
#else
#  include <unistd.h>
#endif

TEST(service_is_the_one_that_was_named)
{
    static const char *const names[] = {"none", "scan", "watch"};
    const char *named = getenv("POOL_WRITTEN_PAGES");
    PoolTracking service = written_service();
    printf("  service: %s\n", names[service]);
    if (named != NULL && *named != '\0')
        CHECK_EQ_TEXT(names[service], named);
    CHECK(written_generation() != 0);
#if defined(_WIN32)
    if (named == NULL)
        CHECK(service == POOL_TRACKING_WRITE_WATCH);
#endif
}

TEST(pages_are_zeros_and_none_is_written_at_first)
{
    Area area = area_watch(PAGES);
    if (area.watched) {
        CHECK_BYTES(area.at, 0, PAGES * page_size);
        check_none_written(&area);
    }
    area_unmap(&area);
    check_nothing_live();
}

/* Watching anew forgets what was written before. */
TEST(what_was_written_before_does_not_count)
{
    Area area = area_map(PAGES);
    memset(area.at, 1, PAGES * page_size);
    area.watched = written_watch(area.at, PAGES * page_size);
    if (area.watched) {
        check_none_written(&area);
        memset(area.at, 2, PAGES * page_size / 2);
        CHECK(written_watch(area.at, PAGES * page_size));
        check_none_written(&area);
        CHECK_BYTES(area.at, 2, PAGES * page_size / 2);
    }
    area_unmap(&area);
}

TEST(exactly_the_written_pages_are_found)
{
    TestRandom random = {test_seed};
    Area area = area_watch(PAGES);
    unsigned char expected[PAGES] = {0}, mark[PAGES];
    for (unsigned i = 0; area.watched && i < test_times(300); i++) {
        size_t writes = test_below(&random, 40);
        for (size_t k = 0; k < writes; k++) {
            size_t page = test_below(&random, PAGES);
            page_at(&area, page)[test_below(&random, page_size)]++;
            expected[page] = 1;
        }
        check_written(&area, expected);
        size_t first = test_below(&random, PAGES);
        size_t end = first + test_below(&random, PAGES - first + 1);
        bool protect = test_below(&random, 2) == 0;
        scan_part(&area, first, end, protect, 1 + test_below(&random, 300), mark);
        CHECK_MEM(mark + first, expected + first, end - first);
        if (protect)
            memset(expected + first, 0, end - first);
        if (test_below(&random, 3) == 0) {
            first = test_below(&random, PAGES);
            end = first + 1 + test_below(&random, PAGES - first);
            CHECK(written_protect(page_at(&area, first), (end - first) * page_size));
            memset(expected + first, 0, end - first);
        }
        check_written(&area, expected);
    }
    area_unmap(&area);
}

/* A write of the byte that is there already is one as well. Reading is none. */
TEST(reading_is_not_writing)
{
    Area area = area_watch(PAGES);
    unsigned char expected[PAGES] = {0};
    if (area.watched) {
        CHECK_BYTES(area.at, 0, PAGES * page_size);
        check_none_written(&area);
        *(volatile unsigned char *)page_at(&area, 7) = 0;
        expected[7] = 1;
        check_written(&area, expected);
    }
    area_unmap(&area);
}

/* Fewer ranges than there are: it goes on where it stopped, and what it did not come to
 * stays as it is. */
TEST(too_little_room)
{
    Area area = area_watch(PAGES);
    unsigned char expected[PAGES] = {0}, mark[PAGES];
    WrittenRange ranges[300];
    unsigned char *stop;
    size_t count;
    for (size_t room = 1; area.watched && room <= 300; room += room < 4 ? 1 : 148) {
        for (size_t i = 0; i < PAGES; i += 2) {
            *page_at(&area, i) = 1;
            expected[i] = 1;
        }
        CHECK(
            written_scan(area.at, area.end, true, SIZE_MAX, ranges, room, &count, &stop));
        CHECK(0 < count && count <= room);
        CHECK(stop >= ranges[count - 1].end);
        for (size_t i = 0; i < count; i++) {
            CHECK(ranges[i].start == page_at(&area, 2 * i));
            CHECK(ranges[i].end == page_at(&area, 2 * i + 1));
            expected[2 * i] = 0;
        }
        CHECK(count == PAGES / 2 || stop <= page_at(&area, 2 * count));
        check_written(&area, expected);
        scan_part(&area, 0, PAGES, true, room, mark);
        CHECK_MEM(mark, expected, PAGES);
        memset(expected, 0, PAGES);
        check_none_written(&area);
    }
    area_unmap(&area);
}

/* It stops when it has found so many pages. */
TEST(no_more_pages_than_asked_for)
{
    Area area = area_watch(PAGES);
    unsigned char expected[PAGES];
    for (size_t most = 1; area.watched && most < 60; most += 7) {
        WrittenRange ranges[64];
        unsigned char *stop;
        size_t count, found = 0;
        memset(area.at + 10 * page_size, 2, (PAGES - 10) * page_size);
        memset(expected, 1, PAGES);
        memset(expected, 0, 10 + most);
        CHECK(written_protect(area.at, 10 * page_size));
        CHECK(written_scan(area.at, area.end, true, most, ranges, 64, &count, &stop));
        for (size_t i = 0; i < count; i++)
            found += (size_t)(ranges[i].end - ranges[i].start) / page_size;
        CHECK_EQ_SIZE(found, most);
        CHECK(stop == page_at(&area, 10 + most));
        check_written(&area, expected);
    }
    area_unmap(&area);
}

TEST(single_pages_are_protected)
{
    Area area = area_watch(PAGES);
    unsigned char expected[PAGES] = {0};
    if (area.watched) {
        memset(area.at, 3, PAGES * page_size);
        memset(expected, 1, PAGES);
        for (size_t i = 0; i < PAGES; i += 3) {
            CHECK(written_protect(page_at(&area, i), page_size));
            expected[i] = 0;
        }
        check_written(&area, expected);
        for (size_t i = 0; i < PAGES; i += 5) {
            *page_at(&area, i) = 4;
            expected[i] = 1;
        }
        check_written(&area, expected);
    }
    area_unmap(&area);
}

/* The system writes on behalf of a call. */
TEST(reading_from_a_file_into_pages_is_writing)
{
    static const unsigned char bytes[100] = {1, 2, 3};
    Area area = area_watch(PAGES);
    unsigned char expected[PAGES] = {0};
    if (area.watched) {
        unsigned char *to = page_at(&area, 21) - 50; /* in two pages */
        int ends[2];
#if defined(_WIN32)
        CHECK_EQ_INT(_pipe(ends, 4096, _O_BINARY), 0);
        CHECK_EQ_INT(_write(ends[1], bytes, sizeof bytes), sizeof bytes);
        CHECK_EQ_INT(_read(ends[0], to, sizeof bytes), sizeof bytes);
        _close(ends[0]);
        _close(ends[1]);
#else
        CHECK_EQ_INT(pipe(ends), 0);
        CHECK(write(ends[1], bytes, sizeof bytes) == sizeof bytes);
        CHECK(read(ends[0], to, sizeof bytes) == sizeof bytes);
        close(ends[0]);
        close(ends[1]);
#endif
        CHECK_MEM(to, bytes, sizeof bytes);
        expected[20] = expected[21] = 1;
        check_written(&area, expected);
    }
    area_unmap(&area);
}

/* Afterwards the pages are as any others, and can be watched again. */
TEST(nothing_is_left_of_watching)
{
    for (unsigned i = 0; i < test_times(50); i++) {
        Area area = area_watch(PAGES);
        memset(area.at, 1, PAGES * page_size);
        written_unwatch(area.at, PAGES * page_size);
        memset(area.at, 2, PAGES * page_size);
        CHECK_BYTES(area.at, 2, PAGES * page_size);
        written_unwatch(area.at, PAGES * page_size); /* once more does nothing */
        if (area.watched) {
            CHECK(written_watch(area.at, PAGES * page_size));
            check_none_written(&area);
        }
        written_unmap(area.at, PAGES * page_size); /* watched as they are */
    }
    check_nothing_live();
}

TEST(pages_beside_are_not_concerned)
{
    Area area = area_map(PAGES);
    size_t third = PAGES / 4;
    Area part = {page_at(&area, third), page_at(&area, 2 * third), third, false};
    part.watched = written_watch(part.at, third * page_size);
    memset(area.at, 1, PAGES * page_size);
    if (part.watched) {
        unsigned char mark[PAGES];
        CHECK_EQ_SIZE(scan(&part, true, mark), third);
        memset(area.at, 2, third * page_size);
        memset(part.end, 2, page_size);
        check_none_written(&part);
    }
    written_unwatch(part.at, third * page_size);
    area_unmap(&area);
}

/* ----------------------------------------------------------------------- threads */

enum { WRITERS = 2, RACED = 64 };

typedef struct Writer {
    const Area *area;
    size_t id;
    AtomicSize *stopped;
    TestThread thread;
} Writer;

/* Each writer has a word of its own in each page. */
static AtomicSize *word_of(const Area *area, size_t page, size_t writer)
{
    return (AtomicSize *)(void *)(page_at(area, page) + writer * sizeof(AtomicSize));
}

static void write_words(void *argument)
{
    Writer *writer = argument;
    TestRandom random = {writer->id};
    while (size_load_relaxed(writer->stopped) == 0) {
        size_t page = test_below(&random, RACED);
        size_add_relaxed(word_of(writer->area, page, writer->id), 1);
    }
}

/* Copies the words of the pages that were written to; returns how many pages. */
static size_t follow(const Area *area, size_t copy[RACED][WRITERS])
{
    unsigned char mark[RACED];
    size_t found = scan(area, true, mark);
    for (size_t page = 0; page < RACED; page++) {
        for (size_t w = 0; mark[page] && w < WRITERS; w++)
            copy[page][w] = size_load_relaxed(word_of(area, page, w));
    }
    return found;
}

/* A copy that takes each page found, and no other, is whole in the end. */
TEST(no_write_is_lost_beside_a_scan)
{
    size_t copy[RACED][WRITERS] = {{0}}, pages = 0, most = test_times(20000);
    Area area = area_watch(RACED);
    AtomicSize stopped;
    Writer writers[WRITERS];
    size_store_relaxed(&stopped, !area.watched);
    for (size_t w = 0; w < WRITERS; w++) {
        writers[w].area = &area;
        writers[w].id = w;
        writers[w].stopped = &stopped;
        test_thread_start(&writers[w].thread, write_words, &writers[w]);
    }
    while (area.watched && pages < most) {
        size_t found = follow(&area, copy);
        pages += found;
        if (found == 0)
            platform_yield();
    }
    size_store_relaxed(&stopped, 1);
    for (size_t w = 0; w < WRITERS; w++)
        test_thread_join(&writers[w].thread);
    if (area.watched) {
        (void)follow(&area, copy);
        CHECK_EQ_SIZE(follow(&area, copy), 0);
        for (size_t page = 0; page < RACED; page++) {
            for (size_t w = 0; w < WRITERS; w++)
                CHECK_EQ_SIZE(copy[page][w], size_load_relaxed(word_of(&area, page, w)));
        }
    }
    area_unmap(&area);
}

typedef struct Watcher {
    Area area;
    unsigned times;
    TestThread thread;
} Watcher;

static void watch_and_scan(void *argument)
{
    Watcher *watcher = argument;
    Area *area = &watcher->area;
    for (unsigned i = 0; i < watcher->times; i++) {
        unsigned char expected[16] = {0};
        if (!written_watch(area->at, 16 * page_size)) {
            check_refused(area);
            continue;
        }
        *page_at(area, i % 16) = 1;
        expected[i % 16] = 1;
        check_written(area, expected);
        written_unwatch(area->at, 16 * page_size);
    }
}

/* When this test runs alone they are the first to use the service. */
TEST(several_threads_with_pages_of_their_own)
{
    Watcher watchers[3];
    for (size_t i = 0; i < 3; i++) {
        watchers[i].area = area_map(16);
        watchers[i].times = test_times(1000);
    }
    for (size_t i = 0; i < 3; i++)
        test_thread_start(&watchers[i].thread, watch_and_scan, &watchers[i]);
    for (size_t i = 0; i < 3; i++) {
        test_thread_join(&watchers[i].thread);
        area_unmap(&watchers[i].area);
    }
    check_nothing_live();
}

static const TestCase cases[] = {
    TEST_CASE(service_is_the_one_that_was_named),
    TEST_CASE(pages_are_zeros_and_none_is_written_at_first),
    TEST_CASE(what_was_written_before_does_not_count),
    TEST_CASE(exactly_the_written_pages_are_found),
    TEST_CASE(reading_is_not_writing),
    TEST_CASE(too_little_room),
    TEST_CASE(no_more_pages_than_asked_for),
    TEST_CASE(single_pages_are_protected),
    TEST_CASE(reading_from_a_file_into_pages_is_writing),
    TEST_CASE(nothing_is_left_of_watching),
    TEST_CASE(pages_beside_are_not_concerned),
    TEST_CASE(no_write_is_lost_beside_a_scan),
    TEST_CASE(several_threads_with_pages_of_their_own),
};
WATCHED_MAIN(cases)
