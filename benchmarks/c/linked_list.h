/* SPDX-License-Identifier: MIT */
/* linked_list.h - a peer: a pool that is a list of blocks; see linked_list.c */
#ifndef LINKED_LIST_H
#define LINKED_LIST_H

#include <stddef.h>

typedef struct LinkedList LinkedList;

/* All blocks are made here, zeroed. NULL if there is no memory. */
LinkedList *linked_list_create(size_t total_size, size_t block_size);
void linked_list_destroy(LinkedList *list);

size_t linked_list_read(LinkedList *list, void *dest, size_t offset, size_t size);
size_t linked_list_write(LinkedList *list, size_t offset, const void *src, size_t size);

#endif /* LINKED_LIST_H */
