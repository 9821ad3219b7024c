# SPDX-License-Identifier: MIT
"""Compares the bytes of two pools, or of a pool and other memory.

runs_of_two ─► where two pools may differ ─► pieces ─► differences, as XOR ─► ranges
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Callable

from ..errors import PoolUnrelatedError
from . import walks
from .owner import Owned

Run = tuple[int, int]  # offset and size
Read = Callable[[int, int], bytes]  # returns the bytes of a run

_PIECE = 1 << 16  # bytes compared at a time

_differing = re.compile(rb"[^\0]+")


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


def pieces(runs: Iterable[Run], end: int) -> Iterator[Run]:
    """Cuts runs into pieces that are compared at a time, up to the offset `end`."""
    for start, size in runs:
        stop = min(start + size, end)
        for at in range(start, stop, _PIECE):
            yield at, min(_PIECE, stop - at)


def differences(
    one: Read, other: Read, parts: Iterable[Run]
) -> Iterator[tuple[int, bytes]]:
    """Yields the offset of each piece that differs, and its bytes in the one XOR those
    in the other."""
    for at, size in parts:
        ours, theirs = one(at, size), other(at, size)
        if ours != theirs:
            yield at, xor(ours, theirs)


def ranges(found: Iterable[tuple[int, bytes]]) -> Iterator[Run]:
    """Yields the longest runs of bytes each of which differs, as differences() finds
    them."""
    start = end = 0  # a run that may continue in the next piece
    for at, bits in found:
        for match in _differing.finditer(bits):
            if at + match.start() != end:
                if start < end:
                    yield start, end - start
                start = at + match.start()
            end = at + match.end()
    if start < end:
        yield start, end - start


def xor(one: bytes, other: bytes) -> bytes:
    """The XOR of two byte strings of one length: zeros where they are the same."""
    number = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    return number.to_bytes(len(one), "little")
