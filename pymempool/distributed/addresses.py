# SPDX-License-Identifier: MIT
"""Layout: which part holds which bytes of a sharded pool.

    stripe        i = offset // stripe_size
    part          i % parts
    local offset  i // parts * stripe_size + offset % stripe_size

The stripes of a part follow each other in it, so a range of the pool has one range in
each part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

#: The largest size of a sharded pool: sums of a few sizes still fit signed 64 bits.
TOTAL_MAX = 1 << 62


class Layout(NamedTuple):
    """A byte space of `total_size` bytes in stripes, dealt to `parts` parts in turn."""

    total_size: int
    stripe: int  # bytes in a stripe; the last one may be shorter
    parts: int

    def below(self, offset: int, part: int) -> int:
        """Returns how many bytes of the part are below an offset: a local offset."""
        stripes, rest = divmod(offset, self.stripe)
        rounds, last = divmod(stripes, self.parts)
        more = self.stripe if part < last else rest if part == last else 0
        return rounds * self.stripe + more

    def runs(self, offset: int, size: int) -> list[tuple[int, int, int]]:
        """Returns a range as runs (part, local offset, size), one for each part."""
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
        """Yields where the bytes of a part are in a buffer of the range: (start, end)."""
        first = offset // self.stripe
        index = first + (part - first) % self.parts
        while index * self.stripe < offset + size:
            start = max(index * self.stripe, offset)
            end = min((index + 1) * self.stripe, offset + size)
            yield start - offset, end - offset
            index += self.parts

    def spread(self, part: int, start: int, size: int) -> Iterator[tuple[int, int]]:
        """Yields the runs of the pool, in order, that a run in a part consists of."""
        end = start + size
        while start < end:
            stripes, rest = divmod(start, self.stripe)
            step = min(self.stripe - rest, end - start)
            yield (stripes * self.parts + part) * self.stripe + rest, step
            start += step

    def split(self, offsets: Any, size: Any) -> list[tuple[int, Items]]:
        """Cuts items where stripes end; returns them by part.

        offsets: a flat array of int64; all items are in the pool.
        size: of all items, 1 or more, or an array of the size of each.
        """
        sizes = np.broadcast_to(np.asarray(size, np.int64), offsets.shape)
        first = offsets // self.stripe
        counts = (offsets + (sizes - 1)) // self.stripe - first + 1
        item = np.repeat(np.arange(len(offsets)), counts)
        number = np.arange(len(item)) - np.repeat(np.cumsum(counts) - counts, counts)
        index = first[item] + number
        border = index * self.stripe
        start = np.maximum(offsets[item], border)
        end = np.minimum((offsets + sizes)[item], border + self.stripe)
        local = index // self.parts * self.stripe + (start - border)
        place = (np.cumsum(sizes) - sizes - offsets)[item] + start
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
        """Returns the position of each byte in the buffer of all items."""
        ends = np.cumsum(self.size)
        within = np.arange(ends[-1]) - np.repeat(ends - self.size, self.size)
        return np.repeat(self.place, self.size) + within


def merged(runs: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Joins adjacent runs (start, size) of a sorted list."""
    begin = end = 0
    for start, size in runs:
        if start != end and end > begin:
            yield begin, end - begin
        if start != end:
            begin = start
        end = start + size
    if end > begin:
        yield begin, end - begin
