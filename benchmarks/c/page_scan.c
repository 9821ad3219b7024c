/* SPDX-License-Identifier: MIT */
/* page_scan.c - see page_scan.h; constants are here because many headers lack them */
#include "page_scan.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    USER_MODE_ONLY = 1,
    WP_UNPOPULATED = 1 << 13,
    WP_ASYNC = 1 << 15,
    REGISTER_WP = 2,
    PROTECT_WP = 1,
    SCAN_WP_MATCHING = 1,
    SCAN_CHECK_WPASYNC = 2,
    PAGE_IS_WRITTEN = 2,
    FEW = 64 /* from so many ranges on, one more scan costs less than a call for each */
};

typedef struct FaultsApi {
    uint64_t api, features, ioctls;
} FaultsApi;

typedef struct FaultsRegister {
    uint64_t start, size, mode, ioctls;
} FaultsRegister;

typedef struct FaultsProtect {
    uint64_t start, size, mode;
} FaultsProtect;

typedef struct PageScan {
    uint64_t size, flags, start, end, walk_end, ranges, room, most;
    uint64_t inverted, all_of, any_of, reported;
} PageScan;

#define FAULTS_API _IOWR(0xAA, 0x3F, FaultsApi)
#define FAULTS_REGISTER _IOWR(0xAA, 0x00, FaultsRegister)
#define FAULTS_PROTECT _IOWR(0xAA, 0x06, FaultsProtect)
#define PAGES_SCAN _IOWR('f', 16, PageScan)

static long scan_from(ScannedMemory *it, const unsigned char *at, uint64_t flags,
                      PageRange *ranges, size_t room)
{
    PageScan request = {.size = sizeof request,
                        .flags = flags | SCAN_CHECK_WPASYNC,
                        .start = (uintptr_t)at,
                        .end = (uintptr_t)it->memory + it->size,
                        .ranges = (uintptr_t)ranges,
                        .room = room,
                        .all_of = PAGE_IS_WRITTEN,
                        .reported = PAGE_IS_WRITTEN};
    return ioctl(it->pagemap, PAGES_SCAN, &request);
}

static long scan(ScannedMemory *it, uint64_t flags)
{
    return scan_from(it, it->memory, flags, it->ranges, it->size / PAGE);
}

const char *page_scan_open(ScannedMemory *it, size_t size)
{
    FaultsApi api = {.api = 0xAA, .features = WP_ASYNC | WP_UNPOPULATED};
    FaultsRegister area = {.size = size, .mode = REGISTER_WP};
    it->size = size;
    it->memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    it->ranges = malloc(size / PAGE * sizeof *it->ranges);
    bench_require(it->memory != MAP_FAILED && it->ranges != NULL, "mmap");
    (void)madvise(it->memory, size, MADV_NOHUGEPAGE);
    memset(it->memory, 1, size);
    area.start = (uintptr_t)it->memory;
    it->faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC | USER_MODE_ONLY);
    it->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (it->faults < 0 || it->pagemap < 0 || ioctl(it->faults, FAULTS_API, &api) != 0 ||
        ioctl(it->faults, FAULTS_REGISTER, &area) != 0 ||
        scan(it, SCAN_WP_MATCHING) < 0) {
        return "the system has no PAGEMAP_SCAN, or refuses it";
    }
    return NULL;
}

size_t page_scan_written(ScannedMemory *it)
{
    long count = scan(it, 0);
    bench_require(count >= 0, "PAGEMAP_SCAN");
    return (size_t)count;
}

bool page_scan_next(ScannedMemory *it, unsigned char **at, PageRange *found)
{
    long count = 0;
    if (*at < it->memory + it->size) {
        count = scan_from(it, *at, 0, found, 1);
        bench_require(count >= 0, "PAGEMAP_SCAN");
        *at = (unsigned char *)(uintptr_t)found->end;
    }
    return count > 0;
}

void page_scan_protect(ScannedMemory *it, size_t count)
{
    size_t i;
    if (count >= FEW) {
        bench_require(scan(it, SCAN_WP_MATCHING) >= 0, "PAGEMAP_SCAN");
        return;
    }
    for (i = 0; i < count; i++) {
        FaultsProtect range = {it->ranges[i].start,
                               it->ranges[i].end - it->ranges[i].start, PROTECT_WP};
        bench_require(ioctl(it->faults, FAULTS_PROTECT, &range) == 0,
                      "UFFDIO_WRITEPROTECT");
    }
}
