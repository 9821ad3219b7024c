# SPDX-License-Identifier: MIT
"""Intel HEX files. bincopy packs and unpacks the records (extra `images`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .._core.image import SegmentedAddress
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

_DATA = alike.Kind(prefix=b":", width=2, fixed=b"\0", uncounted=5, total=0)


def write(bincopy: Any, windows: Iterable[DataAt], facts: Facts) -> Lines:
    """Yields the lines of a file with data, given in windows of 64 KiB."""
    pack, upper = bincopy.pack_ihex, 0

    def pack_data(address: int, data: bytes) -> str:
        return str(pack(bincopy.IHEX_DATA, address, len(data), data))

    start_address = checked_start(facts.start_address)
    for start, data in windows:
        lines = []
        if start >> 16 != upper:
            upper = start >> 16
            bits = upper.to_bytes(2, "big")
            lines.append(pack(bincopy.IHEX_EXTENDED_LINEAR_ADDRESS, 0, 2, bits))
        lines += data_records(_DATA, start & 0xFFFF, data, pack_data)
        yield start + len(data), lines
    last = [pack(bincopy.IHEX_END_OF_FILE, 0, 0, None)]
    if isinstance(start_address, SegmentedAddress):
        data = start_address.record()
        last.insert(0, pack(bincopy.IHEX_START_SEGMENT_ADDRESS, 0, 4, data))
    elif start_address is not None:
        data = start_address.to_bytes(4, "big")
        last.insert(0, pack(bincopy.IHEX_START_LINEAR_ADDRESS, 0, 4, data))
    yield None, last


# The size in bytes that records other than data must have, by their type.
_SIZES = {1: 0, 2: 2, 3: 4, 4: 2, 5: 4}


def read(file: Any, facts: Facts) -> Iterator[DataAt]:
    """Yields the data in a file. Raises FormatError, and ImportError without bincopy."""
    reader = _Reader(import_extra("bincopy", "images", "this format"), facts)
    for number, lines in lines_of(file):
        yield from reader.data_in(number, lines)
    if not reader.ended:
        raise FormatError("the last record is missing: the file was cut off")


class _Reader:
    """What is known so far of a file that is read."""

    def __init__(self, bincopy: Any, facts: Facts) -> None:
        self._bincopy, self._facts, self._used = bincopy, facts, UsedAddresses()
        self._base, self.ended = 0, False

    def data_in(self, number: int, lines: list[bytes]) -> Iterator[DataAt]:
        """Yields the data in the next lines; number: of the first one."""
        runs = None if self.ended else alike.unpack(lines, _DATA)
        if runs is None:
            yield from self._one_by_one(number, lines)
            return
        for first, address, data, record_size in runs:
            address += self._base
            self._used.add(number + first, address, len(data), record_size)
            yield address, data

    def _one_by_one(self, first: int, lines: list[bytes]) -> Iterator[DataAt]:
        bincopy = self._bincopy
        records = parsed(
            first, lines, bincopy.unpack_ihex, ":[0-9A-Fa-f]+", bincopy.Error
        )
        for number, _, (kind, address, size, data) in records:
            if self.ended:
                raise FormatError(f"line {number}: a record after the last one")
            allowed = _SIZES.get(kind, size)
            if size != allowed:
                raise FormatError(
                    f"line {number}: {size} bytes in a record of type {kind},"
                    f" allowed is {allowed}"
                )
            if kind == bincopy.IHEX_DATA:
                self._used.add(number, self._base + address, size, size)
                yield self._base + address, data
            elif kind not in _SIZES:
                raise FormatError(
                    f"line {number}: type {kind}, records have types 0 .. 5"
                )
            self._note(kind, data)

    def _note(self, kind: int, data: bytes) -> None:
        """Keeps what a record says beside data."""
        bincopy = self._bincopy
        if kind == bincopy.IHEX_EXTENDED_SEGMENT_ADDRESS:
            self._base = int.from_bytes(data, "big") << 4
        elif kind == bincopy.IHEX_EXTENDED_LINEAR_ADDRESS:
            self._base = int.from_bytes(data, "big") << 16
        elif kind == bincopy.IHEX_START_SEGMENT_ADDRESS:
            self._facts.start_address = SegmentedAddress.parsed(data)
        elif kind == bincopy.IHEX_START_LINEAR_ADDRESS:
            self._facts.start_address = int.from_bytes(data, "big")
        self.ended = kind == bincopy.IHEX_END_OF_FILE
