# SPDX-License-Identifier: MIT
"""Where the bytes of a sharded pool lie. Nothing here knows of machines.

    stripe        i = offset // stripe_size
    part          i % parts
    local offset  i // parts * stripe_size + offset % stripe_size

The stripes of a part lie one after the other in it, so that what a range of the whole
has in one part is one range there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

#: The most bytes of a sharded pool: sums of a few sizes still fit 64 bits with a sign.
TOTAL_MAX = 1 << 62


class Layout(NamedTuple):
    """A byte space of `total_size` bytes in stripes, dealt to `parts` parts in turn."""

    total_size: int
    stripe: int  # bytes in a stripe; the last one may be shorter
    parts: int

    def below(self, offset: int, part: int) -> int:
        """How many bytes of the part lie below the offset: a local offset."""
        stripes, rest = divmod(offset, self.stripe)
        rounds, last = divmod(stripes, self.parts)
        more = self.stripe if part < last else rest if part == last else 0
        return rounds * self.stripe + more

    def runs(self, offset: int, size: int) -> list[tuple[int, int, int]]:
        """What [offset, offset + size) is in each part: (part, local offset, size)."""
        if size == 0:
            return []
        first, last = offset // self.stripe, (offset + size - 1) // self.stripe
        found = []
        for index in range(first, min(last + 1, first + self.parts)):
            part = index % self.parts
            start = self.below(offset, part)
            found.append((part, start, self.below(offset + size, part) - start))
        return found

    def pieces(self, offset: int, size: int, part: int) -> Iterator[tuple[int, int]]:
        """Where in a buffer of the range the bytes of the part lie: (start, end)."""
        first = offset // self.stripe
        index = first + (part - first) % self.parts
        while index * self.stripe < offset + size:
            start = max(index * self.stripe, offset)
            end = min((index + 1) * self.stripe, offset + size)
            yield start - offset, end - offset
            index += self.parts

    def spread(self, part: int, start: int, size: int) -> Iterator[tuple[int, int]]:
        """The runs of the whole, in order, that a run in the part stands for."""
        end = start + size
        while start < end:
            stripes, rest = divmod(start, self.stripe)
            step = min(self.stripe - rest, end - start)
            yield (stripes * self.parts + part) * self.stripe + rest, step
            start += step

    def split(self, offsets: Any, size: int) -> list[tuple[int, Items]]:
        """Items of one size (1 or more) cut at the borders of stripes: part by part.

        offsets: a flat array of int64, all items within the whole.
        """
        first = offsets // self.stripe
        counts = (offsets + (size - 1)) // self.stripe - first + 1
        item = np.repeat(np.arange(len(offsets)), counts)
        number = np.arange(len(item)) - np.repeat(np.cumsum(counts) - counts, counts)
        index = first[item] + number
        border = index * self.stripe
        start = np.maximum(offsets[item], border)
        end = np.minimum(offsets[item] + size, border + self.stripe)
        local = index // self.parts * self.stripe + (start - border)
        place = item * size + (start - offsets[item])
        part = index % self.parts
        order = np.argsort(part, kind="stable")
        found, starts = np.unique(part[order], return_index=True)
        return [
            (int(which), Items(local[mine], (end - start)[mine], place[mine]))
            for which, mine in zip(found, np.split(order, starts[1:]))
        ]


class Items(NamedTuple):
    """Pieces of items in one part, in the order of the items; an array of each."""

    local: Any  # local offset
    size: Any  # in bytes
    place: Any  # in a buffer of all items, one after the other

    def bytes(self) -> Any:
        """The place of each byte in the buffer of all items."""
        ends = np.cumsum(self.size)
        within = np.arange(ends[-1]) - np.repeat(ends - self.size, self.size)
        return np.repeat(self.place, self.size) + within


def merged(runs: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Sorted runs (start, size), with neighbours as one."""
    begin = end = 0
    for start, size in runs:
        if start != end and end > begin:
            yield begin, end - begin
        if start != end:
            begin = start
        end = start + size
    if end > begin:
        yield begin, end - begin
