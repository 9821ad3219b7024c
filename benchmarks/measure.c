/* SPDX-License-Identifier: MIT */
/*
 * measure.c - what a pool costs beside what people use today, in one run
 *
 *     cc -O2 -Ic -o measure benchmarks/measure.c c/memory_pool.c -lpthread && ./measure
 *
 * Each row alternates between the pool and its reference, seven times, and prints the
 * medians and their ratio. Linux only, for memfd, fork and /proc.
 */
#define _GNU_SOURCE
#include "memory_pool.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 7, BLOCK = 4096 };

static const size_t hot = (size_t)256 << 10, large = (size_t)256 << 20;
static unsigned char *flat; /* large bytes, the reference */
static MemoryPool *pool;    /* the same bytes             */
static unsigned char buffer[1 << 20];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* xorshift: places that neither the prefetcher nor the compiler can guess. */
static size_t random_place(size_t span, size_t size)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)state % (span / size) * size;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, compare);
    return values[ROUNDS / 2];
}

static void die(const char *what)
{
    fprintf(stderr, "measure: %s failed\n", what);
    exit(1);
}

static void row(const char *what, double ns, const char *reference, double reference_ns)
{
    printf("| %s | %.1f ns | %s | %.1f ns | %.2f |\n", what, ns, reference, reference_ns,
           ns / reference_ns);
}

/* ------------------------------------------------------------ single transfers */

typedef void (*Transfer)(size_t offset, size_t size);

static void memcpy_read(size_t offset, size_t size)
{
    memcpy(buffer, flat + offset, size);
    __asm__ __volatile__("" ::"r"(buffer) : "memory");
}

static void memcpy_write(size_t offset, size_t size)
{
    memcpy(flat + offset, buffer, size);
    __asm__ __volatile__("" ::"r"(flat) : "memory");
}

static void mutex_read(size_t offset, size_t size)
{
    pthread_mutex_lock(&mutex);
    memcpy_read(offset, size);
    pthread_mutex_unlock(&mutex);
}

static void mutex_write(size_t offset, size_t size)
{
    pthread_mutex_lock(&mutex);
    memcpy_write(offset, size);
    pthread_mutex_unlock(&mutex);
}

static void pool_reads(size_t offset, size_t size)
{
    pool_read(pool, buffer, offset, size);
}

static void pool_writes(size_t offset, size_t size)
{
    pool_write(pool, offset, buffer, size);
}

static double time_transfer(Transfer volatile transfer, size_t span, size_t size)
{
    size_t count = size < 64 ? 1000000 : ((size_t)64 << 20) / size, i;
    double start = now();
    for (i = 0; i < count; i++) {
        transfer(random_place(span, size), size);
    }
    return (now() - start) / (double)count;
}

static void transfers(const char *what, size_t span, size_t size, Transfer ours,
                      const char *reference, Transfer theirs)
{
    double a[ROUNDS], b[ROUNDS];
    int i;
    for (i = 0; i < ROUNDS; i++) {
        a[i] = time_transfer(ours, span, size);
        b[i] = time_transfer(theirs, span, size);
    }
    row(what, median(a), reference, median(b));
}

/* ------------------------------------------------------------------- snapshots */

static double time_fork(void)
{
    double start = now();
    pid_t child = fork();
    double time = now() - start;
    if (child == 0) {
        _exit(0);
    }
    if (child < 0 || waitpid(child, NULL, 0) != child) {
        die("fork");
    }
    return time;
}

static double time_clone(void)
{
    MemoryPool *clones[100];
    double start = now(), time;
    int i;
    for (i = 0; i < 100; i++) {
        clones[i] = pool_clone(pool);
    }
    time = (now() - start) / 100;
    for (i = 0; i < 100; i++) {
        if (clones[i] == NULL) {
            die("pool_clone");
        }
        pool_destroy(clones[i]);
    }
    return time;
}

/* A first write to a page after a fork, by the parent while the child lives. */
static double time_fork_write(void)
{
    int pipes[2], i;
    double start, time;
    pid_t child;
    if (pipe(pipes) != 0) {
        die("pipe");
    }
    child = fork();
    if (child == 0) {
        char byte;
        close(pipes[1]);
        _exit(read(pipes[0], &byte, 1) != 0);
    }
    start = now();
    for (i = 0; i < 10000; i++) {
        flat[random_place(large, BLOCK)] = 1;
    }
    time = (now() - start) / 10000;
    close(pipes[0]);
    close(pipes[1]);
    waitpid(child, NULL, 0);
    return time;
}

static double time_clone_write(void)
{
    MemoryPool *clone = pool_clone(pool);
    double start = now(), time;
    int i;
    for (i = 0; i < 10000; i++) {
        pool_write(clone, random_place(large, BLOCK), buffer, 1);
    }
    time = (now() - start) / 10000;
    pool_destroy(clone);
    return time;
}

static void snapshots(void)
{
    double a[4][ROUNDS];
    int i;
    for (i = 0; i < ROUNDS; i++) {
        a[0][i] = time_clone();
        a[1][i] = time_fork();
        a[2][i] = time_clone_write();
        a[3][i] = time_fork_write();
    }
    row("snapshot of 256 MiB", median(a[0]), "fork", median(a[1]));
    row("a write to it afterwards, 4 KiB blocks", median(a[2]), "fork", median(a[3]));
}

/* --------------------------------------------------------------- making and filling */

static double time_pool_fill(void)
{
    double start = now();
    MemoryPool *fresh = pool_create(large, 65536);
    size_t offset;
    for (offset = 0; offset < large; offset += sizeof buffer) {
        pool_write(fresh, offset, buffer, sizeof buffer);
    }
    pool_destroy(fresh);
    return now() - start;
}

static double time_mmap_fill(void)
{
    double start = now();
    unsigned char *pages =
        mmap(NULL, large, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t offset;
    if (pages == MAP_FAILED) {
        die("mmap");
    }
    for (offset = 0; offset < large; offset += sizeof buffer) {
        memcpy(pages + offset, buffer, sizeof buffer);
    }
    munmap(pages, large);
    return now() - start;
}

static void making(void)
{
    double a[3][ROUNDS];
    int i, k;
    for (i = 0; i < ROUNDS; i++) {
        a[0][i] = time_pool_fill();
        a[1][i] = time_mmap_fill();
        a[2][i] = now();
        for (k = 0; k < 1000; k++) {
            pool_destroy(pool_create((size_t)1 << 62, 65536));
        }
        a[2][i] = (now() - a[2][i]) / 1000;
    }
    row("make, write 256 MiB, end, again", median(a[0]), "mmap", median(a[1]));
    printf("| make and end a pool of 2^62 bytes | %.1f ns | | | |\n", median(a[2]));
}

static long resident_bytes(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*s %ld", &pages) != 1) {
        die("/proc/self/statm");
    }
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void resident(size_t block_size)
{
    MemoryPool *sparse = pool_create((size_t)1 << 40, block_size);
    long before;
    int i;
    pool_trim();
    before = resident_bytes();
    for (i = 0; i < 10000; i++) {
        pool_write(sparse, random_place((size_t)1 << 40, 8), buffer, 8);
    }
    printf("| resident for each of 10,000 8-byte writes in 1 TiB, %zu KiB blocks "
           "| %ld bytes | | | |\n",
           block_size >> 10, (resident_bytes() - before) / 10000);
    pool_destroy(sparse);
}

int main(void)
{
    size_t offset;
    flat = malloc(large);
    pool = pool_create(large, BLOCK);
    if (flat == NULL || pool == NULL) {
        die("setting up");
    }
    memset(buffer, 1, sizeof buffer);
    for (offset = 0; offset < large; offset += sizeof buffer) {
        memcpy(flat + offset, buffer, sizeof buffer);
        if (pool_write(pool, offset, buffer, sizeof buffer) != sizeof buffer) {
            die("pool_write");
        }
    }
    printf("| | pool | beside | | ratio |\n|---|---|---|---|---|\n");
    transfers("8-byte read, in 256 KiB", hot, 8, pool_reads, "memcpy", memcpy_read);
    transfers("the same", hot, 8, pool_reads, "memcpy and a mutex", mutex_read);
    transfers("8-byte write, in 256 KiB", hot, 8, pool_writes, "memcpy", memcpy_write);
    transfers("the same", hot, 8, pool_writes, "memcpy and a mutex", mutex_write);
    transfers("8-byte read, in 256 MiB", large, 8, pool_reads, "memcpy", memcpy_read);
    transfers("4 KiB read, in 256 MiB", large, 4096, pool_reads, "memcpy", memcpy_read);
    transfers("4 KiB write, in 256 MiB", large, 4096, pool_writes, "memcpy",
              memcpy_write);
    transfers("1 MiB read, in 256 MiB", large, 1 << 20, pool_reads, "memcpy",
              memcpy_read);
    transfers("1 MiB write, in 256 MiB", large, 1 << 20, pool_writes, "memcpy",
              memcpy_write);
    snapshots();
    making();
    resident(4096);
    resident(65536);
    pool_destroy(pool);
    free(flat);
    return 0;
}
