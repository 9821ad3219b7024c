/* SPDX-License-Identifier: MIT */
/*
 * linked_list.c - a peer: a pool as one writes it first, a list of blocks
 *
 *     list ──► block 0 ──► block 1 ──► block 2 ──► ...    one struct, one mutex,
 *                 │           │           │               one piece of memory each
 *
 * An access walks from the first block to the one it wants, and holds that one's mutex
 * while it copies. The list itself does not change between create and destroy.
 */
#include "linked_list.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct ListBlock {
    struct ListBlock *next;
    pthread_mutex_t mutex;
    size_t size;
    unsigned char *data;
} ListBlock;

struct LinkedList {
    ListBlock *first;
};

static ListBlock *list_block_create(size_t size)
{
    ListBlock *block = malloc(sizeof *block);
    if (block == NULL) {
        return NULL;
    }
    block->data = calloc(1, size);
    if (block->data == NULL) {
        free(block);
        return NULL;
    }
    pthread_mutex_init(&block->mutex, NULL);
    block->next = NULL;
    block->size = size;
    return block;
}

LinkedList *linked_list_create(size_t total_size, size_t block_size)
{
    LinkedList *list = malloc(sizeof *list);
    ListBlock **place;
    if (list == NULL) {
        return NULL;
    }
    list->first = NULL;
    for (place = &list->first; total_size > 0; place = &(*place)->next) {
        size_t size = total_size < block_size ? total_size : block_size;
        *place = list_block_create(size);
        if (*place == NULL) {
            linked_list_destroy(list);
            return NULL;
        }
        total_size -= size;
    }
    return list;
}

void linked_list_destroy(LinkedList *list)
{
    while (list->first != NULL) {
        ListBlock *block = list->first;
        list->first = block->next;
        pthread_mutex_destroy(&block->mutex);
        free(block->data);
        free(block);
    }
    free(list);
}

/* The block with the byte at *offset, which becomes an offset into it. */
static ListBlock *list_search(const LinkedList *list, size_t *offset)
{
    ListBlock *block = list->first;
    while (block != NULL && *offset >= block->size) {
        *offset -= block->size;
        block = block->next;
    }
    return block;
}

static size_t list_piece(const ListBlock *block, size_t offset, size_t size)
{
    return size < block->size - offset ? size : block->size - offset;
}

size_t linked_list_read(LinkedList *list, void *dest, size_t offset, size_t size)
{
    ListBlock *block = list_search(list, &offset);
    size_t done = 0;
    for (; block != NULL && done < size; block = block->next, offset = 0) {
        size_t piece = list_piece(block, offset, size - done);
        pthread_mutex_lock(&block->mutex);
        memcpy((unsigned char *)dest + done, block->data + offset, piece);
        pthread_mutex_unlock(&block->mutex);
        done += piece;
    }
    return done;
}

size_t linked_list_write(LinkedList *list, size_t offset, const void *src, size_t size)
{
    ListBlock *block = list_search(list, &offset);
    size_t done = 0;
    for (; block != NULL && done < size; block = block->next, offset = 0) {
        size_t piece = list_piece(block, offset, size - done);
        pthread_mutex_lock(&block->mutex);
        memcpy(block->data + offset, (const unsigned char *)src + done, piece);
        pthread_mutex_unlock(&block->mutex);
        done += piece;
    }
    return done;
}
