/* SPDX-License-Identifier: MIT */
/*
 * test_written_linux.c - written pages where Linux refuses, or forks
 */
#include "watched.h"

#include <sys/prctl.h>

/* ----------------------------------------------------------------------- refusals */

/* What linux/filter.h has. */
struct filter_step {
    unsigned short code;
    unsigned char if_so, if_not;
    unsigned value;
};

struct filter {
    unsigned short count;
    struct filter_step *steps;
};

enum {
    FILTER_LOAD = 0x20, /* the word at an offset */
    FILTER_EQUAL = 0x15,
    FILTER_RETURN = 0x06,
    FILTER_NUMBER = 0,   /* offset of the number of the call        */
    FILTER_REQUEST = 24, /* of its second argument                  */
    FILTER_ALLOW = 0x7fff0000,
    FILTER_ERROR = 0x00050000
};

/* Has the kernel refuse a system call, with a certain second argument (0: any). False, aloud,
 * if it takes no filters. */
static bool forbid(unsigned number, unsigned request)
{
    const uint16_t one = 1;
    unsigned low = *(const unsigned char *)&one == 1 ? 0 : 4; /* the word's lower half */
    struct filter_step steps[] = {
        {FILTER_LOAD, 0, 0, FILTER_NUMBER},
        {FILTER_EQUAL, 0, 3, number},
        {FILTER_LOAD, 0, 0, request == 0 ? FILTER_NUMBER : FILTER_REQUEST + low},
        {FILTER_EQUAL, 0, 1, request == 0 ? number : request},
        {FILTER_RETURN, 0, 0, FILTER_ERROR | EPERM},
        {FILTER_RETURN, 0, 0, FILTER_ALLOW},
    };
    struct filter filter = {TEST_COUNT(steps), steps};
    if (prctl(38 /* PR_SET_NO_NEW_PRIVS */, 1, 0, 0, 0) == 0 &&
        prctl(22 /* PR_SET_SECCOMP */, 2 /* a filter */, &filter) == 0)
        return true;
    printf("  skipped: a refusal, as the system takes no filters\n");
    return false;
}

static void forbid_userfaultfd(void)
{
    size_t before = open_descriptors();
    Area area = area_map(PAGES);
    bool refused = forbid(SYS_userfaultfd, 0);
    if (refused || written_service() == POOL_TRACKING_COMPARE) {
        CHECK(!written_watch(area.at, PAGES * page_size));
        CHECK(written_service() == POOL_TRACKING_COMPARE);
        check_refused(&area);
        CHECK_EQ_SIZE(open_descriptors(), before);
    }
    area_unmap(&area);
}

static void forbid_scan(void)
{
    size_t before = open_descriptors();
    Area area = area_map(PAGES);
    bool refused = forbid(SYS_ioctl, (unsigned)PAGES_SCAN);
    if (refused || written_service() == POOL_TRACKING_COMPARE) {
        CHECK(!written_watch(area.at, PAGES * page_size));
        check_refused(&area);
        CHECK_EQ_SIZE(open_descriptors(), before);
    }
    area_unmap(&area);
}

/* The filter comes when pages are watched already. */
static void forbid_scan_later(void)
{
    Area area = area_watch(PAGES);
    if (area.watched && forbid(SYS_ioctl, (unsigned)PAGES_SCAN)) {
        WrittenRange range;
        unsigned char *stop;
        size_t count;
        memset(area.at, 1, PAGES * page_size);
        CHECK(!written_scan(area.at, area.end, true, SIZE_MAX, &range, 1, &count, &stop));
        CHECK_EQ_SIZE(count, 0);
        CHECK_BYTES(area.at, 1, PAGES * page_size);
    }
    area_unmap(&area);
}

static void forbid_registering(void)
{
    Area area = area_watch(PAGES), other = area_map(PAGES);
    if (area.watched && forbid(SYS_ioctl, (unsigned)FAULTS_REGISTER)) {
        CHECK(!written_watch(other.at, PAGES * page_size));
        check_refused(&other);
        check_none_written(&area);
    }
    area_unmap(&area);
    area_unmap(&other);
}

/* Registered and not protected is not watched. */
static void forbid_protecting(void)
{
    Area area = area_watch(PAGES), other = area_map(PAGES);
    if (area.watched && forbid(SYS_ioctl, (unsigned)FAULTS_PROTECT)) {
        CHECK(!written_watch(other.at, PAGES * page_size));
        check_refused(&other);
        CHECK(!written_protect(area.at, page_size));
        check_none_written(&area);
    }
    area_unmap(&area);
    area_unmap(&other);
}

TEST(calls_that_a_filter_forbids)
{
    in_child(forbid_userfaultfd);
    in_child(forbid_scan);
    in_child(forbid_scan_later);
    in_child(forbid_registering);
    in_child(forbid_protecting);
}

static void forced_none(void)
{
    size_t before = open_descriptors();
    size_store_relaxed(&written_switch, WRITTEN_FORBIDDEN);
    Area area = area_watch(PAGES);
    CHECK(!area.watched);
    CHECK_EQ_SIZE(open_descriptors(), before);
    area_unmap(&area);
    size_store_relaxed(&written_switch, WRITTEN_NOT_ASKED);
    CHECK_EQ_INT(setenv("POOL_WRITTEN_PAGES", "watch", 1), 0); /* not of this system */
    CHECK(written_service() == POOL_TRACKING_COMPARE);
}

TEST(service_that_is_switched_off)
{
    in_child(forced_none);
}

TEST(pages_that_are_watched_no_longer)
{
    Area area = area_watch(PAGES);
    written_unwatch(area.at, PAGES * page_size);
    check_refused(&area);
    area_unmap(&area);
}

/* Only one userfaultfd may watch a page. */
TEST(pages_that_somebody_else_watches)
{
    Area area = area_map(PAGES);
    FaultsApi api = {API_VERSION, WP_UNPOPULATED | WP_ASYNC, 0};
    int other = (int)syscall(SYS_userfaultfd, O_CLOEXEC | USER_MODE_ONLY);
    if (other >= 0 && written_ioctl(other, FAULTS_API, &api) == 0 &&
        faults_register(other, page_at(&area, 5), page_size)) {
        CHECK(!written_watch(area.at, PAGES * page_size));
        CHECK(!written_protect(area.at, page_size));
        memset(area.at, 1, PAGES * page_size);
        CHECK(faults_protect(other, page_at(&area, 5), page_size)); /* it still does */
    } else {
        CHECK_EQ_INT(written_watch(area.at, PAGES * page_size),
                     written_service() == POOL_TRACKING_PAGEMAP_SCAN);
    }
    if (other >= 0)
        close(other);
    area_unmap(&area);
}

/* --------------------------------------------------------------------------- fork */

static Area family_area; /* of the parent; the child has a copy */

static void change_as_child(void)
{
    unsigned char mark[PAGES];
    const Area *area = &family_area;
    bool have = written_service() == POOL_TRACKING_PAGEMAP_SCAN;
    CHECK_BYTES(page_at(area, 1), 1, page_size);
    check_refused(area);
    CHECK_EQ_INT(written_watch(area->at, PAGES * page_size), have);
    memset(page_at(area, 9), 9, page_size);
    if (have) {
        CHECK_EQ_SIZE(scan(area, true, mark), 1);
        CHECK_EQ_INT(mark[9], 1);
        CHECK(written_protect(area->at, PAGES * page_size));
    }
    written_unwatch(area->at, PAGES * page_size);
}

/* A process that forked without the library's knowledge. */
static void change_as_stranger(void)
{
    const Area *area = &family_area;
    scanner.owner = getppid();
    CHECK(!written_watch(area->at, PAGES * page_size));
    CHECK(written_service() == POOL_TRACKING_COMPARE);
    check_refused(area);
}

static void fork_unnoticed(void)
{
    int status = -1;
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        change_as_stranger();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ_INT(status, 0);
}

TEST(fork_leaves_the_parents_pages_alone)
{
    unsigned char expected[PAGES] = {0};
    size_t generation = written_generation();
    family_area = area_watch(PAGES);
    memset(page_at(&family_area, 1), 1, 2 * page_size);
    expected[1] = expected[2] = 1;
    in_child(change_as_child);
    CHECK_EQ_SIZE(written_generation(), generation);
    if (family_area.watched)
        check_written(&family_area, expected);
    fork_unnoticed();
    CHECK_BYTES(page_at(&family_area, 9), 0, page_size);
    if (family_area.watched) {
        check_written(&family_area, expected);
        *page_at(&family_area, 30) = expected[30] = 1;
        check_written(&family_area, expected);
    }
    area_unmap(&family_area);
}

static void next_generation(void)
{
    size_t generation = written_generation();
    written_after_fork_child();
    CHECK(written_generation() != generation);
    CHECK(written_generation() != 0);
}

TEST(child_is_another_generation)
{
    in_child(next_generation);
}

static const TestCase cases[] = {
    TEST_CASE(calls_that_a_filter_forbids),
    TEST_CASE(service_that_is_switched_off),
    TEST_CASE(pages_that_are_watched_no_longer),
    TEST_CASE(pages_that_somebody_else_watches),
    TEST_CASE(fork_leaves_the_parents_pages_alone),
    TEST_CASE(child_is_another_generation),
};
WATCHED_MAIN(cases)
