/* SPDX-License-Identifier: MIT */
/*
 * plugin.c - nbdkit-mempool-plugin: a memory pool as a network block device
 *
 *     NBD clients ──► nbdkit ──► plugin.c ──► pool of the connection's disk
 *                                   │
 *                      record.c ──► disks.c   the disk itself, snapshots, clones
 *                                   ▲
 *     control socket ──► control.c ──► commands.c
 *     command line ──► config.c
 *     files ◄──► image.c
 *
 * A request is one call of the library, which does the locking: requests run in parallel,
 * each is one atomic step, and one that fails for lack of memory changes nothing. In this
 * file only open, close and the list of exports take a lock: see disks.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "clients.h"
#include "config.h"
#include "control.h"
#include "disks.h"
#include "image.h"
#include "memory_pool.h"
#include "record.h"
#include "traffic.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

#define TEXT(number) TEXT_OF(number)
#define TEXT_OF(number) #number
#define VERSION                                                                          \
    TEXT(POOL_VERSION_MAJOR) "." TEXT(POOL_VERSION_MINOR) "." TEXT(POOL_VERSION_PATCH)

enum { SECTOR = 512 }; /* bytes; most clients use whole ones only */

static bool lost; /* saving failed */

/* A client's connection to one disk, which stays as long as the client does. */
typedef struct Connection {
    Disk disk;
    Peer peer; /* if there is a control socket */
    int64_t size;
    size_t block_size;
    atomic_bool logged; /* an error was; a full disk fails thousands of requests */
} Connection;

static void mempool_dump_plugin(void)
{
    unsigned version = pool_version();
    printf("memory_pool_version=%u.%u.%u\n", version >> 16, version >> 8 & 255,
           version & 255);
    printf("block_size_default=%d\n", CONFIG_BLOCK_SIZE);
}

/* ---------------------------------------------------------------- start and end */

/* Creates the pool of the disk itself; NULL after nbdkit_error. */
static MemoryPool *make_pool(void)
{
    PoolOptions options = {
        .struct_size = sizeof options,
        .total_size = (size_t)config.size,
        .max_block_size = (size_t)config.block,
        .memory_limit = (size_t)config.limit,
    };
    PoolStats stats = {.struct_size = offsetof(PoolStats, shared_blocks)};
    MemoryPool *pool = pool_create_with(&options);
    if (pool == NULL) {
        nbdkit_error("%s", pool_status_text(pool_last_status()));
        return NULL;
    }
    pool_stats(pool, &stats);
    if (config.limit != 0 && (size_t)config.limit < stats.block_size) {
        nbdkit_error("limit: less than one block, of %zu bytes", stats.block_size);
        pool_destroy(pool);
        return NULL;
    }
    return pool;
}

/* Opens the image; the disk gets its size if there is no size parameter. */
static int open_image(void)
{
    int64_t size = image_open(config.image, config.raw);
    if (size == -1) {
        return -1;
    }
    if (config.size == -1) {
        config.size = size;
    } else if (config.size < size) {
        nbdkit_error("image: %s: the image has %" PRIi64 " bytes, the disk only %" PRIi64,
                     config.image, size, config.size);
        return -1;
    }
    return 0;
}

/* Notes a size of which clients cannot use the end. */
static void note_size(void)
{
    if (config.size % SECTOR != 0) {
        fprintf(stderr,
                "nbdkit: mempool: note: the disk has %" PRIi64 " bytes, no multiple of "
                "%d: Linux does not use the rest, and qemu cannot write it\n",
                config.size, SECTOR);
    }
}

/* Does all that can fail, before nbdkit goes into the background. */
static int mempool_get_ready(void)
{
    MemoryPool *pool;
    const char *error;
    if (config.image != NULL && open_image() != 0) {
        return -1;
    }
    note_size();
    pool = make_pool();
    if (pool == NULL) {
        return -1;
    }
    error = disks_start(pool);
    if (error != NULL) {
        nbdkit_error("%s", error);
        pool_destroy(pool);
        return -1;
    }
    if ((config.image != NULL && image_adopt(pool) != 0) ||
        (config.save != NULL && image_check_target(config.save, config.size) != 0)) {
        return -1;
    }
    return config.control == NULL ? 0 : control_listen(config.control);
}

static int mempool_after_fork(void)
{
    return config.control == NULL ? 0 : control_start();
}

/* Called when nbdkit no longer waits for connections. It has waited for them to end, but
 * only for a while, and it has not called close for those that ended meanwhile. */
static void mempool_cleanup(void)
{
    Disk disk;
    control_stop();
    if (config.save != NULL && disks_find("", &disk)) {
        const char *error = image_save(disk.pool, config.save);
        if (error != NULL) {
            nbdkit_error("save: %s: %s", config.save, error);
            lost = true;
        }
        pool_destroy(disk.pool);
    }
}

static void mempool_unload(void)
{
    control_stop();
    disks_end();
    config_end();
    if (lost) { /* there is no other way to report it to the parent process */
        exit(EXIT_FAILURE);
    }
}

/* ---------------------------------------------------------------------- exports */

/* Returns the description of an export, which nbdkit keeps until the connection ends. */
static const char *description_of(const Disk *disk)
{
    if (disk->name[0] == '\0') {
        return "the disk";
    }
    return nbdkit_printf_intern(
        "%s of %s", disk->writable ? "a writable clone" : "a read-only snapshot",
        disk->origin[0] == '\0' ? "the disk" : disk->origin);
}

static int add_export(const Disk *disk, void *exports)
{
    return nbdkit_add_export(exports, disk->name, description_of(disk));
}

/* Locks: the table of disks. */
static int mempool_list_exports(int readonly, int is_tls, struct nbdkit_exports *exports)
{
    (void)readonly;
    (void)is_tls;
    return disks_visit(add_export, exports);
}

/* Locks: the table of disks. */
static void *mempool_open(int readonly)
{
    const char *name = nbdkit_export_name();
    (void)readonly; /* nbdkit enforces that itself */
    PoolStats stats = {.struct_size = offsetof(PoolStats, shared_blocks)};
    Connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        nbdkit_error("calloc: %m");
        return NULL;
    }
    if (name == NULL || !disks_open(name, &connection->disk)) {
        /* Clients can send anything: only names that a disk may have go into the log. */
        bool good = name != NULL && disk_name_is_good(name);
        nbdkit_error("there is no export of %s%s", good ? "the name " : "such a name",
                     good ? name : "");
        free(connection);
        return NULL;
    }
    pool_stats(connection->disk.pool, &stats);
    connection->size = (int64_t)stats.total_size;
    connection->block_size = stats.block_size;
    if (config.control != NULL) {
        clients_add(&connection->peer, connection->disk.name);
    }
    return connection;
}

static void mempool_close(void *handle)
{
    Connection *connection = handle;
    if (config.control != NULL) {
        clients_remove(&connection->peer);
    }
    disks_close(&connection->disk);
    free(connection);
}

static const char *mempool_export_description(void *handle)
{
    return description_of(&((Connection *)handle)->disk);
}

static int64_t mempool_get_size(void *handle)
{
    return ((Connection *)handle)->size;
}

/* By the protocol, the preferred size is a power of two from 512 bytes to 32 MiB. */
static int mempool_block_size(void *handle, uint32_t *minimum, uint32_t *preferred,
                              uint32_t *maximum)
{
    size_t block_size = ((Connection *)handle)->block_size;
    *minimum = 1;
    *preferred = block_size < 4096        ? 4096
                 : block_size > 32u << 20 ? 32u << 20
                                          : (uint32_t)block_size;
    *maximum = UINT32_MAX;
    return 0;
}

static int mempool_can_write(void *handle)
{
    return ((Connection *)handle)->disk.writable;
}

/* Also for can_multi_conn: all connections to a disk use one pool, so that each reads at
 * once what another has written. */
static int yes(void *handle)
{
    (void)handle;
    return 1;
}

static int no(void *handle)
{
    (void)handle;
    return 0;
}

/* FUA needs nothing, unless it is recorded: nbdkit emulates it by a flush. */
static int mempool_can_fua(void *handle)
{
    (void)handle;
    return config.record ? NBDKIT_FUA_EMULATE : NBDKIT_FUA_NATIVE;
}

/* Without an image there is nothing to be cached; with one, nbdkit reads the range. */
static int mempool_can_cache(void *handle)
{
    (void)handle;
    return config.image == NULL ? NBDKIT_CACHE_NATIVE : NBDKIT_CACHE_EMULATE;
}

/* --------------------------------------------------------------------- requests */

/* Fails a request. Only the first error of a connection is logged. */
static int fail(Connection *connection, const char *request, const char *reason,
                int error)
{
    traffic_count_failure();
    if (!atomic_exchange(&connection->logged, true)) {
        nbdkit_error("export '%s': %s: %s; further errors of this connection are not "
                     "logged",
                     connection->disk.name, request, reason);
    }
    nbdkit_set_error(error);
    return -1;
}

/* Fails a request with the status of the library's last call. */
static int failed(Connection *connection, const char *request)
{
    PoolStatus status = pool_last_status();
    return fail(connection, request, pool_status_text(status),
                status == POOL_LIMIT       ? ENOSPC
                : status == POOL_NO_MEMORY ? ENOMEM
                                           : EIO);
}

static int mempool_pread(void *handle, void *buffer, uint32_t count, uint64_t offset,
                         uint32_t flags)
{
    Connection *connection = handle;
    (void)flags;
    if (pool_read(connection->disk.pool, buffer, (size_t)offset, count) != count) {
        return failed(connection, "read");
    }
    traffic_count(TRAFFIC_READ, count);
    return 0;
}

/* FUA needs nothing more: memory is as persistent as it gets here. */
static int mempool_pwrite(void *handle, const void *buffer, uint32_t count,
                          uint64_t offset, uint32_t flags)
{
    Connection *connection = handle;
    (void)flags;
    if (pool_write(connection->disk.pool, (size_t)offset, buffer, count) != count) {
        return failed(connection, "write");
    }
    traffic_count(TRAFFIC_WRITE, count);
    return 0;
}

/* Flushes nothing, but may record the state; then it fails if that does. */
static int mempool_flush(void *handle, uint32_t flags)
{
    Connection *connection = handle;
    (void)flags;
    if (!config.record || connection->disk.name[0] != '\0') {
        return 0;
    }
    const char *error = record_flush(connection->disk.pool, config.records);
    return error == NULL ? 0 : fail(connection, "flush", error, ENOMEM);
}

/* A trim is a hint, so it must not fail: if there is no memory to copy the shared blocks
 * at its ends, discards the whole blocks between them. */
static int mempool_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    Connection *connection = handle;
    MemoryPool *pool = connection->disk.pool;
    (void)flags;
    if (pool_discard(pool, (size_t)offset, count) != POOL_OK) {
        uint64_t mask = connection->block_size - 1;
        uint64_t start = (offset + mask) & ~mask, end = (offset + count) & ~mask;
        if (start < end) {
            pool_discard(pool, (size_t)start, (size_t)(end - start));
        }
    }
    traffic_count(TRAFFIC_TRIM, count);
    return 0;
}

/* If the client does not allow a hole, memory must be allocated, which a write does:
 * after EOPNOTSUPP nbdkit writes zeros. */
static int mempool_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    Connection *connection = handle;
    if ((flags & NBDKIT_FLAG_MAY_TRIM) == 0) {
        nbdkit_set_error(EOPNOTSUPP);
        return -1;
    }
    if (pool_discard(connection->disk.pool, (size_t)offset, count) != POOL_OK) {
        return failed(connection, "zero");
    }
    traffic_count(TRAFFIC_TRIM, count);
    return 0;
}

static int mempool_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
                           struct nbdkit_extents *extents)
{
    MemoryPool *pool = ((Connection *)handle)->disk.pool;
    const uint32_t hole = NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO;
    uint64_t at = offset, end = offset + count;
    size_t start, size;
    while (at < end) {
        if (pool_next_extent(pool, (size_t)at, (size_t)end, &start, &size) != 1) {
            return nbdkit_add_extent(extents, at, end - at, hole);
        }
        bool in_hole = start > at;
        uint64_t next = in_hole ? start : at + size;
        if (nbdkit_add_extent(extents, at, next - at, in_hole ? hole : 0) != 0) {
            return -1;
        }
        if (flags & NBDKIT_FLAG_REQ_ONE) {
            return 0;
        }
        at = next;
    }
    return 0;
}

static int mempool_cache(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    (void)handle;
    (void)count;
    (void)offset;
    (void)flags;
    return 0;
}

static struct nbdkit_plugin plugin = {
    .name = "mempool",
    .longname = "memory_pool RAM disk",
    .version = VERSION,
    .description = "A RAM disk that holds only what was written to it, with a limit,\n"
                   "snapshots and clones while it is served.",
    .config = config_take,
    .config_complete = config_check,
    .config_help = CONFIG_HELP,
    .magic_config_key = "size",
    .dump_plugin = mempool_dump_plugin,
    .get_ready = mempool_get_ready,
    .after_fork = mempool_after_fork,
    .cleanup = mempool_cleanup,
    .unload = mempool_unload,
    .list_exports = mempool_list_exports,
    .open = mempool_open,
    .close = mempool_close,
    .export_description = mempool_export_description,
    .get_size = mempool_get_size,
    .block_size = mempool_block_size,
    .can_write = mempool_can_write,
    .can_multi_conn = yes,
    .can_fast_zero = yes,
    .can_fua = mempool_can_fua,
    .can_cache = mempool_can_cache,
    .is_rotational = no,
    .pread = mempool_pread,
    .pwrite = mempool_pwrite,
    .flush = mempool_flush,
    .trim = mempool_trim,
    .zero = mempool_zero,
    .extents = mempool_extents,
    .cache = mempool_cache,
};

NBDKIT_REGISTER_PLUGIN(plugin)
