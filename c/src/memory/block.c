/* SPDX-License-Identifier: MIT */
/*
 * block.c - the words by which slots refer to blocks (tagged pointers)
 *
 *     word ──► data                        of a block in a chunk that has its headers in
 *                                          its own pages; where a header is, is computed
 *     word ──► header ──► data             of any other block
 *
 * So a read, and a write to a block of which the slot is the sole owner, wait for the slot
 * and for the data, and for nothing between them.
 *
 *     data     | address of the data, a multiple of 512 | log. of size | 0 | sole |
 *     header   | address of the header                                 | 1 | sole |
 *
 * Invariant: a word is SOLE only if its slot has the one reference to the block, which is
 * not adopted. So WHO ADDS A REFERENCE CLEARS THE MARK FIRST, in the slot that the block
 * is taken from. Two slots that refer to one block hold the same word, without the mark,
 * so that trees are compared by their words. The mark may be missing where it would be
 * true; the next write sets it (slot_owns in tree_edit.c).
 */
#include "memory.h"

static inline bool block_is_adopted(const Block *block)
{
    return (block->from & BLOCK_IN_CHUNK) == 0;
}

static inline bool block_is_dirty(const Block *block)
{
    return (block->from & BLOCK_DIRTY) != 0;
}

/* The chunk of a block that is not adopted. */
static inline Chunk *block_chunk(const Block *block)
{
    return (Chunk *)(block->from & ~(uintptr_t)BLOCK_BITS);
}

/* Returns the data of a block to which the caller has a reference or a lock. */
static inline unsigned char *block_data(const Block *block)
{
    return block->data != NULL ? block->data : ((const Adoptee *)block)->data;
}

/* Returns the word of a block, without marks. */
static inline Word block_word(const Block *block)
{
    if (block_is_adopted(block) || block_chunk(block)->aligned == 0) {
        return (Word)block | WORD_HEADER;
    }
    return (Word)block->data | (Word)block_chunk(block)->aligned * WORD_CHUNK;
}

/* Returns the data of a word that is no header. */
static inline unsigned char *word_address(Word word)
{
    return (unsigned char *)(word & ~(Word)(WORD_DATA_MIN - 1));
}

/* Returns the header that is a word's address. */
static inline Block *word_header(Word word)
{
    return (Block *)(word & ~(Word)(WORD_HEADER | WORD_SOLE));
}

/* The logarithm of the size to which the chunk of such a word is aligned. */
static inline unsigned word_aligned(Word word)
{
    return (unsigned)(word / WORD_CHUNK) % (WORD_DATA_MIN / WORD_CHUNK);
}

/* Returns the block of a word; NULL for a hole. */
static inline Block *word_block(Word word)
{
    const Chunk *chunk;
    if (word == 0 || (word & WORD_HEADER) != 0) {
        return word_header(word);
    }
    chunk = (const Chunk *)(word >> word_aligned(word) << word_aligned(word));
    return (Block *)&chunk
        ->block[(size_t)(word_address(word) - chunk->base) >> chunk->shift];
}

/* Returns the data of a word, which is no hole, to whose block the caller has a reference
 * or a lock. */
static ALWAYS_INLINE unsigned char *word_data(Word word)
{
    return (word & WORD_HEADER) != 0 ? block_data(word_header(word)) : word_address(word);
}

/* The same for an optimistic reader; NULL if it must start over, because the block is
 * adopted or was freed. Loads the pointer in a header once, so that what was compared
 * with NULL is what is followed. */
static ALWAYS_INLINE const unsigned char *word_data_optimistic(Word word)
{
    if ((word & WORD_HEADER) != 0) {
        return *(unsigned char *const volatile *)&word_header(word)->data;
    }
    return word_address(word);
}
