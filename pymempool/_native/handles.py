# SPDX-License-Identifier: MIT
"""References to pools of C: objects that drop them when they are freed.

A signal's handler can raise as soon as C is back in Python. So what C gives must not be a
bare number even for an instant: C itself puts it into the object that owns it.

At the interpreter's end, once threads have stopped, nothing is released any more.

new_reference is a hook: pymempool.testing puts a function there to see who holds what.
"""

from __future__ import annotations

from ctypes import POINTER, c_void_p, py_object, sizeof
from typing import TYPE_CHECKING, Any, Callable

from ..errors import Status
from .calls import fail, last_status
from .finalizers import ADDRESS, function, owning_type
from .places import placed
from .signatures import PoolOptions

if TYPE_CHECKING:

    class PoolReference:
        address: int  #: of a pool of C, of which this is one reference; 0 for none

else:
    PoolReference = owning_type(
        f"{__name__}.PoolReference",
        sizeof(c_void_p),
        "end_reference",
        {"address": (ADDRESS, 0)},
    )

_create = placed(function("create", c_void_p, POINTER(PoolOptions), py_object))
_clone = placed(function("clone", c_void_p, c_void_p, py_object))
_retain = function("retain", c_void_p, c_void_p, py_object)
_take_over = function("take_over", c_void_p, c_void_p, py_object)

#: Makes the object for a kind: "pool", "clone" or "reference"; None for PoolReference.
#: What it makes has a method begin(), which is called once C has put a reference there.
new_reference: Callable[[str], Any] | None = None


def create(options: PoolOptions) -> PoolReference:
    """A new pool. Raises as pool_create_with fails."""
    return _reference("pool", "pool_create_with", _create, options)


def clone(address: int) -> PoolReference:
    """A clone of the pool at an address."""
    return _reference("clone", "pool_clone", _clone, address)


def retain(address: int) -> PoolReference:
    """One more reference to the pool at an address."""
    return _reference("reference", "pool_retain", _retain, address)


def take_over(address: int) -> PoolReference:
    """A reference that the caller has, and has no longer."""
    return _reference("reference", "pool_retain", _take_over, address)


def _reference(kind: str, name: str, call: Any, argument: Any) -> PoolReference:
    made: Any = PoolReference() if new_reference is None else new_reference(kind)
    if not call(argument, made):
        fail(name, (argument,), last_status(Status.POOL_NO_MEMORY))
    if type(made) is not PoolReference:
        made.begin()
    reference: PoolReference = made
    return reference
