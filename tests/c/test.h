/* SPDX-License-Identifier: MIT */
/*
 * test.h - the little that the C tests need from a framework
 *
 * A test is a function; main hands the list of them to test_main, which runs them in
 * order and prints each name. A check that does not hold prints both operands, the place,
 * the running test and the seed, and ends the process with 1 at once: other threads may
 * be at work on the same pools, so there is no state worth going on with. Checks are
 * functions and not assert(), so they hold in release builds as well.
 *
 *     program [--seed=N] [part of a test's name]
 *
 * TEST_SEED in the environment is the same as --seed. TEST_SCALE is a percentage for the
 * number of repetitions: 10 for a quick look, 10000 for a night. Without it, builds with
 * a sanitizer do a fifth of the work, because each step costs them several times more.
 */
#ifndef TEST_H
#define TEST_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory_pool.h"

#if defined(__has_feature)
#  if __has_feature(thread_sanitizer)
#    define TEST_TSAN 1
#  endif
#  if __has_feature(address_sanitizer)
#    define TEST_ASAN 1
#  endif
#endif
#if defined(__SANITIZE_THREAD__)
#  define TEST_TSAN 1
#endif
#if defined(__SANITIZE_ADDRESS__)
#  define TEST_ASAN 1
#endif

/* Without a lock nothing is read (OPTIMISTIC_ALLOWED in pool_lock.c). */
#if defined(TEST_TSAN) || defined(TEST_ASAN)
#  define TEST_READS_LOCK 1
#endif

#define TEST_COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef struct TestCase {
    const char *name;
    void (*run)(void);
} TestCase;

/* A test that is defined and not listed is an unused function, which the compiler
 * reports: no test is forgotten in silence. */
#define TEST(name) static void name(void)
#define TEST_CASE(name) {#name, name}
#define TEST_MAIN(cases)                                                                 \
    int main(int argc, char **argv)                                                      \
    {                                                                                    \
        return test_main(argc, argv, cases, TEST_COUNT(cases));                          \
    }

/* ---------------------------------------------------------------------- state */

/* Set by test_main before the first test starts, so that threads only read it. */
static const char *test_running = "(none)";
static uint64_t test_seed = 1;
static size_t test_skipped;

/* How a failed check ends the process; a fuzzer has to see a crash. */
#if !defined(TEST_END)
#  define TEST_END() _Exit(1)
#endif

static inline void test_fail_at(const char *file, int line)
{
    fprintf(stderr, "  in %s, --seed=%llu\n%s:%d: FAILED\n", test_running,
            (unsigned long long)test_seed, file, line);
    fflush(NULL);
    TEST_END();
}

/* How often to do what is done n times at scale 100; at least once. */
static inline unsigned test_times(unsigned n)
{
    const char *text = getenv("TEST_SCALE");
    unsigned long long scale = text != NULL ? strtoull(text, NULL, 10) : 100;
#if defined(TEST_TSAN) || defined(TEST_ASAN)
    if (text == NULL)
        scale = 20;
#endif
    unsigned long long times = (unsigned long long)n * scale / 100;
    return times == 0 ? 1u : (unsigned)times;
}

/* Says aloud that the running test does nothing here; its caller returns. */
static inline void test_skip(const char *why)
{
    printf("  skipped: %s\n", why);
    test_skipped++;
}

static inline int test_main(int argc, char **argv, const TestCase *cases, size_t count)
{
    const char *filter = "";
    const char *seed = getenv("TEST_SEED");
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--seed=", 7) == 0)
            seed = argv[i] + 7;
        else
            filter = argv[i];
    }
    if (seed != NULL)
        test_seed = strtoull(seed, NULL, 10);

    size_t ran = 0;
    for (size_t i = 0; i < count; i++) {
        if (strstr(cases[i].name, filter) == NULL)
            continue;
        test_running = cases[i].name;
        printf("%s\n", test_running);
        fflush(stdout); /* a crash must not take the name with it */
        cases[i].run();
        ran++;
    }
    printf("%zu of %zu tests passed, %zu skipped\n", ran - test_skipped, count,
           test_skipped);
    return ran == 0; /* a filter that matches nothing has tested nothing */
}

/* --------------------------------------------------------------------- checks */

#define CHECK(condition) test_check(__FILE__, __LINE__, #condition, (condition) != 0)
#define CHECK_EQ_SIZE(a, b) test_eq_size(__FILE__, __LINE__, #a, #b, (a), (b))
#define CHECK_LE_SIZE(a, b) test_le_size(__FILE__, __LINE__, #a, #b, (a), (b))
#define CHECK_EQ_INT(a, b) test_eq_int(__FILE__, __LINE__, #a, #b, (a), (b))
#define CHECK_EQ_TEXT(a, b) test_eq_text(__FILE__, __LINE__, #a, #b, (a), (b))
/* That they are the same memory; AddressSanitizer's views are copies (guard.c). */
#if defined(TEST_ASAN)
#  define CHECK_SHARED(a, b, size) CHECK_MEM(a, b, size)
#else
#  define CHECK_SHARED(a, b, size) CHECK((const void *)(a) == (const void *)(b))
#endif
#define CHECK_MEM(a, b, size) test_mem(__FILE__, __LINE__, #a, #b, (a), (b), (size))
/* CHECK_STATUS: what the last call left behind. CHECK_RETURNS: for calls whose result
 * is a status, which must be the same as what they leave behind. */
#define CHECK_STATUS(status) test_status(__FILE__, __LINE__, (status), pool_last_status())
#define CHECK_RETURNS(call, status)                                                      \
    do {                                                                                 \
        test_status(__FILE__, __LINE__, (status), (call));                               \
        CHECK_STATUS(status);                                                            \
    } while (0)
#define CHECK_BYTES(a, byte, size)                                                       \
    test_bytes(__FILE__, __LINE__, #a, (a), (unsigned char)(byte), (size))

static inline void test_check(const char *file, int line, const char *text, int holds)
{
    if (holds)
        return;
    fprintf(stderr, "  not so: %s\n", text);
    test_fail_at(file, line);
}

static inline void test_eq_size(const char *file, int line, const char *a_text,
                                const char *b_text, size_t a, size_t b)
{
    if (a == b)
        return;
    fprintf(stderr, "  %s == %s: %zu (0x%zx) is not %zu (0x%zx)\n", a_text, b_text, a, a,
            b, b);
    test_fail_at(file, line);
}

static inline void test_le_size(const char *file, int line, const char *a_text,
                                const char *b_text, size_t a, size_t b)
{
    if (a <= b)
        return;
    fprintf(stderr, "  %s <= %s: %zu is above %zu\n", a_text, b_text, a, b);
    test_fail_at(file, line);
}

static inline void test_eq_int(const char *file, int line, const char *a_text,
                               const char *b_text, int a, int b)
{
    if (a == b)
        return;
    fprintf(stderr, "  %s == %s: %d is not %d\n", a_text, b_text, a, b);
    test_fail_at(file, line);
}

static inline void test_eq_text(const char *file, int line, const char *a_text,
                                const char *b_text, const char *a, const char *b)
{
    if (strcmp(a, b) == 0)
        return;
    fprintf(stderr, "  %s == %s: \"%s\" is not \"%s\"\n", a_text, b_text, a, b);
    test_fail_at(file, line);
}

static inline void test_status(const char *file, int line, PoolStatus expected,
                               PoolStatus status)
{
    if (expected == status)
        return;
    fprintf(stderr, "  status is %d (%s), not %d (%s)\n", (int)status,
            pool_status_text(status), (int)expected, pool_status_text(expected));
    test_fail_at(file, line);
}

static inline void test_mem(const char *file, int line, const char *a_text,
                            const char *b_text, const void *a, const void *b, size_t size)
{
    const unsigned char *left = a, *right = b;
    if (size == 0 || memcmp(a, b, size) == 0)
        return;
    size_t at = 0;
    while (left[at] == right[at])
        at++;
    fprintf(stderr, "  %s and %s differ first at %zu of %zu bytes: 0x%02x and 0x%02x\n",
            a_text, b_text, at, size, left[at], right[at]);
    test_fail_at(file, line);
}

static inline void test_bytes(const char *file, int line, const char *text, const void *a,
                              unsigned char byte, size_t size)
{
    const unsigned char *bytes = a;
    size_t at = 0;
    while (at < size && bytes[at] == byte)
        at++;
    if (at == size)
        return;
    fprintf(stderr, "  %s: byte %zu of %zu is 0x%02x, not 0x%02x\n", text, at, size,
            bytes[at], byte);
    test_fail_at(file, line);
}

/* ------------------------------------------------------------ chance and bytes */

/* splitmix64: an odd constant added to a counter, then mixed. Any start is a good one,
 * so a seed can be as simple as 1. */
typedef struct TestRandom {
    uint64_t state;
} TestRandom;

static inline uint64_t test_random(TestRandom *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A number in [0, bound); bound is at least 1. The slight preference of % for small
 * numbers does not matter here. */
static inline size_t test_below(TestRandom *random, size_t bound)
{
    return (size_t)(test_random(random) % bound);
}

static inline void test_random_bytes(TestRandom *random, unsigned char *to, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (unsigned char)(test_random(random) >> 56);
}

static inline void *test_alloc(size_t size)
{
    void *memory = malloc(size);
    CHECK(memory != NULL);
    return memory;
}

#endif /* TEST_H */
