/* SPDX-License-Identifier: MIT */
/*
 * test_python.c - the functions for CPython, with a fake interpreter
 *
 * The fake interpreter counts the references to its objects and the holders of its lock,
 * and fails if a thread acquires that lock while it holds a lock of the library. As in
 * test_meanwhile.c, the other thread's call is made when the library waits.
 */
#if !defined(_WIN32) && !defined(_DEFAULT_SOURCE)
#  define _DEFAULT_SOURCE 1
#endif
#if defined(_WIN32)
#  define WIN32_LEAN_AND_MEAN
#  include <windows.h>
#else
#  include <fcntl.h>
#  include <sched.h>
#  include <unistd.h>
#endif
#include <stddef.h>

static void (*at_wait)(void); /* happens at the next wait, once */
static int meanwhile_yield(void)
{
    void (*now)(void) = at_wait;
    at_wait = NULL;
    if (now != NULL)
        now();
    return 0;
}

#if defined(_WIN32)
#  define SwitchToThread() meanwhile_yield()
#else
#  define sched_yield() meanwhile_yield()
#endif

#include "internal.h"
#include "pools.h"

/* ------------------------------------------------------------ the interpreter */

enum { BLOCK = 64, TOTAL = 100 * BLOCK, HEAD = 32 };

static int locked, unlocks; /* whether its lock is held, and how often it was given up */
static int initialized = 1, in_main = 1;
static int exported, released; /* buffers */
static MemoryPool *pool;

static void *save_thread(void)
{
    CHECK(locked);
    locked = 0;
    unlocks++;
    return &locked;
}

static void restore_thread(void *thread)
{
    CHECK(thread == &locked && !locked);
    if (pool != NULL)
        CHECK(!lock_is_held(&pool->locks.shape.lock));
    locked = 1;
}

static int is_initialized(void)
{
    return initialized;
}

static int ensure(void)
{
    CHECK(!locked);
    locked = 1;
    return 7;
}

static void release(int state)
{
    CHECK(state == 7 && locked);
    locked = 0;
}

/* An object: its head counts the references. */
typedef union Object {
    int references;
    unsigned char bytes[HEAD + sizeof(PythonWindow) + 128];
    PoolView aligned;
} Object;

static void inc_ref(void *object)
{
    CHECK(locked);
    ((Object *)object)->references++;
}

static void dec_ref(void *object)
{
    CHECK(locked);
    ((Object *)object)->references--;
}

static int get_buffer(void *exporter, void *view, int flags)
{
    CHECK(locked && flags == 5);
    *(void **)view = exporter;
    exported++;
    return 0;
}

static void release_buffer(void *view)
{
    CHECK(locked && *(void **)view != NULL);
    released++;
}

static int fill_info(void *view, void *object, void *data, ptrdiff_t size, int readonly,
                     int flags)
{
    CHECK(view != NULL && object != NULL && data != NULL && flags == 5);
    return (int)size * 10 + readonly;
}

static void *interpreter_get(void)
{
    return in_main ? &initialized : &in_main;
}

static void *interpreter_main(void)
{
    return &initialized;
}

static int (*pending)(void *);
static int add_pending_call(int (*call)(void *), void *argument)
{
    CHECK(argument == NULL);
    pending = call;
    return 0;
}

static Object bytes_object, nothing;
static int out_of_memory;
static void *new_bytes(const void *data, ptrdiff_t size)
{
    CHECK(locked && data == NULL && size == 9);
    bytes_object.references = !out_of_memory;
    return out_of_memory ? NULL : &bytes_object;
}

static void *bytes_data(void *object)
{
    CHECK(object == &bytes_object && bytes_object.references == 1);
    return bytes_object.bytes + HEAD;
}

/* A profiler: what it knows of blocks. It takes the GIL itself, as that of CPython. */
enum { DOMAIN_NUMBER = 17 };
static int profiles;          /* whether it runs */
static size_t traced, untold; /* blocks that it knows; those freed that it did not */
static uintptr_t traces[2 * TOTAL / BLOCK];

static int track(unsigned domain, uintptr_t data, size_t size)
{
    size_t i;
    CHECK_EQ_INT((int)domain, DOMAIN_NUMBER);
    if (!profiles)
        return -2;
    if (size == 0) /* only the question whether it runs */
        return CHECK(locked), 0;
    CHECK(!locked && size == BLOCK);
    CHECK(!lock_is_held(&pool->family->arena.lock));
    for (i = 0; i < TEST_COUNT(traces) && traces[i] != 0; i++)
        CHECK(traces[i] != data);
    CHECK(i < TEST_COUNT(traces));
    traces[i] = data;
    traced++;
    return 0;
}

static int untrack(unsigned domain, uintptr_t data)
{
    CHECK_EQ_INT((int)domain, DOMAIN_NUMBER);
    if (!profiles)
        return -2;
    for (size_t i = 0; data != 0 && i < TEST_COUNT(traces); i++) {
        if (traces[i] == data) {
            traces[i] = 0;
            traced--;
            return 0;
        }
    }
    untold += data != 0;
    return 0;
}

static const Python functions = {
    HEAD,           DOMAIN_NUMBER, save_thread,     restore_thread,   is_initialized,
    ensure,         release,       inc_ref,         dec_ref,          get_buffer,
    release_buffer, fill_info,     interpreter_get, interpreter_main, add_pending_call,
    new_bytes,      bytes_data,    track,           untrack,          &nothing,
};

/* The function of that name, of that type. */
#define PYTHON(name, type) ((type)(uintptr_t)pool_for_python(name, &functions))

typedef MemoryPool *Create(const PoolOptions *, void *);
typedef MemoryPool *Take(MemoryPool *, void *);
typedef void End(void *);
typedef PoolStatus View(MemoryPool *, size_t, size_t, void *);
typedef size_t Count(void);

static void begin(void)
{
    locked = 1;
    unlocks = 0;
    pool = make(TOTAL, BLOCK, 0);
    CHECK_RETURNS(pool_fill(pool, 0, 1, TOTAL / 2), POOL_OK);
}

static void end(void)
{
    MemoryPool *ended = pool;
    CHECK(locked);
    CHECK(interpreter_thread == NULL);
    pool = NULL;
    pool_destroy(ended);
    check_nothing_live();
}

/* ------------------------------------- a thread that waits releases the GIL first */

static void unlock(void)
{
    CHECK(!locked); /* others can run */
    lock_release(&pool->locks.shape.lock);
}

static void hold(void)
{
    (void)pool_lock_exclusive(&pool->locks);
    at_wait = unlock;
}

static unsigned char bytes[2 * BLOCK];
static size_t offsets[2] = {0, 70}, sizes[2] = {9, 5};
static uint64_t old;
static PoolStats stats = {.struct_size = sizeof stats};

static void call_write(void)
{
    typedef size_t Write(MemoryPool *, size_t, const void *, size_t);
    CHECK(PYTHON("pool_write", Write *)(pool, 5, bytes, 9) == 9);
}

static void call_read(void)
{
    typedef size_t Read(MemoryPool *, void *, size_t, size_t);
    CHECK(PYTHON("pool_read", Read *)(pool, bytes, 5, 9) == 9);
}

typedef void *ReadBytes(MemoryPool *, size_t, size_t);
typedef void *ReadBytesNear(MemoryPool *, int, int);
typedef int ReadNear(MemoryPool *, void *, int, int);
typedef int WriteNear(MemoryPool *, int, const void *, int);

static void call_read_bytes(void)
{
    CHECK(PYTHON("read_bytes", ReadBytes *)(pool, 5, 9) == &bytes_object);
}

static void call_read_bytes_near(void)
{
    CHECK(PYTHON("read_bytes_near", ReadBytesNear *)(pool, 5, 9) == &bytes_object);
}

static void call_read_near(void)
{
    CHECK(PYTHON("read_near", ReadNear *)(pool, bytes, 5, 9) == 0);
}

static void call_write_near(void)
{
    CHECK(PYTHON("write_near", WriteNear *)(pool, 5, bytes, 9) == 0);
}

static void call_fill(void)
{
    typedef PoolStatus Fill(MemoryPool *, size_t, int, size_t);
    CHECK_RETURNS(PYTHON("pool_fill", Fill *)(pool, 5, 7, 9), POOL_OK);
}

static void call_discard(void)
{
    typedef PoolStatus Function(MemoryPool *, size_t, size_t);
    CHECK_RETURNS(PYTHON("pool_discard", Function *)(pool, 5, 9), POOL_OK);
}

static void call_take(void)
{
    typedef size_t Read(MemoryPool *, void *, size_t, size_t);
    CHECK(PYTHON("pool_take", Read *)(pool, bytes, 5, 9) == 9);
}

static void call_copy(void)
{
    typedef PoolStatus Function(MemoryPool *, size_t, MemoryPool *, size_t, size_t);
    CHECK_RETURNS(PYTHON("pool_copy", Function *)(pool, 5, pool, 90, 9), POOL_OK);
}

static void call_gather(void)
{
    typedef PoolStatus Gather(MemoryPool *, void *, const size_t *, size_t, size_t);
    CHECK_RETURNS(PYTHON("pool_gather", Gather *)(pool, bytes, offsets, 2, 9), POOL_OK);
}

static void call_scatter(void)
{
    typedef PoolStatus Scatter(MemoryPool *, const size_t *, const void *, size_t,
                               size_t);
    CHECK_RETURNS(PYTHON("pool_scatter", Scatter *)(pool, offsets, bytes, 2, 9), POOL_OK);
}

static void call_read_many(void)
{
    typedef PoolStatus Read(MemoryPool *, void *, const size_t *, const size_t *, size_t);
    CHECK_RETURNS(PYTHON("pool_read_many", Read *)(pool, bytes, offsets, sizes, 2),
                  POOL_OK);
}

static void call_write_many(void)
{
    typedef PoolStatus Write(MemoryPool *, const size_t *, const size_t *, const void *,
                             size_t);
    CHECK_RETURNS(PYTHON("pool_write_many", Write *)(pool, offsets, sizes, bytes, 2),
                  POOL_OK);
}

static void call_fetch_add(void)
{
    typedef PoolStatus Add(MemoryPool *, size_t, size_t, uint64_t, uint64_t *);
    CHECK_RETURNS(PYTHON("pool_fetch_add", Add *)(pool, 8, 8, 1, &old), POOL_OK);
}

static void call_compare_exchange(void)
{
    typedef PoolStatus Swap(MemoryPool *, size_t, size_t, uint64_t, uint64_t, uint64_t *);
    CHECK_RETURNS(PYTHON("pool_compare_exchange", Swap *)(pool, 8, 8, 1, 2, &old),
                  POOL_OK);
}

static void call_stats(void)
{
    typedef void Stats(MemoryPool *, PoolStats *);
    PYTHON("pool_stats", Stats *)(pool, &stats);
    CHECK_EQ_SIZE(stats.total_size, TOTAL);
}

static void call_clone(void)
{
    Object reference = {0};
    MemoryPool *clone = PYTHON("clone", Take *)(pool, &reference);
    CHECK(clone != NULL && *(MemoryPool **)(reference.bytes + HEAD) == clone);
    PYTHON("end_reference", End *)(&reference);
}

static void call_view(void)
{
    Object window = {0};
    CHECK_RETURNS(PYTHON("view", View *)(pool, 5, 9, &window), POOL_OK);
    PYTHON("end_window", End *)(&window);
}

static void call_pin(void)
{
    Object window = {0};
    CHECK_RETURNS(PYTHON("pin", View *)(pool, 5, 9, &window), POOL_OK);
    PYTHON("end_window", End *)(&window);
}

static void (*const calls[])(void) = {
    call_write,      call_read,
    call_fill,       call_discard,
    call_take,       call_copy,
    call_gather,     call_scatter,
    call_fetch_add,  call_compare_exchange,
    call_stats,      call_clone,
    call_view,       call_pin,
    call_read_bytes, call_read_bytes_near,
    call_read_near,  call_write_near,
    call_read_many,  call_write_many,
};

TEST(calls_keep_the_lock_unless_they_wait)
{
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        int before;
        begin();
        calls[i]();
        before = unlocks; /* to end a pool takes its time */
        CHECK(before == (calls[i] == call_clone));
        hold();
        calls[i]();
        CHECK(at_wait == NULL); /* it did wait */
        CHECK(unlocks == 2 * before + 1);
        end();
    }
}

/* One byte in a large block may mean that all of it is copied, or wiped. */
TEST(calls_that_copy_large_blocks_do_not_keep_it)
{
    typedef size_t Write(MemoryPool *, size_t, const void *, size_t);
    typedef PoolStatus Function(MemoryPool *, size_t, size_t);
    enum { LARGE = 1 << 20 };
    PoolOptions options = {sizeof options, LARGE, LARGE, 0, POOL_WIPE};
    MemoryPool *large, *clone;
    begin();
    large = pool_create_with(&options);
    CHECK(pool_write(large, 5, bytes, 9) == 9);
    CHECK(PYTHON("pool_write", Write *)(large, 6, bytes, 9) == 9);
    CHECK(unlocks == 0);
    clone = pool_clone(large);
    CHECK(PYTHON("pool_write", Write *)(clone, 6, bytes, 9) == 9);
    CHECK(unlocks == 1);
    CHECK_RETURNS(PYTHON("pool_discard", Function *)(clone, 0, LARGE), POOL_OK);
    CHECK(unlocks == 2);
    pool_destroy(clone);
    pool_destroy(large);
    end();
}

static void hold_and_read(void)
{
    hold();
    call_read();
    CHECK(interpreter_thread == &interpreter);
}

/* In another interpreter's turn a thread may call from within a call that gave up its
 * lock; C may call as well, and has no lock to give up. */
TEST(calls_within_calls)
{
    void *outer;
    begin();
    outer = interpreter_enter();
    hold_and_read();
    interpreter_leave(outer);
    CHECK(unlocks == 1);
    interpreter_unlock(); /* of no such call */
    CHECK(unlocks == 1);
    end();
}

/* ------------------------------------------------------------ small offsets */

TEST(bytes_objects)
{
    ReadBytes *read = PYTHON("read_bytes", ReadBytes *);
    static const unsigned char ones[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    begin();
    nothing.references = 1;
    CHECK(read(pool, 5, 9) == &bytes_object);
    CHECK(memcmp(bytes_object.bytes + HEAD, ones, 9) == 0);
    CHECK(bytes_object.references == 1 && nothing.references == 1);
    CHECK(read(pool, TOTAL - 8, 9) == &nothing); /* not all of it is in the pool */
    CHECK(bytes_object.references == 0 && nothing.references == 2);
    out_of_memory = 1;
    CHECK(read(pool, 5, 9) == NULL);
    out_of_memory = 0;
    CHECK(nothing.references == 2);
    end();
}

TEST(what_was_not_moved)
{
    static const unsigned char twos[9] = {2, 2, 2, 2, 2, 2, 2, 2, 2};
    unsigned char found[9] = {3, 3, 3, 3, 3, 3, 3, 3, 3};
    begin();
    CHECK(PYTHON("write_near", WriteNear *)(pool, TOTAL - 8, twos, 9) == 1);
    CHECK(PYTHON("read_near", ReadNear *)(pool, found, TOTAL - 8, 9) == 1);
    CHECK(memcmp(found, twos, 8) == 0 && found[8] == 3);
    CHECK(PYTHON("write_near", WriteNear *)(pool, TOTAL, twos, 9) == 9);
    end();
}

/* ------------------------------------------------------------------- objects */

TEST(references)
{
    Object made = {0}, retained = {0}, taken = {0}, empty = {0};
    PoolOptions options = {sizeof options, TOTAL, BLOCK, 0, 0};
    MemoryPool *created;
    begin();
    created = PYTHON("create", Create *)(&options, &made);
    CHECK(PYTHON("retain", Take *)(created, &retained) == created);
    CHECK(PYTHON("take_over", Take *)(pool_retain(created), &taken) == created);
    CHECK_EQ_SIZE(stats_of(created).references, 3);
    PYTHON("end_reference", End *)(&empty);
    PYTHON("end_reference", End *)(&made);
    PYTHON("end_reference", End *)(&retained);
    initialized = 0; /* the interpreter ends */
    PYTHON("end_reference", End *)(&taken);
    initialized = 1;
    CHECK_EQ_SIZE(stats_of(created).references, 1);
    PYTHON("end_reference", End *)(&taken);
    options.total_size = 0;
    CHECK(PYTHON("create", Create *)(&options, &made) == NULL);
    PYTHON("end_reference", End *)(&made);
    end();
}

TEST(windows)
{
    typedef int Export(void *, void *, int);
    Count *count = PYTHON("count_windows", Count *);
    Object view = {0}, pin = {0}, none = {0};
    int buffer;
    begin();
    CHECK_RETURNS(PYTHON("view", View *)(pool, 5, 9, &view), POOL_OK);
    CHECK_RETURNS(PYTHON("pin", View *)(pool, 70, 8, &pin), POOL_OK);
    CHECK_RETURNS(PYTHON("view", View *)(pool, TOTAL, 8, &none), POOL_RANGE);
    CHECK_RETURNS(PYTHON("pin", View *)(pool, TOTAL, 8, &none), POOL_RANGE);
    CHECK_EQ_SIZE(count(), 2);
    CHECK(PYTHON("export_window", Export *)(&view, &buffer, 5) == 91);
    CHECK(PYTHON("export_window", Export *)(&pin, &buffer, 5) == 80);
    PYTHON("end_window", End *)(&none);
    initialized = 0;
    PYTHON("end_window", End *)(&view);
    initialized = 1;
    CHECK_EQ_SIZE(count(), 2);
    PYTHON("end_window", End *)(&view);
    PYTHON("end_window", End *)(&pin);
    CHECK_EQ_SIZE(count(), 0);
    CHECK_EQ_SIZE(stats_of(pool).family_views, 0);
    end();
}

TEST(buffers)
{
    typedef int GetBuffer(void *, void *, int);
    Object buffer = {0};
    begin();
    exported = released = 0;
    CHECK(PYTHON("get_buffer", GetBuffer *)(bytes, &buffer, 5) == 0);
    PYTHON("release_buffer", End *)(&buffer);
    PYTHON("end_buffer", End *)(&buffer);
    initialized = 0;
    PYTHON("end_buffer", End *)(&buffer);
    initialized = 1;
    CHECK(exported == 1 && released == 2);
    end();
}

/* Something open, and whether a descriptor of that number still is. */
#if defined(_WIN32)
static intptr_t new_descriptor(void)
{
    return (intptr_t)CreateEventA(NULL, TRUE, FALSE, NULL);
}

static int is_open(intptr_t descriptor)
{
    DWORD flags;
    return GetHandleInformation((HANDLE)descriptor, &flags) != 0;
}
#else
static intptr_t new_descriptor(void)
{
    return dup(STDERR_FILENO);
}

static int is_open(intptr_t descriptor)
{
    return fcntl((int)descriptor, F_GETFD) != -1;
}
#endif

/* It is closed once, by whoever is first. */
TEST(descriptors)
{
    Object object = {0};
    intptr_t descriptor = new_descriptor(), complement = ~descriptor;
    begin();
    PYTHON("end_descriptor", End *)(&object); /* it has none */
    CHECK(is_open(descriptor));
    memcpy(object.bytes + HEAD, &complement, sizeof complement);
    PYTHON("end_descriptor", End *)(&object);
    CHECK(!is_open(descriptor));
    memcpy(&complement, object.bytes + HEAD, sizeof complement);
    CHECK(complement == 0);
    PYTHON("end_descriptor", End *)(&object);
    end();
}

/* An adopted buffer is held until it is released, by any call; if another interpreter
 * releases it, until its own interpreter drops it. */
TEST(adoptions)
{
    typedef int GetBuffer(void *, void *, int);
    Count *count = PYTHON("count_adopted", Count *);
    Object buffer = {0}, other = {0};
    begin();
    CHECK(PYTHON("get_buffer", GetBuffer *)(bytes, &buffer, 5) == 0);
    CHECK(PYTHON("get_buffer", GetBuffer *)(bytes, &other, 5) == 0);
    CHECK_RETURNS(PYTHON("adopt", View *)(pool, TOTAL, BLOCK, &buffer), POOL_RANGE);
    CHECK(buffer.references == 0 && count() == 0);
    CHECK_RETURNS(PYTHON("adopt", View *)(pool, 0, BLOCK, &buffer), POOL_OK);
    CHECK(buffer.references == 1 && count() == 1 && unlocks == 2);
    call_write(); /* copies the block, and releases the buffer */
    CHECK(buffer.references == 0 && count() == 0 && unlocks == 3);

    in_main = 0;
    CHECK_RETURNS(PYTHON("adopt", View *)(pool, 0, BLOCK, &buffer), POOL_OK);
    CHECK_RETURNS(PYTHON("adopt", View *)(pool, BLOCK, BLOCK, &other), POOL_OK);
    call_gather();
    call_scatter();
    CHECK(buffer.references == 1 && other.references == 1);
    in_main = 1;
    CHECK(pending(NULL) == 0);
    CHECK(buffer.references == 0 && other.references == 0 && count() == 0);

    CHECK_RETURNS(PYTHON("adopt", View *)(pool, 0, BLOCK, &buffer), POOL_OK);
    initialized = 0;
    call_write();
    initialized = 1;
    CHECK(buffer.references == 1 && count() == 1);
    size_store_relaxed(&python_adopted, 0);
    end();
}

TEST(nothing_by_that_name)
{
    CHECK(pool_for_python("pool_next_extent", &functions) == NULL);
    CHECK(pool_for_python(NULL, &functions) == NULL);
    CHECK(pool_for_python("pool_version", NULL) == NULL);
    CHECK(pool_for_python("pool_version", &functions) != NULL);
}

/* ---------------------------------------------------------------- the memory profiler */

/* Creates a pool and drops it, after which blocks are traced, or are no more. */
static void find_tracing(void)
{
    PoolOptions options = {
        .struct_size = sizeof options, .total_size = TOTAL, .max_block_size = BLOCK};
    Object reference = {0};
    CHECK(PYTHON("create", Create *)(&options, &reference) != NULL);
    PYTHON("end_reference", End *)(&reference);
}

TEST(blocks_are_told_to_a_profiler)
{
    begin();
    memset(traces, 0, sizeof traces);
    profiles = 1;
    find_tracing();
    void *outer = interpreter_enter();
    CHECK_RETURNS(pool_fill(pool, TOTAL / 2, 1, 5 * BLOCK), POOL_OK);
    CHECK_EQ_SIZE(traced, 5);
    CHECK_RETURNS(pool_discard(pool, TOTAL / 2, 2 * BLOCK), POOL_OK);
    CHECK_EQ_SIZE(traced, 3);
    CHECK_EQ_SIZE(untold, 0);
    CHECK_RETURNS(pool_discard(pool, 0, BLOCK), POOL_OK); /* was there before */
    CHECK_EQ_SIZE(untold, 1);

    MemoryPool *clone = pool_clone(pool);
    CHECK_RETURNS(pool_fill(clone, BLOCK, 2, 1), POOL_OK); /* a copy */
    CHECK_EQ_SIZE(traced, 4);
    PoolView pin = {.struct_size = sizeof pin};
    CHECK_RETURNS(pool_pin(clone, 80 * BLOCK, 3 * BLOCK, &pin), POOL_OK);
    CHECK_EQ_SIZE(traced, 7);
    pool_view_release(&pin);
    pool_destroy(clone);
    CHECK_EQ_SIZE(traced, 3);

    static unsigned char adopted[2 * BLOCK];
    CHECK_RETURNS(pool_adopt(pool, 90 * BLOCK, adopted, sizeof adopted, NULL, NULL),
                  POOL_OK);
    CHECK_EQ_SIZE(traced, 3); /* is the caller's */

    initialized = 0; /* the interpreter has ended */
    CHECK_RETURNS(pool_fill(pool, 60 * BLOCK, 1, BLOCK), POOL_OK);
    CHECK_RETURNS(pool_discard(pool, 50 * BLOCK, BLOCK), POOL_OK);
    CHECK_EQ_SIZE(traced, 3);
    initialized = 1;
    interpreter_leave(outer);

    profiles = 0;
    find_tracing();
    CHECK_EQ_SIZE(size_load_relaxed(&interpreter.traces), 0);
    CHECK_RETURNS(pool_fill(pool, 70 * BLOCK, 1, BLOCK), POOL_OK);
    end();
}

TEST(blocks_without_room_for_a_note_are_missed)
{
    begin();
    memset(traces, 0, sizeof traces);
    traced = 0;
    profiles = 1;
    find_tracing();
    void *outer = interpreter_enter();
    size_t before = traced, missed = 0, number = 0;
    do { /* each allocation of the call fails, one by one */
        size_t told = traced;
        fault_in = ++number;
        bool done = pool_fill(pool, (TOTAL / BLOCK / 2 + 2 * number) * BLOCK, 1,
                              2 * BLOCK) == POOL_OK;
        missed += done && traced - told < 2;
        CHECK(traced - told <= (done ? 2 : 0));
    } while (fault_in == 0);
    fault_in = 0;
    CHECK_EQ_SIZE(missed, 1);
    interpreter_leave(outer);
    end();
    CHECK_EQ_SIZE(traced, before);
    profiles = 0;
    begin();
    find_tracing();
    end();
}

static const TestCase cases[] = {
    TEST_CASE(blocks_are_told_to_a_profiler),
    TEST_CASE(blocks_without_room_for_a_note_are_missed),
    TEST_CASE(calls_keep_the_lock_unless_they_wait),
    TEST_CASE(calls_that_copy_large_blocks_do_not_keep_it),
    TEST_CASE(calls_within_calls),
    TEST_CASE(bytes_objects),
    TEST_CASE(what_was_not_moved),
    TEST_CASE(references),
    TEST_CASE(windows),
    TEST_CASE(buffers),
    TEST_CASE(descriptors),
    TEST_CASE(adoptions),
    TEST_CASE(nothing_by_that_name),
};
TEST_MAIN(cases)
