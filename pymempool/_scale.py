# SPDX-License-Identifier: MIT
"""The picture of a pool before it is drawn: what lies where, on a scale that folds.

    runs of data by kind ─┐              ┌─► groups, which are listed
                          ├─► segments ──┤
    runs that changed ────┘              └─► cells, side by side in columns

A segment is a range of bytes of which one thing is to be said. GROUPS of them, with holes
between, are listed by address: each run of data by itself if they are few, else those
that no large hole parts. A hole that would take more than its share of the columns is
FOLDED: it gets a few of them, whatever its size. What lies between folds has a scale by
size, and is cut at blocks into cells, in which every byte is counted: however much falls
into a cell, nothing is left out.
"""

from __future__ import annotations

import heapq
import operator
from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from ._kinds import BlockState

if TYPE_CHECKING:
    from .pool import MemoryPool

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


class Picture(Counts):
    """All that is drawn of a pool."""

    def __init__(self, pool: MemoryPool, base: MemoryPool | None, scale: Scale) -> None:
        changes = () if base is None else pool.changes(base)
        runs = pool.states()
        stats = pool.stats
        super().__init__(0, stats.total_size)
        self.block_size, self.held_blocks = stats.block_size, stats.held_blocks
        self.compared = base is not None
        segments = Segments(runs, changes, self.end)
        self.cells, splits = scale.lay_out(segments, self.block_size)
        self.groups = segments.groups(splits)
        segments.count_into(self.groups, self.cells)
        for group in self.groups:
            self.whats = list(map(operator.add, self.whats, group.whats))


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


class Scale:
    """How the bytes of a pool are laid out in columns.

    columns: how many there are.
    fold: how many a folded hole gets.
    least: how many are for what lies between two folds, at least.
    """

    def __init__(self, columns: int, *, fold: int, least: int) -> None:
        self.columns, self.fold, self.least = columns, fold, least
        # So many groups, with a fold on each side, fit whatever their sizes.
        self.groups = max(1, min(GROUPS, columns // (fold + least) - 1))

    def lay_out(
        self, segments: Segments, block_size: int
    ) -> tuple[list[Cell], list[int]]:
        """The cells, and the numbers of the segments before which groups are parted."""
        total, count = segments.total, len(segments.whats)
        if not count:
            return list(_cells(0, total, block_size, 0, self.columns)), []
        holes = segments.holes
        largest = heapq.nlargest(
            self.groups - 1, range(len(holes)), key=holes.__getitem__
        )
        # The holes that may be folded, each as (size, start).
        between = {
            segments.ends[number]: number + 1 for number in largest if holes[number]
        }
        holes_from = [(holes[number - 1], start) for start, number in between.items()]
        holes_from.append((segments.starts[0], 0))
        holes_from.append((total - segments.ends[-1], segments.ends[-1]))
        # Where each block can have a column of its own there is nothing to shorten.
        roomy = total <= self.columns * block_size
        folds = {} if roomy else self._folds(holes_from, total)

        few = segments.runs(0, count) <= self.groups
        splits = [n for start, n in between.items() if few or start in folds]
        return self._place(folds, total, block_size), sorted(splits)

    def _folds(self, holes: list[tuple[int, int]], total: int) -> dict[int, int]:
        """The holes that are folded: where they end, by where they start.

        The largest first, as long as that makes a hole half as wide, or less.
        """
        columns, folds = self.columns, {}
        for size, start in sorted(holes, reverse=True):
            if size * columns <= 2 * self.fold * total:
                break
            folds[start] = start + size
            total -= size
            columns -= self.fold
        return folds

    def _place(self, folds: dict[int, int], total: int, block_size: int) -> list[Cell]:
        """The cells of the folds and of the islands between them."""
        starts = sorted(folds)
        begins = [0, *(folds[start] for start in starts)]
        islands = [pair for pair in zip(begins, [*starts, total]) if pair[0] < pair[1]]
        room = self.columns - self.fold * len(folds) - self.least * len(islands)
        size = sum(end - start for start, end in islands)

        cells: list[Cell] = []
        column = before = spare = 0
        for start in sorted([*starts, *(island[0] for island in islands)]):
            if start in folds:
                cells.append(Cell(start, folds[start], column, self.fold, folded=True))
                column += self.fold
                continue
            end = next(end for begin, end in islands if begin == start)
            before += end - start
            columns = self.least + room * before // size - spare
            spare = room * before // size
            cells.extend(_cells(start, end, block_size, column, columns))
            column += columns
        return cells


def _cells(
    start: int, end: int, block_size: int, column: int, columns: int
) -> Iterator[Cell]:
    """A range in cells of whole blocks, one a column if there are enough of them."""
    blocks = -(-(end - start) // block_size)
    count = min(columns, blocks)
    for number in range(count):
        low, high = (
            start + blocks * n // count * block_size for n in (number, number + 1)
        )
        left, right = (column + columns * n // count for n in (number, number + 1))
        yield Cell(low, min(high, end), left, right - left)


def lanes(places: list[int], width: int) -> list[int]:
    """In which row below the picture each label stands, so that none meets another.

    places: where the labels begin, in order; each is as wide as `width`, and a line goes
        up from it past the rows above.
    """
    left: list[int] = []  # the leftmost place taken in each row
    rows = [0] * len(places)
    for number in reversed(range(len(places))):
        place = places[number]
        row = 0
        while row < len(left) and place + width > left[row]:
            row += 1
        left[: row + 1] = [place] * (row + 1)
        rows[number] = row
    return rows
