/* SPDX-License-Identifier: MIT */
/*
 * counts.c - one operation, again and again, for an instruction counter
 *
 *     counts OPERATION NUMBER    does it NUMBER times
 *     counts                     prints the names of the operations, a line each
 *
 * tests/python/test_counts.py runs it under callgrind with two numbers and takes the
 * difference; so what is done before the first operation does not count.
 */
#include "memory_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 4096, BLOCKS = 64, ITEMS = 1000 };

static MemoryPool *pool; /* BLOCKS blocks, all there and its own */
static unsigned char buffer[BLOCK];
static unsigned char items[ITEMS * 8];
static size_t offsets[ITEMS];

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

static void gather(size_t round)
{
    (void)round;
    check(pool_gather(pool, items, offsets, ITEMS, 8) == POOL_OK, "pool_gather");
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
    {"gather_1000", gather, NULL},        /* items of 8 bytes, one after the other */
    {"with_10_pins", two_blocks, pin_10}, /* on other blocks */
    {"with_10000_pins", two_blocks, pin_10000},
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
