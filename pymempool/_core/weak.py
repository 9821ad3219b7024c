# SPDX-License-Identifier: MIT
"""Tables of objects that do not keep them alive.

The weak sets and dictionaries of the standard library drop an entry by a function of
Python. If a signal's handler raises in that, the entry stays, with the value that it
keeps alive. Here C functions alone drop entries.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Weak(weakref.ref):  # type: ignore[type-arg]
    """Told apart by identity: a subclass may define __eq__, and __hash__ or none."""

    __slots__ = ()
    __eq__ = object.__eq__
    __hash__ = object.__hash__


def weak(thing: object, table: dict[Any, Any], key: Any) -> Weak:
    """A weak reference to a thing, with which the entry of a key leaves a table.

    Whoever drops the entry first also drops this, if it is held by that entry alone.
    """
    return Weak(thing, partial(table.pop, key))


class WeakObjects(Generic[T]):
    """A set of objects, each in it as long as it lives."""

    def __init__(self) -> None:
        self._references: set[Weak] = set()
        self._forget: Any = self._references.discard

    def add(self, thing: T) -> None:
        """Adds an object, which is not in it."""
        self._references.add(Weak(thing, self._forget))

    def __iter__(self) -> Iterator[T]:
        """Those that live, which may be added and freed meanwhile."""
        for reference in list(self._references):
            thing = reference()
            if thing is not None:
                yield thing
