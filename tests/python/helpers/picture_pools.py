# SPDX-License-Identifier: MIT
"""A pool that has everything in it which a picture tells apart."""

from __future__ import annotations

from typing import Any

from pymempool import MemoryPool

BLOCK = 64  # bytes of a block


def everything(blocks: int = 40) -> tuple[MemoryPool, MemoryPool, Any]:
    """A pool of so many blocks, what it was before, and what must be kept alive.

    The last block is cut short and has data.
    """
    pool = MemoryPool(blocks * BLOCK - 7, BLOCK)
    pool.fill(0, 1, 10 * BLOCK)
    base = pool.clone()
    pool.write(3 * BLOCK, b"own")
    pool.discard(5 * BLOCK, BLOCK)
    pool.adopt(20 * BLOCK, bytes(4 * BLOCK))
    pinned = pool.pin(30 * BLOCK, 1)
    pinned[0] = 1  # zeros would be no change
    pool.write((blocks - 1) * BLOCK, b"end")
    return pool, base, pinned
