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

static const struct Operation {
    const char *name;
    void (*run)(size_t round);
} operations[] = {
    {"read_8", read_8},
    {"write_8", write_8},
    {"read_4096", read_4096},
    {"clone", clone},                     /* and destroy                              */
    {"clone_and_write", clone_and_write}, /* its first write, with the copy; destroy  */
    {"gather_1000", gather},              /* items of 8 bytes, one after the other    */
};

int main(int argc, char **argv)
{
    size_t i, round, number = argc == 3 ? (size_t)strtoul(argv[2], NULL, 10) : 0;
    for (i = 0; i < sizeof operations / sizeof *operations; i++) {
        if (argc == 1) {
            puts(operations[i].name);
        } else if (argc == 3 && strcmp(argv[1], operations[i].name) == 0) {
            set_up();
            for (round = 0; round < number; round++) {
                operations[i].run(round);
            }
            pool_destroy(pool);
            return 0;
        }
    }
    return argc == 1 ? 0 : 2;
}
