/* SPDX-License-Identifier: MIT */
/* text.h - text that grows, and says so if there was no memory for all of it */
#ifndef MEMPOOL_TEXT_H
#define MEMPOOL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct Text {
    char *bytes; /* NULL: none yet; else to be freed, and a 0 lies behind them */
    size_t size; /* in bytes, without the 0 */
    size_t room; /* in bytes, with it */
    bool failed; /* there was no memory for some of it: the rest is worth nothing */
} Text;

/* Adds what printf would print. */
__attribute__((format(printf, 2, 3))) void text_add(Text *text, const char *format, ...);

#endif
