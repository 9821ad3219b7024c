# SPDX-License-Identifier: MIT
"""The errors of the fixtures."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

_NEAR = 4  # lines of source shown before and after one with an error


class ReleaseError(AssertionError):
    """A pool that was lent was not released as it must be; the text is the report."""


class LeakError(ReleaseError):
    """Something of a pool is still held: an owner, a clone, a view or a pin."""


class OverReleaseError(ReleaseError):
    """A reference, a view or a pin was released more often than it was acquired."""


class CompileError(Exception):
    """The compiler rejected a source; the text has its output and the lines of source."""

    def __init__(self, output: str, path: Path, source: str) -> None:
        super().__init__(output, path, source)
        self.output = output  #: of the compiler
        self.path = path  #: the file that was compiled
        self.source = source  #: its text

    def __str__(self) -> str:
        found = re.findall(rf"{re.escape(self.path.name)}:(\d+)", self.output)
        lines = _numbered(self.source, {int(number) for number in found})
        return "\n".join([self.output.rstrip(), "", *lines])


class UnavailableError(unittest.SkipTest):
    """This system lacks what a test needs; pytest and unittest skip the test for it."""


class ChildError(AssertionError):
    """A test that ran in a child process failed there; the text has its output."""


class SanitizerError(AssertionError):
    """The sanitizers found an error in C code, in a child process; with their report."""


def _numbered(source: str, wrong: set[int]) -> list[str]:
    """Returns the lines near the wrong ones, or all if there are none, with numbers."""
    lines = []
    for number, line in enumerate(source.splitlines(), 1):
        if not wrong or any(abs(number - each) <= _NEAR for each in wrong):
            lines.append(f"{'>' if number in wrong else ' '}{number:5}  {line}".rstrip())
        elif lines and lines[-1] != "...":
            lines.append("...")
    return lines
