# SPDX-License-Identifier: MIT
"""The layout of a picture: what lies where, on a scale that folds.

A hole that would take more than its share of the columns is FOLDED: it gets a few of
them, whatever its size. What lies between folds has a scale by size, and is cut at blocks
into cells, in which every byte is counted: however much falls into a cell, nothing is
left out.
"""

from __future__ import annotations

import heapq
import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .model import GROUPS, Cell, Counts, Segments

if TYPE_CHECKING:
    from .model import Drawable


class Picture(Counts):
    """All that is drawn of a pool."""

    def __init__(self, pool: Drawable, base: Drawable | None, scale: Scale) -> None:
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
