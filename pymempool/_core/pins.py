# SPDX-License-Identifier: MIT
"""Views and pins: the memory of a pool as memoryviews.

    memoryview ──► Window ──► block of the pool
    (slices and numpy arrays hold the same Window)

A Window owns what C gave, and exports it: the memory of a view read-only, so that nothing
that can be reached from a view leads to memory that may be written to. Every memoryview,
slice and numpy array made from it holds it; with the last of them it goes, and the block
is given back. The pool may be closed long before.

For tests that must leave nothing behind, track(True) makes live() tell who holds what.
"""

from __future__ import annotations

import os
import sys
import weakref
from ctypes import c_int, c_void_p, py_object, sizeof
from typing import TYPE_CHECKING, Any, NamedTuple

from .._native.finalizers import ADDRESS, function, hide, owning_type
from .._native.handles import clone
from .._native.library import fail
from .._native.signatures import PoolView
from ..errors import PoolRangeError, Status
from .owner import Owner

if TYPE_CHECKING:

    class Window:
        family: int  #: what views and pins of relatives have in common

else:
    Window = owning_type(
        f"{__name__}.Window",
        sizeof(PoolView) + sizeof(c_void_p),  # and whether it is read-only
        "end_window",
        {"family": (ADDRESS, PoolView.family.offset)},
        "export_window",
    )


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
        moment = clone(address)
        address = moment.address
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
    return _memory("view", address, offset, size)


def _memory(kind: str, address: int, offset: int, size: int) -> memoryview:
    """The memory that pool_view or pool_pin gives, which reaches as far as asked."""
    window: Any = Window() if not _tracking else _tracked(kind, offset, size)
    status = _FUNCTIONS[kind](address, offset, size, window)
    if status != Status.POOL_OK:
        fail(f"pool_{kind}", (address, offset, size, window), status)
    return memoryview(window)


_ARGUMENTS = c_void_p, c_void_p, c_void_p, py_object
_FUNCTIONS = {kind: function(kind, c_int, *_ARGUMENTS) for kind in ("view", "pin")}


# ------------------------------------------------------------- who holds what


class TrackedWindow(Window):
    """One of which live() tells."""

    __slots__ = ("__weakref__", "label")
    label: LiveView


_tracking = 0  # how many want to know
_live: dict[int, weakref.ref[TrackedWindow]] = {}  # by id; a dead one is taken out later
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def track(on: bool) -> None:
    """From now on live() tells of the views and pins made; for tests.

    Who called it with True calls it with False at the end; with the last of these live()
    tells of none.
    """
    global _tracking
    _tracking += 1 if on else -1
    if not _tracking:
        _live.clear()


def live() -> list[LiveView]:
    """The views and pins made since track(True) that somebody still has."""
    return [window.label for window in tracked()]


def tracked() -> list[TrackedWindow]:
    """Their windows."""
    windows = [reference() for reference in list(_live.values())]
    # One that could not be filled in has no family.
    return [window for window in windows if window is not None and window.family]


def _tracked(kind: str, offset: int, size: int) -> TrackedWindow:
    window = TrackedWindow()
    hide(window)  # what has room for weak references is the collector's business
    window.label = LiveView(kind, offset, size, _caller())
    _live[id(window)] = weakref.ref(window)
    return window


def _caller() -> str:
    """file:line of the innermost call that comes from outside the package."""
    frame = sys._getframe(1)
    while frame.f_back and os.path.abspath(frame.f_code.co_filename).startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
