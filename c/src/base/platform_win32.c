/* SPDX-License-Identifier: MIT */
/*
 * platform_win32.c - platform.h on Windows
 */
#include "base.h"

#include <stdint.h>
#include <stdlib.h>
#ifndef WIN32_LEAN_AND_MEAN
#  define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>

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
    (void)CloseHandle((HANDLE)descriptor);
}

static size_t platform_page_size(void)
{
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return checked_max(4096, info.dwPageSize);
}

/* A mapping cannot be unmapped in part: an aligned one is requested at an address in a
 * larger range that was free a moment ago. Another thread may take it in between. */
static void *platform_map(size_t size, PlatformUse use)
{
    enum { TRIES = 16 };
    /* Committed pages take memory when they are touched, one by one. */
    DWORD access = use == PLATFORM_ZEROS ? PAGE_READONLY : PAGE_READWRITE;
    size_t alignment = checked_min(size, PLATFORM_ALIGNED_MAX);
    void *pages = VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, access);
    unsigned tries;
    if (pages == NULL || (uintptr_t)pages % alignment == 0) {
        return pages;
    }
    (void)VirtualFree(pages, 0, MEM_RELEASE);
    for (tries = 0; tries < TRIES; tries++) {
        uintptr_t at;
        pages = VirtualAlloc(NULL, size + alignment, MEM_RESERVE, PAGE_NOACCESS);
        if (pages == NULL) {
            return NULL;
        }
        (void)VirtualFree(pages, 0, MEM_RELEASE);
        at = ((uintptr_t)pages + alignment - 1) & ~(uintptr_t)(alignment - 1);
        pages = VirtualAlloc((void *)at, size, MEM_RESERVE | MEM_COMMIT, access);
        if (pages != NULL) {
            return pages;
        }
    }
    return NULL;
}

static void platform_unmap(void *pages, size_t size)
{
    (void)size;
    (void)VirtualFree(pages, 0, MEM_RELEASE);
}

static void platform_populate(void *pages, size_t size)
{
    (void)pages;
    (void)size;
}

static void platform_huge(void *pages, size_t size, bool huge)
{
    (void)pages; /* large pages of Windows cannot be returned in part */
    (void)size;
    (void)huge;
}

static bool platform_reset(void *pages, size_t size)
{
    (void)VirtualAlloc(pages, size, MEM_RESET, PAGE_READWRITE);
    return false; /* the pages stay committed, and may keep what was in them */
}

static size_t platform_memory(void)
{
    MEMORYSTATUSEX status;
    status.dwLength = sizeof status;
    if (!GlobalMemoryStatusEx(&status) || status.ullTotalPhys > SIZE_MAX) {
        return SIZE_MAX;
    }
    return (size_t)status.ullTotalPhys;
}

static size_t platform_available(void)
{
    MEMORYSTATUSEX status;
    status.dwLength = sizeof status;
    if (!GlobalMemoryStatusEx(&status) || status.ullAvailPageFile > SIZE_MAX) {
        return SIZE_MAX;
    }
    return (size_t)
        status.ullAvailPageFile; /* memory and paging file, as they are promised */
}

static inline bool platform_single_threaded(void)
{
    return false; /* Windows starts threads of its own in a process */
}

static void platform_yield(void)
{
    (void)SwitchToThread();
}

/* Sleep takes up to 16 ms; the timer half a millisecond, where the system has such. */
#ifndef CREATE_WAITABLE_TIMER_HIGH_RESOLUTION
#  define CREATE_WAITABLE_TIMER_HIGH_RESOLUTION 2
#endif

static unsigned platform_nap(unsigned microseconds)
{
    HANDLE timer = CreateWaitableTimerExW(
        NULL, NULL, CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, TIMER_ALL_ACCESS);
    LARGE_INTEGER time;
    time.QuadPart = -10 * (LONGLONG)microseconds; /* relative, in units of 100 ns */
    if (timer != NULL && SetWaitableTimer(timer, &time, 0, NULL, NULL, FALSE)) {
        (void)WaitForSingleObject(timer, INFINITE);
    } else {
        Sleep(1);
        microseconds = 16000;
    }
    if (timer != NULL) {
        (void)CloseHandle(timer);
    }
    return microseconds;
}

static bool platform_at_fork(void (*prepare)(void), void (*parent)(void),
                             void (*child)(void))
{
    (void)prepare;
    (void)parent;
    (void)child;
    return true;
}
