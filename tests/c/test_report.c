/* SPDX-License-Identifier: MIT */
/*
 * test_report.c - who holds what, made where; and, in builds with POOL_DEBUG, calls with a
 * dead pool or none, which end the process with a message
 */
#if !defined(_WIN32) && !defined(_DEFAULT_SOURCE)
#  define _DEFAULT_SOURCE 1
#endif

#include "pools.h"

#if !defined(_WIN32)
#  include <signal.h>
#  include <sys/wait.h>
#  include <unistd.h>
#endif

enum { BLOCK = 1024, TOTAL = 64 * BLOCK, MOST = 32 };

#if defined(POOL_DEBUG)
enum { IS_DEBUG = 1 };
#else
enum { IS_DEBUG = 0 };
#endif

/* ------------------------------------------------------------------- the report */

typedef struct Reports {
    PoolReport all[MOST];
    size_t count;
} Reports;

static void keep(const PoolReport *report, void *context)
{
    Reports *reports = context;
    CHECK(reports->count < MOST);
    CHECK_EQ_SIZE(report->struct_size, sizeof *report);
    reports->all[reports->count++] = *report;
}

static Reports report_all(void)
{
    Reports reports = {.count = 0};
    CHECK_RETURNS(pool_report(keep, &reports), POOL_OK);
    return reports;
}

/* The one about a handle. */
static PoolReport report_about(PoolReportKind kind, const void *handle)
{
    Reports reports = report_all();
    for (size_t i = 0; i < reports.count; i++) {
        if (reports.all[i].kind == (size_t)kind && reports.all[i].handle == handle)
            return reports.all[i];
    }
    fprintf(stderr, "  no report about %p\n", handle);
    test_fail_at(__FILE__, __LINE__);
    return reports.all[0];
}

/* A build without POOL_DEBUG does not know; other builds know the line, if it was made
 * through a macro. */
static void check_line(PoolReport report, size_t line)
{
    CHECK_EQ_INT(report.file != NULL, IS_DEBUG);
    CHECK_EQ_INT(report.address != NULL, IS_DEBUG);
    CHECK_EQ_SIZE(report.line, IS_DEBUG ? line : 0);
    if (report.file != NULL)
        CHECK_EQ_TEXT(report.file, __FILE__);
}

TEST(nothing_lives)
{
    CHECK_EQ_SIZE(report_all().count, 0);
}

TEST(families_and_pools_are_told_the_oldest_first)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0), *clone, *other;
    CHECK_RETURNS(pool_fill(pool, 0, 1, 3 * BLOCK), POOL_OK);
    clone = pool_clone(pool);
    CHECK_RETURNS(pool_fill(clone, 0, 2, BLOCK), POOL_OK);
    CHECK(pool_retain(clone) == clone);
    other = make(SIZE_MAX, BLOCK, 0);

    Reports reports = report_all();
    const PoolReport *at = reports.all;
    CHECK_EQ_SIZE(reports.count, 5);
    for (size_t i = 0; i < 2; i++, at++) {
        CHECK_EQ_SIZE(at->kind, POOL_REPORT_FAMILY);
        CHECK(at->handle == at->family);
        CHECK_EQ_SIZE(at->references, i == 0 ? 2 : 1);
        CHECK_EQ_SIZE(at->held_bytes, i == 0 ? 4 * BLOCK : 0);
    }
    for (size_t i = 0; i < 3; i++, at++) {
        CHECK_EQ_SIZE(at->kind, POOL_REPORT_POOL);
        CHECK(at->handle == (i == 0 ? pool : i == 1 ? clone : other));
        CHECK(at->family == reports.all[i == 2].handle);
        CHECK_EQ_SIZE(at->references, i == 1 ? 2 : 1);
        CHECK_EQ_SIZE(at->size, i == 2 ? SIZE_MAX : TOTAL);
        CHECK_EQ_SIZE(at->held_bytes, i == 2 ? 0 : 3 * BLOCK);
        CHECK_EQ_SIZE(at->shared_bytes, i == 2 ? 0 : 2 * BLOCK);
        CHECK_EQ_SIZE(at->views, 0);
        CHECK_EQ_SIZE(at->pins, 0);
    }
    pool_destroy(clone);
    CHECK_EQ_SIZE(report_about(POOL_REPORT_POOL, clone).references, 1);
    pool_destroy(clone);
    pool_destroy(pool);
    CHECK_EQ_SIZE(report_all().count, 2);
    pool_destroy(other);
    CHECK_EQ_SIZE(report_all().count, 0);
}

/* Three pins in two, of which one is used twice; and what they share with a view. */
TEST(views_and_pins_are_counted)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    PoolView view = {.struct_size = sizeof view}, pins[3] = {view, view, view};
    CHECK_RETURNS(pool_view(pool, 5, 10, &view), POOL_OK);
    CHECK_RETURNS(pool_pin(pool, 2 * BLOCK, 2 * BLOCK, &pins[0]), POOL_OK);
    CHECK_RETURNS(pool_pin(pool, 3 * BLOCK, 7, &pins[1]), POOL_OK);
    CHECK_RETURNS(pool_pin(pool, 9 * BLOCK, 8, &pins[2]), POOL_OK);

    PoolReport report = report_about(POOL_REPORT_POOL, pool);
    CHECK_EQ_SIZE(report.views, 4);
    CHECK_EQ_SIZE(report.pins, 3);
    CHECK_EQ_SIZE(report_all().count, IS_DEBUG ? 6 : 2);
    if (IS_DEBUG) {
        report = report_about(POOL_REPORT_VIEW, view.data);
        CHECK_EQ_SIZE(report.size, 10);
        CHECK_EQ_SIZE(report.references, 1);
        CHECK(report.family == view.family);
        CHECK_EQ_SIZE(report_about(POOL_REPORT_PIN, pins[1].data).size, 7);
    }
    for (size_t i = 0; i < 3; i++)
        pool_view_release(&pins[i]);
    report = report_about(POOL_REPORT_POOL, pool);
    CHECK_EQ_SIZE(report.pins, 0);
    CHECK_EQ_SIZE(report.views, 1);

    /* A view holds the family, without a pool. */
    pool_destroy(pool);
    report = report_about(POOL_REPORT_FAMILY, view.family);
    CHECK_EQ_SIZE(report.views, 1);
    CHECK_EQ_SIZE(report.references, 1);
    CHECK_EQ_SIZE(report_all().count, IS_DEBUG ? 2 : 1);
    pool_view_release(&view);
    pool_view_release(&view); /* does nothing */
    CHECK_EQ_SIZE(report_all().count, 0);
}

/* ------------------------------------------------------------------- the places */

TEST(the_line_is_told_of_whatever_is_made)
{
    const PoolOptions options = {sizeof options, TOTAL, BLOCK, 0, 0};
    PoolView view = {.struct_size = sizeof view}, pin = view;
    size_t line = __LINE__;
    MemoryPool *pool = pool_create(TOTAL, BLOCK);
    MemoryPool *with = pool_create_with(&options);
    MemoryPool *clone = pool_clone(pool);
    CHECK(pool_view(pool, 0, 1, &view) == POOL_OK);
    CHECK(pool_pin(pool, 0, 1, &pin) == POOL_OK);
    check_line(report_about(POOL_REPORT_POOL, pool), line + 1);
    check_line(report_about(POOL_REPORT_POOL, with), line + 2);
    check_line(report_about(POOL_REPORT_POOL, clone), line + 3);
    if (IS_DEBUG) {
        check_line(report_about(POOL_REPORT_VIEW, view.data), line + 4);
        check_line(report_about(POOL_REPORT_PIN, pin.data), line + 5);
    }
    pool_view_release(&pin);
    pool_view_release(&view);
    pool_destroy(pool);
    pool_destroy(with);
    pool_destroy(clone);
}

/* The functions themselves, as code calls them that was compiled without POOL_DEBUG. */
TEST(functions_have_addresses_and_need_no_macro)
{
    MemoryPool *(*create)(size_t, size_t) = pool_create;
    MemoryPool *(*copy)(MemoryPool *) = pool_clone;
    void (*destroy)(MemoryPool *) = pool_destroy;
    MemoryPool *pool = create(TOTAL, BLOCK), *clone = copy(pool);
    MemoryPool *third = (pool_create)(TOTAL, BLOCK), *pools[] = {pool, clone, third};
    for (size_t i = 0; i < 3; i++) {
        PoolReport report = report_about(POOL_REPORT_POOL, pools[i]);
        CHECK(report.file == NULL);
        CHECK_EQ_SIZE(report.line, 0);
        CHECK_EQ_INT(report.address != NULL, IS_DEBUG);
        destroy(pools[i]);
    }
}

static MemoryPool *helper(size_t *calls, size_t *line)
{
    ++*calls;
    *line = __LINE__ + 1;
    return pool_create(TOTAL, BLOCK);
}

/* An argument is evaluated once, and may itself make something. */
TEST(calls_in_arguments_keep_their_lines)
{
    size_t calls = 0, inner, line = __LINE__ + 1;
    MemoryPool *clone = pool_clone(helper(&calls, &inner));
    CHECK_EQ_SIZE(calls, 1);
    Reports reports = report_all();
    CHECK_EQ_SIZE(reports.count, 3);
    check_line(reports.all[1], inner);
    check_line(reports.all[2], line);
    pool_destroy((MemoryPool *)(uintptr_t)reports.all[1].handle);
    pool_destroy(clone);
}

TEST(a_place_can_be_set_and_unset)
{
    MemoryPool *pool;
    pool_destroy(NULL);
    CHECK(pool_write(NULL, 0, "", 1) == 0);
    pool_place("elsewhere", 7);
    CHECK_STATUS(POOL_INVALID); /* it does not count as a call */
    pool = (pool_create)(TOTAL, BLOCK);
    pool_place(NULL, 0);
    PoolReport report = report_about(POOL_REPORT_POOL, pool);
    if (IS_DEBUG)
        CHECK_EQ_TEXT(report.file, "elsewhere");
    else
        CHECK(report.file == NULL);
    CHECK_EQ_SIZE(report.line, IS_DEBUG ? 7 : 0);
    pool_destroy(pool);
}

/* ----------------------------------------------------------- memory, and callbacks */

TEST(without_memory_nothing_is_told)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0);
    Reports reports = {.count = 0};
    (void)pool_fail_allocation(1);
    CHECK_RETURNS(pool_report(keep, &reports), POOL_NO_MEMORY);
    CHECK_EQ_SIZE(pool_fail_allocation(0), 0);
    CHECK_EQ_SIZE(reports.count, 0);
    pool_destroy(pool);
}

/* Ends each pool of which it is told, and makes another one that it is not told of. */
static void replace(const PoolReport *report, void *context)
{
    MemoryPool ***next = context;
    if (report->kind == POOL_REPORT_POOL) {
        pool_destroy((MemoryPool *)(uintptr_t)report->handle);
        *(*next)++ = make(TOTAL, BLOCK, 0);
        CHECK_EQ_SIZE(stats_of((*next)[-1]).references, 1);
    }
}

TEST(the_callback_may_call_the_library)
{
    MemoryPool *pool = make(TOTAL, BLOCK, 0), *made[4], **next = made;
    CHECK(pool_clone(pool) != NULL);
    CHECK_RETURNS(pool_report(replace, &next), POOL_OK);
    CHECK_EQ_SIZE((size_t)(next - made), 2);
    CHECK_EQ_SIZE(report_all().count, 4);
    pool_destroy(made[0]);
    pool_destroy(made[1]);
}

#if !defined(_WIN32)

static void check_says(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fprintf(stderr, "  \"%s\" is not in \"%s\"\n", part, text);
        test_fail_at(__FILE__, __LINE__);
    }
}

/* What pool_report prints, through a pipe, which has room for it. */
static void print_report(char *text, size_t size)
{
    int ends[2], stderr_before = dup(2);
    CHECK(stderr_before >= 0 && pipe(ends) == 0);
    fflush(stderr);
    CHECK(dup2(ends[1], 2) == 2);
    PoolStatus status = pool_report(NULL, NULL);
    fflush(stderr);
    CHECK(dup2(stderr_before, 2) == 2);
    close(ends[1]);
    close(stderr_before);
    CHECK(status == POOL_OK);
    ssize_t got = read(ends[0], text, size - 1);
    CHECK(got > 0);
    text[got] = '\0';
    close(ends[0]);
}

TEST(without_a_callback_lines_are_printed)
{
    MemoryPool *pool = pool_create(TOTAL, BLOCK), *plain = (pool_create)(TOTAL, BLOCK);
    size_t line = __LINE__ - 1;
    PoolView view = {.struct_size = sizeof view}, pin = view;
    char text[4096], expected[256];
    CHECK_RETURNS(pool_fill(pool, 0, 1, 3 * BLOCK), POOL_OK);
    CHECK_RETURNS(pool_view(pool, 0, 100, &view), POOL_OK);
    CHECK_RETURNS(pool_pin(pool, BLOCK, 50, &pin), POOL_OK);
    print_report(text, sizeof text);

    snprintf(expected, sizeof expected, "family %p, 2 views and pins, 3072 held, 3",
             view.family);
    check_says(text, expected);
    snprintf(expected, sizeof expected,
             "pool %p of family %p, 65536 bytes, 1024 shared, 1 pins, 3072 held, 1 ref",
             (void *)pool, view.family);
    check_says(text, expected);
    snprintf(expected, sizeof expected, ", made at %s:%zu\n", __FILE__, line);
    CHECK_EQ_INT(strstr(text, expected) != NULL, IS_DEBUG);
    CHECK_EQ_INT(strstr(text, ", made at address ") != NULL, IS_DEBUG);
    snprintf(expected, sizeof expected, "view %p of family %p, 100 bytes, made at ",
             view.data, view.family);
    CHECK_EQ_INT(strstr(text, expected) != NULL, IS_DEBUG);
    snprintf(expected, sizeof expected, "pin %p of family %p, 50 bytes, made at ",
             pin.data, view.family);
    CHECK_EQ_INT(strstr(text, expected) != NULL, IS_DEBUG);

    pool_view_release(&view);
    pool_view_release(&pin);
    pool_destroy(pool);
    pool_destroy(plain);
}

#endif

/* ---------------------------------------------------------- handles that are none */

#if defined(POOL_DEBUG) && !defined(_WIN32)

/* Runs something in a child; what it says on stderr is in text then. Returns how it
 * ended. */
static int run_child(void (*run)(void *), void *context, char *text, size_t size)
{
    int ends[2], status;
    size_t got = 0;
    ssize_t n;
    CHECK(pipe(ends) == 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(ends[1], 2);
        run(context);
        fflush(NULL);
        _exit(0);
    }
    close(ends[1]);
    while (got < size - 1 && (n = read(ends[0], text + got, size - 1 - got)) > 0)
        got += (size_t)n;
    close(ends[0]);
    text[got] = '\0';
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

/* Runs what must end the process, by abort(), with a message that has all of these parts;
 * NULL: no more. */
static void check_dies(void (*run)(void *), void *context, const char *const *parts)
{
    char text[16384];
    int status = run_child(run, context, text, sizeof text);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        fprintf(stderr, "  the process lives on: %s\n", text);
        test_fail_at(__FILE__, __LINE__);
    }
#  if defined(TEST_ASAN)
    if (strstr(text, "heap-use-after-free") != NULL)
        return; /* it has freed the handle, and says so with the stacks */
#  endif
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    for (size_t i = 0; parts[i] != NULL; i++)
        check_says(text, parts[i]);
}

/* A call of each function with a pool, and with another one for those that have two. */
typedef struct Call {
    const char *name;
    void (*run)(MemoryPool *pool, MemoryPool *other);
} Call;

static unsigned char bytes[64];
static size_t numbers[3];
static uint64_t old_number;
static PoolView some_view = {.struct_size = sizeof some_view};
static PoolStats some_stats = {.struct_size = sizeof some_stats};

#  define CALL(name, arguments)                                                          \
      static void call_##name(MemoryPool *pool, MemoryPool *other)                       \
      {                                                                                  \
          (void)pool, (void)other;                                                       \
          (void)pool_##name arguments;                                                   \
      }

CALL(retain, (pool))
CALL(destroy, (pool))
CALL(write, (pool, 0, bytes, 8))
CALL(read, (pool, bytes, 0, 8))
CALL(fill, (pool, 0, 1, 8))
CALL(discard, (pool, 0, 8))
CALL(take, (pool, bytes, 0, 8))
CALL(copy, (pool, 0, other, 0, 8))
CALL(resize, (pool, 100))
CALL(gather, (pool, bytes, numbers, 2, 8))
CALL(scatter, (pool, numbers, bytes, 2, 8))
CALL(read_many, (pool, bytes, numbers, numbers, 2))
CALL(write_many, (pool, numbers, numbers, bytes, 2))
CALL(fetch_add, (pool, 0, 8, 1, &old_number))
CALL(compare_exchange, (pool, 0, 8, 1, 2, &old_number))
CALL(clone, (pool))
CALL(restore, (pool, other))
CALL(next_extent, (pool, 0, 8, numbers, numbers + 1))
CALL(next_change, (pool, other, 0, 8, numbers, numbers + 1))
CALL(next_state, (pool, 0, 8, numbers, numbers + 1, numbers + 2))
CALL(digest, (pool, bytes))
CALL(same, (pool, other))
CALL(next_difference, (pool, other, 0, 8, numbers, numbers + 1))
CALL(find, (pool, bytes, 1, 0, 8, numbers))
CALL(view, (pool, 0, 8, &some_view))
CALL(pin, (pool, 0, 8, &some_view))
CALL(adopt, (pool, 0, bytes, 8, NULL, NULL))
CALL(set_limit, (pool, 0))
CALL(on_limit, (pool, NULL, NULL))
CALL(reset_peak, (pool, 0))
CALL(stats, (pool, &some_stats))

#  define CALL_ROW(name) {"pool_" #name, call_##name}

static const Call calls[] = {
    CALL_ROW(retain),
    CALL_ROW(destroy),
    CALL_ROW(write),
    CALL_ROW(read),
    CALL_ROW(fill),
    CALL_ROW(discard),
    CALL_ROW(take),
    CALL_ROW(copy),
    CALL_ROW(resize),
    CALL_ROW(gather),
    CALL_ROW(scatter),
    CALL_ROW(read_many),
    CALL_ROW(write_many),
    CALL_ROW(fetch_add),
    CALL_ROW(compare_exchange),
    CALL_ROW(clone),
    CALL_ROW(restore),
    CALL_ROW(next_extent),
    CALL_ROW(next_change),
    CALL_ROW(next_state),
    CALL_ROW(digest),
    CALL_ROW(same),
    CALL_ROW(next_difference),
    CALL_ROW(find),
    CALL_ROW(view),
    CALL_ROW(pin),
    CALL_ROW(adopt),
    CALL_ROW(set_limit),
    CALL_ROW(on_limit),
    CALL_ROW(reset_peak),
    CALL_ROW(stats),
};

typedef struct CallWith {
    const Call *call;
    MemoryPool *pool, *other;
} CallWith;

static void call_with(void *context)
{
    const CallWith *with = context;
    with->call->run(with->pool, with->other);
}

static void check_each_call_dies(MemoryPool *pool, MemoryPool *other, const char *what)
{
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        char start[64];
        CallWith with = {&calls[i], pool, other};
        snprintf(start, sizeof start, "memory_pool: %s: 0x", calls[i].name);
        check_dies(call_with, &with, (const char *const[]){start, what, NULL});
    }
}

/* This names each function of the header that is given a pool. */
TEST(every_call_refuses_a_dead_pool)
{
    MemoryPool *pool = pool_create(TOTAL, BLOCK), *lives = pool_create(TOTAL, BLOCK);
    size_t made = __LINE__ - 1, ended = __LINE__ + 1;
    pool_destroy(pool);
    check_each_call_dies(pool, lives, "is a dead pool");

    char made_at[256], ended_at[256];
    CallWith with = {&calls[1], pool, NULL};
    snprintf(made_at, sizeof made_at, "    made at %s:%zu\n", __FILE__, made);
    snprintf(ended_at, sizeof ended_at, "    ended at %s:%zu\n", __FILE__, ended);
    check_dies(call_with, &with, (const char *const[]){made_at, ended_at, NULL});
    pool_destroy(lives);
}

TEST(calls_with_two_pools_check_the_second_one_too)
{
    static const char *const names[] = {"pool_copy", "pool_restore", "pool_next_change",
                                        "pool_same", "pool_next_difference"};
    MemoryPool *pool = pool_create(TOTAL, BLOCK), *lives = pool_create(TOTAL, BLOCK);
    pool_destroy(pool);
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        for (size_t k = 0; k < TEST_COUNT(names); k++) {
            CallWith with = {&calls[i], lives, pool};
            if (strcmp(names[k], calls[i].name) == 0)
                check_dies(call_with, &with,
                           (const char *const[]){names[k], "is a dead pool", NULL});
        }
    }
    pool_destroy(lives);
}

/* Pools are aligned to 64 bytes; the first one is not, and the second is not a pool. */
TEST(what_is_no_pool_is_refused)
{
    static union {
        unsigned char bytes[192];
        uint64_t aligned;
    } memory;
    uintptr_t line = ((uintptr_t)memory.bytes + 63) & ~(uintptr_t)63;
    MemoryPool *pool = pool_create(TOTAL, BLOCK);
    check_each_call_dies((MemoryPool *)(line + 8), pool, "is not a pool");
    check_each_call_dies((MemoryPool *)line, pool, "is not a pool");
    pool_destroy(pool);
}

/* The second word of a handle is the copy of the library that made it. */
TEST(a_pool_of_another_copy_of_the_library_is_refused)
{
    MemoryPool *pool = pool_create(TOTAL, BLOCK);
    uintptr_t *words = (uintptr_t *)(void *)pool, library = words[1];
    CallWith with = {&calls[2], pool, NULL};
    words[1]++;
    check_dies(call_with, &with,
               (const char *const[]){"pool_write", "is a foreign pool", __FILE__, NULL});
    words[1] = library;
    pool_destroy(pool);
}

static void release(void *view)
{
    pool_view_release(view);
}

TEST(a_view_that_was_copied_is_released_once)
{
    MemoryPool *pool = pool_create(TOTAL, BLOCK);
    PoolView view = {.struct_size = sizeof view}, pin = view, copies[2];
    CHECK_RETURNS(pool_view(pool, 0, 8, &view), POOL_OK);
    CHECK_RETURNS(pool_pin(pool, 0, 8, &pin), POOL_OK);
    copies[0] = view;
    copies[1] = pin;
    pool_view_release(&view);
    pool_view_release(&pin);
    for (size_t i = 0; i < 2; i++)
        check_dies(release, &copies[i],
                   (const char *const[]){"pool_view_release", "is a copy of a view",
                                         "made at", "ended at", __FILE__, NULL});
    pool_view_release(&view); /* itself once more is nothing */
    pool_destroy(pool);
}

TEST(what_is_no_view_is_refused)
{
    MemoryPool *pool = pool_create(TOTAL, BLOCK);
    PoolView view = {.struct_size = sizeof view}, wrong = view;
    static uintptr_t words[64];
    wrong.family = words;
    check_dies(release, &wrong, (const char *const[]){"is not a view", NULL});
    wrong.block = words;
    check_dies(release, &wrong, (const char *const[]){"is not a view", NULL});
    wrong.block = (char *)words + 1;
    check_dies(release, &wrong, (const char *const[]){"is not a view", NULL});

    CHECK_RETURNS(pool_view(pool, 0, 8, &view), POOL_OK);
    uintptr_t *record = view.block, library = record[1];
    record[1]++;
    check_dies(release, &view, (const char *const[]){"is a foreign view", NULL});
    record[1] = library;
    pool_view_release(&view);
    pool_destroy(pool);
}

/* The last few hundred pools are known after their end, though others were made since. */
TEST(a_dead_pool_is_known_for_a_while)
{
    MemoryPool *pool = pool_create(TOTAL, BLOCK);
    CallWith with = {&calls[2], pool, NULL};
    pool_destroy(pool);
    for (int i = 0; i < 200; i++)
        pool_destroy(pool_create(TOTAL, BLOCK));
    check_dies(call_with, &with, (const char *const[]){"is a dead pool", NULL});
    for (int i = 0; i < 1000; i++)
        pool_destroy(pool_create(TOTAL, BLOCK));
}

#endif

static const TestCase cases[] = {
    TEST_CASE(nothing_lives),
    TEST_CASE(families_and_pools_are_told_the_oldest_first),
    TEST_CASE(views_and_pins_are_counted),
    TEST_CASE(the_line_is_told_of_whatever_is_made),
    TEST_CASE(functions_have_addresses_and_need_no_macro),
    TEST_CASE(calls_in_arguments_keep_their_lines),
    TEST_CASE(a_place_can_be_set_and_unset),
    TEST_CASE(without_memory_nothing_is_told),
    TEST_CASE(the_callback_may_call_the_library),
#if !defined(_WIN32)
    TEST_CASE(without_a_callback_lines_are_printed),
#endif
#if defined(POOL_DEBUG) && !defined(_WIN32)
    TEST_CASE(every_call_refuses_a_dead_pool),
    TEST_CASE(calls_with_two_pools_check_the_second_one_too),
    TEST_CASE(what_is_no_pool_is_refused),
    TEST_CASE(a_pool_of_another_copy_of_the_library_is_refused),
    TEST_CASE(a_view_that_was_copied_is_released_once),
    TEST_CASE(what_is_no_view_is_refused),
    TEST_CASE(a_dead_pool_is_known_for_a_while),
#endif
};

TEST_MAIN(cases)
