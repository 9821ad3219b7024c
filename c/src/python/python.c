/* SPDX-License-Identifier: MIT */
/*
 * python.c - C functions that CPython calls for pymempool
 *
 * The library is not linked to Python. The package passes it the addresses of some
 * functions of the C API once (pool_for_python). Three things cannot be done in Python:
 *
 *   - to keep the GIL in short calls, but not while they wait: see interpreter.c;
 *   - to acquire and release a resource without a gap. CPython runs signal handlers
 *     between two of its instructions, also in finalizers, and an exception in a handler
 *     ends the function. So objects that own a resource have finalizers in C, and calls
 *     that return a resource store it in such an object;
 *   - to pass a size in the way that costs ctypes least, which is as an int of C.
 *
 * An object's own data is its BODY, which follows CPython's header of the object. There
 * are four types, which the package creates by PyType_FromSpec:
 *
 *     reference   the address of a pool, and one reference to it
 *     window      a view or a pin; exports its memory, for a view read-only
 *     buffer      CPython's Py_buffer: memory that another object exports
 *     descriptor  an open file or, on Windows, a handle
 */
#include "../pool/pool.h"

typedef struct Python {
    size_t object_size;                     /* where the body begins */
    size_t domain;                          /* of tracemalloc, for blocks */
    void *(*save_thread)(void);             /* PyEval_SaveThread     */
    void (*restore_thread)(void *);         /* PyEval_RestoreThread  */
    int (*is_initialized)(void);            /* Py_IsInitialized      */
    int (*ensure)(void);                    /* PyGILState_Ensure     */
    void (*release)(int);                   /* PyGILState_Release    */
    void (*inc_ref)(void *);                /* Py_IncRef             */
    void (*dec_ref)(void *);                /* Py_DecRef             */
    int (*get_buffer)(void *, void *, int); /* PyObject_GetBuffer */
    void (*release_buffer)(void *);         /* PyBuffer_Release      */
    int (*fill_info)(void *, void *, void *, ptrdiff_t, int, int); /* PyBuffer_FillInfo */
    void *(*interpreter_get)(void);                   /* PyInterpreterState_Get  */
    void *(*interpreter_main)(void);                  /* PyInterpreterState_Main */
    int (*add_pending_call)(int (*)(void *), void *); /* Py_AddPendingCall */
    void *(*new_bytes)(const void *, ptrdiff_t);      /* PyBytes_FromStringAndSize */
    void *(*bytes_data)(void *);                      /* PyBytes_AsString          */
    int (*track)(unsigned, uintptr_t, size_t);        /* PyTraceMalloc_Track       */
    int (*untrack)(unsigned, uintptr_t);              /* PyTraceMalloc_Untrack     */
    void *none;                                       /* Py_None                   */
} Python;

static Python python; /* set once, under the registry's lock */

/* For tests: how many views and pins, and how many adopted buffers, exist. */
static AtomicSize python_windows, python_adopted;

static void *python_body(void *object)
{
    return (unsigned char *)object + python.object_size;
}

/* ------------------------------------------------------ calls with the GIL */

/* Defines python_NAME, which calls pool_NAME with the GIL, but releases it before
 * waits. */
#define PYTHON_CALL(result, name, parameters, arguments)                                 \
    static result python_##name parameters                                               \
    {                                                                                    \
        void *outer = interpreter_enter();                                               \
        result found = pool_##name arguments;                                            \
        interpreter_leave(outer);                                                        \
        return found;                                                                    \
    }

PYTHON_CALL(size_t, write,
            (MemoryPool * pool, size_t offset, const void *src, size_t size),
            (pool, offset, src, size))
PYTHON_CALL(size_t, read, (MemoryPool * pool, void *dest, size_t offset, size_t size),
            (pool, dest, offset, size))
PYTHON_CALL(PoolStatus, fill, (MemoryPool * pool, size_t offset, int byte, size_t size),
            (pool, offset, byte, size))
PYTHON_CALL(PoolStatus, discard, (MemoryPool * pool, size_t offset, size_t size),
            (pool, offset, size))
PYTHON_CALL(size_t, take, (MemoryPool * pool, void *dest, size_t offset, size_t size),
            (pool, dest, offset, size))
PYTHON_CALL(PoolStatus, copy,
            (MemoryPool * dst, size_t dst_offset, MemoryPool *src, size_t src_offset,
             size_t size),
            (dst, dst_offset, src, src_offset, size))
PYTHON_CALL(PoolStatus, gather,
            (MemoryPool * pool, void *dest, const size_t *offsets, size_t count,
             size_t item_size),
            (pool, dest, offsets, count, item_size))
PYTHON_CALL(PoolStatus, scatter,
            (MemoryPool * pool, const size_t *offsets, const void *src, size_t count,
             size_t item_size),
            (pool, offsets, src, count, item_size))
PYTHON_CALL(PoolStatus, read_many,
            (MemoryPool * pool, void *dest, const size_t *offsets, const size_t *sizes,
             size_t count),
            (pool, dest, offsets, sizes, count))
PYTHON_CALL(PoolStatus, write_many,
            (MemoryPool * pool, const size_t *offsets, const size_t *sizes,
             const void *src, size_t count),
            (pool, offsets, sizes, src, count))
PYTHON_CALL(PoolStatus, fetch_add,
            (MemoryPool * pool, size_t offset, size_t size, uint64_t value,
             uint64_t *old),
            (pool, offset, size, value, old))
PYTHON_CALL(PoolStatus, compare_exchange,
            (MemoryPool * pool, size_t offset, size_t size, uint64_t expected,
             uint64_t value, uint64_t *old),
            (pool, offset, size, expected, value, old))

static void python_stats(MemoryPool *pool, PoolStats *stats)
{
    void *outer = interpreter_enter();
    pool_stats(pool, stats);
    interpreter_leave(outer);
}

/* Returns a new bytes object with a range of 1 byte or more; None if it is not all in the
 * pool; NULL, with Python's exception set, if there is no memory for the object. */
static void *python_read_bytes(MemoryPool *pool, size_t offset, size_t size)
{
    void *bytes = python.new_bytes(NULL, (ptrdiff_t)size);
    if (bytes == NULL) {
        return NULL;
    }
    if (python_read(pool, python.bytes_data(bytes), offset, size) == size) {
        return bytes;
    }
    python.dec_ref(bytes);
    python.inc_ref(python.none);
    return python.none;
}

/* For offsets and sizes that are not negative and fit an int, as which ctypes passes them if
 * no types are declared. */
static void *python_read_bytes_near(MemoryPool *pool, int offset, int size)
{
    return python_read_bytes(pool, (size_t)offset, (size_t)size);
}

/* Returns how many bytes were not moved. */
static int python_read_near(MemoryPool *pool, void *dest, int offset, int size)
{
    return size - (int)python_read(pool, dest, (size_t)offset, (size_t)size);
}

/* Returns how many bytes were not moved. */
static int python_write_near(MemoryPool *pool, int offset, const void *src, int size)
{
    return size - (int)python_write(pool, (size_t)offset, src, (size_t)size);
}

/* ---------------------------------------------------------------- tracemalloc */

/* Both do nothing while tracemalloc does not run, and acquire the GIL if it does. */
static void python_track(void *data, size_t size)
{
    if (python.is_initialized()) {
        (void)python.track((unsigned)python.domain, (uintptr_t)data, size);
    }
}

static void python_untrack(void *data)
{
    if (python.is_initialized()) {
        (void)python.untrack((unsigned)python.domain, (uintptr_t)data);
    }
}

/* Starts or ends to trace blocks: with the next pool or clone that Python creates after
 * tracemalloc was started or stopped. Context: the caller holds the GIL. */
static void python_find_tracing(void)
{
    bool traces = python.track((unsigned)python.domain, 0, 0) == 0;
    if (traces) {
        (void)python.untrack((unsigned)python.domain, 0);
    }
    if (traces != (size_load_relaxed(&interpreter.traces) != 0)) {
        size_store_relaxed(&interpreter.traces, traces);
    }
}

/* ----------------------------------------------------------------- references */

static MemoryPool *python_create(const PoolOptions *options, void *reference)
{
    void *outer;
    MemoryPool *pool;
    python_find_tracing();
    outer = interpreter_enter();
    pool = pool_create_with(options);
    *(MemoryPool **)python_body(reference) = pool;
    interpreter_leave(outer);
    return pool;
}

static MemoryPool *python_clone(MemoryPool *of, void *reference)
{
    void *outer;
    MemoryPool *pool;
    python_find_tracing();
    outer = interpreter_enter();
    pool = pool_clone(of);
    *(MemoryPool **)python_body(reference) = pool;
    interpreter_leave(outer);
    return pool;
}

static MemoryPool *python_retain(MemoryPool *pool, void *reference)
{
    *(MemoryPool **)python_body(reference) = pool_retain(pool);
    return pool;
}

/* Stores a reference that the caller already has. */
static MemoryPool *python_take_over(MemoryPool *pool, void *reference)
{
    *(MemoryPool **)python_body(reference) = pool;
    return pool;
}

/* Finalizer. Finalizers do nothing once the interpreter has stopped its threads at its
 * end. Releases the GIL first, because to free a pool may take long. */
static void python_end_reference(void *reference)
{
    MemoryPool *pool = *(MemoryPool **)python_body(reference);
    if (pool != NULL && python.is_initialized()) {
        void *outer = interpreter_enter();
        interpreter_unlock();
        pool_destroy(pool);
        interpreter_leave(outer);
    }
}

/* -------------------------------------------------------------------- windows */

typedef struct PythonWindow {
    PoolView view;
    int readonly;
} PythonWindow;

static PoolStatus python_view(MemoryPool *pool, size_t offset, size_t size, void *window)
{
    void *outer = interpreter_enter();
    PythonWindow *body = (PythonWindow *)python_body(window);
    PoolStatus status;
    body->view.struct_size = sizeof body->view;
    body->readonly = 1;
    status = pool_view(pool, offset, size, &body->view);
    size_add_relaxed(&python_windows, status == POOL_OK);
    interpreter_leave(outer);
    return status;
}

static PoolStatus python_pin(MemoryPool *pool, size_t offset, size_t size, void *window)
{
    void *outer = interpreter_enter();
    PythonWindow *body = (PythonWindow *)python_body(window);
    PoolStatus status;
    body->view.struct_size = sizeof body->view;
    status = pool_pin(pool, offset, size, &body->view);
    size_add_relaxed(&python_windows, status == POOL_OK);
    interpreter_leave(outer);
    return status;
}

/* bf_getbuffer; the memory of a view is read-only for all who get the object. */
static int python_export_window(void *window, void *buffer, int flags)
{
    const PythonWindow *body = (const PythonWindow *)python_body(window);
    return python.fill_info(buffer, window, body->view.data, (ptrdiff_t)body->view.size,
                            body->readonly, flags);
}

static void python_end_window(void *window)
{
    PoolView *view = &((PythonWindow *)python_body(window))->view;
    if (view->family != NULL && python.is_initialized()) {
        void *outer = interpreter_enter();
        pool_view_release(view);
        size_sub_relaxed(&python_windows, 1);
        interpreter_leave(outer);
    }
}

/* -------------------------------------------------------------------- buffers */

typedef struct PythonBuffer {
    void *next; /* in the list python_dropped         */
    void *data; /* the first field of the Py_buffer   */
} PythonBuffer;

static PythonBuffer *buffer_body(void *buffer)
{
    return (PythonBuffer *)python_body(buffer);
}

/* Gets the buffer of an object; -1, with Python's exception set, if that fails. */
static int python_get_buffer(void *exporter, void *buffer, int flags)
{
    return python.get_buffer(exporter, &buffer_body(buffer)->data, flags);
}

static void python_release_buffer(void *buffer)
{
    python.release_buffer(&buffer_body(buffer)->data); /* which empties it */
}

static void python_end_buffer(void *buffer)
{
    if (python.is_initialized()) {
        python_release_buffer(buffer);
    }
}

/* Buffers that were released in another interpreter than the main one, to which they
 * belong. Guarded by the registry's lock, which fork also locks. */
static void *python_dropped;

/* Drops these buffers; CPython calls it in the main interpreter. Locks: the registry. */
static int python_drop_pending(void *nothing)
{
    void *outer = interpreter_enter();
    void *buffer;
    (void)nothing;
    lock_acquire(&registry.lock);
    buffer = python_dropped;
    python_dropped = NULL;
    lock_release(&registry.lock);
    interpreter_leave(outer);
    while (buffer != NULL) {
        void *next = buffer_body(buffer)->next;
        python.dec_ref(buffer);
        buffer = next;
    }
    return 0;
}

/* The release function of adopted buffers. Called in the thread that dropped the last
 * reference, without a lock and without the GIL (reservation_release_adopted). In another
 * interpreter than the main one, leaves the object to the main one. Locks: the
 * registry. */
static void python_end_adoption(void *data, size_t size, void *buffer)
{
    bool is_main;
    int state;
    (void)data;
    (void)size;
    if (!python.is_initialized()) {
        return;
    }
    size_sub_relaxed(&python_adopted, 1);
    state = python.ensure();
    is_main = python.interpreter_get() == python.interpreter_main();
    if (is_main) {
        python.dec_ref(buffer);
    }
    python.release(state);
    if (!is_main) {
        lock_acquire(&registry.lock);
        buffer_body(buffer)->next = python_dropped;
        python_dropped = buffer;
        lock_release(&registry.lock);
        (void)python.add_pending_call(python_drop_pending, NULL); /* if full: next time */
    }
}

/* Adopts the memory of a buffer; keeps a reference to the buffer if that succeeds. */
static PoolStatus python_adopt(MemoryPool *pool, size_t offset, size_t size, void *buffer)
{
    void *outer = interpreter_enter();
    PoolStatus status;
    python.inc_ref(buffer);
    size_add_relaxed(&python_adopted, 1);
    interpreter_unlock();
    status = pool_adopt(pool, offset, buffer_body(buffer)->data, size,
                        python_end_adoption, buffer);
    interpreter_leave(outer);
    if (status != POOL_OK) {
        size_sub_relaxed(&python_adopted, 1);
        python.dec_ref(buffer);
    }
    return status;
}

/* ---------------------------------------------------------------- descriptors */

/* Finalizer; may also be called before. The body is the bitwise complement of the
 * descriptor, so that zero, as which it begins, stands for none. */
static void python_end_descriptor(void *descriptor)
{
    intptr_t *complement = (intptr_t *)python_body(descriptor);
    if (*complement != 0) {
        platform_close(~*complement);
        *complement = 0;
    }
}

static size_t python_count_windows(void)
{
    return size_load_relaxed(&python_windows);
}

static size_t python_count_adopted(void)
{
    return size_load_relaxed(&python_adopted);
}

/* ------------------------------------------------------------------ the table */

typedef void (*PythonFunction)(void);

/* Calls that keep the GIL, and then those for objects. */
static const struct {
    const char *name;
    PythonFunction function;
} python_functions[] = {
    {"pool_write", (PythonFunction)python_write},
    {"pool_read", (PythonFunction)python_read},
    {"pool_fill", (PythonFunction)python_fill},
    {"pool_discard", (PythonFunction)python_discard},
    {"pool_take", (PythonFunction)python_take},
    {"pool_copy", (PythonFunction)python_copy},
    {"pool_gather", (PythonFunction)python_gather},
    {"pool_scatter", (PythonFunction)python_scatter},
    {"pool_read_many", (PythonFunction)python_read_many},
    {"pool_write_many", (PythonFunction)python_write_many},
    {"pool_fetch_add", (PythonFunction)python_fetch_add},
    {"pool_compare_exchange", (PythonFunction)python_compare_exchange},
    {"pool_stats", (PythonFunction)python_stats},
    {"pool_fail_allocation", (PythonFunction)pool_fail_allocation},
    {"pool_last_status", (PythonFunction)pool_last_status},
    {"pool_status_text", (PythonFunction)pool_status_text},
    {"pool_version", (PythonFunction)pool_version},
    {"read_bytes", (PythonFunction)python_read_bytes},
    {"read_bytes_near", (PythonFunction)python_read_bytes_near},
    {"read_near", (PythonFunction)python_read_near},
    {"write_near", (PythonFunction)python_write_near},
    {"create", (PythonFunction)python_create},
    {"clone", (PythonFunction)python_clone},
    {"retain", (PythonFunction)python_retain},
    {"take_over", (PythonFunction)python_take_over},
    {"end_reference", (PythonFunction)python_end_reference},
    {"view", (PythonFunction)python_view},
    {"pin", (PythonFunction)python_pin},
    {"export_window", (PythonFunction)python_export_window},
    {"end_window", (PythonFunction)python_end_window},
    {"get_buffer", (PythonFunction)python_get_buffer},
    {"release_buffer", (PythonFunction)python_release_buffer},
    {"end_buffer", (PythonFunction)python_end_buffer},
    {"adopt", (PythonFunction)python_adopt},
    {"end_descriptor", (PythonFunction)python_end_descriptor},
    {"count_windows", (PythonFunction)python_count_windows},
    {"count_adopted", (PythonFunction)python_count_adopted},
};

/* Locks: the registry. */
void *pool_for_python(const char *name, const void *functions)
{
    size_t i;
    if (name == NULL || functions == NULL) {
        return NULL;
    }
    lock_acquire(&registry.lock);
    if (python.object_size == 0) { /* several interpreters pass the same */
        memcpy(&python, functions, sizeof python);
        interpreter.unlock = python.save_thread;
        interpreter.lock = python.restore_thread;
        interpreter.track = python_track;
        interpreter.untrack = python_untrack;
    }
    lock_release(&registry.lock);
    for (i = 0; i < sizeof python_functions / sizeof *python_functions; i++) {
        if (strcmp(python_functions[i].name, name) == 0) {
            return (void *)(uintptr_t)python_functions[i].function;
        }
    }
    return NULL;
}
