# SPDX-License-Identifier: MIT
"""What makes a pool look like a bytearray of a fixed size: len(), items and slices."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

from .._native.arguments import integer
from .._native.buffers import has_buffer, readable
from .._native.signatures import SIZE_MAX
from ..errors import PoolRangeError
from . import ranges
from .owner import Owned, Owner

if TYPE_CHECKING:
    from typing import SupportsIndex

_LEN_MAX = SIZE_MAX >> 1


def length(owner: Owner) -> int:
    """The size of the pool, if len() can tell it."""
    total_size = owner.ask()
    if total_size > _LEN_MAX:
        raise OverflowError(f"len() cannot tell {total_size}; total_size can")
    return total_size


def byte(value: Any) -> bytes:
    """An integer 0 .. 255 as a byte."""
    return bytes((integer("byte", value, 0, 255),))


def assign(pool: Owned, offset: int, size: int, value: Any) -> None:
    """Writes bytes, those of another pool, or integers: `size` of them."""
    if isinstance(value, Owned):
        other = value._owner
        integer("size of what is assigned", other.ask(), size, size)
        ranges.copy(pool._owner, other, 0, size, offset)
        return
    if not has_buffer(value):
        value = _bytes_of(value, size)
        pool._owner.ask()  # an iterable can do anything, even resize the pool
    with readable(value) as source:
        integer("size of what is assigned", source.size, size, size)
        ranges.put(pool._owner, offset, source.address, size)


def offset_of(owner: Owner, key: SupportsIndex) -> int:
    """The offset that an index in square brackets means."""
    if type(key) is int and 0 <= key < owner.total_size:
        return key
    total_size = owner.ask()
    index = integer("index", key, -total_size, total_size - 1)
    return index + total_size if index < 0 else index


def range_of(owner: Owner, key: slice) -> tuple[int, int]:
    """The offset and the size that a slice means."""
    start, stop, step = key.start, key.stop, key.step
    plain = step is None and type(start) is int is type(stop)
    if plain and 0 <= start <= stop <= owner.total_size:
        return start, stop - start
    # One atomic step is one range of bytes, and every method is one atomic step.
    integer("step of a slice", 1 if step is None else step, 1, 1)
    start, stop, _ = slice(start, stop).indices(owner.ask())
    return start, max(0, stop - start)


def _bytes_of(numbers: Any, size: int) -> bytes:
    """The integers of an iterable as bytes, `size` of them or fewer.

    Takes one more than that, and so finds out that there are too many.
    """
    needed = "a contiguous bytes-like object, or an iterable of integers, is needed"
    if isinstance(numbers, str):
        raise TypeError(f"{needed}, not str")
    try:
        some = islice(numbers, min(size + 1, sys.maxsize))
    except TypeError as error:
        raise TypeError(
            f"{needed}, not this {type(numbers).__name__}: {error}"
        ) from error
    data = bytes(some)
    if len(data) > size:
        raise PoolRangeError(
            f"size of what is assigned is above {size}, allowed is {size}"
        )
    return data
