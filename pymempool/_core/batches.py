# SPDX-License-Identifier: MIT
"""Many items at once. Where offsets.py and pairs.py say so, arrays of numpy."""

from __future__ import annotations

import sys
from typing import Any

from .._native.arguments import integer
from .._native.buffers import BYTES_MAX, Buffer, readable, writable
from .._native.calls import library_for
from .._native.signatures import SIZE_MAX
from ..errors import PoolMemoryError, PoolRangeError
from .marks import changing
from .offsets import Offsets, check, converted
from .owner import Owner
from .pairs import Ranges, checked, joined

# An item takes about as long as 64 bytes do, however short it is.
_ITEM_COST = 64


def gather(owner: Owner, offsets: Any, item_size: Any, out: Any) -> Any:
    """The items at the offsets, one after the other."""
    found = converted(offsets)
    item_size = integer("item_size", item_size, 0, SIZE_MAX)
    check(owner, found, item_size)
    size = found.items * item_size
    if out is not None:
        with writable(out) as target:
            integer("size of out", target.size, size, size)
            _check_whole("out", target, item_size)
            _fill(owner, found, item_size, target.address)
        return out
    if size > BYTES_MAX:
        raise PoolMemoryError(f"{size} bytes do not fit an object")
    if found.shape is None:
        data = bytes(size)  # of zeros: errors show the arguments of calls
        if size:
            _fill(owner, found, item_size, data)
        return data
    numpy = sys.modules["numpy"]
    items = numpy.empty((*found.shape, item_size), dtype=numpy.uint8)
    try:
        _fill(owner, found, item_size, items.ctypes.data)
    except BaseException:
        del items  # it holds old memory, and a traceback would show it
        raise
    return items


def _check_whole(name: str, buffer: Buffer, item_size: int) -> None:
    """Raises if items in the pool would be parts of the items of a typed array."""
    own = buffer.item_size
    if own > 1 and item_size % own:
        raise PoolRangeError(
            f"items of {name} have {own} bytes each, and an item in the pool would have"
            f" {item_size}, which is no multiple of that"
        )


def _fill(owner: Owner, found: Offsets, item_size: int, dest: Any) -> None:
    library = library_for(found.items * (_ITEM_COST + item_size))
    with readable(found.raw) as raw:
        library.pool_gather(owner.address, dest, raw.address, found.items, item_size)


def scatter(owner: Owner, offsets: Any, data: Any) -> None:
    """Puts equal parts of data at the offsets, in their order."""
    found = converted(offsets)
    with readable(data) as source:
        item_size, rest = divmod(source.size, found.items or 1)
        if rest or (source.size and not found.items):
            raise PoolRangeError(
                f"size of data is {source.size}, which cannot be split into"
                f" {found.items} items of equal size"
            )
        _check_whole("data", source, item_size)
        check(owner, found, item_size)
        if owner.marked is not None:
            with changing(owner) as (plain, marks):
                _scatter(marks, found, item_size, b"\1" * source.size)
                _scatter(plain, found, item_size, source.address)
        else:
            _scatter(owner, found, item_size, source.address)


def _scatter(owner: Owner, found: Offsets, item_size: int, source: Any) -> None:
    library = library_for(found.items * (_ITEM_COST + item_size))
    with readable(found.raw) as raw:
        library.pool_scatter(owner.address, raw.address, source, found.items, item_size)


# ------------------------------------------------------- ranges of different sizes


def read_many(owner: Owner, ranges: Any, out: Any) -> Any:
    """The bytes of each range; or out, filled with all of them."""
    found = checked(owner, ranges)
    if out is not None:
        with writable(out) as target:
            integer("size of out", target.size, found.total, found.total)
            _fill_ranges(owner, found, target.address)
        return out
    if found.total > BYTES_MAX:
        raise PoolMemoryError(f"{found.total} bytes do not fit an object")
    data = bytes(found.total)  # of zeros: errors show the arguments of calls
    if data:
        _fill_ranges(owner, found, data)
    parts, start = [], 0
    for size in found.sizes.tolist():
        parts.append(data[start : start + size])
        start += size
    return parts


def _fill_ranges(owner: Owner, found: Ranges, dest: Any) -> None:
    count = len(found.sizes)
    library = library_for(count * _ITEM_COST + found.total)
    with readable(found.offsets) as offsets, readable(found.sizes) as sizes:
        library.pool_read_many(owner.address, dest, offsets.address, sizes.address, count)


def write_many(owner: Owner, items: Any) -> None:
    """Puts the data of each item at its offset, in their order."""
    found, packed = joined(owner, items)
    put_ranges(owner, found, packed)


def put_ranges(owner: Owner, found: Ranges, packed: Any) -> None:
    """Puts contiguous data, of the size of all ranges, into them."""
    if owner.marked is not None:
        with changing(owner) as (plain, marks):
            put_ranges(marks, found, b"\1" * found.total)
            put_ranges(plain, found, packed)
        return
    with readable(packed) as source:
        _put(owner, found, source.address)


def _put(owner: Owner, found: Ranges, src: Any) -> None:
    count = len(found.sizes)
    library = library_for(count * _ITEM_COST + found.total)
    with readable(found.offsets) as offsets, readable(found.sizes) as sizes:
        library.pool_write_many(owner.address, offsets.address, sizes.address, src, count)
