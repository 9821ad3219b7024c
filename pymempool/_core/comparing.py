# SPDX-License-Identifier: MIT
"""How bytes differ: the runs in which they do, and a hex dump of both."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Callable

Run = tuple[int, int]  # offset and size
Read = Callable[[int, int], bytes]  # returns the bytes of a run

LINES = 8  # the most in a dump

LINE = 16  #: bytes in a line of a dump

_differing = re.compile(rb"[^\0]+")


def runs(one: bytes, other: bytes) -> Iterator[Run]:
    """The longest runs of bytes that differ in two byte strings of one length."""
    for match in _differing.finditer(xor(one, other)):
        yield match.start(), match.end() - match.start()


def xor(one: bytes, other: bytes) -> bytes:
    """The XOR of two byte strings of one length: zeros where they are the same."""
    number = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    return number.to_bytes(len(one), "little")


class Dump:
    """A hex dump of the first lines in which bytes differ, of both sides."""

    def __init__(self, names: tuple[str, str], one: Read, other: Read) -> None:
        self.differing = 0  #: bytes that differ in the lines so far
        self._names, self._one, self._other = names, one, other
        self._width = max(map(len, names))

    def lines(self, where: Iterable[Run], start: int, end: int) -> list[str]:
        """The lines of the dump.

        where: the runs of bytes that differ, in order.
        start, end: the range of offsets in which both sides can be read.
        """
        text = []
        for begin in islice(_lines_of(where), LINES):
            low, high = max(begin, start), min(begin + LINE, end)
            one, other = self._one(low, high - low), self._other(low, high - low)
            text += self._line(begin, low - begin, one, other)
        return text

    def _line(self, begin: int, indent: int, one: bytes, other: bytes) -> list[str]:
        """A line: the bytes of the one, those of the other, and marks below."""
        bits = xor(one, other)
        self.differing += len(bits) - bits.count(0)
        marks = " ".join("^^" if byte else "  " for byte in bits)
        head = f"{begin:#010x}"
        first, second = (f"{name:{self._width}}" for name in self._names)
        rest = " " * len(head)
        return [
            f"{head}  {first}  {_hex(one, indent)}  {_text(one, indent)}",
            f"{rest}  {second}  {_hex(other, indent)}  {_text(other, indent)}",
            f"{rest}  {'':{self._width}}  {'   ' * indent}{marks}".rstrip(),
        ]


def _lines_of(where: Iterable[Run]) -> Iterator[int]:
    """The offsets of the lines that have a byte of the runs."""
    done = 0
    for start, size in where:
        begin = max(start - start % LINE, done)
        done = -(-(start + size) // LINE) * LINE
        yield from range(begin, done, LINE)


def _hex(data: bytes, indent: int) -> str:
    return f"{'   ' * indent}{data.hex(' ')}".ljust(3 * LINE - 1)


def _text(data: bytes, indent: int) -> str:
    return " " * indent + "".join(chr(c) if 32 <= c < 127 else "." for c in data)
