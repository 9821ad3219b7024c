/*
 * platform_posix.c - platform.h on POSIX systems
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
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

static void *platform_map(size_t size, PlatformUse use)
{
    int access = use == PLATFORM_ZEROS ? PROT_READ : PROT_READ | PROT_WRITE;
    void *pages = mmap(NULL, size, access, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
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

/* The number that a file begins with; SIZE_MAX if there is none. */
static size_t platform_number(const char *path)
{
    char text[32], *end;
    unsigned long long number;
    ssize_t size = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        size = read(file, text, sizeof text - 1);
        (void)close(file);
    }
    text[size > 0 ? size : 0] = '\0';
    number = strtoull(text, &end, 10);
    return end == text || number > SIZE_MAX ? SIZE_MAX : (size_t)number;
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
    /* What a container may use, where its control group is all that it sees of them; of the
     * second version and of the first. */
    memory = checked_min(memory, platform_number("/sys/fs/cgroup/memory.max"));
    return checked_min(memory,
                       platform_number("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
}

static void platform_yield(void)
{
    (void)sched_yield();
}

/* To sleep is a cancellation point; but a thread that waits in here may have locks, or a
 * place in line, and goes on to the end of its call. */
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
