# SPDX-License-Identifier: MIT
"""How far a save or a load is: the type of the callback, and a counter that calls it."""

from __future__ import annotations

from typing import Any, Callable, Optional

#: Called as progress(done, total), in bytes. done never decreases; total is None if it is
#: not known.
Progress = Callable[[int, Optional[int]], object]


def callback(progress: Any) -> Progress:
    """Returns what a caller gave as `progress`; for None, a function that does nothing.

    Raises TypeError for what cannot be called.
    """
    if progress is None:
        return lambda done, total: None
    if not callable(progress):
        raise TypeError(f"progress must be callable, not {type(progress).__name__}")
    called: Progress = progress
    return called


class Meter:
    """Counts the bytes that are done, and reports them."""

    def __init__(self, report: Progress, total: int | None) -> None:
        self.report, self.total, self.done = report, total, 0

    def add(self, size: int) -> None:
        self.done += size
        self.report(self.done, self.total)
