# SPDX-License-Identifier: MIT
"""Views and pins: the memory of a pool as memoryviews.

    memoryview ──► Window ──► blocks of the pool
    (slices and numpy arrays hold the same Window)

A Window owns what C gave, and exports it: the memory of a view read-only, so that nothing
that can be reached from a view leads to memory that may be written to. Every memoryview,
slice and numpy array made from it holds it; the last of them frees it, and
releases the blocks. The pool may be closed long before.

new_window is a hook: pymempool.testing puts a function there to see who holds what.
"""

from __future__ import annotations

from ctypes import c_int, c_size_t, c_void_p, py_object, sizeof
from typing import TYPE_CHECKING, Any, Callable, NoReturn

from .._native.calls import fail, parallel, quick, read_stats
from .._native.finalizers import ADDRESS, SIZE, function, owning_type
from .._native.handles import clone
from .._native.places import placed
from .._native.signatures import PoolView, StatsStruct
from ..errors import PoolRangeError, Status
from . import ranges
from .owner import Owner
from .states import BlockState

if TYPE_CHECKING:

    class Window:
        family: int  #: what views and pins of relatives have in common
        size: int  #: bytes of memory that it exports

        def __buffer__(self, flags: int) -> memoryview: ...

else:
    Window = owning_type(
        f"{__name__}.Window",
        sizeof(PoolView) + sizeof(c_void_p),  # and whether it is read-only
        "end_window",
        {
            "family": (ADDRESS, PoolView.family.offset),
            "size": (SIZE, PoolView.size.offset),
        },
        "export_window",
    )


#: Makes the window for a kind ("view" or "pin"), an offset and a size; None for Window.
new_window: Callable[[str, int, int], Window] | None = None


def view(owner: Owner, offset: Any, size: Any) -> memoryview:
    """The bytes of a range, frozen: a copy only if they are not in one piece."""
    offset, size = owner.range_or_rest(offset, size)
    if size == 0:
        return memoryview(b"")
    window = _window("view", owner.address, offset, size)
    if window.size == size:
        return memoryview(window)
    del window
    return memoryview(ranges.fetch("pool_read", owner, offset, size))


def views(owner: Owner, offset: Any, size: Any) -> list[memoryview]:
    """Frozen views of one moment that cover any range, in order."""
    offset, size = owner.range(offset, size)
    address, end = owner.address, offset + size
    found: list[memoryview] = []
    while offset < end:
        window = _window("view", address, offset, end - offset)
        if not found and window.size < end - offset:
            moment = clone(address)  # held until the end of this call
            address = moment.address
            window = _window("view", address, offset, end - offset)
        found.append(memoryview(window))
        offset += window.size
    return found


def pin(owner: Owner, offset: Any, size: Any) -> memoryview:
    """The pool's own memory, writable, of any range of which no part is pinned apart."""
    offset, size = owner.range_or_rest(offset, size)
    if size == 0:
        return memoryview(bytearray())
    meets = _next_pinned(owner, offset, offset + size)
    if meets is not None and meets[0] > offset:
        _refuse(offset, size, meets[0] - offset, meets)  # before C moves any block
    window = _window("pin", owner.address, offset, size)
    got = window.size
    if got < size:
        del window
        _refuse(offset, size, got, _next_pinned(owner, offset, offset + size))
    return memoryview(window)


def _next_pinned(owner: Owner, offset: int, end: int) -> tuple[int, int] | None:
    """The first run of pinned blocks in [offset, end), as start and end."""
    address = owner.address
    stats = read_stats(address, StatsStruct.copied_blocks.offset, quick)
    if not stats.pinned_blocks:
        return None
    start, size, state, found = c_size_t(), c_size_t(), c_size_t(), None
    while offset < end and parallel.pool_next_state(
        address, offset, end, start, size, state
    ):
        offset = start.value + size.value
        if state.value & BlockState.PINNED and (not found or found[1] == start.value):
            found = (found[0] if found else start.value), offset
        elif found:
            break
    return found


def _refuse(offset: int, size: int, got: int, meets: tuple[int, int] | None) -> NoReturn:
    """Raises for a pin that would overlap another one, and not lie in it."""
    first, last = meets or (offset + got, offset + size)
    raise PoolRangeError(
        f"size at offset {offset} is {size}, allowed is 0 .. {got}: in [{first}, {last})"
        " there is another pin, of which only a part can be pinned again; release it"
        " first, or make a pin of the whole range before those of its parts"
    )


def _window(kind: str, address: int, offset: int, size: int) -> Window:
    """What pool_view or pool_pin gives, whose size may be less than requested."""
    window: Any = Window() if new_window is None else new_window(kind, offset, size)
    status = _FUNCTIONS[kind](address, offset, size, window)
    if status != Status.POOL_OK:
        fail(f"pool_{kind}", (address, offset, size, window), status)
    made: Window = window
    return made


_ARGUMENTS = c_void_p, c_void_p, c_void_p, py_object
_FUNCTIONS = {
    kind: placed(function(kind, c_int, *_ARGUMENTS)) for kind in ("view", "pin")
}


def family(owner: Owner) -> int:
    """What relatives, and only they, have in common, as long as one of them lives."""
    window: Any = view(owner, 0, 1).obj
    family: int = window.family
    return family
