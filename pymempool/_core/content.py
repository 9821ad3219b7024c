# SPDX-License-Identifier: MIT
"""What a pool contains: its digest, whether two are the same, and where bytes are.

find() is a call of C. It has none for the last place, nor for the number of places:
rfind() and count() let it search long ranges, which skips holes, and search what lies
around a place as bytes. Both do so in a clone, so that they answer for one moment.
"""

from __future__ import annotations

import operator
from ctypes import byref, c_size_t, c_ubyte, string_at
from typing import TYPE_CHECKING, Any

from .._native.buffers import has_buffer, readable
from .._native.calls import parallel
from .._native.signatures import SIZE_MAX
from . import ranges
from .lifecycle import Snapshot
from .owner import Owner

if TYPE_CHECKING:
    from typing import SupportsIndex

_PIECE = 1 << 16  # bytes searched at a time in Python; several patterns at least


def digest(owner: Owner) -> bytes:
    """The digest of the contents and the size."""
    result = (c_ubyte * 32)()
    parallel.pool_digest(owner.address, byref(result))
    return bytes(result)


def same(owner: Owner, other: Owner) -> bool:
    """Whether two pools have the same bytes and sizes."""
    return bool(parallel.pool_same(owner.address, other.address))


# --------------------------------------------------------------------- search
#
# Each takes what the method of bytearray of that name takes.


def find(
    owner: Owner, sub: Any, start: SupportsIndex | None, end: SupportsIndex | None
) -> int:
    """The first place, or -1."""
    pattern, ends = _pattern(sub), _ends(start, end)
    low, high = _counted(owner.total_size if min(ends) >= 0 else owner.ask(), *ends)
    return _first(owner.address, pattern, low, high)


def rfind(
    owner: Owner, sub: Any, start: SupportsIndex | None, end: SupportsIndex | None
) -> int:
    """The last place, or -1."""
    pattern, ends = _pattern(sub), _ends(start, end)
    with Snapshot(owner) as snapshot:
        return _last(snapshot, pattern, *_within(snapshot.owner.total_size, *ends))


def count(
    owner: Owner, sub: Any, start: SupportsIndex | None, end: SupportsIndex | None
) -> int:
    """The number of places that do not overlap."""
    pattern, ends = _pattern(sub), _ends(start, end)
    with Snapshot(owner) as snapshot:
        return _number(snapshot, pattern, *_within(snapshot.owner.total_size, *ends))


def place(found: int) -> int:
    """What was found. Raises ValueError for -1, as bytearray.index() does."""
    if found < 0:
        raise ValueError("subsection not found")
    return found


def contains(owner: Owner, sub: Any) -> bool:
    """Whether a byte or bytes are in the pool."""
    try:
        sub = _byte(sub)  # what is both is a number here, and bytes for find()
    except TypeError:
        if not has_buffer(sub):
            kind = type(sub).__name__
            text = f"a bytes-like object is required, not {kind!r}"
            raise TypeError(text) from None
    return find(owner, sub, None, None) >= 0


def _pattern(sub: Any) -> bytes:
    """What to look for, as bytes."""
    if has_buffer(sub):
        with readable(sub) as memory:
            return string_at(memory.address, memory.size)
    if not hasattr(type(sub), "__index__"):
        kind = type(sub).__name__
        raise TypeError(f"argument should be integer or bytes-like object, not {kind!r}")
    return _byte(sub)


def _byte(number: SupportsIndex) -> bytes:
    value = operator.index(number)
    if not 0 <= value <= 255:
        raise ValueError("byte must be in range(0, 256)")
    return bytes((value,))


def _ends(start: SupportsIndex | None, end: SupportsIndex | None) -> tuple[int, int]:
    """The ends of a slice as integers, of which negative ones count from the end."""
    low = 0 if start is None else _index(start)
    return low, SIZE_MAX if end is None else _index(end)


def _counted(total_size: int, start: int, end: int) -> tuple[int, int]:
    """The same counted from the start; perhaps past the end."""
    if start < 0:
        start = max(start + total_size, 0)
    if end < 0:
        end = max(end + total_size, 0)
    return start, min(end, SIZE_MAX)


def _within(total_size: int, start: int, end: int) -> tuple[int, int]:
    """The same, with the second one in the pool."""
    start, end = _counted(total_size, start, end)
    return start, min(end, total_size)


def _index(value: SupportsIndex) -> int:
    try:
        return operator.index(value)
    except TypeError as error:
        if hasattr(type(value), "__index__"):
            raise
        text = "slice indices must be integers or None or have an __index__ method"
        raise TypeError(text) from error


# ------------------------------------------------------------- what searches


def _first(address: int, pattern: bytes, start: int, end: int) -> int:
    """Where the pattern is first in the pool at an address, or -1."""
    found = c_size_t()
    if start <= end and parallel.pool_find(
        address, pattern, len(pattern), start, end, found
    ):
        return found.value
    return -1


def _last(snapshot: Snapshot, pattern: bytes, start: int, end: int) -> int:
    """Where the pattern is last, or -1.

    Searches ranges from the end on, each twice as long as the one behind it. Where one
    has the pattern, its first place there becomes the start, and it begins again: so no
    byte is searched more than a few times.
    """
    size = len(pattern)
    piece = width = max(_PIECE, 2 * size)
    while end - start >= size:
        begin = max(start, end - width)
        if width == piece:
            data = ranges.fetch("pool_read", snapshot.owner, begin, end - begin)
            found = data.rfind(pattern)
            if found >= 0:
                return begin + found
        else:
            found = _first(snapshot.owner.address, pattern, begin, end)
            if found >= 0:
                start, width = found, piece
                continue
        end = begin + size - 1
        width *= 2
    return -1


def _number(snapshot: Snapshot, pattern: bytes, start: int, end: int) -> int:
    """How many places count() finds: from the start on, without overlap."""
    size, number = len(pattern), 0
    if size == 0:
        return max(end - start + 1, 0)
    piece, zeros = max(_PIECE, 4 * size), not any(pattern)
    while (start := _first(snapshot.owner.address, pattern, start, end)) >= 0:
        hole = _data_from(snapshot.owner.address, start, end) - start if zeros else 0
        if hole >= size:
            number += hole // size
            start += hole - hole % size
        else:
            long = min(piece, end - start)
            data = ranges.fetch("pool_read", snapshot.owner, start, long)
            here = data.count(pattern)
            number += here
            start += _searched(data, pattern, here)
    return number


def _searched(data: bytes, pattern: bytes, number: int) -> int:
    """Where to go on behind data in which so many places were counted.

    That is where the first pattern may begin that does not end in it; but behind the
    last one that was counted. The last one that is there may overlap that one, and was
    not counted then.
    """
    low = len(data) - len(pattern) + 1
    high = data.rfind(pattern) + len(pattern)
    while low < high:
        middle = (low + high) // 2
        if data.count(pattern, 0, middle) < number:
            low = middle + 1
        else:
            high = middle
    return low


def _data_from(address: int, start: int, end: int) -> int:
    """Where the first data is, at the start or behind it; the end if there is none."""
    found, size = c_size_t(), c_size_t()
    if parallel.pool_next_extent(address, start, end, found, size):
        return found.value
    return end
