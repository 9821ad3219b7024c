# SPDX-License-Identifier: MIT
"""What `pymempool serve` shows while it serves, by who looks at it.

Terminals show the figures of now, in place: with rich (extra `cli`) as a table, else in
one line. Files and pipes get a line when the figures have changed, and not too often.
"""

from __future__ import annotations

import importlib
import shutil
import time
from typing import Any, NamedTuple, TextIO, Union

from . import terminal

_PAUSE = 10.0  # seconds between lines in files and pipes, at least
_BAR = 30  # columns


class Figures(NamedTuple):
    """What is told, each as a label and a text, and how much of the limit is used."""

    rows: list[tuple[str, str]]
    share: float | None  # 0 .. 1; None if there is no limit

    def line(self) -> str:
        return ", ".join(f"{label} {text}" for label, text in self.rows)


class Lines:
    """For files and pipes."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._page = terminal.Page(out)
        self._shown: Figures | None = None
        self._due = time.monotonic()

    def show(self, figures: Figures) -> None:
        if figures != self._shown and time.monotonic() >= self._due:
            self.say(f"{time.strftime('%H:%M:%S')}  {figures.line()}")
            self._shown, self._due = figures, time.monotonic() + _PAUSE

    def say(self, text: str) -> None:
        """A line that stays."""
        self._page.line(text)
        self._out.flush()

    def close(self) -> None:
        pass


class Line(Lines):
    """For terminals without rich: one line that is written again and again."""

    _width = 0  # of what is on the line

    def show(self, figures: Figures) -> None:
        columns = shutil.get_terminal_size().columns - 1
        text = terminal.escaped(figures.line(), self._out)[:columns]
        self._write(text.ljust(self._width))
        self._width = len(text)

    def say(self, text: str) -> None:
        self.close()
        super().say(text)

    def close(self) -> None:
        """Leaves the line empty."""
        if self._width:
            self._write(" " * self._width)
            self._write("")
            self._width = 0

    def _write(self, text: str) -> None:
        self._out.write("\r" + text)
        self._out.flush()


class Table:
    """For terminals, with rich. Raises ImportError if it is missing."""

    def __init__(self, out: TextIO) -> None:
        live = _rich("live")
        self._out, self._text = out, _rich("text").Text
        self._live = live.Live(
            console=_rich("console").Console(file=out),
            auto_refresh=False,  # nothing changes between two calls of show
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def show(self, figures: Figures) -> None:
        self._live.update(_table(figures), refresh=True)

    def say(self, text: str) -> None:
        text = terminal.escaped(text, self._out)
        self._live.console.print(self._text(text), soft_wrap=True)

    def close(self) -> None:
        self._live.stop()


def _table(figures: Figures) -> Any:
    text = _rich("text").Text
    grid = _rich("table").Table.grid(padding=(0, 1))
    for label, told in figures.rows:
        grid.add_row(text(label, "cyan"), text(told))
    if figures.share is not None:
        bar = _rich("progress_bar").ProgressBar(1.0, figures.share, width=_BAR)
        grid.add_row(text("limit", "cyan"), bar)
    return grid


def _rich(module: str) -> Any:
    return importlib.import_module(f"rich.{module}")


Display = Union[Lines, Table]


def display(out: TextIO) -> Display:
    """What suits the stream; to be closed."""
    if not terminal.is_terminal(out):
        return Lines(out)
    try:
        return Table(out)
    except ImportError:
        return Line(out)
