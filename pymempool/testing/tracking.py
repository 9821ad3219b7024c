# SPDX-License-Identifier: MIT
"""Tracks pools, views and pins: which are not released yet, and who made them.

While tracking is on, the objects by which Python owns what C gave are of the classes
here. Weak references tell which of them live, and of a reference when it ends.
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import NamedTuple

from .._core import pins
from .._core.pins import Window
from .._native import handles
from .._native.calls import quick, read_stats
from .._native.finalizers import hide
from .._native.handles import PoolReference
from .._native.places import caller
from .._native.signatures import StatsStruct
from .spares import Spares, mend

_UP_TO_SIZE = StatsStruct.block_size.offset
_SPARES = 10  # for each reference of Python


class LiveView(NamedTuple):
    """A view or pin that is not released yet."""

    kind: str  #: "view" or "pin"
    offset: int
    size: int
    where: str  #: file:line of the call that made it


class LivePool(NamedTuple):
    """A reference of Python to a pool that is not dropped yet."""

    kind: str  #: "pool", "clone" or "reference"
    address: int
    size: int  #: bytes of the pool, when it was made
    where: str  #: file:line of the call that made it


class TrackedWindow(Window):
    """The buffer exporter of a view or pin that was made while tracking was on."""

    __slots__ = ("__weakref__", "label")
    label: LiveView


class TrackedReference(PoolReference):
    """A reference to a pool that was made while tracking was on."""

    __slots__ = ("__weakref__", "kind", "where")
    kind: str
    where: str

    def begin(self) -> None:
        """The reference is there: counts it until it ends."""
        size = read_stats(self.address, _UP_TO_SIZE, quick).total_size
        label = LivePool(self.kind, self.address, size, self.where)
        spares = Spares(self.address, _SPARES)
        end = partial(_end, id(self))
        _pools[id(self)] = _Tracked(weakref.ref(self, end), label, spares)


class _Tracked(NamedTuple):
    alive: weakref.ref[TrackedReference]
    label: LivePool
    spares: Spares


_tracking = 0  # calls of track(True) without a track(False)
_live: dict[int, weakref.ref[TrackedWindow]] = {}  # by id, dead ones too
_pools: dict[int, _Tracked] = {}  # by id of the reference
_over_released: list[tuple[LivePool, int]] = []  # and how many references were missing


def track(on: bool) -> None:
    """Starts or ends tracking of the pools, views and pins that are made from now on.

    Each call with True needs one with False; the last one drops what was tracked.
    """
    global _tracking
    _tracking += 1 if on else -1
    pins.new_window = _new_window if _tracking else None
    handles.new_reference = _new_reference if _tracking else None
    if not _tracking:
        _live.clear()
        while _pools:
            _pools.popitem()[1].spares.drop()
        _over_released.clear()


def tracked() -> list[TrackedWindow]:
    """Returns the windows that were made while tracking was on, and are still alive."""
    windows = [reference() for reference in list(_live.values())]
    # One whose view or pin could not be made has no family.
    return [window for window in windows if window is not None and window.family]


def tracked_pools() -> list[LivePool]:
    """Returns the references that were made while tracking was on, and still live."""
    return [each.label for each in list(_pools.values())]


def over_released() -> list[tuple[LivePool, int]]:
    """Returns the pools of which references are missing, with how many; and adds those.

    Of pools that Python holds no longer, those that it found when their last tracked
    reference ended. Each is returned once.
    """
    labels: dict[int, LivePool] = {}
    known: dict[int, int] = {}
    for label in tracked_pools():
        labels.setdefault(label.address, label)
        known[label.address] = known.get(label.address, 0) + 1
    found = [(labels[address], mend(address, known[address])) for address in known]
    ended = _over_released[:]
    _over_released.clear()
    return ended + [(label, missing) for label, missing in found if missing]


def _new_window(kind: str, offset: int, size: int) -> TrackedWindow:
    window = TrackedWindow()
    hide(window)  # else the collector tracks it, for its __weakref__
    window.label = LiveView(kind, offset, size, _caller())
    _live[id(window)] = weakref.ref(window)
    return window


def _new_reference(kind: str) -> TrackedReference:
    reference = TrackedReference()
    hide(reference)
    reference.kind, reference.where = kind, _caller()
    return reference


def _end(key: int, alive: object) -> None:
    """A tracked reference was dropped: are those of others still there?

    Other threads may be about to drop theirs, so only the spares are certain.
    """
    tracked = _pools.pop(key, None)
    if tracked is not None:
        missing = mend(tracked.label.address, 0)
        if missing:
            _over_released.append((tracked.label, missing))
        tracked.spares.drop()


def _caller() -> str:
    file, line = caller()
    return f"{file}:{line}"
