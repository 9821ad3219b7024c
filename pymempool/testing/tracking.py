# SPDX-License-Identifier: MIT
"""Tracks views and pins: which of them are not released yet, and who made them."""

from __future__ import annotations

import os
import sys
import weakref
from typing import NamedTuple

from .._core import pins
from .._core.pins import Window
from .._native.finalizers import hide


class LiveView(NamedTuple):
    """A view or pin that is not released yet."""

    kind: str  #: "view" or "pin"
    offset: int
    size: int
    where: str  #: file:line of the call that made it


class TrackedWindow(Window):
    """The buffer exporter of a view or pin that was made while tracking was on."""

    __slots__ = ("__weakref__", "label")
    label: LiveView


_tracking = 0  # calls of track(True) without a track(False)
_live: dict[int, weakref.ref[TrackedWindow]] = {}  # by id, dead ones too
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def track(on: bool) -> None:
    """Starts or ends tracking of the views and pins that are made from now on.

    Each call with True needs one with False; the last one drops what was tracked.
    """
    global _tracking
    _tracking += 1 if on else -1
    pins.new_window = _new_window if _tracking else None
    if not _tracking:
        _live.clear()


def tracked() -> list[TrackedWindow]:
    """Returns the windows that were made while tracking was on, and are still alive."""
    windows = [reference() for reference in list(_live.values())]
    # One whose view or pin could not be made has no family.
    return [window for window in windows if window is not None and window.family]


def _new_window(kind: str, offset: int, size: int) -> TrackedWindow:
    window = TrackedWindow()
    hide(window)  # else the collector tracks it, for its __weakref__
    window.label = LiveView(kind, offset, size, _caller())
    _live[id(window)] = weakref.ref(window)
    return window


def _caller() -> str:
    """Returns file:line of the innermost call from outside the package."""
    frame = sys._getframe(1)
    while frame.f_back and os.path.abspath(frame.f_code.co_filename).startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
