/* SPDX-License-Identifier: MIT */
/*
 * traffic.h - what clients have asked for since the start, of all disks together
 *
 * Counters that only grow, so that who asks twice knows what happened between. Any thread
 * may count and ask at any time; of a request that is just being counted, its number may
 * be told before its bytes.
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

/* Counts a request that was carried out. */
void traffic_count(TrafficKind kind, uint32_t bytes);

/* Counts a request that failed. */
void traffic_count_failure(void);

/* Adds the counters as members of an object in JSON. */
void traffic_tell(Text *answer);

#endif
