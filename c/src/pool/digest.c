/* SPDX-License-Identifier: MIT */
/*
 * digest.c - the digest of a pool's contents: a Merkle tree over pages of 4 KiB
 *
 * What is hashed, and in which order, says pool_digest in memory_pool.h. That tree is
 * binary. A node of the pool's tree stands for five levels of it: it combines the digests
 * of its 32 slots, or, where blocks are smaller than a page, those of the pages that its
 * slots make up. A block of several pages stands for the levels below.
 *
 * A snapshot is hashed, so that nothing changes meanwhile and no lock is held. What was
 * hashed is kept, since the snapshot shares it with the pool: the digest of a node in the
 * node, with a mark that whoever changes something below it takes off first (tree.c); that
 * of a block beside its header, until somebody may write to the block (digests.c). So the
 * next digest of a relative hashes what was written since.
 */
#include "pool.h"

enum {
    DIGEST_PAGE_BITS = 12,
    DIGEST_PAGE = 1 << DIGEST_PAGE_BITS,
    PAIRS_MAX = SIZE_BITS - DIGEST_PAGE_BITS + 1 /* levels of the binary tree */
};

static const Personalization digest_of_page = {"pool page"};
static const Personalization digest_of_node = {"pool node"};
static const Personalization digest_of_pool = {"pool"};

/* ---------------------------------------------------------------- the binary tree */

/* Makes the digest of a page, or that of zeros, which is zeros. */
static void page_hash(Digest *digest, const unsigned char *page)
{
    if (data_differs(page, NULL, DIGEST_PAGE)) {
        blake2b(digest, &digest_of_page, page, DIGEST_PAGE);
    } else {
        memset(digest, 0, sizeof *digest);
    }
}

/* Makes the digest of a node of two that follow each other; it may replace one of them. */
static void pair_hash(Digest *digest, const Digest *pair)
{
    const unsigned char *bytes = (const unsigned char *)pair;
    if (data_differs(bytes, NULL, 2 * sizeof *pair)) {
        blake2b(digest, &digest_of_node, bytes, 2 * sizeof *pair);
    } else {
        memset(digest, 0, sizeof *digest);
    }
}

/* Combines 2^bits digests to the first one. */
static void digests_combine(Digest *digests, unsigned bits)
{
    size_t i;
    while (bits-- > 0) {
        for (i = 0; i < (size_t)1 << bits; i++) {
            pair_hash(&digests[i], &digests[2 * i]);
        }
    }
}

/* Makes the digest of 2^bits pages. On the stack are those of which the second half of a
 * pair is still to come. */
static void pages_hash(Digest *digest, const unsigned char *pages, unsigned bits)
{
    Digest stack[PAIRS_MAX + 1];
    size_t i, end = (size_t)1 << bits, pairs;
    unsigned top = 0;
    for (i = 0; i < end; i++) {
        page_hash(&stack[top++], pages + i * DIGEST_PAGE);
        for (pairs = i; (pairs & 1) != 0; pairs >>= 1) {
            top--;
            pair_hash(&stack[top - 1], &stack[top - 1]);
        }
    }
    *digest = stack[0];
}

/* ----------------------------------------------------------------- the pool's tree */

/* The logarithm of the bytes that a slot of a node at a level covers. */
static unsigned slot_shift(const MemoryPool *pool, unsigned level)
{
    return pool->block_shift + level * TREE_BITS;
}

/* Makes the digest of the block in a slot of a leaf, of a page or more. */
static void block_hash(MemoryPool *pool, AtomicPtr *slot, Digest *digest)
{
    Block *block =
        word_block(slot_clear_sole(slot)); /* who writes to it finds out that */
    if (block == NULL) {
        memset(digest, 0, sizeof *digest);
    } else if (!block_has_digest(block, digest)) {
        pages_hash(digest, block_data(block), pool->block_shift - DIGEST_PAGE_BITS);
        arena_keep_digest(&pool->family->arena, block, digest);
    }
}

/* Copies what some slots of a node cover, less than a page each, to a buffer. */
static void slots_gather(const MemoryPool *pool, Node *node, unsigned level,
                         unsigned first, unsigned end, unsigned char *buffer)
{
    size_t size = (size_t)1 << slot_shift(pool, level);
    for (; first < end; first++, buffer += size) {
        void *child = ptr_load_acquire(&node->slot[first]);
        if (child == NULL) {
            memset(buffer, 0, size);
        } else if (level > 0) {
            slots_gather(pool, (Node *)child, level - 1, 0, TREE_SLOTS, buffer);
        } else {
            memcpy(buffer, word_data((Word)child), size);
        }
    }
}

static void node_hash(MemoryPool *pool, Node *node, unsigned level, Digest *digest);

/* Makes the first 2^bits of the digests that a node combines: of what a slot covers, or of
 * a page if that is more. */
static void node_hash_parts(MemoryPool *pool, Node *node, unsigned level, unsigned bits,
                            Digest *digests)
{
    unsigned shift = slot_shift(pool, level), i;
    unsigned slots = shift < DIGEST_PAGE_BITS ? DIGEST_PAGE_BITS - shift : 0;
    for (i = 0; i < 1U << bits; i++) {
        if (slots > 0) {
            unsigned char page[DIGEST_PAGE] = {0};
            unsigned first = i << slots;
            slots_gather(pool, node, level, first,
                         (unsigned)checked_min(first + ((size_t)1 << slots), TREE_SLOTS),
                         page);
            page_hash(&digests[i], page);
        } else if (level > 0) {
            node_hash(pool, (Node *)ptr_load_acquire(&node->slot[i]), level - 1,
                      &digests[i]);
        } else {
            block_hash(pool, &node->slot[i], &digests[i]);
        }
    }
}

/* Keeps the digest of a node. Context: the caller has a reference to the node, so that it
 * is private to no pool that others use. Locks: the arena. */
static void node_keep(Arena *arena, Node *node, const Digest *digest)
{
    lock_acquire(&arena->lock);
    if (!node_is_hashed(node)) {
        node->digest = *digest;
        size_add_release(&node->refs, NODE_HASHED);
    }
    lock_release(&arena->lock);
}

/* Makes the digest of all that a node covers, a page or more; NULL: zeros. */
static void node_hash(MemoryPool *pool, Node *node, unsigned level, Digest *digest)
{
    Digest parts[TREE_SLOTS];
    unsigned bits = TREE_BITS, covered = slot_shift(pool, level) + TREE_BITS;
    if (node == NULL) {
        memset(digest, 0, sizeof *digest);
        return;
    }
    if (!node_is_hashed(node)) {
        bits = (unsigned)checked_min(bits, covered - DIGEST_PAGE_BITS);
        node_hash_parts(pool, node, level, bits, parts);
        digests_combine(parts, bits);
        node_keep(&pool->family->arena, node, parts);
    }
    *digest = node->digest;
}

/* Makes the digest of the first 2^bits pages of a pool, of which they are the least that
 * cover it. */
static void tree_hash(MemoryPool *pool, unsigned bits, Digest *digest)
{
    Digest parts[TREE_SLOTS];
    Node *node = tree_root(&pool->tree);
    unsigned level = tree_top(&pool->tree), covered = bits + DIGEST_PAGE_BITS, shift;
    while (node != NULL && level > 0 && covered <= slot_shift(pool, level)) {
        node = node_child(node, level--, 0);
    }
    shift = (unsigned)checked_max(slot_shift(pool, level), DIGEST_PAGE_BITS);
    if (node == NULL || covered == slot_shift(pool, level) + TREE_BITS) {
        node_hash(pool, node, level, digest);
    } else if (covered >= shift) {
        node_hash_parts(pool, node, level, covered - shift, parts);
        digests_combine(parts, covered - shift);
        *digest = parts[0];
    } else { /* a part of the only block, which is there, because no node has none */
        pages_hash(digest, block_data(leaf_block(node, 0)), bits);
    }
}

/* Makes the digest of a pool that nobody else uses, whose bytes behind its end are
 * zeros. */
static void snapshot_hash(MemoryPool *pool, Digest *digest)
{
    unsigned char message[sizeof(uint64_t) + sizeof *digest];
    uint64_t size = pool_total(pool);
    unsigned bits = checked_log2_ceil(pool_total(pool)), i;
    tree_hash(pool, bits > DIGEST_PAGE_BITS ? bits - DIGEST_PAGE_BITS : 0, digest);
    for (i = 0; i < sizeof size; i++) {
        message[i] = (unsigned char)(size >> 8 * i);
    }
    memcpy(message + sizeof size, digest, sizeof *digest);
    blake2b(digest, &digest_of_pool, message, sizeof message);
}

/* Locks: as pool_clone. */
PoolStatus pool_digest(MemoryPool *pool, unsigned char digest[DIGEST_SIZE])
{
    HANDLE_CHECK(pool);
    PoolStatus status = pool == NULL || digest == NULL ? POOL_INVALID : POOL_OK;
    MemoryPool *snapshot;
    Digest made;
    if (status == POOL_OK) {
        status = pools_clone(&pool, 1, &snapshot);
    }
    if (status == POOL_OK) {
        interpreter_unlock();
        /* There may be bytes behind the end: see cut_plan in resize.c. */
        status = pool_resize(snapshot, pool_total(snapshot));
        if (status == POOL_OK) {
            snapshot_hash(snapshot, &made);
            memcpy(digest, made.bytes, sizeof made);
        }
        pool_destroy(snapshot);
    }
    return status_set(status);
}
