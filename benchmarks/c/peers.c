/* SPDX-License-Identifier: MIT */
/*
 * peers.c - the same 256 MiB in pools and in what people use today
 *
 * All memory is aligned to a page, as the blocks of a pool are: where an array lies 16
 * bytes off a page, as malloc would put it, long copies are slower, which would flatter
 * the pool. Every page was written to before anything is timed.
 */
#include "peers.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "linked_list.h"
#include "nbdkit.h"

static unsigned char *flat, *mapped;
static MemoryPool *pool_4k, *pool_64k;
static LinkedList *list_4k, *list_64k;
static NbdkitDisk sparse_disk, malloc_disk;
static const char *missing[PEER_COUNT];
static int memory_file;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* ------------------------------------------------------------------- transfers */

static void pool_4k_read(size_t offset, size_t size, unsigned char *buffer)
{
    pool_read(pool_4k, buffer, offset, size);
}

static void pool_4k_write(size_t offset, size_t size, unsigned char *buffer)
{
    pool_write(pool_4k, offset, buffer, size);
}

static void pool_64k_read(size_t offset, size_t size, unsigned char *buffer)
{
    pool_read(pool_64k, buffer, offset, size);
}

static void pool_64k_write(size_t offset, size_t size, unsigned char *buffer)
{
    pool_write(pool_64k, offset, buffer, size);
}

static void flat_read(size_t offset, size_t size, unsigned char *buffer)
{
    memcpy(buffer, flat + offset, size);
    keep(buffer);
}

static void flat_write(size_t offset, size_t size, unsigned char *buffer)
{
    memcpy(flat + offset, buffer, size);
    keep(flat);
}

static void mutex_read(size_t offset, size_t size, unsigned char *buffer)
{
    pthread_mutex_lock(&mutex);
    memcpy(buffer, flat + offset, size);
    pthread_mutex_unlock(&mutex);
}

static void mutex_write(size_t offset, size_t size, unsigned char *buffer)
{
    pthread_mutex_lock(&mutex);
    memcpy(flat + offset, buffer, size);
    pthread_mutex_unlock(&mutex);
}

static void mapped_read(size_t offset, size_t size, unsigned char *buffer)
{
    memcpy(buffer, mapped + offset, size);
    keep(buffer);
}

static void mapped_write(size_t offset, size_t size, unsigned char *buffer)
{
    memcpy(mapped + offset, buffer, size);
    keep(mapped);
}

static void file_read(size_t offset, size_t size, unsigned char *buffer)
{
    bench_require(pread(memory_file, buffer, size, (off_t)offset) == (ssize_t)size,
                  "pread");
}

static void file_write(size_t offset, size_t size, unsigned char *buffer)
{
    bench_require(pwrite(memory_file, buffer, size, (off_t)offset) == (ssize_t)size,
                  "pwrite");
}

static void list_4k_read(size_t offset, size_t size, unsigned char *buffer)
{
    linked_list_read(list_4k, buffer, offset, size);
}

static void list_4k_write(size_t offset, size_t size, unsigned char *buffer)
{
    linked_list_write(list_4k, offset, buffer, size);
}

static void list_64k_read(size_t offset, size_t size, unsigned char *buffer)
{
    linked_list_read(list_64k, buffer, offset, size);
}

static void list_64k_write(size_t offset, size_t size, unsigned char *buffer)
{
    linked_list_write(list_64k, offset, buffer, size);
}

static void sparse_read(size_t offset, size_t size, unsigned char *buffer)
{
    NbdkitDisk *disk = &sparse_disk;
    bench_require(disk->read(disk->handle, buffer, (uint32_t)size, offset, 0) == 0,
                  "nbdkit's read");
}

static void sparse_write(size_t offset, size_t size, unsigned char *buffer)
{
    NbdkitDisk *disk = &sparse_disk;
    bench_require(disk->write(disk->handle, buffer, (uint32_t)size, offset, 0) == 0,
                  "nbdkit's write");
}

static void malloc_read(size_t offset, size_t size, unsigned char *buffer)
{
    NbdkitDisk *disk = &malloc_disk;
    bench_require(disk->read(disk->handle, buffer, (uint32_t)size, offset, 0) == 0,
                  "nbdkit's read");
}

static void malloc_write(size_t offset, size_t size, unsigned char *buffer)
{
    NbdkitDisk *disk = &malloc_disk;
    bench_require(disk->write(disk->handle, buffer, (uint32_t)size, offset, 0) == 0,
                  "nbdkit's write");
}

static void nothing(size_t offset, size_t size, unsigned char *buffer)
{
    (void)offset;
    (void)size;
    keep(buffer);
}

const Peer peers[PEER_COUNT] = {
    [POOL_4K] = {"pool, 4 KiB blocks", pool_4k_read, pool_4k_write},
    [POOL_64K] = {"pool, 64 KiB blocks", pool_64k_read, pool_64k_write},
    [MEMCPY] = {"memcpy", flat_read, flat_write},
    [MEMCPY_MUTEX] = {"memcpy under one mutex", mutex_read, mutex_write},
    [MMAP] = {"mmap", mapped_read, mapped_write},
    [MEMFD] = {"memfd, pread and pwrite", file_read, file_write},
    [LIST_4K] = {"linked list, 64 blocks of 4 KiB", list_4k_read, list_4k_write},
    [LIST_64K] = {"linked list, 64 KiB blocks", list_64k_read, list_64k_write},
    [NBDKIT_SPARSE] = {"nbdkit sparse", sparse_read, sparse_write},
    [NBDKIT_MALLOC] = {"nbdkit malloc", malloc_read, malloc_write},
    [NOTHING] = {"the loop around it", nothing, nothing},
};

/* ------------------------------------------------------------- making and giving */

static void fill(Transfer write, size_t size)
{
    static unsigned char data[1 << 20];
    size_t offset, piece = size < sizeof data ? size : sizeof data;
    memset(data, 1, sizeof data);
    for (offset = 0; offset < size; offset += piece) {
        write(offset, piece, data);
    }
}

void peers_open(void)
{
    char last[2];
    int i;
    flat = aligned_alloc(4096, LARGE);
    mapped =
        mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memory_file = memfd_create("bench", 0);
    pool_4k = pool_create(LARGE, 4 * KIB);
    pool_64k = pool_create(LARGE, 64 * KIB);
    list_4k = linked_list_create(HOT, 4 * KIB);
    list_64k = linked_list_create(LARGE, 64 * KIB);
    bench_require(flat != NULL && mapped != MAP_FAILED && memory_file >= 0 &&
                      pool_4k != NULL && pool_64k != NULL && list_4k != NULL &&
                      list_64k != NULL,
                  "making the peers");
    missing[NBDKIT_SPARSE] = nbdkit_open(&sparse_disk, "sparse", LARGE);
    missing[NBDKIT_MALLOC] = nbdkit_open(&malloc_disk, "malloc", LARGE);
    for (i = 0; i < PEER_COUNT; i++) {
        if (missing[i] == NULL) {
            fill(peers[i].write, i == LIST_4K ? HOT : LARGE);
        }
    }
    bench_require(pool_read(pool_4k, &last[0], LARGE - 1, 1) == 1 && last[0] == 1 &&
                      pool_read(pool_64k, &last[1], LARGE - 1, 1) == 1 && last[1] == 1,
                  "filling the pools");
}

void peers_close(void)
{
    if (missing[NBDKIT_SPARSE] == NULL) {
        nbdkit_close(&sparse_disk);
    }
    if (missing[NBDKIT_MALLOC] == NULL) {
        nbdkit_close(&malloc_disk);
    }
    linked_list_destroy(list_64k);
    linked_list_destroy(list_4k);
    pool_destroy(pool_64k);
    pool_destroy(pool_4k);
    close(memory_file);
    munmap(mapped, LARGE);
    free(flat);
    pool_trim();
}

const char *peers_missing(PeerIndex which)
{
    return missing[which];
}

unsigned char *peers_flat(void)
{
    return flat;
}

MemoryPool *peers_pool(PeerIndex which)
{
    return which == POOL_4K ? pool_4k : pool_64k;
}

/* ---------------------------------------------------------------------- timing */

/* Batches of transfers until the time is up, so that slow and fast ones take alike. */
double timed_transfers(const void *context)
{
    static _Alignas(4096) unsigned char buffer[1 << 20];
    static uint64_t state = RANDOM_SEED;
    const Timed *timed = context;
    Transfer volatile transfer = timed->transfer;
    size_t span = timed->span, size = timed->size, count = 0, i;
    size_t batch = size <= 128 ? 8192 : MIB / size;
    double end = bench_options.quick ? 2e6 : 50e6, start = bench_now(), time;
    do {
        for (i = 0; i < batch; i++) {
            transfer(random_place(&state, span, size), size, buffer);
        }
        count += batch;
        time = bench_now() - start;
    } while (time < end);
    return time / (double)count;
}
