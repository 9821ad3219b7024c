/* SPDX-License-Identifier: MIT */
/*
 * find.c - where some bytes are in a pool
 *
 * The call clones the pool and searches the clone, without a lock, segment by segment
 * (segment.c):
 *
 *     data │ data │▒▒▒▒ hole ▒▒▒▒│ data │ data      ▒ zeros, which are not searched
 *     ├──────────┤├──┤        ├──────────┤
 *       directly  gathered     gathered, then directly
 *
 * Data in one piece is searched where it is. Matches that do not lie in one segment are
 * looked for in a buffer, into which the bytes from the first such place on are gathered.
 * In a hole only its end can begin a match, with the zeros that the pattern begins with;
 * only a pattern of zeros matches inside. The buffer has room for twice the pattern, so
 * that each byte is copied and searched a bounded number of times. It is allocated first,
 * so that a call that fails has not changed what pinned blocks count for the limit.
 */
#include "pool.h"

/* Bytes of the buffer beside those for the pattern, and of a segment. */
enum { GATHERED = 64 << 10, SEARCHED = 256 << 10 };

/* A search in a clone that no other thread knows. */
typedef struct Search {
    const unsigned char *pattern;
    size_t size;           /* of the pattern, 1 or more                       */
    size_t zeros;          /* with which it begins                            */
    size_t end;            /* of what is searched                             */
    size_t at;             /* the first place where a match may still begin   */
    Segment segment;       /* from this place on                              */
    unsigned char *buffer; /* for what does not lie in one piece              */
    size_t room;           /* bytes of it                                     */
} Search;

/* Fills the buffer from at on; returns the number of bytes: those of the pattern, or
 * more. Of what does not fit in one piece it takes only what a match that begins before
 * it may need: the rest is searched where it is, or is a hole. */
static size_t search_gather(Search *search)
{
    size_t room = checked_min(search->room, search->end - search->at), size = 0;
    bool fits = true;
    while (fits && size < room) {
        Segment *segment = &search->segment;
        size_t some;
        segment_find(segment, search->at + size);
        some = segment->end - segment->start;
        fits = some <= search->room;
        some = checked_min(fits ? some : search->size - 1, room - size);
        if (segment->data == NULL) {
            memset(search->buffer + size, 0, some);
        } else {
            memcpy(search->buffer + size, segment->data, some);
        }
        size += some;
    }
    return size;
}

/* Searches bytes that begin at search->at. If the pattern is not there, moves on to the
 * first place that may be the begin of a match which reaches beyond them. */
static bool search_bytes(Search *search, const unsigned char *data, size_t size)
{
    const unsigned char *match = memory_search(data, size, search->pattern, search->size);
    search->at += match != NULL ? (size_t)(match - data) : size - (search->size - 1);
    return match != NULL;
}

/* Goes on with a search until there is a match, at search->at, or none can be; returns
 * whether there is one. */
static bool search_run(Search *search)
{
    Segment *segment = &search->segment;
    bool found = false;
    while (!found && search->end - search->at >= search->size) {
        size_t size;
        segment_find(segment, search->at);
        size = segment->end - segment->start;
        if (size >= search->size && segment->data != NULL) {
            found = search_bytes(search, segment->data, size);
        } else if (size >= search->size && search->zeros == search->size) {
            found = true;
        } else if (size > search->zeros && segment->data == NULL) {
            search->at = segment->end - search->zeros;
        } else {
            found = search_bytes(search, search->buffer, search_gather(search));
        }
    }
    return found;
}

/* Searches a clone from an offset on; if there is a match, it is at search->at. */
static bool search_clone(Search *search, const MemoryPool *clone, size_t offset,
                         size_t end)
{
    search->at = offset;
    search->end = checked_min(end, pool_total(clone));
    search->segment =
        segments_of(clone, search->end,
                    checked_plus(checked_times(search->size, 8), (size_t)SEARCHED));
    while (search->zeros < search->size && search->pattern[search->zeros] == 0) {
        search->zeros++;
    }
    /* The pool may have been made smaller a moment ago. */
    return checked_fits(search->end, offset, search->size) && search_run(search);
}

/* Finds a pattern of 1 byte or more. Locks: as pools_clone. */
static int pattern_find(MemoryPool *pool, const void *pattern, size_t size, size_t offset,
                        size_t end, size_t *found)
{
    MemoryPool *clone = NULL;
    Search search;
    PoolStatus status = POOL_NO_MEMORY;
    bool matches = false;
    memset(&search, 0, sizeof search);
    search.pattern = (const unsigned char *)pattern;
    search.size = size;
    search.room = checked_plus(checked_times(size, 2), (size_t)GATHERED);
    search.buffer = (unsigned char *)memory_alloc(search.room);
    if (search.buffer != NULL) {
        status = pools_clone(&pool, 1, &clone);
    }
    if (status == POOL_OK) {
        matches = search_clone(&search, clone, offset, end);
        pool_destroy(clone);
    }
    platform_free(search.buffer);
    if (matches) {
        *found = search.at;
    }
    return status_set(status) == POOL_OK ? matches : -1;
}

/* Locks: as pools_clone. */
int pool_find(MemoryPool *pool, const void *pattern, size_t size, size_t offset,
              size_t end, size_t *found)
{
    HANDLE_CHECK(pool);
    if (pool == NULL || found == NULL || (pattern == NULL && size > 0)) {
        (void)status_set(POOL_INVALID);
        return -1;
    }
    (void)status_set(POOL_OK);
    if (!checked_fits(checked_min(end, pool_total(pool)), offset, size)) {
        return 0;
    }
    if (size == 0) {
        *found = offset;
        return 1;
    }
    interpreter_unlock();
    return pattern_find(pool, pattern, size, offset, end, found);
}
