# SPDX-License-Identifier: MIT
"""Sharing: a pool's state, or what changed in it, is written to a new segment.

    pool ─► clone ─► data that no older segment has ─► a segment, with the whole table
                └──► if it has marks, the same with them: another segment

A snapshot that is shared since another one refers to the segments of that, and adds its
own. table.py says when data of older segments is stored anew, so that they stay few.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple

from .._core import content, lifecycle, ranges, stats, walks
from .._core.owner import Owned, Owner, holder
from .._native.buffers import writable
from .._native.signatures import SIZE_MAX, WIPE
from ..errors import PoolUnrelatedError
from .segment import Segment
from .snapshot import SharedSnapshot
from .table import Extent, Table, kept, new_id, pack, without

# Small enough to stay in the processor's cache between being read and written.
_PIECE = 1 << 18


def share(
    pool: Owned, since: SharedSnapshot[Any] | None, digest: bool
) -> SharedSnapshot[Any]:
    """A snapshot of a pool, with the arguments of MemoryPool.share()."""
    if not (since is None or isinstance(since, SharedSnapshot)):
        raise TypeError(f"a SharedSnapshot is needed, not {type(since).__name__}")
    owner = pool._owner
    state = lifecycle.clone(owner)
    marks = None
    if state.marked is not None:
        marks, _ = _stored(state.marked.marks, since and since._marks, False)
    segments, table = _stored(state, since, digest)
    image = state.image.packed()
    snapshot = SharedSnapshot(type(pool), segments, image, marks, table=table)
    snapshot._remember(owner, state)
    return snapshot


def _stored(
    own: Owner, since: SharedSnapshot[Any] | None, digest: bool
) -> tuple[tuple[Segment, ...], Table]:
    """The segments that have a state, a new one and those of an older snapshot; and what
    they hold.
    """
    state = holder(own)
    own.ask()
    older = _NONE if since is None else _reusable(state, since)
    held = [Extent(*run, len(older.segments), 0) for run in walks.extents(state, 0, None)]
    new = list(_placed(without(held, _runs(older.extents))))
    stored = sum(extent.size for extent in new)
    table = Table(
        own.total_size,
        own.block_size,
        bool(stats.read(own).flags & WIPE),
        content.digest(own) if digest else None,
        sorted([*older.extents, *new]),
        [*older.stored, stored],
        [*older.ids, new_id()],
    )
    end = pack(table)
    pieces = chain(_pieces(own, new), [memoryview(end)])
    segment = Segment.write(pieces, stored + len(end))
    return (*older.segments, segment), table


class _Reusable(NamedTuple):
    """Segments of an older snapshot, their bytes of data, and the extents that stay."""

    segments: list[Segment]
    stored: list[int]
    ids: list[bytes]
    extents: list[Extent]


_NONE = _Reusable([], [], [], [])


def _reusable(state: Owned, since: SharedSnapshot[Any]) -> _Reusable:
    """What a state shares with an older snapshot, in segments that are worth keeping."""
    segments, table, own = since._open_segments(), since._table, state._owner
    if table.block_size != own.block_size:
        return _NONE
    total = own.total_size
    changed = [run for run in _changed(state, since) if run[0] < total]
    same = list(without(table.extents, [*changed, (total, SIZE_MAX)]))
    used = [0] * len(segments)
    for extent in same:
        used[extent.segment] += extent.size
    new = max(0, stats.read(own).held_bytes - sum(used))
    order = [index for index, size in enumerate(used) if size]
    order = order[: kept([(used[index], table.stored[index]) for index in order], new)]
    number = {index: number for number, index in enumerate(order)}
    return _Reusable(
        [segments[index] for index in order],
        [table.stored[index] for index in order],
        [table.ids[index] for index in order],
        [
            Extent(offset, size, number[index], place)
            for offset, size, index, place in same
            if index in number
        ],
    )


def _changed(state: Owned, since: SharedSnapshot[Any]) -> Iterator[tuple[int, int]]:
    """The runs of blocks in which a state may differ from an older snapshot.

    Found by the blocks that relatives share; else by comparing all bytes.
    """
    for relative in since._relatives():
        with suppress(PoolUnrelatedError):
            return walks.changes(state, relative, 0, None)
    block = state._owner.block_size
    return (
        (start - start % block, size + start % block + -(start + size) % block)
        for start, size in walks.differences(state, since._opened(), 0, None)
    )


def _runs(extents: Iterable[Extent]) -> Iterator[tuple[int, int]]:
    return ((extent.offset, extent.size) for extent in extents)


def _placed(extents: Iterable[Extent]) -> Iterator[Extent]:
    """Extents, each with its place in the segment where they lie one by one."""
    place = 0
    for offset, size, segment, _ in extents:
        yield Extent(offset, size, segment, place)
        place += size


def _pieces(owner: Owner, extents: Iterable[Extent]) -> Iterator[memoryview]:
    """The data of extents, in pieces, each of which is good until the next one."""
    filled = 0
    buffer = memoryview(bytearray(_PIECE))
    with writable(buffer) as target:
        for extent in extents:
            at, end = extent.offset, extent.offset + extent.size
            while at < end:
                size = min(_PIECE - filled, end - at)
                ranges.fill_memory(owner, at, target.address + filled, size)
                at, filled = at + size, filled + size
                if filled == _PIECE:
                    yield buffer
                    filled = 0
    yield buffer[:filled]
