/* SPDX-License-Identifier: MIT */
/*
 * records.h - bytes as a series of calls
 *
 * Any bytes are a series of RECORDS of 8 bytes, each of which says one step; what is left
 * over at the end says nothing. As all records are of one size, a fuzzer that moves,
 * repeats or cuts them out gets steps that mean something.
 *
 *     byte 0     the kind of step
 *     byte 1     two pools, by 4 bits each
 *     byte 2, 3  a place; its upper two bits say how it is chosen
 *     byte 4, 5  a size; likewise
 *     byte 6     the value of a fill, the place of a view, ...
 *     byte 7     where data comes from; 0xf0 and more: an allocation fails
 *
 * A record decodes to whatever makes sense for the model (model.h) as it is: no input is
 * refused.
 */
#ifndef RECORDS_H
#define RECORDS_H

#include "model_effects.h"

enum { RECORD_SIZE = 8 };

typedef struct Record {
    unsigned kind, pools, place, place_mode, size, size_mode, value, seed;
} Record;

static inline Record record_read(const unsigned char *bytes)
{
    Record r = {.kind = bytes[0],
                .pools = bytes[1],
                .place = (bytes[2] | (unsigned)bytes[3] << 8) & 0x3fff,
                .place_mode = bytes[3] >> 6,
                .size = (bytes[4] | (unsigned)bytes[5] << 8) & 0x3fff,
                .size_mode = bytes[5] >> 6,
                .value = bytes[6],
                .seed = bytes[7]};
    return r;
}

/* Which allocation of the call is to fail; 0: none. */
static inline size_t record_fault(Record r)
{
    return r.seed >= 0xf0 ? 1 + (r.seed & 15) : 0;
}

static inline size_t record_live_pool(const Model *m, unsigned number)
{
    size_t i = number % MODEL_POOLS;
    while (m->pools[i].pool == NULL)
        i = (i + 1) % MODEL_POOLS;
    return i;
}

/* A place in the window: anywhere, at the start of a block or one byte before it. Past
 * the end only where the window ends with the pool. */
static inline size_t record_place(const Model *m, Record r, size_t visible, int at_end)
{
    size_t at = r.place % (visible + (at_end ? 3u : 0u));
    if (r.place_mode < 2 || at >= visible)
        return at;
    at = model_block_start(m, model_block_at(m, at));
    return r.place_mode == 3 && at > 0 ? at - 1 : at;
}

static inline void record_range(const Model *m, Record r, Op *op)
{
    size_t visible = model_visible(m, op->pool);
    int at_end = m->base + visible == m->pools[op->pool].total;
    op->at = record_place(m, r, visible, at_end);
    size_t room = op->at < visible ? visible - op->at : 0;
    switch (r.size_mode) {
    case 0: op->size = r.size % 40; break;
    case 1: op->size = r.size % 4 * m->block_size; break;
    case 2: op->size = room; break;
    default: op->size = r.size % (m->size + 1); break;
    }
    if (op->kind == OP_ADD || op->kind == OP_EXCHANGE)
        op->size = room > 7 || at_end ? (size_t)1 << r.size % 4 : 1;
    else if (op->size > room && (!at_end || op->size > m->size))
        op->size = room;
}

/* The other end of a copy, as often as not at the same place in a block. */
static inline void record_copy(const Model *m, Record r, Op *op)
{
    size_t there = op->kind == OP_COPY ? model_visible(m, op->other) : MODEL_WINDOW;
    size_t here = model_visible(m, op->pool), block = m->block_size;
    op->from = r.value * (m->size / 64 + 1) % there;
    if (r.seed % 2 == 0)
        op->from = op->from / block * block + op->at % block;
    if (op->from >= there)
        op->from = op->at % there;
    if (op->at > here)
        op->at = here;
    if (op->size > here - op->at)
        op->size = here - op->at;
    if (op->size > there - op->from)
        op->size = there - op->from;
}

static inline void record_items(const Model *m, Record r, Op *op)
{
    size_t visible = model_visible(m, op->pool);
    int past = m->base + visible == m->pools[op->pool].total && r.value % 16 == 1;
    op->count = r.pools >> 4;
    if (op->count > OP_ITEMS)
        op->count = OP_ITEMS;
    op->size = r.size % (visible < 40 ? visible + 1 : 40);
    for (size_t i = 0; i < op->count; i++)
        op->items[i] = (r.place + i * r.value) % (visible - op->size + 1);
    if (past && op->count > 0 && op->size > 0)
        op->items[op->count / 2] = visible - op->size + 1;
    op->varies = r.seed % 8 > 4;
    for (size_t i = 0; i < op->count; i++) {
        size_t room = visible - op->items[i], most = room < OP_ITEM_MAX ? room : 100;
        op->sizes[i] =
            op->varies && !past ? (r.size + i * r.seed) % (most + 1) : op->size;
    }
    if (op->varies)
        op->size = op_items_size(op);
}

static inline size_t record_new_size(const Model *m, Record r)
{
    size_t end = m->base + m->size;
    switch (r.size_mode) {
    case 0: return end;
    case 1: return end + (size_t)r.size * (r.seed + 1) % (SIZE_MAX - end + 1);
    case 2: return m->base + 1 + model_block_start(m, r.size % m->blocks);
    default: return m->base + 1 + r.size % m->size;
    }
}

/* Without a place for what a call makes, or one to be the last pool, it is a read. */
static inline int record_is_possible(const Model *m, Op *op)
{
    switch (op->kind) {
    case OP_CLONE:
        for (size_t i = 0; i < MODEL_POOLS; i++) {
            if (m->pools[op->other = i].pool == NULL)
                return 1;
        }
        return 0;
    case OP_DESTROY: return op->other != op->pool;
    case OP_ADOPT:
    case OP_VIEW:
    case OP_PIN:
    case OP_RELEASE:
    case OP_POKE: return op_find_place(m, op);
    default: return 1;
    }
}

/* What a record says, for a kind below OP_KINDS. */
static inline void record_decode(const Model *m, Record r, OpKind kind, Op *op)
{
    TestRandom random = {r.seed};
    op->kind = kind;
    op->pool = record_live_pool(m, r.pools & 15);
    op->other = record_live_pool(m, r.pools >> 4);
    op->byte = (int)r.value * (r.seed % 4 == 1 ? 257 : 1);
    op->expected = test_random(&random);
    op->count = 0;
    op->at = r.place; /* op_find_place starts to look there */
    if (!record_is_possible(m, op)) {
        op->kind = OP_READ;
        op->other = op->pool;
    }
    record_range(m, r, op);
    if (op->kind == OP_COPY || op->kind == OP_IMPORT || op->kind == OP_EXPORT)
        record_copy(m, r, op);
    if (op->kind == OP_SCATTER || op->kind == OP_GATHER)
        record_items(m, r, op);
    if (op->kind == OP_RESIZE)
        op->size = record_new_size(m, r);
    memset(op->data, (int)(r.seed & 15), sizeof op->data);
    if (r.seed & 15) /* other bytes in the middle of equal ones */
        test_random_bytes(&random, op->data + r.value, 16);
}

#endif /* RECORDS_H */
