# SPDX-License-Identifier: MIT
"""The model of a picture of a pool: segments, and the groups that are listed.

    runs of data by kind ─┐              ┌─► groups, which are listed
                          ├─► segments ──┤
    runs that changed ────┘              └─► cells, side by side in columns

A segment is a range of bytes of which one thing is to be said. GROUPS of them, with holes
between, are listed by address: each run of data by itself if they are few, else those
that no large hole parts. layout.py puts them on a scale.
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from .._core.states import BlockState
from .._core.stats import PoolStats

if TYPE_CHECKING:
    pass

#: What a byte in a block is told to be, once each.
STATES = ("data", "shared", "adopted", "pinned")
_DATA, _SHARED, _ADOPTED, _PINNED = range(4)
_HOLE = 4
_CHANGED = 8  # added to one of these
_WHATS = 16

#: At most so many groups are listed.
GROUPS = 12

#: Runs in a clone of a large pool are many; these take 17 bytes for each.
_WORD = "Q"


class Drawable(Protocol):
    """What a picture needs of a pool."""

    @property
    def stats(self) -> PoolStats: ...
    def states(self) -> Iterator[tuple[int, int, BlockState]]: ...
    def changes(self, base: Any) -> Iterator[tuple[int, int]]: ...


class Counts:
    """How many bytes of a range are what."""

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end
        self.whats = [0] * _WHATS

    @property
    def size(self) -> int:
        return self.end - self.start

    def of(self, state: int) -> int:
        """Bytes in blocks of a state."""
        return self.whats[state] + self.whats[state + _CHANGED]

    @property
    def held(self) -> int:
        """Bytes in blocks."""
        return sum(self.of(state) for state in range(len(STATES)))

    @property
    def changed(self) -> int:
        """Bytes that may differ from the other pool."""
        return sum(self.whats[_CHANGED:])

    def levels(self, least: float) -> list[tuple[float, float]]:
        """For each state, from where to where it reaches in a stack of height 1.

        least: of this height is what is there at all, however little of it.
        """
        sizes = [self.of(state) for state in range(len(STATES))]
        spare = 1 - least * sum(map(bool, sizes))
        low, levels = 0.0, []
        for size in sizes:
            high = low + (least + spare * size / self.size if size else 0)
            levels.append((low, high))
            low = high
        return levels


class Cell(Counts):
    """A part of the picture: `columns` columns, from `column` on."""

    def __init__(
        self, start: int, end: int, column: int, columns: int, *, folded: bool = False
    ) -> None:
        super().__init__(start, end)
        self.column, self.columns, self.folded = column, columns, folded


class Group(Counts):
    """Data, or changes, that are listed together: the segments first to last - 1."""

    def __init__(self, segments: Segments, first: int, last: int) -> None:
        super().__init__(segments.starts[first], segments.ends[last - 1])
        self.first, self.last = first, last
        self.runs = segments.runs(first, last)
        self.column = 0  # that of the cell in which it begins


class Segments:
    """The segments of a pool, in order, and the holes between them."""

    def __init__(
        self,
        runs: Iterable[tuple[int, int, BlockState]],
        changes: Iterable[tuple[int, int]],
        total: int,
    ) -> None:
        self.total = total
        self.starts, self.ends = array(_WORD), array(_WORD)
        self.whats = bytearray()
        for start, end, what in _merge(runs, changes, total):
            self.starts.append(start)
            self.ends.append(end)
            self.whats.append(what)
        # The hole before each segment but the first; it may be empty.
        later = islice(self.starts, 1, None)
        self.holes = array(_WORD, map(operator.sub, later, self.ends))

    def runs(self, first: int, last: int) -> int:
        """Runs without a hole between, among the segments first to last - 1."""
        inner = self.holes[first : last - 1]
        return last - first - inner.count(0)

    def groups(self, splits: list[int]) -> list[Group]:
        """The segments, parted before those whose numbers are given."""
        bounds = [0, *splits, len(self.whats)] if self.whats else []
        return [Group(self, *pair) for pair in zip(bounds, bounds[1:])]

    def count_into(self, groups: Iterable[Group], cells: list[Cell]) -> None:
        """Counts all bytes, in the groups and in the cells."""
        at = 0
        for group in groups:
            totals = group.whats
            part = slice(group.first, group.last)
            for start, end, what in zip(
                self.starts[part], self.ends[part], self.whats[part]
            ):
                totals[what] += end - start
                while cells[at].end <= start:
                    at += 1
                if start == group.start:
                    group.column = cells[at].column
                while end > cells[at].end:
                    cells[at].whats[what] += cells[at].end - start
                    start = cells[at].end
                    at += 1
                cells[at].whats[what] += end - start


def _merge(
    runs: Iterable[tuple[int, int, BlockState]],
    changes: Iterable[tuple[int, int]],
    total: int,
) -> Iterator[tuple[int, int, int]]:
    """The segments: the runs, cut where changes begin and end, and changes in holes."""
    states = [_state(BlockState(number)) for number in range(8)]
    marks = _clipped(changes, total)
    low, high = next(marks, (total, total))
    for begin, size, kind in runs:
        if begin >= total:  # the pool has grown since
            break
        start, end, state = begin, min(begin + size, total), states[kind]
        while low < start:  # what was emptied since
            stop = min(high, start)
            yield low, stop, _HOLE | _CHANGED
            low, high = (stop, high) if stop < high else next(marks, (total, total))
        while start < end:
            if start < low:
                stop = min(end, low)
                yield start, stop, state
            else:
                stop = min(end, high)
                yield start, stop, state | _CHANGED
                low, high = (stop, high) if stop < high else next(marks, (total, total))
            start = stop
    while low < total:
        yield low, high, _HOLE | _CHANGED
        low, high = next(marks, (total, total))


def _clipped(changes: Iterable[tuple[int, int]], total: int) -> Iterator[tuple[int, int]]:
    """Each change as (start, end), up to the end of the pool."""
    for start, size in changes:
        if start >= total:
            return
        yield start, min(start + size, total)


def _state(kind: BlockState) -> int:
    """The one thing that is told of blocks of a kind."""
    if kind & BlockState.PINNED:
        return _PINNED
    if kind & BlockState.SHARED:
        return _SHARED
    return _ADOPTED if kind & BlockState.ADOPTED else _DATA
