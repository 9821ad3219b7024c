/* SPDX-License-Identifier: MIT */
/*
 * allocations.c - makes allocations of C code under test fail (fault injection)
 *
 * compile_c compiles this file together with the code, and passes --wrap=malloc and so on
 * to the linker: what the code calls malloc is then __wrap_malloc, and __real_malloc is
 * that of the C library. Other code in the process is not affected.
 *
 * pymempool_fail_allocation works as pool_fail_allocation of memory_pool.h does for the
 * library.
 */
#include <errno.h>
#include <stddef.h>

static size_t faults_left; /* how many allocations until one fails; 0: none will */

/* Set by Python, called when an allocation fails. */
void (*pymempool_allocation_failed)(void);

size_t pymempool_fail_allocation(size_t number);
size_t pymempool_fail_allocation(size_t number)
{
    return __atomic_exchange_n(&faults_left, number, __ATOMIC_SEQ_CST);
}

static int is_due(void)
{
    size_t left = __atomic_load_n(&faults_left, __ATOMIC_SEQ_CST);
    while (left > 0 && !__atomic_compare_exchange_n(&faults_left, &left, left - 1, 0,
                                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    if (left != 1) {
        return 0;
    }
    if (pymempool_allocation_failed != NULL) {
        pymempool_allocation_failed();
    }
    errno = ENOMEM;
    return 1;
}

/* Defines __wrap_NAME for a function that returns NULL without memory. */
#define WRAP(name, parameters, arguments)                                                \
    void *__real_##name parameters;                                                      \
    void *__wrap_##name parameters;                                                      \
    void *__wrap_##name parameters                                                       \
    {                                                                                    \
        return is_due() ? NULL : __real_##name arguments;                                \
    }

WRAP(malloc, (size_t size), (size))
WRAP(calloc, (size_t count, size_t size), (count, size))
WRAP(realloc, (void *memory, size_t size), (memory, size))
WRAP(reallocarray, (void *memory, size_t count, size_t size), (memory, count, size))
WRAP(aligned_alloc, (size_t alignment, size_t size), (alignment, size))
WRAP(strdup, (const char *text), (text))
WRAP(strndup, (const char *text, size_t size), (text, size))

int __real_posix_memalign(void **memory, size_t alignment, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size)
{
    return is_due() ? ENOMEM : __real_posix_memalign(memory, alignment, size);
}
