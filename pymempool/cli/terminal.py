# SPDX-License-Identifier: MIT
"""The output of commands: lines and tables, with rich (extra `cli`) in colour.

This module lays out each line itself; rich only adds the colours. So a pipe, and a
terminal without rich, get the same text in the same columns.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterable, Sequence
from typing import Any, TextIO, Union

from .._core.words import encodable

Span = Union[str, tuple[str, str]]  # a text, or one with a style of rich

LABEL = "cyan"
NOTE = "dim"


def is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def rich_module(module: str, stream: TextIO) -> Any:
    """Returns a module of rich; None if the stream is no terminal, or rich is missing."""
    if not is_terminal(stream):
        return None
    try:
        return importlib.import_module(f"rich.{module}")
    except ImportError:
        return None


def console(stream: TextIO) -> Any:
    """Returns a Console of rich that writes to the stream; None as rich_module()."""
    module = rich_module("console", stream)
    return None if module is None else module.Console(file=stream)


class Page:
    """Writes lines to a stream."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._text = rich_module("text", out)
        self._console = console(out)

    @property
    def width(self) -> int:
        """The columns of the terminal; 80 for files and pipes."""
        return shutil.get_terminal_size().columns if is_terminal(self._out) else 80

    @property
    def ascii(self) -> bool:
        """Whether drawings must be ASCII: for files, pipes, and terminals in ASCII."""
        return not is_terminal(self._out) or encodable("\u2592", self._out) != "\u2592"

    def line(self, *spans: Span) -> None:
        """Writes spans as one line; a span may contain line ends."""
        styled = [(span, "") if isinstance(span, str) else span for span in spans]
        styled = [(encodable(text, self._out), style) for text, style in styled]
        if self._console is None:
            self._out.write("".join(text for text, _ in styled).rstrip() + "\n")
        else:
            self._console.print(self._text.Text.assemble(*styled), soft_wrap=True)

    def note(self, text: str) -> None:
        """Writes a line that matters less."""
        self.line((text, NOTE))

    def fact(self, label: str, text: str) -> None:
        """Writes a label in a column of its own, and a text."""
        self.line((f"{label:<10}", LABEL), text)

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Writes right-aligned columns under their titles."""
        lines = list(rows)
        widths = [max(map(len, column)) for column in zip(head, *lines)]
        self.line((_columns(head, widths), LABEL))
        for row in lines:
            self.line(_columns(row, widths))


def _columns(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  " + "  ".join(cell.rjust(width) for cell, width in zip(cells, widths))


class OneLine:
    """A line of a terminal that is overwritten with each text; it needs no rich."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._width = stream, 0  # the width of the text on the line

    def show(self, text: str) -> None:
        self._write(text.ljust(self._width))
        self._width = len(text)

    def clear(self) -> None:
        """Leaves the line empty, with the cursor at its start."""
        if self._width:
            self._write(" " * self._width)
            self._write("")
            self._width = 0

    def _write(self, text: str) -> None:
        self._stream.write("\r" + text)
        self._stream.flush()
