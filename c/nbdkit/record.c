/* SPDX-License-Identifier: MIT */
/* record.c - see record.h */
#include "record.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "disks.h"

static struct {
    pthread_mutex_t mutex;
    long long count; /* of snapshots made; guarded by the mutex */
} record = {.mutex = PTHREAD_MUTEX_INITIALIZER};

typedef struct RecordName {
    char text[DISK_NAME_MAX + 1];
} RecordName;

static RecordName name_of(long long number)
{
    RecordName name;
    snprintf(name.text, sizeof name.text, "flush-%06lld", number);
    return name;
}

/* Whether the last snapshot is still there and the pool is the same. Context: the caller
 * holds the mutex. */
static bool is_recorded_locked(MemoryPool *pool)
{
    Disk last;
    size_t start, size;
    if (!disks_find(name_of(record.count).text, &last)) {
        return false;
    }
    int found = pool_next_change(pool, last.pool, 0, SIZE_MAX, &start, &size);
    pool_destroy(last.pool);
    return found == 0;
}

const char *record_flush(MemoryPool *pool, int most)
{
    const char *error = NULL;
    pthread_mutex_lock(&record.mutex);
    if (!is_recorded_locked(pool)) {
        error = disks_clone("", name_of(record.count + 1).text, false);
        if (error == NULL) {
            record.count++;
            /* The user may have dropped it. */
            (void)disks_drop(name_of(record.count - most).text);
        }
    }
    pthread_mutex_unlock(&record.mutex);
    return error;
}
