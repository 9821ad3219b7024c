/* SPDX-License-Identifier: MIT */
/*
 * disks.h - the table of disks that are served, each under the name of its export
 *
 *     ""        the disk itself, writable
 *     NAME      a snapshot: a clone that nobody writes to
 *     NAME      a clone of either, writable
 *
 * All are relatives, so that making one and going back to one take constant time. One
 * mutex guards the table; it is held to look at the table and to change it, and never
 * while a pool is cloned, restored or freed. Who works with a disk holds a reference to
 * its pool, so that a disk may be dropped while connections use it.
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

/* Whether a disk can have that name: names go into addresses, lists and JSON as they are.
 * */
bool disk_name_is_good(const char *name);

/* What changes the table gives NULL, or a text that says why it changed nothing. */

/* Makes the table, with the disk itself in it, whose pool it takes over. Before any other
 * function, and not at the same time as any. */
const char *disks_start(MemoryPool *pool);

/* Gives all pools back and forgets everything. Not at the same time as any other. */
void disks_end(void);

/* Copies the entry of a name to *disk, with a reference to its pool for the caller, and
 * counts a connection; false if there is none. Locks: the table. */
bool disks_open(const char *name, Disk *disk);

/* Gives back what disks_open gave. Locks: none. */
void disks_close(Disk *disk);

/* How many were opened and not closed. Locks: none. */
size_t disks_connections(void);

/* Adds a clone of a disk under a new name. Locks: the table, twice. */
const char *disks_clone(const char *of, const char *name, bool writable);

/* Gives a writable disk the contents of another, in one atomic step for those that use
 * it. Locks: the table. */
const char *disks_restore(const char *name, const char *from);

/* Takes a disk other than the disk itself out of the table. Those who use it keep it.
 * Locks: the table. */
const char *disks_drop(const char *name);

/* Calls visit for each disk, the disk itself first, then in the order they were made,
 * until it returns something other than 0, which is returned; 0 otherwise. Locks: the
 * table, so that visit must not call any function of this file. */
int disks_visit(int (*visit)(const Disk *disk, void *context), void *context);

#endif
