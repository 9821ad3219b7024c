/* SPDX-License-Identifier: MIT */
/*
 * clients.h - the clients that are connected, for the command that lists them
 *
 * nbdkit does not end before they have left, so that one wants to know who they are.
 */
#ifndef MEMPOOL_CLIENTS_H
#define MEMPOOL_CLIENTS_H

#include "disks.h"
#include "text.h"

/* A part of a connection. */
typedef struct Peer {
    char export[DISK_NAME_MAX + 1];
    char name[64]; /* `pid N` by a UNIX socket, else its address and port */
    struct Peer *before, *next;
} Peer;

/* Adds the client of the connection that nbdkit opens in this thread. Locks: the list. */
void clients_add(Peer *peer, const char *export);

/* Locks: the list. */
void clients_remove(Peer *peer);

/* Adds an array of JSON. Locks: the list. */
void clients_write(Text *json);

#endif
