/* SPDX-License-Identifier: MIT */
/*
 * pins.h - one job for pins and for their peers: write some pages of memory, find them, and
 * put them back
 */
#ifndef PINS_H
#define PINS_H

#include "page_scan.h"

typedef struct PinJob {
    size_t size;  /* of the memory, which is full of ones            */
    size_t pages; /* in each of which one byte is written to         */
    bool writes;  /* whether the writes are part of what is timed    */
} PinJob;

/* Memory and what is done to it after the writes; both may be given a context. */
typedef struct PinWork {
    unsigned char *memory;
    void (*act)(void *context);   /* timed                                           */
    void (*after)(void *context); /* not timed; NULL: nothing                        */
    void *context;
    bool puts_back; /* act makes the memory what it was, which is checked            */
} PinWork;

/* Microseconds for a round of the job: the mean of many, after some that do not count. */
double pin_rounds(const PinJob *job, const PinWork *work);

/* Measures, all of them with a PinJob and for a process of their own: the memory is put
 * back by what people use today. */
double put_back_by_scan(const void *job);   /* the floor: page_scan.h      */
double put_back_by_memcpy(const void *job); /* all of it                   */
double put_back_by_pages(const void *job);  /* all of it, page by page     */
double put_back_by_memcmp(const void *job); /* the pages that differ       */
double put_back_by_faults(const void *job); /* SIGSEGV, mprotect           */
double put_back_by_fork(const void *job);   /* a child writes, and ends    */

/* Not put back: a system call for each range that was written to, whose pages are compared.
 * The floor for a search that begins anew after each change. */
double find_by_scans(const void *job);

/* Why put_back_by_scan and find_by_scans cannot be measured here, or NULL. */
const char *put_back_by_scan_missing(void);

#endif /* PINS_H */
