# SPDX-License-Identifier: MIT
"""Motorola S-record files. bincopy packs and unpacks the records (extra `images`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import FormatError
from . import alike
from .extras import import_extra
from .records import (
    DataAt,
    Facts,
    Lines,
    UsedAddresses,
    checked_start,
    data_records,
    lines_of,
    parsed,
)

#: The records of data, by the digit behind the S.
_DATA = {
    b"%d" % digit: alike.Kind(b"S%d" % digit, digit + 1, b"", uncounted=1, total=0xFF)
    for digit in (1, 2, 3)
}

#: The largest count of records that a record holds, in its three bytes.
COUNT_MAX = (1 << 24) - 1


def write(bincopy: Any, windows: Iterable[DataAt], facts: Facts | None = None) -> Lines:
    """Yields the lines of a file with data, given in windows of 64 KiB."""
    pack, count, facts = bincopy.pack_srec, 0, facts or Facts()
    start_address = checked_start(facts.start_address) or 0

    def pack_data(address: int, data: bytes) -> str:
        return str(pack("3", address, len(data), data))

    if facts.header is not None:
        yield 0, [pack("0", 0, len(facts.header), facts.header)]
    for start, data in windows:
        lines = data_records(_DATA[b"3"], start, data, pack_data)
        count += len(lines)
        yield start + len(data), lines
    last = [pack("7", start_address, 0, None)]
    if count <= COUNT_MAX:
        last.insert(0, pack("5" if count < 1 << 16 else "6", count, 0, None))
    yield None, last


def read(file: Any, facts: Facts) -> Iterator[DataAt]:
    """Yields the data in a file. Raises FormatError, and ImportError without bincopy.

    The last record has an address even if there is none to start at; then it is 0.
    """
    facts.header = None
    reader = _Reader(import_extra("bincopy", "images", "this format"), facts)
    for number, lines in lines_of(file):
        yield from reader.data_in(number, lines)
    if not (reader.counted or reader.ended):
        raise FormatError("the last record is missing: the file was cut off")


class _Reader:
    """What is known so far of a file that is read."""

    def __init__(self, bincopy: Any, facts: Facts) -> None:
        self._bincopy, self._facts, self._used = bincopy, facts, UsedAddresses()
        self._count = 0  # of the records of data
        self.counted = self.ended = False

    def data_in(self, number: int, lines: list[bytes]) -> Iterator[DataAt]:
        """Yields the data in the next lines; number: of the first one."""
        after = self.counted or self.ended
        kind = None if after else _DATA.get(lines[0].strip()[1:2])
        runs = None if kind is None else alike.unpack(lines, kind)
        if runs is None:
            yield from self._one_by_one(number, lines)
            return
        self._count += len(lines)
        for first, address, data, record_size in runs:
            self._used.add(number + first, address, len(data), record_size)
            yield address, data

    def _one_by_one(self, first: int, lines: list[bytes]) -> Iterator[DataAt]:
        bincopy = self._bincopy
        records = parsed(
            first,
            lines,
            lambda text: bincopy.unpack_srec(text.upper()),
            "[Ss][0-9][0-9A-Fa-f]+",
            bincopy.Error,
        )
        for number, text, (kind, address, size, data) in records:
            width = 4 if kind in "37" else 3 if kind in "268" else 2
            if len(text) < 6 + 2 * width:  # bincopy would take the checksum for address
                raise FormatError(f"line {number}: the record is too short")
            if self.ended or (self.counted and kind in "123"):
                raise FormatError(f"line {number}: a record after the last one")
            if kind in "123":
                self._count += 1
                self._used.add(number, address, size, size)
                yield address, data
            elif kind in "56":
                self._check_count(number, address)
            elif kind == "0" and self._facts.header is None:
                self._facts.header = bytes(data or b"")
            self.ended = kind in "789"
            if self.ended:
                self._facts.start_address = address or None

    def _check_count(self, number: int, count: int) -> None:
        self.counted = True
        if count != self._count:
            raise FormatError(
                f"line {number}: a count of {count} records of data,"
                f" but there are {self._count}"
            )
