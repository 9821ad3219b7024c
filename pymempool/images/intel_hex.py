# SPDX-License-Identifier: MIT
"""Intel HEX files. bincopy packs and unpacks the records (extra `images`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .._core.image import SegmentedAddress
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


def write(bincopy: Any, windows: Iterable[DataAt], facts: Facts) -> Lines:
    """Yields the lines of a file with data, given in windows of 64 KiB."""
    pack, upper = bincopy.pack_ihex, 0
    start_address = checked_start(facts.start_address)
    for start, data in windows:
        lines = []
        if start >> 16 != upper:
            upper = start >> 16
            bits = upper.to_bytes(2, "big")
            lines.append(pack(bincopy.IHEX_EXTENDED_LINEAR_ADDRESS, 0, 2, bits))
        for at, part in split_into_records(start, data):
            lines.append(pack(bincopy.IHEX_DATA, at & 0xFFFF, len(part), part))
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
    bincopy = import_extra("bincopy", "images", "this format")
    base, ended = 0, False
    used = UsedAddresses()
    records = parsed(file, bincopy.unpack_ihex, ":[0-9A-Fa-f]+", bincopy.Error)
    for number, _, (kind, address, size, data) in records:
        if ended:
            raise FormatError(f"line {number}: a record after the last one")
        allowed = _SIZES.get(kind, size)
        if size != allowed:
            raise FormatError(
                f"line {number}: {size} bytes in a record of type {kind},"
                f" allowed is {allowed}"
            )
        if kind == bincopy.IHEX_DATA:
            used.add(number, base + address, data)
            yield base + address, data
        elif kind == bincopy.IHEX_EXTENDED_SEGMENT_ADDRESS:
            base = int.from_bytes(data, "big") << 4
        elif kind == bincopy.IHEX_EXTENDED_LINEAR_ADDRESS:
            base = int.from_bytes(data, "big") << 16
        elif kind == bincopy.IHEX_START_SEGMENT_ADDRESS:
            facts.start_address = SegmentedAddress.parsed(data)
        elif kind == bincopy.IHEX_START_LINEAR_ADDRESS:
            facts.start_address = int.from_bytes(data, "big")
        elif kind not in _SIZES:
            raise FormatError(f"line {number}: type {kind}, records have types 0 .. 5")
        ended = kind == bincopy.IHEX_END_OF_FILE
    if not ended:
        raise FormatError("the last record is missing: the file was cut off")
