# SPDX-License-Identifier: MIT
"""Pairs of offset and size, or of offset and data: checked and converted once, for C.

numpy is never imported here: whoever passes an array has done that.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

from .._native.arguments import integer
from .._native.signatures import SIZE_MAX
from .offsets import SIZE_CODE
from .owner import Owner


class Ranges(NamedTuple):
    """Ranges that lie in the pool, on their way to C. No one else has these arrays."""

    offsets: Any  #: a run of size_t, as is sizes
    sizes: Any
    total: int  #: the sum of the sizes


def _opened(series: Any, names: str) -> Iterator[Any]:
    """An iterator over a series of pairs.

    names: what a pair is, such as "(offset, size)".
    """
    if isinstance(series, memoryview):
        series = series.tolist()  # CPython trips over the iterator of a released one
    try:
        return iter(series)
    except TypeError:
        kind = type(series).__name__
        raise TypeError(f"a series of pairs {names} is needed, not {kind}") from None


def _unpacked(number: int, pair: Any, names: str) -> tuple[Any, Any]:
    try:
        first, second = pair
    except (TypeError, ValueError, NotImplementedError) as error:
        raise TypeError(f"range number {number} must be a pair {names}") from error
    return first, second


def checked(owner: Owner, ranges: Any) -> Ranges:
    """Converts pairs (offset, size), or an array of numpy with a row for each."""
    total_size = owner.total_size
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None and isinstance(ranges, numpy.ndarray):
        return _checked_array(numpy, owner, ranges)
    offsets: list[int] = []
    sizes: list[int] = []
    for pair in _opened(ranges, "(offset, size)"):
        plain = type(pair) is tuple and len(pair) == 2
        offset, size = pair if plain else _unpacked(len(sizes), pair, "(offset, size)")
        plain = type(offset) is int is type(size)
        if not (plain and 0 <= offset <= total_size - size <= total_size):
            total_size = owner.ask()
            offset = integer(f"offset number {len(sizes)}", offset, 0, total_size)
            name = f"size number {len(sizes)}, at offset {offset},"
            size = integer(name, size, 0, total_size - offset)
        offsets.append(offset)
        sizes.append(size)
    return Ranges(array(SIZE_CODE, offsets), array(SIZE_CODE, sizes), sum(sizes))


def _checked_array(numpy: Any, owner: Owner, ranges: Any) -> Ranges:
    if ranges.dtype.kind not in "iu":
        raise TypeError(f"ranges must be integers, not {ranges.dtype}")
    if ranges.ndim != 2 or ranges.shape[1] != 2:
        raise TypeError(f"ranges must have the shape (n, 2), not {ranges.shape}")
    numbers = numpy.array(ranges)
    most, total = owner.total_size, 0
    columns = numbers.astype(numpy.uintp, order="F")
    offsets, sizes = columns[:, 0], columns[:, 1]
    if len(numbers):
        fit = int(numbers.min()) >= 0 and int(numbers.max()) <= SIZE_MAX
        fit &= bool(((sizes <= most) & (offsets <= numpy.uintp(most) - sizes)).all())
        if not fit:  # or the pool has grown
            return checked(owner, numbers.tolist())
        total = int(sizes.max()) * len(sizes)
        total = int(sizes.sum()) if total <= SIZE_MAX else sum(sizes.tolist())
    return Ranges(offsets, sizes, total)


def joined(owner: Owner, items: Any) -> tuple[Ranges, bytearray]:
    """Converts pairs (offset, data): where the data goes, and all of it in one piece."""
    total_size = owner.total_size
    offsets: list[int] = []
    sizes: list[int] = []
    packed = bytearray()
    for pair in _opened(items, "(offset, data)"):
        plain = type(pair) is tuple and len(pair) == 2
        offset, data = pair if plain else _unpacked(len(sizes), pair, "(offset, data)")
        start = len(packed)
        if type(data) is bytes:
            packed += data
        else:
            _join(packed, len(sizes), data)
        size = len(packed) - start
        if not (type(offset) is int and 0 <= offset <= total_size - size):
            total_size = owner.ask()
            offset = integer(f"offset number {len(sizes)}", offset, 0, total_size)
            name = f"size of data number {len(sizes)}, at offset {offset},"
            integer(name, size, 0, total_size - offset)
        offsets.append(offset)
        sizes.append(size)
    found = Ranges(array(SIZE_CODE, offsets), array(SIZE_CODE, sizes), len(packed))
    return found, packed


def _join(packed: bytearray, number: int, data: Any) -> None:
    try:
        with memoryview(data) as view:  # += of an array of numpy would add numbers
            packed += view
    except (TypeError, BufferError, ValueError) as error:
        kind = type(data).__name__
        raise TypeError(
            f"data number {number} must be contiguous and bytes-like, not this {kind}"
        ) from error
