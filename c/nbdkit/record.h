/* SPDX-License-Identifier: MIT */
/*
 * record.h - a snapshot of the disk at each FLUSH, to test file systems for crashes
 *
 * A client that flushes wants what it wrote before to survive a crash; so each of these
 * states must be one from which a file system or a database recovers. The snapshots are
 * exports, flush-000001 and so on. Only the newest ones are kept.
 */
#ifndef MEMPOOL_RECORD_H
#define MEMPOOL_RECORD_H

#include "memory_pool.h"

enum { RECORDS_DEFAULT = 1000 };

/* Makes a snapshot of the disk itself, whose pool is given, unless it is as it was at the
 * last one; drops the oldest of more than `most`. Returns NULL, or why there is no
 * snapshot. Locks: one of its own, then the table of disks. */
const char *record_flush(MemoryPool *pool, int most);

#endif
