/* SPDX-License-Identifier: MIT */
/*
 * memory.h - where memory comes from and goes to
 */
#ifndef POOL_MEMORY_H
#define POOL_MEMORY_H

#include "../sync/sync.h"

/* ----------------------------------------------------------------------------- store */

/* A chunk in the chunk cache, in the first bytes of its own memory. */
typedef struct CachedChunk {
    struct CachedChunk *next;
    size_t size;
    size_t dirty_end; /* bytes from here on were never touched and are zeros */
} CachedChunk;

static struct ChunkCache {
    Lock lock;
    size_t bound;                   /* bytes that may be kept; 0: not asked yet  */
    size_t cached;                  /* bytes kept, here and free in the arenas   */
    CachedChunk *chunks[SIZE_BITS]; /* by the logarithm of their size */
} chunk_cache;

/* chunk_cache.c */
static bool chunk_cache_reserve(size_t size);
static void chunk_cache_unreserve(size_t size);
static void chunk_cache_put(void *base, size_t size, size_t dirty_end);
static void *chunk_cache_get(size_t size, size_t *dirty_end);
static size_t chunk_cache_trim(void);
static void *memory_alloc(size_t size);
static void *memory_map(size_t size, PlatformUse use);
static size_t chunk_cache_bytes(void);

/* ------------------------------------------------------------------------------ slab */

/* Marks of free items, see slab.c. */
#define ITEM_IDLE (SIZE_MAX - 1) /* it came back since its row was last trimmed */
#define ITEM_FREE SIZE_MAX       /* it came back before that                    */

/* Items side by side, see slab.c. */
typedef struct Row {
    unsigned char *items;
    size_t size;          /* bytes of an item                                     */
    size_t room, count;   /* items that there is room for; that were ever in use  */
    unsigned page_bits;   /* of the size of a page; 0: not pages                  */
    uint64_t decommitted; /* bit i: the page i after the first was given back; no row
                         * has more than 64 (a page is 4096 bytes or more) */
} Row;

/* Free items side by side. */
typedef struct FreeRun {
    size_t first, end;
    size_t idle; /* of those, so many came back since the last trim */
} FreeRun;

typedef struct SlabPiece {
    struct SlabPiece *next;
    struct SlabPiece *decommitted; /* the next one of which items are blank */
    size_t size;                   /* bytes, with all of this               */
    Row row;
} SlabPiece;

typedef struct Slab {
    size_t item_size; /* a multiple of the size of a pointer, two of them or more */
    void *free;       /* linked by their first word                               */
    ptrdiff_t spare;  /* so many more items may come back before it is trimmed    */
    SlabPiece *pieces, *decommitted;
    size_t bytes; /* of all pieces, without the pages that were given back */
} Slab;

/* slab.c */
static void item_free(void **list, void *item, size_t mark);
static void *item_alloc(void **list);
static void row_init(Row *row, void *items, size_t size, size_t room, bool pages);
static uint64_t row_pages_of(const Row *row, size_t i);
static bool row_is_decommitted(const Row *row, size_t i);
static bool row_next(const Row *row, FreeRun *run);
static size_t row_bytes(const Row *row, uint64_t pages);
static size_t row_decommit(Row *row, const FreeRun *run);
static size_t row_link(const Row *row, void **list);
static size_t row_carve(Row *row, void **list);
static size_t slab_items(const Slab *slab);
static void *slab_alloc(Slab *slab);
static size_t slab_trim(Slab *slab);
static void slab_free(Slab *slab, void *item);
static void slab_close(Slab *slab);

/* ----------------------------------------------------------------------------- chunk */

#define CHUNK_MIN ((size_t)PLATFORM_MAP_MIN)
#define CHUNK_MAX ((size_t)4 << 20)

enum {
    ITEM_MIN = 16,            /* data of smaller blocks is spread out to this       */
    CHUNK_BLOCKS = 4096,      /* at most, so that looking at all of them is short   */
    CHUNK_SHARES = 8,         /* see chunk.c                                        */
    HEADER_PAGES_FROM = 32768 /* descriptions of so many bytes are given back too */
};

typedef struct Chunk Chunk;

/* Memory of somebody else's that is part of a pool, see adopt.c. */
typedef struct Adoption {
    struct Adoption *next; /* among those to be released */
    size_t blocks;         /* blocks left in it          */
    void *data;
    size_t size;
    void (*release)(void *data, size_t size, void *context);
    void *context;
} Adoption;

/* What a block says beside its chunk, in bits that are 0 in an address. */
enum {
    BLOCK_DIRTY = 1,    /* while it is reserved: its data may hold something       */
    BLOCK_IN_CHUNK = 2, /* it has a chunk, and is not of adopted memory: never changes */
    BLOCK_BITS = BLOCK_DIRTY | BLOCK_IN_CHUNK
};

/* A block: the count of those who hold it (slots of nodes, views, a pin that was cut off
 * from its pool) and its data. The first two words are those of an item of a slab. */
typedef struct Block {
    union {
        AtomicPtr pin;      /* while it is in a slot: its Pin, or NULL; see pins.c */
        struct Block *next; /* while it is not                                     */
    } as;
    AtomicSize refs;
    unsigned char *data; /* NULL if it is of adopted memory: see block_data */
    uintptr_t from; /* its Chunk and BLOCK_BITS, or the Adoption that it is a part of */
} Block;

/* A block of adopted memory. */
typedef struct Adoptee {
    Block block;
    unsigned char *data;
} Adoptee;

/* Pages that blocks are carved from, and their descriptions; see chunk.c. */
struct Chunk {
    Chunk *previous, *next; /* on the ring; both NULL when not on it */
    Chunk *older;           /* the arena's chunk before this one     */
    unsigned char *base;
    size_t size;      /* bytes at base                                            */
    size_t before;    /* bytes of the chunks that the arena had before            */
    size_t dirty_end; /* bytes at base that may hold something                    */
    size_t warm_end;  /* bytes at base that may have memory, used or not          */
    size_t header;    /* bytes of pages that all this lies in; 0: no pages        */
    size_t count;     /* blocks in all                                            */
    size_t used;      /* blocks that somebody has                                 */
    size_t weight;    /* bytes that keeping a free block keeps                    */
    void *free;       /* blocks that came back                                    */
    size_t idle;      /* of those, so many may have memory: the first of them     */
    size_t cached;    /* bytes that the chunk cache has counted for it            */
    Row row;          /* the blocks that were given out so far                    */
    Block block[1];   /* count of them                                            */
};

/* chunk.c */
static bool block_is_adopted(const Block *block);
static bool block_is_dirty(const Block *block);
static unsigned char *block_data(const Block *block);
static const unsigned char *block_data_optimistic(const Block *block);
static size_t chunk_header_size(size_t count);
static void chunk_free(Chunk *chunk);
static Chunk *chunk_create(size_t size, size_t item_size);
static bool chunk_is_full(const Chunk *chunk);
static size_t chunk_dirty_end(const Chunk *chunk, size_t item_size);
static size_t chunk_whole(const Chunk *chunk);
static size_t chunk_idle(const Chunk *chunk, size_t item_size);
static void chunk_uncount_cached(Chunk *chunk, size_t bytes);
static bool chunk_count_cached(Chunk *chunk, size_t bytes);
static Block *chunk_alloc_block(Chunk *chunk, size_t item_size, size_t *headers);
static size_t chunk_decommit(Chunk *chunk, size_t item_size, size_t *headers);
static size_t chunk_trim(Chunk *chunk, size_t item_size, size_t *headers);

/* ----------------------------------------------------------------------------- arena */

/* Requests of fewer bytes are not compared with what the system has left, which takes
 * some 100 us; a page has to be touched for anything that is written. */
enum { REQUEST_LARGE = 64 << 20, REQUEST_PAGE = 4096 };

/* The memory of a family, and its accounts; see arena.c. */
typedef struct Arena {
    Lock lock;
    Chunk ring;    /* only the links of this one are used */
    Chunk *newest; /* of all chunks                       */
    size_t block_size, item_size;
    bool wipes;       /* zeros in blocks that nobody holds                     */
    bool overcommits; /* takes no account of what the system has left          */
    size_t few;       /* blocks that are no large request, whatever is written */
    size_t limit;     /* bytes; SIZE_MAX: none         */
    size_t held, peak;
    size_t mapped;        /* bytes of all chunks         */
    size_t headers;       /* bytes of their descriptions, without what went back */
    size_t adopted;       /* blocks of adopted memory    */
    void *zeros;          /* pages to view holes in, once asked for */
    Slab nodes, adoptees; /* nodes, and blocks of adopted memory */
} Arena;

/* arena.c */
static void arena_init(Arena *arena, size_t block_size, size_t node_size, size_t limit);
static bool arena_can_commit(const Arena *arena, size_t bytes);
static bool arena_within_limit(const Arena *arena, size_t count);
static void adoption_drop(Adoption *adoption, Adoption **released);
static void arena_free(Arena *arena, Block *blocks, Adoption **released);
static PoolStatus arena_alloc(Arena *arena, size_t count, Block **blocks);
static Block *arena_alloc_adoptee(Arena *arena, Adoption *adoption);
static void *arena_zeros(Arena *arena);
static size_t arena_trim(Arena *arena);
static void arena_undo(Arena *arena, size_t mapped);
static void arena_close(Arena *arena);

#endif /* POOL_MEMORY_H */
