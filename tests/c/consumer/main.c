/* SPDX-License-Identifier: MIT */
/* A user's program in C. */
#include <memory_pool.h>

#include <stdio.h>
#include <string.h>

#if defined(LINKED_STATICALLY) && defined(POOL_USE_DLL)
#  error "the static library is taken for a DLL"
#endif

int main(void)
{
    const unsigned header =
        POOL_VERSION_MAJOR << 16 | POOL_VERSION_MINOR << 8 | POOL_VERSION_PATCH;
    if (pool_version() != header) {
        fprintf(stderr, "the library is %06x, the header %06x\n", pool_version(), header);
        return 1;
    }

    char text[] = "across two blocks";
    char back[sizeof text] = "";
    MemoryPool *pool = pool_create(4096, 16);
    size_t moved = pool_write(pool, 1020, text, sizeof text);
    moved += pool_read(pool, back, 1020, sizeof back);
    pool_destroy(pool);
    if (moved != 2 * sizeof text || strcmp(text, back) != 0) {
        fprintf(stderr, "moved %u bytes: %s\n", (unsigned)moved, back);
        return 1;
    }
    return 0;
}
