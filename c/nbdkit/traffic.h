/* SPDX-License-Identifier: MIT */
/*
 * traffic.h - counters of the requests of all clients since the start
 *
 * Counters only grow, so that the difference of two readings is what happened between
 * them. Any thread may count and read at any time; a request may be counted a moment
 * before its bytes are.
 */
#ifndef MEMPOOL_TRAFFIC_H
#define MEMPOOL_TRAFFIC_H

#include <stdint.h>

#include "text.h"

typedef enum TrafficKind {
    TRAFFIC_READ,
    TRAFFIC_WRITE,
    TRAFFIC_TRIM, /* and zeros that may be a hole */
    TRAFFIC_KINDS
} TrafficKind;

/* Counts a request that succeeded. */
void traffic_count(TrafficKind kind, uint32_t bytes);

/* Counts a request that failed. */
void traffic_count_failure(void);

/* Adds the counters as members of an object in JSON. */
void traffic_write(Text *answer);

#endif
