# SPDX-License-Identifier: MIT
"""Which bytes of a pool lie where: the tables at the ends of segments.

A snapshot needs one segment, or several if it was shared since another one. The last
segment has the table of the whole snapshot.

    +-------------------+---------------------+--------------------------+--------+
    | data of extents,  | ids of the segments,| extents: offset, size,   | footer |
    | one by one        | this one the last   | segment, place in it     |        |
    +-------------------+---------------------+--------------------------+--------+

All numbers are little-endian. Extents are in order, and of whole blocks but for the last
block of the pool. Holes are in no extent.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from .._core.runs import Run, without as runs_without
from .._native.signatures import SIZE_MAX
from ..errors import FormatError

_MAGIC = b"PoolSnap"
_VERSION = 1
_WIPE, _DIGEST = 1, 2  # flags
_FOOTER = struct.Struct("<8sII16sQQQQQ32s")
_EXTENT = struct.Struct("<4Q")
_ID_SIZE = 16

MANY = 16  # segments: each is an open file, and a mapping, in each process


class Extent(NamedTuple):
    """A run of data of a pool, and where it is."""

    offset: int  #: in the pool
    size: int
    segment: int  #: index of the segment
    place: int  #: in the segment


class Table(NamedTuple):
    """A pool without its bytes: facts, and where they are."""

    total_size: int
    block_size: int
    wipe: bool
    digest: bytes | None
    extents: list[Extent]
    stored: list[int]  #: bytes of data in each segment
    ids: list[bytes]  #: of the segments


class Readable(Protocol):
    """What is needed of a segment."""

    size: int

    def read(self, offset: int, size: int) -> bytes: ...


class _Footer(NamedTuple):
    magic: bytes
    version: int
    flags: int
    id: bytes
    total_size: int
    block_size: int
    stored: int
    segments: int
    extents: int
    digest: bytes


def new_id() -> bytes:
    """An identity for a segment."""
    return os.urandom(_ID_SIZE)


def pack(table: Table) -> bytes:
    """The bytes of a table for the end of its last segment."""
    flags = (_WIPE if table.wipe else 0) | (0 if table.digest is None else _DIGEST)
    footer = _Footer(
        _MAGIC,
        _VERSION,
        flags,
        table.ids[-1],
        table.total_size,
        table.block_size,
        table.stored[-1],
        len(table.ids),
        len(table.extents),
        table.digest or b"",
    )
    extents = (_EXTENT.pack(*extent) for extent in table.extents)
    return b"".join((*table.ids, *extents, _FOOTER.pack(*footer)))


def unpack(segments: tuple[Readable, ...]) -> Table:
    """The table of a snapshot, out of its segments, which are not trusted.

    Raises FormatError.
    """
    footers = [_footer(segment) for segment in segments]
    if not footers:
        raise FormatError("a shared snapshot needs a segment")
    last = footers[-1]
    raw = segments[-1].read(last.stored, segments[-1].size - last.stored)
    cut = last.segments * _ID_SIZE
    ids = [raw[at : at + _ID_SIZE] for at in range(0, cut, _ID_SIZE)]
    if ids != [footer.id for footer in footers]:
        raise FormatError("the segments of the shared snapshot do not belong together")
    rows = raw[cut : cut + last.extents * _EXTENT.size]
    table = Table(
        last.total_size,
        last.block_size,
        bool(last.flags & _WIPE),
        last.digest if last.flags & _DIGEST else None,
        [Extent._make(row) for row in _EXTENT.iter_unpack(rows)],
        [footer.stored for footer in footers],
        ids,
    )
    _check(table)
    return table


def _footer(segment: Readable) -> _Footer:
    """The footer of a segment, whose sizes add up."""
    raw = segment.read(max(0, segment.size - _FOOTER.size), _FOOTER.size)
    if len(raw) == _FOOTER.size:
        footer = _Footer._make(_FOOTER.unpack(raw))
        if footer.magic == _MAGIC and footer.version != _VERSION:
            raise FormatError(
                f"the shared snapshot has the format {footer.version}, of another version"
                f" of pymempool; this one knows format {_VERSION}"
            )
        rest = footer.segments * _ID_SIZE + footer.extents * _EXTENT.size + len(raw)
        if footer.magic == _MAGIC and footer.stored + rest == segment.size:
            return footer
    raise FormatError("the memory is no shared snapshot, or a damaged one")


def _check(table: Table) -> None:
    """Raises FormatError for numbers that cannot be."""
    total, block = table.total_size, table.block_size
    right = 0 < total <= SIZE_MAX and 0 < block <= SIZE_MAX and not block & (block - 1)
    end = 0
    for offset, size, segment, place in table.extents:
        if not (
            right
            and end <= offset < offset + size <= total
            and segment < len(table.stored)
            and place + size <= table.stored[segment]
        ):
            right = False
            break
        end = offset + size
    if not right:
        raise FormatError("the table of the shared snapshot is damaged")


# ------------------------------------------------------- what to store, what to keep


def without(extents: list[Extent], runs: Iterable[Run]) -> Iterator[Extent]:
    """The parts of extents outside of runs. Both are in order."""
    own = iter(extents)
    offset = size = segment = place = 0
    for start, length in runs_without(((it.offset, it.size) for it in extents), runs):
        while offset + size <= start:
            offset, size, segment, place = next(own)
        yield Extent(start, length, segment, place + start - offset)


def kept(sizes: list[tuple[int, int]], new: int) -> int:
    """How many of the older segments a snapshot goes on to use, the oldest ones.

    sizes: of each, the bytes in use and the bytes stored.
    new: bytes that are to be stored in any case.

    Data of the others is stored anew. That is done where less than half of a segment is
    in use; and, once there are MANY, to those that have not twice as many bytes in use as
    all later ones together. So most snapshots store what is new and nothing else, a byte
    is stored as often as the logarithm of the size at most, and half of the memory is
    wasted at most.
    """
    count, many = len(sizes), len(sizes) >= MANY
    for index in reversed(range(len(sizes))):
        used, stored = sizes[index]
        if 2 * used < stored or (many and used < 2 * new):
            count = index
        new += used
    return count
