# SPDX-License-Identifier: MIT
"""What C gave and wants back: numbers that give it back when nobody has them any more.

A finalizer of Python's own (weakref.finalize, __del__) will not do here. The collector
runs those of a whole cycle before it takes the cycle apart, so that the memory would go
while the __del__ of another object in it may still read it. So a Reference is out of the
collector's sight: it goes when its last holder has gone, and that is after every __del__.

At the interpreter's end, once threads have stopped, nothing is given back any more.
"""

from __future__ import annotations

import gc
import sys
from ctypes import PYFUNCTYPE, addressof, byref, py_object, pythonapi
from typing import Any, Callable

from ._library import parallel, quick
from ._signatures import PoolView

_untrack: Callable[[object], None] = PYFUNCTYPE(None, py_object)(
    ("PyObject_GC_UnTrack", pythonapi)
)


class _Reference(int):
    """An address, to be given back."""

    __slots__ = ()

    def hide(self) -> None:
        """Takes the object out of the collector's sight."""
        if gc.is_tracked(self):
            _untrack(self)


class PoolReference(_Reference):
    """The address of a C pool, and one reference to it."""

    __slots__ = ()

    # What is needed at the end is bound here: by then the modules may be empty.
    def __del__(
        self,
        destroy: Callable[[int], None] = parallel.pool_destroy,
        over: Callable[[], bool] = sys.is_finalizing,
    ) -> None:
        if not over():
            destroy(self)


class ViewReference(_Reference):
    """The address of a PoolView that C filled in, a view or a pin."""

    __slots__ = ()

    def __del__(
        self,
        release: Callable[[object], None] = quick.pool_view_release,
        over: Callable[[], bool] = sys.is_finalizing,
    ) -> None:
        view = held_views.pop(self, None) if not over() else None
        if view is not None:
            release(byref(view))


class HeldView(PoolView):
    """A PoolView, and what views.live() tells of it."""

    label: Any = None


#: What C filled in and was not given back, by its address.
held_views: dict[int, HeldView] = {}


def pool_reference(address: int) -> PoolReference:
    """Takes over the reference that C gave with an address."""
    reference = PoolReference(address)
    reference.hide()
    return reference


def view_reference(view: HeldView) -> ViewReference:
    """Takes over a view or pin that C gave."""
    address = addressof(view)
    reference = ViewReference(address)
    reference.hide()
    held_views[address] = view
    return reference
