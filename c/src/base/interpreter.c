/* SPDX-License-Identifier: MIT */
/*
 * interpreter.c - gives up an interpreter's lock before waiting
 *
 * An interpreter such as CPython has a lock that its threads need to run (the GIL). Short
 * calls keep it, because to give it up and to get it again costs as much as the call. But
 * a thread that waits with it makes all others stand still. So each call that is made
 * with the lock held says so (python.c), and before it waits, or calls somebody else's
 * release function, it gives the lock up. It gets it again at its very end, when it holds
 * no lock of the library: whoever waits for the interpreter never makes others wait for
 * the pool.
 *
 * Calls of C, and calls that let go of the interpreter beforehand, have NULL here.
 */
#include "base.h"

/* Of the call that this thread is in: &interpreter while it has the interpreter's lock,
 * what unlock() gave once it has not, NULL if it never had. */
static POOL_THREAD_LOCAL void *interpreter_thread;

/* To be called before whatever may take long. Locks: nothing. */
static NOT_INLINE void interpreter_unlock(void)
{
    if (interpreter_thread == &interpreter) {
        interpreter_thread = interpreter.unlock();
    }
}

/* Begins a call that is made with the interpreter's lock held; returns what
 * interpreter_leave needs: such a call may come from within another one. */
static inline void *interpreter_enter(void)
{
    void *outer = interpreter_thread;
    interpreter_thread = &interpreter;
    return outer;
}

/* Ends it, with the interpreter's lock held again. No lock of the library may be held. */
static inline void interpreter_leave(void *outer)
{
    void *thread = interpreter_thread;
    interpreter_thread = outer;
    if (thread != &interpreter) {
        interpreter.lock(thread);
    }
}
