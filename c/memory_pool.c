/* SPDX-License-Identifier: MIT */
/*
 * memory_pool.c - the library as one translation unit
 *
 * Everything but the public functions is static. The order is that of dependence: each
 * file uses only what stands above it.
 */
#if !defined(_WIN32) && !defined(_DEFAULT_SOURCE)
#  define _DEFAULT_SOURCE 1 /* anonymous mappings and madvise, in strict C as well */
#endif
#if defined(__APPLE__) && !defined(_DARWIN_C_SOURCE)
#  define _DARWIN_C_SOURCE 1
#endif

#include "memory_pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "src/atomics.h"
#include "src/checked.h"
#include "src/faults.c"
#include "src/platform.h"
#if defined(_WIN32)
#  include "src/platform_win32.c"
#else
#  include "src/platform_posix.c"
#endif
#include "src/status.c"
#include "src/interpreter.c"
#include "src/lock.c"
#include "src/stripes.c"
#include "src/store.c"
#include "src/slab.c"
#include "src/chunk.c"
#include "src/arena.c"
#include "src/stock.c"
#include "src/tree.c"
#include "src/edit.c"
#include "src/family.c"
#include "src/bytes.c"
#include "src/pins.c"
#include "src/discard.c"
#include "src/view.c"
#include "src/pool.c"
#include "src/resize.c"
#include "src/walk.c"
#include "src/adopt.c"
#include "src/copy.c"
#include "src/batch.c"
#include "src/python.c"
