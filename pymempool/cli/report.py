# SPDX-License-Identifier: MIT
"""What the tour prints: aligned columns, sizes and times for people, checks."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import TextIO


def count(things: Sequence[object] | set[int], noun: str) -> str:
    """How many there are, with the noun in the right number."""
    return f"{len(things)} {noun}{'s' * (len(things) != 1)}"


class Report:
    """Prints the account in aligned columns and remembers times and failed checks."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._encoding = getattr(out, "encoding", None) or "ascii"
        self._seconds: dict[str, float] = {}
        self._checks = 0
        self._failed: list[str] = []

    def text(self, line: str) -> None:
        """One line; what the console cannot show is escaped."""
        line = line.rstrip() + "\n"
        self._out.write(
            line.encode(self._encoding, "backslashreplace").decode(self._encoding)
        )

    def heading(self, line: str) -> None:
        self.text(f"\n{line}" if self._seconds else line)

    def row(self, label: str, line: str) -> None:
        indent = " " * 14
        lines = textwrap.wrap(f"{label:<12}{line}", 76, subsequent_indent=indent[2:])
        for line in lines:
            self.text(f"  {line}")

    def check(self, claim: str, holds: bool) -> None:
        """Says whether a comparison came out right, and remembers if it did not."""
        self._checks += 1
        if not holds:
            self._failed.append(claim)
        self.row("ok" if holds else "FAILED", claim)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Takes the time of a step."""
        start = perf_counter()
        yield
        self._seconds[step] = perf_counter() - start

    def duration(self, step: str) -> str:
        seconds = self._seconds[step]
        for unit, size in (("s", 1.0), ("ms", 1e-3)):
            if seconds >= size:
                return f"{seconds / size:.1f} {unit}"
        return f"{seconds / 1e-6:.0f} us"

    def close(self) -> int:
        """Prints the times and the result, which it returns: 0 or 1."""
        self.heading("Times")
        for step in self._seconds:
            self.row(step, f"{self.duration(step):>10}")
        for claim in self._failed:
            self.row("FAILED", claim)
        good = self._checks - len(self._failed)
        self.heading(f"{good} of {self._checks} checks hold")
        return 1 if self._failed else 0
