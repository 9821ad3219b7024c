/* SPDX-License-Identifier: MIT */
/* pin_peers.c - the rounds of a job, and what people use in place of pins; see pins.h */
#include "pins.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BYTE = 8 /* of a page, which is the one that is written to */, WARM_UP = 10 };

/* ------------------------------------------------------------------------ rounds */

/* All pages of the memory in random order, of which each round takes the next few. */
typedef struct PageOrder {
    uint32_t *pages;
    size_t count, next;
} PageOrder;

static PageOrder page_order(size_t size)
{
    PageOrder order = {.count = size / PAGE};
    uint64_t state = RANDOM_SEED;
    size_t i;
    order.pages = malloc(order.count * sizeof *order.pages);
    bench_require(order.pages != NULL, "malloc");
    for (i = 0; i < order.count; i++) {
        size_t other = random_place(&state, i + 1, 1);
        order.pages[i] = order.pages[other];
        order.pages[other] = (uint32_t)i;
    }
    return order;
}

static void write_pages(unsigned char *memory, PageOrder *order, size_t pages)
{
    size_t i;
    for (i = 0; i < pages; i++) {
        memory[(size_t)order->pages[order->next] * PAGE + BYTE]++;
        order->next = (order->next + 1) % order->count;
    }
    keep(memory);
}

static bool is_put_back(const unsigned char *memory, size_t size)
{
    size_t at;
    for (at = BYTE; at < size && memory[at] == 1; at += PAGE) {
    }
    return at >= size;
}

double pin_rounds(const PinJob *job, const PinWork *work)
{
    PageOrder order = page_order(job->size);
    double limit = bench_options.quick ? 2e6 : 60e6, time = 0;
    int round, least = bench_options.quick ? 2 : 5, counted = 0;
    for (round = 0; counted < least || (time < limit && counted < 300); round++) {
        double start = bench_now(), written, end;
        write_pages(work->memory, &order, job->pages);
        written = bench_now();
        work->act(work->context);
        end = bench_now();
        if (round >= WARM_UP) {
            time += end - (job->writes ? start : written);
            counted++;
        }
        if (work->after != NULL) {
            work->after(work->context);
        }
    }
    bench_require(!work->puts_back || is_put_back(work->memory, job->size),
                  "putting the memory back");
    free(order.pages);
    return time / counted / 1e3;
}

static unsigned char *full_of_ones(size_t size)
{
    unsigned char *memory = aligned_alloc(PAGE, size);
    bench_require(memory != NULL, "aligned_alloc");
    memset(memory, 1, size);
    keep(memory);
    return memory;
}

/* -------------------------------------------------------------------------- scan */

typedef struct Scanned {
    ScannedMemory memory;
    unsigned char *base;
    size_t pages; /* that each round writes to */
} Scanned;

static void scan_back(void *context)
{
    Scanned *it = context;
    size_t count = page_scan_written(&it->memory), i;
    for (i = 0; i < count; i++) {
        unsigned char *page = (unsigned char *)(uintptr_t)it->memory.ranges[i].start;
        memcpy(page, it->base + (page - it->memory.memory),
               it->memory.ranges[i].end - it->memory.ranges[i].start);
    }
    page_scan_protect(&it->memory, count);
}

static double scanned_rounds(const PinJob *job, void (*act)(void *),
                             void (*after)(void *))
{
    Scanned it = {.base = full_of_ones(job->size), .pages = job->pages};
    PinWork work = {NULL, act, after, &it, true};
    bench_require(page_scan_open(&it.memory, job->size) == NULL, "PAGEMAP_SCAN");
    work.memory = it.memory.memory;
    return pin_rounds(job, &work);
}

double put_back_by_scan(const void *job)
{
    return scanned_rounds(job, scan_back, NULL);
}

static void scan_for_each(void *context)
{
    Scanned *it = context;
    unsigned char *at = it->memory.memory;
    PageRange range = {0, 0, 0};
    size_t found = 0;
    while (page_scan_next(&it->memory, &at, &range)) {
        unsigned char *page = (unsigned char *)(uintptr_t)range.start;
        for (; page < at; page += PAGE) {
            found += memcmp(page, it->base + (page - it->memory.memory), PAGE) != 0;
        }
    }
    bench_require(found == it->pages, "finding what was written");
}

double find_by_scans(const void *job)
{
    return scanned_rounds(job, scan_for_each, scan_back);
}

const char *put_back_by_scan_missing(void)
{
    ScannedMemory memory;
    const char *missing = page_scan_open(&memory, 16 * PAGE);
    (void)close(memory.faults);
    (void)close(memory.pagemap);
    (void)munmap(memory.memory, memory.size);
    free(memory.ranges);
    return missing;
}

/* ---------------------------------------------------------------- memcpy, memcmp */

typedef struct Copied {
    unsigned char *memory, *base;
    size_t size;
} Copied;

static Copied copied_make(size_t size)
{
    Copied it = {full_of_ones(size), full_of_ones(size), size};
    return it;
}

static void copy_back(void *context)
{
    Copied *it = context;
    memcpy(it->memory, it->base, it->size);
    keep(it->memory);
}

double put_back_by_memcpy(const void *context)
{
    const PinJob *job = context;
    Copied it = copied_make(job->size);
    PinWork work = {it.memory, copy_back, NULL, &it, true};
    return pin_rounds(job, &work);
}

static void pages_back(void *context)
{
    Copied *it = context;
    size_t at;
    for (at = 0; at < it->size; at += PAGE) {
        memcpy(it->memory + at, it->base + at, PAGE);
    }
    keep(it->memory);
}

double put_back_by_pages(const void *context)
{
    const PinJob *job = context;
    Copied it = copied_make(job->size);
    PinWork work = {it.memory, pages_back, NULL, &it, true};
    return pin_rounds(job, &work);
}

static void compare_back(void *context)
{
    Copied *it = context;
    size_t at;
    for (at = 0; at < it->size; at += PAGE) {
        if (memcmp(it->memory + at, it->base + at, PAGE) != 0) {
            memcpy(it->memory + at, it->base + at, PAGE);
        }
    }
    keep(it->memory);
}

double put_back_by_memcmp(const void *context)
{
    const PinJob *job = context;
    Copied it = copied_make(job->size);
    PinWork work = {it.memory, compare_back, NULL, &it, true};
    return pin_rounds(job, &work);
}

/* ----------------------------------------------------------------------- SIGSEGV */

/* One a process: the handler has no other way to know. */
static Copied faulting;
static unsigned char **faulted;
static size_t faulted_count;

static void allow_page(int signal_number, siginfo_t *info, void *context)
{
    unsigned char *at = info->si_addr;
    (void)signal_number;
    (void)context;
    if (at < faulting.memory || at >= faulting.memory + faulting.size) {
        _exit(1);
    }
    at -= (uintptr_t)at % PAGE;
    faulted[faulted_count++] = at;
    (void)mprotect(at, PAGE, PROT_READ | PROT_WRITE);
}

static void fault_back(void *context)
{
    size_t i;
    (void)context;
    for (i = 0; i < faulted_count; i++) {
        memcpy(faulted[i], faulting.base + (faulted[i] - faulting.memory), PAGE);
        bench_require(mprotect(faulted[i], PAGE, PROT_READ) == 0, "mprotect");
    }
    faulted_count = 0;
}

double put_back_by_faults(const void *context)
{
    const PinJob *job = context;
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    PinWork work = {.act = fault_back, .puts_back = true};
    faulting = copied_make(job->size);
    faulted = malloc(job->size / PAGE * sizeof *faulted);
    action.sa_sigaction = allow_page;
    bench_require(faulted != NULL && sigaction(SIGSEGV, &action, NULL) == 0 &&
                      mprotect(faulting.memory, faulting.size, PROT_READ) == 0,
                  "protecting the memory");
    work.memory = faulting.memory;
    return pin_rounds(job, &work);
}

/* -------------------------------------------------------------------------- fork */

/* The child's copies end with it; so the writes are always part of what is timed. */
double put_back_by_fork(const void *context)
{
    const PinJob *job = context;
    unsigned char *memory = full_of_ones(job->size);
    PageOrder order = page_order(job->size);
    double start = 0;
    int round, count = bench_options.quick ? 2 : 7;
    for (round = -1; round < count; round++) {
        pid_t child;
        int status;
        if (round == 0) {
            start = bench_now();
        }
        child = fork();
        if (child == 0) {
            write_pages(memory, &order, job->pages);
            _exit(0);
        }
        bench_require(child > 0 && waitpid(child, &status, 0) == child && status == 0,
                      "fork");
        order.next = (order.next + job->pages) % order.count;
    }
    start = bench_now() - start;
    bench_require(is_put_back(memory, job->size), "fork, which keeps the memory");
    free(order.pages);
    return start / count / 1e3;
}
