/* SPDX-License-Identifier: MIT */
/*
 * model.h - a reference model of a family of pools: flat arrays
 *
 * The model has a small window of each pool, [base, base + size), which may lie anywhere
 * in a huge one. For every pool it has the bytes of the window and an identity of every
 * block in it: 0 is a hole, equal numbers are one shared block, and a block that is
 * written to gets a new number. From this it computes all results of the public
 * functions: contents, extents, changes, statistics, and whether a call must exceed the
 * memory limit. It also has views, pins and loans (adopted memory): for a view the bytes
 * that it must show, for a pin the place that it shows, for a loan the numbers of its
 * blocks, and so when it must be released.
 *
 * model_ops.h makes calls on the library, model_effects.h on the model; model_check
 * compares the two.
 */
#ifndef MODEL_H
#define MODEL_H

#include "test.h"

enum {
    MODEL_POOLS = 5,
    MODEL_VIEWS = 6,
    MODEL_LOANS = 4,
    MODEL_WINDOW = 2048,
    MODEL_IDS = 1 << 20
};

typedef struct ModelPool {
    MemoryPool *pool; /* NULL: this place is free */
    size_t total;
    unsigned char bytes[MODEL_WINDOW];
    unsigned ids[MODEL_WINDOW + 1]; /* a window that is not aligned touches one more */
} ModelPool;

/* Blocks that are pinned together. Those that were cut off their pool are only here; of the
 * others it has the frozen copies, in which clones share what is pinned. */
typedef struct ModelPin {
    size_t users;                  /* 0: this place is free                        */
    size_t pool;                   /* MODEL_POOLS: none of it is in a pool any more */
    size_t first, count, attached; /* the first so many are in the pool            */
    unsigned ids[MODEL_WINDOW + 1], frozen[MODEL_WINDOW + 1];
    unsigned char dirty[MODEL_WINDOW + 1]; /* counts as written; 2: perhaps */
    unsigned char bytes[MODEL_WINDOW], frozen_bytes[MODEL_WINDOW];
} ModelPin;

typedef struct ModelView {
    PoolView view; /* data is NULL: this place is free       */
    ModelPin *pin; /* NULL: a view                           */
    size_t at;
    size_t held; /* blocks that a view holds               */
    unsigned ids[MODEL_WINDOW + 1];
    unsigned char bytes[MODEL_WINDOW];
} ModelView;

typedef struct ModelLoan {
    unsigned char *data; /* NULL: this place is free */
    size_t size;
    unsigned first, last; /* the identities of its blocks; first > last: none */
    unsigned released;
    unsigned char bytes[MODEL_WINDOW]; /* what it must stay */
} ModelLoan;

typedef struct Model {
    size_t block_size, limit, base, size;
    size_t first_block, blocks; /* those that the window touches */
    size_t peak;                /* in blocks */
    unsigned last_id;
    ModelPool pools[MODEL_POOLS];
    ModelView views[MODEL_VIEWS];
    ModelPin pins[MODEL_VIEWS];
    ModelLoan loans[MODEL_LOANS];
    MemoryPool *unrelated; /* a pool of another family, with blocks of another size */
    unsigned char unrelated_bytes[MODEL_WINDOW];
} Model;

/* Every second family has POOL_WIPE, by the size of its window; that must not change any
 * result. */
static inline void model_create(Model *m, size_t total, size_t max_block_size,
                                size_t limit, size_t base, size_t size)
{
    PoolOptions options = {.struct_size = sizeof options,
                           .total_size = total,
                           .max_block_size = max_block_size,
                           .memory_limit = limit,
                           .flags = size % 2 == 0 ? 0 : POOL_WIPE};
    PoolStats stats = {.struct_size = sizeof stats};
    memset(m, 0, sizeof *m);
    m->pools[0].pool = pool_create_with(&options);
    CHECK_STATUS(POOL_OK);
    m->pools[0].total = total;
    pool_stats(m->pools[0].pool, &stats);
    m->block_size = stats.block_size;
    m->limit = limit;
    m->base = base;
    m->size = size;
    m->first_block = base / m->block_size;
    m->blocks = (base + (size - 1)) / m->block_size - m->first_block + 1;
    m->unrelated = pool_create(MODEL_WINDOW, max_block_size == 16 ? 64 : 16);
    CHECK(m->unrelated != NULL);
    for (size_t i = 0; i < MODEL_VIEWS; i++)
        m->views[i].view.struct_size = sizeof(PoolView);
    CHECK_LE_SIZE(size, MODEL_WINDOW);
}

/* -------------------------------------------------------- places in the window */

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

/* The part of the window that lies in a pool. */
static inline size_t model_visible(const Model *m, size_t pool)
{
    size_t most = m->pools[pool].total - m->base;
    return most < m->size ? most : m->size;
}

/* Whether [at, end) covers a block wholly, with what it has outside of the window. */
static inline int model_is_whole(const Model *m, size_t block, size_t at, size_t end)
{
    size_t start = (m->first_block + block) * m->block_size;
    return start >= m->base + at && start + (m->block_size - 1) <= m->base + (end - 1);
}

static inline int all_zero(const unsigned char *bytes, size_t size)
{
    while (size > 0 && bytes[size - 1] == 0)
        size--;
    return size == 0;
}

static inline int model_is_zero(const Model *m, size_t pool, size_t block)
{
    size_t start = model_block_start(m, block);
    return all_zero(m->pools[pool].bytes + start, model_block_end(m, block) - start);
}

/* ----------------------------------------------------------- references to blocks */

static inline unsigned model_new_id(Model *m)
{
    CHECK_LE_SIZE(m->last_id + 1, MODEL_IDS - 1);
    return ++m->last_id;
}

static inline int model_is_adopted(const Model *m, unsigned id)
{
    for (size_t i = 0; i < MODEL_LOANS; i++) {
        const ModelLoan *loan = &m->loans[i];
        if (loan->data != NULL && id >= loan->first && id <= loan->last)
            return 1;
    }
    return 0;
}

/* By identity: the slots and views that have it (and pins that are no windows any more);
 * of what model_count saw last. */
static unsigned model_holders[MODEL_IDS];

/* Blocks of the family: its own, and the adopted ones. */
typedef struct ModelCount {
    size_t own, adopted;
} ModelCount;

static inline void model_count_one(const Model *m, unsigned id, ModelCount *count)
{
    if (id != 0 && model_holders[id]++ == 0) {
        if (model_is_adopted(m, id))
            count->adopted++;
        else
            count->own++;
    }
}

static inline ModelCount model_count(const Model *m)
{
    ModelCount count = {0, 0};
    memset(model_holders, 0, (m->last_id + 1) * sizeof model_holders[0]);
    for (size_t i = 0; i < MODEL_POOLS; i++) {
        for (size_t b = 0; m->pools[i].pool != NULL && b < m->blocks; b++)
            model_count_one(m, m->pools[i].ids[b], &count);
    }
    for (size_t i = 0; i < MODEL_VIEWS; i++) {
        const ModelView *v = &m->views[i];
        const ModelPin *p = &m->pins[i];
        for (size_t k = 0; v->view.data != NULL && k < v->held; k++)
            model_count_one(m, v->ids[k], &count);
        for (size_t b = p->first; p->users > 0 && b < p->first + p->count; b++) {
            model_count_one(m, p->frozen[b], &count);
            if (b >= p->first + p->attached)
                model_count_one(m, p->ids[b], &count);
        }
    }
    return count;
}

static inline int model_is_shared(const Model *m, size_t pool, size_t block)
{
    unsigned id = m->pools[pool].ids[block];
    return id != 0 && model_holders[id] > 1;
}

/* The pin of a block of a pool, or NULL. */
static inline ModelPin *model_pin(const Model *m, size_t pool, size_t block)
{
    for (size_t i = 0; i < MODEL_VIEWS; i++) {
        const ModelPin *p = &m->pins[i];
        if (p->users > 0 && p->pool == pool && block >= p->first &&
            block < p->first + p->attached)
            return (ModelPin *)p;
    }
    return NULL;
}

static inline int model_is_pinned(const Model *m, size_t pool, size_t block)
{
    return model_pin(m, pool, block) != NULL;
}

/* Whether a pinned block was written to since its frozen copy was made: 0, 1, 2: perhaps. */
static inline int model_is_dirty(const Model *m, const ModelPin *p, size_t block)
{
    size_t start = model_block_start(m, block), end = model_block_end(m, block);
    if (memcmp(m->pools[p->pool].bytes + start, p->frozen_bytes + start, end - start) !=
        0)
        return 1;
    return p->dirty[block];
}

/* Blocks that it takes to freeze those that are pinned together with the first one, up to
 * last; *exactly becomes 0 if that is a bound. */
static inline size_t model_pin_needs(const Model *m, const ModelPin *p, size_t first,
                                     size_t last, int *exactly)
{
    size_t count = 0;
    for (size_t b = first; b <= last && b < p->first + p->attached; b++) {
        int dirty = model_is_dirty(m, p, b);
        count += dirty && (p->frozen[b] == 0 || model_holders[p->frozen[b]] > 1 ||
                           model_is_adopted(m, p->frozen[b]));
        *exactly &= dirty != 2;
    }
    return count;
}

/* The same for all pins of a pool in some blocks. */
static inline size_t model_pins_needs(const Model *m, size_t pool, size_t first,
                                      size_t last, int *exactly)
{
    size_t count = 0;
    for (size_t b = first; b <= last; b++) {
        const ModelPin *p = model_pin(m, pool, b);
        count += p == NULL ? 0 : model_pin_needs(m, p, b, b, exactly);
    }
    return count;
}

static inline size_t model_pinned(const Model *m, size_t pool)
{
    size_t pinned = 0;
    for (size_t b = 0; b < m->blocks; b++)
        pinned += (size_t)model_is_pinned(m, pool, b);
    return pinned;
}

/* Whether changing a block takes a new one; if there is none, writing does as well. */
static inline int model_must_copy(const Model *m, size_t pool, size_t block)
{
    return model_is_shared(m, pool, block) ||
           (m->pools[pool].ids[block] != 0 &&
            model_is_adopted(m, m->pools[pool].ids[block]));
}

static inline int model_takes(const Model *m, size_t pool, size_t block)
{
    return m->pools[pool].ids[block] == 0 || model_must_copy(m, pool, block);
}

/* What pool_next_state says of a block that is there. */
static inline size_t model_state(const Model *m, size_t pool, size_t block)
{
    size_t state = 0;
    if (model_is_shared(m, pool, block))
        state |= POOL_BLOCK_SHARED;
    if (model_is_pinned(m, pool, block))
        state |= POOL_BLOCK_PINNED;
    if (model_is_adopted(m, m->pools[pool].ids[block]))
        state |= POOL_BLOCK_ADOPTED;
    return state;
}

/* New blocks that a write to [at, end) needs. */
static inline size_t model_needs(const Model *m, size_t pool, size_t at, size_t end)
{
    size_t count = 0;
    for (size_t b = model_block_at(m, at); at < end && b <= model_block_at(m, end - 1);
         b++)
        count += (size_t)model_takes(m, pool, b);
    return count;
}

/* Blocks of which a discard of [at, end) leaves something and that it must copy. */
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
        count += left && model_must_copy(m, pool, b);
    }
    return count;
}

/* ------------------------------------------------------------------- the checks */

static inline void model_check_stats(const Model *m, size_t pool, ModelCount count)
{
    PoolStats stats = {.struct_size = sizeof stats};
    size_t held = 0, shared = 0, pools = 0, views = 0;
    for (size_t b = 0; b < m->blocks; b++) {
        held += m->pools[pool].ids[b] != 0;
        shared += (size_t)model_is_shared(m, pool, b);
    }
    for (size_t i = 0; i < MODEL_POOLS; i++)
        pools += m->pools[i].pool != NULL;
    for (size_t i = 0; i < MODEL_VIEWS; i++)
        views += m->views[i].view.data != NULL;

    pool_stats(m->pools[pool].pool, &stats);
    CHECK_STATUS(POOL_OK);
    CHECK_EQ_SIZE(stats.total_size, m->pools[pool].total);
    CHECK_EQ_SIZE(stats.block_size, m->block_size);
    CHECK_EQ_SIZE(stats.memory_limit, m->limit);
    CHECK_EQ_SIZE(stats.held_blocks, held);
    CHECK_EQ_SIZE(stats.held_bytes, held * m->block_size);
    CHECK_EQ_SIZE(stats.shared_blocks, shared);
    CHECK_EQ_SIZE(stats.pinned_blocks, model_pinned(m, pool));
    CHECK_EQ_SIZE(stats.family_pools, pools);
    CHECK_EQ_SIZE(stats.family_views, views);
    CHECK_EQ_SIZE(stats.family_bytes, count.own * m->block_size);
    CHECK_EQ_SIZE(stats.adopted_blocks, count.adopted);
    CHECK_LE_SIZE(m->peak * m->block_size, stats.family_peak_bytes);
    if (m->limit != 0)
        CHECK_LE_SIZE(stats.family_peak_bytes, m->limit);
}

/* A walk of a pool: its extents (base: MODEL_POOLS), its changes against base, or, with
 * by_state, its runs of one state. */
typedef struct ModelWalk {
    size_t pool, base;
    int by_state;
} ModelWalk;

typedef struct ModelRun {
    size_t start, size, state;
} ModelRun;

static inline size_t model_walk_total(const Model *m, ModelWalk w)
{
    size_t total = m->pools[w.pool].total;
    size_t other = w.base < MODEL_POOLS ? m->pools[w.base].total : 0;
    return total > other ? total : other;
}

/* Whether a block is in a run; 2: perhaps. */
static inline int model_walk_meets(const Model *m, ModelWalk w, size_t block)
{
    unsigned ids[2] = {m->pools[w.pool].ids[block], 0};
    int dirty[2] = {0, 0};
    for (size_t i = 0; w.base < MODEL_POOLS && w.base != w.pool && i < 2; i++) {
        size_t pool = i == 0 ? w.pool : w.base;
        const ModelPin *p = model_pin(m, pool, block);
        ids[i] = m->pools[pool].ids[block];
        dirty[i] = p == NULL ? 0 : model_is_dirty(m, p, block);
        if (p != NULL)
            ids[i] = p->frozen[block];
    }
    if (w.base == w.pool || dirty[0] == 1 || dirty[1] == 1)
        return w.base != w.pool;
    return ids[0] != ids[1] ? 1 : dirty[0] | dirty[1];
}

/* Whether that is certain for all blocks. */
static inline int model_walk_is_certain(const Model *m, ModelWalk w)
{
    for (size_t b = 0; b < m->blocks; b++) {
        if (model_walk_meets(m, w, b) == 2)
            return 0;
    }
    return 1;
}

/* What is found has to be of blocks that may be, and what lies before it as well. */
static inline void model_check_found(const Model *m, ModelWalk w, size_t offset,
                                     size_t end, int found, const ModelRun *run)
{
    size_t total = model_walk_total(m, w);
    end = end < total ? end : total;
    for (size_t b = 0; b < m->blocks; b++) {
        size_t start = (m->first_block + b) * m->block_size;
        size_t last = start + (m->block_size - 1);
        int meets = model_walk_meets(m, w, b);
        if (found && start < run->start + run->size && last >= run->start)
            CHECK(meets != 0);
        else if (last >= offset && start < (found ? run->start : end))
            CHECK(meets != 1);
    }
}

/* The first run in [offset, end) that the identities give; 0 if there is none. */
static inline int model_find_run(const Model *m, ModelWalk w, size_t offset, size_t end,
                                 ModelRun *run)
{
    size_t total = model_walk_total(m, w), b = 0, first, stop;
    end = end < total ? end : total;
    if (offset >= end || (end - 1) / m->block_size < m->first_block)
        return 0;
    stop = (end - 1) / m->block_size - m->first_block + 1;
    stop = stop < m->blocks ? stop : m->blocks;
    if (offset / m->block_size > m->first_block)
        b = offset / m->block_size - m->first_block;
    while (b < stop && model_walk_meets(m, w, b) != 1)
        b++;
    if (b >= stop)
        return 0;
    first = b;
    run->state = w.by_state ? model_state(m, w.pool, first) : 0;
    while (b < stop && model_walk_meets(m, w, b) == 1 &&
           (!w.by_state || model_state(m, w.pool, b) == run->state))
        b++;
    run->start = (m->first_block + first) * m->block_size;
    run->start = run->start > offset ? run->start : offset;
    if ((end - 1) / m->block_size >= m->first_block + b)
        end = (m->first_block + b) * m->block_size;
    run->size = end - run->start;
    return 1;
}

/* Asks the library for the first run in [offset, end), and compares; returns where to go
 * on, 0 if there is none. */
static inline size_t model_check_run(const Model *m, ModelWalk w, size_t offset,
                                     size_t end)
{
    ModelRun run = {1, 2, 3}, expected = run;
    MemoryPool *pool = m->pools[w.pool].pool;
    int found, must = model_find_run(m, w, offset, end, &expected);
    if (w.by_state)
        found = pool_next_state(pool, offset, end, &run.start, &run.size, &run.state);
    else if (w.base < MODEL_POOLS)
        found = pool_next_change(pool, m->pools[w.base].pool, offset, end, &run.start,
                                 &run.size);
    else
        found = pool_next_extent(pool, offset, end, &run.start, &run.size);
    CHECK_STATUS(POOL_OK);
    if (!model_walk_is_certain(m, w)) {
        model_check_found(m, w, offset, end, found, &run);
        return found ? run.start + run.size : 0;
    }
    CHECK_EQ_INT(found, must);
    CHECK_EQ_SIZE(run.start, expected.start);
    CHECK_EQ_SIZE(run.size, expected.size);
    if (w.by_state)
        CHECK_EQ_SIZE(run.state, expected.state);
    return found ? run.start + run.size : 0;
}

/* A place for a walk to begin or end at: in the window, around the ends of the pools, or
 * as far out as can be said. */
static inline size_t model_walk_place(const Model *m, ModelWalk w, TestRandom *random)
{
    size_t some = test_below(random, 2 * m->block_size + 2);
    switch (test_below(random, 8)) {
    case 0: return 0;
    case 1: return SIZE_MAX - some;
    case 2: return m->pools[w.pool].total - some; /* may wrap: any number is allowed */
    case 3: return model_walk_total(m, w) + some;
    default: return m->base + test_below(random, m->size + 1);
    }
}

/* All runs, and those of some ranges. */
static inline void model_check_walk(const Model *m, size_t pool, size_t base,
                                    int by_state)
{
    ModelWalk w = {pool, base, by_state};
    TestRandom random = {m->last_id * 64 + pool * 8 + base};
    size_t offset = 0, end = SIZE_MAX;
    for (unsigned i = 0; i < 4; i++) {
        size_t at = offset;
        do {
            at = model_check_run(m, w, at, end);
        } while (at != 0);
        offset = model_walk_place(m, w, &random);
        end = model_walk_place(m, w, &random);
    }
}

static inline void model_check_pool(const Model *m, size_t pool, ModelCount count)
{
    static unsigned char back[MODEL_WINDOW];
    const ModelPool *p = &m->pools[pool];
    size_t visible = model_visible(m, pool);
    CHECK_EQ_SIZE(pool_read(p->pool, back, m->base, visible), visible);
    CHECK_STATUS(POOL_OK);
    CHECK_MEM(back, p->bytes, visible);
    CHECK_BYTES(p->bytes + visible, 0, m->size - visible); /* of the model itself */
    model_check_stats(m, pool, count);
    model_check_walk(m, pool, MODEL_POOLS, 0);
    model_check_walk(m, pool, MODEL_POOLS, 1);
}

/* Where the model has a byte that is seen through a pin, by its place in the window. */
static inline unsigned char *model_pin_byte(Model *m, ModelPin *p, size_t at)
{
    return model_block_at(m, at) < p->first + p->attached ? m->pools[p->pool].bytes + at
                                                          : p->bytes + at;
}

static inline void model_check_view(Model *m, ModelView *v)
{
    const unsigned char *seen = v->view.data;
    if (seen == NULL)
        return;
    for (size_t i = 0; v->pin != NULL && i < v->view.size; i++)
        CHECK_EQ_INT(seen[i], *model_pin_byte(m, v->pin, v->at + i));
    if (v->pin == NULL)
        CHECK_MEM(seen, v->bytes, v->view.size);
}

/* A loan does not change, and is released when no block of it is left. */
static inline void model_check_loan(ModelLoan *loan)
{
    unsigned held = 0;
    if (loan->data == NULL)
        return;
    for (unsigned id = loan->first; id <= loan->last; id++)
        held += model_holders[id];
    CHECK_EQ_INT((int)loan->released, held == 0);
    CHECK_MEM(loan->data, loan->bytes, loan->size);
    if (loan->released != 0) {
        free(loan->data); /* who still reads it is found out by AddressSanitizer */
        loan->data = NULL;
    }
}

static inline void model_check(Model *m)
{
    static unsigned char back[MODEL_WINDOW];
    ModelCount count = model_count(m);
    for (size_t i = 0; i < MODEL_POOLS; i++) {
        if (m->pools[i].pool == NULL)
            continue;
        model_check_pool(m, i, count);
        for (size_t j = 0; j < MODEL_POOLS; j++) {
            if (m->pools[j].pool != NULL)
                model_check_walk(m, i, j, 0);
        }
    }
    for (size_t i = 0; i < MODEL_VIEWS; i++)
        model_check_view(m, &m->views[i]);
    for (size_t i = 0; i < MODEL_LOANS; i++)
        model_check_loan(&m->loans[i]);
    CHECK_EQ_SIZE(pool_read(m->unrelated, back, 0, MODEL_WINDOW), MODEL_WINDOW);
    CHECK_MEM(back, m->unrelated_bytes, MODEL_WINDOW);
}

/* Destroys everything, the views last; every loan must then be released. */
static inline void model_destroy(Model *m)
{
    for (size_t i = 0; i < MODEL_POOLS; i++)
        pool_destroy(m->pools[i].pool);
    for (size_t i = 0; i < MODEL_VIEWS; i++)
        pool_view_release(&m->views[i].view);
    for (size_t i = 0; i < MODEL_LOANS; i++) {
        CHECK(m->loans[i].data == NULL || m->loans[i].released == 1);
        free(m->loans[i].data);
    }
    pool_destroy(m->unrelated);
}

#endif /* MODEL_H */
