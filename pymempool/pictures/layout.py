# SPDX-License-Identifier: MIT
"""The layout of a picture: which columns a range of bytes gets.

Large holes are folded: each gets the same few columns, whatever its size. The islands
between them share the other columns by their size, and are divided at block boundaries
into cells. Every byte is counted in one cell, however many bytes a cell covers.
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
    """All that a drawing shows of a pool: its cells, its groups, and their counts.

    base: a relative of the pool, to mark what may differ from it; or None.

    Raises PoolUnrelatedError.
    """

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
            self.totals = list(map(operator.add, self.totals, group.totals))


class Scale:
    """Maps the bytes of a pool to columns.

    columns: of the whole picture.
    fold: columns of a folded hole.
    least: columns of what lies between two folds, at least.
    """

    def __init__(self, columns: int, *, fold: int, least: int) -> None:
        self.columns, self.fold, self.least = columns, fold, least
        # As many fit with a fold on each side, whatever their sizes.
        self.groups = max(1, min(GROUPS, columns // (fold + least) - 1))

    def lay_out(
        self, segments: Segments, block_size: int
    ) -> tuple[list[Cell], list[int]]:
        """Returns the cells, and the indexes of the segments that start a new group."""
        total, count = segments.total, len(segments.codes)
        if not count:
            return list(_cells(0, total, block_size, 0, self.columns)), []
        holes = segments.holes
        largest = heapq.nlargest(
            self.groups - 1, range(len(holes)), key=holes.__getitem__
        )
        # By the start of a hole, the index of the segment after it.
        between = {
            segments.ends[number]: number + 1 for number in largest if holes[number]
        }
        # The holes that may be folded, each as (size, start).
        holes_from = [(holes[number - 1], start) for start, number in between.items()]
        holes_from.append((segments.starts[0], 0))
        holes_from.append((total - segments.ends[-1], segments.ends[-1]))
        # If each block can have a column of its own, nothing is folded.
        roomy = total <= self.columns * block_size
        folds = {} if roomy else self._folds(holes_from, total)

        few = segments.runs(0, count) <= self.groups
        splits = [n for start, n in between.items() if few or start in folds]
        return self._place(folds, total, block_size), sorted(splits)

    def _folds(self, holes: list[tuple[int, int]], total: int) -> dict[int, int]:
        """Returns the end of each folded hole, by its start.

        The largest hole is folded first, then the next, as long as folding makes it less
        than half as wide.
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
        """Returns the cells of the folds and of the islands between them."""
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
    """Yields a range as cells of whole blocks, one for each column if possible."""
    blocks = -(-(end - start) // block_size)
    count = min(columns, blocks)
    for number in range(count):
        low, high = (
            start + blocks * n // count * block_size for n in (number, number + 1)
        )
        left, right = (column + columns * n // count for n in (number, number + 1))
        yield Cell(low, min(high, end), left, right - left)


def lanes(places: list[int], width: int) -> list[int]:
    """Returns the row below the picture for each label, so that none overlap.

    places: the columns where the labels start, in order. A line goes up from each label,
        past the rows above.
    width: the columns of a label.
    """
    left: list[int] = []  # the leftmost column in use, by row
    rows = [0] * len(places)
    for number in reversed(range(len(places))):
        place = places[number]
        row = 0
        while row < len(left) and place + width > left[row]:
            row += 1
        left[: row + 1] = [place] * (row + 1)
        rows[number] = row
    return rows
