/* SPDX-License-Identifier: MIT */
/*
 * failing.c - loaded before nbdkit: the N-th request of the plugin to the system fails
 *
 * Requests are for memory, threads, descriptors and room on disk. Those of the plugin are
 * told by where they come from; in the thread that the plugin starts, the C library asks
 * for memory for it, too. What nbdkit itself asks for is not touched.
 *
 * The file that FAILING_PLAN names holds three numbers, which the test may change at any
 * time: how many requests it takes until one fails (0: none fails), how many have failed,
 * and whether none is counted just now.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct Plan {
    atomic_llong until, failed, calm;
} *plan;

static _Thread_local bool ours; /* the thread is the plugin's */

/* Those below the names that are replaced here, without the search for them, which asks
 * for memory itself. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *data, size_t size);

__attribute__((constructor)) static void find_plan(void)
{
    int file = open(getenv("FAILING_PLAN"), O_RDWR | O_CLOEXEC);
    void *mapped = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) {
        abort();
    }
    plan = mapped;
    close(file);
}

static bool is_plugin(const void *caller)
{
    Dl_info found;
    return dladdr(caller, &found) != 0 &&
           strstr(found.dli_fname, "nbdkit-mempool-plugin") != NULL;
}

static bool fails(const void *caller, int error)
{
    if (plan == NULL || atomic_load(&plan->calm) || atomic_load(&plan->until) <= 0 ||
        !(ours || is_plugin(caller)) || atomic_fetch_sub(&plan->until, 1) != 1) {
        return false;
    }
    atomic_fetch_add(&plan->failed, 1);
    errno = error;
    return true;
}

#define FAILS(error) fails(__builtin_return_address(0), error)

void *malloc(size_t size)
{
    return FAILS(ENOMEM) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return FAILS(ENOMEM) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *data, size_t size)
{
    return FAILS(ENOMEM) ? NULL : __libc_realloc(data, size);
}

/* A function that is the system's unless it fails, with `result` and an error. */
#define FAILING(type, name, parameters, arguments, result, error)                        \
    type name parameters                                                                 \
    {                                                                                    \
        type(*real) parameters = (type(*) parameters)dlsym(RTLD_NEXT, #name);            \
        return FAILS(error) ? (result) : real arguments;                                 \
    }

FAILING(char *, strdup, (const char *text), (text), NULL, ENOMEM)
FAILING(char *, realpath, (const char *path, char *into), (path, into), NULL, ENOMEM)
FAILING(int, vasprintf, (char **into, const char *format, va_list more),
        (into, format, more), -1, ENOMEM)
FAILING(int, vsnprintf, (char *into, size_t size, const char *format, va_list more),
        (into, size, format, more), -1, ENOMEM)
FAILING(FILE *, open_memstream, (char **into, size_t *size), (into, size), NULL, ENOMEM)
FAILING(void *, mmap,
        (void *at, size_t size, int access, int flags, int file, off_t from),
        (at, size, access, flags, file, from), MAP_FAILED, ENOMEM)
FAILING(int, socket, (int family, int type, int protocol), (family, type, protocol), -1,
        EMFILE)
FAILING(int, bind, (int file, const struct sockaddr *address, socklen_t size),
        (file, address, size), -1, EACCES)
FAILING(int, listen, (int file, int most), (file, most), -1, EOPNOTSUPP)
FAILING(int, accept4, (int file, struct sockaddr *address, socklen_t *size, int flags),
        (file, address, size, flags), -1, EMFILE)
FAILING(int, poll, (struct pollfd * polled, nfds_t count, int wait),
        (polled, count, wait), -1, ENOMEM)
FAILING(ssize_t, recv, (int file, void *data, size_t size, int flags),
        (file, data, size, flags), -1, ENOMEM)
FAILING(ssize_t, send, (int file, const void *data, size_t size, int flags),
        (file, data, size, flags), -1, ENOBUFS)
FAILING(int, pipe2, (int files[2], int flags), (files, flags), -1, EMFILE)
FAILING(int, mkostemp, (char *name, int flags), (name, flags), -1, EMFILE)
FAILING(int, stat, (const char *path, struct stat *facts), (path, facts), -1, ENOMEM)
FAILING(off_t, lseek, (int file, off_t offset, int whence), (file, offset, whence), -1,
        EIO)
FAILING(int, fchmod, (int file, mode_t mode), (file, mode), -1, EIO)
FAILING(int, ftruncate, (int file, off_t size), (file, size), -1, ENOSPC)
FAILING(ssize_t, pwrite, (int file, const void *data, size_t size, off_t offset),
        (file, data, size, offset), -1, ENOSPC)
FAILING(int, fsync, (int file), (file), -1, EIO)
FAILING(int, linkat, (int from, const char *old, int to, const char *made, int flags),
        (from, old, to, made, flags), -1, EIO)
FAILING(int, rename, (const char *from, const char *to), (from, to), -1, EIO)

int asprintf(char **into, const char *format, ...)
{
    va_list more;
    va_start(more, format);
    int result = FAILS(ENOMEM) ? -1 : vasprintf(into, format, more);
    va_end(more);
    return result;
}

/* What a thread of the plugin's begins with. */
typedef struct Start {
    void *(*work)(void *);
    void *argument;
} Start;

static void *begin(void *given)
{
    Start start = *(Start *)given;
    free(given);
    ours = true;
    return start.work(start.argument);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                   void *(*work)(void *), void *argument)
{
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
        (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(
            RTLD_NEXT, "pthread_create");
    if (!is_plugin(__builtin_return_address(0))) {
        return real(thread, attributes, work, argument);
    }
    if (FAILS(EAGAIN)) {
        return EAGAIN;
    }
    Start *start = __libc_malloc(sizeof *start);
    *start = (Start){work, argument};
    return real(thread, attributes, begin, start);
}
