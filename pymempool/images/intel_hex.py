# SPDX-License-Identifier: MIT
"""Intel HEX files. bincopy packs and unpacks records (extra `images`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import FormatError
from .records import Given, Lines, Run, cut, extra, unpacked


def write(bincopy: Any, pieces: Iterable[Run]) -> Lines:
    pack, upper = bincopy.pack_ihex, 0
    for start, data in pieces:
        lines = []
        if start >> 16 != upper:
            upper = start >> 16
            bits = upper.to_bytes(2, "big")
            lines.append(pack(bincopy.IHEX_EXTENDED_LINEAR_ADDRESS, 0, 2, bits))
        for at, part in cut(start, data):
            lines.append(pack(bincopy.IHEX_DATA, at & 0xFFFF, len(part), part))
        yield start + len(data), lines
    yield None, [pack(bincopy.IHEX_END_OF_FILE, 0, 0, None)]


# What the data of a record that is not data must be long.
_SIZES = {1: 0, 2: 2, 3: 4, 4: 2, 5: 4}


def read(file: Any) -> Iterator[Run]:
    bincopy = extra("bincopy")
    base, ended = 0, False
    records = unpacked(file, bincopy.unpack_ihex, ":[0-9A-Fa-f]+", bincopy.Error)
    given = Given()
    for number, _, (kind, address, size, data) in records:
        if ended:
            raise FormatError(f"line {number}: a record behind the last one")
        if size != _SIZES.get(kind, size):
            raise FormatError(f"line {number}: {size} bytes in a record of type {kind}")
        if kind == bincopy.IHEX_DATA:
            yield given.once(number, base + address, data)
        elif kind == bincopy.IHEX_EXTENDED_SEGMENT_ADDRESS:
            base = int.from_bytes(data, "big") << 4
        elif kind == bincopy.IHEX_EXTENDED_LINEAR_ADDRESS:
            base = int.from_bytes(data, "big") << 16
        elif kind not in _SIZES:
            raise FormatError(f"line {number}: there are no records of type {kind}")
        ended = kind == bincopy.IHEX_END_OF_FILE
    if not ended:
        raise FormatError("the last record is missing: the file was cut off")
