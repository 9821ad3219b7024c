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
from . import lifecycle, ranges
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
    return _first(owner, _pattern(sub), *_bounds(owner, start, end))


def rfind(
    owner: Owner, sub: Any, start: SupportsIndex | None, end: SupportsIndex | None
) -> int:
    """The last place, or -1."""
    pattern = _pattern(sub)
    clone = lifecycle.clone(owner)
    return _last(clone, pattern, *_bounds_within(clone, start, end))


def count(
    owner: Owner, sub: Any, start: SupportsIndex | None, end: SupportsIndex | None
) -> int:
    """The number of places that do not overlap."""
    pattern = _pattern(sub)
    clone = lifecycle.clone(owner)
    return _number(clone, pattern, *_bounds_within(clone, start, end))


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


def _bounds(
    owner: Owner, start: SupportsIndex | None, end: SupportsIndex | None
) -> tuple[int, int]:
    """The ends of a slice as numbers: from 0 on, perhaps past the end of the pool."""
    low = 0 if start is None else _index(start)
    high = SIZE_MAX if end is None else _index(end)
    if low < 0 or high < 0:
        total_size = owner.ask()
        low = max(low + total_size, 0) if low < 0 else low
        high = max(high + total_size, 0) if high < 0 else high
    return low, min(high, SIZE_MAX)


def _bounds_within(
    owner: Owner, start: SupportsIndex | None, end: SupportsIndex | None
) -> tuple[int, int]:
    """The same, with the second one in the pool."""
    low, high = _bounds(owner, start, end)
    return low, min(high, owner.ask())


def _index(value: SupportsIndex) -> int:
    try:
        return operator.index(value)
    except TypeError as error:
        if hasattr(type(value), "__index__"):
            raise
        text = "slice indices must be integers or None or have an __index__ method"
        raise TypeError(text) from error


# ----------------------------------------------- in a pool that nobody changes


def _first(owner: Owner, pattern: bytes, start: int, end: int) -> int:
    """Where the pattern is first, or -1. One step, in any pool."""
    found = c_size_t()
    address = owner.address
    if start <= end and parallel.pool_find(
        address, pattern, len(pattern), start, end, found
    ):
        return found.value
    return -1


def _last(owner: Owner, pattern: bytes, start: int, end: int) -> int:
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
            data = ranges.fetch("pool_read", owner, begin, end - begin)
            found = data.rfind(pattern)
            if found >= 0:
                return begin + found
        else:
            found = _first(owner, pattern, begin, end)
            if found >= 0:
                start, width = found, piece
                continue
        end = begin + size - 1
        width *= 2
    return -1


def _number(owner: Owner, pattern: bytes, start: int, end: int) -> int:
    """How many places count() finds: from the start on, without overlap."""
    size, number = len(pattern), 0
    if size == 0:
        return max(end - start + 1, 0)
    piece, zeros = max(_PIECE, 4 * size), not any(pattern)
    while (start := _first(owner, pattern, start, end)) >= 0:
        if zeros and (times := (_data_from(owner, start, end) - start) // size):
            number += times
            start += times * size
        else:
            data = ranges.fetch("pool_read", owner, start, min(piece, end - start))
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


def _data_from(owner: Owner, start: int, end: int) -> int:
    """Where the first data is, at the start or behind it; the end if there is none."""
    found, size = c_size_t(), c_size_t()
    if parallel.pool_next_extent(owner.address, start, end, found, size):
        return found.value
    return end
