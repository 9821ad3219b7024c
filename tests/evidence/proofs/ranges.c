/* SPDX-License-Identifier: MIT */
/*
 * ranges.c - proofs that the arithmetic of ranges is right for every argument
 *
 * CBMC reads this file and, with it, the library itself: what is proved is the source
 * that is compiled, and not a copy. Each function below is a proof. It calls a function
 * of the library with all arguments that ASSUME allows, and PROVE states what must hold
 * for all of them. CBMC also checks that no shift is too wide, no pointer invalid and no
 * index out of bounds.
 *
 * PROVE uses WIDE numbers, in which sums of sizes cannot overflow. Loops are unwound to
 * their ends, which CBMC checks as well: the proofs are complete.
 *
 * Each line below is a mutation: the proof that must find it out, the file, and a sed
 * command that makes the mistake. `run` makes each in a copy of its own.
 *
 *  MUTATION clip           checked.h  s/offset >= total/offset > total + 1/
 *  MUTATION clip           checked.h  s/return size < total - offset/return offset + size < total/
 *  MUTATION fits           checked.h  s/return offset <= total && size <= total - offset/return offset + size <= total/
 *  MUTATION fits           checked.h  s/return offset <= total \&\&/return offset < total \&\&/
 *  MUTATION shift_right    checked.h  s/return bits < SIZE_BITS/return bits <= SIZE_BITS/
 *  MUTATION smaller_larger checked.h  s/return a < b ? a : b/return a < b ? b : a/
 *  MUTATION smaller_larger checked.h  s/return a > b ? a : b/return a > b + 1 ? a : b/
 *  MUTATION logarithms     checked.h  s/while (value >>= 1)/while ((value >>= 1) > 1)/
 *  MUTATION logarithms     checked.h  s/checked_log2_floor(value - 1) + 1/checked_log2_floor(value) + 1/
 *  MUTATION piece          range.c    s/checked_min(size, block_size - piece.start)/checked_min(size, block_size)/
 *  MUTATION piece          range.c    s/checked_min(size, block_size - piece.start)/checked_min(size + piece.start, block_size) - piece.start/
 *  MUTATION piece          range.c    s/offset & (block_size - 1)/offset % 4096/
 *  MUTATION digits         tree.c     s/checked_shift_right(blocks - 1, height/checked_shift_right(blocks, height/
 *  MUTATION digits         tree.c     s/checked_shift_right(blocks - 1, height \* TREE_BITS)/((blocks - 1) >> height * TREE_BITS)/
 *  MUTATION digits         tree.c     s/checked_shift_right(blocks - 1, height/checked_shift_right(blocks - 1, 1 + height/
 *  MUTATION digits         tree.c     s/index | (((size_t)1 <</index + (((size_t)1 <</
 *  MUTATION adopted        adopt.c    s/ + ((offset & inside) != 0)//
 *  MUTATION adopted        adopt.c    s/offset + (size - 1)) & inside) == inside/offset + size) \& inside) == inside/
 *  MUTATION covered        copy.c     s/return src_offset >= copy->src/return src_offset > copy->src/
 *  MUTATION covered        copy.c     s/(size_t)1 << copy->dst->block_shift);/(size_t)1 << copy->src->block_shift);/
 */
#include "memory_pool.c"

typedef unsigned __CPROVER_bitvector[160] Wide;

#define ASSUME(condition) __CPROVER_assume(condition)
#define PROVE(condition) __CPROVER_assert(condition, #condition)

/* Any value whatever: CBMC knows no body of these. */
size_t nondet_size(void);
unsigned nondet_unsigned(void);

/* -------------------------------------------------------------------- checked.h */

void prove_clip(void)
{
    size_t total = nondet_size(), offset = nondet_size(), size = nondet_size();
    size_t clipped = checked_clip(total, offset, size);
    Wide asked_end = (Wide)offset + size;
    Wide end = asked_end < total ? asked_end : (Wide)total;
    PROVE(clipped == (offset < end ? end - offset : 0));
}

void prove_fits(void)
{
    size_t total = nondet_size(), offset = nondet_size(), size = nondet_size();
    PROVE(checked_fits(total, offset, size) == ((Wide)offset + size <= total));
}

void prove_shift_right(void)
{
    size_t value = nondet_size();
    unsigned bits = nondet_unsigned();
    PROVE(checked_shift_right(value, bits) ==
          (bits < SIZE_BITS ? (Wide)value >> bits : 0));
}

void prove_smaller_larger(void)
{
    size_t a = nondet_size(), b = nondet_size();
    size_t smaller = checked_min(a, b), larger = checked_max(a, b);
    PROVE(smaller <= larger);
    PROVE((smaller == a && larger == b) || (smaller == b && larger == a));
}

void prove_logarithms(void)
{
    size_t value = nondet_size();
    unsigned floor, ceil;
    ASSUME(value > 0);
    floor = checked_log2_floor(value);
    ceil = checked_log2_ceil(value);
    PROVE(floor < SIZE_BITS && ceil <= SIZE_BITS);
    PROVE((Wide)1 << floor <= value && value < (Wide)1 << (floor + 1));
    PROVE(value <= (Wide)1 << ceil && (ceil == 0 || (Wide)1 << (ceil - 1) < value));
}

/* ------------------------------------------------------------ blocks and pieces */

/* A pool of any size and any block size it may have. Of its tree nothing is known. */
static MemoryPool any_pool(void)
{
    MemoryPool pool;
    size_t total = nondet_size();
    ASSUME(total > 0);
    pool.block_shift = nondet_unsigned();
    ASSUME(pool.block_shift < SIZE_BITS);
    size_store_relaxed(&pool.total_size, total);
    return pool;
}

/* A range of it with at least one byte. */
static void any_range(const MemoryPool *pool, size_t *offset, size_t *size)
{
    *offset = nondet_size();
    *size = nondet_size();
    ASSUME(*size > 0 && checked_fits(pool_total(pool), *offset, *size));
}

void prove_piece(void)
{
    MemoryPool pool = any_pool();
    size_t offset = nondet_size(), size = nondet_size();
    Wide block_size = (Wide)1 << pool.block_shift;
    Piece piece = piece_at(&pool, offset, size);
    PROVE(piece.index == pool_index(&pool, offset));
    PROVE(((Wide)piece.index << pool.block_shift) + piece.start == offset);
    PROVE(piece.start < block_size && piece.start + (Wide)piece.size <= block_size);
    PROVE(piece.size == size ||
          (piece.size < size && piece.start + (Wide)piece.size == block_size));
    PROVE(piece.size > 0 || size == 0); /* so that going on by pieces comes to an end */
    if (checked_fits(pool_total(&pool), offset, size) && size > 0) {
        size_t last = pool_index(&pool, offset + (size - 1));
        PROVE(last >= piece.index && last < SIZE_MAX); /* so last + 1 is a number */
        PROVE((last == piece.index) == (piece.size == size));
        PROVE((Wide)last << pool.block_shift < (Wide)offset + size);
        PROVE((last + (Wide)1) << pool.block_shift >= (Wide)offset + size);
    }
}

/* ------------------------------------------------------------------------- tree */

/* The digits of an index lead to its slot and to that of no other. */
void prove_digits(void)
{
    size_t blocks = nondet_size(), index = nondet_size(), rebuilt = 0;
    unsigned height, level;
    Node node;
    ASSUME(blocks > 0 && index < blocks);
    height = tree_height(blocks);
    PROVE(level_reaches(height - 1, blocks - 1));
    PROVE(height == 1 || !level_reaches(height - 2, blocks - 1));
    for (level = 0; level < height; level++) {
        size_t slot = (size_t)(node_slot(&node, level, index) - node.slot);
        unsigned bits = level * TREE_BITS;
        PROVE(slot < TREE_SLOTS);
        rebuilt += slot << bits;
        PROVE(level_last(level, index) == (((index >> bits) + (Wide)1) << bits) - 1);
    }
    PROVE(rebuilt == index);
}

/* ------------------------------------------------------------- ranges of blocks */

/* A block is adopted exactly if the range has all of it. */
void prove_adopted(void)
{
    MemoryPool pool = any_pool();
    size_t offset, size, first, end, index = nondet_size();
    Wide start = (Wide)index << pool.block_shift,
         block_size = (Wide)1 << pool.block_shift;
    any_range(&pool, &offset, &size);
    adopt_whole(&pool, offset, size, &first, &end);
    PROVE((first <= index && index < end) ==
          (offset <= start && start + block_size <= (Wide)offset + size));
}

/* A copy between ranges of two pools. */
static Copy any_copy(MemoryPool *dst, MemoryPool *src)
{
    Copy copy = {0};
    size_t size;
    copy.dst = dst;
    copy.src = src;
    any_range(src, &copy.src_offset, &copy.size);
    any_range(dst, &copy.dst_offset, &size);
    ASSUME(size == copy.size);
    return copy;
}

/* A whole block is the source's if all of its bytes are. */
void prove_covered(void)
{
    MemoryPool dst = any_pool(), src = any_pool();
    Copy copy = any_copy(&dst, &src);
    size_t start = nondet_size();
    PROVE(copy_covers(&copy, start) ==
          (start >= copy.src_offset && (Wide)start + ((Wide)1 << dst.block_shift) <=
                                           (Wide)copy.src_offset + copy.size));
}
