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
 * A VIEW is a frozen window: read-only memory that shows what a range held at the moment
 * of the call, without a copy, for as long as it is held. A PIN is a live window: memory
 * of the pool itself, in which the caller reads and writes directly. Both lie in one
 * block, both keep that block alive whatever becomes of the pool, and both are given back
 * with pool_view_release. ADOPTED memory is the caller's own, made part of a pool without
 * a copy.
 *
 * UNITS. Every offset and every size is in bytes. Ranges are half-open:
 * [offset, offset + size).
 *
 * THREADS. Every function may be called from any thread at any time, as long as the
 * caller holds a reference to the pools it passes. Each call is ONE ATOMIC STEP with
 * respect to all other calls on the same pool, however many blocks it spans: nobody ever
 * reads half a write. Calls on different ranges run side by side. No call waits for
 * anything but other calls, and none starves: it waits for the calls that are being made
 * and for those that have waited for a millisecond already, however often others come
 * again. On POSIX systems a child made by fork() may use every pool
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
 * MEMORY. Blocks come out of large chunks of system pages. The memory of freed blocks is
 * kept for reuse, in all at most 512 MiB a process (64 MiB where addresses have 32 bits)
 * and at most an eighth of the memory that the machine or the container has; what is
 * beyond that goes back to the system at once, and pool_trim() gives back the rest.
 * Memory goes back by pages of the system: a page stays while a block that lies in it is
 * held. So it is with the family's own bookkeeping, of which up to half, or some MiB, may
 * be kept beside that. Memory that is used again never shows what it held before.
 *
 * A call that would have to write to 64 MiB or more of fresh memory, and to more than the
 * system has left (what is free or can be freed, and swap, of the machine and of the
 * container), is refused at once with POOL_NO_MEMORY, unless the family has the flag
 * POOL_OVERCOMMIT. What counts is what the call itself makes resident: a few bytes in a
 * block of 16 GiB are a few bytes, but to copy such a block, because it is shared, takes
 * all of it. Everything else is left to the system: smaller calls that add up, and what
 * other threads and processes take at the same time. Where a system does not say what is
 * left, only what is more than the whole memory of the machine is refused.
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
    POOL_STATUS_MAX_ = 0x7fffffff /* makes it as large as an int everywhere */
} PoolStatus;

/* Flags of PoolOptions.
 *
 * POOL_WIPE: a block of the family is overwritten with zeros as soon as nobody holds it,
 * whether it is then used again, kept or given back to the system; the call that let go
 * of it takes the time. All of the block is touched, so that a block of which one page
 * was resident has all of them for as long as it is kept. What the caller copied out, and
 * adopted memory, is not the pool's to wipe; nor are pages that the system swapped out or
 * dumped.
 *
 * POOL_OVERCOMMIT: requests are not compared with the memory that the system has left
 * (see MEMORY), for programs that rely on its giving more than it has. */
typedef enum PoolFlag {
    POOL_WIPE = 1,
    POOL_OVERCOMMIT = 2,
    POOL_FLAG_MAX_ = 0x7fffffff
} PoolFlag;

/* What is said of blocks that hold data, as flags: see pool_next_state.
 *
 * POOL_BLOCK_SHARED: somebody else holds it as well, a relative, a view, or another place
 * of the same pool; a write would copy it. POOL_BLOCK_PINNED: there is a pin on it, so
 * that it stays where it is. POOL_BLOCK_ADOPTED: it is memory that was adopted; a write
 * would copy it. */
typedef enum PoolBlockState {
    POOL_BLOCK_SHARED = 1,
    POOL_BLOCK_PINNED = 2,
    POOL_BLOCK_ADOPTED = 4,
    POOL_BLOCK_STATE_MAX_ = 0x7fffffff
} PoolBlockState;

/* What pool_create_with needs to know. Set struct_size to sizeof(PoolOptions) and
 * whatever is not used to 0: later versions may add fields at the end. */
typedef struct PoolOptions {
    size_t struct_size;
    size_t total_size;     /* bytes, 1 or more, up to SIZE_MAX                         */
    size_t max_block_size; /* bytes, 1 or more; rounded down as said under BLOCK SIZE  */
    size_t memory_limit;   /* bytes of blocks in the whole family; 0: no limit         */
    size_t flags;          /* of PoolFlag; for the whole family; others are refused    */
} PoolOptions;

/* A view or a pin. Set struct_size to sizeof(PoolView) before the call; a call that
 * succeeds fills in the rest, one that fails leaves it alone. */
typedef struct PoolView {
    size_t struct_size;
    void *data;   /* the first byte; read-only in a view                              */
    size_t size;  /* bytes that can be reached from data; may be less than asked for  */
    void *family; /* the library's own, as are the next two                           */
    void *block;
    void *pin;
} PoolView;

/* Facts about a pool. Set struct_size before the call; fields that it does not cover are
 * not filled in. */
typedef struct PoolStats {
    size_t struct_size;
    size_t total_size;        /* bytes that can be addressed                           */
    size_t block_size;        /* bytes in a block                                      */
    size_t references;        /* owners of this pool: see pool_retain                  */
    size_t held_blocks;       /* blocks this pool holds: its own, shared, adopted ones;
                               * one that stands in two places counts twice            */
    size_t held_bytes;        /* the same in bytes: held_blocks * block_size; SIZE_MAX
                               * if that is more                                       */
    size_t pinned_blocks;     /* of held_blocks, those that are pinned                 */
    size_t copied_blocks;     /* shared blocks that this pool replaced by its own, ever */
    size_t family_bytes;      /* bytes of blocks the family holds, each counted once;
                               * adopted memory is not counted                         */
    size_t family_peak_bytes; /* the most that family_bytes has been                   */
    size_t family_pools;      /* pools alive in the family                             */
    size_t family_views;      /* views and pins of the family that were not released   */
    size_t adopted_blocks;    /* blocks of adopted memory in the family                */
    size_t memory_limit;      /* bytes; 0: none                                        */
    size_t flags;             /* of the family, of PoolFlag                            */
    size_t metadata_bytes;    /* bytes of the family's own bookkeeping, without what
                               * went back to the system                               */
    size_t cached_bytes;      /* bytes of freed blocks that the process keeps for reuse,
                               * in chunks that are partly used to within an eighth of
                               * each; see pool_trim                                   */
    size_t shared_blocks;     /* of held_blocks, those that others hold as well; last,
                               * for it is the one that takes a walk                   */
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

/* Copies size bytes of src to dst, which may be one pool, with overlap as memmove has it.
 * Holes become holes. Between relatives, blocks that the range covers wholly are shared
 * and not copied if dst_offset - src_offset is a multiple of the block size (pinned ones,
 * and a last block that the end of a pool cuts short, are copied). Does not clip:
 * POOL_RANGE if either range passes its pool's end. POOL_INVALID, POOL_NO_MEMORY,
 * POOL_LIMIT (dst's). One atomic step for both pools. */
POOL_API PoolStatus pool_copy(MemoryPool *dst, size_t dst_offset, MemoryPool *src,
                              size_t src_offset, size_t size);

/* Makes the pool larger (with a hole) or smaller (discarding what is beyond) in place.
 * The block size stays what it is, so that a pool that is to grow is best made as large
 * as a block, or larger, and then made small. Views and pins of what is cut off stay
 * valid; such a pin is no longer a window on the pool, where one of a block that is cut
 * in its midst stays one on what is left. POOL_INVALID if total_size is 0,
 * POOL_NO_MEMORY, POOL_LIMIT. */
POOL_API PoolStatus pool_resize(MemoryPool *pool, size_t total_size);

/* ------------------------------------------------- many ranges, and integers */

/* Reads count items of item_size bytes each, at offsets[0 .. count), to dest, one after
 * the other. Each item is one atomic step. Every offset is checked first: POOL_RANGE if
 * any item passes the end, and then nothing was read. POOL_INVALID if an array is NULL
 * while count (and, for dest, item_size) is not 0. If another thread makes the pool
 * smaller meanwhile, POOL_RANGE may come after some items. */
POOL_API PoolStatus pool_gather(MemoryPool *pool, void *dest, const size_t *offsets,
                                size_t count, size_t item_size);

/* Writes count items of item_size bytes each from src to offsets[0 .. count), in that
 * order. Checks and fails as pool_gather does, and with POOL_NO_MEMORY or POOL_LIMIT;
 * then nothing was written, unless another thread cloned, viewed, discarded or resized
 * the pool meanwhile: then some of the first items may have been. */
POOL_API PoolStatus pool_scatter(MemoryPool *pool, const size_t *offsets, const void *src,
                                 size_t count, size_t item_size);

/* Adds value to the unsigned integer of size bytes (1, 2, 4 or 8, in the machine's byte
 * order, aligned or not) at offset, modulo its range, in one atomic step with respect to
 * all calls; *old gets what it was. Atomic instructions on pinned memory are not calls.
 * POOL_INVALID (a size that is not one of these, NULL), POOL_RANGE, POOL_NO_MEMORY,
 * POOL_LIMIT; then *old is untouched. */
POOL_API PoolStatus pool_fetch_add(MemoryPool *pool, size_t offset, size_t size,
                                   uint64_t value, uint64_t *old);

/* The same, but puts value in its place if it is expected; it was exchanged if *old is
 * expected afterwards. In a hole or a shared block it needs memory either way. */
POOL_API PoolStatus pool_compare_exchange(MemoryPool *pool, size_t offset, size_t size,
                                          uint64_t expected, uint64_t value,
                                          uint64_t *old);

/* ------------------------------------------------------------------ snapshots */

/* Makes an independent pool with the same contents, size and block size, in constant
 * time whatever the pool holds, but for a copy of each pinned block. It joins the family
 * and its memory limit. Returns it with one reference, or NULL: POOL_INVALID,
 * POOL_NO_MEMORY, and with pinned blocks POOL_LIMIT. */
POOL_API MemoryPool *pool_clone(MemoryPool *pool);

/* Makes the contents of pool, and its size, those of from, a relative (POOL_UNRELATED if
 * it is not), in constant time plus the freeing of what only pool held, plus a copy for
 * each block that either of them has pinned: the pinned blocks of pool stay where they
 * are, with the contents of from. from is not changed, and the two stay independent.
 * Restoring a pool from itself does nothing. POOL_INVALID, POOL_NO_MEMORY, and with
 * pinned blocks POOL_LIMIT. */
POOL_API PoolStatus pool_restore(MemoryPool *pool, MemoryPool *from);

/* Finds the first run of data in [offset, end): bytes that lie in blocks, with no hole
 * between them. Everything outside the runs reads as zeros; inside, zeros may be found
 * as well. To walk a pool:
 *     for (at = 0; pool_next_extent(pool, at, SIZE_MAX, &start, &size) == 1;
 *          at = start + size) ...
 *
 * What lies at end or beyond it is not looked at, and a run that reaches there is cut: so
 * a call takes no longer than its range is worth. SIZE_MAX means up to the end of the
 * pool.
 *
 * Returns 1 and sets *start (offset or later) and *size (1 or more, never past end or
 * total_size); 0 if there is none, or -1 with POOL_INVALID if an argument is NULL; then
 * *start and *size are untouched. Any offset and end are allowed; past the end of the
 * pool, and if end is not above offset, nothing is found. Each call is one atomic step.
 * It costs one search through the levels of the tree, however long the run is and the
 * hole before. */
POOL_API int pool_next_extent(MemoryPool *pool, size_t offset, size_t end, size_t *start,
                              size_t *size);

/* Finds the first run of bytes in [offset, end) in which pool and base, its relative, may
 * differ. What lies outside these runs is the same in both. The answer is by whole
 * blocks: a block that either of them wrote to, freed or got since they had it in common,
 * even if the bytes in it came out equal. What both share is skipped unseen, so that the
 * cost grows with what differs and not with what is held. Beyond its end the smaller of
 * the two counts as a hole, and a run may reach to the end of the larger.
 *
 * Returns, errors and what end does as pool_next_extent; -1 also for POOL_UNRELATED.
 * Costs what pool_next_extent does and a look at each block of the run, but for parts of
 * the tree where one pool has all blocks and the other has none. */
POOL_API int pool_next_change(MemoryPool *pool, MemoryPool *base, size_t offset,
                              size_t end, size_t *start, size_t *size);

/* Finds the first run of data in [offset, end) whose blocks are all of one kind, and sets
 * *kind to what they are: flags of PoolBlockState, 0 for blocks that this pool has for
 * itself. The runs are those of pool_next_extent, cut where the kind changes. Relatives,
 * views and pins that come and go change the kind of a block at any time: it is what it
 * was when the call looked at it.
 *
 * Returns, errors and what end does as pool_next_extent; *kind is untouched with the
 * others. Costs what pool_next_extent does and a look at each block of the run: in a pool
 * of many blocks, give an end that bounds them. */
POOL_API int pool_next_state(MemoryPool *pool, size_t offset, size_t end, size_t *start,
                             size_t *size, size_t *state);

/* -------------------------------------------------------------- without a copy */

/* Gives a frozen view of the bytes at offset: view->data[0 .. view->size) is what the
 * pool held at the moment of the call, and never changes. It ends at the end of a block,
 * so that view->size may be less than size (and is 1 or more): go on at offset +
 * view->size. A hole gives zeros and allocates nothing. The memory must not be written
 * to. It stays valid until pool_view_release, even if the pool is destroyed. A write to
 * the block meanwhile copies it. A view of a pinned block is a copy.
 *
 * POOL_RANGE if [offset, offset + size) passes the end; POOL_INVALID if size is 0, view
 * is NULL or view->struct_size too small; POOL_NO_MEMORY; POOL_LIMIT for a pinned block.
 * */
POOL_API PoolStatus pool_view(MemoryPool *pool, size_t offset, size_t size,
                              PoolView *view);

/* Gives a live window on the bytes at offset, of one block as with pool_view; the block
 * is allocated if there is none. What the caller writes through view->data is seen by
 * later reads, and writes of others are seen through it. The calls of this library keep
 * their promises; that bytes are not written through a pin while somebody else reads or
 * writes the same bytes is the caller's to see to. A call may be given pinned memory as
 * its buffer, if that does not overlap the bytes that it reads or writes in the pool.
 *
 * A pinned block stays where it is: discard, restore, copy and adopt write their bytes
 * into it, and a clone or view gets a copy of it. A block may be pinned several times. It
 * stays valid until pool_view_release, even if the pool is destroyed. Errors as
 * pool_view, and POOL_LIMIT. */
POOL_API PoolStatus pool_pin(MemoryPool *pool, size_t offset, size_t size,
                             PoolView *view);

/* Gives a view or a pin back. NULL, and a view that was released, do nothing. May be
 * called from any thread, but not for one view from two at once. */
POOL_API void pool_view_release(PoolView *view);

/* Makes size bytes at data the contents of [offset, offset + size) without a copy: blocks
 * that the range covers wholly use the memory at data, which must then neither change nor
 * go away; what the range has of other blocks, and what lies in pinned blocks, is copied.
 * A block of adopted memory is copied at the first write to it; until then it does not
 * count for the memory limit, and reading it takes a lock.
 *
 * When no pool and no view uses the memory any more, release(data, size, context) is
 * called, exactly once, unless release is NULL; maybe before this call returns. It is
 * called by whichever thread's call let go last, with no lock held; it may call this
 * library. If pool_adopt fails, release is not called and the memory stays the caller's.
 * POOL_RANGE if the range passes the end, POOL_INVALID, POOL_NO_MEMORY, POOL_LIMIT (for
 * the ends). */
POOL_API PoolStatus pool_adopt(MemoryPool *pool, size_t offset, void *data, size_t size,
                               void (*release)(void *data, size_t size, void *context),
                               void *context);

/* ---------------------------------------------------------------------- facts */

/* Fills in *stats, as far as stats->struct_size reaches; all from one moment of pool.
 * Counting shared_blocks costs a look at each block in the part of the tree that only
 * this pool uses, with the whole pool held: nothing right after a clone, and much where
 * it has many blocks for itself. If struct_size does not reach that field the call is
 * constant time. POOL_INVALID (in pool_last_status) if an argument is NULL or struct_size
 * does not reach total_size; then nothing is filled in. */
POOL_API void pool_stats(MemoryPool *pool, PoolStats *stats);

/* Gives the memory that the process keeps for reuse back to the system: all pages in
 * which no block is held, and those of bookkeeping that is not used. Returns the number
 * of bytes given back. Pools are not affected; calls that take or free blocks of a family
 * may wait while one of its chunks (up to 4 MiB, or one block) is looked through, and
 * those that make or end pools, and fork, until it is done. */
POOL_API size_t pool_trim(void);

/* For tests: makes the number-th allocation from now on fail, counting those of all
 * threads, as if the system had no memory for it; 0 lets all succeed. Returns how many
 * were left to go of the number set before, 0 if that one was reached. What is allocated,
 * and when, is the library's own affair: count up until a test passes without a fault. */
POOL_API size_t pool_fail_allocation(size_t number);

/* The status of the last call that this thread made to this library, not counting this
 * function, pool_fail_allocation, pool_status_text, pool_version and pool_for_python.
 * POOL_OK if there was none. */
POOL_API PoolStatus pool_last_status(void);

/* A short English text for a status; "unknown status" for what is none. It is never
 * NULL, and never freed. */
POOL_API const char *pool_status_text(PoolStatus status);

/* The version of the library in use: major << 16 | minor << 8 | patch. */
POOL_API unsigned pool_version(void);

/* For pymempool, the Python package of the same version, and for nobody else: hands over
 * functions of CPython and returns the address of what CPython is to call by that name,
 * NULL if there is nothing. An implementation detail that may change with any version. */
POOL_API void *pool_for_python(const char *name, const void *functions);

#ifdef __cplusplus
}
#endif

#endif /* MEMORY_POOL_H */
