/* SPDX-License-Identifier: MIT */
/*
 * format.h - recognises images that are not raw, by their first bytes
 *
 * Served as they are, their headers and text would be the contents of the disk.
 */
#ifndef MEMPOOL_FORMAT_H
#define MEMPOOL_FORMAT_H

#include <stddef.h>

enum { FORMAT_BYTES = 68 }; /* the first bytes that decide */

typedef struct Format {
    const char *title;   /* with its article                       */
    const char *convert; /* a command that makes a raw image of it */
} Format;

/* Returns the format of an image with these contents, of which the first FORMAT_BYTES
 * count; NULL: it may be raw. */
const Format *format_of(const unsigned char *data, size_t size);

#endif
