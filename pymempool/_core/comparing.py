# SPDX-License-Identifier: MIT
"""Where the bytes of two pools can differ, and where bytes of equal length do."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from contextlib import suppress

from ..errors import PoolUnrelatedError
from . import walks
from .owner import Owned

Run = tuple[int, int]  # offset and size


def runs_of_two(pool: Owned, other: Owned, offset: int) -> Iterable[Run]:
    """Where the pool from `offset` on may differ from the other one: runs in order,
    without overlap, in offsets of the pool."""
    if offset == 0:
        with suppress(PoolUnrelatedError):
            return walks.changes(pool, other, 0, None)
    theirs = ((start + offset, size) for start, size in walks.extents(other, 0, None))
    return _without_overlap(heapq.merge(walks.extents(pool, 0, None), theirs), offset)


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
