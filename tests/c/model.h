/* SPDX-License-Identifier: MIT */
/*
 * model.h - a family of pools, modelled by flat arrays
 *
 * The model looks at a small window of each pool, [base, base + size), which may lie
 * anywhere in a huge one. For every pool it keeps the bytes of the window and, for every
 * block the window touches, an identity: 0 is a hole, equal numbers are one block shared,
 * and a block that is written to gets a new number. From this all that the public
 * functions say can be told: contents, extents, changes, statistics, and whether a call
 * must run into the memory limit.
 *
 *     op_random   chooses a call
 *     op_call     makes it on the library and returns its status
 *     op_expect   says which status it should have, from the model alone
 *     op_apply    makes it on the model
 *     model_check compares everything there is
 *
 * A call that failed is not applied, so model_check then proves that it changed nothing.
 */
#ifndef MODEL_H
#define MODEL_H

#include "test.h"

enum { MODEL_POOLS = 5, MODEL_WINDOW = 2048 };

typedef struct ModelPool {
    MemoryPool *pool; /* NULL: this place is free */
    unsigned char bytes[MODEL_WINDOW];
    unsigned ids[MODEL_WINDOW + 1]; /* a window that is not aligned touches one more */
} ModelPool;

typedef struct Model {
    size_t total, block_size, limit, base, size;
    size_t first_block, blocks; /* those that the window touches */
    size_t peak;                /* in blocks */
    unsigned last_id;
    ModelPool pools[MODEL_POOLS];
} Model;

typedef enum OpKind {
    OP_WRITE,
    OP_FILL,
    OP_DISCARD,
    OP_TAKE,
    OP_READ,
    OP_CLONE,
    OP_RESTORE,
    OP_DESTROY,
    OP_KINDS
} OpKind;

typedef struct Op {
    OpKind kind;
    size_t pool, other; /* places in Model.pools */
    size_t at, size;    /* at: in the window */
    int byte;
    unsigned char data[MODEL_WINDOW + 64]; /* written, or read by op_call */
} Op;

static inline void model_create(Model *m, size_t total, size_t max_block_size,
                                size_t limit, size_t base, size_t size)
{
    PoolOptions options = {.struct_size = sizeof options,
                           .total_size = total,
                           .max_block_size = max_block_size,
                           .memory_limit = limit};
    PoolStats stats = {.struct_size = sizeof stats};
    memset(m, 0, sizeof *m);
    m->pools[0].pool = pool_create_with(&options);
    CHECK_STATUS(POOL_OK);
    pool_stats(m->pools[0].pool, &stats);
    m->total = total;
    m->block_size = stats.block_size;
    m->limit = limit;
    m->base = base;
    m->size = size;
    m->first_block = base / m->block_size;
    m->blocks = (base + (size - 1)) / m->block_size - m->first_block + 1;
    CHECK_LE_SIZE(size, MODEL_WINDOW);
}

static inline void model_destroy(Model *m)
{
    for (size_t i = 0; i < MODEL_POOLS; i++)
        pool_destroy(m->pools[i].pool);
}

/* ------------------------------------------------------- what the model can tell */

/* The part of a block that lies in the window, as positions in it. */
static inline size_t model_block_start(const Model *m, size_t block)
{
    size_t offset = (m->first_block + block) * m->block_size;
    return offset > m->base ? offset - m->base : 0;
}

static inline size_t model_block_end(const Model *m, size_t block)
{
    return block + 1 < m->blocks ? model_block_start(m, block + 1) : m->size;
}

static inline size_t model_block_at(const Model *m, size_t at)
{
    return (m->base + at) / m->block_size - m->first_block;
}

static inline int model_is_shared(const Model *m, size_t pool, size_t block)
{
    unsigned id = m->pools[pool].ids[block];
    for (size_t i = 0; id != 0 && i < MODEL_POOLS; i++) {
        if (i != pool && m->pools[i].pool != NULL && m->pools[i].ids[block] == id)
            return 1;
    }
    return 0;
}

/* Blocks that the family holds: each identity counts where it is met first. A block of
 * one index is never shared with one of another. */
static inline size_t model_family_blocks(const Model *m)
{
    size_t count = 0;
    for (size_t i = 0; i < MODEL_POOLS; i++) {
        for (size_t b = 0; m->pools[i].pool != NULL && b < m->blocks; b++) {
            size_t j = 0;
            while (j < i &&
                   (m->pools[j].pool == NULL || m->pools[j].ids[b] != m->pools[i].ids[b]))
                j++;
            count += j == i && m->pools[i].ids[b] != 0;
        }
    }
    return count;
}

static inline int all_zero(const unsigned char *bytes, size_t size)
{
    while (size > 0 && bytes[size - 1] == 0)
        size--;
    return size == 0;
}

/* New blocks that a write to [at, end) needs: for holes and for what is shared. */
static inline size_t model_needs(const Model *m, size_t pool, size_t at, size_t end)
{
    size_t count = 0;
    for (size_t b = model_block_at(m, at); at < end && b <= model_block_at(m, end - 1);
         b++)
        count += m->pools[pool].ids[b] == 0 || model_is_shared(m, pool, b);
    return count;
}

/* Shared blocks of which a discard of [at, end) leaves something: it must copy them. */
static inline size_t model_discard_needs(const Model *m, size_t pool, size_t at,
                                         size_t end)
{
    const ModelPool *p = &m->pools[pool];
    size_t count = 0;
    for (size_t b = model_block_at(m, at); at < end && b <= model_block_at(m, end - 1);
         b++) {
        size_t start = model_block_start(m, b), stop = model_block_end(m, b);
        int left = (start < at && !all_zero(p->bytes + start, at - start)) ||
                   (stop > end && !all_zero(p->bytes + end, stop - end));
        count += left && model_is_shared(m, pool, b);
    }
    return count;
}

/* ------------------------------------------------------------------- the checks */

static inline void model_check_stats(const Model *m, size_t pool)
{
    PoolStats stats = {.struct_size = sizeof stats};
    size_t held = 0, shared = 0, pools = 0;
    for (size_t b = 0; b < m->blocks; b++) {
        held += m->pools[pool].ids[b] != 0;
        shared += (size_t)model_is_shared(m, pool, b);
    }
    for (size_t i = 0; i < MODEL_POOLS; i++)
        pools += m->pools[i].pool != NULL;

    pool_stats(m->pools[pool].pool, &stats);
    CHECK_STATUS(POOL_OK);
    CHECK_EQ_SIZE(stats.total_size, m->total);
    CHECK_EQ_SIZE(stats.block_size, m->block_size);
    CHECK_EQ_SIZE(stats.memory_limit, m->limit);
    CHECK_EQ_SIZE(stats.held_blocks, held);
    CHECK_EQ_SIZE(stats.held_bytes, held * m->block_size);
    CHECK_EQ_SIZE(stats.shared_blocks, shared);
    CHECK_EQ_SIZE(stats.family_pools, pools);
    CHECK_EQ_SIZE(stats.family_bytes, model_family_blocks(m) * m->block_size);
    CHECK_LE_SIZE(m->peak * m->block_size, stats.family_peak_bytes);
    if (m->limit != 0)
        CHECK_LE_SIZE(stats.family_peak_bytes, m->limit);
}

/* Walks the extents of a pool (base: MODEL_POOLS) or its changes against base, and
 * compares each run with the one that the identities give. */
static inline void model_check_runs(const Model *m, size_t pool, size_t base)
{
    const ModelPool *p = &m->pools[pool],
                    *q = base < MODEL_POOLS ? &m->pools[base] : NULL;
    size_t start = 0, size = 0, offset = 0, b = 0;
    for (;;) {
        while (b < m->blocks && p->ids[b] == (q != NULL ? q->ids[b] : 0))
            b++;
        size_t first = b;
        while (b < m->blocks && p->ids[b] != (q != NULL ? q->ids[b] : 0))
            b++;
        int found = q != NULL ? pool_next_change(p->pool, q->pool, offset, &start, &size)
                              : pool_next_extent(p->pool, offset, &start, &size);
        CHECK_STATUS(POOL_OK);
        CHECK_EQ_INT(found, first < m->blocks);
        if (!found)
            return;
        size_t from = (m->first_block + first) * m->block_size;
        size_t most = m->total - from, whole = (b - first) * m->block_size;
        CHECK_EQ_SIZE(start, from);
        CHECK_EQ_SIZE(size, whole < most ? whole : most);
        offset = start + size;
    }
}

static inline void model_check_pool(const Model *m, size_t pool)
{
    static unsigned char back[MODEL_WINDOW];
    const ModelPool *p = &m->pools[pool];
    CHECK_EQ_SIZE(pool_read(p->pool, back, m->base, m->size), m->size);
    CHECK_STATUS(POOL_OK);
    CHECK_MEM(back, p->bytes, m->size);
    model_check_stats(m, pool);
    model_check_runs(m, pool, MODEL_POOLS);
}

static inline void model_check(const Model *m)
{
    for (size_t i = 0; i < MODEL_POOLS; i++) {
        if (m->pools[i].pool == NULL)
            continue;
        model_check_pool(m, i);
        for (size_t j = 0; j < MODEL_POOLS; j++) {
            if (m->pools[j].pool != NULL)
                model_check_runs(m, i, j);
        }
    }
}

/* --------------------------------------------------------------------- the calls */

/* Bytes of the window that a call reaches. Where the window ends before the pool does,
 * op_random keeps all ranges inside. */
static inline size_t op_end(const Model *m, const Op *op)
{
    if (op->at >= m->size)
        return op->at;
    return op->size < m->size - op->at ? op->at + op->size : m->size;
}

static inline size_t random_live_pool(const Model *m, TestRandom *random)
{
    size_t i;
    do
        i = test_below(random, MODEL_POOLS);
    while (m->pools[i].pool == NULL);
    return i;
}

static inline void op_random(const Model *m, TestRandom *random, Op *op)
{
    static const OpKind often[] = {OP_WRITE,   OP_WRITE,   OP_FILL,   OP_FILL,
                                   OP_DISCARD, OP_DISCARD, OP_TAKE,   OP_READ,
                                   OP_CLONE,   OP_RESTORE, OP_DESTROY};
    int at_end = m->base + m->size == m->total;
    op->kind = often[test_below(random, TEST_COUNT(often))];
    op->pool = random_live_pool(m, random);
    op->other = random_live_pool(m, random);
    for (size_t i = 0; op->kind == OP_CLONE && i < MODEL_POOLS; i++) {
        if (m->pools[i].pool == NULL)
            op->other = i;
    }
    /* No place for a clone; and a family always keeps one pool. */
    if ((op->kind == OP_CLONE && m->pools[op->other].pool != NULL) ||
        (op->kind == OP_DESTROY && op->other == op->pool))
        op->kind = OP_READ;

    /* Mostly short ranges, now and then the rest of the window or more. */
    size_t room;
    op->at = test_below(random, m->size + (at_end ? 3u : 0u));
    room = op->at < m->size ? m->size - op->at : 0;
    op->size = test_below(random, test_below(random, 4) == 0 ? m->size + 1 : 40);
    if (test_below(random, 8) == 0)
        op->size = room;
    if (!at_end && op->size > room)
        op->size = room;
    op->byte = test_below(random, 4) == 0 ? 0 : (int)test_below(random, 1000);
    test_random_bytes(random, op->data, sizeof op->data);
    if (test_below(random, 8) == 0)
        memset(op->data, 0, sizeof op->data);
}

static inline PoolStatus op_call(Model *m, Op *op)
{
    MemoryPool *pool = m->pools[op->pool].pool;
    size_t offset = op->at < SIZE_MAX - m->base ? m->base + op->at : SIZE_MAX;
    size_t moved = op_end(m, op) - op->at, result = 0;
    static unsigned char before[sizeof op->data];
    memcpy(before, op->data, sizeof before);
    switch (op->kind) {
    case OP_WRITE: result = pool_write(pool, offset, op->data, op->size); break;
    case OP_READ: result = pool_read(pool, op->data, offset, op->size); break;
    case OP_TAKE: result = pool_take(pool, op->data, offset, op->size); break;
    case OP_FILL: (void)pool_fill(pool, offset, op->byte, op->size); break;
    case OP_DISCARD: (void)pool_discard(pool, offset, op->size); break;
    case OP_RESTORE: (void)pool_restore(pool, m->pools[op->other].pool); break;
    case OP_DESTROY: pool_destroy(pool); break;
    case OP_CLONE: {
        MemoryPool *clone = pool_clone(pool);
        PoolStatus status = pool_last_status();
        CHECK((clone != NULL) == (status == POOL_OK));
        m->pools[op->other].pool = clone;
        return status;
    }
    case OP_KINDS: break;
    }
    PoolStatus status = pool_last_status();
    if (op->kind == OP_WRITE || op->kind == OP_READ || op->kind == OP_TAKE)
        CHECK_EQ_SIZE(result, status == POOL_OK ? moved : 0);
    CHECK_MEM(op->data + result, before + result, sizeof before - result);
    return status;
}

/* Whether the status of a call is one it may have. The limit is exact for what writes; a
 * discard may need room for copies, and must not fail while there is room for them. */
static inline void op_expect(const Model *m, const Op *op, PoolStatus status)
{
    size_t end = op_end(m, op), held = model_family_blocks(m);
    size_t allowed = m->limit != 0 ? m->limit / m->block_size : SIZE_MAX;
    int discards = op->kind == OP_DISCARD || op->kind == OP_TAKE ||
                   (op->kind == OP_FILL && (op->byte & 255) == 0);
    int clips = op->kind != OP_FILL && op->kind != OP_DISCARD;

    if (op->kind >= OP_CLONE || (op->size == 0 && op->at <= m->size)) {
        CHECK_EQ_INT((int)status, POOL_OK);
    } else if (op->size == 0) {
        CHECK(status == POOL_OK || (!clips && status == POOL_RANGE));
    } else if (op->at >= m->size || (!clips && op->size > m->size - op->at)) {
        CHECK_EQ_INT((int)status, POOL_RANGE);
    } else if (op->kind == OP_READ) {
        CHECK_EQ_INT((int)status, POOL_OK);
    } else if (discards) {
        size_t needs = model_discard_needs(m, op->pool, op->at, end);
        CHECK(status == POOL_OK || (status == POOL_LIMIT && held + needs > allowed));
    } else {
        size_t needs = model_needs(m, op->pool, op->at, end);
        CHECK_EQ_INT((int)status, held + needs > allowed ? POOL_LIMIT : POOL_OK);
    }
}

static inline void apply_bytes(Model *m, const Op *op, const unsigned char *data)
{
    ModelPool *p = &m->pools[op->pool];
    size_t at = op->at, end = op_end(m, op);
    if (at == end)
        return;
    if (data != NULL)
        memcpy(p->bytes + at, data, end - at);
    else
        memset(p->bytes + at, op->byte, end - at);
    for (size_t b = model_block_at(m, at); b <= model_block_at(m, end - 1); b++)
        p->ids[b] = ++m->last_id;
}

static inline void apply_discard(Model *m, const Op *op)
{
    ModelPool *p = &m->pools[op->pool];
    size_t at = op->at, end = op_end(m, op);
    if (at == end)
        return;
    memset(p->bytes + at, 0, end - at);
    for (size_t b = model_block_at(m, at); b <= model_block_at(m, end - 1); b++) {
        size_t start = model_block_start(m, b);
        int zero = all_zero(p->bytes + start, model_block_end(m, b) - start);
        if (p->ids[b] != 0)
            p->ids[b] = zero ? 0 : ++m->last_id;
    }
}

static inline void op_apply(Model *m, const Op *op)
{
    ModelPool *p = &m->pools[op->pool], *other = &m->pools[op->other];
    size_t count = op_end(m, op) - op->at;
    switch (op->kind) {
    case OP_WRITE: apply_bytes(m, op, op->data); break;
    case OP_FILL:
        if ((op->byte & 255) != 0)
            apply_bytes(m, op, NULL);
        else
            apply_discard(m, op);
        break;
    case OP_READ: CHECK_MEM(op->data, p->bytes + op->at, count); break;
    case OP_TAKE:
        CHECK_MEM(op->data, p->bytes + op->at, count);
        apply_discard(m, op);
        break;
    case OP_DISCARD: apply_discard(m, op); break;
    case OP_CLONE:
        memcpy(other->bytes, p->bytes, sizeof p->bytes);
        memcpy(other->ids, p->ids, sizeof p->ids);
        break;
    case OP_RESTORE:
        memmove(p->bytes, other->bytes, sizeof p->bytes);
        memmove(p->ids, other->ids, sizeof p->ids);
        break;
    case OP_DESTROY: p->pool = NULL; break;
    case OP_KINDS: break;
    }
    size_t held = model_family_blocks(m);
    if (m->peak < held)
        m->peak = held;
}

#endif /* MODEL_H */
