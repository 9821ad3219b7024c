/* SPDX-License-Identifier: MIT */
/* test_threads.h - threads for tests: start and join, for POSIX and Windows */
#ifndef TEST_THREADS_H
#define TEST_THREADS_H

#include "test.h"

#if defined(_WIN32)
#  define WIN32_LEAN_AND_MEAN
#  include <windows.h>
typedef HANDLE TestThreadHandle;
#else
#  include <pthread.h>
typedef pthread_t TestThreadHandle;
#endif

typedef struct TestThread {
    void (*run)(void *argument);
    void *argument;
    TestThreadHandle handle;
} TestThread;

#if defined(_WIN32)
static DWORD WINAPI test_thread_main(void *self)
{
    TestThread *thread = self;
    thread->run(thread->argument);
    return 0;
}
#else
static void *test_thread_main(void *self)
{
    TestThread *thread = self;
    thread->run(thread->argument);
    return NULL;
}
#endif

/* *thread must stay where it is until it is joined. */
static inline void test_thread_start(TestThread *thread, void (*run)(void *),
                                     void *argument)
{
    thread->run = run;
    thread->argument = argument;
#if defined(_WIN32)
    thread->handle = CreateThread(NULL, 0, test_thread_main, thread, 0, NULL);
    CHECK(thread->handle != NULL);
#else
    CHECK_EQ_INT(pthread_create(&thread->handle, NULL, test_thread_main, thread), 0);
#endif
}

static inline void test_thread_join(TestThread *thread)
{
#if defined(_WIN32)
    CHECK(WaitForSingleObject(thread->handle, INFINITE) == WAIT_OBJECT_0);
    CloseHandle(thread->handle);
#else
    CHECK_EQ_INT(pthread_join(thread->handle, NULL), 0);
#endif
}

#endif /* TEST_THREADS_H */
