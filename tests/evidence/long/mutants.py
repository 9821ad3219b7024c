# SPDX-License-Identifier: MIT
"""Shows that the tests find what is broken: breaks the library, one by one, in a copy.

    python tests/evidence/long/mutants.py SCRATCH [part of a test's or of a mutant's name]

First come its locks, for the tests of threads and of waiting; then the rest, for the
fuzzer's corpus and for what that cannot meet, and memory orders, for ThreadSanitizer.
Each test must pass on the library as it is and fail on each of its mutants, those of
threads with one of a few seeds. Needs a C compiler; takes some minutes.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SEEDS = 20  # of tests of threads; of others each run is like the first
COMPILE = ["cc", "-std=c11", "-O2", "-g"]

# Name, file in a folder of c/src, and pairs: what stands there, what comes in its place.
MUTANTS = {}
MUTANTS["test_linear"] = [
    (
        "reader does not look again at the end",
        "pool_lock.c",
        "return optimistic_validate_shape(read) && optimistic_sum(read) == read->sum;",
        "return (read->sum & LOCK_HELD) == 0;",
    ),
    (
        "reader looks again at the gate only",
        "pool_lock.c",
        "return optimistic_validate_shape(read) && optimistic_sum(read) == read->sum;",
        "return optimistic_validate_shape(read);",
    ),
    (
        "reader looks again at the stripes only",
        "pool_lock.c",
        "return optimistic_validate_shape(read) && optimistic_sum(read) == read->sum;",
        "return optimistic_sum(read) == read->sum;",
    ),
    (
        "reader watches the first stripe of a range only",
        "pool_lock.c",
        "read->count = last - first < STRIPES ? last - first + 1 : STRIPES;",
        "read->count = last - first < STRIPES ? 1 : STRIPES;",
    ),
    (
        "small write does not take the stripe",
        "bytes.c",
        "    lock_acquire(lock);\n    if (lock_version",
        "    if (lock_version",
        "    lock_release(lock);\n    return block != NULL;",
        "    return block != NULL;",
    ),
    (
        "small write does not look at the gate again",
        "bytes.c",
        "    if (lock_version(&pool->locks.shape.lock) == shape) {",
        "    if ((shape & LOCK_HELD) == 0) {",
    ),
    (
        "who holds stripes does not look at the gate",
        "pool_lock.c",
        "        if (pool_lock_grants(locks, first, last)) {\n            return guard;",
        "        if (guard.to > 0) {\n            return guard;",
    ),
    (
        "who holds the gate does not look at the stripes",
        "pool_lock.c",
        "    for (i = 0; (versions & LOCK_HELD) != 0 && i < STRIPES; i++) {",
        "    for (i = 0; versions == 1 && i < STRIPES; i++) {",
    ),
    (
        "a range takes its first stripe only",
        "pool_lock.c",
        "    guard.to = (unsigned)(last % STRIPES) + 1;",
        "    guard.to = guard.from + 1;",
    ),
    (
        "work on a long range does not keep others out",
        "pool_lock.c",
        "((shape & LOCK_HELD) == 0 &&\n"
        "            pool_lock_find_overlap(locks, first, last) == NULL);",
        "(shape & LOCK_HELD) == 0;",
    ),
    (
        "a clone does not wait for work on a long range",
        "pool_lock.c",
        "for (waits = 0; span_is_held(&locks->span[i]);) {",
        "for (waits = 0; waits == 1;) {",
    ),
    (
        "clone does not take the gate",
        "pool.c",
        "        Guard guard = pool_lock_exclusive(&pool->locks);\n"
        "        status = pool_share(clone, pool);\n"
        "        pool_unlock(&pool->locks, guard);",
        "        status = pool_share(clone, pool);",
    ),
    (
        "restore does not take the gates",
        "pool.c",
        "        pools_lock(pool, from);\n        status = reservation_fill",
        "        status = reservation_fill",
        "        pools_unlock(pool, from);\n"
        "        reservation_release_adopted(&reservation);",
        "        reservation_release_adopted(&reservation);",
    ),
    (
        "a change of shape is made under stripes",
        "bytes.c",
        "    if (need.nodes > 0 && !guard->exclusive) {",
        "    if (need.nodes > 0 && guard->exclusive) {",
    ),
    (
        "view does not take the stripe",
        "view.c",
        "    lock = pool_lock_block(&pool->locks, piece.index);",
        "    lock = pool_lock_stripe(&pool->locks, piece.index);",
        "    lock_release(lock);\n    return status_set(status);",
        "    (void)lock;\n    return status_set(status);",
    ),
    (
        "take discards in a second step",
        "discard.c",
        "status = bytes_discard(pool, (unsigned char *)dest, offset, &size, true);",
        "size = pool_read(pool, dest, offset, size);\n"
        "    status = bytes_discard(pool, NULL, offset, &size, true);",
    ),
    (
        "integers are read and written in two steps",
        "batch.c",
        "        *old = integer_load(bytes, size);\n",
        "        *old = integer_load(bytes, size);\n"
        "        pool_unlock(&pool->locks, guard);\n"
        "        guard = pool_lock_exclusive(&pool->locks);\n",
    ),
    (
        "copy holds one pool at a time",
        "copy.c",
        "    pools_lock(dst, src);",
        "    pools_lock(dst, dst);",
        "pools_unlock(dst, src);",
        "pools_unlock(dst, dst);",
    ),
]


MUTANTS["test_fork"] = [
    (
        "fork does not wait for the stripes",
        "family.c",
        "        (void)pool_lock_exclusive(&pool->locks);\n    }\n    for (family",
        "        lock_acquire(&pool->locks.shape.lock);\n    }\n    for (family",
    ),
    (
        "fork does not hold the arenas",
        "family.c",
        "        lock_acquire(&family->arena.lock);\n"
        "    }\n    lock_acquire(&chunk_cache",
        "        (void)family;\n    }\n    lock_acquire(&chunk_cache",
        "        lock_release(&family->arena.lock);",
        "        (void)family;",
    ),
    (
        "fork does not hold the store",
        "family.c",
        "    lock_acquire(&chunk_cache.lock);\n}",
        "}",
        "    lock_release(&chunk_cache.lock);\n",
        "",
    ),
    (
        "fork does not hold the register",
        "family.c",
        "    lock_acquire(&registry.lock);\n    for (pool = registry.oldest;",
        "    for (pool = registry.oldest;",
        "        pool_unlock_exclusive(&pool->locks);\n    }\n"
        "    lock_release(&registry.lock);",
        "        pool_unlock_exclusive(&pool->locks);\n    }",
    ),
]
MUTANTS["test_crowd"] = [
    (
        "references are taken in two steps",
        "pool.c",
        "size_add_relaxed(&pool->refs, 1);",
        "size_store_relaxed(&pool->refs, size_load_acquire(&pool->refs) + 1);",
    ),
    (
        "the first reference given back ends the pool",
        "pool.c",
        "size_sub_acq_rel(&pool->refs, 1) == 1",
        "size_sub_acq_rel(&pool->refs, 1) >= 1",
    ),
    (
        "a view does not hold its family",
        "view.c",
        "    size_add_relaxed(&pool->family->refs, 1);",
        "",
    ),
]

# The corpus of the fuzzer.
MUTANTS["fuzz_replay"] = [
    (
        "a view takes no reference to its block",
        "view.c",
        "        size_add_relaxed(&(*block)->refs, 1);\n",
        "",
    ),
    (
        "the limit is a block too high",
        "arena.c",
        "count <= (arena->limit - arena->held) / arena->block_size;",
        "count <= (arena->limit - arena->held) / arena->block_size + 1;",
    ),
    (
        "a failed call raises the peak",
        "reservation.c",
        "        arena->peak = peak;",
        "        (void)peak;",
    ),
    (
        "adopted memory is written to",
        "tree.c",
        "return block_is_adopted(block) || block_has_others(block);",
        "return block_has_others(block);",
    ),
    (
        "adopted memory over a pin is not given back",
        "adopt.c",
        "        reservation_put_block(reservation, block);\n        return 0;",
        "        return 0;",
    ),
    (
        "a failed adoption keeps its blocks",
        "adopt.c",
        "        arena_free(arena, *adoptees, &reservation->released);",
        "        (void)adoptees;",
    ),
    (
        "an extent ends with a block, not with the pool",
        "walk.c",
        "(run.end <= run.last ? run.end << pool->block_shift : end) - *start;",
        "(run.end << pool->block_shift) - *start;",
    ),
    (
        "changes end with the pool, even if its base goes on",
        "walk.c",
        "checked_max(pool_total(pool), pool_total(base))",
        "pool_total(pool)",
    ),
    (
        "a block below a shared node counts as the pool's own",
        "tree.c",
        "} else if (shared || block_has_others(block)) {",
        "} else if (shared ? false : block_has_others(block)) {",
    ),
    (
        "a wipe leaves a byte",
        "reservation.c",
        "memset(block->data, 0, arena->block_size);",
        "memset(block->data, 0, arena->block_size - 1);",
    ),
    (
        "a pool made smaller keeps the rest of its last block",
        "resize.c",
        "(block_is_pinned(block) ||",
        "(block_is_pinned(block) &&",
    ),
    (
        "pins beyond the new end stay with the pool",
        "resize.c",
        "        pins_cut(pool, cut.first, cut.end);\n",
        "",
    ),
    (
        "a pool made smaller cuts off its first pin only",
        "pins.c",
        "    for (; pins_find(pool, first, end, &index); first = index + 1) {",
        "    if (pins_find(pool, first, end, &index)) {",
    ),
    (
        "a discard leaves what is pinned as it is",
        "tree_edit.c",
        "        memset(block->data, 0, pinned_size);\n",
        "",
    ),
    (
        "a copy takes no blocks for what is pinned in its source",
        "copy.c",
        "        need.blocks += copy_pinned_blocks(copy);",
        "        (void)copy_pinned_blocks;",
    ),
    (
        "a copied node has no count of blocks",
        "tree_edit.c",
        "size_store_relaxed(&copy->blocks, size_load_relaxed(&node->blocks));",
        "size_store_relaxed(&copy->blocks, 0);",
    ),
    (
        "a block that is used again counts as fresh",
        "bytes.c",
        "    block->from |= BLOCK_DIRTY;\n}",
        "}",
    ),
    (
        "a chunk that was kept counts as untouched",
        "arena.c",
        "size_t dirty_end = chunk_dirty_end(chunk, arena->item_size);",
        "size_t dirty_end = chunk->dirty_end;",
    ),
    (
        "a copy on write loses the last byte",
        "bytes.c",
        "memcpy(block->data + end, data + end, rest);",
        "memcpy(block->data + end, data + end, rest - (rest > 0));",
    ),
    (
        "a copy shares what is pinned in the source",
        "copy.c",
        "        !block_is_pinned(block) && (old",
        "        (old",
    ),
    (
        "a copy shares without a reference",
        "copy.c",
        "            size_add_relaxed(&block->refs, 1);\n",
        "",
    ),
    (
        "a restored pool keeps its size",
        "pool.c",
        "    size_store_release(&pool->total_size, pool_total(from));\n"
        "    tree_replace(&pool->tree, tree_retain_root(&from->tree), tree_top",
        "    tree_replace(&pool->tree, tree_retain_root(&from->tree), tree_top",
    ),
    (
        "a pin keeps its bytes where a restored pool has a hole",
        "pins.c",
        "        memset(pin->block->data, 0, size);\n        tree_count",
        "        tree_count",
    ),
    (
        "a new block that is pinned is not counted",
        "view.c",
        "            tree_count(&pool->tree, piece.index, 1);",
        "",
    ),
]

# What the corpus cannot meet: other threads, a system that refuses, callbacks.
MUTANTS["test_meanwhile"] = [
    (
        "a pool leaves the register without its lock",
        "family.c",
        "{\n    lock_acquire(&registry.lock);\n    *(pool->older",
        "{\n    *(pool->older",
        "family->pools, 1);\n    lock_release(&registry.lock);",
        "family->pools, 1);",
    ),
    (
        "a clone has the size that the pool had before it waited",
        "pool.c",
        "        size_store_release(&pool->total_size, pool_total(from));\n        tree",
        "        tree",
    ),
    (
        "adopted memory is read without a lock",
        "bytes.c",
        "read != NULL ? block_data_optimistic(block) : block_data(block);",
        "block_data(block);",
    ),
    (
        "adopted memory is gathered without a lock",
        "batch.c",
        "item->data = block_data_optimistic(item->block);",
        "item->data = block_data(item->block);",
    ),
    (
        "a leaf is asked twice whether it is shared",
        "tree.c",
        """    *leaf = NULL;
    while (node != NULL && !(private_only && node_is_shared(node))) {
        if (bits == 0) {
            *leaf = node;
            break;
        }
""",
        "    while (node != NULL && bits > 0 &&\n"
        "           !(private_only && node_is_shared(node))) {\n",
        """        bits -= TREE_BITS;
    }
    return true;""",
        """        bits -= TREE_BITS;
    }
    *leaf = private_only && node != NULL && node_is_shared(node) ? NULL : node;
    return true;""",
    ),
]
MUTANTS["test_pins_meanwhile"] = [
    (
        "a copy counts on pins that may be released meanwhile",
        "copy.c",
        "copy_covers(copy, index << copy->dst->block_shift)) ||",
        "copy_covers(copy, index << copy->dst->block_shift) &&\n"
        "            (tree_block(&copy->dst->tree, index) == NULL ||\n"
        "             !block_is_pinned(tree_block(&copy->dst->tree, index)))) ||",
    ),
    (
        "a discard in one block asks what is beside it in a pinned block",
        "discard.c",
        "(block_is_pinned(block) || !piece_is_all(pool, block, piece))",
        "!piece_is_all(pool, block, piece)",
        "(!block_is_pinned(block) && piece_is_all(pool, block, piece))",
        "piece_is_all(pool, block, piece)",
    ),
    (
        "what is cut off a pinned block is asked whether it is zero",
        "resize.c",
        "            (block_is_pinned(block) ||\n",
        "            (\n",
    ),
]
MUTANTS["test_walks"] = [
    (
        "a node that lacks a block counts as full",
        "tree.c",
        "->blocks) == (size_t)1 << bits;",
        "->blocks) + 1 >= (size_t)1 << bits;",
    ),
    (
        "a full node is full for states as well",
        "tree.c",
        "(!run->by_state && nodes_differ_everywhere(node, other, level))",
        "nodes_differ_everywhere(node, other, level)",
    ),
    (
        "a node that another has full counts as empty",
        "tree.c",
        "    if ((node != NULL && other != NULL) || bits >= SIZE_BITS) {",
        "    if (node == NULL || other != NULL || bits >= SIZE_BITS) {\n"
        "        if (other != NULL && node == NULL) { return other->blocks > 0; }",
    ),
    (
        "a walk looks a slot past its end",
        "tree.c",
        "checked_min(i + left + 1, TREE_SLOTS);",
        "checked_min(i + left + 2, TREE_SLOTS);",
    ),
]
MUTANTS["test_edges"] = [
    (
        "a walk ends with the lower tree",
        "tree.c",
        "        if (run->last <= end) {\n            return false;",
        "        if (run->last <= SIZE_MAX) {\n            return false;",
    ),
]
MUTANTS["test_adopt"] = [
    (
        "adopted memory is given back while the pool is held",
        "bytes.c",
        "    pool_unlock(&pool->locks, guard);\n"
        "    reservation_release_adopted(reservation);",
        "    reservation_release_adopted(reservation);\n"
        "    pool_unlock(&pool->locks, guard);",
    ),
]
MUTANTS["test_batch"] = [
    (
        "an exchange compares half of a large integer",
        "batch.c",
        "*old == *expected",
        "(uint32_t)*old == (uint32_t)*expected",
    ),
]
MUTANTS["test_system"] = [
    (
        "pages of some blocks that were not taken back count as zeros",
        "chunk.c",
        "    *zeros = platform_reset(",
        "    *zeros = true;\n    (void)platform_reset(",
    ),
    (
        "files that are cached count as used",
        "platform_posix.c",
        "    usage -= checked_min(usage, cache);",
        "    (void)cache;",
    ),
    (
        "pages that the system did not take back count as zeros",
        "chunk.c",
        "    chunk->dirty_end = chunk_dirty_end(chunk, item_size);\n    if",
        "    if",
    ),
]
MUTANTS["test_arena"] = [
    (
        "what is kept has no bound",
        "chunk_cache.c",
        "size <= chunk_cache.bound && chunk_cache.cached <= chunk_cache.bound - size;",
        "size <= chunk_cache.bound;",
    ),
    (
        "what is trimmed still counts as kept",
        "arena.c",
        "    chunk_uncount_cached(chunk, 0);\n    return freed;",
        "    return freed;",
    ),
]
MUTANTS["test_arena"] += [
    (
        "items in pages that went back stay on the list",
        "slab.c",
        "} else if (!row_is_decommitted(row, i)) {",
        "} else {",
    ),
    (
        "a page of which one item is in use goes back",
        "slab.c",
        "row_page(row, row_item(row, run->first) + (page - 1))",
        "row_page(row, row_item(row, run->first))",
    ),
    (
        "bookkeeping that went back is still counted",
        "slab.c",
        "    slab->bytes -= freed;\n",
        "",
    ),
    (
        "what a chunk keeps when it is full is still counted",
        "chunk.c",
        "idle == 0 || chunk->cached > idle",
        "chunk->cached > idle",
    ),
]
MUTANTS["test_resident"] = [
    (
        "partly used chunks are not trimmed",
        "arena.c",
        "} else if (chunk_idle(chunk, arena->item_size) > 0) {",
        "} else if (chunk->used == 0) {",
    ),
    (
        "what is beyond the bound stays",
        "arena.c",
        "        (void)chunk_trim(chunk, arena->item_size, &arena->headers);\n    }\n}",
        "    }\n}",
    ),
    (
        "pages behind the blocks in use stay",
        "chunk.c",
        "    if (chunk->warm_end > from) {",
        "    if (chunk->warm_end < from) {",
    ),
    (
        "descriptions stay",
        "slab.c",
        "    if (row->page_bits == 0) {",
        "    if (row->page_bits != 0) {",
    ),
]
MUTANTS["test_requests"] = [
    (
        "requests may be larger than what is left",
        "arena.c",
        "bytes <= checked_plus(POOL_AVAILABLE(), chunk_cache_bytes());",
        "bytes / 8 <= checked_plus(POOL_AVAILABLE(), chunk_cache_bytes());",
    ),
    (
        "sparse blocks count in full",
        "reservation.c",
        "        holes = checked_min(holes, written);",
        "        (void)written;",
    ),
    (
        "copies of shared blocks count as what is written",
        "tree_edit.c",
        "            need->holes += child == NULL;",
        "            need->holes++;",
    ),
    (
        "a limit is not said first",
        "reservation.c",
        "possible || !arena_within_limit(arena, need->blocks)",
        "possible",
    ),
    (
        "a pin counts as a write to all of a block",
        "view.c",
        "&size, WRITE_NOTHING, &guard",
        "&size, WRITE_ALL, &guard",
    ),
    (
        "the ends of a copy count as what is written",
        "copy.c",
        "need.blocks - checked_min(need.blocks, copy_ends(copy));",
        "need.blocks;",
    ),
]
MUTANTS["test_faults"] = [
    (
        "views of holes show less than a large block",
        "arena.c",
        "memory_map(checked_max(CHUNK_MIN, arena->block_size), PLATFORM_ZEROS);",
        "memory_map(CHUNK_MIN, PLATFORM_ZEROS);",
    ),
]
MUTANTS["test_tree"] = [
    (
        "a node that nobody holds is lost",
        "tree_edit.c",
        "    reservation_put_node(reservation, node);\n}",
        "}",
    ),
]
MUTANTS["test_fair"] = [
    (
        "who is first in line does not mark the lock",
        "lock.c",
        "(void)size_swap_seq_cst(&lock->version, version, version + LOCK_HANDOFF);",
        "(void)version;",
    ),
    (
        "a marked lock is taken by anybody",
        "lock.c",
        "(version & (LOCK_HELD | LOCK_HANDOFF)) == 0 &&",
        "(version & LOCK_HELD) == 0 &&",
    ),
    (
        "nobody stands in line",
        "lock.c",
        "        if (waits == BACKOFF_MAX) {\n            lock_acquire_queued",
        "        if (waits > BACKOFF_MAX) {\n            lock_acquire_queued",
    ),
    (
        "in line, everybody acts as if it was the first",
        "lock.c",
        "if ((before == 0 || slept >= TICKET_TIMEOUT) && lock_try_first(lock)) {",
        "if (lock_try_first(lock)) {",
    ),
    (
        "a place in line does not lapse",
        "lock.c",
        "if ((before == 0 || slept >= TICKET_TIMEOUT) && lock_try_first(lock)) {",
        "if (before == 0 && lock_try_first(lock)) {",
    ),
    (
        "the line is not moved on behind a thread that died",
        "lock.c",
        "        size_store_release(&lock->serving, ticket + 1);",
        "        size_store_release(&lock->serving, serving + 1);",
    ),
    (
        "the line is moved back by who was passed over",
        "lock.c",
        "if (lock_queue_ahead(ticket + 1, size_load_relaxed(&lock->serving)) > 0) {",
        "if (ticket + 1 != size_load_relaxed(&lock->serving)) {",
    ),
    (
        "who meets the gate closed never stands in line",
        "pool_lock.c",
        "        if (*waits == BACKOFF_MAX) {\n            return false;\n        }\n",
        "",
    ),
    (
        "who meets other spans never stands in line",
        "pool_lock.c",
        "    } while (waits < BACKOFF_MAX);\n"
        "    return pool_lock_exclusive_queued(locks);",
        "        waits = 0;\n    } while (true);",
    ),
    (
        "a thread that is cancelled leaves its place in line",
        "platform_posix.c",
        "    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);\n",
        "    state = PTHREAD_CANCEL_ENABLE;\n",
    ),
]
MUTANTS["test_pool_lock"] = [
    (
        "work that overlaps a span is admitted",
        "pool_lock.c",
        "((shape & LOCK_HELD) == 0 &&\n"
        "            pool_lock_find_overlap(locks, first, last) == NULL);",
        "(shape & LOCK_HELD) == 0;",
    ),
    (
        "a span is entered beside holders of stripes",
        "pool_lock.c",
        "    pool_lock_await_stripes(locks);\n"
        "    size_store_relaxed(&span->first, first);",
        "    size_store_relaxed(&span->first, first);",
    ),
    (
        "a span is entered beside one that it overlaps",
        "pool_lock.c",
        "        if (other == NULL && span != NULL) {",
        "        if (span != NULL) {",
    ),
    (
        "who has the gate does not wait for spans",
        "pool_lock.c",
        "for (waits = 0; span_is_held(&locks->span[i]);) {",
        "for (waits = 0; waits == 1;) {",
    ),
    (
        "a span leaves its mark on the gate",
        "pool_lock.c",
        "version + LOCK_STEP - LOCK_SPANS));",
        "version + LOCK_STEP));",
    ),
    (
        "the first span that ends opens the gate",
        "pool_lock.c",
        "            if (span_is_held(&locks->span[i])) {\n                return;",
        "            if (span_is_held(&locks->span[i]) && i == SPANS) {\n"
        "                return;",
    ),
    (
        "a reader begins beside a span",
        "pool_lock.c",
        "(read->shape & (LOCK_HELD | LOCK_SPANS)) == 0;",
        "(read->shape & LOCK_HELD) == 0;",
    ),
]
MUTANTS["test_meanwhile"] = [
    (
        "a read is clipped before it holds the blocks",
        "bytes.c",
        "    clipped = pool_clip(pool, offset, size);\n    clipped = clips",
        "    clipped = clips",
    ),
    (
        "a write is clipped before it holds the blocks",
        "bytes.c",
        "    *guard = pool_lock_range(&pool->locks, first, last);\n"
        "    clipped = mode == WRITE_CLIPPED ? pool_clip(pool, offset, *size) : *size;\n",
        "    clipped = mode == WRITE_CLIPPED ? pool_clip(pool, offset, *size) : *size;\n"
        "    *guard = pool_lock_range(&pool->locks, first, last);\n",
    ),
    (
        "a take is clipped before it holds the blocks",
        "discard.c",
        "    guard = pool_lock_exclusive(&pool->locks);\n"
        "    clipped = pool_clip(pool, offset, *size);\n",
        "    clipped = pool_clip(pool, offset, *size);\n"
        "    guard = pool_lock_exclusive(&pool->locks);\n",
    ),
]
# Found by ThreadSanitizer, whose word counts as the test's.
MUTANTS["test_pins"] = [
    (
        "the count of pins goes down with no order",
        "pins.c",
        "(void)size_sub_acq_rel(&pool->pinned, 1);",
        "size_sub_relaxed(&pool->pinned, 1);",
    ),
    (
        "the count of pins is read with no order",
        "pins.c",
        "return size_load_acquire(&pool->pinned);",
        "return size_load_relaxed(&pool->pinned);",
    ),
    (
        "a pin is counted off before its mark is cleared",
        "pins.c",
        "    ptr_store_release(&pin->block->as.pin, NULL);\n"
        "    (void)size_sub_acq_rel(&pool->pinned, 1);",
        "    (void)size_sub_acq_rel(&pool->pinned, 1);\n"
        "    ptr_store_release(&pin->block->as.pin, NULL);",
    ),
    (
        "the mark of a pin is cleared with no order",
        "pins.c",
        "    ptr_store_release(&pin->block->as.pin, NULL);",
        "    atomic_store_explicit(&pin->block->as.pin, NULL, memory_order_relaxed);",
    ),
    (
        "the mark of a pin is read with no order",
        "tree.c",
        "    return ptr_load_acquire(&block->as.pin) != NULL;",
        "    return atomic_load_explicit(&block->as.pin, memory_order_relaxed) != NULL;",
    ),
    (
        "a pin that is cut off takes no reference",
        "pins.c",
        "    size_add_relaxed(&pin->block->refs, 1);",
        "    (void)pin;",
    ),
    (
        "a discard looks at all of a pinned block",
        "discard.c",
        "(!block_is_pinned(block) && piece_is_all(pool, block, piece))",
        "(piece_is_all(pool, block, piece) && !block_is_pinned(block))",
    ),
    (
        "a discard in one block looks at all of it if it is pinned",
        "discard.c",
        "(block_is_pinned(block) || !piece_is_all(pool, block, piece))",
        "(!piece_is_all(pool, block, piece) || block_is_pinned(block))",
    ),
    (
        "a view copies all of a pinned block",
        "view.c",
        "memcpy((*block)->data + piece.start, pinned->data + piece.start, piece.size);",
        "memcpy((*block)->data, pinned->data, (size_t)1 << pool->block_shift);",
    ),
]
THREADED = {"test_linear", "test_fork", "test_crowd", "test_pool_lock", "test_pins"}
SANITIZED = {"test_pins"}


def source_of(name: str) -> Path:
    """The program of a test; that of the fuzzer replays the corpus."""
    tests = ROOT / "tests"
    if name == "fuzz_replay":
        return tests / "fuzz" / "fuzz_pools.c"
    return tests / "c" / f"{name}.c"


def build(folder: Path, name: str, edits: list[tuple[str, ...]]) -> Path:
    """Builds a test with a copy of the library in which each edit was made."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "c", folder / "c")
    for file, old, new in edits:
        (path,) = (folder / "c" / "src").rglob(file)
        text = path.read_text()
        if old not in text:
            raise SystemExit(f"{path.name} has no longer:\n{old}")
        path.write_text(text.replace(old, new))
    program, source = folder / name, source_of(name)
    command: list[str | Path] = [*COMPILE, "-I", folder / "c", "-I", ROOT / "tests" / "c"]
    if name in SANITIZED:
        command += ["-fsanitize=thread", "-w"]  # gcc says that it does not see fences
    command.append(source)
    if '"internal.h"' not in source.read_text():  # else it includes the library
        command.append(folder / "c" / "memory_pool.c")
    subprocess.run([*command, "-o", program, "-lpthread"], check=True)
    return program


def run(program: Path, seed: int) -> str:
    """What the test says that is wrong, or nothing."""
    corpus = ROOT / "tests" / "fuzz" / "corpus"
    # ThreadSanitizer does not know all address layouts that the system may choose from.
    fixed = ["setarch", "-R"] if program.name in SANITIZED else []
    argument = corpus if program.name == "fuzz_replay" else f"--seed={seed}"
    with subprocess.Popen(
        [*fixed, program, argument],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that its children end with it
    ) as test:
        try:
            _, errors = test.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(test.pid, signal.SIGKILL)
            return "it does not end"
    if test.returncode == 0:
        return ""
    lines = errors.strip(" \n=").splitlines() or [f"ended by signal {-test.returncode}"]
    return lines[0].strip()


def first_fault(program: Path) -> str:
    """The first seed that shows something wrong, and what; or nothing."""
    begin = time.monotonic()
    for seed in range(1, SEEDS + 1 if program.name in THREADED else 2):
        fault = run(program, seed)
        if fault:
            return f"seed {seed}, {time.monotonic() - begin:.1f} s: {fault}"
    return ""


def main() -> int:
    scratch = Path(sys.argv[1]) / "mutant"
    part = sys.argv[2] if len(sys.argv) > 2 else ""
    missed = 0
    for test, mutants in MUTANTS.items():
        chosen = [mutant for mutant in mutants if part in mutant[0] or part in test]
        fault = chosen and first_fault(build(scratch, test, []))
        if fault:
            print(f"{test} fails with the library as it is: {fault}")
            return 1
        for name, file, *texts in chosen:
            edits = [(file, *texts[i : i + 2]) for i in range(0, len(texts), 2)]
            fault = first_fault(build(scratch, test, edits))
            missed += not fault
            print(f"{test}, {name}: {fault or 'NOT FOUND'}", flush=True)
    print(f"{missed} not found")
    return missed != 0


if __name__ == "__main__":
    sys.exit(main())
