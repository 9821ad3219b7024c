/* SPDX-License-Identifier: MIT */
/*
 * pool.h - families, pools, and the functions that pool.c and its neighbours share
 */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include "../tree/tree.h"

/* ---------------------------------------------------------------------------- handles */

#if defined(POOL_DEBUG)

/* Where something was made or ended. */
typedef struct Place {
    const char *file; /* of the caller's source, see pool_place; NULL: not known   */
    size_t line;
    const void *address; /* in the caller's code; NULL: a call of the library itself */
} Place;

enum { HANDLE_POOL = 0x706f6f6c, HANDLE_VIEW = 0x76696577, HANDLE_DEAD = 0x64656164 };

/* What a pool, and the record of a view, begin with; see handles.c. */
typedef struct Handle {
    size_t magic;        /* HANDLE_POOL or HANDLE_VIEW; HANDLE_DEAD: it has ended */
    const void *library; /* which copy of it made this                          */
    Place made, ended;
} Handle;

#  define HANDLE_CHECK(pool) handle_check(pool, __func__)
#  define HANDLE_BEGIN(pool) handle_begin(&(pool)->handle, HANDLE_POOL)
#  define HANDLE_MADE(pool) handle_made(&(pool)->handle, RETURN_ADDRESS())
#  define HANDLE_END(pool) handle_end(&(pool)->handle, RETURN_ADDRESS())
#  define HANDLE_FREE(memory) quarantine_put(memory)
#  define VIEW_MADE(status, pool, view) view_made(status, pool, view, RETURN_ADDRESS())
#  define VIEW_END(view) view_end(view, RETURN_ADDRESS())
#else
#  define HANDLE_CHECK(pool) ((void)0)
#  define HANDLE_BEGIN(pool) ((void)0)
#  define HANDLE_MADE(pool) ((void)0)
#  define HANDLE_END(pool) ((void)0)
#  define HANDLE_FREE(memory) platform_free(memory)
#  define VIEW_MADE(status, pool, view) (status)
#  define VIEW_END(view) ((void)0)
#endif

/* ---------------------------------------------------------------- families and pools */

typedef struct Pin Pin;

/* What all relatives share; see family.c. */
typedef struct Family {
    HiddenLink link;          /* in the registry                  */
    AtomicSize refs;          /* pools, views and pins            */
    AtomicSize views;         /* and pins                         */
    AtomicSize pools;         /* changed under the registry's lock */
    char padding[CACHE_LINE]; /* so that views and the arena do not share a line */
    Arena arena;
    PoolLimitFunction on_limit; /* this and the next: guarded by the arena's lock */
    void *on_limit_context;
} Family;

/* The first cache line has what every call reads and few calls change, the second what
 * changes more often; the locks follow, each on a line of its own. */
struct MemoryPool {
#if defined(POOL_DEBUG)
    union {
        Handle handle;
        char handle_line[CACHE_LINE];
    };
#endif
    union {
        struct {
            unsigned block_shift;  /* the block size is 1 << block_shift */
            size_t block_mask;     /* the block size - 1                 */
            AtomicSize total_size; /* changed under the exclusive lock   */
            Tree tree;
            Family *family;
            Pin *pins;         /* changed under the arena's lock, see pins.c       */
            AtomicSize pinned; /* blocks; grows only while the blocks are locked   */
        };
        char first_line[CACHE_LINE];
    };
    union {
        struct {
            AtomicSize refs;
            HiddenLink link;   /* in the registry                                     */
            uint64_t age;      /* larger for younger pools; never wraps             */
            AtomicSize copied; /* copies made on write                              */
            void *memory;      /* what to free: the pool is aligned to a cache line */
        };
        char second_line[CACHE_LINE];
    };
    PoolLock locks;
};

#if defined(POOL_DEBUG)
/* What a view or a pin of a caller is known by; see handles.c. */
typedef struct ViewRecord {
    Handle handle;
    HiddenLink link; /* in the registry                    */
    void *block;     /* what stands in the view otherwise  */
    const void *family;
    HiddenPtr data;
    size_t size;
    bool is_pin;
} ViewRecord;
#endif

/* All families and pools of the process, see family.c. */
static struct Registry {
    Lock lock;
    bool fork_handlers_set;
    uint64_t ages;
    HiddenList families, pools;
    HiddenList views; /* and pins that were not released, with POOL_DEBUG */
} registry;

#if defined(POOL_DEBUG)
/* handles.c */
static void handle_begin(Handle *handle, size_t magic);
static void handle_made(Handle *handle, const void *address);
static void handle_end(Handle *handle, const void *address);
static void handle_check(const MemoryPool *pool, const char *function);
static void quarantine_put(void *memory);
static PoolStatus view_made(PoolStatus status, const MemoryPool *pool, PoolView *view,
                            const void *address);
static void view_end(PoolView *view, const void *address);
static const ViewRecord *registry_first_view(void);
static const ViewRecord *view_next(const ViewRecord *record);
#endif

/* family.c */
static Family *registry_first_family(void);
static Family *family_next(const Family *family);
static MemoryPool *registry_first_pool(void);
static MemoryPool *pool_next(const MemoryPool *pool);
static PoolStatus registry_add(MemoryPool *pool);
static void family_release(Family *family);
static void registry_remove(MemoryPool *pool);

/* limit.c */
static inline bool limit_asks(MemoryPool *pool, PoolStatus status, bool *asked);

/* pool.c */
static void pools_lock(MemoryPool *a, MemoryPool *b);
static void pools_unlock(MemoryPool *a, MemoryPool *b);
static PoolStatus pools_clone(MemoryPool *const *pools, size_t count,
                              MemoryPool **clones);
static PoolStatus pools_relation(const MemoryPool *a, const MemoryPool *b);

/* ----------------------------------------------------------------------------- bytes */

/* The part of a range that lies in one block. */
typedef struct Piece {
    size_t index; /* of the block                    */
    size_t start; /* its first byte in the block     */
    size_t size;  /* bytes, up to the block's end    */
} Piece;

enum {
    SMALL_MAX = 16,  /* bytes that are copied without a call               */
    INTEGER_SIZE = 8 /* bytes that are read and written most often         */
};

/* What a write does with bytes past the end of the pool. */
typedef enum WriteMode {
    WRITE_ALL,     /* writes nothing if there are any               */
    WRITE_CLIPPED, /* leaves them out                               */
    WRITE_NOTHING  /* as WRITE_ALL, but for a pin: no bytes follow  */
} WriteMode;

/* range.c */
static Piece piece_at(const MemoryPool *pool, size_t offset, size_t size);
static size_t pool_total(const MemoryPool *pool);
static size_t pool_bytes(const MemoryPool *pool, size_t blocks);
static size_t pool_index(const MemoryPool *pool, size_t offset);
static bool range_is_one_piece(const MemoryPool *pool, size_t offset, size_t size);
static Piece range_piece(const MemoryPool *pool, size_t index, size_t offset,
                         size_t size);
static bool range_is_inside(const MemoryPool *pool, size_t offset, size_t size);
static size_t pool_clip(const MemoryPool *pool, size_t offset, size_t size);
static bool pool_moves(const MemoryPool *pool, size_t offset, const void *buffer,
                       size_t size);
static size_t pool_last(const MemoryPool *pool, size_t offset, size_t size);
static PoolStatus pool_check(const MemoryPool *pool, size_t offset, size_t size);

/* read.c */
static void small_copy(unsigned char *dest, const unsigned char *src, size_t size);
static void data_get(unsigned char *dest, const unsigned char *data, Piece piece,
                     bool small);
static void hole_get(unsigned char *dest, Piece piece, bool small);
static bool bytes_get(MemoryPool *pool, unsigned char *dest, size_t offset, size_t size,
                      const OptimisticRead *read);
static size_t bytes_read(MemoryPool *pool, unsigned char *dest, size_t offset,
                         size_t size, bool clips);

/* write.c */
static size_t slot_put(MemoryPool *pool, AtomicPtr *slot, Piece piece,
                       const unsigned char *src, int byte, Reservation *reservation);
static void bytes_put(MemoryPool *pool, size_t offset, const unsigned char *src, int byte,
                      size_t size, Reservation *reservation);
static PoolStatus write_begin(MemoryPool *pool, size_t offset, size_t *size,
                              WriteMode mode, Guard *guard, Reservation *reservation);
static void write_end(MemoryPool *pool, Guard guard, Reservation *reservation);
static bool leaf_try_write(MemoryPool *pool, Node *leaf, size_t shape, Piece piece,
                           const unsigned char *src, bool small, bool quick);
static PoolStatus bytes_write(MemoryPool *pool, size_t offset, const unsigned char *src,
                              int byte, size_t *size, WriteMode mode);

/* ------------------------------------------------------------------------------ pins */

/* Blocks that stay where they are, see pins.c; their frozen copies, see freeze.c. */
struct Pin {
    Pin *previous, *next; /* in the list of its pool                                 */
    Pin *entered;         /* the next one that a call works on, see pins_enter       */
    MemoryPool *pool;     /* NULL: none of its blocks is in a pool any more          */
    Block *blocks;        /* the first one; the others follow it, as their data does */
    size_t index;         /* of the first one in the pool                            */
    size_t count;         /* of blocks                                               */
    size_t attached;      /* the first so many are in the pool; the pin has a reference
                           * to each of the others                                   */
    size_t users;         /* pins that callers have, and calls that work on it       */
    size_t watched;       /* the generation in which the system began to track its
                           * pages; 0: it does not                                   */
    bool open;            /* but its pages are not protected: much was written       */
    bool calm;            /* though of late little of that changed anything           */
    Tree frozen;          /* frozen copies, by the index in the pool; none: zeros    */
    uint64_t dirty[1];    /* bit i: the block i may differ from its frozen copy      */
};

/* An open pin is protected again when fewer than 1 / CALM_PART of its pages differ. */
enum { CALM_PART = 4 };

/* What a search knows of the pages of a pin: of those in [from, known), the ranges were
 * written to since they were protected, and no others. It asks the system for one range
 * at first, since most calls end at it and the system looks for the next one before it
 * stops; then for twice as many each time. */
enum { CURSOR_ROOM = 8 };
typedef struct PinCursor {
    Pin *pin;
    unsigned char *from, *known;
    size_t count, room; /* of ranges; room 0: it has not asked yet */
    WrittenRange written[CURSOR_ROOM];
} PinCursor;

/* pins.c */
static size_t pins_count(MemoryPool *pool);
static size_t pin_size(size_t count);
static bool block_follows(const MemoryPool *pool, const Block *first, const Block *block,
                          size_t n);
static Pin *block_pin(Block *block);
static void pin_attach_locked(Pin *pin, MemoryPool *pool, size_t index, Block *blocks,
                              size_t count);
static void pin_poison_end(const Pin *pin);
static Pin *pin_add(MemoryPool *pool, size_t index, Block *block, Pin *spare);
static void pin_release(Pin *pin, Arena *arena, Reservation *reservation);
static Pin *pin_enter(MemoryPool *pool, Block *block, Pin **entered);
static Pin *pins_enter(MemoryPool *pool, size_t first, size_t end);
static void pins_leave(Arena *arena, Pin *entered, Reservation *reservation);
static bool pins_find(MemoryPool *pool, size_t first, size_t end, size_t *found);
static void pool_open_end(MemoryPool *pool);
static void pins_cut(Arena *arena, Pin *entered, size_t end, Reservation *reservation);

/* A walk over the written pages of a pin. */
typedef struct PinScan {
    unsigned char *at, *end; /* what is left of it                                     */
    bool protect;            /* protects the written pages as it finds them            */
    bool compare;            /* sets the dirty bits of blocks that differ, else of all */
    size_t bytes;            /* of pages that were found                               */
    size_t differing;        /* of those, in blocks that differ                        */
} PinScan;

/* dirty.c */
static bool pin_is_dirty(const Pin *pin, size_t i);
static void pin_set_dirty(Pin *pin, size_t i);
static void pin_set_clean(Pin *pin, size_t i);
static size_t pin_next_dirty(const Pin *pin, size_t i, size_t end);
static unsigned pin_shift(const Pin *pin);
static unsigned char *pin_data(const Pin *pin, size_t i);
static size_t pin_last(const Pin *pin);
static size_t pin_bytes(const Pin *pin, size_t i);
static unsigned char *page_floor(unsigned char *at);
static unsigned char *page_ceil(unsigned char *at);
static size_t pin_pages_size(const Pin *pin);
static bool pin_is_watched(const Pin *pin);
static void pin_watch(Pin *pin);
static void pin_unwatch(Pin *pin);
static bool pin_differs(const Pin *pin, size_t i, Node *leaf);
static void pin_copy(const Pin *pin, size_t i, Block *copy);
static PinScan pin_scan_all(const Pin *pin, bool protect, bool compare);
static bool pin_scan(Pin *pin, PinScan *scan, size_t most);
static bool pin_many_written(const Pin *pin, const PinScan *scan);
static void pins_collect(Pin *entered);
static void pin_collect_range(Pin *pin, size_t first, size_t last);
static bool pin_find_change(PinCursor *cursor, size_t first, size_t last, size_t *found);

/* freeze.c */
static Need pin_measure_range(const Pin *pin, size_t first, size_t last);
static Need pins_measure_clone(MemoryPool *pool, const Pin *entered, unsigned height);
static size_t pins_measure_restore(MemoryPool *pool, const Pin *entered, unsigned height);
static bool pin_is_zero(const Pin *pin, size_t index);
static void pin_freeze_range(Pin *pin, size_t first, size_t last,
                             Reservation *reservation);
static void pins_freeze(Pin *entered, Reservation *reservation);
static void pins_graft(const Pin *entered, Tree *tree, Reservation *reservation);
static void pins_restore(MemoryPool *pool, Pin *entered, const Tree *old,
                         Reservation *reservation);

/* ----------------------------------------------------------------------------- views */

/* view.c */
static PoolStatus view_check(const MemoryPool *pool, size_t offset, size_t size,
                             const PoolView *view);
static void view_drop(PoolView *view);
static void view_set(PoolView *view, MemoryPool *pool, unsigned char *data, size_t size,
                     Block *block, size_t blocks, Pin *pin);

/* guard.c */
static PoolStatus view_guard(PoolView *view, const PoolView *before, PoolStatus status);
static void view_unguard(PoolView *view);

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

/* --------------------------------------------------------------------------- content */

/* A part of a pool that lies in one piece in memory, or is a hole; see segment.c. */
typedef struct Segment {
    const MemoryPool *pool;
    size_t limit;              /* no segment reaches past this offset               */
    size_t enough;             /* with so many bytes it is not extended any further */
    size_t start, end;         /* [start, end) of the pool                          */
    const unsigned char *data; /* the byte at start; NULL: a hole                   */
    Node *leaf;                /* the last one that was looked up, or NULL: a hole  */
    size_t leaf_number;        /* which it was                                      */
} Segment;

/* segment.c */
static Segment segments_of(const MemoryPool *pool, size_t limit, size_t enough);
static void segment_find(Segment *segment, size_t at);
static void segment_move(Segment *segment, size_t at);

#endif /* POOL_POOL_H */
