/* SPDX-License-Identifier: MIT */
/*
 * demo.c - the smallest complete program
 *
 *     gcc -o memory_pool demo.c memory_pool.c -lpthread && ./memory_pool
 */
#include "memory_pool.h"

#include <stdio.h>

int main(void)
{
    char text[32] = "";
    MemoryPool *pool = pool_create(4096, 1024);
    if (pool == NULL) {
        fprintf(stderr, "pool_create: %s\n", pool_status_text(pool_last_status()));
        return 1;
    }
    if (pool_write(pool, 1020, "Test message", 13) != 13) { /* lies in two blocks */
        fprintf(stderr, "pool_write: %s\n", pool_status_text(pool_last_status()));
        pool_destroy(pool);
        return 1;
    }
    pool_read(pool, text, 1020, sizeof text);
    printf("Read: %s\n", text);
    pool_destroy(pool);
    return 0;
}
