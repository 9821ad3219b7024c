/* SPDX-License-Identifier: MIT */
/*
 * integers.c - read-modify-write of integers, each in one atomic step
 */
#include "pool.h"

/* Loads an integer of size bytes in the machine's byte order. */
static uint64_t integer_load(const unsigned char *bytes, size_t size)
{
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    switch (size) {
    case 1: return bytes[0];
    case 2: memcpy(&two, bytes, 2); return two;
    case 4: memcpy(&four, bytes, 4); return four;
    default: memcpy(&eight, bytes, 8); return eight;
    }
}

static void integer_store(unsigned char *bytes, size_t size, uint64_t value)
{
    uint8_t one = (uint8_t)value;
    uint16_t two = (uint16_t)value;
    uint32_t four = (uint32_t)value;
    switch (size) {
    case 1: bytes[0] = one; return;
    case 2: memcpy(bytes, &two, 2); return;
    case 4: memcpy(bytes, &four, 4); return;
    default: memcpy(bytes, &value, 8); return;
    }
}

/* Adds value to the integer at offset, or, if expected is not NULL, replaces it by value
 * if it equals *expected. *old gets the previous value. Locks: as bytes_write. */
static PoolStatus integer_try_change(MemoryPool *pool, size_t offset, size_t size,
                                     const uint64_t *expected, uint64_t value,
                                     uint64_t *old)
{
    unsigned char bytes[8];
    Reservation reservation = {0};
    Guard guard;
    PoolStatus status = write_begin(pool, offset, &size, WRITE_ALL, &guard, &reservation);
    if (status == POOL_OK) {
        (void)bytes_get(pool, bytes, offset, size, NULL);
        *old = integer_load(bytes, size);
        if (expected == NULL || *old == *expected) {
            integer_store(bytes, size, expected == NULL ? *old + value : value);
            bytes_put(pool, offset, bytes, 0, size, &reservation);
        }
        write_end(pool, guard, &reservation);
    }
    return status;
}

/* The same, with all checks. */
static PoolStatus integer_change(MemoryPool *pool, size_t offset, size_t size,
                                 const uint64_t *expected, uint64_t value, uint64_t *old)
{
    PoolStatus status;
    bool asked = false;
    if (pool == NULL || old == NULL ||
        (size != 1 && size != 2 && size != 4 && size != 8)) {
        return status_set(POOL_INVALID);
    }
    if (!checked_fits(pool_total(pool), offset, size)) {
        return status_set(POOL_RANGE);
    }
    do {
        status = integer_try_change(pool, offset, size, expected, value, old);
    } while (limit_asks(pool, status, &asked));
    return status_set(status);
}

PoolStatus pool_fetch_add(MemoryPool *pool, size_t offset, size_t size, uint64_t value,
                          uint64_t *old)
{
    HANDLE_CHECK(pool);
    return integer_change(pool, offset, size, NULL, value, old);
}

PoolStatus pool_compare_exchange(MemoryPool *pool, size_t offset, size_t size,
                                 uint64_t expected, uint64_t value, uint64_t *old)
{
    HANDLE_CHECK(pool);
    return integer_change(pool, offset, size, &expected, value, old);
}
