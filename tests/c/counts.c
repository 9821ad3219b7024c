/* SPDX-License-Identifier: MIT */
/*
 * counts.c - one operation, again and again, for an instruction counter
 *
 *     counts OPERATION NUMBER    does it NUMBER times
 *     counts                     prints the names of the operations, a line each
 *
 * tests/python/project/test_counts.py runs it under callgrind with two numbers and takes
 * the difference; so what is done before the first operation does not count.
 */
#include "memory_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 4096, BLOCKS = 64, ITEMS = 1000 };

static MemoryPool *pool; /* BLOCKS blocks, all there and its own */
static unsigned char buffer[BLOCK];
static unsigned char items[ITEMS * 8];
static size_t offsets[ITEMS], sizes[ITEMS];

static void check(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "counts: %s failed: %s\n", what,
                pool_status_text(pool_last_status()));
        exit(1);
    }
}

static void set_up(void)
{
    size_t i;
    pool = pool_create((size_t)1 << 30, BLOCK);
    check(pool != NULL, "pool_create");
    for (i = 0; i < BLOCKS; i++) {
        check(pool_write(pool, i * BLOCK, buffer, BLOCK) == BLOCK, "pool_write");
    }
    for (i = 0; i < ITEMS; i++) {
        offsets[i] = i * 7919 % (BLOCKS * BLOCK / 8) * 8;
        sizes[i] = 8;
    }
}

/* Pins on so many blocks beyond those, for as long as the program runs. */
static void pin_elsewhere(size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) {
        PoolView pin = {0};
        pin.struct_size = sizeof pin;
        check(pool_pin(pool, (2 * BLOCKS + i) * BLOCK, 1, &pin) == POOL_OK, "pool_pin");
    }
}

static void pin_10(void)
{
    pin_elsewhere(10);
}

static void pin_10000(void)
{
    pin_elsewhere(10000);
}

/* ----------------------------------------------------------------- operations */

/* Places in turn, over all blocks. */
static size_t place(size_t round, size_t size)
{
    return round * BLOCK % (BLOCKS * BLOCK) + round % (BLOCK / size) * size;
}

static void read_8(size_t round)
{
    check(pool_read(pool, buffer, place(round, 8), 8) == 8, "pool_read");
}

static void write_8(size_t round)
{
    check(pool_write(pool, place(round, 8), buffer, 8) == 8, "pool_write");
}

static void read_4096(size_t round)
{
    check(pool_read(pool, buffer, place(round, BLOCK), BLOCK) == BLOCK, "pool_read");
}

static void clone(size_t round)
{
    MemoryPool *made = pool_clone(pool);
    (void)round;
    check(made != NULL, "pool_clone");
    pool_destroy(made);
}

static void clone_and_write(size_t round)
{
    MemoryPool *made = pool_clone(pool);
    check(made != NULL, "pool_clone");
    check(pool_write(made, place(round, 8), buffer, 8) == 8, "pool_write");
    pool_destroy(made);
}

/* The round is written, so that no block is as it was. */
static void write_and_digest(size_t round)
{
    unsigned char digest[32];
    check(pool_write(pool, place(round, 8), &round, 8) == 8, "pool_write");
    check(pool_digest(pool, digest) == POOL_OK, "pool_digest");
}

static void gather(size_t round)
{
    (void)round;
    check(pool_gather(pool, items, offsets, ITEMS, 8) == POOL_OK, "pool_gather");
}

static void scatter(size_t round)
{
    (void)round;
    check(pool_scatter(pool, offsets, items, ITEMS, 8) == POOL_OK, "pool_scatter");
}

/* Into holes, for which a block each has to be allocated. */
static void scatter_anew(size_t round)
{
    check(pool_scatter(pool, offsets, items, ITEMS, 8) == POOL_OK, "pool_scatter");
    check(pool_discard(pool, 0, BLOCKS * BLOCK) == POOL_OK, "pool_discard");
    (void)round;
}

static void read_many(size_t round)
{
    (void)round;
    check(pool_read_many(pool, items, offsets, sizes, ITEMS) == POOL_OK,
          "pool_read_many");
}

static void write_many(size_t round)
{
    (void)round;
    check(pool_write_many(pool, offsets, sizes, items, ITEMS) == POOL_OK,
          "pool_write_many");
}

/* Two blocks come and go in each way that a range can. */
static void two_blocks(size_t round)
{
    size_t end = (size_t)1 << 30;
    (void)round;
    check(pool_copy(pool, BLOCKS * BLOCK, pool, 0, 2 * BLOCK) == POOL_OK, "pool_copy");
    check(pool_discard(pool, BLOCKS * BLOCK, 2 * BLOCK) == POOL_OK, "pool_discard");
    check(pool_fill(pool, end - 2 * BLOCK, 1, 2 * BLOCK) == POOL_OK, "pool_fill");
    check(pool_resize(pool, end - 2 * BLOCK) == POOL_OK, "pool_resize");
    check(pool_resize(pool, end) == POOL_OK, "pool_resize");
}

/* ---------------------------------------------------------------------- walks */

/* A pool of blocks of 16 bytes, of which the first ones hold data, and a clone of it that
 * shares none of them. Made in the first round, and so not counted. */
static MemoryPool *run_of(size_t blocks)
{
    static MemoryPool *made;
    if (made == NULL) {
        made = pool_create((size_t)1 << 30, 16);
        check(made != NULL, "pool_create");
        check(pool_fill(made, 0, 1, blocks * 16) == POOL_OK, "pool_fill");
    }
    return made;
}

static MemoryPool *rewritten(MemoryPool *base, size_t blocks)
{
    static MemoryPool *made;
    if (made == NULL) {
        made = pool_clone(base);
        check(made != NULL, "pool_clone");
        check(pool_fill(made, 0, 2, blocks * 16) == POOL_OK, "pool_fill");
    }
    return made;
}

/* Runs of data, up to where they end. */
static void extent(size_t blocks)
{
    size_t start, size;
    MemoryPool *walked = run_of(blocks);
    check(pool_next_extent(walked, 0, SIZE_MAX, &start, &size) == 1 &&
              size == blocks * 16,
          "pool_next_extent");
}

static void extent_32(size_t round)
{
    (void)round;
    extent(32);
}

static void extent_1m(size_t round)
{
    (void)round;
    extent((size_t)1 << 20);
}

/* As many blocks of a run of that many. */
static void state(size_t asked, size_t blocks)
{
    size_t start, size, flags, end = asked * 16;
    MemoryPool *walked = run_of(blocks);
    check(pool_next_state(walked, 0, end, &start, &size, &flags) == 1 && size == end,
          "pool_next_state");
}

static void state_32(size_t round)
{
    (void)round;
    state(32, 32);
}

static void state_32_of_64k(size_t round)
{
    (void)round;
    state(32, 65536);
}

static void state_1024(size_t round)
{
    (void)round;
    state(1024, 65536);
}

static void change(size_t asked, size_t blocks)
{
    size_t start, size, end = asked * 16;
    MemoryPool *base = run_of(blocks), *walked = rewritten(base, blocks);
    check(pool_next_change(walked, base, 0, end, &start, &size) == 1 && size == end,
          "pool_next_change");
}

static void change_32(size_t round)
{
    (void)round;
    change(32, 32);
}

static void change_32_of_64k(size_t round)
{
    (void)round;
    change(32, 65536);
}

static void change_1024(size_t round)
{
    (void)round;
    change(1024, 65536);
}

static const struct Operation {
    const char *name;
    void (*run)(size_t round);
    void (*prepare)(void); /* once before, or NULL */
} operations[] = {
    {"read_8", read_8, NULL},
    {"write_8", write_8, NULL},
    {"read_4096", read_4096, NULL},
    {"clone", clone, NULL}, /* and destroy */
    /* The first write to a clone, with the copy; and destroy. */
    {"clone_and_write", clone_and_write, NULL},
    {"write_and_digest", write_and_digest, NULL}, /* one block of 4096 bytes in 1 GiB */
    {"gather_1000", gather, NULL}, /* items of 8 bytes, one after the other */
    {"scatter_1000", scatter, NULL},
    {"scatter_anew", scatter_anew, NULL},
    {"read_many_1000", read_many, NULL},
    {"write_many_1000", write_many, NULL},
    {"with_10_pins", two_blocks, pin_10}, /* on other blocks */
    {"with_10000_pins", two_blocks, pin_10000},
    {"extent_32", extent_32, NULL}, /* a run of so many blocks, with no end given */
    {"extent_1m", extent_1m, NULL},
    {"state_32", state_32, NULL}, /* so many blocks, of a run of as many, or of 65,536 */
    {"state_32_of_64k", state_32_of_64k, NULL},
    {"state_1024", state_1024, NULL},
    {"change_32", change_32, NULL},
    {"change_32_of_64k", change_32_of_64k, NULL},
    {"change_1024", change_1024, NULL},
};

int main(int argc, char **argv)
{
    size_t i, round, number = argc == 3 ? (size_t)strtoul(argv[2], NULL, 10) : 0;
    for (i = 0; i < sizeof operations / sizeof *operations; i++) {
        if (argc == 1) {
            puts(operations[i].name);
        } else if (argc == 3 && strcmp(argv[1], operations[i].name) == 0) {
            set_up();
            if (operations[i].prepare != NULL) {
                operations[i].prepare();
            }
            for (round = 0; round < number; round++) {
                operations[i].run(round);
            }
            pool_destroy(pool);
            return 0;
        }
    }
    return argc == 1 ? 0 : 2;
}
