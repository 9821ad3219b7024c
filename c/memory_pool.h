/* SPDX-License-Identifier: MIT */
/*
 * memory_pool.h - byte spaces that look contiguous and hold only what was written
 *
 * This header is the manual. It says what a pool is, then takes the functions one by
 * one: the range each accepts, who owns what, every error, what holds after an error,
 * and which threads may call it.
 *
 * CONCEPTS
 *
 * A POOL is a byte space with the offsets 0 .. total_size. It looks contiguous; inside
 * it is made of BLOCKS of equal size. A block exists only after somebody wrote to it;
 * where no block is, there is a HOLE, and a hole reads as zeros. So a pool of 2^63 bytes
 * costs what a pool of 4096 bytes costs, and memory grows with what was written.
 *
 * The BLOCK SIZE is the largest power of two that is not above the max_block_size asked
 * for, nor above what total_size needs (the smallest power of two that covers it).
 * Memory is handed out by whole blocks, but a block larger than a page of the system
 * takes only the pages that were touched. The data of a block is aligned to its size, up
 * to a page. 4 KiB to 64 KiB suit most uses: small blocks make clones cheap to write to,
 * large blocks make long transfers fast.
 *
 * A CLONE is a full, writable, independent pool made in constant time: it shares every
 * block with its origin, and the first write to a shared block, through either of them,
 * copies that block alone (COPY-ON-WRITE). All pools that descend from one pool_create
 * call by cloning are RELATIVES; together they are a FAMILY. The MEMORY LIMIT bounds the
 * bytes of blocks held by a whole family; a block shared by many counts once.
 *
 * Everything is REFERENCE-COUNTED. pool_create, pool_create_with and pool_clone give the
 * caller one reference; pool_retain adds one; pool_destroy gives one back, and the last
 * one ends the pool. Relatives may be destroyed in any order.
 *
 * UNITS. Every offset and every size is in bytes. Ranges are half-open:
 * [offset, offset + size).
 *
 * THREADS. Every function may be called from any thread at any time, as long as the
 * caller holds a reference to the pools it passes. Each call is ONE ATOMIC STEP with
 * respect to all other calls on the same pool, however many blocks it spans: nobody ever
 * reads half a write. Calls on different ranges run side by side. No call waits for
 * anything but other calls. On POSIX systems a child made by fork() may use every pool
 * of its parent, whatever other threads of the parent were doing at that moment; parent
 * and child then go separate ways, as with any other memory. (Not so after vfork, and
 * not from a signal handler.)
 *
 * ERRORS. A call that fails changes nothing: contents, sizes and the limit's account
 * are what they were before. Functions that return a PoolStatus return POOL_OK or the
 * reason. Functions that return a count or a pointer return 0 or NULL. For all of them
 * pool_last_status() gives the reason, until the next call of the same thread. NULL as a
 * pool is refused with POOL_INVALID everywhere, and so is a NULL buffer unless size is
 * 0; pool_destroy(NULL) does nothing. No other wrong pointer can be recognised.
 *
 * MEMORY. Blocks come out of large chunks of system pages. A chunk that has become empty
 * is kept for reuse, in all at most 512 MiB a process (64 MiB where addresses have 32
 * bits) and at most an eighth of the machine's memory; what is beyond that goes back to
 * the system at once, and pool_trim() gives back the rest. Memory that is used again
 * never shows what it held before.
 */
#ifndef MEMORY_POOL_H
#define MEMORY_POOL_H

#include <stddef.h>

/* The version, here and nowhere else; the build files read these three lines. */
#define POOL_VERSION_MAJOR 0
#define POOL_VERSION_MINOR 1
#define POOL_VERSION_PATCH 0

/* Define POOL_USE_DLL to import from memory_pool.dll on Windows (optional, it saves an
 * indirection; the CMake package does it). POOL_BUILD_DLL is for building that DLL. */
#if defined(_WIN32) && defined(POOL_BUILD_DLL)
#  define POOL_API __declspec(dllexport)
#elif defined(_WIN32) && defined(POOL_USE_DLL)
#  define POOL_API __declspec(dllimport)
#elif defined(__GNUC__)
#  define POOL_API __attribute__((visibility("default")))
#else
#  define POOL_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------------- types */

/* A pool. Opaque; made by pool_create, pool_create_with and pool_clone. */
typedef struct MemoryPool MemoryPool;

/* Why a call failed. The numbers are part of the ABI and never change; the gaps are for
 * what may come. Each row: name, number, text of pool_status_text. */
#define POOL_STATUS_LIST(X)                                                              \
    X(POOL_OK, 0, "no error")                                                            \
    X(POOL_INVALID, 10, "an argument is not valid")                                      \
    X(POOL_RANGE, 20, "the range reaches past the end of the pool")                      \
    X(POOL_UNRELATED, 30, "the pools are not related by cloning")                        \
    X(POOL_NO_MEMORY, 40, "the system has no more memory")                               \
    X(POOL_LIMIT, 50, "the memory limit of the pool and its relatives would be passed")

typedef enum PoolStatus {
#define POOL_STATUS_ENUM(name, number, text) name = number,
    POOL_STATUS_LIST(POOL_STATUS_ENUM)
#undef POOL_STATUS_ENUM
    POOL_STATUS_MAX_ = 0x7fffffff /* makes the type an int on every platform */
} PoolStatus;

/* What pool_create_with needs to know. Set struct_size to sizeof(PoolOptions) and
 * whatever is not used to 0: later versions may add fields at the end. */
typedef struct PoolOptions {
    size_t struct_size;
    size_t total_size;     /* bytes, 1 or more, up to SIZE_MAX                         */
    size_t max_block_size; /* bytes, 1 or more; rounded down as said under BLOCK SIZE  */
    size_t memory_limit;   /* bytes of blocks in the whole family; 0: no limit         */
    size_t flags;          /* 0; no flag is defined yet, others are refused            */
} PoolOptions;

/* Facts about a pool. Set struct_size before the call; fields that it does not cover are
 * not filled in. */
typedef struct PoolStats {
    size_t struct_size;
    size_t total_size;        /* bytes that can be addressed                           */
    size_t block_size;        /* bytes in a block                                      */
    size_t held_blocks;       /* blocks this pool holds, its own and shared ones       */
    size_t held_bytes;        /* the same in bytes: held_blocks * block_size           */
    size_t shared_blocks;     /* those of them that others hold as well                */
    size_t copied_blocks;     /* shared blocks this pool ever replaced to write to them */
    size_t family_bytes;      /* bytes of blocks the family holds, each counted once   */
    size_t family_peak_bytes; /* the most that family_bytes has been                   */
    size_t family_pools;      /* pools alive in the family                             */
    size_t memory_limit;      /* bytes; 0: none                                        */
    size_t metadata_bytes;    /* bytes the family uses for its own bookkeeping         */
    size_t kept_bytes;        /* bytes the process keeps for reuse; see pool_trim      */
} PoolStats;

/* ------------------------------------------------------------------- lifetime */

/* Makes a pool of total_size bytes, all of them holes. Constant time, about 5 KiB.
 *
 * total_size      1 .. SIZE_MAX
 * max_block_size  1 .. SIZE_MAX; see BLOCK SIZE
 * Returns a pool with one reference, which belongs to the caller (give it back with
 * pool_destroy), or NULL: POOL_INVALID if either is 0, or POOL_NO_MEMORY. */
POOL_API MemoryPool *pool_create(size_t total_size, size_t max_block_size);

/* The same with everything that can be chosen. options is read during the call only.
 * NULL: POOL_INVALID (options NULL, struct_size too small for the first three fields,
 * above 1024, or larger than this version knows with something other than 0 there, a size
 * of 0, an unknown flag) or POOL_NO_MEMORY. */
POOL_API MemoryPool *pool_create_with(const PoolOptions *options);

/* Adds a reference and returns pool; NULL with POOL_INVALID if pool is NULL. */
POOL_API MemoryPool *pool_retain(MemoryPool *pool);

/* Gives back one reference. The last one ends the pool: its blocks are freed unless a
 * relative holds them too. NULL does nothing. Sets the status to POOL_OK. */
POOL_API void pool_destroy(MemoryPool *pool);

/* ---------------------------------------------------------------------- bytes */

/* Copies size bytes from src to the pool at offset.
 *
 * Clips at total_size, as pwrite does at the end of a device, and returns the number of
 * bytes written. 0: size is 0 (POOL_OK), offset is at or past the end (POOL_RANGE), an
 * argument is NULL (POOL_INVALID), or there is no memory for all of it (POOL_NO_MEMORY,
 * POOL_LIMIT); then not a single byte was written. src must not lie in memory that
 * another thread changes meanwhile. */
POOL_API size_t pool_write(MemoryPool *pool, size_t offset, const void *src, size_t size);

/* Copies size bytes from the pool at offset to dest. Holes give zeros; nothing is
 * allocated. Clips and returns as pool_write does; bytes of dest past the count are left
 * alone. 0: size is 0 (POOL_OK), POOL_RANGE or POOL_INVALID. */
POOL_API size_t pool_read(MemoryPool *pool, void *dest, size_t offset, size_t size);

/* Sets every byte of [offset, offset + size) to the low 8 bits of byte. 0 is the same as
 * pool_discard. Does not clip: POOL_RANGE if the range passes the end. POOL_INVALID,
 * POOL_NO_MEMORY, POOL_LIMIT. */
POOL_API PoolStatus pool_fill(MemoryPool *pool, size_t offset, int byte, size_t size);

/* Makes [offset, offset + size) a hole, which reads as zeros. Whole blocks are freed; a
 * block of which a part is discarded is freed when nothing but zeros is left in it. Does
 * not clip: POOL_RANGE if the range passes the end. POOL_INVALID. In a pool that shares
 * blocks it may have to copy up to two of them, and then may fail with POOL_NO_MEMORY or
 * POOL_LIMIT. */
POOL_API PoolStatus pool_discard(MemoryPool *pool, size_t offset, size_t size);

/* Reads and discards in one atomic step: what the consumer of a stream calls, so that
 * memory is given back as it is used up. Clips and returns as pool_read does; fails as
 * pool_discard does, and then neither dest nor the pool was changed. */
POOL_API size_t pool_take(MemoryPool *pool, void *dest, size_t offset, size_t size);

/* ------------------------------------------------------------------ snapshots */

/* Makes an independent pool with the same contents, size and block size, in constant
 * time whatever the pool holds. It joins the family and its memory limit. Returns it
 * with one reference, or NULL: POOL_INVALID, POOL_NO_MEMORY. */
POOL_API MemoryPool *pool_clone(MemoryPool *pool);

/* Makes the contents of pool those of from, a relative (POOL_UNRELATED if it is not),
 * in constant time plus the freeing of what only pool held. from is not changed, and the
 * two stay independent. restore(pool, pool) does nothing. POOL_INVALID. */
POOL_API PoolStatus pool_restore(MemoryPool *pool, MemoryPool *from);

/* Finds the first run of data at or after offset: bytes that lie in blocks, with no hole
 * between them. Everything outside the runs reads as zeros; inside, zeros may be found
 * as well. To walk a pool:
 *     for (at = 0; pool_next_extent(pool, at, &start, &size) == 1; at = start + size) ...
 *
 * Returns 1 and sets *start (offset or later) and *size (1 or more, never past
 * total_size); 0 if there is none left, or -1 with POOL_INVALID if an argument is NULL;
 * then *start and *size are untouched. Any offset is allowed; past the end nothing is
 * found. Costs a walk over the blocks of the run and one descent of the tree. */
POOL_API int pool_next_extent(MemoryPool *pool, size_t offset, size_t *start,
                              size_t *size);

/* Finds the first run of bytes at or after offset in which pool and base, its relative,
 * may differ. What lies outside these runs is the same in both. The answer is by whole
 * blocks: a block that either of them wrote to, freed or got since they had it in
 * common, even if the bytes in it came out equal. What both share is skipped unseen, so
 * that the cost grows with what differs and not with what is held.
 *
 * Returns and errors as pool_next_extent; -1 also for POOL_UNRELATED. */
POOL_API int pool_next_change(MemoryPool *pool, MemoryPool *base, size_t offset,
                              size_t *start, size_t *size);

/* ---------------------------------------------------------------------- facts */

/* Fills in *stats, as far as stats->struct_size reaches; all from one moment of pool.
 * Counting shared_blocks costs a walk over the part of the tree that only this pool
 * uses; if struct_size does not reach that field the call is constant time. POOL_INVALID
 * (in pool_last_status) if an argument is NULL or struct_size does not reach
 * total_size; then nothing is filled in. */
POOL_API void pool_stats(MemoryPool *pool, PoolStats *stats);

/* Gives the memory that the process keeps for reuse back to the system. Returns the
 * number of bytes given back. Pools are not affected. */
POOL_API size_t pool_trim(void);

/* The status of the last call that this thread made to this library, not counting this
 * function, pool_status_text and pool_version. POOL_OK if there was none. */
POOL_API PoolStatus pool_last_status(void);

/* A short English text for a status; "unknown status" for what is none. It is never
 * NULL, and never freed. */
POOL_API const char *pool_status_text(PoolStatus status);

/* The version of the library in use: major << 16 | minor << 8 | patch. */
POOL_API unsigned pool_version(void);

#ifdef __cplusplus
}
#endif

#endif /* MEMORY_POOL_H */
