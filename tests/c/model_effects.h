/* SPDX-License-Identifier: MIT */
/*
 * model_effects.h - what the calls of model_ops.h do to the model
 *
 *     op_expect   says which status a call should have, from the model alone
 *     op_apply    makes it on the model
 *
 * A call that failed is not applied, so model_check then proves that it changed nothing.
 */
#ifndef MODEL_EFFECTS_H
#define MODEL_EFFECTS_H

#include "model_ops.h"

/* ------------------------------------------------------------------ expecting */

/* The blocks that a scatter needs: each once. */
static inline size_t op_scatter_needs(const Model *m, const Op *op)
{
    size_t count = 0;
    for (size_t b = 0; b < m->blocks; b++) {
        int touched = 0;
        for (size_t i = 0; i < op->count; i++)
            touched |= op->sizes[i] > 0 && b >= model_block_at(m, op->items[i]) &&
                       b <= model_block_at(m, op->items[i] + op->sizes[i] - 1);
        count += (size_t)(touched && model_takes(m, op->pool, b));
    }
    return count;
}

/* Of an adoption: the ends that it does not cover wholly. */
static inline size_t op_adopt_needs(const Model *m, const Op *op)
{
    size_t count = 0, end = op->at + op->size;
    for (size_t b = model_block_at(m, op->at); b <= model_block_at(m, end - 1); b++)
        count +=
            (size_t)(!model_is_whole(m, b, op->at, end) && model_takes(m, op->pool, b));
    return count;
}

/* Whether a copy shares whole blocks, and so freezes pinned ones; if so, which. */
static inline int op_copy_shares(const Model *m, const Op *op, size_t *first,
                                 size_t *last)
{
    size_t apart = op->at > op->from ? op->at - op->from : op->from - op->at;
    size_t end = op->from + op->size;
    if (op->kind != OP_COPY || op->size == 0 || apart % m->block_size != 0 ||
        (op->pool == op->other && apart == 0))
        return 0;
    *first = model_block_at(m, op->from);
    *last = model_block_at(m, end - 1);
    *first += !model_is_whole(m, *first, op->from, end);
    if (*last > *first && !model_is_whole(m, *last, op->from, end))
        *last -= 1;
    return *first <= *last && model_is_whole(m, *last, op->from, end);
}

static inline size_t op_copy_freezes(const Model *m, const Op *op)
{
    size_t first, last;
    int exactly;
    return op_copy_shares(m, op, &first, &last)
               ? model_pins_needs(m, op->other, first, last, &exactly)
               : 0;
}

/* Where a pin of a range ends: with the one that it begins in, or before the next one. */
static inline size_t op_pin_end(const Model *m, const Op *op)
{
    size_t end = op->at + op->size, b = model_block_at(m, op->at);
    const ModelPin *p = model_pin(m, op->pool, b);
    while (model_block_start(m, b) < end && b < m->blocks &&
           model_pin(m, op->pool, b) == p)
        b++;
    return b < m->blocks && model_block_start(m, b) < end ? model_block_start(m, b) : end;
}

/* Of a view of pinned blocks; one of zeros is of one block. */
static inline size_t op_view_needs(const Model *m, const Op *op, int *exactly)
{
    size_t first = model_block_at(m, op->at);
    const ModelPin *p = model_pin(m, op->pool, first);
    if (p == NULL)
        return 0;
    if (p->frozen[first] == 0 && model_is_dirty(m, p, first) != 1) {
        *exactly = model_is_dirty(m, p, first) == 0;
        if (*exactly)
            return 0;
    }
    return model_pin_needs(m, p, first, model_block_at(m, op->at + op->size - 1),
                           exactly);
}

/* Whether a comparison or a search clones, and so freezes pinned blocks. */
static inline int op_look_clones(const Model *m, const Op *op)
{
    size_t at = op_look_start(m, op), end = op_look_end(m, op), size;
    size_t total = m->pools[op->pool].total;
    unsigned char pattern[16];
    if (op->kind == OP_DIFFER) {
        if (op_calls_same(op))
            return op->pool != op->other;
        return at < end && (op->pool != op->other || op_is_unrelated(op));
    }
    size = op_pattern(m, op, pattern);
    end = end < total ? end : total;
    return op->kind == OP_FIND && size > 0 && at <= end && size <= end - at;
}

static inline size_t op_look_needs(const Model *m, const Op *op, int *exactly)
{
    size_t needs = 0;
    if (op_look_clones(m, op)) {
        needs = model_pins_needs(m, op->pool, 0, m->blocks - 1, exactly);
        if (op->kind == OP_DIFFER && !op_is_unrelated(op))
            needs += model_pins_needs(m, op->other, 0, m->blocks - 1, exactly);
    }
    return needs;
}

/* How many blocks a call needs at most; *exactly: and at least. */
static inline size_t op_needs(const Model *m, const Op *op, int *exactly)
{
    size_t end = op_end(m, op), block = model_block_at(m, op->at);
    *exactly = 1;
    switch (op->kind) {
    case OP_WRITE:
    case OP_ADD:
    case OP_EXCHANGE: return model_needs(m, op->pool, op->at, end);
    case OP_FILL:
        if ((op->byte & 255) != 0)
            return model_needs(m, op->pool, op->at, end);
        *exactly = 0;
        return model_discard_needs(m, op->pool, op->at, end);
    case OP_DISCARD:
    case OP_TAKE: *exactly = 0; return model_discard_needs(m, op->pool, op->at, end);
    case OP_COPY: /* in one pool it may share blocks with itself and then copy them */
        *exactly = 0;
        if (op->size == 0)
            return 0;
        return op_copy_freezes(m, op) + (op->pool == op->other
                                             ? model_block_at(m, end - 1) - block + 1
                                             : model_needs(m, op->pool, op->at, end));
    case OP_IMPORT: *exactly = 0; return model_needs(m, op->pool, op->at, end);
    case OP_ADOPT: return op_adopt_needs(m, op);
    case OP_VIEW: return op_view_needs(m, op, exactly);
    case OP_PIN:
        return model_is_pinned(m, op->pool, block)
                   ? 0
                   : model_needs(m, op->pool, op->at, op_pin_end(m, op));
    case OP_SCATTER: return op_scatter_needs(m, op);
    case OP_CLONE: return model_pins_needs(m, op->pool, 0, m->blocks - 1, exactly);
    case OP_RESTORE:
        return op->other == op->pool
                   ? 0
                   : model_pins_needs(m, op->other, 0, m->blocks - 1, exactly);
    case OP_DIFFER:
    case OP_FIND: return op_look_needs(m, op, exactly);
    case OP_RESIZE:
        *exactly = 0;
        return op->size < m->base + m->size
                   ? model_discard_needs(m, op->pool, op->size - m->base, m->size)
                   : 0;
    default: return 0;
    }
}

/* Whether a call passes the end of its pool. Those that clip do so with all they have. */
static inline int op_is_out_of_range(const Model *m, const Op *op)
{
    size_t visible = model_visible(m, op->pool);
    if (op->kind >= OP_CLONE)
        return 0;
    if (op->kind == OP_SCATTER || op->kind == OP_GATHER) {
        for (size_t i = 0; i < op->count; i++) {
            if (op->items[i] + op->sizes[i] > visible)
                return 1;
        }
        return 0;
    }
    if (op_clips(op))
        return op->at >= visible && op->size > 0;
    return op->at > visible || op->size > visible - op->at;
}

/* Whether the status of a call is one it may have. */
static inline void op_expect(const Model *m, const Op *op, PoolStatus status)
{
    size_t allowed = m->limit != 0 ? m->limit / m->block_size : SIZE_MAX;
    size_t held = model_count(m).own, needs;
    int exactly;
    if ((op->kind == OP_VIEW || op->kind == OP_PIN) && op->size == 0) {
        CHECK_EQ_INT((int)status, POOL_INVALID);
    } else if (op->size == 0 && op_is_out_of_range(m, op)) {
        /* Just past the end, which at SIZE_MAX cannot be said. */
        CHECK(status == POOL_RANGE || (status == POOL_OK && !op_clips(op)));
    } else if (op_is_out_of_range(m, op)) {
        CHECK_EQ_INT((int)status, POOL_RANGE);
    } else if (op->size == 0 && op->kind < OP_CLONE) {
        CHECK_EQ_INT((int)status, POOL_OK);
    } else {
        needs = op_needs(m, op, &exactly);
        if (held + needs <= allowed || needs == 0)
            CHECK_EQ_INT((int)status, POOL_OK);
        else
            CHECK(status == POOL_LIMIT || (!exactly && status == POOL_OK));
    }
}

/* ------------------------------------------------------------------- applying */

/* A block was written to, or is there now; what is pinned stays what it is. */
static inline void apply_touch(Model *m, size_t pool, size_t block)
{
    unsigned *id = &m->pools[pool].ids[block];
    if (*id == 0 || !model_is_pinned(m, pool, block))
        *id = model_new_id(m);
}

static inline void apply_bytes(Model *m, size_t pool, size_t at, size_t end, int byte,
                               const unsigned char *data)
{
    ModelPool *p = &m->pools[pool];
    if (at >= end)
        return;
    if (data != NULL)
        memcpy(p->bytes + at, data, end - at);
    else
        memset(p->bytes + at, byte, end - at);
    for (size_t b = model_block_at(m, at); b <= model_block_at(m, end - 1); b++)
        apply_touch(m, pool, b);
}

/* A block of which something became a hole. */
static inline void apply_hole(Model *m, size_t pool, size_t block)
{
    unsigned *id = &m->pools[pool].ids[block];
    if (*id != 0 && !model_is_pinned(m, pool, block))
        *id = model_is_zero(m, pool, block) ? 0 : model_new_id(m);
}

static inline void apply_discard(Model *m, size_t pool, size_t at, size_t end)
{
    if (at >= end)
        return;
    memset(m->pools[pool].bytes + at, 0, end - at);
    for (size_t b = model_block_at(m, at); b <= model_block_at(m, end - 1); b++)
        apply_hole(m, pool, b);
}

/* Brings the frozen copies of pinned blocks up to date. */
static inline void apply_freeze(Model *m, size_t pool, size_t first, size_t last)
{
    for (size_t b = first; b <= last; b++) {
        ModelPin *p = model_pin(m, pool, b);
        size_t start = model_block_start(m, b), end = model_block_end(m, b);
        if (p == NULL || !model_is_dirty(m, p, b))
            continue;
        p->frozen[b] = model_new_id(m);
        p->dirty[b] = 0;
        memcpy(p->frozen_bytes + start, m->pools[pool].bytes + start, end - start);
    }
}

/* A call that was to freeze these failed: what it has found out stays known. */
static inline void apply_failed_freeze(Model *m, size_t pool, size_t first, size_t last,
                                       int known)
{
    for (size_t b = first; b <= last; b++) {
        ModelPin *p = model_pin(m, pool, b);
        if (p != NULL && p->dirty[b] != 1 && model_is_dirty(m, p, b) == 1)
            p->dirty[b] = (unsigned char)(known ? 1 : 2);
    }
}

/* What a clone shares: a pinned block is in its frozen copy. */
static inline unsigned model_shared_id(const Model *m, size_t pool, size_t block)
{
    const ModelPin *p = model_pin(m, pool, block);
    return p != NULL ? p->frozen[block] : m->pools[pool].ids[block];
}

/* Pins of a pool at or after a block become memory of their own. */
static inline void apply_cut_pins(Model *m, size_t pool, size_t block)
{
    for (size_t i = 0; i < MODEL_VIEWS; i++) {
        ModelPin *p = &m->pins[i];
        size_t stays = block > p->first ? block - p->first : 0;
        if (p->users == 0 || p->pool != pool || stays >= p->attached)
            continue;
        for (size_t b = p->first + stays; b < p->first + p->attached; b++) {
            size_t start = model_block_start(m, b), end = model_block_end(m, b);
            memcpy(p->bytes + start, m->pools[pool].bytes + start, end - start);
            p->ids[b] = m->pools[pool].ids[b];
        }
        p->attached = stays;
        if (stays == 0) {
            p->pool = MODEL_POOLS;
            memset(p->frozen, 0, sizeof p->frozen);
        }
    }
}

static inline size_t model_blocks_below(const Model *m, size_t total)
{
    size_t blocks = (total - 1) / m->block_size - m->first_block + 1;
    return blocks < m->blocks ? blocks : m->blocks;
}

static inline void apply_resize(Model *m, size_t pool, size_t total)
{
    ModelPool *p = &m->pools[pool];
    size_t below = model_blocks_below(m, total), end;
    p->total = total;
    apply_cut_pins(m, pool, below);
    if (total - m->base >= m->size)
        return;
    end = model_block_end(m, below - 1);
    if (!all_zero(p->bytes + (total - m->base), end - (total - m->base)))
        apply_discard(m, pool, total - m->base, end);
    memset(p->bytes + end, 0, m->size - end);
    for (size_t b = below; b < m->blocks; b++)
        p->ids[b] = 0;
}

static inline void apply_restore(Model *m, size_t pool, size_t from)
{
    ModelPool *p = &m->pools[pool], *other = &m->pools[from];
    if (pool == from)
        return;
    apply_cut_pins(m, pool, model_blocks_below(m, other->total));
    p->total = other->total;
    memcpy(p->bytes, other->bytes, sizeof p->bytes);
    apply_freeze(m, from, 0, m->blocks - 1);
    for (size_t i = 0; i < MODEL_VIEWS; i++) {
        ModelPin *pin = &m->pins[i];
        if (pin->users == 0 || pin->pool != pool)
            continue;
        memset(pin->frozen, 0, sizeof pin->frozen);
        memset(pin->dirty, 0, sizeof pin->dirty);
        memcpy(pin->frozen_bytes, other->bytes, sizeof pin->frozen_bytes);
        for (size_t b = pin->first; b < pin->first + pin->attached; b++)
            pin->frozen[b] = model_shared_id(m, from, b);
    }
    for (size_t b = 0; b < m->blocks; b++) {
        if (!model_is_pinned(m, pool, b))
            p->ids[b] = model_shared_id(m, from, b);
    }
}

static inline void apply_adopt(Model *m, const Op *op)
{
    ModelLoan *loan = &m->loans[op->place];
    size_t end = op->at + op->size;
    unsigned char *bytes = m->pools[op->pool].bytes;
    memcpy(loan->bytes, op->data, op->size);
    loan->first = 1; /* no identities, unless some are found below */
    loan->last = 0;
    if (op->size == 0)
        return;
    memcpy(bytes + op->at, op->data, op->size);
    for (size_t b = model_block_at(m, op->at); b <= model_block_at(m, end - 1); b++) {
        if (!model_is_whole(m, b, op->at, end))
            apply_touch(m, op->pool, b);
    }
    loan->first = m->last_id + 1;
    for (size_t b = model_block_at(m, op->at); b <= model_block_at(m, end - 1); b++) {
        if (model_is_whole(m, b, op->at, end))
            apply_touch(m, op->pool, b);
    }
    loan->last = m->last_id;
}

/* A byte of the source of a copy: its block, and whether that can be shared. */
typedef struct CopySource {
    unsigned id; /* 0: a hole */
    int shares;
} CopySource;

static inline void apply_copy(Model *m, const Op *op, const unsigned char *bytes,
                              const CopySource *source)
{
    size_t end = op->at + op->size;
    if (op->size == 0)
        return;
    memmove(m->pools[op->pool].bytes + op->at, bytes, op->size);
    for (size_t b = model_block_at(m, op->at); b <= model_block_at(m, end - 1); b++) {
        unsigned *id = &m->pools[op->pool].ids[b];
        size_t first = model_block_start(m, b), last = model_block_end(m, b);
        int data = 0, hole = 0;
        for (size_t at = first; at < last; at++) {
            if (at < op->at || at >= end)
                continue;
            data |= source[at - op->at].id != 0;
            hole |= source[at - op->at].id == 0;
        }
        if (model_is_pinned(m, op->pool, b))
            continue;
        if (data && model_is_whole(m, b, op->at, end) && source[first - op->at].shares)
            *id = source[first - op->at].id;
        else if (data)
            *id = model_new_id(m);
        if (hole)
            apply_hole(m, op->pool, b);
    }
}

static inline void apply_copy_family(Model *m, const Op *op)
{
    static unsigned char bytes[MODEL_WINDOW];
    static CopySource source[MODEL_WINDOW];
    int congruent = (op->at - op->from) % m->block_size == 0;
    size_t first, last;
    if (op->at < op->from)
        congruent = (op->from - op->at) % m->block_size == 0;
    if (op->pool == op->other && op->at == op->from)
        return;
    if (op_copy_shares(m, op, &first, &last))
        apply_freeze(m, op->other, first, last);
    memcpy(bytes, m->pools[op->other].bytes + op->from, op->size);
    for (size_t i = 0; i < op->size; i++) {
        size_t b = model_block_at(m, op->from + i);
        unsigned id = model_shared_id(m, op->other, b);
        source[i].shares = congruent && id != 0;
        source[i].id = id != 0 ? id : m->pools[op->other].ids[b]; /* a pin of zeros */
    }
    apply_copy(m, op, bytes, source);
}

/* The unrelated pool itself says where its data is. */
static inline void apply_import(Model *m, const Op *op)
{
    static CopySource source[MODEL_WINDOW];
    size_t start, size, at = op->from, end = op->from + op->size;
    memset(source, 0, sizeof source);
    while (pool_next_extent(m->unrelated, at, SIZE_MAX, &start, &size) == 1 &&
           start < end) {
        for (at = start; at < start + size && at < end; at++)
            source[at - op->from].id = 1;
    }
    apply_copy(m, op, m->unrelated_bytes + op->from, source);
}

static inline void apply_pin(Model *m, const Op *op)
{
    ModelView *v = &m->views[op->place];
    ModelPool *pool = &m->pools[op->pool];
    size_t first = model_block_at(m, op->at), end = op_pin_end(m, op);
    ModelPin *p = model_pin(m, op->pool, first);
    CHECK_EQ_SIZE(v->view.size, end - op->at);
    v->at = op->at;
    v->held = 0;
    if (p == NULL) {
        (void)model_count(m); /* who shares what */
        p = m->pins;
        while (p->users > 0)
            p++;
        memset(p, 0, sizeof *p);
        p->first = first;
        p->count = p->attached = model_block_at(m, end - 1) - first + 1;
        for (size_t b = first; b < first + p->count; b++) {
            size_t start = model_block_start(m, b), stop = model_block_end(m, b);
            int shared = model_is_shared(m, op->pool, b);
            p->dirty[b] = pool->ids[b] != 0 && !shared;
            if (shared) {
                p->frozen[b] = pool->ids[b];
                memcpy(p->frozen_bytes + start, pool->bytes + start, stop - start);
            }
        }
        for (size_t b = first; b < first + p->count; b++) {
            if (model_takes(m, op->pool, b))
                pool->ids[b] = model_new_id(m);
        }
        p->pool = op->pool;
    }
    p->users++;
    v->pin = p;
}

/* The last block of a range that is pinned with its first one. */
static inline size_t op_pin_last(const Model *m, const Op *op, const ModelPin *p)
{
    size_t last = model_block_at(m, op->at + op->size - 1);
    size_t end = p->first + p->attached;
    return last < end ? last : end - 1;
}

/* How far a view reaches depends on where blocks lie; at least to the end of its first
 * block, and one of a hole or of adopted memory no further. */
static inline void apply_view(Model *m, const Op *op)
{
    ModelView *v = &m->views[op->place];
    size_t first = model_block_at(m, op->at), rest = model_block_end(m, first) - op->at;
    size_t size = v->view.size, last = model_block_at(m, op->at + size - 1);
    const ModelPin *p = model_pin(m, op->pool, first);
    if (p != NULL && (model_is_dirty(m, p, first) || p->frozen[first] != 0))
        apply_freeze(m, op->pool, first, op_pin_last(m, op, p));
    unsigned id = model_shared_id(m, op->pool, first);
    CHECK(size == op->size || op->at + size == model_block_end(m, last));
    CHECK_LE_SIZE(size, op->size);
    CHECK_LE_SIZE(op->size < rest ? op->size : rest, size);
    if (id == 0 || model_is_adopted(m, id))
        CHECK_EQ_SIZE(last, first);
    memcpy(v->bytes, m->pools[op->pool].bytes + op->at, size);
    v->pin = NULL;
    v->at = op->at;
    v->held = last - first + 1;
    for (size_t b = first; b <= last; b++) {
        v->ids[b - first] = model_shared_id(m, op->pool, b);
        CHECK(b == first || v->ids[b - first] != 0);
        CHECK(model_pin(m, op->pool, b) == p);
    }
}

static inline void apply_integer(Model *m, const Op *op)
{
    uint64_t old = op_integer(m, op), value = old + op->expected;
    unsigned char bytes[8];
    uint16_t two;
    uint32_t four;
    if (op->kind == OP_EXCHANGE) {
        if (op_expected(m, op) != old)
            return;
        value = ~op->expected;
    }
    bytes[0] = (unsigned char)value;
    two = (uint16_t)value;
    four = (uint32_t)value;
    if (op->size == 2)
        memcpy(bytes, &two, 2);
    if (op->size == 4)
        memcpy(bytes, &four, 4);
    if (op->size == 8)
        memcpy(bytes, &value, 8);
    apply_bytes(m, op->pool, op->at, op->at + op->size, 0, bytes);
}

static inline void apply_release(ModelView *v)
{
    if (v->pin != NULL)
        v->pin->users--;
    v->pin = NULL;
    v->held = 0;
}

/* What a call that failed leaves behind. early: it may have failed before it looked at
 * pinned blocks. */
static inline void op_failed(Model *m, const Op *op, PoolStatus status)
{
    int early = status == POOL_NO_MEMORY;
    size_t first, last;
    if (status != POOL_NO_MEMORY && status != POOL_LIMIT)
        return;
    if (op->kind == OP_CLONE || op->kind == OP_DIFFER || op->kind == OP_FIND) {
        apply_failed_freeze(m, op->pool, 0, m->blocks - 1, !early);
        if (op->kind == OP_DIFFER && !op_is_unrelated(op))
            apply_failed_freeze(m, op->other, 0, m->blocks - 1, !early);
    } else if (op->kind == OP_RESTORE)
        apply_failed_freeze(m, op->other, 0, m->blocks - 1, 1);
    else if (op->kind == OP_VIEW) {
        const ModelPin *p;
        first = model_block_at(m, op->at);
        p = model_pin(m, op->pool, first);
        if (p != NULL)
            apply_failed_freeze(m, op->pool, first, op_pin_last(m, op, p), 1);
    } else if (op_copy_shares(m, op, &first, &last))
        apply_failed_freeze(m, op->other, first, last, !early);
}

/* Two pools have equal digests if they are the same, if there is memory to ask. */
static inline void check_digests(const Model *m, const Op *op)
{
    unsigned char a[32], b[32];
    if (pool_digest(m->pools[op->pool].pool, a) == POOL_OK &&
        pool_digest(m->pools[op->other].pool, b) == POOL_OK)
        CHECK_EQ_INT(memcmp(a, b, sizeof a) == 0, op_same(m, op));
}

static inline void op_apply(Model *m, const Op *op)
{
    ModelPool *p = &m->pools[op->pool], *other = &m->pools[op->other];
    size_t at = op->at, end = op_end(m, op), done = 0;
    switch (op->kind) {
    case OP_WRITE: apply_bytes(m, op->pool, at, end, 0, op->data); break;
    case OP_FILL:
        if ((op->byte & 255) != 0)
            apply_bytes(m, op->pool, at, end, op->byte, NULL);
        else
            apply_discard(m, op->pool, at, end);
        break;
    case OP_READ: CHECK_MEM(op->data, p->bytes + at, end - at); break;
    case OP_TAKE:
        CHECK_MEM(op->data, p->bytes + at, end - at);
        apply_discard(m, op->pool, at, end);
        break;
    case OP_DISCARD: apply_discard(m, op->pool, at, end); break;
    case OP_COPY: apply_copy_family(m, op); break;
    case OP_IMPORT: apply_import(m, op); break;
    case OP_EXPORT: memcpy(m->unrelated_bytes + op->from, p->bytes + at, op->size); break;
    case OP_ADOPT: apply_adopt(m, op); break;
    case OP_VIEW: apply_view(m, op); break;
    case OP_PIN: apply_pin(m, op); break;
    case OP_SCATTER:
        for (size_t i = 0; i < op->count; done += op->sizes[i++])
            apply_bytes(m, op->pool, op->items[i], op->items[i] + op->sizes[i], 0,
                        op->data + done);
        break;
    case OP_GATHER:
        for (size_t i = 0; i < op->count; done += op->sizes[i++])
            CHECK_MEM(op->data + done, p->bytes + op->items[i], op->sizes[i]);
        break;
    case OP_ADD:
    case OP_EXCHANGE: apply_integer(m, op); break;
    case OP_CLONE:
        other->total = p->total;
        memcpy(other->bytes, p->bytes, sizeof p->bytes);
        apply_freeze(m, op->pool, 0, m->blocks - 1);
        for (size_t b = 0; b < m->blocks; b++)
            other->ids[b] = model_shared_id(m, op->pool, b);
        break;
    case OP_RESTORE: apply_restore(m, op->pool, op->other); break;
    case OP_DESTROY:
        apply_cut_pins(m, op->pool, 0);
        p->pool = NULL;
        memset(p->ids, 0, sizeof p->ids); /* for the next pool in this slot */
        break;
    case OP_RESIZE: apply_resize(m, op->pool, op->size); break;
    case OP_POKE: break; /* op_call did it */
    case OP_DIFFER:
    case OP_FIND:
        if (op_look_clones(m, op)) {
            apply_freeze(m, op->pool, 0, m->blocks - 1);
            if (op->kind == OP_DIFFER && !op_is_unrelated(op))
                apply_freeze(m, op->other, 0, m->blocks - 1);
            if (op->kind == OP_DIFFER && op_calls_same(op))
                check_digests(m, op);
        }
        break;
    case OP_RELEASE: apply_release(&m->views[op->place]); break;
    case OP_KINDS: break;
    }
    size_t held = model_count(m).own;
    if (m->peak < held)
        m->peak = held;
}

#endif /* MODEL_EFFECTS_H */
