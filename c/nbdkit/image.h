/* SPDX-License-Identifier: MIT */
/*
 * image.h - raw images: one that the disk starts as, one that it is saved to
 *
 * An image that is loaded is mapped, and its runs of data become blocks of the pool as
 * they are: nothing is read before it is asked for, and nothing is ever written to it.
 * One that is saved takes the place of the old file at once, or not at all.
 */
#ifndef MEMPOOL_IMAGE_H
#define MEMPOOL_IMAGE_H

#include <stdint.h>

#include "memory_pool.h"

/* All return -1 after nbdkit_error if they fail. */

/* Maps an image, for as long as the process lives: nbdkit may end while a connection
 * still reads it. Returns its size in bytes. */
int64_t image_open(const char *path);

/* Makes the image that is open the contents of the pool from offset 0 on; the pool must
 * be at least as large. */
int image_adopt(MemoryPool *pool);

/* Whether a file of that many bytes can be made at path, as far as that can be told:
 * tries to make one beside it, of holes alone, and removes that. */
int image_check_target(const char *path, int64_t size);

/* Writes the pool to path: a temporary file beside it, in which holes stay holes, then a
 * rename. What is written to the pool meanwhile is not in it. */
int image_save(MemoryPool *pool, const char *path);

#endif
