/* SPDX-License-Identifier: MIT */
/*
 * pool.h - families, pools, and the functions that pool.c and its neighbours share
 */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include "../tree/tree.h"

/* ---------------------------------------------------------------- families and pools */

typedef struct Pin Pin;

/* What all relatives share; see family.c. */
typedef struct Family {
    struct Family *previous, *next;
    AtomicSize refs;          /* pools, views and pins            */
    AtomicSize views;         /* and pins                         */
    AtomicSize pools;         /* changed under the registry's lock */
    char padding[CACHE_LINE]; /* so that views and the arena do not share a line */
    Arena arena;
} Family;

/* The first cache line has what every call reads and few calls change, the second what
 * changes more often; the locks follow, each on a line of its own. */
struct MemoryPool {
    union {
        struct {
            unsigned block_shift;  /* the block size is 1 << block_shift */
            AtomicSize total_size; /* changed under the exclusive lock   */
            Tree tree;
            Family *family;
            Pin *pins;         /* changed under the arena's lock, see pins.c     */
            AtomicSize pinned; /* how many; grows only under the blocks' locks   */
        };
        char first_line[CACHE_LINE];
    };
    union {
        struct {
            AtomicSize refs;
            MemoryPool *older, *younger;
            uint64_t age;      /* larger for younger pools; never wraps             */
            AtomicSize copied; /* copies made on write                              */
            void *memory;      /* what to free: the pool is aligned to a cache line */
        };
        char second_line[CACHE_LINE];
    };
    PoolLock locks;
};

/* All families and pools of the process, see family.c. */
static struct Registry {
    Lock lock;
    bool fork_handlers_set;
    uint64_t ages;
    Family families; /* a ring; only its links are used  */
    MemoryPool *oldest, *youngest;
} registry;

/* family.c */
static PoolStatus registry_add(MemoryPool *pool);
static void family_release(Family *family);
static void registry_remove(MemoryPool *pool);

/* pool.c */
static void pools_lock(MemoryPool *a, MemoryPool *b);
static void pools_unlock(MemoryPool *a, MemoryPool *b);
static PoolStatus pools_relation(const MemoryPool *a, const MemoryPool *b);

/* ----------------------------------------------------------------------------- bytes */

/* The part of a range that lies in one block. */
typedef struct Piece {
    size_t index; /* of the block                    */
    size_t start; /* its first byte in the block     */
    size_t size;  /* bytes, up to the block's end    */
} Piece;

enum { SMALL_MAX = 16 }; /* bytes that are copied without a call */

/* What a write does with bytes past the end of the pool. */
typedef enum WriteMode {
    WRITE_ALL,     /* writes nothing if there are any               */
    WRITE_CLIPPED, /* leaves them out                               */
    WRITE_NOTHING  /* as WRITE_ALL, but for a pin: no bytes follow  */
} WriteMode;

/* bytes.c */
static Piece piece_at(const MemoryPool *pool, size_t offset, size_t size);
static size_t pool_total(const MemoryPool *pool);
static size_t pool_index(const MemoryPool *pool, size_t offset);
static size_t pool_clip(const MemoryPool *pool, size_t offset, size_t size);
static bool pool_moves(const MemoryPool *pool, size_t offset, const void *buffer,
                       size_t size);
static PoolStatus pool_check(const MemoryPool *pool, size_t offset, size_t size);
static void block_get(unsigned char *dest, const unsigned char *data, Piece piece,
                      bool small);
static bool bytes_get(MemoryPool *pool, unsigned char *dest, size_t offset, size_t size,
                      const OptimisticRead *read);
static size_t bytes_read(MemoryPool *pool, unsigned char *dest, size_t offset,
                         size_t size, bool clips);
static size_t slot_put(MemoryPool *pool, AtomicPtr *slot, Piece piece,
                       const unsigned char *src, int byte, Reservation *reservation);
static void bytes_put(MemoryPool *pool, size_t offset, const unsigned char *src, int byte,
                      size_t size, Reservation *reservation);
static PoolStatus write_begin(MemoryPool *pool, size_t offset, size_t *size,
                              WriteMode mode, Guard *guard, Reservation *reservation);
static void write_end(MemoryPool *pool, Guard guard, Reservation *reservation);
static bool leaf_try_write(MemoryPool *pool, Node *leaf, size_t shape, Piece piece,
                           const unsigned char *src, bool small);
static PoolStatus bytes_write(MemoryPool *pool, size_t offset, const unsigned char *src,
                              int byte, size_t *size, WriteMode mode);

/* ------------------------------------------------------------------------------ pins */

/* A block that stays at its address, see pins.c. */
struct Pin {
    Pin *previous, *next; /* in the list of its pool                           */
    MemoryPool *pool;     /* NULL: the block has left it                       */
    Block *block;         /* a reference if pool is NULL, else its slot has it */
    size_t index;         /* of the block in the pool                          */
    size_t count;         /* pins of this block                                */
};

/* pins.c */
static size_t pins_count(MemoryPool *pool);
static Pin *pin_add(MemoryPool *pool, size_t index, Block *block, Pin *spare);
static void pin_remove(Pin *pin, Arena *arena, Reservation *reservation);
static bool pins_find(MemoryPool *pool, size_t first, size_t end, size_t *found);
static void pins_cut(MemoryPool *pool, size_t first, size_t end);
static void pins_retain_locked(MemoryPool *pool, size_t end);
static Need pins_measure(MemoryPool *pool, unsigned height);
static void pins_unshare_locked(MemoryPool *pool, Tree *tree, Reservation *reservation);
static void pin_put_back_locked(MemoryPool *pool, Pin *pin, Reservation *reservation);

/* --------------------------------------------------------------------- discard, walk */

/* The plan of a discard: blocks [first, end) are removed, pieces of others cleared; see
 * discard.c. */
typedef struct Discard {
    size_t first, end;
    Piece pieces[2];
    unsigned count;
} Discard;

/* discard.c */
static bool data_is_zero(const unsigned char *data, size_t size);
static bool discard_keeps(Discard *discard, const MemoryPool *pool, Piece piece);
static Discard discard_plan(const MemoryPool *pool, size_t offset, size_t size);
static Need discard_measure(const MemoryPool *pool, const Discard *discard);
static void discard_apply(MemoryPool *pool, const Discard *discard,
                          Reservation *reservation);

/* walk.c */
static bool walk_find(const MemoryPool *pool, const Tree *other, size_t end,
                      size_t offset, size_t *start, size_t *size, size_t *state);

#endif /* POOL_POOL_H */
