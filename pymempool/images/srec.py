# SPDX-License-Identifier: MIT
"""Motorola S-record files. bincopy packs and unpacks the records (extra `images`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import FormatError
from .extras import import_extra
from .records import (
    DataAt,
    Facts,
    Lines,
    UsedAddresses,
    checked_start,
    parsed,
    split_into_records,
)

#: The largest count of records that a record holds, in its three bytes.
COUNT_MAX = (1 << 24) - 1


def write(bincopy: Any, windows: Iterable[DataAt], facts: Facts | None = None) -> Lines:
    """Yields the lines of a file with data, given in windows of 64 KiB."""
    pack, count, facts = bincopy.pack_srec, 0, facts or Facts()
    start_address = checked_start(facts.start_address) or 0
    if facts.header is not None:
        yield 0, [pack("0", 0, len(facts.header), facts.header)]
    for start, data in windows:
        parts = split_into_records(start, data)
        lines = [pack("3", at, len(part), part) for at, part in parts]
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
    bincopy = import_extra("bincopy", "images", "this format")
    count, counted, ended = 0, False, False
    used = UsedAddresses()
    records = parsed(
        file,
        lambda text: bincopy.unpack_srec(text.upper()),
        "[Ss][0-9][0-9A-Fa-f]+",
        bincopy.Error,
    )
    for number, text, (kind, address, _, data) in records:
        width = 4 if kind in "37" else 3 if kind in "268" else 2
        if len(text) < 6 + 2 * width:  # bincopy would take the checksum for address
            raise FormatError(f"line {number}: the record is too short")
        if ended or (counted and kind in "123"):
            raise FormatError(f"line {number}: a record after the last one")
        if kind in "123":
            count += 1
            used.add(number, address, data)
            yield address, data
        elif kind in "56":
            counted = True
            if address != count:
                raise FormatError(
                    f"line {number}: a count of {address} records of data,"
                    f" but there are {count}"
                )
        elif kind == "0" and facts.header is None:
            facts.header = bytes(data or b"")
        ended = kind in "789"
        if ended:
            facts.start_address = address or None
    if not (counted or ended):
        raise FormatError("the last record is missing: the file was cut off")
