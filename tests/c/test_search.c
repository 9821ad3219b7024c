/* SPDX-License-Identifier: MIT */
/* test_search.c - test_find.c with the library's own search in place of memmem */
#define POOL_NO_MEMMEM 1
#include "memory_pool.c"

#include "test_find.c"
