/* SPDX-License-Identifier: MIT */
/*
 * hidden.h - pointers and lists that no leak checker follows
 *
 * LeakSanitizer and valgrind call memory leaked if no pointer to it is left. The library
 * has lists of all pools, and headers that know their pins; with plain pointers in them,
 * nothing that a caller forgets would ever count as leaked. So these are stored negated.
 * NULL stays 0.
 */
#ifndef POOL_HIDDEN_H
#define POOL_HIDDEN_H

#include <stddef.h>
#include <stdint.h>

typedef uintptr_t HiddenPtr;

static inline HiddenPtr hidden_from(const void *pointer)
{
    return (uintptr_t)0 - (uintptr_t)pointer;
}

static inline void *hidden_pointer(HiddenPtr hidden)
{
    return (void *)((uintptr_t)0 - hidden);
}

/* A place in a list, as a part of what is listed. */
typedef struct HiddenLink {
    HiddenPtr older, younger; /* HiddenLink, of the same list */
} HiddenLink;

/* A list, from the oldest to the youngest. */
typedef struct HiddenList {
    HiddenPtr oldest, youngest;
} HiddenList;

static inline HiddenLink *hidden_oldest(const HiddenList *list)
{
    return (HiddenLink *)hidden_pointer(list->oldest);
}

/* The next one, or NULL. */
static inline HiddenLink *hidden_younger(const HiddenLink *link)
{
    return (HiddenLink *)hidden_pointer(link->younger);
}

/* Adds a link as the youngest one. */
static inline void hidden_add(HiddenList *list, HiddenLink *link)
{
    HiddenLink *older = (HiddenLink *)hidden_pointer(list->youngest);
    link->older = list->youngest;
    link->younger = 0;
    *(older != NULL ? &older->younger : &list->oldest) = hidden_from(link);
    list->youngest = hidden_from(link);
}

static inline void hidden_remove(HiddenList *list, HiddenLink *link)
{
    HiddenLink *older = (HiddenLink *)hidden_pointer(link->older);
    HiddenLink *younger = hidden_younger(link);
    *(older != NULL ? &older->younger : &list->oldest) = link->younger;
    *(younger != NULL ? &younger->older : &list->youngest) = link->older;
}

#endif /* POOL_HIDDEN_H */
