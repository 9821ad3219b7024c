/* SPDX-License-Identifier: MIT */
/*
 * half_writes.c - no read sees half a write, in so many reads
 *
 *     tests/evidence/long/run half_writes [READS [SEED]]    100,000,000 reads by default
 *
 * Two ranges, one in a block and one over several, are only ever written to as wholes,
 * each time with one byte value. Readers read parts of them, of all lengths; a part with
 * two values is half a write. Meanwhile the pool is cloned, restored and discarded, so
 * that blocks and nodes come and go below the readers.
 */
#include "long.h"
#include "test_threads.h"

#include <stdatomic.h>

enum {
    BLOCK = 4096,
    TOTAL = 64 * BLOCK,
    READERS = 2,
    WRITERS = 2,
    THREADS = READERS + WRITERS + 1
};

static const struct Range {
    size_t at, size;
} ranges[] = {{BLOCK + 100, 1000}, {5 * BLOCK + 4000, 2 * BLOCK + 300}};

static MemoryPool *pool;
static atomic_int stopped;
static uint64_t reads_each;

typedef struct Worker {
    TestThread thread;
    TestRandom random;
    uint64_t done, changes;
    unsigned char bytes[3 * BLOCK];
} Worker;

static Worker workers[THREADS];

static void check_uniform(const unsigned char *bytes, size_t size)
{
    CHECK_BYTES(bytes, bytes[0], size);
}

/* Mostly few bytes, sometimes all of a range; counts how often a new value is seen, which
 * says that something went on meanwhile. */
static void read_parts(void *argument)
{
    Worker *w = argument;
    unsigned char last[2] = {0, 0};
    for (; w->done < reads_each; w->done++) {
        size_t which = test_below(&w->random, 2);
        struct Range range = ranges[which];
        size_t most = test_below(&w->random, 8) == 0 ? range.size : 64;
        size_t size = 1 + test_below(&w->random, most);
        size_t at = range.at + test_below(&w->random, range.size - size + 1);
        CHECK_EQ_SIZE(pool_read(pool, w->bytes, at, size), size);
        check_uniform(w->bytes, size);
        w->changes += w->bytes[0] != last[which];
        last[which] = w->bytes[0];
    }
}

static void write_wholes(void *argument)
{
    Worker *w = argument;
    for (; !atomic_load(&stopped); w->done++) {
        struct Range range = ranges[test_below(&w->random, 2)];
        int byte = (int)test_below(&w->random, 256);
        switch (test_below(&w->random, 4)) {
        case 0: CHECK(pool_fill(pool, range.at, byte, range.size) == POOL_OK); break;
        case 1:
            CHECK_EQ_SIZE(pool_take(pool, w->bytes, range.at, range.size), range.size);
            check_uniform(w->bytes, range.size);
            break;
        default:
            memset(w->bytes, byte, range.size);
            CHECK_EQ_SIZE(pool_write(pool, range.at, w->bytes, range.size), range.size);
        }
    }
}

/* Clones and restores; changes counts the restores. The pauses let writers meet blocks
 * that are their own as well. */
static void clone_and_restore(void *argument)
{
    Worker *w = argument;
    for (; !atomic_load(&stopped); w->done++) {
        MemoryPool *clone = pool_clone(pool);
        CHECK(clone != NULL);
        for (size_t i = 0; i < 2; i++) {
            struct Range range = ranges[i];
            CHECK_EQ_SIZE(pool_read(clone, w->bytes, range.at, range.size), range.size);
            check_uniform(w->bytes, range.size);
            CHECK(pool_fill(clone, range.at, (int)w->done & 255, range.size) == POOL_OK);
        }
        if (test_below(&w->random, 2) == 0) {
            CHECK(pool_restore(pool, clone) == POOL_OK);
            w->changes++;
        }
        pool_destroy(clone);
        usleep((useconds_t)test_below(&w->random, 200));
    }
}

static void report(double seconds)
{
    uint64_t reads = 0, seen = 0, writes = 0;
    for (size_t i = 0; i < READERS; i++) {
        reads += workers[i].done;
        seen += workers[i].changes;
    }
    for (size_t i = READERS; i < READERS + WRITERS; i++)
        writes += workers[i].done;
    const Worker *cloner = &workers[THREADS - 1];
    printf("%llu reads in %.0f s, none of half a write; they saw %llu changes, of "
           "%llu writes, %llu clones and %llu restores\n",
           (unsigned long long)reads, seconds, (unsigned long long)seen,
           (unsigned long long)writes, (unsigned long long)cloner->done,
           (unsigned long long)cloner->changes);
    CHECK(seen > reads / 10000); /* else the readers were alone */
}

int main(int argc, char **argv)
{
    double begin = long_seconds();
    reads_each = long_argument(argc, argv, 1, 100000000) / READERS;
    test_seed = long_argument(argc, argv, 2, 1);
    test_running = "half_writes";
    pool = pool_create(TOTAL, BLOCK);
    CHECK(pool != NULL);
    for (size_t i = 0; i < THREADS; i++) {
        workers[i].random.state = test_seed * 1000003 + i;
        test_thread_start(&workers[i].thread,
                          i < READERS             ? read_parts
                          : i < READERS + WRITERS ? write_wholes
                                                  : clone_and_restore,
                          &workers[i]);
    }
    for (size_t i = 0; i < THREADS; i++) {
        test_thread_join(&workers[i].thread);
        if (i == READERS - 1)
            atomic_store(&stopped, 1);
    }
    report(long_seconds() - begin);
    pool_destroy(pool);
    return 0;
}
