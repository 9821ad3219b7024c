/* SPDX-License-Identifier: MIT */
/*
 * memory.h - the chunk cache, slabs, chunks, and the arena of a family
 */
#ifndef POOL_MEMORY_H
#define POOL_MEMORY_H

#include "../sync/sync.h"

/* ----------------------------------------------------------------------- chunk cache */

/* The header of a cached chunk, in the first bytes of its own memory. */
typedef struct CachedChunk {
    struct CachedChunk *next;
    size_t size;
    size_t dirty_end; /* bytes from here on were never touched and are zeros */
} CachedChunk;

static struct ChunkCache {
    Lock lock;
    size_t bound;                   /* bytes that may be cached; 0: not known yet  */
    size_t cached;                  /* bytes cached, here and free in the arenas   */
    CachedChunk *chunks[SIZE_BITS]; /* lists, by the logarithm of the chunks' size */
    CachedChunk *huge[SIZE_BITS];   /* the same for chunks of huge pages           */
} chunk_cache;

/* chunk_cache.c */
static bool chunk_cache_reserve(size_t size);
static void chunk_cache_unreserve(size_t size);
static void chunk_cache_put(void *base, size_t size, size_t dirty_end, bool huge);
static void *chunk_cache_get(size_t size, size_t *dirty_end, bool huge);
static size_t chunk_cache_trim(void);
static void *memory_alloc(size_t size);
static void *memory_map(size_t size, PlatformUse use);
static size_t chunk_cache_bytes(void);

/* ------------------------------------------------------------------------------ slab */

/* Marks of free items, see slab.c. */
#define ITEM_IDLE (SIZE_MAX - 1) /* it was freed since its row was last trimmed */
#define ITEM_FREE SIZE_MAX       /* it was freed before that                    */

/* Adjacent items, see slab.c. */
typedef struct Row {
    unsigned char *items;
    size_t size;          /* bytes of an item                                     */
    size_t room, count;   /* items that there is room for; that were ever in use  */
    unsigned page_bits;   /* logarithm of the size of its pages, which may be several
                           * of the system's; 0: memory without pages             */
    uint64_t decommitted; /* bit i: page i, counted from the first, is decommitted; no
                           * row has more than 64 pages                         */
} Row;

/* Adjacent free items, [first, end). */
typedef struct FreeRun {
    size_t first, end;
    size_t idle; /* how many of them were freed since the last trim */
} FreeRun;

/* Memory that a slab got from the system at once; its items follow. */
typedef struct SlabPiece {
    struct SlabPiece *next;
    struct SlabPiece *decommitted; /* the next one with decommitted items */
    size_t size;                   /* bytes, including this header        */
    Row row;
} SlabPiece;

/* An allocator of items of one size, see slab.c. */
typedef struct Slab {
    size_t item_size; /* a multiple of the size of a pointer, two of them or more */
    void *free;       /* free items, linked by their first word                   */
    ptrdiff_t spare;  /* how many more items may be freed before the next trim    */
    SlabPiece *pieces, *decommitted;
    size_t bytes; /* of all pieces, without decommitted pages */
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
    ITEM_MIN = 16,            /* bytes that smaller blocks take of a chunk as well  */
    CHUNK_BLOCKS = 4096,      /* at most, so that a pass over all of them is short  */
    CHUNK_SHARES = 8,         /* see chunk.c                                        */
    HEADER_PAGES_FROM = 32768 /* bytes of headers from which they have own pages    */
};

typedef struct Chunk Chunk;

/* The caller's memory as part of a pool, see adopt.c. */
typedef struct Adoption {
    struct Adoption *next; /* among those to be released */
    size_t blocks;         /* not freed yet              */
    void *data;
    size_t size;
    void (*release)(void *data, size_t size, void *context);
    void *context;
} Adoption;

/* What a slot of a leaf holds: where the data of a block is, and its header; 0: a hole.
 * See block.c. */
typedef uintptr_t Word;
enum {
    WORD_SOLE = 1,   /* the slot has the only reference to the block                  */
    WORD_HEADER = 2, /* it is the address of the header; else that of the data        */
    WORD_CHUNK = 4,  /* from this bit on, of the address of data: the logarithm of the
                      * size to which its chunk is aligned, in bits that are always 0  */
    WORD_DATA_MIN = 512 /* to what the address of data is aligned */
};

/* Flags of a block, in bits of its chunk's address that are always 0. */
enum {
    BLOCK_DIRTY = 1,    /* its data may not be zeros; valid while it is reserved   */
    BLOCK_IN_CHUNK = 2, /* its data is in a chunk, not in adopted memory; constant */
    BLOCK_BITS = BLOCK_DIRTY | BLOCK_IN_CHUNK
};

/* The header of a block: its references (from slots of nodes, views, and a pin that was
 * detached from its pool) and its data. The first two words are as in a slab's item. */
typedef struct Block {
    union {
        AtomicPtr pin;      /* in a slot: its Pin as a HiddenPtr, or NULL; see pins.c */
        struct Block *next; /* while it is on a list                               */
    } as;
    AtomicSize refs;
    unsigned char *data; /* NULL in adopted memory: see block_data        */
    uintptr_t from;      /* its Chunk with BLOCK_BITS, or its Adoption    */
} Block;

/* The header of a block of adopted memory. */
typedef struct Adoptee {
    Block block;
    unsigned char *data;
} Adoptee;

/* Pages that are split into blocks, and the headers of these; see chunk.c. */
struct Chunk {
    Chunk *previous, *next; /* on the ring; both NULL when not on it */
    Chunk *older;           /* the arena's chunk before this one     */
    unsigned char *base;
    size_t size;       /* bytes at base                                            */
    size_t item_size;  /* bytes from one block's data to the next one's            */
    unsigned shift;    /* the logarithm of that                                    */
    unsigned aligned;  /* the logarithm of the size, and the alignment, of the pages
                       * that have this struct as well; 0: they do not            */
    bool run;          /* made for blocks side by side, of pages that can be watched */
    bool huge;         /* of pages mapped as PLATFORM_HUGE                         */
    bool split;        /* of those: parts were decommitted, so it uses small pages */
    size_t before;     /* bytes of the chunks that the arena had before            */
    size_t dirty_end;  /* high-water mark of earlier uses, see chunk_dirty_end     */
    size_t warm_end;   /* bytes at base that may be resident from earlier uses     */
    size_t header;     /* bytes of pages that this struct has; 0: no whole pages   */
    size_t count;      /* blocks in all                                            */
    size_t used;       /* blocks that are allocated                                */
    size_t weight;     /* bytes that a free block counts in the chunk cache        */
    void *free;        /* free blocks, without those never allocated               */
    size_t idle;       /* how many of these, the first ones, may be resident       */
    size_t cached;     /* bytes that the chunk cache has counted for it            */
    AtomicPtr digests; /* a KeptDigest for each block; NULL before the first one, see
                        * digests.c                                               */
    Row row;           /* the headers of blocks that were ever allocated           */
    Block block[1];    /* count of them                                            */
};

/* block.c */
static bool block_is_adopted(const Block *block);
static bool block_is_dirty(const Block *block);
static Chunk *block_chunk(const Block *block);
static unsigned char *block_data(const Block *block);
static Word block_word(const Block *block);
static Block *word_block(Word word);
static unsigned char *word_data(Word word);
static const unsigned char *word_data_optimistic(Word word);

/* The digest of a block. */
typedef struct KeptDigest {
    AtomicSize known; /* 1: it is that of the block's data; 0: there is none */
    Digest digest;
} KeptDigest;

/* chunk.c */
static size_t chunk_header_size(size_t count);
static Chunk *chunk_create(size_t size, size_t item_size, bool in_itself, bool huge);
static size_t chunk_pages(const Chunk *chunk);
static void chunk_destroy(Chunk *chunk);
static Chunk *chunk_create_run(size_t count, size_t item_size);
static bool chunk_is_full(const Chunk *chunk);
static size_t chunk_dirty_end(const Chunk *chunk);
static size_t chunk_whole(const Chunk *chunk);
static size_t chunk_idle(const Chunk *chunk);
static void chunk_uncount_cached(Chunk *chunk, size_t bytes);
static bool chunk_count_cached(Chunk *chunk, size_t bytes);
static void block_poison(const Block *block);
static Block *chunk_alloc_block(Chunk *chunk, size_t *headers);
static Block *chunk_alloc_run(Chunk *chunk, size_t count, size_t *headers);
static size_t chunk_decommit(Chunk *chunk, size_t *headers);
static size_t chunk_trim(Chunk *chunk, size_t *headers);

/* ----------------------------------------------------------------------------- trace */

typedef struct TraceEvent {
    void *data;
    size_t size; /* 0: the block was freed */
} TraceEvent;

/* Blocks that a call allocated and freed, for a memory profiler; see trace.c. */
typedef struct Trace {
    TraceEvent *events;
    size_t count, room;
} Trace;

/* trace.c */
static void trace_list(Trace *trace, const Block *block, size_t size);
static void trace_run(Trace *trace, const Block *first, size_t count, size_t size);
static void trace_report(Trace *trace);

/* ----------------------------------------------------------------------------- arena */

/* Requests of fewer bytes are not compared with the available memory, because to find
 * that out takes about 100 us. A write of any size makes at least a page resident. */
enum { REQUEST_LARGE = 64 << 20, REQUEST_PAGE = 4096 };

/* The allocator of a family, and its accounts; see arena.c. */
typedef struct Arena {
    Lock lock;
    Chunk ring;    /* only the links of this one are used */
    Chunk *newest; /* of all chunks                       */
    size_t block_size, item_size;
    bool wipes;           /* POOL_WIPE                                           */
    bool overcommits;     /* POOL_OVERCOMMIT                                     */
    bool huge;            /* POOL_HUGE                                           */
    size_t few;           /* so many blocks are never a large request            */
    size_t limit;         /* bytes of blocks; SIZE_MAX: none                     */
    size_t held, peak;    /* bytes of blocks                                     */
    size_t mapped;        /* bytes of all chunks                                 */
    size_t headers;       /* bytes of their headers, without decommitted pages   */
    size_t adopted;       /* how many blocks of adopted memory                   */
    void *zeros;          /* pages for views of holes; NULL before the first one */
    Slab nodes, adoptees; /* nodes, and headers of adopted blocks                */
} Arena;

/* arena.c */
static void arena_init(Arena *arena, size_t block_size, size_t node_size, size_t limit);
static bool arena_can_commit(const Arena *arena, size_t bytes);
static bool arena_within_limit(const Arena *arena, size_t count);
static void adoption_drop(Adoption *adoption, Adoption **released);
static void arena_free(Arena *arena, Block *blocks, Adoption **released);
static PoolStatus arena_alloc(Arena *arena, size_t count, Block **blocks);
static PoolStatus arena_alloc_run(Arena *arena, size_t count, size_t replacements,
                                  Block **run);
static Block *arena_alloc_adoptee(Arena *arena, Adoption *adoption);
static void *arena_zeros(Arena *arena);
static size_t arena_trim(Arena *arena);
static void arena_undo(Arena *arena, size_t mapped);
static void arena_close(Arena *arena);

/* digests.c */
static void block_forget_digest(const Block *block);
static bool block_has_digest(const Block *block, Digest *digest);
static void arena_keep_digest(Arena *arena, const Block *block, const Digest *digest);
static void chunk_drop_digests(Chunk *chunk, size_t *headers);

#endif /* POOL_MEMORY_H */
