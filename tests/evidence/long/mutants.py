# SPDX-License-Identifier: MIT
"""Mutation testing: breaks a copy of the library in many ways, and shows that tests fail.

    python tests/evidence/long/mutants.py SCRATCH [part of a test's or of a mutant's name]

Mutants of the locks come first, for the tests of threads and of waiting; then the rest,
for the fuzzer's corpus and other tests, and memory orders, for ThreadSanitizer. Each test
must pass with the library as it is and fail with each of its mutants, tests of threads
with one of a few seeds. Needs a C compiler; takes some minutes.
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

# Name, file in a folder of c/src, and pairs of texts: in the source, in the mutant.
MUTANTS = {}
MUTANTS["test_linear"] = [
    (
        "reader does not validate at the end",
        "pool_lock.c",
        "return optimistic_validate_shape(read) && optimistic_sum(read) == read->sum;",
        "return (read->sum & LOCK_HELD) == 0;",
    ),
    (
        "reader validates the shape lock only",
        "pool_lock.c",
        "return optimistic_validate_shape(read) && optimistic_sum(read) == read->sum;",
        "return optimistic_validate_shape(read);",
    ),
    (
        "reader validates the stripes only",
        "pool_lock.c",
        "return optimistic_validate_shape(read) && optimistic_sum(read) == read->sum;",
        "return optimistic_sum(read) == read->sum;",
    ),
    (
        "reader notes the first stripe of a range only",
        "pool_lock.c",
        "read->count = last - first < STRIPES ? last - first + 1 : STRIPES;",
        "read->count = last - first < STRIPES ? 1 : STRIPES;",
    ),
    (
        "small write does not lock the stripe",
        "write.c",
        "    if (!quick) {\n"
        "        lock_acquire(lock);\n"
        "    } else if (!lock_enter(lock)) {\n"
        "        return false;\n"
        "    }\n",
        "    (void)quick;\n",
        "    lock_release(lock);\n    return owns;",
        "    (void)lock;\n    return owns;",
    ),
    (
        "small write does not check the shape lock again",
        "write.c",
        "    if (lock_version(&pool->locks.shape.lock) == shape) {",
        "    if ((shape & LOCK_HELD) == 0) {",
    ),
    (
        "holder of stripes does not check the shape lock",
        "pool_lock.c",
        "        if (pool_lock_grants(locks, first, last)) {\n            return guard;",
        "        if (guard.to > 0) {\n            return guard;",
    ),
    (
        "holder of the shape lock does not check the stripes",
        "pool_lock.c",
        "    for (i = 0; (versions & LOCK_HELD) != 0 && i < STRIPES; i++) {",
        "    for (i = 0; versions == 1 && i < STRIPES; i++) {",
    ),
    (
        "a range locks its first stripe only",
        "pool_lock.c",
        "    guard.to = (unsigned)(last % STRIPES) + 1;",
        "    guard.to = guard.from + 1;",
    ),
    (
        "work on a long range does not exclude others",
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
        "clone does not lock the pool",
        "pool.c",
        "        pools_lock(pools[0], pools[count - 1]);\n"
        "        status = shares_apply(shares, count);\n"
        "        pools_unlock(pools[0], pools[count - 1]);\n",
        "        status = shares_apply(shares, count);\n",
    ),
    (
        "restore does not lock the pools",
        "pool.c",
        "    pools_lock(pool, from);\n    restore.pins = ",
        "    restore.pins = ",
        "    pools_unlock(pool, from);\n    reservation_release_adopted(&reservation);",
        "    reservation_release_adopted(&reservation);",
    ),
    (
        "a change of shape is made under stripes",
        "write.c",
        "    if (need.nodes > 0 && !guard->exclusive) {",
        "    if (need.nodes > 0 && guard->exclusive) {",
    ),
    (
        "view does not lock the stripe",
        "view.c",
        "    guard = pool_lock_range(&pool->locks, pool_index(pool, offset),\n"
        "                            pool_index(pool, offset + (size - 1)));\n",
        "    memset(&guard, 0, sizeof guard);\n",
        "    pool_unlock(&pool->locks, guard);\n    if (pinned)",
        "    (void)guard;\n    if (pinned)",
    ),
    (
        "take discards in a second step",
        "discard.c",
        "status = bytes_discard(pool, (unsigned char *)dest, offset, &taken, true);",
        "taken = pool_read(pool, dest, offset, size);\n"
        "        status = bytes_discard(pool, NULL, offset, &taken, true);",
    ),
    (
        "integers are read and written in two steps",
        "integers.c",
        "        *old = integer_load(bytes, size);\n",
        "        *old = integer_load(bytes, size);\n"
        "        pool_unlock(&pool->locks, guard);\n"
        "        guard = pool_lock_exclusive(&pool->locks);\n",
    ),
    (
        "copy locks one pool at a time",
        "copy.c",
        "    pools_lock(dst, src);",
        "    pools_lock(dst, dst);",
        "pools_unlock(dst, src);",
        "pools_unlock(dst, dst);",
    ),
    (
        "the pages of a pin are compared before they are tracked",
        "dirty.c",
        "        pin_watch(pin);\n        (void)pin_compare(pin, 0, pin->attached);\n",
        "        (void)pin_compare(pin, 0, pin->attached);\n        pin_watch(pin);\n",
    ),
    (
        "a clone has no writes through a pin that came after the last one",
        "pool.c",
        "    pins_collect(share->pins);\n",
        "",
    ),
    (
        "a restored pool has no writes through a pin of the other",
        "pool.c",
        "    pins_collect(restore.from_pins);\n",
        "",
    ),
    (
        "a block that is copied clears the dirty bits beside its own",
        "dirty.c",
        "    pin->dirty[i / 64] &= ~((uint64_t)1 << (i % 64));",
        "    pin->dirty[i / 64] = 0;",
    ),
    (
        "a clone gets the frozen copies before they are up to date",
        "pool.c",
        "    pins_freeze(share->pins, reservation);\n    size_store",
        "    size_store",
        "    pins_graft(share->pins, &clone->tree, reservation);\n",
        "    pins_graft(share->pins, &clone->tree, reservation);\n"
        "    pins_freeze(share->pins, reservation);\n",
    ),
    (
        "a pin that is released ends beside a call that works with it",
        "pins.c",
        "    pin->users++;\n    pin->entered",
        "    pin->entered",
        "            pin_release_locked(pin, reservation);\n        }",
        "            (void)reservation;\n        }",
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
        "fork does not lock the registry",
        "family.c",
        "    lock_acquire(&registry.lock);\n    for (pool = registry_first_pool();",
        "    for (pool = registry_first_pool();",
        "        pool_unlock_exclusive(&pool->locks);\n    }\n"
        "    lock_release(&registry.lock);",
        "        pool_unlock_exclusive(&pool->locks);\n    }",
    ),
]
MUTANTS["test_crowd"] = [
    (
        "references are added in two steps",
        "pool.c",
        "size_add_relaxed(&pool->refs, 1);",
        "size_store_relaxed(&pool->refs, size_load_acquire(&pool->refs) + 1);",
    ),
    (
        "the first reference dropped frees the pool",
        "pool.c",
        "size_sub_acq_rel(&pool->refs, 1) == 1",
        "size_sub_acq_rel(&pool->refs, 1) >= 1",
    ),
    (
        "a view has no reference to its family",
        "view.c",
        "    size_add_relaxed(&pool->family->refs, 1);",
        "",
    ),
]

# The corpus of the fuzzer.
MUTANTS["fuzz_replay"] = [
    (
        "a view adds no reference to its block",
        "view.c",
        "slot == NULL ? NULL : slot_share(slot), *next",
        "slot == NULL ? NULL : slot_block(slot), *next",
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
        "adopted memory over a pin is not released",
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
        "a block below a shared node counts as private",
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
        "!block_is_pinned(block) &&\n            !data",
        "block_is_pinned(block) &&\n            !data",
    ),
    (
        "pins beyond the new end stay with the pool",
        "resize.c",
        "        pins_cut(arena, pins, cut.first, &reservation);\n",
        "",
    ),
    (
        "a pool made smaller cuts off its first pin only",
        "pins.c",
        "        if (stays == 0) {\n"
        "            tree_replace(&pin->frozen, NULL, 1, reservation);\n",
        "        if (stays == 0) {\n"
        "            tree_replace(&pin->frozen, NULL, 1, reservation);\n"
        "            break;\n",
    ),
    (
        "a discard leaves what is pinned as it is",
        "tree_edit.c",
        "        data_clear(block->data, pinned_size);\n",
        "",
    ),
    (
        "a copy reserves no blocks for what is pinned in its source",
        "copy.c",
        "    copy_measure_pins(copy, &need);\n",
        "    (void)copy_measure_pins;\n",
    ),
    (
        "a copied node has no count of blocks",
        "tree_edit.c",
        "size_store_relaxed(&copy->blocks, size_load_relaxed(&node->blocks));",
        "size_store_relaxed(&copy->blocks, 0);",
    ),
    (
        "a reused block counts as fresh",
        "write.c",
        "    block->from |= BLOCK_DIRTY;\n}",
        "}",
    ),
    (
        "a cached chunk counts as untouched",
        "chunk.c",
        "(in_itself ? chunk->header : 0) + chunk_dirty_end(chunk);",
        "(in_itself ? chunk->header : 0) + chunk->dirty_end;",
    ),
    (
        "a copy on write loses the last byte",
        "write.c",
        "memcpy(block->data + end, data + end, rest);",
        "memcpy(block->data + end, data + end, rest - (rest > 0));",
    ),
    (
        "a copy shares what is pinned in the source",
        "copy.c",
        "block_is_pinned(block) ? &block_pin(block)->frozen : shared;",
        "&copy->src->tree;",
    ),
    (
        "a copy shares without a reference",
        "copy.c",
        "slot_set(slot, slot_share(tree_slot(shared, from.index)));",
        "slot_set(slot, frozen);",
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
        "freeze.c",
        "        data_clear(pin_data(pin, i), size);\n",
        "        (void)size;\n",
    ),
    (
        "a new block that is pinned is not counted",
        "pin.c",
        "            tree_count(&pool->tree, piece.index, 1);",
        "",
    ),
    (
        "a slot counts as the owner of adopted memory",
        "tree_edit.c",
        "if (word == 0 || word_is_shared(word)) {",
        "if (word == 0 ||\n"
        "        ((word & WORD_SOLE) == 0 && block_has_others(word_block(word)))) {",
    ),
    (
        "a graft leaves the mark in the slot that it takes from",
        "tree_edit.c",
        "        slot_set(slot, slot_share(from));",
        "        size_add_relaxed(&block->refs, 1);\n        slot_set(slot, block);",
    ),
    (
        "a view leaves the mark in the slot of its first block",
        "view.c",
        "slot == NULL ? NULL : slot_share(slot), *next",
        "slot == NULL ? NULL : slot_block(slot), *next",
        "        data = block_data(block);\n    }\n    while",
        "        data = block_data(block);\n"
        "        size_add_relaxed(&block->refs, 1);\n    }\n    while",
    ),
    (
        "a view leaves the marks in the slots of its other blocks",
        "view.c",
        "        (void)slot_share(slot);\n",
        "        size_add_relaxed(&next->refs, 1);\n",
    ),
    (
        "a copy leaves the mark in the slot that it shares",
        "copy.c",
        "            slot_set(slot, slot_share(tree_slot(shared, from.index)));\n",
        "            size_add_relaxed(&frozen->refs, 1);\n"
        "            slot_set(slot, frozen);\n",
    ),
]

# For what is not in the corpus: other threads, system calls that fail, callbacks.
MUTANTS["test_meanwhile"] = [
    (
        "a pool leaves the registry without its lock",
        "family.c",
        "{\n    lock_acquire(&registry.lock);\n    hidden_remove(&registry.pools,",
        "{\n    hidden_remove(&registry.pools,",
        "family->pools, 1);\n    lock_release(&registry.lock);",
        "family->pools, 1);",
    ),
    (
        "a clone has the size that the pool had before it waited",
        "pool.c",
        "    size_store_release(&clone->total_size, pool_total(from));\n",
        "",
    ),
    (
        "adopted memory is read without a lock",
        "read.c",
        "data = read != NULL ? word_data_optimistic(word) : word_data(word);",
        "data = word_data(word);",
    ),
    (
        "adopted memory is gathered without a lock",
        "batch.c",
        "item->data = word_data_optimistic(item->word);",
        "item->data = word_data(item->word);",
    ),
    (
        "the count of a leaf is read twice",
        "tree.c",
        "*node = !optimistic_validate_shape(read) || "
        "node_ends_search(child, private_only)\n"
        "                ? NULL\n"
        "                : child;\n"
        "    return *node != NULL;",
        "*node = !optimistic_validate_shape(read) ? NULL : child;\n"
        "    return *node != NULL && !node_ends_search(child, private_only);",
        "    if (!goes_on) {\n        node = NULL;\n    }\n",
        "",
        "    *leaf = node;\n    return true;",
        "    *leaf = node_ends_search(node, private_only) ? NULL : node;\n"
        "    return true;",
    ),
]
MUTANTS["test_pins_meanwhile"] = [
    (
        "a discard in one block compares the other bytes of a pinned block",
        "discard.c",
        "(block_is_pinned(block) || !piece_is_all(pool, block, piece))",
        "!piece_is_all(pool, block, piece)",
        "(!block_is_pinned(block) && piece_is_all(pool, block, piece))",
        "piece_is_all(pool, block, piece)",
    ),
    (
        "what is behind the end of a pool is not cleared before it grows",
        "resize.c",
        "        pool_open_end(pool);\n        pins_cut(",
        "        pins_cut(",
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
MUTANTS["test_api"] = [
    (
        "a range so long that its end wraps round lies in one block",
        "range.c",
        "(size <= SMALL_MAX || size - 1 <= pool->block_mask) &&",
        "",
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
        "adopted memory is released while the pool is locked",
        "write.c",
        "    pool_unlock(&pool->locks, guard);\n"
        "    reservation_release_adopted(reservation);",
        "    reservation_release_adopted(reservation);\n"
        "    pool_unlock(&pool->locks, guard);",
    ),
]
MUTANTS["test_batch"] = [
    (
        "an exchange compares half of a large integer",
        "integers.c",
        "*old == *expected",
        "(uint32_t)*old == (uint32_t)*expected",
    ),
    (
        "a full pool with a clone counts as one that needs no block",
        "batch.c",
        "return full && size_load_relaxed(&family->pools) == 1 &&",
        "return full &&",
    ),
    (
        "a full pool with a view counts as one that needs no block",
        "batch.c",
        "== 1 &&\n           size_load_relaxed(&family->views) == 0;",
        "== 1;",
    ),
    (
        "a pool counts as full when it is the only one",
        "batch.c",
        "return full && size_load",
        "return size_load",
    ),
    (
        "sizes that grew after the check are used",
        "batch.c",
        "        if (size > *left) {",
        "        if (size == SIZE_MAX) {",
    ),
    (
        "sizes that grew are used under the lock",
        "batch.c",
        "    if (status == POOL_OK && total > left) {",
        "    if (status == POOL_OK && total == SIZE_MAX && left == 0) {",
    ),
    (
        "a sum of sizes wraps round",
        "batch.c",
        "        if (size > SIZE_MAX - *total) {",
        "        if (size == SIZE_MAX && *total > 0) {",
    ),
    (
        "the sizes of a batch are not copied",
        "batch.c",
        "        batch.sizes = copy + count;",
        "        (void)count;",
    ),
    (
        "a range in a longer one ends a run of blocks",
        "batch.c",
        "last = checked_max(last, pool_index(pool, *range + (size - 1)));",
        "last = pool_index(pool, *range + (size - 1));",
    ),
]
MUTANTS["test_system"] = [
    (
        "fork does not lock the arenas",
        "family.c",
        "        lock_acquire(&family->arena.lock);\n"
        "    }\n    lock_acquire(&chunk_cache",
        "        (void)family;\n    }\n    lock_acquire(&chunk_cache",
        "        lock_release(&family->arena.lock);",
        "        (void)family;",
    ),
    (
        "fork does not lock the chunk cache",
        "family.c",
        "    lock_acquire(&chunk_cache.lock);\n}",
        "}",
        "    lock_release(&chunk_cache.lock);\n",
        "",
    ),
    (
        "pages of some blocks that stay committed count as zeros",
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
        "pages that stay committed count as zeros",
        "chunk.c",
        "    chunk->dirty_end = chunk_dirty_end(chunk);\n    if",
        "    if",
    ),
]
MUTANTS["test_arena"] = [
    (
        "what is cached has no bound",
        "chunk_cache.c",
        "size <= chunk_cache.bound && chunk_cache.cached <= chunk_cache.bound - size;",
        "size <= chunk_cache.bound;",
    ),
    (
        "what is trimmed still counts as cached",
        "arena.c",
        "    chunk_uncount_cached(chunk, 0);\n    return freed;",
        "    return freed;",
    ),
]
MUTANTS["test_arena"] += [
    (
        "items in decommitted pages stay on the list",
        "slab.c",
        "} else if (!row_is_decommitted(row, i)) {",
        "} else {",
    ),
    (
        "a page with one item in use is decommitted",
        "slab.c",
        "row_page(row, row_item(row, run->first) + (page - 1))",
        "row_page(row, row_item(row, run->first))",
    ),
    (
        "decommitted bookkeeping is still counted",
        "slab.c",
        "    slab->bytes -= freed;\n",
        "",
    ),
    (
        "what a full chunk cached is still counted",
        "chunk.c",
        "idle == 0 || chunk->cached > idle",
        "chunk->cached > idle",
    ),
    (
        "a chunk has a page less for its headers than they take",
        "chunk.c",
        "size_t header = (chunk_header_size(count) + page - 1) & ~(page - 1);",
        "size_t header = chunk_header_size(count) & ~(page - 1);",
    ),
    (
        "the header of a word is looked for in half of its chunk",
        "block.c",
        "return (unsigned)(word / WORD_CHUNK) % (WORD_DATA_MIN / WORD_CHUNK);",
        "return (unsigned)(word / WORD_CHUNK) % (WORD_DATA_MIN / WORD_CHUNK) - 1;",
    ),
    (
        "blocks that are too small have words of their data",
        "arena.c",
        "arena->newest != NULL && arena->block_size >= WORD_DATA_MIN &&",
        "arena->newest != NULL &&",
    ),
    (
        "the cache does not count the pages of a chunk's headers",
        "chunk.c",
        "    return chunk_count_cached(chunk, chunk_pages(chunk));\n",
        "    return true;\n",
    ),
    (
        "the cache does not know that headers are dirty",
        "chunk.c",
        "(in_itself ? chunk->header : 0) + chunk_dirty_end(chunk);",
        "chunk_dirty_end(chunk);",
    ),
    (
        "headers that a chunk had before count as blocks that are dirty",
        "chunk.c",
        "chunk->dirty_end = dirty_end - checked_min(dirty_end, header);",
        "chunk->dirty_end = dirty_end;",
    ),
    (
        "chunks are aligned by chance",
        "platform_posix.c",
        "    if (pages == NULL || (uintptr_t)pages % alignment == 0) {",
        "    if (pages == NULL || alignment > 0) {",
    ),
    (
        "the page with a chunk's struct counts as one that would be decommitted",
        "chunk.c",
        "chunk_pages(chunk) - ((size_t)1 << chunk->row.page_bits)",
        "chunk_pages(chunk)",
    ),
]
MUTANTS["test_resident"] = [
    (
        "partly used chunks are not trimmed",
        "arena.c",
        "    } else if (chunk_idle(chunk) > 0) {",
        "    } else if (chunk_idle(chunk) == SIZE_MAX) {",
    ),
    (
        "what is beyond the bound stays resident",
        "arena.c",
        "        (void)chunk_trim(chunk, &arena->headers);\n",
        "",
    ),
    (
        "pages after the blocks in use stay resident",
        "chunk.c",
        "    if (chunk->warm_end > from) {",
        "    if (chunk->warm_end < from) {",
    ),
    (
        "headers stay resident",
        "slab.c",
        "    if (row->page_bits == 0) {",
        "    if (row->page_bits != 0) {",
    ),
]
MUTANTS["test_huge"] = [
    (
        "sparse chunks have huge pages",
        "chunk.c",
        "    if (item_size > 4096) {",
        "    if (item_size > 4096 && !huge) {",
    ),
    (
        "a small family has huge pages",
        "chunk.c",
        "return huge && size >= PLATFORM_HUGE_SIZE ?",
        "return huge ?",
    ),
    (
        "a chunk that was trimmed has huge pages again",
        "chunk.c",
        "    chunk_split(chunk, true);\n",
        "",
    ),
    (
        "a chunk that was trimmed never has huge pages again",
        "chunk.c",
        "    chunk_split(chunk, false);\n    freed",
        "    freed",
    ),
    (
        "a chunk from the cache is not advised again",
        "chunk.c",
        "    if (base != NULL && use == PLATFORM_HUGE) {",
        "    if (base != NULL && use == PLATFORM_HUGE && *dirty_end == 0) {",
    ),
    (
        "any family may have cached chunks of huge pages",
        "chunk_cache.c",
        "(huge ? chunk_cache.huge : chunk_cache.chunks)",
        "(huge ? chunk_cache.chunks : chunk_cache.chunks)",
    ),
]
MUTANTS["test_requests"] = [
    (
        "requests may be larger than what is available",
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
        "a limit is not checked first",
        "reservation.c",
        "possible || !arena_within_limit(",
        "possible || 0 * arena_within_limit(",
    ),
    (
        "a pin counts as a write to all of a block",
        "pin.c",
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
        "two relatives that are cloned have a reservation each",
        "pool.c",
        "    bool relatives = shares[0].from->family == shares[count - 1].from->family;",
        "    bool relatives = count == 1;",
    ),
    (
        "views of holes show less than a large block",
        "arena.c",
        "memory_map(checked_max(CHUNK_MIN, arena->block_size), PLATFORM_ZEROS);",
        "memory_map(CHUNK_MIN, PLATFORM_ZEROS);",
    ),
]
MUTANTS["test_tree"] = [
    (
        "a node without references is lost",
        "tree_edit.c",
        "    reservation_put_node(reservation, node);\n}",
        "}",
    ),
    (
        "a reference is added, and the mark stays in the slot",
        "tree_edit.c",
        "word_block(slot_clear_sole(slot));",
        "slot_block(slot);",
    ),
    (
        "the copy of a leaf has the marks of the old one",
        "tree_edit.c",
        "            (void)slot_share(&node->slot[i]);\n"
        "            ptr_store_release(&copy->slot[i], "
        "ptr_load_acquire(&node->slot[i]));",
        "            void *word = ptr_load_acquire(&node->slot[i]);\n"
        "            (void)slot_share(&node->slot[i]);\n"
        "            ptr_store_release(&copy->slot[i], word);",
    ),
    (
        "a slot without the mark counts as the only owner",
        "tree_edit.c",
        "if (word == 0 || word_is_shared(word)) {",
        "if (word == 0) {",
    ),
]
MUTANTS["test_first_thread"] = [
    (
        "locks are acquired as if there were one thread",
        "platform_posix.c",
        "    return &__libc_single_threaded != NULL && __libc_single_threaded != 0;",
        "    return &__libc_single_threaded != NULL;",
    ),
    (
        "that there is one thread is not looked at again",
        "platform_posix.c",
        "    return &__libc_single_threaded != NULL && __libc_single_threaded != 0;",
        "    static int seen = -1;\n"
        "    if (seen < 0)\n"
        "        seen = &__libc_single_threaded != NULL && __libc_single_threaded != 0;\n"
        "    return seen != 0;",
    ),
    (
        "a process of one thread exchanges as well",
        "lock.c",
        "    if (single) {",
        "    if (single && version == SIZE_MAX) {",
    ),
    (
        "a lock that is acquired alone is not held",
        "lock.c",
        "        size_store_relaxed(&lock->version, version + LOCK_HELD);",
        "        size_store_relaxed(&lock->version, version);",
    ),
]
MUTANTS["test_meanwhile"] += [
    (
        "a thread that is alone does not wait for a holder",
        "lock.c",
        "    if ((version & (LOCK_HELD | LOCK_HANDOFF)) != 0) {",
        "    if (!POOL_SINGLE_THREADED() && (version & LOCK_HELD) != 0) {",
    ),
]
MUTANTS["test_fair"] = [
    (
        "the first in the queue does not mark the lock",
        "lock.c",
        "(void)size_swap_seq_cst(&lock->version, version, version + LOCK_HANDOFF);",
        "(void)version;",
    ),
    (
        "any thread acquires a marked lock",
        "lock.c",
        "    if ((version & (LOCK_HELD | LOCK_HANDOFF)) != 0) {",
        "    if ((version & LOCK_HELD) != 0) {",
    ),
    (
        "no thread enters the queue",
        "lock.c",
        "        if (waits == BACKOFF_MAX) {\n            lock_acquire_queued",
        "        if (waits > BACKOFF_MAX) {\n            lock_acquire_queued",
    ),
    (
        "all threads in the queue act as the first",
        "lock.c",
        "if ((before == 0 || slept >= TICKET_TIMEOUT) && lock_try_first(lock)) {",
        "if (lock_try_first(lock)) {",
    ),
    (
        "a ticket does not expire",
        "lock.c",
        "if ((before == 0 || slept >= TICKET_TIMEOUT) && lock_try_first(lock)) {",
        "if (before == 0 && lock_try_first(lock)) {",
    ),
    (
        "the queue is not moved on past a thread that died",
        "lock.c",
        "        size_store_release(&lock->serving, ticket + 1);",
        "        size_store_release(&lock->serving, serving + 1);",
    ),
    (
        "a thread whose turn has passed moves the queue back",
        "lock.c",
        "if (lock_queue_ahead(ticket + 1, size_load_relaxed(&lock->serving)) > 0) {",
        "if (ticket + 1 != size_load_relaxed(&lock->serving)) {",
    ),
    (
        "a thread that finds the shape lock held never queues",
        "pool_lock.c",
        "        if (*waits == BACKOFF_MAX) {\n            return false;\n        }\n",
        "",
    ),
    (
        "a thread that finds other spans never queues",
        "pool_lock.c",
        "    } while (waits < BACKOFF_MAX);\n"
        "    return pool_lock_exclusive_queued(locks);",
        "        waits = 0;\n    } while (true);",
    ),
    (
        "a thread can be cancelled in the queue",
        "platform_posix.c",
        "    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);\n",
        "    state = PTHREAD_CANCEL_ENABLE;\n",
    ),
]
MUTANTS["test_pool_lock"] = [
    (
        "a lock that overlaps a span is granted",
        "pool_lock.c",
        "((shape & LOCK_HELD) == 0 &&\n"
        "            pool_lock_find_overlap(locks, first, last) == NULL);",
        "(shape & LOCK_HELD) == 0;",
    ),
    (
        "a span is locked beside holders of stripes",
        "pool_lock.c",
        "    pool_lock_await_stripes(locks);\n"
        "    size_store_relaxed(&span->first, first);",
        "    size_store_relaxed(&span->first, first);",
    ),
    (
        "a span is locked beside one that it overlaps",
        "pool_lock.c",
        "        if (other == NULL && span != NULL) {",
        "        if (span != NULL) {",
    ),
    (
        "the holder of the shape lock does not wait for spans",
        "pool_lock.c",
        "for (waits = 0; span_is_held(&locks->span[i]);) {",
        "for (waits = 0; waits == 1;) {",
    ),
    (
        "a span leaves its mark on the shape lock",
        "pool_lock.c",
        "version + LOCK_STEP - LOCK_SPANS));",
        "version + LOCK_STEP));",
    ),
    (
        "the first span that ends clears the mark",
        "pool_lock.c",
        "            if (span_is_held(&locks->span[i])) {\n                return;",
        "            if (span_is_held(&locks->span[i]) && i == SPANS) {\n"
        "                return;",
    ),
    (
        "a reader begins beside a span",
        "pool_lock.c",
        "~(size_t)(LOCK_HELD | LOCK_SPANS);",
        "~(size_t)LOCK_HELD;",
    ),
    (
        "a reader begins while the whole pool is locked",
        "pool_lock.c",
        "~(size_t)(LOCK_HELD | LOCK_SPANS);",
        "~(size_t)LOCK_SPANS;",
    ),
]
MUTANTS["test_meanwhile"] += [
    (
        "a read is clipped before it locks the blocks",
        "read.c",
        "    clipped = pool_clip(pool, offset, size);\n    clipped = clips",
        "    clipped = clips",
    ),
    (
        "a write is clipped before it locks the blocks",
        "write.c",
        "    *guard = pool_lock_range(&pool->locks, first, last);\n"
        "    clipped = mode == WRITE_CLIPPED ? pool_clip(pool, offset, *size) : *size;\n",
        "    clipped = mode == WRITE_CLIPPED ? pool_clip(pool, offset, *size) : *size;\n"
        "    *guard = pool_lock_range(&pool->locks, first, last);\n",
    ),
    (
        "a take is clipped before it locks the blocks",
        "discard.c",
        "    guard = pool_lock_exclusive(&pool->locks);\n"
        "    clipped = pool_clip(pool, offset, *size);\n",
        "    clipped = pool_clip(pool, offset, *size);\n"
        "    guard = pool_lock_exclusive(&pool->locks);\n",
    ),
]
# Pins over any range, their frozen copies, and what the system says was written.
MUTANTS["test_pin_ranges"] = [
    (
        "what a resize cuts off stays in a pin",
        "resize.c",
        "        pool_open_end(pool);\n    }\n",
        "    }\n",
    ),
    (
        "what was behind the end of a pool is in it after a restore",
        "pool.c",
        "    if (resized) {\n        pool_open_end(pool);\n    }\n    pins_cut",
        "    pins_cut",
    ),
    (
        "a run of the limit counts its replacements twice",
        "arena.c",
        "arena_within_limit(arena, count - replacements)",
        "arena_within_limit(arena, count)",
    ),
    (
        "replacements are freed twice",
        "reservation.c",
        "    arena->held += reservation->replacements * arena->block_size;\n",
        "",
    ),
    (
        "a shared block that moves is no frozen copy",
        "pin.c",
        "            pin_set_frozen(pin, index, old, reservation);\n"
        "            copied++;",
        "            copied++;",
    ),
    (
        "blocks that were written to are not compared",
        "dirty.c",
        "        if (!pin_is_dirty(pin, i) && pin_differs(pin, i, leaf)) {",
        "        if (pin_is_dirty(pin, i) && pin_differs(pin, i, leaf)) {",
    ),
    (
        "a frozen copy that a clone has is written to",
        "freeze.c",
        "    if (!slot_owns(slot)) {",
        "    if (old == NULL) {",
    ),
    (
        "a frozen copy is not up to date when its bit is cleared",
        "freeze.c",
        "    pin_copy(pin, i, copy);\n",
        "",
    ),
    (
        "a clone has no frozen copies",
        "freeze.c",
        "tree_graft(tree, &pin->frozen, pin->index, pin_last(pin), reservation);",
        "(void)tree;",
    ),
    (
        "a pin leaves the list with its first user",
        "pins.c",
        "    if (--pin->users > 0) {",
        "    if (--pin->users > 1) {",
    ),
    (
        "what a pin meets is pinned again",
        "pin.c",
        "            last = other - 1;\n",
        "            (void)other;\n",
    ),
]
MUTANTS["test_pin_random"] = [
    (
        "what a restore cuts off stays in a pin",
        "pool.c",
        "    if (resized) {\n        pool_open_end(pool);\n    }\n    tree_replace",
        "    tree_replace",
    ),
    (
        "what frozen copies have behind the end of a pool does not count",
        "dirty.c",
        "(data != NULL &&\n            data_differs(data + size",
        "(false &&\n            data_differs(data + size",
    ),
    (
        "a restore writes only what was written to",
        "freeze.c",
        "        pin_set_changed(pin, tree);\n",
        "        (void)pin_set_changed;\n",
    ),
    (
        "a restored pin has the frozen copies of before",
        "freeze.c",
        "    tree_graft(&pin->frozen, tree, pin->index, pin_last(pin), reservation);\n",
        "    (void)tree;\n",
    ),
    (
        "a graft does not count its blocks",
        "tree_edit.c",
        "    size_add_relaxed(&node->blocks, grown);\n    if",
        "    if",
    ),
    (
        "what is beside a range in its page is not compared",
        "dirty.c",
        "    } else if (!pin_scan(pin, &scan, SIZE_MAX)) {",
        "    } else if (written_protect(scan.at, (size_t)(scan.end - scan.at))) {\n"
        "        (void)pin_compare(pin, i, end);\n"
        "    } else if (!pin_scan(pin, &scan, SIZE_MAX)) {",
    ),
    (
        "a search goes past pages that were written to",
        "dirty.c",
        "            return start <= data\n                       ? i\n",
        "            return start <= data\n                       ? i + 1\n",
    ),
    (
        "a reused run is not decommitted",
        "chunk.c",
        "    if (chunk->row.count > 0) {\n"
        "        (void)chunk_decommit(chunk, headers);\n"
        "    }\n",
        "    chunk->row.count = 0;\n",
    ),
    (
        "blocks of a run count as fresh when they are reused",
        "pin.c",
        "        run->from |= BLOCK_DIRTY;\n",
        "",
    ),
    (
        "a pin that is not watched is not compared",
        "dirty.c",
        "        (void)pin_compare(pin, 0, pin->attached);\n",
        "",
    ),
    (
        "an open pin is not compared",
        "dirty.c",
        "        scan.protect = false;\n",
        "        scan.protect = scan.compare = false; scan.at = scan.end;\n",
    ),
]
MUTANTS["test_pin_tracking"] = [
    (
        "a frozen copy that a view has is updated",
        "dirty.c",
        "    if (slot == NULL || !slot_owns(slot)) {",
        "    if (slot == NULL || slot_block(slot) == NULL) {",
    ),
    (
        "a frozen copy below a shared node is updated",
        "dirty.c",
        "    Node *leaf = tree_private_leaf(&pin->frozen, pin->index + i);\n"
        "    AtomicPtr",
        "    Node *leaf = tree_leaf(&pin->frozen, pin->index + i);\n    AtomicPtr",
    ),
    (
        "a frozen copy that differs is not updated",
        "dirty.c",
        "    pin_copy(pin, i, slot_block(slot));\n    return true;",
        "    return true;",
    ),
]
MUTANTS["test_written_linux"] = [
    (
        "a child of fork is of its parent's generation",
        "written_linux.c",
        "    size_add_relaxed(&scanner.generation, 1);\n    written_unlock();",
        "    written_unlock();",
    ),
]
MUTANTS["test_digest"] = [
    (
        "a slot is marked as sole owner while the block has a digest",
        "tree_edit.c",
        "        block_forget_digest(word_block(word));\n"
        "        ptr_store_release(slot, (void *)(word | WORD_SOLE));",
        "        ptr_store_release(slot, (void *)(word | WORD_SOLE));",
    ),
    (
        "a new block has the digest of the one before it",
        "tree_edit.c",
        "    block_forget_digest(block);\n    ptr_store_release",
        "    ptr_store_release",
    ),
    (
        "a slot that is hashed keeps the mark of its sole owner",
        "digest.c",
        "word_block(slot_clear_sole(slot))",
        "slot_block(slot)",
    ),
    (
        "a private node keeps its digest on the way to a change",
        "tree_edit.c",
        "    } else {\n        node_open(node);\n    }",
        "    }",
    ),
    (
        "a search for a private leaf leaves digests where they are",
        "tree.c",
        "    for (; node != NULL && !node_is_shared(node); level--) {\n"
        "        node_open(node);\n",
        "    for (; node != NULL && !node_is_shared(node); level--) {\n",
    ),
    (
        "a quick write does not see that a node has a digest",
        "tree.c",
        "(private_only && size_load_acquire(&node->refs) != 1)",
        "(private_only && node_is_shared(node))",
    ),
    (
        "blocks that are pinned keep their digests",
        "pins.c",
        "        block_forget_digest(&blocks[i]);\n",
        "",
    ),
    (
        "a frozen copy that is brought up to date keeps its digest",
        "dirty.c",
        "if (slot == NULL || !slot_owns(slot)) {",
        "if (slot == NULL || block_is_shared(slot_block(slot))) {",
    ),
    (
        "a part of a block is discarded in place, and it keeps its digest",
        "discard.c",
        "slot_owns(node_slot(leaf, 0, piece.index)) &&",
        "block != NULL && !block_is_shared(block) &&",
    ),
    (
        "the last reference to a node with a digest does not free it",
        "tree_edit.c",
        "if ((size_sub_acq_rel(&node->refs, 1) & ~NODE_HASHED) != 1) {",
        "if (size_sub_acq_rel(&node->refs, 1) != 1) {",
    ),
    (
        "a node with a digest counts as shared",
        "tree.c",
        "return (size_load_acquire(&node->refs) & ~NODE_HASHED) > 1;",
        "return size_load_acquire(&node->refs) > 1;",
    ),
    (
        "the digests of a chunk outlive it",
        "arena.c",
        "    chunk_drop_digests(chunk, &arena->headers);\n",
        "",
    ),
    (
        "bytes behind the end of a pool count",
        "digest.c",
        "status = pool_resize(snapshot, pool_total(snapshot));",
        "status = POOL_OK;",
    ),
    (
        "pages of a large block are combined in another order",
        "digest.c",
        "for (pairs = i; (pairs & 1) != 0; pairs >>= 1) {",
        "for (pairs = i; pairs == 1; pairs >>= 1) {",
    ),
    (
        "the root is not cut at the end of the pool",
        "digest.c",
        "covered == slot_shift(pool, level) + TREE_BITS) {",
        "level > 0) {",
    ),
    (
        "a page of small blocks has the first half of its slots",
        "digest.c",
        "checked_min(first + ((size_t)1 << slots), TREE_SLOTS)",
        "checked_min(first + ((size_t)1 << slots) / 2, TREE_SLOTS)",
    ),
]
# Found by ThreadSanitizer: its report counts as a failure of the test.
MUTANTS["test_pins"] = [
    (
        "the count of pins goes down relaxed",
        "pins.c",
        "(void)size_sub_acq_rel(&pool->pinned, gone);",
        "size_sub_relaxed(&pool->pinned, gone);",
    ),
    (
        "the count of pins is read relaxed",
        "pins.c",
        "return size_load_acquire(&pool->pinned);",
        "return size_load_relaxed(&pool->pinned);",
    ),
    (
        "a pin is counted down before its mark is cleared",
        "pins.c",
        "    for (i = 0; i < gone; i++) {\n"
        "        ptr_store_release(&pin->blocks[stays + i].as.pin, NULL);\n"
        "    }\n"
        "    (void)size_sub_acq_rel(&pool->pinned, gone);\n",
        "    (void)size_sub_acq_rel(&pool->pinned, gone);\n"
        "    for (i = 0; i < gone; i++) {\n"
        "        ptr_store_release(&pin->blocks[stays + i].as.pin, NULL);\n"
        "    }\n",
    ),
    (
        "the mark of a pin is cleared relaxed",
        "pins.c",
        "        ptr_store_release(&pin->blocks[stays + i].as.pin, NULL);\n",
        "        atomic_store_explicit(&pin->blocks[stays + i].as.pin, NULL,\n"
        "                              memory_order_relaxed);\n",
    ),
    (
        "the mark of a pin is read relaxed",
        "tree.c",
        "    return ptr_load_acquire(&block->as.pin) != NULL;",
        "    return atomic_load_explicit(&block->as.pin, memory_order_relaxed) != NULL;",
    ),
    (
        "a pin that is detached adds no reference",
        "pins.c",
        "            size_add_relaxed(&pin->blocks[i].refs, 1);\n",
        "            (void)i;\n",
    ),
    (
        "a discard compares all of a pinned block",
        "discard.c",
        "(!block_is_pinned(block) && piece_is_all(pool, block, piece))",
        "(piece_is_all(pool, block, piece) && !block_is_pinned(block))",
    ),
    (
        "a discard in one block compares all of it if it is pinned",
        "discard.c",
        "(block_is_pinned(block) || !piece_is_all(pool, block, piece))",
        "(!piece_is_all(pool, block, piece) || block_is_pinned(block))",
    ),
]
MUTANTS["test_compare"] = [
    (
        "relatives that are the same in a part are not compared behind it",
        "compare.c",
        "    return checked_max(at, run.first << a->block_shift);",
        "    return end;",
    ),
    (
        "a block at one address ends the comparison of relatives before its end",
        "compare.c",
        "            at = comparison_skip(pair, at + size, end);",
        "            at = comparison_skip(pair, at + size + 1, end);",
    ),
    (
        "a run ends with the smaller pool",
        "compare.c",
        "    *size = (last < common ? last : end) - first;",
        "    *size = (first < common ? last : end) - first;",
    ),
    (
        "a run does not end where both have one block",
        "compare.c",
        "        different = data == other ? 0 : data_find_equal(data, other, size);",
        "        different = data == other ? size : data_find_equal(data, other, size);",
    ),
    (
        "a run ends with the word that it ends in",
        "compare.c",
        "    while (at < size && data[at] != other[at]) {\n        at++;\n    }\n",
        "",
    ),
    (
        "an equal byte at the end of a word is not seen",
        "compare.c",
        "            UINT64_C(0x8080808080808080)) != 0;",
        "            UINT64_C(0x0080808080808080)) != 0;",
    ),
    (
        "a hole ends with its block",
        "segment.c",
        "                           ? run.first << shift\n",
        "                           ? (run.first - 1) << shift\n",
    ),
    (
        "blocks that follow each other in a pool do so in memory",
        "segment.c",
        "           segment_block(segment, ++index) == segment->data + size) {",
        "           segment_block(segment, ++index) != NULL) {",
    ),
]
MUTANTS["test_find"] = [
    (
        "one place before a border is not searched",
        "find.c",
        "size - (search->size - 1);",
        "size - (search->size - 1) + 1;",
    ),
    (
        "a match does not begin in a hole",
        "find.c",
        "            search->at = segment->end - search->zeros;",
        "            search->at = segment->end;",
    ),
    (
        "zeros are found where they do not fit",
        "find.c",
        "        } else if (size >= search->size && search->zeros == search->size) {",
        "        } else if (search->zeros == search->size) {",
    ),
    (
        "what does not fit is gathered one byte too short",
        "find.c",
        "fits ? some : search->size - 1,",
        "fits ? some : search->size - 2,",
    ),
    (
        "a hole is gathered as what was there before",
        "find.c",
        "            memset(search->buffer + size, 0, some);",
        "            memset(search->buffer + size, 1, some);",
    ),
    (
        "the pool ends after the range",
        "find.c",
        "    search->end = checked_min(end, pool_total(clone));",
        "    search->end = pool_total(clone); (void)end;",
    ),
    (
        "a rare byte is looked for behind the last place",
        "search.c",
        "size - at - length + 1);",
        "size - at - length);",
    ),
]
TWO_WAY = "#define POOL_NO_MEMMEM 1\n"
MUTANTS["test_find"] += [
    (
        name,
        "search.c",
        '#include "base.h"\n',
        '#include "base.h"\n' + TWO_WAY,
        *texts,
    )
    for name, *texts in [
        (
            "what matched before a move counts as matched without a period",
            "        known = repeats ? length - period : 0;",
            "        known = length > period ? length - period : 0;",
        ),
        (
            "the period of a suffix is that of the pattern",
            "    repeats = memcmp(pattern, pattern + period, middle) == 0;",
            "    repeats = true;",
        ),
        (
            "one order of the bytes is enough",
            "    if (reverse_middle > middle) {",
            "    if (reverse_middle > length) {",
        ),
    ]
]
MUTANTS["test_threads"] = [
    (
        "two pools are cloned one after the other",
        "compare.c",
        "    status = pools_clone(pools, 2, clones);",
        "    status = pools_clone(pools, 1, clones);\n"
        "    if (status == POOL_OK) {\n"
        "        status = pools_clone(pools + 1, 1, clones + 1);\n"
        "    }",
    ),
]
THREADED = {
    "test_linear",
    "test_fork",
    "test_crowd",
    "test_pool_lock",
    "test_pins",
    "test_first_thread",
    "test_threads",
}
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
    text = source.read_text()
    if (
        '"internal.h"' not in text and '"watched.h"' not in text
    ):  # they include the library
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
