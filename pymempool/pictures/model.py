# SPDX-License-Identifier: MIT
"""What a picture of a pool shows: segments, in groups and in cells.

    runs of data by state ─┐              ┌─► groups, which are listed by address
                           ├─► segments ──┤
    changed runs ──────────┘              └─► cells, side by side in columns

A segment is a range of bytes in one state, all changed or all not. At most GROUPS groups
are listed: each run of data by itself if they are few, else all that lies between two
large holes. layout.py gives the cells their columns.
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Protocol

from .._core.states import BlockState
from .._core.stats import PoolStats

#: The states that a picture tells apart; a byte of a block is shown in one of them.
STATES = ("data", "shared", "adopted", "pinned")
_DATA, _SHARED, _ADOPTED, _PINNED = range(4)
_HOLE = 4
_CHANGED = 8
_CODES = 16  # the code of a segment is one of the five, plus _CHANGED if it changed

#: The most groups that are listed.
GROUPS = 12

#: The array code of an offset. A clone of a large pool has many runs: with arrays a
#: segment takes 17 bytes.
_WORD = "Q"


class Drawable(Protocol):
    """What a picture needs of a pool."""

    @property
    def stats(self) -> PoolStats: ...
    def states(self) -> Iterator[tuple[int, int, BlockState]]: ...
    def changes(self, base: Any) -> Iterator[tuple[int, int]]: ...


class Counts:
    """Counts the bytes of a range by their code."""

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end
        self.totals = [0] * _CODES

    @property
    def size(self) -> int:
        return self.end - self.start

    def of(self, state: int) -> int:
        """Returns the bytes in blocks of a state, an index of STATES."""
        return self.totals[state] + self.totals[state + _CHANGED]

    @property
    def held(self) -> int:
        """The bytes in blocks."""
        return sum(self.of(state) for state in range(len(STATES)))

    @property
    def changed(self) -> int:
        """The bytes that may differ from the other pool."""
        return sum(self.totals[_CHANGED:])

    def levels(self, least: float) -> list[tuple[float, float]]:
        """Returns the lower and the upper edge of each state in a stack of height 1.

        least: the height of a state that has few bytes, but not none.
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
    """A range that is drawn as `columns` columns, from `column` on."""

    def __init__(
        self, start: int, end: int, column: int, columns: int, *, folded: bool = False
    ) -> None:
        super().__init__(start, end)
        self.column, self.columns, self.folded = column, columns, folded


class Group(Counts):
    """A range that is listed in one line: the segments first .. last - 1."""

    def __init__(self, segments: Segments, first: int, last: int) -> None:
        super().__init__(segments.starts[first], segments.ends[last - 1])
        self.first, self.last = first, last
        self.runs = segments.runs(first, last)
        self.column = 0  # of the cell in which the group starts


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
        self.codes = bytearray()
        for start, end, code in _merge(runs, changes, total):
            self.starts.append(start)
            self.ends.append(end)
            self.codes.append(code)
        # The size of the hole between each segment and the next, which may be 0.
        later = islice(self.starts, 1, None)
        self.holes = array(_WORD, map(operator.sub, later, self.ends))

    def runs(self, first: int, last: int) -> int:
        """Returns how many runs without holes the segments first .. last - 1 make."""
        inner = self.holes[first : last - 1]
        return last - first - inner.count(0)

    def groups(self, splits: list[int]) -> list[Group]:
        """Returns the segments in groups, each split starting a new one."""
        bounds = [0, *splits, len(self.codes)] if self.codes else []
        return [Group(self, *pair) for pair in zip(bounds, bounds[1:])]

    def count_into(self, groups: Iterable[Group], cells: list[Cell]) -> None:
        """Adds the bytes of all segments to the groups and to the cells."""
        at = 0
        for group in groups:
            totals = group.totals
            part = slice(group.first, group.last)
            for start, end, code in zip(
                self.starts[part], self.ends[part], self.codes[part]
            ):
                totals[code] += end - start
                while cells[at].end <= start:
                    at += 1
                if start == group.start:
                    group.column = cells[at].column
                while end > cells[at].end:
                    cells[at].totals[code] += cells[at].end - start
                    start = cells[at].end
                    at += 1
                cells[at].totals[code] += end - start


def _merge(
    runs: Iterable[tuple[int, int, BlockState]],
    changes: Iterable[tuple[int, int]],
    total: int,
) -> Iterator[tuple[int, int, int]]:
    """Yields segments as (start, end, code): the runs, cut where changes start and end,
    and the changes in holes.

    runs: as (start, size, state), and changes as (start, size), both in order. They may
        reach beyond `total`, if the pool has grown meanwhile.
    """
    states = [_state(BlockState(number)) for number in range(8)]
    marks = _clipped(changes, total)
    low, high = next(marks, (total, total))
    for begin, size, flags in runs:
        if begin >= total:
            break
        start, end, state = begin, min(begin + size, total), states[flags]
        while low < start:  # a change in a hole: data was discarded
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
    """Yields each change as (start, end), up to the end of the pool."""
    for start, size in changes:
        if start >= total:
            return
        yield start, min(start + size, total)


def _state(flags: BlockState) -> int:
    """Returns the state that is shown for blocks with these flags."""
    if flags & BlockState.PINNED:
        return _PINNED
    if flags & BlockState.SHARED:
        return _SHARED
    return _ADOPTED if flags & BlockState.ADOPTED else _DATA
