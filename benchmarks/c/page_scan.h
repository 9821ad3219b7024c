/* SPDX-License-Identifier: MIT */
/*
 * page_scan.h - Linux's dirty page tracking, by its system calls alone
 *
 * The floor for pins: the same work without a library. userfaultfd in mode WP_ASYNC
 * protects pages, the ioctl PAGEMAP_SCAN lists those that were written to.
 */
#ifndef PAGE_SCAN_H
#define PAGE_SCAN_H

#include "bench.h"

enum { PAGE = 4096 };

/* The kernel's own: bytes [start, end). */
typedef struct PageRange {
    uint64_t start, end, categories;
} PageRange;

typedef struct ScannedMemory {
    unsigned char *memory;
    PageRange *ranges; /* room for one a page */
    size_t size;
    int faults, pagemap;
} ScannedMemory;

/* Maps size bytes, writes to each page, protects all. Returns why it cannot, or NULL. */
const char *page_scan_open(ScannedMemory *it, size_t size);

/* Puts the ranges that were written to into it->ranges and returns their number. */
size_t page_scan_written(ScannedMemory *it);

/* Finds the first range that was written to at *at or later, and makes *at its end; false
 * if there is none. One system call, which stops where the next range begins. */
bool page_scan_next(ScannedMemory *it, unsigned char **at, PageRange *found);

/* Protects the ranges again, which are the first count of it->ranges. */
void page_scan_protect(ScannedMemory *it, size_t count);

#endif /* PAGE_SCAN_H */
