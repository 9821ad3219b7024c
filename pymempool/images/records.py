# SPDX-License-Identifier: MIT
"""What Intel HEX and Motorola S-record files have in common: lines that are records.

A file is read and written by pieces of 64 KiB, so that one of any length needs little
memory beside the pool. Of lines that hold data and are alike, many are parsed and made at
once, see alike.py; others one by one. Records that are written hold 32 bytes.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from codecs import BOM_UTF8
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Callable, Optional

from .._native.signatures import SIZE_MAX
from ..errors import FormatError
from . import alike
from .alike import Kind
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


def data_records(
    kind: Kind, start: int, data: bytes, pack: Callable[[int, bytes], str]
) -> list[str]:
    """Returns the lines of data, cut at the multiples of the size of a record.

    pack: makes a record of less than that size.
    """
    first = min(-start % _RECORD_SIZE, len(data))
    last = len(data) - (len(data) - first) % _RECORD_SIZE
    lines = [pack(start, data[:first])] if first else []
    if first < last:
        lines += alike.pack(kind, start + first, data[first:last], _RECORD_SIZE)
    if last < len(data):
        lines.append(pack(start + last, data[last:]))
    return lines


# ------------------------------------------------------------------------ parsing


def lines_of(file: Any) -> Iterator[tuple[int, list[bytes]]]:
    """Yields the lines of a file, those of one length together, by the first's number."""
    rest = bytes(read_full(file, len(BOM_UTF8)))  # with which some editors begin
    rest = b"" if rest == BOM_UTF8 else rest
    number, piece = 1, b"\n"
    while piece:
        piece = read_some(file, WINDOW)
        *lines, rest = (rest + piece if piece else rest + b"\n").split(b"\n")
        for length, group in groupby(lines, len):
            _check_length(number, length)
            together = list(group)
            yield number, together
            number += len(together)
        _check_length(number, len(rest))


def _check_length(number: int, length: int) -> None:
    if length > _LINE_MAX:
        raise FormatError(f"line {number}: longer than a record can be")


def parsed(
    number: int,
    lines: list[bytes],
    parse: Callable[[str], Any],
    pattern: str,
    error: type[Exception],
) -> Iterator[tuple[int, str, Any]]:
    """Parses lines that are not blank; yields the number, the text, the fields.

    number: of the first line.
    parse: raises `error` or ValueError for what is no record.
    pattern: a regular expression that the whole line must match.

    Raises FormatError with the number of the line.
    """
    for at, line in enumerate(lines, number):
        text = line.strip().decode("ascii", "replace")
        if not text:
            continue
        if not re.fullmatch(pattern, text):
            raise FormatError(f"line {at}: no record: {text[:40]!r}")
        try:
            fields = parse(text)
        except (error, ValueError) as wrong:
            raise FormatError(f"line {at}: {wrong}") from wrong
        yield at, text, fields


class UsedAddresses:
    """The addresses at which a file has data so far.

    Most files are in ascending order. Then it is a list of runs, of 16 bytes each. What
    comes behind something with a higher address has a bit for each address instead.
    """

    _BITS = 256  # in one entry

    def __init__(self) -> None:
        self._starts, self._ends = array("Q"), array("Q")  # of runs, in order
        self._entries: dict[int, int] = {}  # all of them below the last end

    def add(self, number: int, address: int, size: int, record_size: int) -> None:
        """Marks the addresses of the data in some records.

        number: of the line of the first one.
        record_size: of the data in each record; the last may have less.

        Raises FormatError if one of them has data already, or is past the last address.
        """
        end = address + size
        past = end > min(ADDRESSES_END, SIZE_MAX)
        if not past and self._take(address, end):
            return
        if size > record_size:  # one of the records is wrong: which?
            for at in range(0, size, record_size):
                part = min(record_size, size - at)
                self.add(number + at // record_size, address + at, part, part)
        elif past:
            raise FormatError(f"line {number}: data past the end of the addresses")
        else:
            raise FormatError(f"line {number}: data at {address:#x} for a second time")

    def _take(self, start: int, end: int) -> bool:
        """Marks a range; returns False, and marks nothing, if any of it is marked."""
        starts, ends = self._starts, self._ends
        if start == end:
            return True
        if not ends or start > ends[-1]:
            starts.append(start)
            ends.append(end)
            return True
        if start == ends[-1]:
            ends[-1] = end
            return True
        if starts[bisect_right(ends, start)] < end:
            return False
        parts = list(self._parts(start, end))
        if any(self._entries.get(at, 0) & bits for at, bits in parts):
            return False
        for at, bits in parts:
            self._entries[at] = self._entries.get(at, 0) | bits
        return True

    def _parts(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yields the entries of a range, and the bits in them."""
        while start < end:
            at, first = divmod(start, self._BITS)
            count = min(self._BITS - first, end - start)
            yield at, ((1 << count) - 1) << first
            start += count
