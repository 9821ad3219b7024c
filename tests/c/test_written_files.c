/* SPDX-License-Identifier: MIT */
/*
 * test_written_files.c - the descriptors by which Linux tells of written pages
 */
#if !defined(_DEFAULT_SOURCE)
#  define _DEFAULT_SOURCE 1
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <sys/stat.h>

static const char *open_instead; /* file to be opened in place of any; NULL: none */
static int open_error;           /* what opening a file fails with; 0: it does not */

static int system_open(const char *path, int flags)
{
    if (open_error != 0) {
        errno = open_error;
        return -1;
    }
    return open(open_instead != NULL ? open_instead : path, flags);
}

static int stat_error;               /* what fstat fails with; 0: it does not */
static void (*while_yielding)(void); /* what another thread does meanwhile */

static int system_fstat(int number, struct stat *status)
{
    if (stat_error != 0) {
        errno = stat_error;
        return -1;
    }
    return fstat(number, status);
}

static int system_yield(void)
{
    if (while_yielding != NULL)
        while_yielding();
    return sched_yield();
}

#define open(path, flags) system_open(path, flags)
#define fstat(number, status) system_fstat(number, status)
#define sched_yield() system_yield()
#include "watched.h"
#undef open
#undef fstat
#undef sched_yield

#include <sys/resource.h>

static void use_descriptors(void)
{
    size_t before = open_descriptors();
    bool have = written_service() == POOL_TRACKING_PAGEMAP_SCAN;
    CHECK_EQ_SIZE(open_descriptors(), before + (have ? 2 : 0));
    for (int i = 0; i < 50; i++) {
        Area area = area_watch(PAGES);
        area_unmap(&area);
    }
    CHECK_EQ_SIZE(open_descriptors(), before + (have ? 2 : 0));
    if (have) {
        CHECK((fcntl(scanner.faults.number, F_GETFD) & FD_CLOEXEC) != 0);
        CHECK((fcntl(scanner.pagemap.number, F_GETFD) & FD_CLOEXEC) != 0);
    }
    written_after_fork_child();
    CHECK_EQ_SIZE(open_descriptors(), before);
    check_nothing_live();
}

TEST(two_descriptors_and_no_more)
{
    in_child(use_descriptors);
}

/* Somebody closes one of them, and opens another file by that number or does not. Until the
 * pages are watched anew the service is refused; the other file is let alone. */
static void lose(WrittenFile *file, int other)
{
    Area area = area_watch(PAGES);
    int number = file->number;
    size_t count = open_descriptors(), ranges;
    WrittenRange range;
    unsigned char *stop;
    if (!area.watched) {
        area_unmap(&area);
        return;
    }
    if (other >= 0)
        CHECK_EQ_INT(dup2(other, number), number);
    else
        CHECK_EQ_INT(close(number), 0);
    memset(area.at, 5, page_size);
    CHECK(!written_scan(area.at, area.end, true, SIZE_MAX, &range, 1, &ranges, &stop));
    CHECK_EQ_SIZE(ranges, 0);
    if (file == &scanner.faults)
        check_refused(&area);
    CHECK(written_watch(area.at, PAGES * page_size));
    check_none_written(&area);
    CHECK_BYTES(page_at(&area, 1), 0, page_size);
    area_unmap(&area);
    check_watching_works();
    if (other >= 0) {
        CHECK(fcntl(number, F_GETFD) >= 0);
        CHECK(file->number != number);
        CHECK_EQ_SIZE(open_descriptors(), count + 1);
        close(number);
    } else {
        CHECK_EQ_SIZE(open_descriptors(), count);
    }
}

static void lose_both(int other)
{
    lose(&scanner.faults, other);
    lose(&scanner.pagemap, other);
}

TEST(descriptors_that_somebody_closes)
{
    lose_both(-1);
}

TEST(descriptors_that_are_other_files_now)
{
    int ends[2], other;
    CHECK_EQ_INT(pipe(ends), 0);
    lose_both(ends[1]);
    close(ends[0]);
    close(ends[1]);
    other = open("/proc/self/status", O_RDONLY);
    CHECK(other >= 0);
    lose_both(other);
    close(other);
    other = (int)syscall(SYS_userfaultfd, O_CLOEXEC | USER_MODE_ONLY);
    if (other >= 0) {
        FaultsApi api = {API_VERSION, WP_UNPOPULATED | WP_ASYNC, 0};
        if (written_ioctl(other, FAULTS_API, &api) == 0)
            lose_both(other);
        close(other);
    }
}

/* A daemon closes all that it did not open. */
static void close_all(void)
{
    bool have = written_service() == POOL_TRACKING_PAGEMAP_SCAN;
    Area area = area_watch(PAGES);
    for (int i = 3; i < 1024; i++)
        close(i);
    check_refused(&area);
    CHECK_EQ_INT(written_watch(area.at, PAGES * page_size), have);
    if (have)
        check_none_written(&area);
    area_unmap(&area);
}

TEST(all_descriptors_are_closed)
{
    in_child(close_all);
}

/* None can be opened now, but later. */
static void run_out(void)
{
    struct rlimit none = {0, 0}, limit;
    size_t before = open_descriptors();
    Area area = area_map(PAGES);
    CHECK_EQ_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none.rlim_max = limit.rlim_max;
    CHECK_EQ_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
    CHECK(!written_watch(area.at, PAGES * page_size));
    CHECK(written_service() == POOL_TRACKING_COMPARE);
    check_refused(&area);
    CHECK_EQ_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_EQ_SIZE(open_descriptors(), before);
    area_unmap(&area);
}

static bool available; /* whether the service is, to the parent */

static void run_out_for_a_while(void)
{
    run_out();
    CHECK_EQ_INT(written_service() == POOL_TRACKING_PAGEMAP_SCAN, available);
    if (available)
        check_watching_works();
}

TEST(no_descriptors_for_a_while)
{
    available = written_service() == POOL_TRACKING_PAGEMAP_SCAN;
    in_child(run_out_for_a_while);
}

/* The second one cannot be had: the first one is not kept. */
static void lack_pagemap(void)
{
    size_t before = open_descriptors();
    bool may_pass = open_error == EMFILE;
    Area area = area_watch(PAGES);
    CHECK(!area.watched);
    CHECK_EQ_SIZE(open_descriptors(), before);
    open_error = 0;
    if (!may_pass)
        CHECK(!written_watch(area.at, PAGES * page_size));
    area_unmap(&area);
    if (!may_pass)
        CHECK_EQ_SIZE(open_descriptors(), before);
}

TEST(no_pagemap)
{
    static const int errors[] = {ENOENT, EACCES, EMFILE};
    for (size_t i = 0; i < TEST_COUNT(errors); i++) {
        open_error = errors[i];
        in_child(lack_pagemap);
    }
    open_error = 0;
}

/* Another file is found by its name. */
TEST(pagemap_that_is_none)
{
    open_instead = "/dev/null";
    in_child(lack_pagemap);
    open_instead = NULL;
}

/* One of them is lost and cannot be replaced now: the other one stays. */
static void replace_later(void)
{
    Area area = area_watch(PAGES);
    if (area.watched) {
        CHECK_EQ_INT(close(scanner.pagemap.number), 0);
        open_error = EMFILE;
        CHECK(!written_watch(area.at, PAGES * page_size));
        CHECK(fcntl(scanner.faults.number, F_GETFD) >= 0);
        CHECK(written_service() == POOL_TRACKING_COMPARE);
        open_error = 0;
        CHECK(written_watch(area.at, PAGES * page_size));
        check_none_written(&area);
    }
    area_unmap(&area);
}

TEST(descriptor_that_cannot_be_replaced_now)
{
    in_child(replace_later);
}

/* What is opened cannot be recognised later, so it is not kept. */
static void open_and_know_nothing(void)
{
    size_t before = open_descriptors();
    CHECK(written_service() == POOL_TRACKING_COMPARE);
    CHECK_EQ_SIZE(open_descriptors(), before);
}

TEST(descriptors_of_unknown_files)
{
    stat_error = EIO;
    in_child(open_and_know_nothing);
    stat_error = 0;
}

/* No address space to try the service in, for a while. */
static void try_without_memory(void)
{
    struct rlimit none = {0, 0}, limit;
    CHECK_EQ_INT(getrlimit(RLIMIT_AS, &limit), 0);
    none.rlim_max = limit.rlim_max;
    if (setrlimit(RLIMIT_AS, &none) == 0) {
        (void)written_service(); /* an emulator may take no notice of the limit */
        CHECK_EQ_INT(setrlimit(RLIMIT_AS, &limit), 0);
    }
    CHECK_EQ_INT(written_service() == POOL_TRACKING_PAGEMAP_SCAN, available);
}

TEST(no_memory_for_a_while)
{
    available = written_service() == POOL_TRACKING_PAGEMAP_SCAN;
    in_child(try_without_memory);
}

/* Another thread has the lock, until this one waits for it. */
TEST(waiting_for_the_lock)
{
    available = written_service() == POOL_TRACKING_PAGEMAP_SCAN;
    while_yielding = written_unlock;
    written_lock();
    CHECK_EQ_INT(written_service() == POOL_TRACKING_PAGEMAP_SCAN, available);
    CHECK_EQ_SIZE(size_load_relaxed(&scanner.lock), written_is_allowed("scan") ? 0 : 1);
    while_yielding = NULL;
    size_store_relaxed(&scanner.lock, 0);
}

/* What was refused to the parent may be had by the child. */
static void be_refused_before_a_fork(void)
{
    lack_pagemap();
    open_instead = NULL;
    written_after_fork_child();
    CHECK_EQ_INT(written_service() == POOL_TRACKING_PAGEMAP_SCAN, available);
}

TEST(refusal_is_not_inherited)
{
    available = written_service() == POOL_TRACKING_PAGEMAP_SCAN;
    open_error = ENOENT;
    in_child(be_refused_before_a_fork);
    open_error = 0;
}

static const TestCase cases[] = {
    TEST_CASE(two_descriptors_and_no_more),
    TEST_CASE(descriptors_that_somebody_closes),
    TEST_CASE(descriptors_that_are_other_files_now),
    TEST_CASE(all_descriptors_are_closed),
    TEST_CASE(no_descriptors_for_a_while),
    TEST_CASE(no_pagemap),
    TEST_CASE(pagemap_that_is_none),
    TEST_CASE(descriptor_that_cannot_be_replaced_now),
    TEST_CASE(descriptors_of_unknown_files),
    TEST_CASE(no_memory_for_a_while),
    TEST_CASE(waiting_for_the_lock),
    TEST_CASE(refusal_is_not_inherited),
};
WATCHED_MAIN(cases)
