/* SPDX-License-Identifier: MIT */
/* traffic.c - see traffic.h */
#include "traffic.h"

#include <stdatomic.h>

/* Each kind has its own cache line, so that reads and writes do not share one. */
static struct {
    _Alignas(64) atomic_ullong requests;
    atomic_ullong bytes;
} counted[TRAFFIC_KINDS];

static atomic_ullong failures;

void traffic_count(TrafficKind kind, uint32_t bytes)
{
    atomic_fetch_add_explicit(&counted[kind].requests, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counted[kind].bytes, bytes, memory_order_relaxed);
}

void traffic_count_failure(void)
{
    atomic_fetch_add_explicit(&failures, 1, memory_order_relaxed);
}

void traffic_write(Text *answer)
{
    static const char *const names[TRAFFIC_KINDS][2] = {
        [TRAFFIC_READ] = {"reads", "read_bytes"},
        [TRAFFIC_WRITE] = {"writes", "written_bytes"},
        [TRAFFIC_TRIM] = {"trims", "trimmed_bytes"},
    };
    for (int kind = 0; kind < TRAFFIC_KINDS; kind++) {
        text_add(answer, "\"%s\": %llu, \"%s\": %llu, ", names[kind][0],
                 atomic_load_explicit(&counted[kind].requests, memory_order_relaxed),
                 names[kind][1],
                 atomic_load_explicit(&counted[kind].bytes, memory_order_relaxed));
    }
    text_add(answer, "\"failures\": %llu",
             atomic_load_explicit(&failures, memory_order_relaxed));
}
