# SPDX-License-Identifier: MIT
"""Progress bars on stderr, if that is a terminal: with rich (extra `cli`) or without."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from .._core.words import encodable, shortened
from ..images.progress import Progress
from .terminal import OneLine, console, is_terminal, rich_module


@contextmanager
def progress(label: str) -> Iterator[Progress | None]:
    """Yields a function to call with the work done and the total, None if unknown.

    Yields None if stderr is no terminal. The bar is erased at the end.
    """
    stream = sys.stderr
    if not is_terminal(stream):
        yield None
        return
    label = encodable(shortened(label, 40), stream)
    make = _PlainBar if rich_module("progress", stream) is None else _RichBar
    steps = _Steps(make(stream, label))
    try:
        yield steps.report
    finally:
        steps.close()


class _Steps:
    """Draws the bar when it has moved by 1 %, or by 16 MiB if there is no total.

    Work that its first report completes gets no bar. Nothing is drawn between reports,
    and no thread is used, so that a bar does not disturb what is measured meanwhile.
    """

    def __init__(self, bar: _PlainBar | _RichBar) -> None:
        self._bar, self._step, self._drawn = bar, -1, False

    def report(self, done: int, total: int | None) -> None:
        step = done >> 24 if total is None else done * 100 // max(total, 1)
        early = step > 0 if total is None else done < total
        if step != self._step and (self._drawn or early):
            self._bar.draw(done, total)
            self._drawn = True
        self._step = step

    def close(self) -> None:
        if self._drawn:
            self._bar.erase()


class _PlainBar:
    """The label and a number, on one line."""

    def __init__(self, stream: TextIO, label: str) -> None:
        self._line, self._label = OneLine(stream), label

    def draw(self, done: int, total: int | None) -> None:
        number = f"{done >> 20} MiB" if total is None else f"{done * 100 // total} %"
        self._line.show(f"{self._label} {number}")

    def erase(self) -> None:
        self._line.clear()


class _RichBar:
    """The label and a bar of rich."""

    def __init__(self, stream: TextIO, label: str) -> None:
        rich = rich_module("progress", stream)
        self._progress = rich.Progress(
            rich.TextColumn("{task.description}", markup=False),
            rich.BarColumn(),
            rich.TaskProgressColumn(),
            console=console(stream),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,  # an image may be written there
            redirect_stderr=False,
        )
        self._task = self._progress.add_task(label, total=None)

    def draw(self, done: int, total: int | None) -> None:
        self._progress.start()
        self._progress.update(self._task, completed=done, total=total, refresh=True)

    def erase(self) -> None:
        self._progress.stop()
