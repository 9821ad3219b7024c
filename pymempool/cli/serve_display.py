# SPDX-License-Identifier: MIT
"""What `pymempool serve` prints while it serves.

A terminal shows the present figures in place: with rich (extra `cli`) as a table, else on
one line. Files and pipes get a line when the figures have changed, at most every 10 s.
"""

from __future__ import annotations

import shutil
import time
from typing import Any, NamedTuple, TextIO, Union

from .._core.words import counted, encodable, human
from .terminal import LABEL, OneLine, Page, console, is_terminal, rich_module

_PAUSE = 10.0  # seconds between lines in files and pipes, at least
_BAR = 30  # columns


class Figures(NamedTuple):
    """Figures as pairs of a label and a text, and the used share of the memory limit."""

    rows: list[tuple[str, str]]
    share: float | None  # 0 .. 1; None if there is no limit

    def line(self) -> str:
        return ", ".join(f"{label} {text}" for label, text in self.rows)


class RateMeter:
    """Makes figures of statistics of the plugin, which come one after the other."""

    def __init__(self) -> None:
        self._before: dict[str, Any] = {}
        self._time = 0.0

    def figures(self, stats: dict[str, Any], now: float) -> Figures:
        """Returns the figures, with the rates since the call before.

        stats: the answer to the command `stats`.
        now: the time in seconds, by any clock.
        """
        held, limit = stats["family_bytes"], stats["memory_limit"]
        of = f" of {human(limit)}" if limit else ""
        rows = [
            ("held", human(held) + of),
            ("snapshots", str(stats["disks"] - 1)),
            ("connections", str(stats["connections"])),
        ]
        for label, key in (("read", "read_bytes"), ("written", "written_bytes")):
            rows.append((label, human(stats[key]) + self._rate(stats, key, now)))
        if stats["failures"]:
            rows.append(("failed", counted(stats["failures"], "request")))
        rows.append(("peak", human(stats["family_peak_bytes"])))
        self._before, self._time = stats, now
        return Figures(rows, held / limit if limit else None)

    def _rate(self, stats: dict[str, Any], key: str, now: float) -> str:
        moved = stats[key] - self._before.get(key, stats[key])
        seconds = now - self._time
        return f" ({human(round(moved / seconds))}/s)" if moved and seconds else ""


# --------------------------------------------------------------------- the displays


class LogDisplay:
    """For files and pipes: a line with the time of day when the figures have changed."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._page = Page(out)
        self._shown: Figures | None = None
        self._due = time.monotonic()

    def show(self, figures: Figures) -> None:
        if figures != self._shown and time.monotonic() >= self._due:
            self.say(f"{time.strftime('%H:%M:%S')}  {figures.line()}")
            self._shown, self._due = figures, time.monotonic() + _PAUSE

    def say(self, text: str) -> None:
        """Writes a line that stays."""
        self._page.line(text)
        self._out.flush()

    def close(self) -> None:
        pass


class LineDisplay(LogDisplay):
    """For terminals without rich: one line that is overwritten."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._line = OneLine(out)

    def show(self, figures: Figures) -> None:
        columns = shutil.get_terminal_size().columns - 1
        self._line.show(encodable(figures.line(), self._out)[:columns])

    def say(self, text: str) -> None:
        self.close()
        super().say(text)

    def close(self) -> None:
        """Leaves the line empty."""
        self._line.clear()


class TableDisplay:
    """For terminals, with rich."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._text = rich_module("text", out).Text
        self._grid = rich_module("table", out).Table.grid
        self._bar = rich_module("progress_bar", out).ProgressBar
        self._live = rich_module("live", out).Live(
            console=console(out),
            auto_refresh=False,  # nothing changes between two calls of show()
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def show(self, figures: Figures) -> None:
        grid = self._grid(padding=(0, 1))
        for label, text in figures.rows:
            grid.add_row(self._text(label, LABEL), self._text(text))
        if figures.share is not None:
            bar = self._bar(1.0, figures.share, width=_BAR)
            grid.add_row(self._text("limit", LABEL), bar)
        self._live.update(grid, refresh=True)

    def say(self, text: str) -> None:
        self._live.console.print(self._text(encodable(text, self._out)), soft_wrap=True)

    def close(self) -> None:
        self._live.stop()


Display = Union[LogDisplay, TableDisplay]


def display(out: TextIO) -> Display:
    """Returns the display for a stream; the caller closes it."""
    if not is_terminal(out):
        return LogDisplay(out)
    has_rich = rich_module("live", out) is not None
    return TableDisplay(out) if has_rich else LineDisplay(out)
