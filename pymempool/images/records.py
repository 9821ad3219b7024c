# SPDX-License-Identifier: MIT
"""What Intel HEX and Motorola S-record files have in common: lines that are records.

Records are made and parsed one by one, so that a file of any length needs little memory
beside the pool. Records that are written hold 32 bytes.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import Any, Callable, Optional

from .._native.signatures import SIZE_MAX
from ..errors import FormatError
from .pools import ReadablePool, written
from .streams import read_full, read_some

DataAt = tuple[int, bytes]  #: an address, and the bytes from there on

#: What writers yield: the offset in the pool up to which they are, None for its end; and
#: lines.
Lines = Iterator[tuple[Optional[int], list[str]]]

ADDRESSES_END = 1 << 32  #: the first address that HEX and S-record files cannot have
WINDOW = 1 << 16  #: a HEX file has a record for the upper half of addresses every 64 KiB
_RECORD_SIZE = 32  # bytes in a record that is written
_LINE_MAX = 1024  # characters; records have 521 at most


class Facts:
    """What a file says beside its data. Readers fill it in, writers write it."""

    def __init__(
        self, start_address: int | None = None, header: bytes | None = b"pymempool"
    ) -> None:
        self.start_address, self.header = start_address, header


# ------------------------------------------------------------------------ writing


def checked_start(start_address: int | None) -> int | None:
    """Returns the start address for a file. Raises FormatError if it has no room."""
    if start_address is not None and start_address >= ADDRESSES_END:
        raise FormatError(
            f"the start address is {start_address:#x}, but the addresses of this format"
            f" end at {ADDRESSES_END:#x}: set another one, or None"
        )
    return start_address


def windows_of_data(snapshot: ReadablePool) -> Iterator[DataAt]:
    """Yields what was set in a pool, cut at the multiples of 64 KiB."""
    for start, size in written(snapshot):
        at, end = start, start + size
        while at < end:
            count = min(end - at, WINDOW - at % WINDOW)
            yield at, snapshot.read(at, count)
            at += count


def split_into_records(start: int, data: bytes) -> Iterator[DataAt]:
    """Yields the same data, cut at the multiples of the size of a record."""
    at = 0
    while at < len(data):
        count = _RECORD_SIZE - (start + at) % _RECORD_SIZE
        yield start + at, data[at : at + count]
        at += count


# ------------------------------------------------------------------------ parsing


def _lines(file: Any) -> Iterator[tuple[int, str]]:
    """Yields the lines that are not blank, each with its number, from 1 on."""
    rest = bytes(read_full(file, len(BOM_UTF8)))  # with which some editors begin
    rest = b"" if rest == BOM_UTF8 else rest
    number, piece = 1, b"\n"
    while piece:
        piece = read_some(file, WINDOW)
        *lines, rest = (rest + piece if piece else rest + b"\n").split(b"\n")
        for line in lines:
            if len(line) > _LINE_MAX:
                raise FormatError(f"line {number}: longer than a record can be")
            if line.strip():
                yield number, line.strip().decode("ascii", "replace")
            number += 1
        if len(rest) > _LINE_MAX:
            raise FormatError(f"line {number}: longer than a record can be")


def parsed(
    file: Any, parse: Callable[[str], Any], pattern: str, error: type[Exception]
) -> Iterator[tuple[int, str, Any]]:
    """Parses the records of a file; yields the number of the line, its text, the fields.

    parse: raises `error` or ValueError for what is no record.
    pattern: a regular expression that the whole line must match.

    Raises FormatError with the number of the line.
    """
    for number, text in _lines(file):
        if not re.fullmatch(pattern, text):
            raise FormatError(f"line {number}: no record: {text[:40]!r}")
        try:
            fields = parse(text)
        except (error, ValueError) as wrong:
            raise FormatError(f"line {number}: {wrong}") from wrong
        yield number, text, fields


class UsedAddresses:
    """The addresses at which a file has data so far, one bit for each."""

    _BITS = 256  # in one entry

    def __init__(self) -> None:
        self._entries: dict[int, int] = {}

    def add(self, number: int, address: int, data: bytes) -> None:
        """Marks the addresses of the data in a line, by its number.

        Raises FormatError if one of them has data already, or is past the last address.
        """
        if address + len(data) > min(ADDRESSES_END, SIZE_MAX):
            raise FormatError(f"line {number}: data past the end of the addresses")
        bits = ((1 << len(data)) - 1) << address % self._BITS
        at = address // self._BITS
        while bits:
            used, new = self._entries.get(at, 0), bits & ((1 << self._BITS) - 1)
            if used & new:
                raise FormatError(
                    f"line {number}: data at {address:#x} for a second time"
                )
            self._entries[at] = used | new
            at, bits = at + 1, bits >> self._BITS
