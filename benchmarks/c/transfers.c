/* SPDX-License-Identifier: MIT */
/*
 * transfers.c - C1 to C4: one read or write after another, one thread
 *
 * Places are drawn at random, multiples of the size; "hot" is anywhere in 256 KiB, which
 * fits the second-level cache, "large" anywhere in 256 MiB, which fits none.
 */
#include "peers.h"

typedef struct Transfers {
    Case it;
    Timed timed[PEER_COUNT];
} Transfers;

/* A case with all peers, its contenders in their order. */
static void transfers_make(Transfers *all, const char *row, bool write, size_t span,
                           size_t size)
{
    int i;
    *all = (Transfers){.it = {.row = row, .unit = "ns", .reference = MEMCPY}};
    snprintf(all->it.title, sizeof all->it.title, "%s of %s, anywhere in %s",
             write ? "write" : "read", bench_size(size), bench_size(span));
    for (i = 0; i < PEER_COUNT; i++) {
        all->timed[i] = (Timed){write ? peers[i].write : peers[i].read, span, size};
        if (i == LIST_4K && span > HOT) {
            case_add_missing(&all->it, peers[i].name, "too short a list for this case");
        } else if (peers_missing((PeerIndex)i) != NULL) {
            case_add_missing(&all->it, peers[i].name, peers_missing((PeerIndex)i));
        } else {
            case_add(&all->it, peers[i].name, timed_transfers, &all->timed[i]);
        }
    }
}

/* The same with a bound for both pools, beside memcpy; 0: none. */
static void transfers_run(const char *row, bool write, size_t span, size_t size,
                          double bound)
{
    static Transfers all;
    transfers_make(&all, row, write, span, size);
    if (bound > 0) {
        case_at_most(&all.it, POOL_4K, bound, MEMCPY);
        case_at_most(&all.it, POOL_64K, bound, MEMCPY);
    }
    if (span == HOT) {
        case_at_most(&all.it, POOL_4K, 1.0, MEMCPY_MUTEX);
        case_at_most(&all.it, POOL_64K, 1.0, MEMCPY_MUTEX);
        case_at_most(&all.it, POOL_4K, 0.5, NBDKIT_SPARSE);
        case_at_most(&all.it, POOL_64K, 0.5, NBDKIT_SPARSE);
    }
    bench_run(&all.it);
}

void row_hot(void)
{
    peers_open();
    transfers_run("C1", false, HOT, 8, 2.0);
    transfers_run("C1", true, HOT, 8, 2.0);
    peers_close();
}

void row_large(void)
{
    peers_open();
    transfers_run("C2", false, LARGE, 8, 1.4);
    transfers_run("C2", true, LARGE, 8, 0); /* no goal: to be seen beside the reads */
    peers_close();
}

void row_pages(void)
{
    peers_open();
    transfers_run("C3", false, LARGE, 4 * KIB, 1.08);
    transfers_run("C3", true, LARGE, 4 * KIB, 1.08);
    peers_close();
}

void row_long(void)
{
    peers_open();
    transfers_run("C4", false, LARGE, 64 * KIB, 1.03);
    transfers_run("C4", true, LARGE, 64 * KIB, 1.03);
    transfers_run("C4", false, LARGE, MIB, 1.03);
    transfers_run("C4", true, LARGE, MIB, 1.03);
    peers_close();
}
