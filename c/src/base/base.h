/* SPDX-License-Identifier: MIT */
/*
 * base.h - what every file of the library includes first
 *
 * Each folder has one header like this, with the types, constants and functions that more
 * than one file uses. All functions but the public ones are static, because all files are
 * compiled as one (memory_pool.c); with the headers, people and tools can read each file
 * by itself, except the functions of other files. Types are described in the headers,
 * functions where they are defined. Each header includes that of the folder to its left
 * here, so that no file can use what is to its right:
 *
 *     base ◄── sync ◄── memory ◄── tree ◄── pool ◄── python
 *
 * Comments name locks in two ways. "Locks:" are those that a function acquires, from the
 * first to the innermost; "Context:" is what the caller must have done, above all which
 * locks it must hold. "The range" stands for the stripes or the span of its blocks
 * (pool_lock.c).
 */
#ifndef POOL_BASE_H
#define POOL_BASE_H

#include "features.h"

#include "../../memory_pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "atomics.h"
#include "blake2b.h"
#include "checked.h"
#include "data.h"
#include "hidden.h"
#include "platform.h"
#include "poison.h"
#include "written.h"

/* Asserts what is cheap to check; mostly, that a lock is held which the caller must hold.
 * Only in builds with POOL_DEBUG. */
#if defined(POOL_DEBUG)
#  undef NDEBUG
#  include <assert.h>
#  define POOL_ASSERT(condition) assert(condition)
#else
#  define POOL_ASSERT(condition) ((void)0)
#endif

/* Functions that release and acquire an interpreter's lock, see interpreter.c, and those
 * of its memory profiler, see trace.c. */
static struct Interpreter {
    void *(*unlock)(void);                  /* releases it; returns what lock() needs */
    void (*lock)(void *thread);             /* waits for it and acquires it           */
    AtomicSize traces;                      /* whether the profiler runs              */
    void (*track)(void *data, size_t size); /* a block was allocated                  */
    void (*untrack)(void *data);            /* and freed                              */
} interpreter;

/* fault_injection.c */
static bool fault_due(void);

/* status.c */
static PoolStatus status_set(PoolStatus status);

/* search.c */
static const unsigned char *memory_search(const unsigned char *data, size_t size,
                                          const unsigned char *pattern, size_t length);

/* interpreter.c */
static void interpreter_unlock(void);
static void *interpreter_enter(void);
static void interpreter_leave(void *outer);

#endif /* POOL_BASE_H */
