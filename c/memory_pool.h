/* SPDX-License-Identifier: MIT */
/*
 * memory_pool.h - a sparse, copy-on-write byte array with snapshots
 *
 * Not an allocator: a memory pool is a byte array with the offsets 0 .. total_size. It
 * stores only what was written to it, and a clone (a snapshot) takes constant time,
 * because it shares all memory with its origin until one of the two writes.
 *
 * This header is the manual: first the concepts, then each function with its parameters,
 * its result, its errors and its costs.
 *
 * CONCEPTS
 *
 * A POOL consists of BLOCKS of equal size. A block exists only after a write to it; a
 * range without blocks is a HOLE, which reads as zeros. So an empty pool of 2^63 bytes
 * takes as much memory as one of 4096 bytes, and memory grows with what was written.
 *
 * The BLOCK SIZE is the largest power of two that is neither above max_block_size nor
 * above the smallest power of two that covers total_size. Memory is allocated by whole
 * blocks, but of a block larger than a system page only the pages that were touched are
 * resident. The data of a block is aligned to its size, at most to a page. 4 KiB to 64
 * KiB suit most uses: with small blocks, writes after a clone copy little; with large
 * blocks, long transfers are fast.
 *
 * A CLONE is a full, writable, independent pool. It shares every block with its origin;
 * the first write to a shared block, through any pool, copies this block alone
 * (COPY-ON-WRITE). A SNAPSHOT is a clone that nobody writes to. Pools that descend from
 * one pool_create call by cloning are RELATIVES, and all of them together are a FAMILY.
 * The MEMORY LIMIT is the most bytes of blocks that a family may hold; a shared block
 * counts once.
 *
 * Pools are REFERENCE-COUNTED. pool_create, pool_create_with and pool_clone return a pool
 * with one reference, which the caller owns; pool_retain adds one; pool_destroy drops
 * one, and the last one frees the pool. Relatives may be destroyed in any order.
 *
 * A VIEW is an immutable zero-copy buffer: read-only memory that shows what a range held
 * at the moment of the call. A PIN is a mutable one: writable memory of the pool itself,
 * contiguous over any range, for NumPy, an emulator or any code that wants a pointer. The
 * caller releases both with pool_view_release; their memory is valid until then, even if
 * the pool is destroyed. A clone shares a FROZEN COPY of each pinned block; only blocks
 * that were written to since the last one are copied again. ADOPTED memory is memory of
 * the caller that is part of a pool without a copy.
 *
 * UNITS. All offsets and sizes are in bytes. Ranges are half-open:
 * [offset, offset + size).
 *
 * THREADS. Any thread may call any function at any time; the caller must own a reference
 * to each pool that it passes. Each call is ONE ATOMIC STEP (linearizable) for all other
 * calls on the same pool, however many blocks it covers: no call reads half a write. (Of
 * pool_gather, pool_scatter, pool_read_many and pool_write_many each range is such a
 * step.) Calls on different ranges run in parallel. A call waits for other calls only,
 * and none starves: it waits for calls that run already, and for calls that have waited
 * for a millisecond or longer. On POSIX systems the child of a fork() may use all pools
 * of its parent, whatever other threads were doing at that moment; from then on parent
 * and child have copies of their own, as of all memory. (Not after vfork, and not in a
 * signal handler.)
 *
 * ERRORS. A call that fails changes nothing: neither contents, nor sizes, nor what counts
 * for the limit. Functions that return a PoolStatus return POOL_OK or the reason; those
 * that return a count or a pointer return 0 or NULL. pool_last_status() returns the
 * reason for all of them, until the next call of the same thread. All functions refuse
 * NULL as a pool with POOL_INVALID, except pool_destroy, and NULL as a buffer unless its
 * size is 0. Other invalid pointers are undefined behaviour.
 *
 * MEMORY. Blocks are parts of large chunks of system pages. The memory of freed blocks is
 * cached for reuse: at most 512 MiB in a process (64 MiB with 32-bit addresses), and at
 * most an eighth of the memory of the machine or container. What is beyond that is
 * released to the system at once; pool_trim() releases the rest. Memory is released by
 * system pages: a page stays while a block in it is held. The same applies to a family's
 * metadata, of which up to half, or some MiB, may be cached in addition. Memory that is
 * reused never shows what it held before.
 *
 * LARGE REQUESTS. A call that would make 64 MiB or more resident, and more than is
 * available (free or reclaimable memory, and swap, of the machine and of the container),
 * is refused at once with POOL_NO_MEMORY, unless the family has the flag POOL_OVERCOMMIT.
 * Only what the call itself makes resident counts: a few bytes in a block of 16 GiB are a
 * few bytes, but to copy such a block, because it is shared, takes all of it. The library
 * does not add up smaller calls, and not what other threads and processes allocate at the
 * same time. If a system does not tell what is available, only calls that need more than
 * the whole memory of the machine are refused.
 */
#ifndef MEMORY_POOL_H
#define MEMORY_POOL_H

#include <stddef.h>
#include <stdint.h>

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

/* A pool. Opaque; created by pool_create, pool_create_with and pool_clone. */
typedef struct MemoryPool MemoryPool;

/* Why a call failed. The numbers are part of the ABI and never change; the gaps are
 * reserved. Each row: name, number, text of pool_status_text. */
#define POOL_STATUS_LIST(X)                                                              \
    X(POOL_OK, 0, "no error")                                                            \
    X(POOL_INVALID, 10, "an argument is not valid")                                      \
    X(POOL_RANGE, 20, "the range reaches past the end of the pool")                      \
    X(POOL_UNRELATED, 30, "the pools are not related by cloning")                        \
    X(POOL_NO_MEMORY, 40, "the system has no more memory")                               \
    X(POOL_LIMIT, 50, "the memory limit of the pool and its relatives would be exceeded")

typedef enum PoolStatus {
#define POOL_STATUS_ENUM(name, number, text) name = number,
    POOL_STATUS_LIST(POOL_STATUS_ENUM)
#undef POOL_STATUS_ENUM
    POOL_STATUS_MAX_ = 0x7fffffff /* makes it as large as an int everywhere */
} PoolStatus;

/* Flags of PoolOptions.
 *
 * POOL_WIPE: the call that frees a block overwrites it with zeros, before it is reused,
 * cached or released, and takes the time for that. This touches the whole block: a block
 * of which one page was resident has all pages resident as long as it is cached. Not
 * wiped are copies that the caller has, adopted memory, and pages that the system has
 * swapped out or dumped.
 *
 * POOL_OVERCOMMIT: large requests are not compared with the available memory (see LARGE
 * REQUESTS), for programs that rely on overcommit.
 *
 * POOL_HUGE: the system is advised to use huge pages (2 MiB) for blocks of 512 to 4096
 * bytes, once the family holds 2 MiB. Accesses all over a large pool become faster. In
 * return a first write may clear 2 MiB, and as much may be resident beyond what is held.
 * Linux alone takes the advice, and only if transparent huge pages are not switched off;
 * elsewhere the flag is accepted and does nothing. */
typedef enum PoolFlag {
    POOL_WIPE = 1,
    POOL_OVERCOMMIT = 2,
    POOL_HUGE = 4,
    POOL_FLAG_MAX_ = 0x7fffffff
} PoolFlag;

/* The state of blocks that hold data, as flags: see pool_next_state.
 *
 * POOL_BLOCK_SHARED: a relative, a view, or another place of the same pool also refers to
 * it; a write copies it.
 * POOL_BLOCK_PINNED: it has a pin, so that it stays at its address.
 * POOL_BLOCK_ADOPTED: it is adopted memory; a write copies it. */
typedef enum PoolBlockState {
    POOL_BLOCK_SHARED = 1,
    POOL_BLOCK_PINNED = 2,
    POOL_BLOCK_ADOPTED = 4,
    POOL_BLOCK_STATE_MAX_ = 0x7fffffff
} PoolBlockState;

/* The options of pool_create_with. Set struct_size to sizeof(PoolOptions), and what is
 * not used to 0: later versions may add fields at the end. */
typedef struct PoolOptions {
    size_t struct_size;
    size_t total_size;     /* bytes, 1 .. SIZE_MAX                                     */
    size_t max_block_size; /* bytes, 1 .. SIZE_MAX; rounded down, see BLOCK SIZE       */
    size_t memory_limit;   /* bytes of blocks in the whole family; 0: no limit         */
    size_t flags;          /* of PoolFlag, for the whole family; others are refused    */
} PoolOptions;

/* A view or a pin. Set struct_size to sizeof(PoolView) before the call. A call that
 * succeeds sets the other fields; one that fails does not change them. */
typedef struct PoolView {
    size_t struct_size;
    void *data;   /* the first byte; read-only in a view                              */
    size_t size;  /* bytes at data; may be less than requested                        */
    void *family; /* for the library only, as are the next three                      */
    void *block;
    void *pin;
    size_t blocks;
} PoolView;

/* How the library finds out what was written through pins (dirty page tracking). The
 * results are the same; only their costs differ.
 *
 * POOL_TRACKING_COMPARE: it compares pinned blocks with their frozen copies, as it always
 * does with pins of less than 64 KiB.
 * POOL_TRACKING_PAGEMAP_SCAN: by userfaultfd and the ioctl PAGEMAP_SCAN (Linux 6.7).
 * POOL_TRACKING_WRITE_WATCH: by GetWriteWatch (Windows). */
typedef enum PoolTracking {
    POOL_TRACKING_COMPARE = 0,
    POOL_TRACKING_PAGEMAP_SCAN = 1,
    POOL_TRACKING_WRITE_WATCH = 2,
    POOL_TRACKING_MAX_ = 0x7fffffff
} PoolTracking;

/* Statistics of a pool. Set struct_size to sizeof(PoolStats) before the call; only fields
 * that lie in so many bytes are set. */
typedef struct PoolStats {
    size_t struct_size;
    size_t total_size;        /* bytes that can be addressed                           */
    size_t block_size;        /* bytes in a block                                      */
    size_t references;        /* to this pool, see pool_retain                         */
    size_t held_blocks;       /* blocks of this pool: private, shared and adopted; one
                               * in two places counts twice                            */
    size_t held_bytes;        /* held_blocks * block_size; SIZE_MAX if that is more    */
    size_t pinned_blocks;     /* of held_blocks, those that have a pin                 */
    size_t copied_blocks;     /* shared blocks that writes to this pool copied, ever   */
    size_t family_bytes;      /* bytes of blocks that the family holds, each block once;
                               * adopted memory does not count                         */
    size_t family_peak_bytes; /* the most that family_bytes has been                   */
    size_t family_pools;      /* pools in the family                                   */
    size_t family_views;      /* views and pins of the family that were not released   */
    size_t adopted_blocks;    /* blocks of adopted memory in the family                */
    size_t memory_limit;      /* bytes; 0: no limit                                    */
    size_t flags;             /* of the family, of PoolFlag                            */
    size_t metadata_bytes;    /* bytes of the family's metadata, without what was
                               * released to the system                                */
    size_t cached_bytes;      /* bytes of freed blocks that the process caches; exact to
                               * an eighth of each chunk that is in use; see pool_trim */
    size_t page_tracking;     /* of PoolTracking: what the process can use now; the system
                               * may refuse it later                                   */
    size_t shared_blocks;     /* of held_blocks, those that are shared; the last field,
                               * because only this one takes a walk of the tree        */
} PoolStats;

/* What a PoolReport is about. */
typedef enum PoolReportKind {
    POOL_REPORT_FAMILY = 0,
    POOL_REPORT_POOL = 1,
    POOL_REPORT_VIEW = 2,
    POOL_REPORT_PIN = 3,
    POOL_REPORT_KIND_MAX_ = 0x7fffffff
} PoolReportKind;

/* Who holds what, see pool_report: a family, a pool, or a view or pin. What does not apply
 * is 0 or NULL. The library sets struct_size to what it knows: a field that lies beyond
 * must not be read. */
typedef struct PoolReport {
    size_t struct_size;
    size_t kind;         /* of PoolReportKind                                         */
    const void *handle;  /* the pool; of a view or pin its memory; else the family    */
    const void *family;  /* the same for all relatives, and their views and pins      */
    size_t references;   /* to a pool; of a family its pools, views and pins          */
    size_t size;         /* bytes that can be addressed in a pool, a view or a pin    */
    size_t held_bytes;   /* as in PoolStats; of a family family_bytes                 */
    size_t shared_bytes; /* of held_bytes, those of blocks that are shared            */
    size_t views;        /* views and pins of the family, with a pool as well         */
    size_t pins;         /* pins of a pool, of any size                               */
    const char *file;    /* where it was made; NULL: not known, see pool_report       */
    size_t line;         /* in that file                                              */
    const void *address; /* to which the call returned that made it; NULL: not known  */
} PoolReport;

/* ------------------------------------------------------------------- lifetime */

/* Creates a pool of total_size bytes, which is one hole. Constant time, about 5 KiB.
 *
 * total_size      1 .. SIZE_MAX
 * max_block_size  1 .. SIZE_MAX; see BLOCK SIZE
 *
 * Returns a pool with one reference, which the caller must drop with pool_destroy, or
 * NULL. Errors: POOL_INVALID if a size is 0; POOL_NO_MEMORY. */
POOL_API MemoryPool *pool_create(size_t total_size, size_t max_block_size);

/* Creates a pool with all options. options is read during the call only.
 *
 * Returns as pool_create. Errors: POOL_INVALID if options is NULL, a size is 0, a flag is
 * unknown, or struct_size is wrong: too small for the first three fields, above 1024, or
 * larger than this version knows, with bytes other than 0 there; POOL_NO_MEMORY. */
POOL_API MemoryPool *pool_create_with(const PoolOptions *options);

/* Adds a reference. Returns pool, or NULL with POOL_INVALID if pool is NULL. */
POOL_API MemoryPool *pool_retain(MemoryPool *pool);

/* Drops a reference. The last one frees the pool, and its blocks unless a relative, a
 * view or a pin also holds them. Does nothing for NULL. The status is always POOL_OK. */
POOL_API void pool_destroy(MemoryPool *pool);

/* ---------------------------------------------------------------------- bytes */

/* Copies size bytes from src to the pool at offset.
 *
 * Clips at total_size, as pwrite does at the end of a device. No other thread may change
 * src meanwhile. Returns the number of bytes written. Returns 0, and writes nothing, if
 * size is 0 (POOL_OK), or on errors: POOL_RANGE if offset is at or past the end;
 * POOL_INVALID if an argument is NULL; POOL_NO_MEMORY or POOL_LIMIT if there is not
 * enough memory for all bytes. */
POOL_API size_t pool_write(MemoryPool *pool, size_t offset, const void *src, size_t size);

/* Copies size bytes from the pool at offset to dest. Holes read as zeros and stay holes.
 *
 * Clips at total_size. Returns the number of bytes read; the rest of dest is not changed.
 * Returns 0 if size is 0 (POOL_OK), or on errors: POOL_RANGE, POOL_INVALID. */
POOL_API size_t pool_read(MemoryPool *pool, void *dest, size_t offset, size_t size);

/* Sets all bytes of [offset, offset + size) to the low 8 bits of byte. To fill with 0 is
 * to discard, see pool_discard.
 *
 * Does not clip. Errors: POOL_RANGE if the range reaches past the end; POOL_INVALID,
 * POOL_NO_MEMORY, POOL_LIMIT. */
POOL_API PoolStatus pool_fill(MemoryPool *pool, size_t offset, int byte, size_t size);

/* Makes [offset, offset + size) a hole, which reads as zeros (trim, punch a hole).
 *
 * Frees whole blocks, and blocks in which only zeros are left. Does not clip. In a pool
 * with shared blocks it may have to copy up to two of them. Errors: POOL_RANGE if the
 * range reaches past the end; POOL_INVALID; POOL_NO_MEMORY or POOL_LIMIT if it has to
 * copy. */
POOL_API PoolStatus pool_discard(MemoryPool *pool, size_t offset, size_t size);

/* Reads a range and discards it, in one atomic step. For the consumer of a stream, which
 * so frees memory as it goes.
 *
 * Clips and returns as pool_read. Errors as pool_discard; then neither dest nor the pool
 * has changed. */
POOL_API size_t pool_take(MemoryPool *pool, void *dest, size_t offset, size_t size);

/* Copies size bytes of src at src_offset to dst at dst_offset, in one atomic step for
 * both pools. They may be the same pool, and the ranges may overlap, as in memmove.
 *
 * Holes become holes. Between relatives, whole blocks are shared instead of copied if
 * dst_offset - src_offset is a multiple of the block size (of pinned ones the frozen
 * copies; not a last block that the end of a pool cuts off). Does not clip. Errors:
 * POOL_RANGE if a range reaches past the end of its pool; POOL_INVALID; POOL_NO_MEMORY;
 * POOL_LIMIT of dst. */
POOL_API PoolStatus pool_copy(MemoryPool *dst, size_t dst_offset, MemoryPool *src,
                              size_t src_offset, size_t size);

/* Changes the size of a pool: adds a hole at the end, or discards what is beyond.
 *
 * The block size does not change. So create a pool that is to grow with the size of a
 * block or more, and then make it smaller. Views and pins beyond the new end stay valid,
 * but such a pin is detached: it shows no longer what the pool holds. A pin of a block
 * that the new end divides is not detached: what it has behind the end becomes zeros, and
 * becomes that again when the size of the pool changes. Errors: POOL_INVALID if total_size
 * is 0; POOL_NO_MEMORY, POOL_LIMIT. */
POOL_API PoolStatus pool_resize(MemoryPool *pool, size_t total_size);

/* ------------------------------------------------- many ranges, and integers */

/* Reads count items of item_size bytes each, at offsets[0 .. count), to dest, one after
 * the other (gather, vectored read). Each item is one atomic step.
 *
 * Checks all offsets first. Errors: POOL_RANGE if an item reaches past the end, and then
 * nothing was read; POOL_INVALID if an array is NULL while count (and, for dest,
 * item_size) is not 0. If another thread makes the pool smaller meanwhile, POOL_RANGE may
 * come after some items. */
POOL_API PoolStatus pool_gather(MemoryPool *pool, void *dest, const size_t *offsets,
                                size_t count, size_t item_size);

/* Writes count items of item_size bytes each from src to offsets[0 .. count), in that
 * order (scatter, vectored write). Each item is one atomic step.
 *
 * Checks and fails as pool_gather, and also with POOL_NO_MEMORY or POOL_LIMIT; then
 * nothing was written. Only if another thread clones, views, copies, discards or resizes
 * meanwhile, or writes to holes, may some of the first items have been written. */
POOL_API PoolStatus pool_scatter(MemoryPool *pool, const size_t *offsets, const void *src,
                                 size_t count, size_t item_size);

/* Reads count ranges of different sizes: sizes[i] bytes at offsets[i], to dest, one after
 * the other (vectored read). Each range is one atomic step.
 *
 * A size may be 0. Checks and fails as pool_gather, and also with POOL_INVALID if sizes is
 * NULL while count is not 0, or if the sizes add up to more than SIZE_MAX. If another
 * thread changes the arrays meanwhile, it is undefined which ranges are read, but no byte
 * behind the first sum of the sizes is written to: the call returns POOL_INVALID if they
 * need more. */
POOL_API PoolStatus pool_read_many(MemoryPool *pool, void *dest, const size_t *offsets,
                                   const size_t *sizes, size_t count);

/* Writes count ranges of different sizes: sizes[i] bytes to offsets[i], from src, where
 * they are one after the other, in that order (vectored write). Each range is one atomic
 * step. Where ranges overlap, the later one wins.
 *
 * Checks as pool_read_many, fails as pool_scatter. The same applies to arrays that
 * another thread changes: no byte of src behind that sum is read. */
POOL_API PoolStatus pool_write_many(MemoryPool *pool, const size_t *offsets,
                                    const size_t *sizes, const void *src, size_t count);

/* Adds value to an unsigned integer, modulo its range, in one atomic step.
 *
 * pool    that has the integer
 * offset  of its first byte; need not be aligned
 * size    of the integer: 1, 2, 4 or 8 bytes, in the machine's byte order
 * value   to be added
 * old     gets the previous value; unchanged after an error
 *
 * Atomic for all calls, but not for atomic instructions on pinned memory. Errors:
 * POOL_INVALID for another size or NULL; POOL_RANGE, POOL_NO_MEMORY, POOL_LIMIT. */
POOL_API PoolStatus pool_fetch_add(MemoryPool *pool, size_t offset, size_t size,
                                   uint64_t value, uint64_t *old);

/* Replaces an unsigned integer by value if it equals expected, in one atomic step.
 *
 * Otherwise as pool_fetch_add. It was replaced if *old equals expected afterwards. For a
 * hole or a shared block it needs memory in both cases. */
POOL_API PoolStatus pool_compare_exchange(MemoryPool *pool, size_t offset, size_t size,
                                          uint64_t expected, uint64_t value,
                                          uint64_t *old);

/* ------------------------------------------------------------------ snapshots */

/* Creates an independent pool with the same contents, size and block size.
 *
 * Takes constant time, whatever the pool holds, and in addition a copy of each pinned
 * block that was written to since its last frozen copy (see pool_pin). The clone belongs
 * to the same family and its memory limit. Returns it with one reference, or NULL.
 * Errors: POOL_INVALID, POOL_NO_MEMORY; POOL_LIMIT with pinned blocks. */
POOL_API MemoryPool *pool_clone(MemoryPool *pool);

/* Gives pool the contents and the size of from, a relative, which does not change.
 *
 * The two stay independent. Takes constant time and the time to free what only pool held.
 * Pinned blocks of pool stay at their address and get the contents of from: those are
 * copied that were written to, or in which their frozen copies and from differ. Pinned
 * blocks of from cost what they do in pool_clone. Does nothing if pool is from. Errors:
 * POOL_UNRELATED if from is no relative; POOL_INVALID, POOL_NO_MEMORY; POOL_LIMIT if from
 * has pinned blocks. */
POOL_API PoolStatus pool_restore(MemoryPool *pool, MemoryPool *from);

/* Finds the first run of data in [offset, end): bytes in blocks, without a hole between
 * them. All bytes outside of such runs are zeros; bytes inside may be zeros as well. To
 * walk a pool:
 *     for (at = 0; pool_next_extent(pool, at, SIZE_MAX, &start, &size) == 1;
 *          at = start + size) ...
 *
 * pool    to be searched
 * offset  where to begin; any value
 * end     where to stop; SIZE_MAX for the end of the pool
 * start   gets where the run begins: offset or later
 * size    gets the bytes of the run, 1 or more; a run that reaches past end is cut there
 *
 * Returns 1 if there is a run; 0 if not; -1 with POOL_INVALID if an argument is NULL.
 * Then *start and *size are unchanged. Finds nothing if offset is past the end of the
 * pool or not below end. One atomic step. Costs one search in the tree, however long the
 * run and the hole before it are. */
POOL_API int pool_next_extent(MemoryPool *pool, size_t offset, size_t end, size_t *start,
                              size_t *size);

/* Finds the first run of bytes in [offset, end) in which pool and base, a relative, may
 * differ (a diff of two snapshots).
 *
 * All bytes outside of such runs are the same in both. The runs consist of whole blocks,
 * which one of the two wrote to, freed or got since they shared them, even if the bytes
 * are equal again. Pinned blocks are compared with their frozen copies: those that nobody
 * wrote to are not reported. Parameters and results as pool_next_extent; end may be up to
 * the end of the larger pool, and the smaller one counts as a hole there. -1 also with
 * POOL_UNRELATED. Costs a search in the tree and a look at each block of the run, except
 * for parts of the tree that are full in one pool and empty in the other. What both share
 * costs nothing. In a pool with pins, finding what was written costs in addition what
 * page_tracking in PoolStats says: a system call a run, or a comparison of what is
 * pinned. */
POOL_API int pool_next_change(MemoryPool *pool, MemoryPool *base, size_t offset,
                              size_t end, size_t *start, size_t *size);

/* Finds the first run of data in [offset, end) whose blocks are all in one state.
 *
 * *state gets that state: flags of PoolBlockState; 0 if only this pool holds the blocks.
 * The runs are those of pool_next_extent, cut where the state changes. Relatives, views
 * and pins may change the state of a block at any time; the result is of the moment of
 * the call. Parameters and results otherwise as pool_next_extent. Costs a search in the
 * tree and a look at each block of the run: in a large pool, limit it by end. */
POOL_API int pool_next_state(MemoryPool *pool, size_t offset, size_t end, size_t *start,
                             size_t *size, size_t *state);

/* -------------------------------------------------------------------- content */

/* These four calls are one atomic step each: they answer for one moment, of which they
 * take a snapshot (see pool_clone for what that costs and how it can fail). They do not
 * keep writers waiting; what other threads write meanwhile is copied, as beside a clone,
 * and the memory limit counts the copies until the call returns. */

/* Stores in digest the 32 bytes that identify the contents and the size of a pool.
 *
 * Pools of equal size and equal bytes have equal digests, in all processes and on all
 * machines, whatever their block sizes, their history, and whether zeros are held or
 * holes. Other pools have other digests, except with the probability of a collision in
 * BLAKE2b. The definition, in which H is BLAKE2b (RFC 7693) with a result of 32 bytes and
 * a personalization of 16 bytes: the ASCII text given first, then zeros.
 *
 *     node(0, i)  = H("pool page", the bytes of page i: 4096 from offset 4096 * i on,
 *                     with zeros behind the end of the pool)
 *     node(k, i)  = H("pool node", node(k - 1, 2 * i), then node(k - 1, 2 * i + 1))
 *     digest      = H("pool", total_size as 8 bytes, little-endian, then node(h, 0)),
 *                   where h is the least number with 4096 * 2^h >= total_size
 *
 * except that node(k, i) is 32 zeros if all bytes of its pages are 0.
 *
 * Costs hashing what was written since the last digest of a relative that had the rest:
 * whole blocks, and 32 to 64 further bytes for each level of the tree and each of its 32
 * slots. Of a block larger than a page all pages are hashed; of adopted memory, and of
 * blocks smaller than a page, 32 blocks at once. What is known is kept beside the blocks
 * (metadata_bytes in PoolStats: 40 bytes for each block of a chunk in which one was
 * hashed); if there is no memory for that, the call succeeds and the next one hashes
 * again. Errors: POOL_INVALID; POOL_NO_MEMORY; POOL_LIMIT with pinned blocks. */
POOL_API PoolStatus pool_digest(MemoryPool *pool, unsigned char digest[32]);

/* Whether two pools have equal sizes and equal bytes. They need not be relatives, nor
 * have one block size.
 *
 * Returns 1 if they are the same, 0 if not, -1 after an error. Errors as
 * pool_next_difference, which costs the same. */
POOL_API int pool_same(MemoryPool *pool, MemoryPool *other);

/* Finds the first run of bytes in [offset, end) in which pool and base differ: each byte
 * of the run differs, and the bytes before and behind it do not. They need not be
 * relatives, nor have one block size. (pool_next_change is for whole blocks of
 * relatives, and does not look at the bytes.)
 *
 * A hole equals zeros. Bytes that only the larger pool has differ from all. Parameters
 * and results as pool_next_extent; end may be up to the end of the larger pool. Costs
 * comparing what they do not share, up to the end of the run; what relatives share, and
 * holes of both, cost nothing. To find many differences of pools that others write to, or
 * that have pins, clone them first, so that all answers are of one moment. -1 with
 * POOL_INVALID; POOL_NO_MEMORY; POOL_LIMIT with pinned blocks. */
POOL_API int pool_next_difference(MemoryPool *pool, MemoryPool *base, size_t offset,
                                  size_t end, size_t *start, size_t *size);

/* Finds the first place in [offset, end) where the size bytes of pattern are.
 *
 * pool     to be searched
 * pattern  the bytes; no other thread may change them meanwhile
 * size     how many; with 0, offset is found if it is neither above end nor past the end
 * offset   where to begin; any value
 * end      where to stop: the match ends there or before; SIZE_MAX for the pool's end
 * found    gets where the match begins
 *
 * Holes are zeros, and are not searched. Takes linear time, whatever the bytes are. Needs
 * memory for twice the pattern and 64 KiB. The pattern may lie in a view or a pin of the
 * pool. Returns 1 if there is a match; 0 if not; -1 after an error; *found is only
 * changed if it is 1. Errors: POOL_INVALID if pool or found is NULL, or pattern while
 * size is not 0; POOL_NO_MEMORY; POOL_LIMIT with pinned blocks. */
POOL_API int pool_find(MemoryPool *pool, const void *pattern, size_t size, size_t offset,
                       size_t end, size_t *found);

/* ------------------------------------------------------------------ zero copy */

/* Returns in *view an immutable view of the bytes at offset: what the pool held at the
 * moment of the call.
 *
 * view->data[0 .. view->size) is read-only memory; the caller must not write to it. A
 * view reaches as far as blocks follow each other in memory, as those of a released pin
 * do: at least to the end of its first block or to size, so that view->size may be less
 * than size (1 or more): continue at offset + view->size. A view of a hole shows zeros,
 * ends with its block and allocates nothing. The memory is valid until pool_view_release,
 * even if the pool is destroyed. A later write to a block copies it. A view of pinned
 * blocks shows their frozen copies, which it updates first.
 *
 * Errors: POOL_RANGE if [offset, offset + size) reaches past the end; POOL_INVALID if
 * size is 0, view is NULL or view->struct_size is too small; POOL_NO_MEMORY; POOL_LIMIT
 * for pinned blocks. */
POOL_API PoolStatus pool_view(MemoryPool *pool, size_t offset, size_t size,
                              PoolView *view);

/* Returns in *view a pin of [offset, offset + size): writable memory of the pool itself,
 * contiguous, whatever the block size.
 *
 * Blocks are allocated in place of holes, and count for the memory limit; their pages are
 * not touched. Blocks that do not follow each other in memory are moved once, with all
 * pages of the range; the room that they took does not count twice. They stay in the pool
 * when the pin is released, and a later pin of the same blocks moves nothing.
 *
 * Pins may overlap: if the byte at offset is pinned already, the new pin is of the same
 * memory and ends where that pin ends; otherwise it ends before the next pinned block. So
 * view->size may be less than size (1 or more), and only then. The address of a pinned
 * byte never changes, and the memory is valid until pool_view_release, even if the pool
 * is destroyed or made smaller.
 *
 * Later reads see what the caller writes there, and the caller sees what other calls
 * write. Calls stay atomic among each other. But the caller must synchronise its own
 * access: while it writes bytes through a pin, no other thread may read or write the same
 * bytes, and no other thread may restore the pool, which writes all of them. A clone or a
 * view that is taken meanwhile has each byte as it was or as it is written. The caller
 * may pass pinned memory as a buffer to a call if it does not overlap the bytes that the
 * call reads or writes in the pool.
 *
 * Discard, restore, copy and adopt write into pinned blocks. Clones, views and copies of
 * a pinned block share its FROZEN COPY, which the call that needs it makes or updates; it
 * counts for the memory limit, and is held until the pin is released. What was written is
 * known by dirty page tracking (see PoolTracking) or by comparison. Errors as pool_view,
 * and POOL_LIMIT. Costs the blocks of the range, and the bytes that it moves. */
POOL_API PoolStatus pool_pin(MemoryPool *pool, size_t offset, size_t size,
                             PoolView *view);

/* Releases a view or a pin. Does nothing for NULL and for one that was released. Any
 * thread may call it, but two must not call it for the same view at the same time. */
POOL_API void pool_view_release(PoolView *view);

/* Makes size bytes at data the contents of [offset, offset + size), without a copy.
 *
 * Blocks that the range covers in full use the memory at data itself. Until the release,
 * this memory must stay valid, and nobody may change it. The rest of the range, and what
 * lies in pinned blocks, is copied. The first write to an adopted block copies it; until
 * then the block does not count for the memory limit, and a read of it takes a lock.
 *
 * release(data, size, context) is called exactly once, as soon as no pool and no view
 * uses the memory, perhaps before this call returns; it may be NULL. It is called without
 * a lock, by the thread that dropped the last use, and may call this library. After an
 * error it is not called, and the memory is still the caller's. Errors: POOL_RANGE if the
 * range reaches past the end; POOL_INVALID, POOL_NO_MEMORY; POOL_LIMIT for what is
 * copied. */
POOL_API PoolStatus pool_adopt(MemoryPool *pool, size_t offset, void *data, size_t size,
                               void (*release)(void *data, size_t size, void *context),
                               void *context);

/* ----------------------------------------------------------------- statistics */

/* Fills in *stats as far as stats->struct_size reaches, from one moment of the pool.
 *
 * Constant time without shared_blocks. To count these, the call looks at each block in
 * the part of the tree that only this pool uses, while the pool is locked: none right
 * after a clone, many in a pool with many private blocks. Errors: POOL_INVALID (see
 * pool_last_status) if an argument is NULL or struct_size does not reach total_size; then
 * *stats is unchanged. */
POOL_API void pool_stats(MemoryPool *pool, PoolStats *stats);

/* Sets the memory limit of the family, in bytes of blocks; 0: no limit. A limit below what
 * is held frees nothing: calls that would allocate blocks fail until less is held. Locks
 * nothing but the family's accounts. Errors: POOL_INVALID if pool is NULL. */
POOL_API PoolStatus pool_set_limit(MemoryPool *pool, size_t memory_limit);

/* What a family calls before a call on one of its pools would fail with POOL_LIMIT. It
 * returns other than 0 if it freed memory: then the call is attempted once more.
 *
 * It runs in the thread of that call, which holds no lock and has changed nothing, so it
 * may make any call on any pool; for such calls nothing is called. It must return.
 *
 * pool     the pool of the call; of pool_copy dst
 * context  as it was passed to pool_on_limit */
typedef int (*PoolLimitFunction)(MemoryPool *pool, void *context);

/* Sets the function that is called when a call meets the memory limit; NULL: none. The
 * function belongs to the family, and replaces the one before, which other threads may
 * still be in when this call returns. Errors: POOL_INVALID if pool is NULL. */
POOL_API PoolStatus pool_on_limit(MemoryPool *pool, PoolLimitFunction function,
                                  void *context);

/* Sets family_peak_bytes of the statistics to peak, or to family_bytes if that is more.
 *
 * Returns what it was; 0 with POOL_INVALID if pool is NULL. To measure a part of a
 * program: reset to 0 before it and read after it; then reset to the larger of the two,
 * which an outer measurement needs. */
POOL_API size_t pool_reset_peak(MemoryPool *pool, size_t peak);

/* Releases the cached memory of the process to the system: all pages without a held
 * block, and those of unused metadata.
 *
 * Returns the number of bytes released. Contents do not change. Meanwhile, calls that
 * allocate or free blocks of a family may wait while one of its chunks (up to 4 MiB, or
 * one block) is searched; calls that create or free pools, and fork, wait until the
 * end. */
POOL_API size_t pool_trim(void);

/* For tests (fault injection): makes the number-th allocation from now on fail, as if the
 * system had no memory. Counts the allocations of all threads; 0 lets all succeed.
 *
 * Returns how many were left until the failure set before, 0 if it has happened. What is
 * allocated when is an implementation detail: raise number until the test passes without
 * a failure. */
POOL_API size_t pool_fail_allocation(size_t number);

/* Returns the status of this thread's last call to this library, POOL_OK if there was
 * none. Calls of this function, pool_fail_allocation, pool_status_text, pool_version,
 * pool_for_python and pool_place do not count. */
POOL_API PoolStatus pool_last_status(void);

/* Returns a short English text for a status; "unknown status" if there is no such status.
 * The text is static: never NULL, never to be freed. */
POOL_API const char *pool_status_text(PoolStatus status);

/* Returns the version of the library in use: major << 16 | minor << 8 | patch. */
POOL_API unsigned pool_version(void);

/* For pymempool, the Python package of the same version, only: receives functions of
 * CPython and returns the address of the function of that name that CPython is to call,
 * or NULL. An implementation detail that may change with any version. */
POOL_API void *pool_for_python(const char *name, const void *functions);

/* ------------------------------------------------------------------ debugging */

/* In a library that was built with POOL_DEBUG, each function also checks the pools and
 * views that it is given. If one has ended, is of another copy of the library, or is none,
 * the function says so on stderr, with the places where it was made and ended, and calls
 * abort(). Of NULL, and of views that were released, the same holds as in other builds.
 *
 * If a program defines POOL_DEBUG before it includes this header, that library also knows
 * the lines of the program in which pools, views and pins are made and end: the functions
 * are then macros as well, which call pool_place. Else it knows addresses, which a debugger
 * can translate. */

/* Calls callback(report, context) for each family, each pool, and in a library with
 * POOL_DEBUG for each view and pin: the oldest first. NULL as callback prints lines to
 * stderr. The report is valid until callback returns.
 *
 * For people who look for a leak. Libraries without POOL_DEBUG do not know who made what:
 * file and address are NULL, and views and pins are counts of their families. Pools that
 * the library makes for a moment (see CONTENT) are reported as well.
 *
 * Takes what pool_stats takes with shared_blocks, for all pools: each is locked for that,
 * one at a time, and meanwhile calls that create or free pools, and fork, wait. The
 * callback is called after that, without a lock, and may call this library. Errors:
 * POOL_NO_MEMORY, before the first call of callback. */
POOL_API PoolStatus pool_report(void (*callback)(const PoolReport *report, void *context),
                                void *context);

/* Sets the line by which pool_report is to know what this thread makes from now on; file
 * must stay valid. Line 0: none, whatever file is. Only for libraries with POOL_DEBUG;
 * others ignore it. The macros below call it. */
POOL_API void pool_place(const char *file, size_t line);

#if defined(POOL_DEBUG) && !defined(POOL_IMPLEMENTATION)

/* The functions with the caller's line; for the macros only. */
static inline MemoryPool *pool_create_at_(size_t total_size, size_t max_block_size,
                                          const char *file, size_t line)
{
    MemoryPool *pool;
    pool_place(file, line);
    pool = pool_create(total_size, max_block_size);
    pool_place(file, 0);
    return pool;
}

static inline MemoryPool *pool_create_with_at_(const PoolOptions *options,
                                               const char *file, size_t line)
{
    MemoryPool *pool;
    pool_place(file, line);
    pool = pool_create_with(options);
    pool_place(file, 0);
    return pool;
}

static inline void pool_destroy_at_(MemoryPool *pool, const char *file, size_t line)
{
    pool_place(file, line);
    pool_destroy(pool);
    pool_place(file, 0);
}

static inline MemoryPool *pool_clone_at_(MemoryPool *pool, const char *file, size_t line)
{
    MemoryPool *clone;
    pool_place(file, line);
    clone = pool_clone(pool);
    pool_place(file, 0);
    return clone;
}

static inline PoolStatus pool_view_at_(MemoryPool *pool, size_t offset, size_t size,
                                       PoolView *view, const char *file, size_t line)
{
    PoolStatus status;
    pool_place(file, line);
    status = pool_view(pool, offset, size, view);
    pool_place(file, 0);
    return status;
}

static inline PoolStatus pool_pin_at_(MemoryPool *pool, size_t offset, size_t size,
                                      PoolView *view, const char *file, size_t line)
{
    PoolStatus status;
    pool_place(file, line);
    status = pool_pin(pool, offset, size, view);
    pool_place(file, 0);
    return status;
}

static inline void pool_view_release_at_(PoolView *view, const char *file, size_t line)
{
    pool_place(file, line);
    pool_view_release(view);
    pool_place(file, 0);
}

#  define pool_create(total_size, max_block_size)                                        \
      pool_create_at_(total_size, max_block_size, __FILE__, __LINE__)
#  define pool_create_with(options) pool_create_with_at_(options, __FILE__, __LINE__)
#  define pool_destroy(pool) pool_destroy_at_(pool, __FILE__, __LINE__)
#  define pool_clone(pool) pool_clone_at_(pool, __FILE__, __LINE__)
#  define pool_view(pool, offset, size, view)                                            \
      pool_view_at_(pool, offset, size, view, __FILE__, __LINE__)
#  define pool_pin(pool, offset, size, view)                                             \
      pool_pin_at_(pool, offset, size, view, __FILE__, __LINE__)
#  define pool_view_release(view) pool_view_release_at_(view, __FILE__, __LINE__)

#endif

#ifdef __cplusplus
}
#endif

#endif /* MEMORY_POOL_H */
