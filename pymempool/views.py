# SPDX-License-Identifier: MIT
"""Views and pins: the memory of a pool as memoryviews.

    memoryview ──► array of ctypes ──► ViewReference ──► block of the pool
    (slices and numpy arrays hold the same array)

What C gave is wrapped in an array that owns nothing but a ViewReference. Every
memoryview, slice and numpy array made from it holds the array; with the last of them the
array goes, and the block is given back. The pool may be closed long before.

For tests that must leave nothing behind, track(True) makes live() tell who holds what.
"""

from __future__ import annotations

import os
import sys
from ctypes import Array, byref, c_ubyte, sizeof
from functools import lru_cache
from typing import Any, NamedTuple

from ._library import quick
from ._owner import Owner
from ._references import HeldView, clone, held_views, view_reference
from ._signatures import PoolView
from .errors import PoolRangeError


class LiveView(NamedTuple):
    """A view or pin that somebody still has."""

    kind: str  #: "view" or "pin"
    offset: int
    size: int
    where: str  #: file:line of the call that made it


def view(owner: Owner, offset: Any, size: Any) -> memoryview:
    """A frozen view of a range in one block."""
    offset, size = _in_one_block(owner, offset, size, "view")
    return _frozen(owner.address, offset, size) if size else memoryview(b"")


def views(owner: Owner, offset: Any, size: Any) -> list[memoryview]:
    """Frozen views of one moment that cover any range, in order."""
    offset, size = owner.range(offset, size)
    address, end, block_size = owner.address, offset + size, owner.block_size
    if offset // block_size < (end - 1) // block_size:
        address = clone(address)
    found = []
    while offset < end:
        stop = min(end, offset - offset % block_size + block_size)
        found.append(_frozen(address, offset, stop - offset))
        offset = stop
    return found


def pin(owner: Owner, offset: Any, size: Any) -> memoryview:
    """A live, writable window on a range in one block."""
    offset, size = _in_one_block(owner, offset, size, "pin")
    if size == 0:
        return memoryview(bytearray())
    return _memory("pin", owner.address, offset, size)


def _in_one_block(owner: Owner, offset: Any, size: Any, kind: str) -> tuple[int, int]:
    offset, size = owner.range(offset, size)
    rest = owner.block_size - offset % owner.block_size
    if size > rest:
        raise PoolRangeError(
            f"size at offset {offset} is {size}, allowed is 0 .. {rest}: a {kind} lies"
            f" in one block of {owner.block_size} bytes"
        )
    return offset, size


def _frozen(address: int, offset: int, size: int) -> memoryview:
    return _memory("view", address, offset, size).toreadonly()


def _memory(kind: str, address: int, offset: int, size: int) -> memoryview:
    """The memory that pool_view or pool_pin gives, which reaches as far as asked."""
    got = HeldView(sizeof(PoolView))
    reference = view_reference(got)
    _FUNCTIONS[kind](address, offset, size, byref(got))
    if _tracking:
        got.label = LiveView(kind, offset, size, _caller())
    array: Any = _array_type(size).from_address(got.data)
    array.reference = reference
    return memoryview(array).cast("B")


@lru_cache(maxsize=64)  # to make a type is what costs most
def _array_type(size: int) -> type[Array[c_ubyte]]:
    return c_ubyte * size


_FUNCTIONS = {"view": quick.pool_view, "pin": quick.pool_pin}


# ------------------------------------------------------------- who holds what

_tracking = 0  # how many want to know
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def track(on: bool) -> None:
    """From now on live() tells of the views and pins made; for tests.

    Who called it with True calls it with False at the end; with the last of these live()
    tells of none.
    """
    global _tracking
    _tracking += 1 if on else -1
    if not _tracking:
        for held in list(held_views.values()):
            held.label = None


def live() -> list[LiveView]:
    """The views and pins made since track(True) that somebody still has."""
    labels = [held.label for held in list(held_views.values())]
    return [label for label in labels if label is not None]


def _caller() -> str:
    """file:line of the innermost call that comes from outside the package."""
    frame = sys._getframe(1)
    while frame.f_back and os.path.abspath(frame.f_code.co_filename).startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
