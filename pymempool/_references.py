# SPDX-License-Identifier: MIT
"""What C gave and wants back: numbers that give it back when nobody has them any more.

A finalizer of Python's own (weakref.finalize, __del__) will not do here. The collector
runs those of a whole cycle before it takes the cycle apart, so that the memory would go
while the __del__ of another object in it may still read it. So a Reference is out of the
collector's sight: it goes when its last holder has gone, and that is after every __del__.

A signal's handler can raise as soon as C is back in Python. So what C gave must not be a
bare number even for an instant: ctypes makes the result a PoolReference by itself, and a
ViewReference is there before C fills in the view. (What a handler raises while something
is given back, Python tells to sys.unraisablehook.)

At the interpreter's end, once threads have stopped, nothing is given back any more.
"""

from __future__ import annotations

import gc
import sys
from ctypes import PYFUNCTYPE, addressof, byref, c_void_p, py_object, pythonapi
from typing import Any, Callable

from ._library import parallel, quick
from ._signatures import PoolView

_untrack: Callable[[object], None] = PYFUNCTYPE(None, py_object)(
    ("PyObject_GC_UnTrack", pythonapi)
)


def hide(reference: object) -> None:
    """Takes the object out of the collector's sight."""
    if gc.is_tracked(reference):
        _untrack(reference)


class PoolReference(c_void_p):
    """The address of a C pool, and one reference to it."""

    __slots__ = ()

    # What is needed at the end is bound here: by then the modules may be empty.
    def __del__(
        self,
        destroy: Callable[[object], None] = parallel.pool_destroy,
        over: Callable[[], bool] = sys.is_finalizing,
    ) -> None:
        if not over():
            destroy(self)


def _giving(name: str) -> Callable[..., PoolReference]:
    """A function of C whose result gives itself back."""
    declared, function = getattr(quick, name), quick[name]
    function.argtypes, function.errcheck = declared.argtypes, declared.errcheck
    function.restype = PoolReference
    return function


create, clone, retain = map(_giving, ("pool_create_with", "pool_clone", "pool_retain"))


class ViewReference(int):
    """The address of a PoolView that C fills in, a view or a pin."""

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


#: What C fills in and has not got back, by its address.
held_views: dict[int, HeldView] = {}


def view_reference(view: HeldView) -> ViewReference:
    """For a view or pin that C has yet to give."""
    address = addressof(view)
    reference = ViewReference(address)
    hide(reference)
    held_views[address] = view
    return reference
