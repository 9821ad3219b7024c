/* SPDX-License-Identifier: MIT */
/*
 * memory_pool.c - the library as one translation unit
 *
 * Everything but the public functions is static. The order is that of dependence: each
 * folder uses only those above it.
 */
#include "src/base/features.h"

#include "memory_pool.h" /* here, so that debuggers and abidw know it by this name */

#include "src/base/base.h"
#include "src/base/fault_injection.c"
#if defined(_WIN32)
#  include "src/base/platform_win32.c"
#else
#  include "src/base/platform_posix.c"
#endif
#include "src/base/written.c"
#if defined(_WIN32)
#  include "src/base/written_win32.c"
#elif defined(__linux__)
#  include "src/base/written_linux.c"
#else
#  include "src/base/written_none.c"
#endif
#include "src/base/status.c"
#include "src/base/search.c"
#include "src/base/interpreter.c"
#include "src/base/blake2b.c"

#include "src/sync/lock.c"
#include "src/sync/pool_lock.c"

#include "src/memory/chunk_cache.c"
#include "src/memory/slab.c"
#include "src/memory/block.c"
#include "src/memory/digests.c"
#include "src/memory/chunk.c"
#include "src/memory/trace.c"
#include "src/memory/arena.c"

#include "src/tree/reservation.c"
#include "src/tree/tree.c"
#include "src/tree/tree_edit.c"

#include "src/pool/handles.c"
#include "src/pool/family.c"
#include "src/pool/limit.c"
#include "src/pool/range.c"
#include "src/pool/read.c"
#include "src/pool/write.c"
#include "src/pool/pins.c"
#include "src/pool/dirty.c"
#include "src/pool/freeze.c"
#include "src/pool/discard.c"
#include "src/pool/view.c"
#include "src/pool/guard.c"
#include "src/pool/pin.c"
#include "src/pool/pool.c"
#include "src/pool/resize.c"
#include "src/pool/walk.c"
#include "src/pool/digest.c"
#include "src/pool/adopt.c"
#include "src/pool/copy.c"
#include "src/pool/batch.c"
#include "src/pool/integers.c"
#include "src/pool/segment.c"
#include "src/pool/compare.c"
#include "src/pool/find.c"
#include "src/pool/report.c"

#include "src/python/python.c"
