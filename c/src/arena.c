/*
 * arena.c - where the blocks of a family come from
 *
 *     arena ──► available chunks (a ring)
 *                 chunk   base ─► | data 0 | data 1 | data 2 |  ...  | system pages
 *                         block[] |  ref   |  ref   |  ref   |  ...  | beside the data
 *
 * Blocks are carved densely out of chunks, whatever their offsets in a pool, in the order
 * in which they are first needed. A chunk's pages are untouched until then, so that a
 * block of which eight bytes are written makes one page resident. Blocks that were freed
 * are used again first; they are DIRTY: who takes one must overwrite or clear it. Chunks
 * grow from 64 KiB to 4 MiB, so that a small family stays small; a larger block has a
 * chunk of its own.
 *
 * A chunk is on the ring while it has a block to give. When its last block comes back it
 * is kept as it is if the store allows it; if not, its pages go back to the system. In
 * either case it stays mapped, and the descriptions of its blocks stay what they are, as
 * long as the family lives: readers without a lock rely on it (stripes.c). When the
 * family ends, what is kept moves to the store and the rest is unmapped. So it goes with
 * the chunks that a call added before it failed, too: no reader can know of them.
 *
 * The arena also has the nodes of the family's trees (slab.c) and keeps the accounts:
 * bytes held, their peak and limit. The functions that a pool calls take the arena's
 * lock; no other lock but the store's is taken under it.
 */
#define CHUNK_MIN ((size_t)PLATFORM_MAP_MIN)
#define CHUNK_MAX ((size_t)4 << 20)
enum { ITEM_MIN = 16 }; /* data of smaller blocks is spread out to this */

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
    BLOCK_DIRTY = 1, /* its data may hold something; for who takes it from a stock */
    BLOCK_OWN = 2,   /* it has a chunk, and is not of adopted memory: never changes */
    BLOCK_BITS = BLOCK_DIRTY | BLOCK_OWN
};

/* A block: the count of those who hold it (slots of nodes, views, a pin that was cut off
 * from its pool) and its data. */
typedef struct Block {
    union {
        AtomicPtr pin;      /* while it is in a slot: its Pin, or NULL; see pins.c */
        struct Block *next; /* while it is not                                     */
    } as;
    AtomicSize refs;
    unsigned char *data;
    uintptr_t from; /* its Chunk and BLOCK_BITS, or the Adoption that it is a part of */
} Block;

struct Chunk {
    Chunk *previous, *next; /* on the ring; both NULL when not on it */
    unsigned char *base;
    size_t size;      /* bytes at base                                      */
    size_t before;    /* bytes of the chunks that the arena had before      */
    size_t dirty_end; /* bytes at base that may hold something              */
    size_t count;     /* blocks in all                                      */
    size_t fresh;     /* blocks from here on were not given out yet         */
    size_t used;      /* blocks that somebody has                           */
    Block *free;      /* blocks that came back                              */
    bool kept;        /* empty, and counted by the store                    */
    Block block[1];   /* count of them                                      */
};

typedef struct Arena {
    Lock lock;
    Chunk ring; /* base, block and counts of this one are not used */
    size_t block_size, item_size;
    bool wipes;   /* zeros in blocks that nobody holds */
    size_t limit; /* bytes; SIZE_MAX: none         */
    size_t held, peak;
    size_t mapped;        /* bytes of all chunks         */
    size_t headers;       /* bytes of their descriptions */
    size_t adopted;       /* blocks of adopted memory    */
    void *zeros;          /* pages to view holes in, once asked for */
    Slab nodes, adoptees; /* nodes, and blocks of adopted memory */
} Arena;

static inline bool block_is_adopted(const Block *block)
{
    return (block->from & BLOCK_OWN) == 0;
}

static inline bool block_is_dirty(const Block *block)
{
    return (block->from & BLOCK_DIRTY) != 0;
}

static void arena_init(Arena *arena, size_t block_size, size_t node_size, size_t limit)
{
    memset(arena, 0, sizeof *arena);
    arena->ring.previous = arena->ring.next = &arena->ring;
    arena->block_size = block_size;
    arena->item_size = checked_max(block_size, ITEM_MIN);
    arena->limit = limit;
    arena->nodes.item_size = node_size;
    arena->adoptees.item_size = sizeof(Block);
}

static void ring_insert(Chunk *chunk, Chunk *before)
{
    chunk->next = before;
    chunk->previous = before->previous;
    before->previous->next = chunk;
    before->previous = chunk;
}

static void ring_remove(Chunk *chunk)
{
    chunk->previous->next = chunk->next;
    chunk->next->previous = chunk->previous;
    chunk->previous = chunk->next = NULL;
}

static size_t chunk_header_size(size_t count)
{
    return offsetof(Chunk, block) + count * sizeof(Block);
}

/* Adds an empty chunk to the front of the ring; false if there is no memory. */
static bool arena_grow(Arena *arena)
{
    size_t size = checked_max(CHUNK_MIN, checked_min(CHUNK_MAX, arena->mapped));
    Chunk *chunk;
    size_t count;
    size = (size_t)1 << checked_log2_floor(checked_max(size, arena->item_size));
    count = size / arena->item_size;
    chunk = (Chunk *)store_alloc(chunk_header_size(count));
    if (chunk == NULL) {
        return false;
    }
    chunk->dirty_end = 0;
    chunk->base = (unsigned char *)store_get(size, &chunk->dirty_end);
    if (chunk->base == NULL) {
        chunk->base = (unsigned char *)store_map(
            size, arena->item_size > 4096 ? PLATFORM_SPARSE : PLATFORM_DENSE);
    }
    if (chunk->base == NULL) {
        platform_free(chunk);
        return false;
    }
    chunk->size = size;
    chunk->before = arena->mapped;
    chunk->count = count;
    chunk->fresh = chunk->used = 0;
    chunk->free = NULL;
    chunk->kept = false;
    ring_insert(chunk, arena->ring.next);
    arena->mapped += size;
    arena->headers += chunk_header_size(count);
    return true;
}

/* Before a fresh block at an offset of its chunk is given out: where each block is a page
 * or less, the pages of the next ones are made resident with it, in a family that is so
 * large already that they do not count. Sixteen faults cost more than one call. */
enum { AHEAD = 65536, AHEAD_FROM = 1 << 20, AHEAD_ITEM_MAX = 4096 };

static void chunk_populate(Chunk *chunk, size_t at, size_t item_size)
{
    if (chunk->size >= AHEAD_FROM && item_size <= AHEAD_ITEM_MAX && at % AHEAD == 0 &&
        at >= chunk->dirty_end) {
        platform_populate(chunk->base + at, AHEAD);
    }
}

/* One block of a chunk that is on the ring, without an account of it. */
static Block *chunk_take(Chunk *chunk, size_t item_size)
{
    Block *block = chunk->free;
    if (chunk->kept) {
        chunk->kept = false;
        store_unreserve(chunk->size);
    }
    if (block != NULL) {
        chunk->free = block->as.next;
    } else {
        size_t at = chunk->fresh * item_size;
        chunk_populate(chunk, at, item_size);
        block = &chunk->block[chunk->fresh++];
        block->data = chunk->base + at;
        block->from = (uintptr_t)chunk | (at < chunk->dirty_end ? BLOCK_BITS : BLOCK_OWN);
    }
    chunk->used++;
    if (chunk->free == NULL && chunk->fresh == chunk->count) {
        ring_remove(chunk);
    }
    return block;
}

/* Bytes at the base of a chunk that may hold something. */
static size_t chunk_dirty_end(const Chunk *chunk, size_t item_size)
{
    return checked_max(chunk->dirty_end, chunk->fresh * item_size);
}

/* Gives the pages of an empty chunk back to the system. */
static void chunk_reset(Chunk *chunk, size_t item_size)
{
    chunk->dirty_end = chunk_dirty_end(chunk, item_size);
    if (platform_reset(chunk->base, chunk->size)) {
        chunk->dirty_end = 0;
    }
    chunk->fresh = 0;
    chunk->free = NULL;
}

/* What to do with a chunk whose last block came back: it goes to the ring's end. */
static void arena_emptied(Arena *arena, Chunk *chunk)
{
    ring_remove(chunk);
    ring_insert(chunk, &arena->ring);
    chunk->kept = store_reserve(chunk->size);
    if (!chunk->kept) {
        chunk_reset(chunk, arena->item_size);
    }
}

static void arena_give_own(Arena *arena, Block *block)
{
    Chunk *chunk = (Chunk *)(block->from & ~(uintptr_t)BLOCK_BITS);
    block->as.next = chunk->free;
    chunk->free = block;
    chunk->used--;
    if (chunk->next == NULL) {
        ring_insert(chunk, arena->ring.next);
    }
    if (chunk->used == 0) {
        arena_emptied(arena, chunk);
    }
    arena->held -= arena->block_size;
}

/* One block fewer; after the last, the adoption is put before *released. */
static void adoption_drop(Adoption *adoption, Adoption **released)
{
    if (--adoption->blocks == 0) {
        adoption->next = *released;
        *released = adoption;
    }
}

static void arena_give_adopted(Arena *arena, Block *block, Adoption **released)
{
    Adoption *adoption = (Adoption *)block->from;
    slab_give(&arena->adoptees, block);
    arena->adopted--;
    adoption_drop(adoption, released);
}

/* Gives back blocks that nobody holds; adoptions that have none left are put before
 * *released. The caller has the lock. */
static void arena_give(Arena *arena, Block *blocks, Adoption **released)
{
    while (blocks != NULL) {
        Block *next = blocks->as.next;
        if (block_is_adopted(blocks)) {
            arena_give_adopted(arena, blocks, released);
        } else {
            arena_give_own(arena, blocks);
        }
        blocks = next;
    }
}

/* Takes count blocks as a list; all of them or none. They come in the order of their
 * addresses where they are fresh, so that what is written in order lies in order. The
 * caller has the lock. */
static PoolStatus arena_take(Arena *arena, size_t count, Block **blocks)
{
    Block **end = blocks;
    size_t left;
    *blocks = NULL;
    if (count > (arena->limit - arena->held) / arena->block_size) {
        return arena->limit == SIZE_MAX ? POOL_NO_MEMORY : POOL_LIMIT;
    }
    for (left = count; left > 0; left--) {
        Block *block;
        if (arena->ring.next == &arena->ring && !arena_grow(arena)) {
            arena_give(arena, *blocks, NULL); /* none of them is adopted */
            *blocks = NULL;
            return POOL_NO_MEMORY;
        }
        block = chunk_take(arena->ring.next, arena->item_size);
        block->as.next = NULL;
        *end = block;
        end = &block->as.next;
        arena->held += arena->block_size;
    }
    arena->peak = checked_max(arena->peak, arena->held);
    return POOL_OK;
}

/* A block without data, for adopted memory, or NULL. The caller has the lock. */
static Block *arena_take_adoptee(Arena *arena, Adoption *adoption)
{
    Block *block = (Block *)slab_take(&arena->adoptees);
    if (block != NULL) {
        block->from = (uintptr_t)adoption;
        adoption->blocks++;
        arena->adopted++;
    }
    return block;
}

/* Read-only zeros of at least a block's size, or NULL. Locks: the arena. */
static void *arena_zeros(Arena *arena)
{
    void *zeros;
    lock_acquire(&arena->lock);
    if (arena->zeros == NULL) {
        arena->zeros =
            store_map(checked_max(CHUNK_MIN, arena->block_size), PLATFORM_ZEROS);
    }
    zeros = arena->zeros;
    lock_release(&arena->lock);
    return zeros;
}

/* Gives the pages of the chunks that are kept back to the system; returns how many
 * bytes. Locks: the arena. */
static size_t arena_trim(Arena *arena)
{
    size_t given = 0;
    Chunk *chunk;
    lock_acquire(&arena->lock);
    for (chunk = arena->ring.next; chunk != &arena->ring; chunk = chunk->next) {
        if (chunk->kept) {
            chunk->kept = false;
            store_unreserve(chunk->size);
            chunk_reset(chunk, arena->item_size);
            given += chunk->size;
        }
    }
    lock_release(&arena->lock);
    return given;
}

/* Parts with an empty chunk of which no reader can know. */
static void arena_shrink(Arena *arena, Chunk *chunk)
{
    ring_remove(chunk);
    arena->mapped -= chunk->size;
    arena->headers -= chunk_header_size(chunk->count);
    if (chunk->kept) {
        store_put(chunk->base, chunk->size, chunk_dirty_end(chunk, arena->item_size));
    } else {
        platform_unmap(chunk->base, chunk->size);
    }
    platform_free(chunk);
}

/* After a failure, when all that was taken came back: parts with the chunks that were added
 * since the arena had so many bytes. None of their blocks was ever in a tree. Else what one
 * family could not use would be missing to all others as long as it lives. The caller has
 * the lock. */
static void arena_undo(Arena *arena, size_t mapped)
{
    Chunk *chunk, *next;
    for (chunk = arena->ring.next; chunk != &arena->ring; chunk = next) {
        next = chunk->next;
        if (chunk->before >= mapped) {
            arena_shrink(arena, chunk);
        }
    }
}

/* Ends an arena of which every block was given back and that nobody else can reach. */
static void arena_close(Arena *arena)
{
    while (arena->ring.next != &arena->ring) {
        arena_shrink(arena, arena->ring.next);
    }
    if (arena->zeros != NULL) {
        platform_unmap(arena->zeros, checked_max(CHUNK_MIN, arena->block_size));
    }
    slab_close(&arena->nodes);
    slab_close(&arena->adoptees);
}
