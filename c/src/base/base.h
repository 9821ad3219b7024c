/* SPDX-License-Identifier: MIT */
/*
 * base.h - what every file of the library begins with
 *
 * Each folder has one header such as this, for the types, constants and functions that
 * more than one file uses. All but the public functions are static, as all files are
 * compiled as one (memory_pool.c); the headers let people and tools read each file by
 * itself (what such a reading misses is the functions of other files). Types are
 * described in the headers, functions where they are defined. Each header includes that
 * of the folder to its left here, so that no file can use what stands to the right of it:
 *
 *     base ◄── sync ◄── memory ◄── tree ◄── pool ◄── python
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
#include "checked.h"
#include "platform.h"

/* What must hold and can be seen at a look: mostly, that somebody holds a lock that the
 * caller must have. Checked in builds with POOL_DEBUG alone. */
#if defined(POOL_DEBUG)
#  undef NDEBUG
#  include <assert.h>
#  define POOL_ASSERT(condition) assert(condition)
#else
#  define POOL_ASSERT(condition) ((void)0)
#endif

/* How to give an interpreter's lock up and to get it again; see interpreter.c. */
static struct Interpreter {
    void *(*unlock)(void);      /* gives the lock up; returns what lock() needs */
    void (*lock)(void *thread); /* waits for it */
} interpreter;

/* fault_injection.c */
static bool fault_due(void);

/* status.c */
static PoolStatus status_set(PoolStatus status);

/* interpreter.c */
static void interpreter_unlock(void);
static void *interpreter_enter(void);
static void interpreter_leave(void *outer);

#endif /* POOL_BASE_H */
