# SPDX-License-Identifier: MIT
"""Shared snapshots within one process: what they hold, open, store and close."""

from __future__ import annotations

import pickle

from pymempool import MemoryPool


def test_opened_pool_is_the_shared_one(pool: MemoryPool) -> None:
    with pool.share() as snapshot, snapshot.open() as opened:
        assert opened.same(pool)
        assert [*opened.extents()] == [*pool.extents()]
        assert opened.block_size == pool.block_size == snapshot.block_size
        assert opened.stats.adopted_blocks == opened.stats.held_blocks
        assert snapshot.stored_bytes == pool.stats.held_bytes
        assert snapshot.total_size == pool.total_size


def test_pickled_by_address(pool: MemoryPool) -> None:
    with pool.share() as snapshot:
        pickled = pickle.dumps(snapshot)
        for _ in range(2):
            with pickle.loads(pickled) as loaded:
                assert loaded.open().same(pool)
