/* SPDX-License-Identifier: MIT */
/*
 * interpreter.c - releases an interpreter's lock before a thread waits
 *
 * An interpreter such as CPython has a lock that its threads need to run (the GIL). Short
 * calls keep it, because to release and acquire it costs as much as the call. But a
 * thread that waits while it holds the GIL stops all other threads. So a call that is
 * made with the GIL registers that (python.c); before it waits, or calls a caller's
 * release function, it releases the GIL. It acquires the GIL again at its very end, when
 * it holds no lock of the library: a thread that waits for the GIL never makes others
 * wait for a pool.
 *
 * Calls from C, and calls that release the GIL themselves, have NULL here.
 */
#include "base.h"

/* For the current call of this thread: &interpreter while it holds the GIL, what unlock()
 * returned after it released it, NULL if the call was made without it. */
static POOL_THREAD_LOCAL void *interpreter_thread;

/* Releases the GIL if this thread holds it; called before all that may take long. */
static NOT_INLINE void interpreter_unlock(void)
{
    if (interpreter_thread == &interpreter) {
        interpreter_thread = interpreter.unlock();
    }
}

/* Begins a call that is made with the GIL; returns what interpreter_leave needs. Calls
 * may be nested. */
static inline void *interpreter_enter(void)
{
    void *outer = interpreter_thread;
    interpreter_thread = &interpreter;
    return outer;
}

/* Ends such a call; acquires the GIL if it was released. Context: the thread holds no
 * lock of the library. */
static inline void interpreter_leave(void *outer)
{
    void *thread = interpreter_thread;
    interpreter_thread = outer;
    if (thread != &interpreter) {
        interpreter.lock(thread);
    }
}
