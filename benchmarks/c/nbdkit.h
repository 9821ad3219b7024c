/* SPDX-License-Identifier: MIT */
/* nbdkit.h - the allocators of an installed nbdkit, without its server; see nbdkit.c */
#ifndef NBDKIT_H
#define NBDKIT_H

#include "bench.h"

/* A disk of nbdkit's memory plugin. read and write return 0, or -1 on errors. */
typedef struct NbdkitDisk {
    int (*read)(void *handle, void *dest, uint32_t size, uint64_t offset, uint32_t flags);
    int (*write)(void *handle, const void *src, uint32_t size, uint64_t offset,
                 uint32_t flags);
    void *handle; /* what both want to be given */
    struct nbdkit_plugin *plugin;
    void *library;
    int file; /* the copy that the library was loaded from */
} NbdkitDisk;

/* Makes a disk of size bytes, kept by the allocator of that name, such as "sparse".
 * Returns NULL, or why there is none. */
const char *nbdkit_open(NbdkitDisk *disk, const char *allocator, size_t size);

void nbdkit_close(NbdkitDisk *disk);

#endif /* NBDKIT_H */
