# SPDX-License-Identifier: MIT
"""Selected: the bytes of a pool that save() writes if not all, and what is between them.

    pool ─► its runs of written(), in `crop` ─► Selected ─► raw, intel_hex or srec
                                      `fill` ──┘

Nothing is copied: a Selected has the methods of a pool that writers of formats use.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from .._core.runs import Run
from .._native.arguments import integer
from .._native.signatures import SIZE_MAX
from ..errors import FormatError, PoolRangeError

_WINDOW = 1 << 12  # bytes that are searched for the last run


class Selection(NamedTuple):
    """Which bytes of a pool are saved. The fields are arguments of save()."""

    crop: tuple[Any, Any] | None = None
    fill: Any = None
    from_lowest: Any = False

    def checked(self) -> Selection:
        """The same in plain integers. Raises PoolRangeError, TypeError."""
        crop, fill, from_lowest = self
        if crop is not None:
            start, end = crop
            start = integer("crop[0]", start, 0, SIZE_MAX)
            end = SIZE_MAX if end is None else integer("crop[1]", end, 0, SIZE_MAX)
            if start >= end:
                raise PoolRangeError(f"crop is empty: {start:#x} .. {end:#x}")
            crop = start, end
        if fill is not None:
            fill = integer("fill", fill, 0, 255)
        return Selection(crop, fill, bool(from_lowest))


class Selected:
    """The selected bytes of a pool that nobody changes: a ReadablePool as it is used.

    A raw image has all bytes up to its end, of which those that were not set are `fill`.
    Other formats have the bytes that were set; with `fill` also those between the first
    and the last of them, or all of a `crop` that has an end.
    """

    def __init__(self, pool: Any, selection: Selection) -> None:
        """pool: a MemoryPool. Raises FormatError if nothing in it is selected."""
        crop, self._fill, from_lowest = selection
        self._pool = pool
        start, end = crop or (0, SIZE_MAX)
        self._start, self._stop = int(start), min(int(end), int(pool.total_size))
        low, high = self._bounds()
        if self._fill is not None and crop is not None:
            low, high = crop[0], high if crop[1] == SIZE_MAX else crop[1]
        if not high:
            raise FormatError(
                f"no byte was set from {self._start:#x} on, in what is saved"
            )
        self._low, self._high = low, high
        self._base = low if from_lowest else 0  #: what is at the offset 0 of the image
        self.start_address, self.header = pool.start_address, pool.header

    def _bounds(self) -> tuple[int, int]:
        """The start of the first run and the end of the last one; 0 and 0 for none."""
        start, end = self._start, self._stop
        first = next(self._runs(start, end), None)
        if first is None:
            return 0, 0
        while end - start > _WINDOW:  # the last run ends in this range
            middle = (start + end) // 2
            if next(self._runs(middle, end), None) is None:
                end = middle
            else:
                start = middle
        return first[0], max(map(sum, self._runs(start, end)))

    def _runs(self, start: int, end: int) -> Iterator[Run]:
        """The runs that were set in a range of the pool, of what is not cropped."""
        start, end = max(start, self._start), min(end, self._stop)
        return self._pool.written(start, end - start) if start < end else iter(())

    @property
    def total_size(self) -> int:
        return self._high - self._base

    def written(self) -> Iterator[Run]:
        if self._fill is None:
            return self._runs(self._low, self._high)
        return iter([(self._low, self._high - self._low)])

    def extents(self) -> Iterator[Run]:
        """The runs that are not zeros in a raw image."""
        if self._fill:
            yield 0, self.total_size
            return
        low, high = max(self._low, self._start), min(self._high, self._stop)
        if low < high:
            for start, size in self._pool.extents(low, high - low):
                yield start - self._base, size

    def read(self, offset: int, size: int) -> bytes:
        data = bytearray(size)
        self.readinto(offset, memoryview(data))
        return bytes(data)

    def readinto(self, offset: int, buffer: memoryview) -> int:
        start, size = offset + self._base, len(buffer)
        if self._fill is None:  # what was not set reads as zeros
            return int(self._pool.readinto(start, buffer))
        buffer[:] = bytes([self._fill or 0]) * size
        for at, count in self._runs(start, start + size):
            self._pool.readinto(at, buffer[at - start : at - start + count])
        return size
