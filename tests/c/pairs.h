/* SPDX-License-Identifier: MIT */
/*
 * pairs.h - two pools, related or not, of which a part is also in arrays
 *
 * What is written has few values and repeats, so that bytes are often equal where the
 * blocks are not, and patterns are found where they should not be.
 */
#ifndef PAIRS_H
#define PAIRS_H

#include "test.h"

enum { PAIR_ROOM = 3000, PAIR_PINS = 4 };

typedef struct Side {
    MemoryPool *pool;
    size_t size; /* of what is in the array, up to the end of the pool */
    unsigned char bytes[PAIR_ROOM];
} Side;

typedef struct Pair {
    size_t base; /* where the part of both begins; before it are holes */
    Side sides[2];
    PoolView pins[PAIR_PINS];
    TestRandom *random;
} Pair;

static inline void pair_bytes(TestRandom *random, unsigned char *to, size_t size)
{
    size_t period = 1 + test_below(random, 20), kind = test_below(random, 4);
    for (size_t i = 0; i < size; i++) {
        if (kind == 0 && i >= period)
            to[i] = to[i - period];
        else if (kind < 3)
            to[i] = (unsigned char)test_below(random, 1 + kind);
        else
            to[i] = (unsigned char)test_random(random);
    }
}

static inline void pair_release(void *data, size_t size, void *context)
{
    (void)size, (void)context;
    free(data);
}

static inline MemoryPool *pair_make(Pair *pair, size_t size)
{
    size_t block_size = (size_t)1 << test_below(pair->random, 14);
    MemoryPool *pool = pool_create(pair->base + size, block_size);
    CHECK(pool != NULL);
    return pool;
}

/* Replaces a side by a clone of the other, or by an unrelated pool. */
static inline void pair_renew(Pair *pair, Side *side, const Side *other)
{
    if (side->pool != NULL)
        pool_destroy(side->pool);
    memset(side->bytes, 0, sizeof side->bytes);
    if (other->pool != NULL && test_below(pair->random, 3) > 0) {
        side->pool = pool_clone(other->pool);
        side->size = other->size;
        memcpy(side->bytes, other->bytes, other->size);
    } else {
        side->size = 1 + test_below(pair->random, PAIR_ROOM);
        if (other->pool != NULL && test_below(pair->random, 3) > 0)
            side->size = other->size;
        side->pool = pair_make(pair, side->size);
    }
    CHECK(side->pool != NULL);
}

static inline void pair_create(Pair *pair, TestRandom *random, size_t base)
{
    memset(pair, 0, sizeof *pair);
    pair->random = random;
    pair->base = base;
    pair_renew(pair, &pair->sides[0], &pair->sides[1]);
    pair_renew(pair, &pair->sides[1], &pair->sides[0]);
}

static inline void pair_release_pins(Pair *pair)
{
    for (size_t i = 0; i < PAIR_PINS; i++)
        pool_view_release(&pair->pins[i]);
}

static inline void pair_destroy(Pair *pair)
{
    pair_release_pins(pair);
    pool_destroy(pair->sides[0].pool);
    pool_destroy(pair->sides[1].pool);
}

/* Writes through a pin, which may stay. */
static inline void pair_pin(Pair *pair, Side *side, size_t at, size_t size)
{
    PoolView *pin = &pair->pins[test_below(pair->random, PAIR_PINS)];
    pool_view_release(pin);
    pin->struct_size = sizeof *pin;
    CHECK_RETURNS(pool_pin(side->pool, pair->base + at, size, pin), POOL_OK);
    pair_bytes(pair->random, pin->data, pin->size);
    memcpy(side->bytes + at, pin->data, pin->size);
}

static inline void pair_adopt(Pair *pair, Side *side, size_t at, size_t size)
{
    unsigned char *data = test_alloc(size);
    pair_bytes(pair->random, data, size);
    memcpy(side->bytes + at, data, size);
    CHECK_RETURNS(pool_adopt(side->pool, pair->base + at, data, size, pair_release, NULL),
                  POOL_OK);
}

static inline void pair_resize(Pair *pair, Side *side)
{
    size_t size = 1 + test_below(pair->random, PAIR_ROOM);
    CHECK_RETURNS(pool_resize(side->pool, pair->base + size), POOL_OK);
    if (size < side->size)
        memset(side->bytes + size, 0, side->size - size);
    side->size = size;
}

/* Copies between the sides, often to the same offset. */
static inline void pair_copy(Pair *pair, Side *side, const Side *other, size_t at,
                             size_t size)
{
    size_t from = test_below(pair->random, 2) > 0 ? at : test_below(pair->random, 40);
    if (from >= other->size)
        return;
    size = size < other->size - from ? size : other->size - from;
    CHECK_RETURNS(
        pool_copy(side->pool, pair->base + at, other->pool, pair->base + from, size),
        POOL_OK);
    memmove(side->bytes + at, other->bytes + from, size);
}

/* Changes a side in one of the ways that there are. */
static inline void pair_change(Pair *pair)
{
    size_t which = test_below(pair->random, 2);
    Side *side = &pair->sides[which], *other = &pair->sides[1 - which];
    size_t at = test_below(pair->random, side->size);
    size_t size = 1 + test_below(pair->random, side->size - at);
    if (test_below(pair->random, 2) > 0)
        size = 1 + size / 32;
    switch (test_below(pair->random, 14)) {
    case 0: pair_renew(pair, side, other); break;
    case 1: pair_resize(pair, side); break;
    case 2: pair_adopt(pair, side, at, size); break;
    case 3: pair_pin(pair, side, at, size); break;
    case 4: pair_release_pins(pair); break;
    case 5:
        memset(side->bytes + at, 0, size);
        CHECK_EQ_SIZE(pool_write(side->pool, pair->base + at, side->bytes + at, size),
                      size);
        break;
    case 6:
    case 7:
        memset(side->bytes + at, 0, size);
        CHECK_RETURNS(pool_discard(side->pool, pair->base + at, size), POOL_OK);
        break;
    case 8:
    case 9: pair_copy(pair, side, other, at, size); break;
    case 10:
        if (pool_restore(side->pool, other->pool) == POOL_OK) {
            memcpy(side->bytes, other->bytes, sizeof side->bytes);
            side->size = other->size;
        }
        break;
    default:
        pair_bytes(pair->random, side->bytes + at, size);
        CHECK_EQ_SIZE(pool_write(side->pool, pair->base + at, side->bytes + at, size),
                      size);
    }
}

/* An offset in the part, or a little outside, or anywhere. */
static inline size_t pair_offset(const Pair *pair, const Side *side)
{
    size_t at = pair->base + test_below(pair->random, side->size + 2);
    switch (test_below(pair->random, 8)) {
    case 0: return (size_t)test_random(pair->random);
    case 1: return at - test_below(pair->random, at < 100 ? at + 1 : 100);
    case 2: return test_below(pair->random, 3);
    case 3: return SIZE_MAX - test_below(pair->random, 3);
    default: return at;
    }
}

#endif
