/* SPDX-License-Identifier: MIT */
/* text.h - a string that grows, and records if there was no memory for it */
#ifndef MEMPOOL_TEXT_H
#define MEMPOOL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct Text {
    char *bytes; /* with a 0 at the end, to be freed by the owner; NULL: empty */
    size_t size; /* in bytes, without the 0                                    */
    size_t room; /* in bytes, with the 0                                       */
    bool failed; /* a text_add had no memory, so that the text is incomplete   */
} Text;

/* Adds formatted text, as printf; sets failed if there is no memory. */
__attribute__((format(printf, 2, 3))) void text_add(Text *text, const char *format, ...);

#endif
