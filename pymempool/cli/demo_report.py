# SPDX-License-Identifier: MIT
"""What the tour prints: aligned rows, checks, times."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TextIO

from .._core.words import human_time
from .terminal import Page


class Report:
    """Prints the account of the tour, and remembers its times and failed checks."""

    def __init__(self, out: TextIO) -> None:
        self._page = Page(out)
        self._seconds: dict[str, float] = {}
        self._checks = 0
        self._failed: list[str] = []

    def text(self, line: str) -> None:
        self._page.line(line)

    def heading(self, line: str) -> None:
        """Prints a heading, after an empty line unless it is the first one."""
        self.text(f"\n{line}" if self._seconds else line)

    def row(self, label: str, line: str) -> None:
        """Prints a label in a column of its own, and a text, wrapped at 76 columns."""
        indent = " " * 14
        lines = textwrap.wrap(f"{label:<12}{line}", 76, subsequent_indent=indent[2:])
        for line in lines:
            self.text(f"  {line}")

    def check(self, claim: str, holds: bool) -> None:
        """Prints whether a claim holds, and remembers it if it does not."""
        self._checks += 1
        if not holds:
            self._failed.append(claim)
        self.row("ok" if holds else "FAILED", claim)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Measures the time of a step."""
        start = perf_counter()
        yield
        self._seconds[step] = perf_counter() - start

    def duration(self, step: str) -> str:
        """Returns the time of a step, for people."""
        return human_time(self._seconds[step])

    def close(self) -> int:
        """Prints the times and the result; returns 0 if all checks hold, or 1."""
        self.heading("Times")
        for step in self._seconds:
            self.row(step, f"{self.duration(step):>10}")
        for claim in self._failed:
            self.row("FAILED", claim)
        good = self._checks - len(self._failed)
        self.heading(f"{good} of {self._checks} checks hold")
        return 1 if self._failed else 0
