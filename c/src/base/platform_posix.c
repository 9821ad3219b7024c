/* SPDX-License-Identifier: MIT */
/*
 * platform_posix.c - platform.h on POSIX systems
 */
#include "base.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static void *platform_alloc(size_t size)
{
    return malloc(size);
}

static void platform_free(void *memory)
{
    free(memory);
}

static void platform_close(intptr_t descriptor)
{
    (void)close((int)descriptor);
}

static size_t platform_page_size(void)
{
    static AtomicSize known; /* 0: not asked for yet */
    size_t size = size_load_relaxed(&known);
    if (size == 0) {
        long answer = sysconf(_SC_PAGESIZE);
        size = answer >= 4096 && answer <= PLATFORM_MAP_MIN ? (size_t)answer
                                                            : PLATFORM_MAP_MIN;
        size_store_relaxed(&known, size);
    }
    return size;
}

/* Maps pages, or returns NULL. */
static unsigned char *pages_map_anywhere(size_t size, int access)
{
    void *pages = mmap(NULL, size, access, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : (unsigned char *)pages;
}

/* The same, aligned. Mappings mostly lie beside each other, so that one after another of
 * the same size is aligned; else more are mapped, and those too many unmapped. */
static unsigned char *pages_map_aligned(size_t size, size_t alignment, int access)
{
    unsigned char *pages = pages_map_anywhere(size, access);
    if (pages == NULL || (uintptr_t)pages % alignment == 0) {
        return pages;
    }
    (void)munmap(pages, size);
    pages = pages_map_anywhere(size + alignment, access);
    if (pages != NULL) {
        size_t before = alignment - (uintptr_t)pages % alignment;
        size_t after = alignment - before;
        (void)munmap(pages, before);
        pages += before;
        if (after > 0) {
            (void)munmap(pages + size, after);
        }
    }
    return pages;
}

static void *platform_map(size_t size, PlatformUse use)
{
    int access = use == PLATFORM_ZEROS ? PROT_READ : PROT_READ | PROT_WRITE;
    void *pages =
        pages_map_aligned(size, checked_min(size, PLATFORM_ALIGNED_MAX), access);
    if (pages == NULL) {
        return NULL;
    }
#ifdef MADV_NOHUGEPAGE
    if (use == PLATFORM_SPARSE) {
        (void)madvise(pages, size, MADV_NOHUGEPAGE); /* a kernel without them refuses */
    }
#endif
    return pages;
}

static void platform_unmap(void *pages, size_t size)
{
    (void)munmap(pages, size);
}

static void platform_populate(void *pages, size_t size)
{
#ifdef MADV_POPULATE_WRITE
    (void)madvise(pages, size, MADV_POPULATE_WRITE); /* older kernels refuse */
#else
    (void)pages;
    (void)size;
#endif
}

static void platform_huge(void *pages, size_t size, bool huge)
{
#if defined(MADV_HUGEPAGE) && defined(MADV_NOHUGEPAGE)
    (void)madvise(pages, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
#else
    (void)pages;
    (void)size;
    (void)huge;
#endif
}

static bool platform_reset(void *pages, size_t size)
{
#ifdef __linux__
    return madvise(pages, size, MADV_DONTNEED) == 0;
#else
    /* Elsewhere that advice may do nothing; a new mapping in place of the old one works
     * everywhere. */
    return mmap(pages, size, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == pages;
#endif
}

/* Reads the beginning of a file as a text of fewer than room bytes; empty if there is
 * none. */
static void platform_text(const char *path, char *text, size_t room)
{
    size_t size = 0;
    ssize_t some = 1;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    while (file >= 0 && some > 0 && size < room - 1) {
        some = read(file, text + size, room - 1 - size);
        size += some > 0 ? (size_t)some : 0;
    }
    if (file >= 0) {
        (void)close(file);
    }
    text[size] = '\0';
}

/* The number that a text begins with; SIZE_MAX if there is none, or it is larger. */
static size_t text_number(const char *text)
{
    char *end;
    unsigned long long number = strtoull(text, &end, 10);
    return end == text || number > SIZE_MAX ? SIZE_MAX : (size_t)number;
}

static size_t platform_number(const char *path)
{
    char text[32];
    platform_text(path, text, sizeof text);
    return text_number(text);
}

static size_t platform_memory(void)
{
    size_t memory = SIZE_MAX;
#ifdef _SC_PHYS_PAGES
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_size = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page_size > 0 && (size_t)pages <= SIZE_MAX / (size_t)page_size) {
        memory = (size_t)pages * (size_t)page_size;
    }
#endif
    /* What a container may use, where its control group is all that it sees of them; of
     * the second version and of the first. */
    memory = checked_min(memory, platform_number("/sys/fs/cgroup/memory.max"));
    return checked_min(memory,
                       platform_number("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
}

#ifdef __linux__

/* The number on the line of a text that begins with a name; 0 if there is none. */
static size_t text_field(const char *text, const char *name)
{
    size_t length = strlen(name);
    for (; text != NULL; text = strchr(text, '\n')) {
        text += *text == '\n';
        if (strncmp(text, name, length) == 0) {
            size_t number = text_number(text + length);
            return number == SIZE_MAX ? 0 : number;
        }
    }
    return 0;
}

/* The two versions of control groups say the same in other words. */
typedef struct Group {
    const char *line; /* what its line in /proc/self/cgroup has before the path */
    const char *root, *limit, *usage, *swap_limit, *swap_usage;
    const char *cache[2]; /* fields of memory.stat: what is freed where need be */
} Group;

static const Group groups[] = {
    {"0::",
     "/sys/fs/cgroup",
     "memory.max",
     "memory.current",
     "memory.swap.max",
     "memory.swap.current",
     {"inactive_file ", "active_file "}},
    {":memory:",
     "/sys/fs/cgroup/memory",
     "memory.limit_in_bytes",
     "memory.usage_in_bytes",
     NULL,
     NULL,
     {"total_inactive_file ", "total_active_file "}},
};

enum { PATH_ROOM = 4096, NAME_ROOM = 32 };

/* The number in a file of a group; SIZE_MAX if there is none. path has NAME_ROOM bytes
 * left. */
static size_t group_number(char *path, const char *name)
{
    size_t end = strlen(path), number;
    (void)snprintf(path + end, NAME_ROOM, "/%s", name);
    number = platform_number(path);
    path[end] = '\0';
    return number;
}

/* What a group may still use; SIZE_MAX if it has no limit. */
static size_t group_room(const Group *group, char *path, size_t swap)
{
    char text[4096];
    size_t end = strlen(path), cache;
    size_t limit = group_number(path, group->limit);
    size_t usage = group_number(path, group->usage);
    if (limit == SIZE_MAX || usage == SIZE_MAX) {
        return SIZE_MAX;
    }
    (void)snprintf(path + end, NAME_ROOM, "/memory.stat");
    platform_text(path, text, sizeof text);
    path[end] = '\0';
    cache = text_field(text, group->cache[0]) + text_field(text, group->cache[1]);
    usage -= checked_min(usage, cache);
    if (group->swap_limit != NULL) {
        size_t swap_limit = group_number(path, group->swap_limit);
        size_t swap_usage = group_number(path, group->swap_usage);
        if (swap_limit != SIZE_MAX && swap_usage != SIZE_MAX) {
            swap = checked_min(swap, swap_limit - checked_min(swap_limit, swap_usage));
        }
    }
    return checked_plus(limit - checked_min(limit, usage), swap);
}

/* The least of that for the group of this process and those above it. A container sees
 * its own at the root, whatever path the system reports. */
static size_t group_available(const Group *group, const char *lines, size_t swap)
{
    char path[PATH_ROOM + NAME_ROOM];
    const char *line = strstr(lines, group->line);
    size_t available = SIZE_MAX, root = strlen(group->root), size;
    line = line == NULL ? "" : line + strlen(group->line);
    size = strcspn(line, "\n");
    size = size == 1 || size >= PATH_ROOM - root ? 0 : size; /* "/" is the root */
    memcpy(path, group->root, root);
    memcpy(path + root, line, size);
    path[root + size] = '\0';
    for (;;) {
        available = checked_min(available, group_room(group, path, swap));
        if (strlen(path) <= root) {
            return available;
        }
        *strrchr(path, '/') = '\0';
    }
}

static size_t platform_available(void)
{
    char text[4096];
    size_t available, swap, i;
    platform_text("/proc/meminfo", text, sizeof text);
    available = checked_times(text_field(text, "MemAvailable:"), 1024);
    swap = checked_times(text_field(text, "SwapFree:"), 1024);
    available = available == 0 ? SIZE_MAX : checked_plus(available, swap);
    platform_text("/proc/self/cgroup", text, sizeof text);
    for (i = 0; i < sizeof groups / sizeof *groups; i++) {
        available = checked_min(available, group_available(&groups[i], text, swap));
    }
    return available;
}
#else
/* Others do not say what is in use: what is more than there is at all cannot be had. */
static size_t platform_available(void)
{
    return platform_memory();
}
#endif

#if defined(__GLIBC__) && defined(__GNUC__)
/* Of glibc 2.32 and later. The name is weak, so that the library also loads where it is
 * missing: its address is NULL then. */
extern char __libc_single_threaded __attribute__((weak));

static inline bool platform_single_threaded(void)
{
    return &__libc_single_threaded != NULL && __libc_single_threaded != 0;
}
#else
static inline bool platform_single_threaded(void)
{
    return false;
}
#endif

static void platform_yield(void)
{
    (void)sched_yield();
}

/* To sleep is a cancellation point. But a thread that waits in here may have locks or a
 * ticket of a queue, so it must finish its call. */
static unsigned platform_nap(unsigned microseconds)
{
    struct timespec time = {0, (long)microseconds * 1000};
    int state;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    (void)nanosleep(&time, NULL);
    (void)pthread_setcancelstate(state, &state);
    return microseconds;
}

static bool platform_at_fork(void (*prepare)(void), void (*parent)(void),
                             void (*child)(void))
{
    return !POOL_FAULT() && pthread_atfork(prepare, parent, child) == 0;
}
