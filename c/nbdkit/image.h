/* SPDX-License-Identifier: MIT */
/*
 * image.h - raw images: to load the disk from, and to save it to
 *
 * A loaded image is mapped, and the pool adopts its runs of data: nothing is read before
 * a client reads it, and nothing is ever written to the file. A saved image replaces the
 * old file atomically, or not at all.
 */
#ifndef MEMPOOL_IMAGE_H
#define MEMPOOL_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "memory_pool.h"

/* After an error those that return int or int64_t call nbdkit_error and return -1. */

/* Maps an image and returns its size in bytes. It stays mapped until the process ends,
 * because nbdkit may unload the plugin while a connection still reads it.
 *
 * raw: do not look whether it is of a format that must be converted first. */
int64_t image_open(const char *path, bool raw);

/* Makes the open image the contents of the pool from offset 0 on. The pool must be at
 * least as large. Returns 0. */
int image_adopt(MemoryPool *pool);

/* Checks that a file of that many bytes can be saved at path: creates a sparse one in the
 * same folder and removes it. Returns 0. */
int image_check_target(const char *path, int64_t size);

/* Saves the pool, as it is at the moment of the call, by a sparse temporary file and an
 * atomic rename. Returns NULL, or a text that says why it could not; then the old file is
 * unchanged. */
const char *image_save(MemoryPool *pool, const char *path);

#endif
