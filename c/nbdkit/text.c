/* SPDX-License-Identifier: MIT */
/*
 * text.c - see text.h
 *
 * Not open_memstream, because glibc's does not report that it had no memory.
 */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROOM_FIRST = 256 };

/* Makes room for so many more bytes; false if there is no memory for them. */
static bool make_room(Text *text, size_t more)
{
    size_t room = text->room == 0 ? ROOM_FIRST : text->room;
    while (room - text->size < more) {
        room *= 2;
    }
    if (room != text->room) {
        char *bytes = realloc(text->bytes, room);
        if (bytes == NULL) {
            return false;
        }
        text->bytes = bytes;
        text->room = room;
    }
    return true;
}

void text_add(Text *text, const char *format, ...)
{
    va_list values, again;
    va_start(values, format);
    va_copy(again, values);
    int size = vsnprintf(NULL, 0, format, values);
    if (size >= 0 && make_room(text, (size_t)size + 1) &&
        vsnprintf(text->bytes + text->size, (size_t)size + 1, format, again) == size) {
        text->size += (size_t)size;
    } else {
        text->failed = true;
    }
    va_end(again);
    va_end(values);
}
