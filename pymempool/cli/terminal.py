# SPDX-License-Identifier: MIT
"""What commands say, and how far they are: with rich on terminals, else plainly.

A page is written line by line, and each line is laid out here: rich (extra `cli`) adds
colours to it and nothing else, so that what a pipe gets, or somebody without rich, are
the same words in the same places. Progress is shown on terminals alone.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Callable, Optional, TextIO, Union

#: Called with how much is done and how much there is, None if that is not known.
Progress = Callable[[int, Optional[int]], object]

Part = Union[str, tuple[str, str]]  # a text, or one with a style of rich

_LABEL, _NOTE = "cyan", "dim"


def shown(name: str) -> str:
    """The name of a file for people: quoted and escaped where it is not plain."""
    return name if name.isprintable() and name.strip() == name != "" else repr(name)


def counted(number: int, noun: str = "byte") -> str:
    """A number of things, with the noun in the right number."""
    return f"{number} {noun}{'s' * (number != 1)}"


def escaped(text: str, stream: TextIO) -> str:
    """The text as the stream can show it; what it cannot show is escaped."""
    encoding = getattr(stream, "encoding", None) or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody looks at it."""
    return stream is not None and stream.isatty()


class Page:
    """Lines on their way to a stream."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._rich = _rich("text", out)
        self._console = _console(out)

    @property
    def width(self) -> int:
        """Columns: those of the terminal, and 80 in files and pipes."""
        return shutil.get_terminal_size().columns if is_terminal(self._out) else 80

    @property
    def ascii(self) -> bool:
        """Whether to draw with ASCII: in files and pipes, and on poor terminals."""
        return not is_terminal(self._out) or escaped("\u2592", self._out) != "\u2592"

    def line(self, *parts: Part) -> None:
        """One line, or a text of several."""
        styled = [(part, "") if isinstance(part, str) else part for part in parts]
        styled = [(escaped(text, self._out), style) for text, style in styled]
        if self._console is None:
            self._out.write("".join(text for text, _ in styled).rstrip() + "\n")
        else:
            self._console.print(self._rich.Text.assemble(*styled), soft_wrap=True)

    def note(self, text: str) -> None:
        self.line((text, _NOTE))

    def fact(self, label: str, text: str) -> None:
        self.line((f"{label:<10}", _LABEL), text)

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Columns, all of them flush right."""
        lines = list(rows)
        widths = [max(map(len, column)) for column in zip(head, *lines)]
        self.line((_columns(head, widths), _LABEL))
        for row in lines:
            self.line(_columns(row, widths))


def _columns(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  " + "  ".join(cell.rjust(width) for cell, width in zip(cells, widths))


def _rich(module: str, stream: TextIO) -> Any:
    """A module of rich; None if it is missing, or nobody looks at the stream."""
    if not is_terminal(stream):
        return None
    try:
        return importlib.import_module(f"rich.{module}")
    except ImportError:
        return None


def _console(stream: TextIO) -> Any:
    module = _rich("console", stream)
    return None if module is None else module.Console(file=stream)


# --------------------------------------------------------------------- progress


@contextmanager
def progress(label: str) -> Iterator[Progress | None]:
    """What to call with how far the work is; None if nobody looks at stderr."""
    stream = sys.stderr
    if not is_terminal(stream):
        yield None
        return
    label = escaped(label if len(label) <= 40 else "..." + label[-37:], stream)
    kind = _PlainBar if _rich("progress", stream) is None else _RichBar
    bar = _Steps(kind(stream, label))
    try:
        yield bar.report
    finally:
        bar.close()


class _Steps:
    """Lets through what changes the bar: by 1 %, or by 16 MiB if there is no total.

    Work that is done with its first report is not worth a bar. Nothing is drawn between
    reports, by no thread either, so that what is measured meanwhile is not disturbed.
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
    """One line that is written again and again."""

    def __init__(self, stream: TextIO, label: str) -> None:
        self._stream, self._label, self._width = stream, label, 0

    def draw(self, done: int, total: int | None) -> None:
        far = f"{done >> 20} MiB" if total is None else f"{done * 100 // total} %"
        self._write(f"{self._label} {far}")

    def erase(self) -> None:
        self._write("")
        self._stream.write("\r")
        self._stream.flush()

    def _write(self, text: str) -> None:
        self._stream.write("\r" + text.ljust(self._width))
        self._stream.flush()
        self._width = len(text)


class _RichBar:
    """The same as a bar of rich."""

    def __init__(self, stream: TextIO, label: str) -> None:
        rich = _rich("progress", stream)
        self._progress = rich.Progress(
            rich.TextColumn("{task.description}", markup=False),
            rich.BarColumn(),
            rich.TaskProgressColumn(),
            console=_console(stream),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,  # an image may be on its way there
            redirect_stderr=False,
        )
        self._task = self._progress.add_task(label, total=None)

    def draw(self, done: int, total: int | None) -> None:
        self._progress.start()
        self._progress.update(self._task, completed=done, total=total, refresh=True)

    def erase(self) -> None:
        self._progress.stop()
