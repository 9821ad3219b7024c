/* SPDX-License-Identifier: MIT */
/*
 * nbdkit.c - the allocators of an installed nbdkit, without its server
 *
 * nbdkit keeps RAM disks in allocators, "sparse" and "malloc" among them, that are linked
 * into its memory plugin. A plugin is a shared library whose one function returns a table
 * of callbacks, so it can be loaded here and called as the server would call it: what is
 * timed is the code that nbdkit ships, and neither its server nor its protocol. The few
 * functions that it asks its server for are below; this program exports them (it must be
 * linked with -rdynamic).
 *
 * A plugin keeps one disk, in variables of its own. For one more it is loaded once more,
 * out of a copy in memory: the loader tells libraries apart by their files.
 *
 * The plugin is looked for in the usual places, or is the file that NBDKIT_MEMORY_PLUGIN
 * names in the environment. The header that describes the table comes with nbdkit's development files; without it there is
 * nothing that could be measured.
 */
#include "nbdkit.h"

#if defined(__has_include)
#  if __has_include(<nbdkit-plugin.h>)
#    define HAVE_NBDKIT 1
#  endif
#endif

#ifdef HAVE_NBDKIT

#  define NBDKIT_API_VERSION 2
#  include <nbdkit-plugin.h>

#  include <dlfcn.h>
#  include <fcntl.h>
#  include <stdarg.h>
#  include <sys/mman.h>
#  include <sys/sendfile.h>
#  include <unistd.h>

/* ----------------------------------------------------- what the plugin asks for */

void nbdkit_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("bench: nbdkit's plugin says: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("\n", stderr);
    va_end(arguments);
}

void nbdkit_debug(const char *format, ...)
{
    (void)format;
}

/* Plain numbers, which is what is given to it here. */
int64_t nbdkit_parse_size(const char *text)
{
    return (int64_t)strtoll(text, NULL, 10);
}

int nbdkit_parse_bool(const char *text)
{
    return strcmp(text, "true") == 0;
}

/* For clients that ask what is allocated; nobody does here. */
int nbdkit_add_extent(struct nbdkit_extents *extents, uint64_t offset, uint64_t length,
                      uint32_t type)
{
    (void)extents;
    (void)offset;
    (void)length;
    (void)type;
    return 0;
}

void nbdkit_extents_free(struct nbdkit_extents *extents)
{
    (void)extents;
}

void nbdkit_exports_free(struct nbdkit_exports *exports)
{
    (void)exports;
}

/* --------------------------------------------------------------------- loading */

/* A copy of the plugin's file in memory; negative if it is nowhere. */
static int copy_plugin(void)
{
    static const char *const places[] = {
        "/usr/lib/x86_64-linux-gnu/nbdkit/plugins/nbdkit-memory-plugin.so",
        "/usr/lib/aarch64-linux-gnu/nbdkit/plugins/nbdkit-memory-plugin.so",
        "/usr/lib64/nbdkit/plugins/nbdkit-memory-plugin.so",
        "/usr/lib/nbdkit/plugins/nbdkit-memory-plugin.so",
        "/usr/local/lib/nbdkit/plugins/nbdkit-memory-plugin.so",
    };
    const char *named = getenv("NBDKIT_MEMORY_PLUGIN");
    int from = named == NULL ? -1 : open(named, O_RDONLY | O_CLOEXEC), copy;
    size_t i;
    for (i = 0; named == NULL && from < 0 && i < sizeof places / sizeof *places; i++) {
        from = open(places[i], O_RDONLY | O_CLOEXEC);
    }
    if (from < 0) {
        return -1;
    }
    copy = memfd_create("nbdkit-memory-plugin", MFD_CLOEXEC);
    bench_require(copy >= 0, "memfd_create");
    while (sendfile(copy, from, NULL, MIB) > 0) {
    }
    close(from);
    return copy;
}

/* The library's table of callbacks, or NULL. */
static struct nbdkit_plugin *load_plugin(NbdkitDisk *disk)
{
    struct nbdkit_plugin *(*plugin_init)(void);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", disk->file);
    disk->library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    if (disk->library == NULL) {
        fprintf(stderr, "bench: %s\n", dlerror());
        return NULL;
    }
    *(void **)&plugin_init = dlsym(disk->library, "plugin_init");
    return plugin_init == NULL ? NULL : plugin_init();
}

/* Takes a plugin to where a client can be served, as the server does. */
static void start_plugin(NbdkitDisk *disk, const char *allocator, size_t size)
{
    struct nbdkit_plugin *plugin = disk->plugin;
    char number[32];
    snprintf(number, sizeof number, "%zu", size);
    if (plugin->load != NULL) {
        plugin->load();
    }
    bench_require(plugin->config("size", number) == 0 &&
                      plugin->config("allocator", allocator) == 0 &&
                      plugin->config_complete() == 0 && plugin->get_ready() == 0,
                  "configuring nbdkit's plugin");
    disk->handle = plugin->open(0);
    bench_require(disk->handle != NULL, "opening nbdkit's disk");
    disk->read = plugin->pread;
    disk->write = plugin->pwrite;
}

const char *nbdkit_open(NbdkitDisk *disk, const char *allocator, size_t size)
{
    disk->file = copy_plugin();
    if (disk->file < 0) {
        return "nbdkit is not installed";
    }
    disk->plugin = load_plugin(disk);
    if (disk->plugin == NULL || disk->plugin->_api_version != NBDKIT_API_VERSION) {
        close(disk->file);
        return "this nbdkit's plugin cannot be loaded without its server";
    }
    start_plugin(disk, allocator, size);
    return NULL;
}

void nbdkit_close(NbdkitDisk *disk)
{
    if (disk->plugin->unload != NULL) {
        disk->plugin->unload(); /* which frees the disk */
    }
    dlclose(disk->library);
    close(disk->file);
}

#else /* without <nbdkit-plugin.h> */

const char *nbdkit_open(NbdkitDisk *disk, const char *allocator, size_t size)
{
    (void)disk;
    (void)allocator;
    (void)size;
    return "built without nbdkit's header for plugins";
}

void nbdkit_close(NbdkitDisk *disk)
{
    (void)disk;
}

#endif
