/* SPDX-License-Identifier: MIT */
/*
 * written.h - which pages were written to since the last time
 *
 * A service that not every system has. Where it is missing, or is refused, every function
 * here says false, and the caller compares the bytes. written_linux.c, written_win32.c
 * and written_none.c implement it; exactly one of them is compiled in.
 *
 * All ranges are whole pages (platform_page_size). No call waits for anybody. A range is
 * one caller's: the functions do not synchronise calls about the same pages, but writers
 * may write to them at any time.
 */
#ifndef POOL_WRITTEN_H
#define POOL_WRITTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "../../memory_pool.h"

/* Bytes [start, end), whole pages. */
typedef struct WrittenRange {
    unsigned char *start, *end;
} WrittenRange;

/* The service in use now. The first call asks the system, later ones ask again if it had
 * no descriptors or memory then. */
static PoolTracking written_service(void);

/* Maps pages that can be watched; they read as zeros. size: a multiple of
 * PLATFORM_MAP_MIN. NULL if there are none. The pages are never huge ones, of which one
 * written byte would make 2 MiB written. */
static void *written_map(size_t size);
static void written_unmap(void *pages, size_t size);

/* Begins to watch pages: afterwards none of them counts as written until it is written
 * to. False, and nothing is watched, if the system refuses. */
static bool written_watch(void *pages, size_t size);

/* Ends it. Does nothing for pages that are not watched. */
static void written_unwatch(void *pages, size_t size);

/* Finds pages in [at, end) that were written to: puts ranges of them, in ascending order,
 * into an array with that much room (1 or more), and their number into *count. It stops
 * when it has found so many pages (most, 1 or more) or the room is used up; *stop is
 * where to go on, or end. Pages that were decommitted count as written.
 *
 * With protect each page that is found counts as not written from then on. Finding and
 * protecting are one step, so that no write is lost.
 *
 * False if the system refuses, or these pages are not watched (any more): then every page
 * of the range counts as written, and only written_watch changes that. */
static bool written_scan(unsigned char *at, unsigned char *end, bool protect, size_t most,
                         WrittenRange *ranges, size_t room, size_t *count,
                         unsigned char **stop);

/* Has watched pages count as not written, for the caller who wrote to them himself; what
 * others wrote meanwhile is forgotten as well. False if the system refuses. */
static bool written_protect(void *pages, size_t size);

/* To be called in the child of a fork, before it calls anything else here, as long as it
 * has one thread. What the parent watches, it goes on watching; the child watches
 * nothing. */
static void written_after_fork_child(void);

/* A number that is never 0 and changes when all pages of the process stop being watched:
 * in the child of a fork. */
static size_t written_generation(void);

/* written.c */
static bool written_is_allowed(const char *name);

#endif /* POOL_WRITTEN_H */
