# SPDX-License-Identifier: MIT
"""Where the bytes of two pools can differ, and where bytes of equal length do."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import PoolUnrelatedError

if TYPE_CHECKING:
    from ..pool import MemoryPool

Run = tuple[int, int]  # offset and size


def runs_of_two(pool: MemoryPool, other: MemoryPool, offset: int) -> Iterable[Run]:
    """Where the pool from `offset` on may differ from the other one: runs in order,
    without overlap, in offsets of the pool."""
    if offset == 0:
        with suppress(PoolUnrelatedError):
            return pool.changes(other)
    theirs = ((start + offset, size) for start, size in other.extents())
    return _without_overlap(heapq.merge(pool.extents(), theirs), offset)


def _without_overlap(runs: Iterable[Run], done: int) -> Iterator[Run]:
    for start, size in runs:
        end = start + size
        start = max(start, done)
        if start < end:
            yield start, end - start
            done = end


def xor(one: bytes, other: bytes) -> bytes:
    """Zeros where the two, of one length, are the same."""
    number = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    return number.to_bytes(len(one), "little")
