# SPDX-License-Identifier: MIT
"""What Intel HEX and Motorola S-record files have in common: lines that are records.

Records are made and read one by one, so that a file of any length needs little memory
beside the pool. Those that are written hold 32 bytes.
"""

from __future__ import annotations

import errno
import importlib
import re
from collections.abc import Iterator
from typing import Any, Callable, Optional

from .._native.signatures import SIZE_MAX
from ..errors import FormatError
from .pools import Source

Run = tuple[int, bytes]  # an address and the bytes there
ADDRESSES_END = 1 << 32  # where the addresses of HEX and S-record files end
_RECORD = 32  # bytes in a record that is written
PIECE = 1 << 16  # a HEX file starts a new count after as many bytes
_LINE_MAX = 1024  # records have 521 characters at most


def extra(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"this format needs {name}: pip install 'pymempool[images]'", name=name
        ) from error


def pieces(moment: Source) -> Iterator[Run]:
    """The data of a pool, in pieces that do not reach across a multiple of 64 KiB."""
    for start, size in moment.extents():
        at, end = start, start + size
        while at < end:
            count = min(end - at, PIECE - at % PIECE)
            yield at, moment.read(at, count)
            at += count


def cut(start: int, data: bytes) -> Iterator[Run]:
    """The same data by records, which end at multiples of their size."""
    at = 0
    while at < len(data):
        count = _RECORD - (start + at) % _RECORD
        yield start + at, data[at : at + count]
        at += count


# Each yields lines, and up to where in the pool they go: None for the end.
Lines = Iterator[tuple[Optional[int], list[str]]]


def _lines(file: Any) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, each with its number."""
    number, rest, piece = 1, b"", b"\n"
    while piece:
        piece = file.read(PIECE)
        if piece is None:
            raise BlockingIOError(errno.EAGAIN, "the file has no more just now")
        *lines, rest = (rest + piece if piece else rest + b"\n").split(b"\n")
        for line in lines:
            if len(line) > _LINE_MAX:
                raise FormatError(f"line {number}: longer than a record can be")
            if line.strip():
                yield number, line.strip().decode("ascii", "replace")
            number += 1
        if len(rest) > _LINE_MAX:
            raise FormatError(f"line {number}: longer than a record can be")


def unpacked(
    file: Any, unpack: Callable[[str], Any], form: str, error: type[Exception]
) -> Iterator[tuple[int, str, Any]]:
    """The records of a file, each as the number of the line, the text, the parts."""
    for number, text in _lines(file):
        if not re.fullmatch(form, text):
            raise FormatError(f"line {number}: no record: {text[:40]!r}")
        try:
            parts = unpack(text)
        except (error, ValueError) as wrong:
            raise FormatError(f"line {number}: {wrong}") from wrong
        yield number, text, parts


class Given:
    """The addresses to which a file has given bytes: a bit for each."""

    def __init__(self) -> None:
        self._windows: dict[int, int] = {}

    def once(self, number: int, address: int, data: bytes) -> Run:
        """The data of a line, none of whose addresses may have had any before."""
        if address + len(data) > min(ADDRESSES_END, SIZE_MAX):
            raise FormatError(f"line {number}: data past the end of the addresses")
        bits = ((1 << len(data)) - 1) << address % 256
        at = address // 256
        while bits:
            had, new = self._windows.get(at, 0), bits & _WINDOW
            if had & new:
                raise FormatError(
                    f"line {number}: data at {address:#x} for a second time"
                )
            self._windows[at] = had | new
            at, bits = at + 1, bits >> 256
        return address, data


_WINDOW = (1 << 256) - 1
