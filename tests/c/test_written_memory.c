/* SPDX-License-Identifier: MIT */
/*
 * test_written_memory.c - written pages that Linux frees, swaps, makes huge or unmaps
 */
#include "watched.h"

enum { GIVEN_BACK = 4 << 20 }; /* bytes; so many that a page table has nothing left */

/* Gives back all but the first and last page. */
static void give_back(size_t pages)
{
    Area area = area_watch(pages);
    unsigned char mark[MOST];
    for (int round = 0; area.watched && round < 3; round++) {
        memset(area.at, 1, pages * page_size);
        CHECK_EQ_SIZE(scan(&area, true, mark), pages);
        CHECK(platform_reset(page_at(&area, 1), (pages - 2) * page_size));
        if (round == 1) /* reading does not hide it */
            CHECK_BYTES(page_at(&area, 1), 0, (pages - 2) * page_size);
        CHECK_EQ_SIZE(scan(&area, false, mark), pages - 2);
        CHECK_EQ_SIZE(scan(&area, true, mark), pages - 2);
        CHECK_EQ_INT(mark[0] + mark[pages - 1], 0);
        CHECK_BYTES(page_at(&area, 1), 0, (pages - 2) * page_size);
        check_none_written(&area);
    }
    area_unmap(&area);
}

/* Alone, and so many that their page tables go as well, where the kernel frees those. */
TEST(pages_that_are_given_back_count_as_written)
{
    give_back(3 + 13);
    give_back(3 * (size_t)GIVEN_BACK / page_size);
}

/* As on a kernel that finds no pages without page table: they are made. */
TEST(holes_that_the_scan_does_not_see)
{
    Area area = area_watch(3 * (size_t)GIVEN_BACK / page_size);
    bool silent = scanner.holes_are_silent;
    if (area.watched) {
        unsigned char resident[MOST];
        size_t size = area.pages * page_size;
        CHECK(platform_reset(area.at, size));
        scanner.holes_are_silent = true;
        CHECK_EQ_SIZE(scan(&area, false, resident), area.pages);
        CHECK_EQ_INT(mincore(area.at, size, (void *)resident), 0);
        for (size_t i = 0; i < area.pages; i++)
            CHECK_EQ_INT(resident[i] & 1, 1);
        give_back(area.pages);
        written_unwatch(area.at, size);
        check_refused(&area);
        scanner.holes_are_silent = silent;
    }
    area_unmap(&area);
}

#if !defined(MADV_PAGEOUT)
#  define MADV_PAGEOUT 21
#endif

/* Swapped out, where there is a swap, and in again. */
TEST(swapped_pages_keep_their_state)
{
    Area area = area_watch(PAGES);
    unsigned char expected[PAGES] = {0};
    for (int round = 0; area.watched && round < 4; round++) {
        unsigned char mark[PAGES];
        memset(area.at, round, PAGES * page_size);
        CHECK_EQ_SIZE(scan(&area, true, mark), PAGES);
        memset(page_at(&area, 40), round + 1, 3 * page_size);
        expected[40] = expected[41] = expected[42] = 1;
        (void)madvise(area.at, PAGES * page_size, MADV_PAGEOUT);
        check_written(&area, expected);
        if (round % 2 == 0) /* in again */
            CHECK_BYTES(page_at(&area, 43), round, (PAGES - 43) * page_size);
        check_written(&area, expected);
        *page_at(&area, 50) = 7;
        expected[50] = 1;
        check_written(&area, expected);
        CHECK_EQ_SIZE(scan(&area, true, mark), 4);
        CHECK_BYTES(page_at(&area, 40), round + 1, 3 * page_size);
        check_none_written(&area);
        memset(expected, 0, PAGES);
    }
    area_unmap(&area);
}

/* Somebody asks for huge pages: what is written is found, perhaps with what lies beside. */
TEST(huge_pages)
{
    size_t pages = 3 * (size_t)GIVEN_BACK / page_size;
    Area area = area_map(pages);
    unsigned char mark[MOST];
    (void)madvise(area.at, pages * page_size, MADV_HUGEPAGE);
    memset(area.at, 1, pages * page_size);
    area.watched = written_watch(area.at, pages * page_size);
    for (size_t page = 0; area.watched && page < pages; page += 173) {
        check_none_written(&area);
        *page_at(&area, page) = 2;
        CHECK_LE_SIZE(1, scan(&area, page % 2 == 0, mark));
        CHECK_EQ_INT(mark[page], 1);
        if (page % 2 != 0)
            CHECK(written_protect(area.at, pages * page_size));
    }
    area_unmap(&area);
    if (area.watched)
        give_back(pages);
}

/* Somebody unmaps pages in the middle, and has others there. */
TEST(pages_that_are_no_longer_there)
{
    Area area = area_watch(PAGES);
    unsigned char mark[PAGES];
    if (area.watched) {
        WrittenRange range;
        unsigned char *stop, *hole = page_at(&area, 100);
        size_t count;
        memset(area.at, 1, PAGES * page_size);
        CHECK_EQ_INT(munmap(hole, 50 * page_size), 0);
        CHECK_EQ_SIZE(scan(&area, false, mark), PAGES - 50);
        CHECK_EQ_SIZE(scan(&area, true, mark), PAGES - 50);
        *page_at(&area, 99) = 2;
        CHECK_EQ_SIZE(scan(&area, false, mark), 1);
        CHECK(mmap(hole, 50 * page_size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == hole);
        CHECK(!written_scan(area.at, area.end, true, SIZE_MAX, &range, 1, &count, &stop));
        CHECK_EQ_SIZE(count, 0);
        CHECK(written_watch(area.at, PAGES * page_size));
        check_none_written(&area);
    }
    area_unmap(&area);
}

static const TestCase cases[] = {
    TEST_CASE(pages_that_are_given_back_count_as_written),
    TEST_CASE(holes_that_the_scan_does_not_see),
    TEST_CASE(swapped_pages_keep_their_state),
    TEST_CASE(huge_pages),
    TEST_CASE(pages_that_are_no_longer_there),
};
WATCHED_MAIN(cases)
