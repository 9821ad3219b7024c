/* SPDX-License-Identifier: MIT */
/*
 * disks.h - the table of disks that are served, each under the name of its export
 *
 *     ""        the disk itself, writable
 *     NAME      a snapshot: a clone that nobody writes to
 *     NAME      a clone of either, writable
 *
 * All are relatives, so that snapshots and restores take constant time. One mutex guards
 * the table. It is never held while a pool is cloned, restored or freed. A user of a disk
 * has a reference to its pool, so that a disk may be dropped while connections use it.
 */
#ifndef MEMPOOL_DISKS_H
#define MEMPOOL_DISKS_H

#include <stdbool.h>
#include <stddef.h>

#include "memory_pool.h"

enum {
    DISK_NAME_MAX = 64,
    DISKS_MAX = 10000, /* nbdkit lists no more exports than that */
};

typedef struct Disk {
    char name[DISK_NAME_MAX + 1];   /* of its export; "" is the disk itself          */
    char origin[DISK_NAME_MAX + 1]; /* the disk it was cloned from; its own if none  */
    bool writable;
    MemoryPool *pool; /* one reference */
} Disk;

/* Whether a disk can have that name: names go into URIs, lists and JSON without
 * escapes. */
bool disk_name_is_good(const char *name);

/* Functions that change the table return NULL, or a text that says why they changed
 * nothing. */

extern const char DISK_UNKNOWN[]; /* "there is no disk of that name" */

/* Creates the table, with the disk itself, and takes over the pool's reference. To be
 * called before any other function, while no other one runs. */
const char *disks_start(MemoryPool *pool);

/* Drops all pools and frees the table. To be called while no other function runs. */
void disks_end(void);

/* Copies the entry of a name to *disk, with a reference to its pool, which the caller
 * must drop by pool_destroy. Returns false if there is no such disk. Locks: the table. */
bool disks_find(const char *name, Disk *disk);

/* The same for a connection, which is counted until it calls disks_close. Locks: the
 * table. */
bool disks_open(const char *name, Disk *disk);

/* Drops the reference that disks_open added. Locks: none. */
void disks_close(Disk *disk);

/* Returns how many disks were opened and not closed. Locks: none. */
size_t disks_connections(void);

/* Adds a clone of a disk under a new name. Locks: the table, twice. */
const char *disks_clone(const char *of, const char *name, bool writable);

/* Gives a writable disk the contents of another one, in one atomic step. Locks: the
 * table. */
const char *disks_restore(const char *name, const char *from);

/* Removes a disk, but not the disk itself, from the table. Connections that use it may go
 * on. Locks: the table. */
const char *disks_drop(const char *name);

/* Calls visit for each disk: the disk itself first, then in the order of creation. Stops
 * when visit does not return 0, and returns that, else 0. Locks: the table, so that visit
 * must not call any function of this file. */
int disks_visit(int (*visit)(const Disk *disk, void *context), void *context);

#endif
