# SPDX-License-Identifier: MIT
"""The runs of bytes that were set, by the marks of a pool, or by its blocks."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from . import lifecycle, ranges, walks
from .owner import Owned, Owner, holder

if TYPE_CHECKING:
    from typing import SupportsIndex

_Run = tuple[int, int]  # start and size

_WINDOW = 1 << 14  # bytes that are looked at together at most
_GAP = 256  # a longer hole costs more to read than another call does
_ONES = bytes([1]) * _WINDOW
_TO_MARKS = bytes([0]) + bytes([1]) * 255  # of bytes: each that is not 0 was set
_ones = re.compile(b"\1+")


def runs(
    pool: Owned, offset: SupportsIndex, size: SupportsIndex | None
) -> Iterator[_Run]:
    """The runs of bytes that were set, as they are now."""
    owner = pool._owner
    offset, size = owner.range_or_rest(offset, size)
    if owner.image.whole:
        return iter([(offset, size)] if size else [])
    if owner.marked is None:
        return walks.extents(pool, offset, size)
    return _joined(_marked(lifecycle.clone(owner), offset, size))


def _marked(moment: Owner, offset: int, size: int) -> Iterator[_Run]:
    """Yields the runs in a clone with marks, which may touch.

    What is marked was set, and what is not zero: it was written through a pin, or by C.
    """
    assert moment.marked is not None
    plain, marks = moment.marked
    size = max(0, min(size, marks.ask() - offset, plain.ask() - offset))
    for at, count in _windows(holder(plain), holder(marks), offset, size):
        held = ranges.fetch("pool_read", marks, at, count)
        if held != _ONES[:count]:
            data = ranges.fetch("pool_read", plain, at, count)
            both = int.from_bytes(held, "little") | int.from_bytes(data, "little")
            held = both.to_bytes(count, "little").translate(_TO_MARKS)
        for found in _ones.finditer(held):
            yield at + found.start(), found.end() - found.start()


def _windows(one: Owned, other: Owned, offset: int, size: int) -> Iterator[_Run]:
    """Yields parts that cover what two pools hold, in order, each in one window."""
    first = last = 0  # of the part that is not yet yielded
    both = (walks.extents(each, offset, size) for each in (one, other))
    for start, count in heapq.merge(*both):
        end = start + count
        start = max(start, last)
        while start < end:
            stop = min(end, start - start % _WINDOW + _WINDOW)
            if (
                first == last
                or start > last + _GAP
                or start // _WINDOW != first // _WINDOW
            ):
                if first < last:
                    yield first, last - first
                first = start
            start = last = stop
    if first < last:
        yield first, last - first


def _joined(found: Iterable[_Run]) -> Iterator[_Run]:
    """Joins runs that touch."""
    start = end = 0
    for at, size in found:
        if at != end:
            if start < end:
                yield start, end - start
            start = at
        end = at + size
    if start < end:
        yield start, end - start
