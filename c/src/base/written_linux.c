/* SPDX-License-Identifier: MIT */
/*
 * written_linux.c - written.h on Linux: userfaultfd and PAGEMAP_SCAN
 *
 * A userfaultfd in mode WP_ASYNC protects pages without anybody who handles faults: at
 * the first write the kernel takes the protection away and goes on. The ioctl
 * PAGEMAP_SCAN lists pages without protection and, with WP_MATCHING, protects them under
 * the lock of the page table. Both are in Linux since 6.7, and need no privilege. Many C
 * libraries have headers that know neither, so the constants are here.
 *
 * The process has two descriptors for it, opened when first needed. Programs that close
 * what they did not open exist, and their next file gets the same number: so the
 * descriptors are compared with what was opened before they are used. When one is lost,
 * calls say false, and the next written_watch opens another. In a child of fork the
 * parent's descriptors would change the parent's memory: they are never used there, not
 * even when written_after_fork_child was not called (vfork, clone).
 */
#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* -------------------------------------------------------- what linux/ headers have */

typedef struct FaultsApi {
    uint64_t api, features, ioctls;
} FaultsApi;

typedef struct FaultsRange {
    uint64_t start, size;
} FaultsRange;

typedef struct FaultsRegister {
    FaultsRange range;
    uint64_t mode, ioctls;
} FaultsRegister;

typedef struct FaultsProtect {
    FaultsRange range;
    uint64_t mode;
} FaultsProtect;

typedef struct PageRegion {
    uint64_t start, end, categories;
} PageRegion;

typedef struct PageScan {
    uint64_t size, flags, start, end, walk_end, regions, room, max_pages;
    uint64_t inverted, all_of, any_of, reported; /* categories */
} PageScan;

enum {
    USER_MODE_ONLY = 1,       /* flag of userfaultfd          */
    API_VERSION = 0xAA,       /* of its ioctls                */
    WP_UNPOPULATED = 1 << 13, /* features: protect what has   */
    WP_ASYNC = 1 << 15,       /*   no memory yet; no handler  */
    REGISTER_WP = 2,          /* mode of FAULTS_REGISTER      */
    PROTECT_WP = 1,           /* mode of FAULTS_PROTECT       */
    SCAN_WP_MATCHING = 1,     /* flags of PAGES_SCAN: protect */
    SCAN_CHECK_WPASYNC = 2,   /*   refuse what is not watched */
    PAGE_IS_WRITTEN = 1 << 1, /* categories                   */
    PAGE_IS_PRESENT = 1 << 3,
    PAGE_IS_SWAPPED = 1 << 4,
    ADVICE_POPULATE_READ = 22
};
#define FAULTS_API _IOWR(0xAA, 0x3F, FaultsApi)
#define FAULTS_REGISTER _IOWR(0xAA, 0x00, FaultsRegister)
#define FAULTS_UNREGISTER _IOR(0xAA, 0x01, FaultsRange)
#define FAULTS_PROTECT _IOWR(0xAA, 0x06, FaultsProtect)
#define PAGES_SCAN _IOWR('f', 16, PageScan)

/* C libraries do not agree on the type of a request. */
static long written_ioctl(int file, unsigned long request, void *argument)
{
    return syscall(SYS_ioctl, file, request, argument);
}

/* ------------------------------------------------------------------- descriptors */

/* What was opened: a number alone may be another file's by now. */
typedef struct WrittenFile {
    bool open;
    int number;
    dev_t device;
    ino_t inode;
} WrittenFile;

static struct {
    AtomicSize lock;       /* 1: held. For all that follows.              */
    AtomicSize generation; /* how many forks lie between this process and */
                           /*   the one that the library was loaded in    */
    pid_t owner;           /* of the descriptors; 0: nobody               */
    bool refused;          /* the system will say no the next time too    */
    bool holes_are_silent; /* see written_find_holes                      */
    WrittenFile faults, pagemap;
} scanner;

static void written_lock(void)
{
    while (!size_swap_seq_cst(&scanner.lock, 0, 1)) {
        platform_yield();
    }
}

static void written_unlock(void)
{
    size_store_release(&scanner.lock, 0);
}

/* Whether the number still is the file that was opened. */
static bool file_is_ours(WrittenFile *file)
{
    struct stat now;
    file->open = file->open && fstat(file->number, &now) == 0 &&
                 now.st_dev == file->device && now.st_ino == file->inode;
    return file->open;
}

static void file_close(WrittenFile *file)
{
    if (file_is_ours(file)) {
        (void)close(file->number);
    }
    file->open = false;
}

/* Keeps what was just opened, if it was. */
static bool file_keep(WrittenFile *file, int number)
{
    struct stat now;
    if (number < 0) {
        return false;
    }
    file->open = true;
    file->number = number;
    if (fstat(number, &now) != 0) {
        (void)close(number);
        file->open = false;
    } else {
        file->device = now.st_dev;
        file->inode = now.st_ino;
    }
    return file->open;
}

static bool faults_open(void)
{
    FaultsApi api = {API_VERSION, WP_UNPOPULATED | WP_ASYNC, 0};
    int number = -1;
#ifdef SYS_userfaultfd
    number = (int)syscall(SYS_userfaultfd, O_CLOEXEC | USER_MODE_ONLY);
#else
    errno = ENOSYS;
#endif
    return file_keep(&scanner.faults, number) &&
           written_ioctl(number, FAULTS_API, &api) == 0;
}

static bool pagemap_open(void)
{
    return file_keep(&scanner.pagemap, open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
}

/* ----------------------------------------------------------------- system calls */

static bool faults_register(int faults, void *pages, size_t size)
{
    FaultsRegister all = {{(uintptr_t)pages, size}, REGISTER_WP, 0};
    return written_ioctl(faults, FAULTS_REGISTER, &all) == 0;
}

/* Takes the protection away as well. */
static void faults_unregister(int faults, void *pages, size_t size)
{
    FaultsRange all = {(uintptr_t)pages, size};
    (void)written_ioctl(faults, FAULTS_UNREGISTER, &all);
}

static bool faults_protect(int faults, void *pages, size_t size)
{
    FaultsProtect all = {{(uintptr_t)pages, size}, PROTECT_WP};
    return written_ioctl(faults, FAULTS_PROTECT, &all) == 0;
}

/* What to ask for the written ones of some pages. */
static PageScan pages_to_scan(unsigned char *at, unsigned char *end, PageRegion *regions,
                              size_t room)
{
    PageScan scan = {.size = sizeof(PageScan),
                     .flags = SCAN_CHECK_WPASYNC,
                     .start = (uintptr_t)at,
                     .end = (uintptr_t)end,
                     .regions = (uintptr_t)regions,
                     .room = room,
                     .all_of = PAGE_IS_WRITTEN,
                     .reported = PAGE_IS_WRITTEN};
    return scan;
}

/* Returns how many regions it found, negative if the system says no. */
static long pages_scan(int pagemap, PageScan *scan)
{
    return written_ioctl(pagemap, PAGES_SCAN, scan);
}

/* ------------------------------------------------------------------------- holes */

/* Where decommitted memory has lost its page table too (Linux 6.14), not every
 * kernel calls the pages written. On one that does not, each scan first looks for such
 * holes and has them read: the page of zeros has no protection, and so is found. That is
 * never needed for pages that nobody touched, since protecting them makes a page table.
 * */
static bool written_find_holes(int pagemap, unsigned char *at, unsigned char *end)
{
    while (at < end) {
        PageRegion hole;
        PageScan scan = pages_to_scan(at, end, &hole, 1);
        long holes;
        scan.inverted = scan.all_of = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
        holes = pages_scan(pagemap, &scan);
        if (holes < 0 || (holes > 0 && madvise((void *)(uintptr_t)hole.start,
                                               (size_t)(hole.end - hole.start),
                                               ADVICE_POPULATE_READ) != 0)) {
            return false;
        }
        at = (unsigned char *)(uintptr_t)scan.walk_end;
    }
    return true;
}

/* Tries the service on pages of which one was read, which makes it count as written, and
 * so many others that a whole page table is missing among them. False if it does not
 * work. */
static bool written_try(int faults, int pagemap)
{
    size_t page_size = platform_page_size();
    size_t size = 2 * (page_size / sizeof(void *)) * page_size;
    unsigned char *pages = platform_map(size, PLATFORM_ZEROS);
    PageRegion all = {0, 0, 0};
    PageScan scan;
    long found = -1;
    if (pages == NULL) {
        return false;
    }
    scan = pages_to_scan(pages, pages + size, &all, 1);
    if (faults_register(faults, pages, size)) {
        (void)*(volatile unsigned char *)pages;
        found = pages_scan(pagemap, &scan);
    }
    scanner.holes_are_silent = all.end != scan.end;
    platform_unmap(pages, size);
    return found == 1 && all.start == scan.start;
}

/* ------------------------------------------------------------------------ service */

/* Whether what failed may work later. */
static bool error_may_pass(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR;
}

/* Opens what is not open. If that fails, what was open before stays so: other threads may
 * be using it. Locks: has the lock. */
static void written_open_files(void)
{
    bool had_faults = file_is_ours(&scanner.faults);
    bool had_pagemap = file_is_ours(&scanner.pagemap);
    errno = 0;
    if ((had_faults && had_pagemap) ||
        ((had_faults || faults_open()) && (had_pagemap || pagemap_open()) &&
         written_try(scanner.faults.number, scanner.pagemap.number))) {
        return;
    }
    scanner.refused = !error_may_pass(errno);
    if (!had_faults) {
        file_close(&scanner.faults);
    }
    if (!had_pagemap) {
        file_close(&scanner.pagemap);
    }
}

/* What a call needs of the scanner. */
typedef struct WrittenFiles {
    WrittenFile faults, pagemap;
    bool holes_are_silent;
} WrittenFiles;

/* Copies the scanner's state, and opens its descriptors first if open_them is set and
 * they are not open or not ours any more. False if this process has none. */
static bool written_files(bool open_them, WrittenFiles *files)
{
    bool open = false;
    int state;
    if (!written_is_allowed("scan")) {
        return false;
    }
    /* To open and to close are cancellation points, and the lock is held. */
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    written_lock();
    if (scanner.owner == 0) {
        scanner.owner = getpid();
    }
    if (scanner.owner == getpid()) {
        if (open_them && !scanner.refused) {
            written_open_files();
        }
        files->faults = scanner.faults;
        files->pagemap = scanner.pagemap;
        files->holes_are_silent = scanner.holes_are_silent;
        open = scanner.faults.open && scanner.pagemap.open;
    }
    written_unlock();
    (void)pthread_setcancelstate(state, &state);
    return open;
}

static inline PoolTracking written_service(void)
{
    WrittenFiles files;
    return written_files(true, &files) ? POOL_TRACKING_PAGEMAP_SCAN
                                       : POOL_TRACKING_COMPARE;
}

static inline void *written_map(size_t size)
{
    return platform_map(size, PLATFORM_SPARSE);
}

static inline void written_unmap(void *pages, size_t size)
{
    platform_unmap(pages, size);
}

/* Refused for pages that somebody else's userfaultfd watches. */
static inline bool written_watch(void *pages, size_t size)
{
    WrittenFiles files;
    if (!written_files(true, &files) ||
        !faults_register(files.faults.number, pages, size)) {
        return false;
    }
    if (!faults_protect(files.faults.number, pages, size)) {
        faults_unregister(files.faults.number, pages, size);
        return false;
    }
    return true;
}

static inline void written_unwatch(void *pages, size_t size)
{
    WrittenFiles files;
    if (written_files(false, &files) && file_is_ours(&files.faults)) {
        faults_unregister(files.faults.number, pages, size);
    }
}

static inline bool written_scan(unsigned char *at, unsigned char *end, bool protect,
                                size_t most, WrittenRange *ranges, size_t room,
                                size_t *count, unsigned char **stop)
{
    PageRegion region[256];
    PageScan scan = pages_to_scan(at, end, region, checked_min(room, 256));
    WrittenFiles files;
    long i, found;
    *count = 0;
    *stop = at;
    if (!written_files(false, &files) || !file_is_ours(&files.pagemap) ||
        (files.holes_are_silent && !written_find_holes(files.pagemap.number, at, end))) {
        return false;
    }
    scan.flags |= protect ? SCAN_WP_MATCHING : 0;
    scan.max_pages = most == SIZE_MAX ? 0 : most;
    found = pages_scan(files.pagemap.number, &scan);
    for (i = 0; i < found; i++) {
        ranges[i].start = (unsigned char *)(uintptr_t)region[i].start;
        ranges[i].end = (unsigned char *)(uintptr_t)region[i].end;
    }
    if (found >= 0) {
        *count = (size_t)found;
        *stop = (unsigned char *)(uintptr_t)scan.walk_end;
    }
    return found >= 0;
}

/* Called for one page after the other, so it does without a look at the descriptor: other
 * files do not know this request, and another userfaultfd does not watch these pages. */
static inline bool written_protect(void *pages, size_t size)
{
    WrittenFiles files;
    return written_files(false, &files) &&
           faults_protect(files.faults.number, pages, size);
}

/* The parent's descriptors are closed here, and stay open there. */
static inline void written_after_fork_child(void)
{
    file_close(&scanner.faults);
    file_close(&scanner.pagemap);
    scanner.owner = 0;
    scanner.refused = false;
    size_add_relaxed(&scanner.generation, 1);
    written_unlock();
}

static inline size_t written_generation(void)
{
    return 1 + size_load_relaxed(&scanner.generation);
}
