/* SPDX-License-Identifier: MIT */
/*
 * threads.c - C11: two threads against one
 *
 * Each thread makes the same number of transfers at random places in 256 MiB, one of ten
 * a write, pinned to a processor of its own. Scaling is the work done in a second by two
 * threads over that done by one: 2 is all there is to be had. Where the machine has other
 * work, memcpy without a lock shows how much of 2 was to be had in that run.
 */
#include "peers.h"

#include <pthread.h>
#include <sched.h>

typedef struct Mix {
    const Peer *peer;
    size_t size, count;
    int threads; /* for time_mix */
} Mix;

typedef struct Worker {
    pthread_t thread;
    const Mix *mix;
    pthread_barrier_t *barrier;
    size_t processor;
    uint64_t state;
    double start, end;
    _Alignas(4096) unsigned char buffer[4096];
} Worker;

/* The processors that this process may use, two at most. */
static size_t processors[2];

static int find_processors(void)
{
    cpu_set_t set;
    size_t i;
    int count = 0;
    bench_require(sched_getaffinity(0, sizeof set, &set) == 0, "sched_getaffinity");
    for (i = 0; i < CPU_SETSIZE && count < 2; i++) {
        if (CPU_ISSET(i, &set)) {
            processors[count++] = i;
        }
    }
    return count;
}

static void *work(void *argument)
{
    Worker *worker = argument;
    const Mix *mix = worker->mix;
    Transfer volatile read = mix->peer->read, write = mix->peer->write;
    cpu_set_t set;
    size_t i;
    CPU_ZERO(&set);
    CPU_SET(worker->processor, &set);
    bench_require(pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0,
                  "pthread_setaffinity_np");
    pthread_barrier_wait(worker->barrier);
    worker->start = bench_now();
    for (i = 0; i < mix->count; i++) {
        size_t place = random_place(&worker->state, LARGE, mix->size);
        if (worker->state >> 32 < UINT32_MAX / 10) {
            write(place, mix->size, worker->buffer);
        } else {
            read(place, mix->size, worker->buffer);
        }
    }
    worker->end = bench_now();
    return NULL;
}

/* Nanoseconds from the first start to the last end, for each transfer of one thread. */
static double run_threads(const Mix *mix, int count)
{
    static Worker workers[2];
    pthread_barrier_t barrier;
    double start = INFINITY, end = 0;
    int i;
    pthread_barrier_init(&barrier, NULL, (unsigned)count);
    for (i = 0; i < count; i++) {
        workers[i].mix = mix;
        workers[i].barrier = &barrier;
        workers[i].processor = processors[i];
        workers[i].state = RANDOM_SEED + (uint64_t)i;
        bench_require(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0,
                      "pthread_create");
    }
    for (i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        start = fmin(start, workers[i].start);
        end = fmax(end, workers[i].end);
    }
    pthread_barrier_destroy(&barrier);
    return (end - start) / (double)mix->count;
}

static double scaling(const void *context)
{
    const Mix *mix = context;
    double one = run_threads(mix, 1);
    return 2 * one / run_threads(mix, 2);
}

static double rate(const void *context)
{
    const Mix *mix = context;
    return mix->threads * 1e3 / run_threads(mix, mix->threads);
}

static const PeerIndex chosen[] = {POOL_4K, POOL_64K, MEMCPY,        MEMCPY_MUTEX,
                                   MEMFD,   LIST_64K, NBDKIT_SPARSE, NBDKIT_MALLOC};

enum { CHOSEN = sizeof chosen / sizeof chosen[0], CHOSEN_MEMCPY = 2 };

static size_t mix_count(size_t size, PeerIndex peer)
{
    size_t count = size < 64 ? 400000 : 100000;
    count /= peer == LIST_64K ? 50 : 1;
    return bench_options.quick ? count / 50 : count;
}

/* threads 0: scaling; else the rate of so many. */
static void threads_case(size_t size, int threads)
{
    Mix mixes[CHOSEN];
    Case it = {.row = "C11", .reference = CHOSEN_MEMCPY};
    int i;
    it.unit = threads == 0 ? "times" : "million a second";
    if (threads == 0) {
        snprintf(it.title, sizeof it.title, "%s, 90 %% reads, two threads against one",
                 bench_size(size));
        case_at_least(&it, 0, 1.8, ITSELF);
        case_at_least(&it, 1, 1.8, ITSELF);
    } else {
        snprintf(it.title, sizeof it.title, "%s, 90 %% reads, threads: %d",
                 bench_size(size), threads);
    }
    for (i = 0; i < CHOSEN; i++) {
        const char *name = peers[chosen[i]].name, *missing = peers_missing(chosen[i]);
        mixes[i] = (Mix){&peers[chosen[i]], size, mix_count(size, chosen[i]), threads};
        if (missing != NULL) {
            case_add_missing(&it, name, missing);
        } else {
            case_add(&it, name, threads == 0 ? scaling : rate, &mixes[i])->scale =
                threads;
        }
    }
    bench_run(&it);
}

void row_threads(void)
{
    size_t sizes[] = {8, 4 * KIB};
    int i, threads;
    if (find_processors() < 2) {
        printf("\nC11  not measured: there is one processor only\n");
        return;
    }
    peers_open();
    for (i = 0; i < 2; i++) {
        for (threads = 0; threads <= 2; threads++) {
            threads_case(sizes[i], threads);
        }
    }
    peers_close();
}
