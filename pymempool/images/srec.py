# SPDX-License-Identifier: MIT
"""Motorola S-record files. bincopy packs and unpacks records (extra `images`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import FormatError
from .records import Given, Lines, Run, cut, extra, unpacked


def write(bincopy: Any, pieces: Iterable[Run]) -> Lines:
    pack, count = bincopy.pack_srec, 0
    yield 0, [pack("0", 0, 9, b"pymempool")]
    for start, data in pieces:
        lines = [pack("3", at, len(part), part) for at, part in cut(start, data)]
        count += len(lines)
        yield start + len(data), lines
    last = [pack("7", 0, 0, None)]
    if count < 1 << 24:  # there is no record that counts further
        last.insert(0, pack("5" if count < 1 << 16 else "6", count, 0, None))
    yield None, last


def read(file: Any) -> Iterator[Run]:
    bincopy = extra("bincopy")
    count, counted, ended = 0, False, False
    records = unpacked(file, bincopy.unpack_srec, "S[0-9][0-9A-Fa-f]+", bincopy.Error)
    given = Given()
    for number, text, (kind, address, _, data) in records:
        width = 4 if kind in "37" else 3 if kind in "268" else 2
        if len(text) < 6 + 2 * width:  # then bincopy takes the checksum for address
            raise FormatError(f"line {number}: the record is too short")
        if ended or (counted and kind in "123"):
            raise FormatError(f"line {number}: a record behind the last one")
        if kind in "123":
            count += 1
            yield given.once(number, address, data)
        elif kind in "56":
            counted = True
            if address != count:
                raise FormatError(
                    f"line {number}: {address} records of data, but there are {count}"
                )
        ended = kind in "789"
    if not (counted or ended):
        raise FormatError("the last record is missing: the file was cut off")
