# SPDX-License-Identifier: MIT
"""Tracking: which views and pins somebody still has, and who made them."""

from __future__ import annotations

import os
import sys
import weakref
from typing import NamedTuple

from .._core import pins
from .._core.pins import Window
from .._native.finalizers import hide


class LiveView(NamedTuple):
    """A view or pin that somebody still has."""

    kind: str  #: "view" or "pin"
    offset: int
    size: int
    where: str  #: file:line of the call that made it


class TrackedWindow(Window):
    """The window of a view or pin that was made while tracking was on."""

    __slots__ = ("__weakref__", "label")
    label: LiveView


_tracking = 0  # how many want to know
_live: dict[int, weakref.ref[TrackedWindow]] = {}  # by id; a dead one is taken out later
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def track(on: bool) -> None:
    """From now on tracked() reports the views and pins made.

    Who called it with True calls it with False at the end; with the last of these
    tracked() reports none.
    """
    global _tracking
    _tracking += 1 if on else -1
    pins.new_window = _new_window if _tracking else None
    if not _tracking:
        _live.clear()


def tracked() -> list[TrackedWindow]:
    """The windows made since track(True) that somebody still has."""
    windows = [reference() for reference in list(_live.values())]
    # One that could not be filled in has no family.
    return [window for window in windows if window is not None and window.family]


def _new_window(kind: str, offset: int, size: int) -> TrackedWindow:
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
