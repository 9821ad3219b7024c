# SPDX-License-Identifier: MIT
"""Many items of one size at once. Where offsets.py says so, arrays of numpy."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .._native.arguments import integer
from .._native.buffers import BYTES_MAX, readable, writable
from .._native.calls import library_for
from .._native.signatures import SIZE_MAX
from ..errors import PoolMemoryError, PoolRangeError
from .offsets import Offsets, check, converted
from .owner import Owner

if TYPE_CHECKING:
    pass

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
        check(owner, found, item_size)
        library = library_for(found.items * (_ITEM_COST + item_size))
        with readable(found.raw) as raw:
            library.pool_scatter(
                owner.address, raw.address, source.address, found.items, item_size
            )
