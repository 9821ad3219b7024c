/*
 * slab.c - many small items of one size that stay mapped until all of them end
 *
 * Readers without a lock may still look at an item that was given back (stripes.c). So
 * items are never returned to the system one by one: they are carved from pieces that
 * grow from about 2 to 64 KiB and are freed together, and what came back is used again
 * first. The caller does the locking.
 */
typedef struct SlabPiece {
    struct SlabPiece *next;
    void *padding; /* items are aligned like this */
} SlabPiece;

typedef struct Slab {
    size_t item_size; /* a multiple of the size of a pointer */
    void *free;       /* linked by their first word          */
    SlabPiece *pieces;
    size_t bytes; /* of all pieces */
} Slab;

static bool slab_grow(Slab *slab)
{
    size_t size = checked_max(2048, checked_min(65536 - 64, slab->bytes));
    size_t count = checked_max(1, (size - sizeof(SlabPiece)) / slab->item_size);
    SlabPiece *piece;
    unsigned char *item;
    size = sizeof *piece + count * slab->item_size;
    piece = (SlabPiece *)store_alloc(size);
    if (piece == NULL) {
        return false;
    }
    piece->next = slab->pieces;
    slab->pieces = piece;
    slab->bytes += size;
    for (item = (unsigned char *)(piece + 1) + count * slab->item_size; count > 0;
         count--) {
        item -= slab->item_size;
        *(void **)(void *)item = slab->free;
        slab->free = item;
    }
    return true;
}

static void *slab_take(Slab *slab)
{
    void *item;
    if (slab->free == NULL && !slab_grow(slab)) {
        return NULL;
    }
    item = slab->free;
    slab->free = *(void **)item;
    return item;
}

static void slab_give(Slab *slab, void *item)
{
    *(void **)item = slab->free;
    slab->free = item;
}

/* No fewer than there are, given back or not. */
static size_t slab_items(const Slab *slab)
{
    return slab->bytes / slab->item_size;
}

/* Frees everything, whether it was given back or not. */
static void slab_close(Slab *slab)
{
    while (slab->pieces != NULL) {
        SlabPiece *next = slab->pieces->next;
        platform_free(slab->pieces);
        slab->pieces = next;
    }
}
