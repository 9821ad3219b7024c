/* SPDX-License-Identifier: MIT */
/*
 * test_unload.c - a program that loads the library, uses it, unloads it, and goes on
 *
 *     test_unload LIBRARY
 *
 * The system has the addresses of the library's handlers for fork, and its views may
 * still be in use. So the library must stay loaded when the program unloads it.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory_pool.h"

static void *library;

static int fail(const char *what)
{
    const char *why = dlerror();
    fprintf(stderr, "FAILED: %s%s%s\n", what, why != NULL ? ": " : "",
            why != NULL ? why : "");
    return 1;
}

/* Puts the address of a function into the pointer at `function`; what dlsym returns
 * cannot be converted in standard C. */
static void find(const char *name, void *function)
{
    void *address = dlsym(library, name);
    memcpy(function, &address, sizeof address);
}

/* Views some bytes of a pool that is ended then; 1 if all went well. */
static int view_text(PoolView *view)
{
    MemoryPool *(*create)(size_t, size_t);
    void (*destroy)(MemoryPool *);
    size_t (*write_to)(MemoryPool *, size_t, const void *, size_t);
    PoolStatus (*view_of)(MemoryPool *, size_t, size_t, PoolView *);
    MemoryPool *pool;
    int done;

    find("pool_create", (void *)&create);
    find("pool_destroy", (void *)&destroy);
    find("pool_write", (void *)&write_to);
    find("pool_view", (void *)&view_of);
    pool = create(4096, 1024);
    done = write_to(pool, 0, "still here", 11) == 11 &&
           view_of(pool, 0, 11, view) == POOL_OK;
    destroy(pool);
    return done;
}

/* Whether a child can be made that ends as it should. */
static int can_fork(void)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

int main(int argc, char **argv)
{
    PoolView view = {sizeof view, NULL, 0, NULL, NULL, NULL, 0};
    void (*release)(PoolView *);

    library =
        dlopen(argc > 1 ? argv[1] : "(no library was named)", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        return fail("dlopen");
    }
    find("pool_view_release", (void *)&release);
    if (!view_text(&view)) {
        return fail("a view");
    }
    if (dlclose(library) != 0) {
        return fail("dlclose");
    }
    if (strcmp(view.data, "still here") != 0) {
        return fail("the view after dlclose");
    }
    release(&view);
    if (!can_fork()) {
        return fail("fork after dlclose");
    }
    printf("loaded, used, unloaded, forked\n");
    return 0;
}
