/* SPDX-License-Identifier: MIT */
/*
 * model_ops.h - random calls on the library
 *
 *     op_random   chooses a call that makes sense for the model (model.h)
 *     op_call     makes it on the library and returns its status
 *
 * model_effects.h has what the model makes of it.
 */
#ifndef MODEL_OPS_H
#define MODEL_OPS_H

#include "model.h"

typedef enum OpKind {
    OP_WRITE,
    OP_FILL,
    OP_DISCARD,
    OP_TAKE,
    OP_READ,
    OP_COPY,   /* from a relative or the pool itself */
    OP_IMPORT, /* from the unrelated pool */
    OP_EXPORT, /* to the unrelated pool */
    OP_ADOPT,
    OP_VIEW,
    OP_PIN,
    OP_SCATTER, /* or pool_write_many, if the sizes vary */
    OP_GATHER,  /* or pool_read_many */
    OP_ADD,
    OP_EXCHANGE,
    OP_CLONE, /* the operations from here on have no range */
    OP_RESTORE,
    OP_DESTROY,
    OP_RESIZE,
    OP_RELEASE, /* a view or a pin */
    OP_POKE,    /* through a pin */
    OP_DIFFER,  /* pool_next_difference, or pool_same */
    OP_FIND,
    OP_KINDS
} OpKind;

enum { OP_ITEMS = 8, OP_ITEM_MAX = 100 };

typedef struct Op {
    OpKind kind;
    size_t pool, other; /* places in Model.pools */
    size_t place;       /* in Model.views or Model.loans */
    size_t at, size;    /* at: in the window; OP_RESIZE: size is the new one */
    size_t from;        /* of copies: at, in the source */
    size_t count, items[OP_ITEMS], sizes[OP_ITEMS];
    int varies; /* the sizes of items; if not, all of them are size */
    int byte;
    uint64_t expected;
    unsigned char data[MODEL_WINDOW + 64]; /* written, or read by op_call */
} Op;

/* ------------------------------------------------------------------- choosing */

/* Bytes that a call which clips reaches. Where the window ends before the pool does,
 * op_random keeps all ranges inside. */
static inline size_t op_end(const Model *m, const Op *op)
{
    size_t visible = model_visible(m, op->pool);
    if (op->at >= visible)
        return op->at;
    return op->size < visible - op->at ? op->at + op->size : visible;
}

static inline int op_clips(const Op *op)
{
    return op->kind == OP_WRITE || op->kind == OP_READ || op->kind == OP_TAKE;
}

static inline size_t random_live_pool(const Model *m, TestRandom *random)
{
    size_t i;
    do
        i = test_below(random, MODEL_POOLS);
    while (m->pools[i].pool == NULL);
    return i;
}

/* A view that is there or not, or a loan that is not; false if there is none. */
static inline int op_find_place(const Model *m, Op *op)
{
    for (op->place = 0; op->kind == OP_ADOPT && op->place < MODEL_LOANS; op->place++) {
        if (m->loans[op->place].data == NULL)
            return 1;
    }
    size_t turn = op->at % MODEL_VIEWS;
    for (size_t i = 0; op->kind != OP_ADOPT && i < MODEL_VIEWS; i++) {
        const ModelView *v = &m->views[op->place = (turn + i) % MODEL_VIEWS];
        int there = v->view.data != NULL;
        if (op->kind == OP_RELEASE
                ? there
                : (op->kind == OP_POKE ? there && v->pin != NULL : !there))
            return 1;
    }
    return 0;
}

static inline void op_random_range(const Model *m, TestRandom *random, Op *op)
{
    /* Mostly short ranges, now and then the rest of the window or more. */
    size_t visible = model_visible(m, op->pool), room;
    int at_end = m->base + visible == m->pools[op->pool].total;
    op->at = test_below(random, visible + (at_end ? 3u : 0u));
    room = op->at < visible ? visible - op->at : 0;
    op->size = test_below(random, test_below(random, 4) == 0 ? m->size + 1 : 40);
    if (test_below(random, 8) == 0)
        op->size = room;
    if (op->size > room && (!at_end || (op->kind == OP_ADOPT && op->byte % 4 != 0)))
        op->size = room;
    if (op->kind == OP_ADD || op->kind == OP_EXCHANGE) {
        op->size = (size_t)1 << test_below(random, 4);
        if (op->size > room && !at_end)
            op->size = 1;
    }
}

/* The other end of a copy; sometimes congruent, sometimes by whole blocks. */
static inline void op_random_copy(const Model *m, TestRandom *random, Op *op)
{
    size_t there = op->kind == OP_COPY ? model_visible(m, op->other) : MODEL_WINDOW;
    size_t here = model_visible(m, op->pool), block = m->block_size;
    op->from = test_below(random, there);
    if (test_below(random, 2) == 0 && op->at % block < there)
        op->from = op->from / block * block + op->at % block;
    if (op->from >= there)
        op->from = op->at % there;
    if (test_below(random, 2) == 0)
        op->size = test_below(random, m->size + 1);
    if (op->at > here)
        op->at = here;
    if (op->size > here - op->at)
        op->size = here - op->at;
    if (op->size > there - op->from)
        op->size = there - op->from;
}

/* Bytes of all items. */
static inline size_t op_items_size(const Op *op)
{
    size_t sum = 0;
    for (size_t i = 0; i < op->count; i++)
        sum += op->sizes[i];
    return sum;
}

static inline void op_random_items(const Model *m, TestRandom *random, Op *op)
{
    size_t visible = model_visible(m, op->pool);
    int past = m->base + visible == m->pools[op->pool].total && op->byte % 16 == 1;
    op->size = test_below(random, visible < 20 ? visible + 1 : 20);
    past = past && op->size > 0;
    op->count = test_below(random, OP_ITEMS + 1);
    for (size_t i = 0; i < op->count; i++) {
        op->items[i] =
            test_below(random, visible - op->size + 1) + (past && i == op->count - 1);
        op->sizes[i] = op->size;
    }
    op->varies = test_below(random, 2) == 0;
    for (size_t i = 0; op->varies && i + (size_t)past < op->count; i++) {
        size_t room = visible - op->items[i];
        op->sizes[i] = test_below(random, room < OP_ITEM_MAX ? room + 1 : OP_ITEM_MAX);
    }
    if (op->varies)
        op->size = op_items_size(op);
}

static inline void op_random(const Model *m, TestRandom *random, Op *op)
{
    static const OpKind often[] = {
        OP_WRITE,   OP_WRITE,  OP_WRITE,   OP_FILL,     OP_FILL,   OP_DISCARD,
        OP_DISCARD, OP_TAKE,   OP_READ,    OP_COPY,     OP_COPY,   OP_COPY,
        OP_IMPORT,  OP_EXPORT, OP_ADOPT,   OP_VIEW,     OP_PIN,    OP_PIN,
        OP_SCATTER, OP_GATHER, OP_ADD,     OP_EXCHANGE, OP_CLONE,  OP_RESTORE,
        OP_DESTROY, OP_RESIZE, OP_RELEASE, OP_POKE,     OP_DIFFER, OP_FIND};
    op->kind = often[test_below(random, TEST_COUNT(often))];
    op->pool = random_live_pool(m, random);
    op->other = random_live_pool(m, random);
    op->byte = test_below(random, 4) == 0 ? 0 : (int)test_below(random, 1000);
    op->expected = test_random(random);
    op->count = 0;
    for (size_t i = 0; op->kind == OP_CLONE && i < MODEL_POOLS; i++) {
        if (m->pools[i].pool == NULL)
            op->other = i;
    }
    op_random_range(m, random, op);
    /* No place for a clone, or no other one; and a family always keeps one pool. */
    if ((op->kind == OP_CLONE && m->pools[op->other].pool != NULL) ||
        (op->kind == OP_DESTROY && op->other == op->pool) ||
        ((op->kind == OP_ADOPT || op->kind == OP_VIEW || op->kind == OP_PIN ||
          op->kind == OP_RELEASE || op->kind == OP_POKE) &&
         !op_find_place(m, op)))
        op->kind = OP_READ;
    if (op->kind == OP_COPY || op->kind == OP_IMPORT || op->kind == OP_EXPORT)
        op_random_copy(m, random, op);
    if (op->kind == OP_SCATTER || op->kind == OP_GATHER)
        op_random_items(m, random, op);
    if (op->kind == OP_RESIZE) {
        size_t end = m->base + m->size;
        switch (test_below(random, 4)) {
        case 0: op->size = end; break;
        case 1: op->size = end + (size_t)(op->expected % (SIZE_MAX - end + 1)); break;
        default: op->size = m->base + 1 + test_below(random, m->size); break;
        }
    }
    test_random_bytes(random, op->data, sizeof op->data);
    if (test_below(random, 8) == 0)
        memset(op->data, 0, sizeof op->data);
}

/* -------------------------------------------------------------------- calling */

static void op_count_release(void *data, size_t size, void *context)
{
    ModelLoan *loan = context;
    CHECK(data == loan->data);
    CHECK_EQ_SIZE(size, loan->size);
    loan->released++;
}

static inline PoolStatus op_adopt(Model *m, const Op *op, size_t offset)
{
    ModelLoan *loan = &m->loans[op->place];
    loan->size = op->size;
    loan->released = 0;
    loan->data = test_alloc(op->size + 1);
    CHECK_LE_SIZE(op->size, sizeof op->data);
    memcpy(loan->data, op->data, op->size);
    PoolStatus status = pool_adopt(m->pools[op->pool].pool, offset, loan->data, op->size,
                                   op_count_release, loan);
    if (status != POOL_OK) {
        CHECK_EQ_INT((int)loan->released, 0);
        free(loan->data);
        loan->data = NULL;
    }
    return status;
}

/* What the model has of an integer, in the machine's order. */
static inline uint64_t op_integer(const Model *m, const Op *op)
{
    const unsigned char *bytes = m->pools[op->pool].bytes + op->at;
    uint8_t one;
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    switch (op->size) {
    case 1: memcpy(&one, bytes, 1); return one;
    case 2: memcpy(&two, bytes, 2); return two;
    case 4: memcpy(&four, bytes, 4); return four;
    default: memcpy(&eight, bytes, 8); return eight;
    }
}

/* What an exchange expects: half the time what is there. */
static inline uint64_t op_expected(const Model *m, const Op *op)
{
    return op->byte % 2 == 0 && op->at + op->size <= model_visible(m, op->pool)
               ? op_integer(m, op)
               : op->expected;
}

static inline void op_call_integer(Model *m, const Op *op, size_t offset)
{
    MemoryPool *pool = m->pools[op->pool].pool;
    uint64_t old = 0x1234567, untouched = old;
    PoolStatus status =
        op->kind == OP_ADD
            ? pool_fetch_add(pool, offset, op->size, op->expected, &old)
            : pool_compare_exchange(pool, offset, op->size, op_expected(m, op),
                                    ~op->expected, &old);
    CHECK(old == (status == POOL_OK ? op_integer(m, op) : untouched));
    CHECK_STATUS(status);
}

static inline void op_call_items(Model *m, Op *op)
{
    MemoryPool *pool = m->pools[op->pool].pool;
    size_t offsets[OP_ITEMS];
    for (size_t i = 0; i < op->count; i++)
        offsets[i] = m->base + op->items[i];
    if (op->varies && op->kind == OP_SCATTER)
        (void)pool_write_many(pool, offsets, op->sizes, op->data, op->count);
    else if (op->varies)
        (void)pool_read_many(pool, op->data, offsets, op->sizes, op->count);
    else if (op->kind == OP_SCATTER)
        (void)pool_scatter(pool, offsets, op->data, op->count, op->size);
    else
        (void)pool_gather(pool, op->data, offsets, op->count, op->size);
}

/* Writes through a pin, but not beyond the end of its pool in the last block of that; the
 * model has the same afterwards. */
static inline void op_poke(Model *m, const Op *op, ModelView *v)
{
    const ModelPin *p = v->pin;
    for (size_t i = 0; i < v->view.size && i < sizeof op->data; i++) {
        size_t at = v->at + i;
        if (i % 64 >= (size_t)op->byte % 65) /* here and there */
            continue;
        if (model_block_at(m, at) < p->first + p->attached &&
            at >= model_visible(m, p->pool))
            continue;
        ((unsigned char *)v->view.data)[i] = op->data[i];
        *model_pin_byte(m, v->pin, at) = op->data[i];
    }
}

/* The other side of a comparison, which may be the unrelated pool. */
static inline int op_is_unrelated(const Op *op)
{
    return op->byte % 4 == 1;
}

static inline int op_calls_same(const Op *op)
{
    return op->byte % 4 == 2;
}

/* The byte of a pool at an offset, 0 outside of the window; -1 past its end. */
static inline int model_byte(const Model *m, size_t pool, size_t offset)
{
    if (offset >= m->pools[pool].total)
        return -1;
    return offset >= m->base && offset - m->base < m->size
               ? m->pools[pool].bytes[offset - m->base]
               : 0;
}

static inline int op_differs(const Model *m, const Op *op, size_t offset)
{
    int other = model_byte(m, op->other, offset);
    if (op_is_unrelated(op))
        other = offset < MODEL_WINDOW ? m->unrelated_bytes[offset] : -1;
    return model_byte(m, op->pool, offset) != other;
}

/* Where a comparison or a search begins and ends: in the window. */
static inline size_t op_look_start(const Model *m, const Op *op)
{
    return m->base + (op->at < m->size ? op->at : m->size);
}

static inline size_t op_look_end(const Model *m, const Op *op)
{
    size_t end = op->at + op->size;
    return m->base + (end < m->size ? end : m->size);
}

static inline void op_check_difference(const Model *m, const Op *op, int found,
                                       size_t start, size_t size)
{
    size_t other = op_is_unrelated(op) ? MODEL_WINDOW : m->pools[op->other].total;
    size_t end = op_look_end(m, op), at = op_look_start(m, op), first;
    size_t total = m->pools[op->pool].total > other ? m->pools[op->pool].total : other;
    end = end < total ? end : total;
    while (at < end && !op_differs(m, op, at))
        at++;
    CHECK_EQ_INT(found, at < end);
    for (first = at; at < end && op_differs(m, op, at);)
        at++;
    CHECK_EQ_SIZE(start, found ? first : 7);
    CHECK_EQ_SIZE(size, found ? at - first : 8);
}

/* Whether two pools of the family are the same. */
static inline int op_same(const Model *m, const Op *op)
{
    const ModelPool *a = &m->pools[op->pool], *b = &m->pools[op->other];
    return a->total == b->total && memcmp(a->bytes, b->bytes, m->size) == 0;
}

static inline PoolStatus op_call_differ(Model *m, const Op *op)
{
    MemoryPool *pool = m->pools[op->pool].pool;
    MemoryPool *other = op_is_unrelated(op) ? m->unrelated : m->pools[op->other].pool;
    size_t start = 7, size = 8;
    int same = op_calls_same(op);
    int found = same ? pool_same(pool, other)
                     : pool_next_difference(pool, other, op_look_start(m, op),
                                            op_look_end(m, op), &start, &size);
    PoolStatus status = pool_last_status();
    CHECK_EQ_INT(found < 0, status != POOL_OK);
    if (found >= 0 && same)
        CHECK_EQ_INT(found, op_same(m, op));
    if (found >= 0 && !same)
        op_check_difference(m, op, found, start, size);
    else
        CHECK(start == 7 && size == 8);
    return status;
}

/* The pattern of a search: what is somewhere in the window, or zeros and other bytes. */
static inline size_t op_pattern(const Model *m, const Op *op, unsigned char *pattern)
{
    size_t size = (size_t)(op->expected % 16),
           from = (size_t)(op->expected >> 8) % m->size;
    for (size_t i = 0; i < size; i++) {
        pattern[i] = op->byte % 3 == 0 ? op->data[i] : 0;
        if (op->byte % 3 == 1 && from + i < m->size)
            pattern[i] = m->pools[op->pool].bytes[from + i];
    }
    if (op->byte % 3 == 2 && size > 0)
        pattern[op->data[0] % size] = op->data[1];
    return size;
}

static inline int op_matches(const Model *m, const Op *op, const unsigned char *pattern,
                             size_t size, size_t offset)
{
    for (size_t i = 0; i < size; i++) {
        if (model_byte(m, op->pool, offset + i) != pattern[i])
            return 0;
    }
    return 1;
}

static inline PoolStatus op_call_find(Model *m, const Op *op)
{
    unsigned char pattern[16];
    size_t size = op_pattern(m, op, pattern), found = 7, at = op_look_start(m, op);
    size_t end = op_look_end(m, op), total = m->pools[op->pool].total;
    int result = pool_find(m->pools[op->pool].pool, pattern, size, at, end, &found);
    PoolStatus status = pool_last_status();
    CHECK_EQ_INT(result < 0, status != POOL_OK);
    end = end < total ? end : total;
    while (at < end && size <= end - at && !op_matches(m, op, pattern, size, at))
        at++;
    if (result >= 0)
        CHECK_EQ_INT(result, at <= end && size <= end - at);
    CHECK_EQ_SIZE(found, result == 1 ? at : 7);
    return status;
}

static inline PoolStatus op_call(Model *m, Op *op)
{
    MemoryPool *pool = m->pools[op->pool].pool, *other = m->pools[op->other].pool;
    ModelView *v = &m->views[op->place % MODEL_VIEWS];
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
    case OP_COPY:
        (void)pool_copy(pool, offset, other, m->base + op->from, op->size);
        break;
    case OP_IMPORT:
        (void)pool_copy(pool, offset, m->unrelated, op->from, op->size);
        break;
    case OP_EXPORT:
        (void)pool_copy(m->unrelated, op->from, pool, offset, op->size);
        break;
    case OP_ADOPT: (void)op_adopt(m, op, offset); break;
    case OP_VIEW: (void)pool_view(pool, offset, op->size, &v->view); break;
    case OP_PIN: (void)pool_pin(pool, offset, op->size, &v->view); break;
    case OP_SCATTER:
    case OP_GATHER: op_call_items(m, op); break;
    case OP_ADD:
    case OP_EXCHANGE: op_call_integer(m, op, offset); break;
    case OP_RESTORE: (void)pool_restore(pool, other); break;
    case OP_DESTROY: pool_destroy(pool); break;
    case OP_RESIZE: (void)pool_resize(pool, op->size); break;
    case OP_RELEASE: pool_view_release(&v->view); break;
    case OP_POKE: op_poke(m, op, v); return POOL_OK;
    case OP_DIFFER: return op_call_differ(m, op);
    case OP_FIND: return op_call_find(m, op);
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
    if (op_clips(op))
        CHECK_EQ_SIZE(result, status == POOL_OK ? moved : 0);
    if (op->kind == OP_GATHER && status == POOL_OK)
        result = op_items_size(op);
    CHECK_MEM(op->data + result, before + result, sizeof before - result);
    return status;
}

#endif /* MODEL_OPS_H */
