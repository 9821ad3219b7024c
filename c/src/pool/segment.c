/* SPDX-License-Identifier: MIT */
/*
 * segment.c - goes over a pool in the pieces in which it lies in memory
 *
 * A SEGMENT is a hole, or data that lies in one piece of memory: part of a block, or of
 * blocks whose data follows each other. For calls that work on a clone of their own,
 * which no other thread knows: they take no lock, because no one changes the clone's tree
 * nor the blocks in it.
 */
#include "pool.h"

/* Begins to go over the segments of a pool. None reaches past limit, which is not past the
 * end of the pool. A segment is not extended by further blocks once it has enough
 * bytes. */
static Segment segments_of(const MemoryPool *pool, size_t limit, size_t enough)
{
    Segment segment = {NULL, 0, 0, 0, 0, NULL, NULL, SIZE_MAX};
    segment.pool = pool;
    segment.limit = limit;
    segment.enough = enough;
    return segment;
}

/* Returns the data of a block, or NULL for a hole. */
static const unsigned char *segment_block(Segment *segment, size_t index)
{
    Word word;
    if (segment->leaf_number != index >> TREE_BITS) {
        segment->leaf_number = index >> TREE_BITS;
        segment->leaf = tree_leaf(&segment->pool->tree, index);
    }
    word = segment->leaf == NULL ? 0 : slot_word(node_slot(segment->leaf, 0, index));
    return word == 0 ? NULL : word_data(word);
}

/* Goes to the segment that begins at an offset below the limit. */
static void segment_find(Segment *segment, size_t at)
{
    unsigned shift = segment->pool->block_shift;
    size_t index = at >> shift, left = segment->limit - at, size;
    const unsigned char *data = segment_block(segment, index);
    Piece piece = piece_at(segment->pool, at, left);
    segment->start = at;
    if (data == NULL) {
        TreeRun run = {0, false, true, 0, 0, 0};
        run.last = (segment->limit - 1) >> shift;
        segment->data = NULL;
        segment->end = tree_find_run(&segment->pool->tree, NULL, index, &run)
                           ? run.first << shift
                           : segment->limit;
        return;
    }
    segment->data = data + piece.start;
    size = piece.size;
    while (size < segment->enough && size < left &&
           segment_block(segment, ++index) == segment->data + size) {
        size += checked_min((size_t)1 << shift, left - size);
    }
    segment->end = at + size;
}

/* Goes on to an offset at or behind where the segment begins: in the same segment, unless
 * it ends before. */
static void segment_move(Segment *segment, size_t at)
{
    if (at >= segment->end) {
        segment_find(segment, at);
    } else if (segment->data != NULL) {
        segment->data += at - segment->start;
    }
    segment->start = at;
}
