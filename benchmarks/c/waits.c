/* SPDX-License-Identifier: MIT */
/*
 * waits.c - C15: how long a short write waits beside long ones elsewhere
 *
 * One thread writes long ranges to the first half of 256 MiB without a pause; another one
 * writes 8 bytes to the second half, every 5 microseconds or as soon as it can, and notes
 * how long each took. memcpy without a lock shows what the machine's other work makes of
 * it; on a processor shared by both threads that is a time slice.
 */
#include "peers.h"

#include <pthread.h>
#include <stdatomic.h>

enum { SAMPLES = 200000, PAUSE = 5000 /* ns */ };

typedef struct Wait {
    const Peer *peer;
    size_t size;  /* of the long writes          */
    double share; /* of the waits that are lower */
} Wait;

static atomic_int over;
static double waits[SAMPLES];

static void *write_long(void *argument)
{
    const Wait *wait = argument;
    Transfer volatile write = wait->peer->write;
    unsigned char *buffer = calloc(1, wait->size);
    uint64_t state = RANDOM_SEED;
    bench_require(buffer != NULL, "calloc");
    while (!atomic_load(&over)) {
        write(random_place(&state, LARGE / 2, wait->size), wait->size, buffer);
    }
    free(buffer);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Milliseconds that all but a share of the short writes take at most. */
static double wait_of(const void *context)
{
    const Wait *wait = context;
    Transfer volatile write = wait->peer->write;
    unsigned char bytes[8] = {0};
    uint64_t state = RANDOM_SEED;
    double end, next = 0;
    pthread_t thread;
    size_t count = 0;
    atomic_store(&over, 0);
    bench_require(pthread_create(&thread, NULL, write_long, (void *)(uintptr_t)wait) == 0,
                  "pthread_create");
    end = bench_now() + (bench_options.quick ? 2e7 : 1e9);
    while (count < SAMPLES && next < end) {
        size_t place = LARGE / 2 + random_place(&state, LARGE / 2, sizeof bytes);
        double start = bench_now();
        if (start >= next) {
            write(place, sizeof bytes, bytes);
            next = bench_now();
            waits[count++] = next - start;
            next += PAUSE;
        }
    }
    atomic_store(&over, 1);
    pthread_join(thread, NULL);
    qsort(waits, count, sizeof *waits, compare);
    return waits[(size_t)((double)(count - 1) * wait->share)] / 1e6;
}

static void waits_case(size_t size, PeerIndex pool, double share, const char *which)
{
    PeerIndex chosen[] = {pool, MEMCPY_MUTEX, MEMCPY};
    Wait contexts[3];
    Case it = {.row = "C15", .unit = "ms", .reference = 1};
    int i;
    snprintf(it.title, sizeof it.title, "8-byte write beside writes of %s, %s",
             bench_size(size), which);
    for (i = 0; i < 3; i++) {
        contexts[i] = (Wait){&peers[chosen[i]], size, share};
        case_add(&it, peers[chosen[i]].name, wait_of, &contexts[i]);
    }
    if (share > 0.5) {
        case_at_most(&it, 0, 1, 1);
    }
    bench_run(&it);
}

void row_waits(void)
{
    peers_open();
    waits_case(256 * KIB, POOL_4K, 1, "the longest");
    waits_case(256 * KIB, POOL_4K, 0.999, "99.9 % of them");
    waits_case(256 * KIB, POOL_4K, 0.5, "half of them");
    waits_case(4 * MIB, POOL_64K, 1, "the longest");
    waits_case(4 * MIB, POOL_64K, 0.999, "99.9 % of them");
    waits_case(4 * MIB, POOL_64K, 0.5, "half of them");
    peers_close();
}
