/* SPDX-License-Identifier: MIT */
/*
 * status.c - why the last call of this thread failed
 */
#include "base.h"

static POOL_THREAD_LOCAL PoolStatus status_last = POOL_OK;

/* Sets the status of the last call and returns it. */
static inline PoolStatus status_set(PoolStatus status)
{
    status_last = status;
    return status;
}

PoolStatus pool_last_status(void)
{
    return status_last;
}

/* The texts, with their numbers. */
static const struct {
    PoolStatus status;
    const char *text;
} status_texts[] = {
#define STATUS_ROW(name, number, text) {name, text},
    POOL_STATUS_LIST(STATUS_ROW)
#undef STATUS_ROW
};

const char *pool_status_text(PoolStatus status)
{
    size_t i;
    for (i = 0; i < sizeof status_texts / sizeof *status_texts; i++) {
        if (status_texts[i].status == status) {
            return status_texts[i].text;
        }
    }
    return "unknown status";
}

unsigned pool_version(void)
{
    return (unsigned)POOL_VERSION_MAJOR << 16 | (unsigned)POOL_VERSION_MINOR << 8 |
           (unsigned)POOL_VERSION_PATCH;
}
