/* SPDX-License-Identifier: MIT */
/*
 * linear_pins.h - players with pins of several blocks, through which they read and write
 *
 *     cells     0 ........ 1 2 .............. 3 4 .................. 5 6 .........
 *     a pin            |=======================================|
 *                       1 2                3 4                    cells that lie in it
 *
 * A pin is held by all players for a whole history, or by one player for some calls.
 * Pins overlap, and meet. A player writes through them one byte of each word of a cell,
 * always the same one: a clone that is made meanwhile has each byte as it was or as it is
 * written, but not all bytes of a word at the same time. The gates of the cells keep out
 * calls that would touch the same bytes.
 *
 * A clone may be kept for some calls before it is read, so that others use its frozen
 * copies; and its origin, or the other pool, may be restored from it.
 */
#ifndef LINEAR_PINS_H
#define LINEAR_PINS_H

#include "linear_calls.h"

/* A pin of a pool by its number; view.size 0: none. */
typedef struct Held {
    PoolView view;
    size_t offset;
    unsigned pool;
} Held;

typedef struct Pinner {
    Held own;
    MemoryPool *kept; /* a clone; NULL: none */
    Step *kept_step;  /* of which that is read later */
    unsigned char again[BODIES * LARGEST];
} Pinner;

static Pinner pinners[LINEAR_PINNERS];
static Held shared_pins[2]; /* of all players */
static size_t pin_byte;     /* of each word, the one that is written through pins */
static atomic_uint accesses;

enum { OFTEN = 8 /* accesses in a row, at most */ };

static void hold(Held *held, MemoryPool *pool, unsigned number, size_t offset,
                 size_t size)
{
    held->view = (PoolView){.struct_size = sizeof held->view};
    held->offset = offset;
    held->pool = number;
    CHECK_EQ_INT((int)pool_pin(pool, offset, size, &held->view), POOL_OK);
    CHECK(held->view.size > 0 && held->view.size <= size);
}

static void drop(Held *held)
{
    pool_view_release(&held->view);
    memset(held, 0, sizeof *held);
}

/* ------------------------------------------------------- accesses through a pin */

/* One that the player has or all have. */
static const Held *pick_pin(Player *player)
{
    size_t first = test_below(&player->random, 3);
    for (size_t i = first; i < first + 3; i++) {
        const Held *held = i % 3 < 2 ? &shared_pins[i % 3] : &pinners[player->id].own;
        if (held->view.size > 0)
            return held;
    }
    return NULL;
}

static int lies_in(const Held *held, unsigned cell)
{
    return cell_offset(cell) >= held->offset &&
           cell_offset(cell + 1) <= held->offset + held->view.size;
}

/* The memory of a cell. */
static unsigned char *cell_data(const Held *held, unsigned cell)
{
    return (unsigned char *)held->view.data + (cell_offset(cell) - held->offset);
}

/* Changes one byte of each word of a cell, through a pin: to a value that it had not, or
 * to zero, which a frozen copy may have as well. */
static void change_bytes(Player *player, Step *step, unsigned char *data)
{
    size_t size = cell_size(step->from);
    unsigned char bytes[INTEGER], byte = 0;
    memcpy(bytes, data, INTEGER);
    memcpy(&step->words[0], bytes, INTEGER);
    step->expected = step->words[0];
    if (bytes[pin_byte] == 0 || test_below(&player->random, 4) != 0)
        byte = (unsigned char)(++player->writes * player->players + player->id);
    bytes[pin_byte] = byte;
    memcpy(&step->value, bytes, INTEGER);
    for (size_t at = pin_byte; at < size; at += INTEGER)
        *(volatile unsigned char *)&data[at] = byte;
}

/* Reads or writes a cell through a pin; 0 if there is none, or calls are in that cell. */
static int call_through(Player *player)
{
    const Held *held = pick_pin(player);
    unsigned cell = (unsigned)test_below(&player->random, LINEAR_CELLS);
    int writes = test_below(&player->random, 4) != 0;
    if (held == NULL || !lies_in(held, cell) || !gate_try(&gates[held->pool][cell], 1))
        return 0;
    Step *step = begin(player, writes ? "write through a pin" : "read through a pin",
                       writes ? EFFECT_EXCHANGE : EFFECT_READ, cell, cell + 1);
    unsigned char *data = cell_data(held, cell);
    step->pool = held->pool;
    step->through = 1;
    step->begin = now();
    if (writes)
        change_bytes(player, step, data);
    else
        bytes_to_words(data, step);
    step->end = now();
    atomic_store(&gates[held->pool][cell], 0);
    (void)atomic_fetch_add(&accesses, 1);
    return 1;
}

/* ------------------------------------------------------------------ calls with pins */

/* Releases the player's pin, or makes one: of some cells, of parts of them, or of all
 * blocks from one on. */
static void call_pin(Player *player)
{
    Held *own = &pinners[player->id].own;
    TestRandom *random = &player->random;
    size_t end = cell_offset(LINEAR_CELLS), at = test_below(random, end);
    size_t size =
        test_below(random, 4) == 0 ? 63 * block - at : 1 + test_below(random, end - at);
    unsigned pool = (unsigned)test_below(random, 2);
    if (test_below(random, 2) == 0)
        at = 0;
    if (own->view.size > 0)
        drop(own);
    else
        hold(own, player->pools[pool], pool, at, size);
}

/* Reads the clone that was kept, if there is one, and ends it; before that it may restore
 * a pool from it. A second read gives the same. */
static void end_kept(Player *player)
{
    Pinner *pinner = &pinners[player->id];
    Step *step = pinner->kept_step, *restore;
    size_t size = range_size(0, LINEAR_CELLS);
    if (pinner->kept == NULL)
        return;
    CHECK_EQ_SIZE(pool_read(pinner->kept, player->bytes, START, size), size);
    bytes_to_words(player->bytes, step);
    if (step->mixed == 0 && test_below(&player->random, 2) == 0) {
        restore = begin(player, "restore from a clone", EFFECT_SET, 0, LINEAR_CELLS);
        memcpy(restore->words, step->words, sizeof step->words);
        enter(player, restore);
        PoolStatus status = pool_restore(player->pools[restore->pool], pinner->kept);
        leave(player, restore);
        CHECK_EQ_INT((int)status, POOL_OK);
        let_others_run();
    }
    CHECK_EQ_SIZE(pool_read(pinner->kept, pinner->again, START, size), size);
    CHECK_MEM(pinner->again, player->bytes, size);
    pool_destroy(pinner->kept);
    pinner->kept = NULL;
}

/* Makes a clone, or reads and ends it. */
static void call_kept(Player *player)
{
    Pinner *pinner = &pinners[player->id];
    if (pinner->kept != NULL) {
        end_kept(player);
        return;
    }
    Step *step = begin(player, "kept clone", EFFECT_READ, 0, LINEAR_CELLS);
    step->snapshot = 1;
    begin_snapshot(step);
    pinner->kept = pool_clone(player->pools[step->pool]);
    end_snapshot(step);
    CHECK(pinner->kept != NULL);
    pinner->kept_step = step;
}

static void call_pinned(Player *player)
{
    unsigned call = (unsigned)test_below(&player->random, 8);
    unsigned times = 0;
    if (call == 0 || (call > 1 && !call_through(player)))
        call_pin(player);
    else if (call == 1)
        call_kept(player);
    else /* and goes on beside clones and views */
        while (atomic_load(&snapshots) > 0 && ++times < OFTEN)
            (void)call_through(player);
}

/* -------------------------------------------------------------- around a history */

/* Pins for all players: one pool has them, or both, or none; of the cells, or of so many
 * blocks that the system may track their pages. */
static void pins_begin(MemoryPool *pool, MemoryPool *clone, uint64_t seed)
{
    TestRandom random = {seed};
    size_t end = cell_offset(LINEAR_CELLS), pools = test_below(&random, 4);
    pin_byte = test_below(&random, INTEGER);
    if (pools > 0)
        hold(&shared_pins[0], pool, 0, 0, test_below(&random, 3) > 0 ? 64 * block : end);
    if (pools == 3)
        hold(&shared_pins[1], clone, 1, block, end - block);
}

/* The end of a player. */
static void pinner_end(Player *player)
{
    end_kept(player);
    if (pinners[player->id].own.view.size > 0)
        drop(&pinners[player->id].own);
}

static void pins_end(void)
{
    for (size_t i = 0; i < 2; i++) {
        if (shared_pins[i].view.size > 0)
            drop(&shared_pins[i]);
    }
}

#endif /* LINEAR_PINS_H */
