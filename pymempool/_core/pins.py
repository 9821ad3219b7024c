# SPDX-License-Identifier: MIT
"""Views and pins: the memory of a pool as memoryviews.

    memoryview ──► Window ──► block of the pool
    (slices and numpy arrays hold the same Window)

A Window owns what C gave, and exports it: the memory of a view read-only, so that nothing
that can be reached from a view leads to memory that may be written to. Every memoryview,
slice and numpy array made from it holds it; the last of them frees it, and
releases the block. The pool may be closed long before.

new_window is a hook: pymempool.testing puts a function there to see who holds what.
"""

from __future__ import annotations

from ctypes import c_int, c_void_p, py_object, sizeof
from typing import TYPE_CHECKING, Any, Callable

from .._native.calls import fail
from .._native.finalizers import ADDRESS, function, owning_type
from .._native.handles import clone
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


#: Makes the window for a kind ("view" or "pin"), an offset and a size; None for Window.
new_window: Callable[[str, int, int], Window] | None = None


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
    window: Any = Window() if new_window is None else new_window(kind, offset, size)
    status = _FUNCTIONS[kind](address, offset, size, window)
    if status != Status.POOL_OK:
        fail(f"pool_{kind}", (address, offset, size, window), status)
    return memoryview(window)


_ARGUMENTS = c_void_p, c_void_p, c_void_p, py_object
_FUNCTIONS = {kind: function(kind, c_int, *_ARGUMENTS) for kind in ("view", "pin")}
