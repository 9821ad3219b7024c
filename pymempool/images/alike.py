# SPDX-License-Identifier: MIT
"""Records of data that are alike, many at once: some ten times as fast as one by one.

    lines of one length ◄─► rows of bytes ◄─► columns: sizes, addresses, data, checksums

Each step is one call for a column or for all rows. Sums of columns are those of large
integers, with a lane of 16 bits for each row.
"""

from __future__ import annotations

from binascii import Error, unhexlify
from collections.abc import Iterable
from typing import NamedTuple

FEW = 8  #: lines: that many or more are parsed faster together
_COLUMNS_MAX = 257  # whose sum is less than 1 << 16


class Kind(NamedTuple):
    """A kind of records that hold data. They end with a checksum of one byte."""

    prefix: bytes  #: of the line, before its hexadecimal digits
    width: int  #: bytes of the address, which stands behind the size
    fixed: bytes  #: what stands between the address and the data
    uncounted: int  #: bytes in a record that its size does not count
    total: int  #: the sum of all bytes in a record, modulo 256


class Run(NamedTuple):
    """Consecutive records that hold consecutive data."""

    first: int  #: the index of the first record
    address: int
    data: bytes
    record_size: int  #: bytes of data in each record


def unpack(lines: list[bytes], kind: Kind) -> list[Run] | None:
    """Returns the runs in lines. Returns None if they are few, not alike, or wrong.

    Then the records must be parsed one by one: only that tells what is wrong.
    """
    if len(lines) < FEW:
        return None
    lines = [line.strip() for line in lines]
    text, count, length = b"".join(lines), len(lines), len(lines[0])
    if len(set(map(len, lines))) > 1 or not length:
        return None
    for at, character in enumerate(kind.prefix):
        if text[at::length] != bytes([character]) * count:
            return None
    try:
        raw = unhexlify(text.replace(kind.prefix, b""))
    except Error:
        return None
    row = (length - len(kind.prefix)) // 2
    head = 1 + kind.width + len(kind.fixed)
    size = row - head - 1
    if len(raw) != row * count or size < 1 or row > _COLUMNS_MAX:
        return None
    columns = [raw[at::row] for at in range(row)]
    constant = [row - kind.uncounted, *kind.fixed]
    if [columns[0], *columns[1 + kind.width : head]] != [
        bytes([byte]) * count for byte in constant
    ] or _sums(columns, count) != bytes([kind.total]) * count:
        return None
    addresses = list(columns[1])
    for column in columns[2 : 1 + kind.width]:
        addresses = [high << 8 | low for high, low in zip(addresses, column)]
    parts = [raw[at : at + size] for at in range(head, len(raw), row)]
    pairs = enumerate(zip(addresses, addresses[1:]), 1)
    breaks = [at for at, (one, after) in pairs if after - one != size]
    return [
        Run(first, addresses[first], b"".join(parts[first:last]), size)
        for first, last in zip([0, *breaks], [*breaks, count])
    ]


def pack(kind: Kind, address: int, data: bytes, size: int) -> list[str]:
    """Returns the lines of records of `size` bytes of data each.

    data: a multiple of the size.
    """
    head = 1 + kind.width + len(kind.fixed)
    row, count = head + size + 1, len(data) // size
    raw = bytearray(row * count)
    raw[0::row] = bytes([row - kind.uncounted]) * count
    addresses = range(address, address + len(data), size)
    for at in range(kind.width):
        shift = 8 * (kind.width - 1 - at)
        raw[1 + at :: row] = bytes([place >> shift & 0xFF for place in addresses])
    for at, byte in enumerate(kind.fixed, 1 + kind.width):
        raw[at::row] = bytes([byte]) * count
    for at in range(size):
        raw[head + at :: row] = data[at::size]
    sums = _sums([bytes(raw[at::row]) for at in range(row - 1)], count)
    raw[row - 1 :: row] = sums.translate(
        bytes((kind.total - at) % 256 for at in range(256))
    )
    prefix = kind.prefix.decode()
    return [prefix + digits for digits in raw.hex("\n", row).upper().split("\n")]


def _sums(columns: Iterable[bytes], count: int) -> bytes:
    """Returns the column of the sums of rows, modulo 256.

    columns: of `count` bytes each; _COLUMNS_MAX columns at most.
    """
    mask = int.from_bytes(b"\xff\0" * (count // 2 + 1), "little")
    even = odd = 0  # rows
    for column in columns:
        numbers = int.from_bytes(column, "little")
        even += numbers & mask
        odd += numbers >> 8 & mask
    return (even & mask | (odd & mask) << 8).to_bytes(count, "little")
