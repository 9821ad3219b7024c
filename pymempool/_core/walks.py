# SPDX-License-Identifier: MIT
"""Walks over a pool: where it holds data, of which kind, and where it differs.

A call of C holds the pool for as long as it looks. Data is skipped by counts, so that
extents() asks for whole runs. A kind, or a change, is looked for block by block: states()
and changes() go in steps of a bounded number of blocks, and join what touches.
differences() compares bytes, of clones that nobody else uses.
"""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import c_size_t
from typing import TYPE_CHECKING, Any, Callable, Optional

from .._native.arguments import byte_range, integer
from .._native.calls import parallel
from .._native.signatures import SIZE_MAX
from . import comparing, ranges
from .lifecycle import Snapshot
from .owner import Owned, Owner, owner_of
from .states import BlockState

if TYPE_CHECKING:
    from typing import SupportsIndex

#: The most blocks that are looked at in one call.
STEP = 1 << 16

# Differences of which one is closer than this behind another: then so many bytes are
# compared at once.
_CLOSE, _PIECE = 64, 4096

_Run = tuple[Any, ...]  # start and size, and the kind where it matters
_Find = Callable[[int, int], Optional[_Run]]  # the first run from an offset up to an end


def extents(
    pool: Owned, offset: SupportsIndex, size: SupportsIndex | None
) -> Iterator[tuple[int, int]]:
    """The runs of data."""
    start, length = c_size_t(), c_size_t()

    def find(at: int, end: int) -> tuple[int, int] | None:
        owner = pool._owner  # holds the pool while the call runs
        if parallel.pool_next_extent(owner.address, at, end, start, length):
            return start.value, length.value
        return None

    def walk(at: int, end: int) -> Iterator[tuple[int, int]]:
        while run := find(at, end):
            at = sum(run)
            yield run

    find(0, 0)  # raises now and not at first use
    return walk(*_bounds(pool._owner, None, offset, size))


def changes(
    pool: Owned,
    base: Owned,
    offset: SupportsIndex,
    size: SupportsIndex | None,
    item_size: SupportsIndex = 1,
) -> Iterator[tuple[int, int]]:
    """The runs in which the pool may differ from its relative."""
    item_size = integer("item_size", item_size, 1, SIZE_MAX)
    start, length = c_size_t(), c_size_t()

    def find(at: int, end: int) -> _Run | None:
        owner, other = pool._owner, owner_of(base)
        if parallel.pool_next_change(
            owner.address, other.address, at, end, start, length
        ):
            return start.value, length.value
        return None

    def total() -> int:
        return max(pool._owner.ask(), owner_of(base).ask())

    find(0, 0)
    begin, end = _bounds(pool._owner, owner_of(base), offset, size)
    runs = _in_steps(find, total, pool._owner.block_size * STEP, begin, end)
    return runs if item_size == 1 else _in_items(runs, begin, item_size)


def differences(
    pool: Owned, base: Owned, offset: SupportsIndex, size: SupportsIndex | None
) -> Iterator[tuple[int, int]]:
    """The runs of bytes in which the pool differs from another one."""
    bounds = _bounds(pool._owner, owner_of(base), offset, size)
    one = Snapshot(pool._owner)
    try:
        return _between(one, Snapshot(owner_of(base)), *bounds)
    except BaseException:
        with one:
            raise


def _between(
    one: Snapshot, other: Snapshot, at: int, end: int
) -> Iterator[tuple[int, int]]:
    """The runs in which two snapshots differ, which end with the generator.

    A call of C finds one run. Where one is close behind another, many may be, so that
    the next bytes are compared here: at a tenth of the cost of a call for each.
    """
    start, length = c_size_t(), c_size_t()
    with one, other:
        common = min(one.owner.total_size, other.owner.total_size, end)
        while at < end and parallel.pool_next_difference(
            one.owner.address, other.owner.address, at, end, start, length
        ):
            close = start.value - at < _CLOSE
            at = start.value + length.value
            yield start.value, length.value
            if close and at < common:
                size = min(_PIECE, common - at)
                for run, long in _runs_in(one, other, at, size):
                    if run + long == size:
                        size = run  # it may go on: C finds its end
                        break
                    yield at + run, long
                at += size


def _runs_in(
    one: Snapshot, other: Snapshot, at: int, size: int
) -> Iterator[tuple[int, int]]:
    ours, theirs = (
        ranges.fetch("pool_read", each.owner, at, size) for each in (one, other)
    )
    return comparing.runs(ours, theirs)


def states(
    pool: Owned, offset: SupportsIndex, size: SupportsIndex | None
) -> Iterator[tuple[int, int, BlockState]]:
    """The runs of data whose blocks are of one kind."""
    start, length, kind = c_size_t(), c_size_t(), c_size_t()

    def find(at: int, end: int) -> _Run | None:
        owner = pool._owner
        if parallel.pool_next_state(owner.address, at, end, start, length, kind):
            return start.value, length.value, BlockState(kind.value)
        return None

    def total() -> int:
        return pool._owner.ask()

    find(0, 0)
    bounds = _bounds(pool._owner, None, offset, size)
    return _in_steps(find, total, pool._owner.block_size * STEP, *bounds)


def _bounds(
    owner: Owner, other: Owner | None, offset: SupportsIndex, size: SupportsIndex | None
) -> tuple[int, int]:
    """Where a walk begins and ends: at the end of the larger pool, if size is None."""
    total = owner.ask() if other is None else max(owner.ask(), other.ask())
    if size is None:
        return integer("offset", offset, 0, total), SIZE_MAX
    offset, size = byte_range(offset, size, total)
    return offset, offset + size


def _in_steps(
    find: _Find, total: Callable[[], int], step: int, at: int, end: int
) -> Iterator[Any]:
    """The runs from an offset up to an end. Where a step finds nothing, which costs
    little, the next one is twice as wide."""
    begun: _Run | None = None  # a run that may go on in the next step
    width = step
    while at < end:
        stop = min(at + width, end)
        run = find(at, stop)
        if begun is not None:
            if run is not None and run[0] == at and run[2:] == begun[2:]:
                run = (begun[0], begun[1] + run[1], *run[2:])
            else:
                yield begun
            begun = None
        if run is None:
            if stop >= total():
                return
            at, width = stop, 2 * width
            continue
        at, width = run[0] + run[1], step
        if at == stop:
            begun = run
        else:
            yield run
    if begun is not None:
        yield begun


def _in_items(
    runs: Iterator[tuple[int, int]], begin: int, item_size: int
) -> Iterator[tuple[int, int]]:
    """The runs of items, counted from `begin`, of which some bytes are in the runs."""
    first = last = 0
    for start, size in runs:
        start -= begin
        if start // item_size > last:
            if first < last:
                yield first, last - first
            first = start // item_size
        last = -(-(start + size) // item_size)
    if first < last:
        yield first, last - first
