# SPDX-License-Identifier: MIT
"""Descriptor: an open file of the system, or a handle on Windows, closed by C.

A number that a call returns is lost if a signal's handler raises right after the call,
and with it what is open. So the number goes from the call into the object that owns it
without a step of Python's own in between: iterators in C pass it on.
"""

from __future__ import annotations

from ctypes import c_ssize_t, py_object, sizeof
from itertools import starmap
from operator import invert
from typing import TYPE_CHECKING, Any, Callable

from .finalizers import SIZE, function, hide, owning_type

if TYPE_CHECKING:

    class _Held:
        complement: int

else:
    _Held = owning_type(
        f"{__name__}.Descriptor",
        sizeof(c_ssize_t),
        "end_descriptor",
        {"complement": (SIZE, 0)},
        writable=True,
    )

_close = function("end_descriptor", None, py_object)


class Descriptor(_Held):
    """A descriptor that is closed when nobody has this object any more, or by close()."""

    __slots__ = ()

    @property
    def number(self) -> int:
        """What the system knows it by; -1 if it is closed."""
        return ~self.complement

    def close(self) -> None:
        """Closes it at once. Closing twice does nothing."""
        _close(self)


def opened(call: Callable[..., int], *arguments: Any) -> Descriptor:
    """What call(*arguments) opens. Raises what the call raises."""
    made = Descriptor()
    hide(made)
    numbers = map(invert, starmap(call, [arguments]))
    next(map(setattr, [made], ["complement"], numbers))
    return made
