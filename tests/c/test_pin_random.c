/* SPDX-License-Identifier: MIT */
/*
 * test_pin_random.c - random calls on pools with pins of many blocks, against flat arrays
 *
 * Pins are large enough to be watched by the system, in blocks both smaller and larger than
 * its pages. Beside each pool stand its bytes and a TAG for each block: equal tags say that
 * nobody wrote to the block in either pool since they shared it, so that no change may be
 * reported there. (model.h has all other rules, with few and small blocks.)
 */
#include "pools.h"

enum { TOTAL = 320 << 10, POOLS = 4, HANDLES = 7, BLOCKS_MOST = TOTAL / 16, STEPS = 250 };

/* Blocks that are pinned together; what was cut off its pool is only here. */
typedef struct Pinned {
    size_t users; /* 0: this place is free                   */
    size_t pool;  /* POOLS: none of it is in a pool any more */
    size_t first, count, attached;
    unsigned char bytes[TOTAL]; /* of what is cut off, at its old place */
} Pinned;

typedef struct Handle {
    PoolView view; /* data NULL: this place is free */
    size_t at;
    Pinned *pin; /* NULL: a view, which shows what is in bytes */
    unsigned char *bytes;
} Handle;

typedef struct Copy {
    MemoryPool *pool; /* NULL: this place is free */
    size_t total;
    unsigned char bytes[TOTAL];
    unsigned tags[BLOCKS_MOST];
    Pinned *pins[BLOCKS_MOST];
} Copy;

static Copy copies[POOLS];
static Handle handles[HANDLES];
static Pinned pinned[HANDLES];
static size_t block_size;
static unsigned last_tag;
static unsigned char data[TOTAL];

/* ------------------------------------------------------------------ the model */

static size_t blocks_of(size_t total)
{
    return (total - 1) / block_size + 1;
}

static void touch(Copy *c, size_t at, size_t size)
{
    for (size_t b = at / block_size; size > 0 && b <= (at + size - 1) / block_size; b++)
        c->tags[b] = ++last_tag;
}

/* Parts the pins of a pool from its blocks at and after one. */
static void cut(Copy *c, size_t end)
{
    for (size_t i = 0; i < HANDLES; i++) {
        Pinned *p = &pinned[i];
        if (p->users == 0 || p->pool != (size_t)(c - copies) ||
            p->first + p->attached <= end)
            continue;
        size_t stays = end > p->first ? end - p->first : 0;
        size_t from = (p->first + stays) * block_size;
        size_t till = (p->first + p->attached) * block_size;
        memcpy(p->bytes + from, c->bytes + from, (till < TOTAL ? till : TOTAL) - from);
        p->attached = stays;
        p->pool = stays == 0 ? POOLS : p->pool;
    }
    for (size_t b = end; b < BLOCKS_MOST; b++) {
        c->pins[b] = NULL;
        c->tags[b] = ++last_tag;
    }
    if (end * block_size < TOTAL)
        memset(c->bytes + end * block_size, 0, TOTAL - end * block_size);
}

static unsigned char *byte_of(Handle *h, size_t i)
{
    Pinned *p = h->pin;
    size_t at = h->at + i;
    if (p == NULL)
        return h->bytes + i;
    return at / block_size < p->first + p->attached ? copies[p->pool].bytes + at
                                                    : p->bytes + at;
}

static void release(Handle *h)
{
    Pinned *p = h->pin;
    pool_view_release(&h->view);
    free(h->bytes);
    h->bytes = NULL;
    if (p == NULL || --p->users > 0)
        return;
    for (size_t b = p->first; p->pool < POOLS && b < p->first + p->attached; b++) {
        copies[p->pool].pins[b] = NULL;
        copies[p->pool].tags[b] = ++last_tag; /* it is no longer its frozen copy */
    }
}

/* ------------------------------------------------------------------ the checks */

static void check_contents(Copy *c)
{
    size_t count = 0;
    for (size_t b = 0; b < BLOCKS_MOST; b++)
        count += c->pins[b] != NULL;
    CHECK_EQ_SIZE(pool_read(c->pool, data, 0, c->total), c->total);
    CHECK_MEM(data, c->bytes, c->total);
    CHECK_EQ_SIZE(stats_of(c->pool).pinned_blocks, count);
    CHECK_EQ_SIZE(stats_of(c->pool).total_size, c->total);
}

/* The blocks [from, to) are in no run: nothing differs there. */
static void check_same(const Copy *a, const Copy *b, size_t from, size_t to)
{
    CHECK_MEM(a->bytes + from, b->bytes + from, to - from);
}

static void check_changes(Copy *a, Copy *b)
{
    size_t total = a->total > b->total ? a->total : b->total, at = 0, start, size;
    while (pool_next_change(a->pool, b->pool, at, SIZE_MAX, &start, &size) == 1) {
        CHECK(start >= at && size > 0 && start + size <= total);
        check_same(a, b, at, start);
        for (size_t k = start / block_size; k <= (start + size - 1) / block_size; k++)
            CHECK(a->tags[k] != b->tags[k]);
        at = start + size;
    }
    CHECK_STATUS(POOL_OK);
    check_same(a, b, at, total);
}

static void check_handle(Handle *h)
{
    for (size_t i = 0; i < h->view.size;) {
        size_t size = h->view.size - i;
        if (h->pin != NULL && h->pin->pool < POOLS) {
            size_t end = (h->pin->first + h->pin->attached) * block_size;
            if (h->at + i < end && size > end - h->at - i)
                size = end - h->at - i;
        }
        CHECK_MEM((unsigned char *)h->view.data + i, byte_of(h, i), size);
        i += size;
    }
}

static void check_all(void)
{
    for (size_t i = 0; i < POOLS; i++) {
        for (size_t j = 0; copies[i].pool != NULL && j < POOLS; j++) {
            if (copies[j].pool != NULL)
                check_changes(&copies[i], &copies[j]);
        }
        if (copies[i].pool != NULL)
            check_contents(&copies[i]);
    }
    for (size_t i = 0; i < HANDLES; i++) {
        if (handles[i].view.data != NULL)
            check_handle(&handles[i]);
    }
}

/* ------------------------------------------------------------------- the steps */

typedef struct Step {
    Copy *c, *other;
    Handle *h;
    size_t at, size;
    int byte;
} Step;

/* Whether a call succeeded; if not, the model stays as it is. */
static int succeeded(void)
{
    PoolStatus status = pool_last_status();
    size_t left = pool_fail_allocation(0);
    CHECK(status == POOL_OK || status == POOL_LIMIT ||
          (status == POOL_NO_MEMORY && left == 0));
    return status == POOL_OK;
}

/* Where a pin of the range ends: with the one that it begins in, or before the next one. */
static size_t pin_end(const Step *s, Pinned *p)
{
    size_t end = s->at + s->size;
    for (size_t b = s->at / block_size; b * block_size < end; b++) {
        if (s->c->pins[b] != p)
            return b * block_size;
    }
    return end;
}

static void step_pin(Step *s)
{
    Pinned *p = s->c->pins[s->at / block_size];
    size_t end = pin_end(s, p);
    if (pool_pin(s->c->pool, s->at, s->size, &s->h->view), !succeeded())
        return;
    CHECK_EQ_SIZE(s->h->view.size, end - s->at);
    if (p == NULL) {
        p = pinned;
        while (p->users > 0)
            p++;
        p->pool = (size_t)(s->c - copies);
        p->first = s->at / block_size;
        p->count = p->attached = (end - 1) / block_size - p->first + 1;
        for (size_t b = p->first; b < p->first + p->count; b++)
            s->c->pins[b] = p;
    }
    p->users++;
    s->h->pin = p;
    s->h->at = s->at;
}

static void step_view(Step *s)
{
    if (pool_view(s->c->pool, s->at, s->size, &s->h->view), !succeeded())
        return;
    CHECK(s->h->view.size >= 1 && s->h->view.size <= s->size);
    s->h->pin = NULL;
    s->h->bytes = test_alloc(s->h->view.size);
    memcpy(s->h->bytes, s->c->bytes + s->at, s->h->view.size);
}

/* A few bytes here and there, or all. */
static void step_poke(Step *s, TestRandom *random)
{
    Handle *h = s->h;
    size_t times = test_below(random, 4) == 0 ? h->view.size : test_below(random, 9);
    for (size_t i = 0; i < times; i++) {
        size_t k = times == h->view.size ? i : test_below(random, h->view.size);
        unsigned char byte = (unsigned char)test_below(random, 3);
        Pinned *p = h->pin;
        if (p->pool < POOLS && (h->at + k) / block_size < p->first + p->attached) {
            if (h->at + k >= copies[p->pool].total)
                continue; /* the rest of the last block */
            copies[p->pool].tags[(h->at + k) / block_size] = ++last_tag;
        }
        *byte_of(h, k) = ((unsigned char *)h->view.data)[k] = byte;
    }
}

static void step_clone(Step *s)
{
    MemoryPool *pool = pool_clone(s->c->pool);
    int made = succeeded();
    CHECK((pool != NULL) == made);
    if (!made)
        return;
    memcpy(s->other, s->c, sizeof *s->other);
    s->other->pool = pool;
    memset(s->other->pins, 0, sizeof s->other->pins);
}

static void step_restore(Step *s)
{
    Copy *c = s->c, *other = s->other;
    if (pool_restore(c->pool, other->pool), !succeeded() || c == other)
        return;
    cut(c, blocks_of(other->total));
    memcpy(c->bytes, other->bytes, TOTAL);
    memcpy(c->tags, other->tags, sizeof c->tags);
    c->total = other->total;
}

static void step_resize(Step *s)
{
    Copy *c = s->c;
    size_t total = s->byte % 2 == 0 ? TOTAL : s->at + 1;
    if (pool_resize(c->pool, total), !succeeded())
        return;
    cut(c, blocks_of(total));
    if (total < c->total)
        touch(c, total - 1, 1);
    if (total < TOTAL)
        memset(c->bytes + total, 0, TOTAL - total);
    c->total = total;
}

static void step_copy(Step *s, TestRandom *random)
{
    size_t from = test_below(random, s->other->total - s->size + 1);
    if (test_below(random, 2) == 0 && from >= block_size)
        from = from / block_size * block_size - block_size + s->at % block_size;
    if (pool_copy(s->c->pool, s->at, s->other->pool, from, s->size), !succeeded())
        return;
    if (s->c == s->other && s->at == from)
        return;
    memmove(s->c->bytes + s->at, s->other->bytes + from, s->size);
    touch(s->c, s->at, s->size);
}

static void step_bytes(Step *s, TestRandom *random, int kind)
{
    Copy *c = s->c;
    static unsigned char taken[TOTAL];
    test_random_bytes(random, data, s->size < 64 ? s->size : 64);
    switch (kind) {
    case 0: (void)pool_write(c->pool, s->at, data, s->size); break;
    case 1: (void)pool_fill(c->pool, s->at, s->byte, s->size); break;
    case 2: (void)pool_discard(c->pool, s->at, s->size); break;
    default: (void)pool_take(c->pool, taken, s->at, s->size); break;
    }
    if (!succeeded())
        return;
    if (kind == 0)
        memcpy(c->bytes + s->at, data, s->size);
    else if (kind == 3)
        CHECK_MEM(taken, c->bytes + s->at, s->size);
    if (kind > 0)
        memset(c->bytes + s->at, kind == 1 ? s->byte : 0, s->size);
    touch(c, s->at, s->size);
}

static unsigned released;

static void count_release(void *memory, size_t size, void *context)
{
    (void)size, (void)context;
    free(memory);
    released++;
}

static unsigned adopted;

static void step_adopt(Step *s)
{
    unsigned char *memory = test_alloc(s->size);
    memset(memory, s->byte, s->size);
    (void)pool_adopt(s->c->pool, s->at, memory, s->size, count_release, NULL);
    if (!succeeded()) {
        free(memory);
        return;
    }
    adopted++;
    memset(s->c->bytes + s->at, s->byte, s->size);
    touch(s->c, s->at, s->size);
}

static Copy *some_copy(TestRandom *random, int live)
{
    size_t i = test_below(random, POOLS);
    for (size_t k = 0; k < POOLS; k++, i = (i + 1) % POOLS) {
        if ((copies[i].pool != NULL) == live)
            return &copies[i];
    }
    return NULL;
}

/* kind: 0: a free place, 1: any, 2: a pin */
static Handle *some_handle(TestRandom *random, int kind)
{
    size_t i = test_below(random, HANDLES);
    for (size_t k = 0; k < HANDLES; k++, i = (i + 1) % HANDLES) {
        Handle *h = &handles[i];
        if (kind == 0 ? h->view.data == NULL
                      : h->view.data != NULL && (kind == 1 || h->pin != NULL))
            return h;
    }
    return NULL;
}

static void step_on_pins(Step *s, TestRandom *random)
{
    s->h = some_handle(random, 0);
    switch (test_below(random, 4)) {
    case 0:
    case 1:
        if (s->h != NULL)
            step_pin(s);
        break;
    case 2:
        if (s->h != NULL)
            step_view(s);
        break;
    default:
        s->h = some_handle(random, 1);
        (void)pool_fail_allocation(0);
        if (s->h != NULL)
            release(s->h);
        break;
    }
}

static void step_on_pools(Step *s, TestRandom *random)
{
    Copy *room = some_copy(random, 0);
    switch (test_below(random, 5)) {
    case 0:
    case 1:
        if (room != NULL) {
            s->other = room;
            step_clone(s);
        }
        break;
    case 2:
    case 3: step_restore(s); break;
    default:
        (void)pool_fail_allocation(0);
        if (s->c != s->other) {
            pool_destroy(s->c->pool);
            s->c->pool = NULL;
            cut(s->c, 0);
        }
        break;
    }
}

static void step(TestRandom *random)
{
    Step s = {.c = some_copy(random, 1), .other = some_copy(random, 1)};
    size_t least = s.c->total < s.other->total ? s.c->total : s.other->total;
    s.at = test_below(random, least);
    s.size = 1 + test_below(random, least - s.at);
    s.byte = (int)test_below(random, 3);
    if (test_below(random, 10) == 0)
        (void)pool_fail_allocation(1 + test_below(random, 8));
    switch (test_below(random, 12)) {
    case 0:
    case 1:
    case 2: step_on_pins(&s, random); break;
    case 3:
    case 4:
    case 5:
        s.h = some_handle(random, 2);
        if (s.h != NULL)
            step_poke(&s, random);
        break;
    case 6:
    case 7:
    case 8: step_on_pools(&s, random); break;
    case 9: step_copy(&s, random); break;
    case 10:
        if (test_below(random, 4) == 0)
            step_adopt(&s);
        else if (test_below(random, 3) == 0)
            step_resize(&s);
        break;
    default: step_bytes(&s, random, (int)test_below(random, 4)); break;
    }
    (void)pool_fail_allocation(0);
}

static void run(uint64_t seed, size_t size, size_t limit)
{
    TestRandom random = {seed};
    PoolOptions options = {.struct_size = sizeof options,
                           .total_size = TOTAL,
                           .max_block_size = size,
                           .memory_limit = limit,
                           .flags = seed % 2 == 0 ? POOL_WIPE : 0};
    memset(copies, 0, sizeof copies);
    memset(pinned, 0, sizeof pinned);
    memset(handles, 0, sizeof handles);
    for (size_t i = 0; i < HANDLES; i++)
        handles[i].view.struct_size = sizeof handles[i].view;
    block_size = size;
    last_tag = adopted = released = 0;
    copies[0].pool = pool_create_with(&options);
    copies[0].total = TOTAL;
    for (unsigned i = 0; i < STEPS; i++) {
        step(&random);
        check_all();
    }
    for (size_t i = 0; i < HANDLES && seed % 3 != 0; i++) {
        if (handles[i].view.data != NULL)
            release(&handles[i]);
    }
    for (size_t i = 0; i < POOLS; i++)
        pool_destroy(copies[i].pool);
    for (size_t i = 0; i < HANDLES; i++) {
        if (handles[i].view.data != NULL) { /* they outlive their pools */
            pool_view_release(&handles[i].view);
            free(handles[i].bytes);
        }
    }
    CHECK_EQ_SIZE(released, adopted);
}

static void run_seeds(size_t size, size_t limit)
{
    for (unsigned i = 0; i < test_times(8); i++)
        run(test_seed * 1000003 + i * 7919 + size, size, i % 2 == 0 ? 0 : limit);
}

TEST(blocks_of_16_bytes)
{
    run_seeds(16, TOTAL);
}
TEST(blocks_of_1_KiB)
{
    run_seeds(1024, TOTAL * 2);
}
TEST(blocks_of_4_KiB)
{
    run_seeds(4096, TOTAL * 3 / 2);
}
TEST(blocks_of_16_KiB)
{
    run_seeds(16384, TOTAL * 2);
}
TEST(blocks_of_64_KiB)
{
    run_seeds(65536, TOTAL * 2);
}

static const TestCase cases[] = {
    TEST_CASE(blocks_of_16_bytes), TEST_CASE(blocks_of_1_KiB),
    TEST_CASE(blocks_of_4_KiB),    TEST_CASE(blocks_of_16_KiB),
    TEST_CASE(blocks_of_64_KiB),
};
TEST_MAIN(cases)
