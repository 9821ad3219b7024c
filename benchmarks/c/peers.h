/* SPDX-License-Identifier: MIT */
/* peers.h - the same 256 MiB in pools and in what people use today; see peers.c */
#ifndef PEERS_H
#define PEERS_H

#include "bench.h"

#define HOT (256 * KIB)
#define LARGE (256 * MIB)

typedef enum PeerIndex {
    POOL_4K,
    POOL_64K,
    MEMCPY,
    MEMCPY_MUTEX,
    MMAP,
    MEMFD,
    LIST_4K, /* of HOT bytes only: a longer one of such blocks would take all day */
    LIST_64K,
    NBDKIT_SPARSE,
    NBDKIT_MALLOC,
    NOTHING, /* the loop that the others are in */
    PEER_COUNT
} PeerIndex;

/* Copies size bytes at offset to or from buffer. */
typedef void (*Transfer)(size_t offset, size_t size, unsigned char *buffer);

typedef struct Peer {
    const char *name;
    Transfer read, write;
} Peer;

extern const Peer peers[PEER_COUNT];

/* Makes and fills all of them; and frees them. */
void peers_open(void);
void peers_close(void);

/* Returns why a peer cannot be measured, or NULL; call it while they are open. */
const char *peers_missing(PeerIndex which);

unsigned char *peers_flat(void);         /* what MEMCPY copies from and to */
MemoryPool *peers_pool(PeerIndex which); /* POOL_4K or POOL_64K             */

/* A transfer to be timed, at places anywhere in span. */
typedef struct Timed {
    Transfer transfer;
    size_t span, size;
} Timed;

/* A Measure: nanoseconds for each transfer of a Timed, the drawing of the place and a
 * call through a pointer included. */
double timed_transfers(const void *timed);

#endif /* PEERS_H */
