/* SPDX-License-Identifier: MIT */
/* disks.c - see disks.h */
#include "disks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char NO_MEMORY[] = "the system has no more memory";
const char DISK_UNKNOWN[] = "there is no disk of that name";

static struct {
    pthread_mutex_t mutex; /* guards the three below */
    Disk *all;
    size_t count;
    size_t room; /* in disks */
    atomic_size_t connections;
} table = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* Returns the index of a name in the table, or table.count. Context: the caller holds the
 * mutex. */
static size_t find_locked(const char *name)
{
    size_t at = 0;
    while (at < table.count && strcmp(table.all[at].name, name) != 0) {
        at++;
    }
    return at;
}

/* Adds a disk to the table, which takes over the reference to its pool. Context: the
 * caller holds the mutex. */
static const char *add_locked(const Disk *disk)
{
    if (table.count == DISKS_MAX) {
        return "there are too many disks";
    }
    if (table.count == table.room) {
        size_t room = table.room == 0 ? 8 : table.room * 2;
        Disk *all = realloc(table.all, room * sizeof *all);
        if (all == NULL) {
            return NO_MEMORY;
        }
        table.all = all;
        table.room = room;
    }
    table.all[table.count++] = *disk;
    return NULL;
}

bool disks_find(const char *name, Disk *disk)
{
    pthread_mutex_lock(&table.mutex);
    size_t at = find_locked(name);
    bool found = at < table.count;
    if (found) {
        *disk = table.all[at];
        pool_retain(disk->pool);
    }
    pthread_mutex_unlock(&table.mutex);
    return found;
}

const char *disks_start(MemoryPool *pool)
{
    Disk disk = {.writable = true, .pool = pool};
    pthread_mutex_lock(&table.mutex);
    const char *error = add_locked(&disk);
    pthread_mutex_unlock(&table.mutex);
    return error;
}

void disks_end(void)
{
    pthread_mutex_lock(&table.mutex);
    for (size_t at = 0; at < table.count; at++) {
        pool_destroy(table.all[at].pool);
    }
    free(table.all);
    table.all = NULL;
    table.count = table.room = 0;
    pthread_mutex_unlock(&table.mutex);
}

bool disks_open(const char *name, Disk *disk)
{
    bool found = disks_find(name, disk);
    if (found) {
        atomic_fetch_add(&table.connections, 1);
    }
    return found;
}

void disks_close(Disk *disk)
{
    pool_destroy(disk->pool);
    disk->pool = NULL;
    atomic_fetch_sub(&table.connections, 1);
}

size_t disks_connections(void)
{
    return atomic_load(&table.connections);
}

bool disk_name_is_good(const char *name)
{
    static const char letters[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-";
    size_t size = strlen(name);
    return size > 0 && size <= DISK_NAME_MAX && strspn(name, letters) == size &&
           name[0] != '.' && name[0] != '-';
}

const char *disks_clone(const char *of, const char *name, bool writable)
{
    Disk from, made = {.writable = writable};
    if (!disk_name_is_good(name)) {
        return "a name is up to 64 of the characters A-Z a-z 0-9 . _ -, and starts with "
               "a letter or a digit";
    }
    if (!disks_find(of, &from)) {
        return DISK_UNKNOWN;
    }
    strcpy(made.name, name);
    strcpy(made.origin, from.name);
    made.pool = pool_clone(from.pool);
    const char *error = made.pool == NULL ? pool_status_text(pool_last_status()) : NULL;
    pool_destroy(from.pool);
    if (error == NULL) {
        pthread_mutex_lock(&table.mutex);
        error = find_locked(name) < table.count ? "there is a disk of that name already"
                                                : add_locked(&made);
        pthread_mutex_unlock(&table.mutex);
    }
    if (error != NULL) {
        pool_destroy(made.pool);
    }
    return error;
}

const char *disks_restore(const char *name, const char *from)
{
    Disk disk, source;
    const char *error = NULL;
    if (!disks_find(name, &disk)) {
        return DISK_UNKNOWN;
    }
    if (!disk.writable) {
        error = "a snapshot is read-only";
    } else if (!disks_find(from, &source)) {
        error = DISK_UNKNOWN;
    } else {
        PoolStatus status = pool_restore(disk.pool, source.pool);
        error = status == POOL_OK ? NULL : pool_status_text(status);
        pool_destroy(source.pool);
    }
    pool_destroy(disk.pool);
    return error;
}

const char *disks_drop(const char *name)
{
    MemoryPool *pool = NULL;
    if (name[0] == '\0') {
        return "the disk itself cannot be dropped";
    }
    pthread_mutex_lock(&table.mutex);
    size_t at = find_locked(name);
    if (at < table.count) {
        pool = table.all[at].pool;
        table.count--;
        memmove(&table.all[at], &table.all[at + 1],
                (table.count - at) * sizeof *table.all);
    }
    pthread_mutex_unlock(&table.mutex);
    pool_destroy(pool);
    return pool == NULL ? DISK_UNKNOWN : NULL;
}

int disks_visit(int (*visit)(const Disk *disk, void *context), void *context)
{
    int result = 0;
    pthread_mutex_lock(&table.mutex);
    for (size_t at = 0; at < table.count && result == 0; at++) {
        result = visit(&table.all[at], context);
    }
    pthread_mutex_unlock(&table.mutex);
    return result;
}
