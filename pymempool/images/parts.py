# SPDX-License-Identifier: MIT
"""A pool that is put together from parts, whose size is known at the end only."""

from __future__ import annotations

from typing import Callable, Generic, Optional

from .._native.signatures import SIZE_MAX
from ..errors import FormatError, PoolRangeError
from .pools import AnyTarget
from .records import ADDRESSES_END

Progress = Optional[Callable[[int, Optional[int]], object]]
PENDING = 1 << 20
PENDING_RUNS = 1 << 16  # each of which takes more memory than a few bytes do


class Parts(Generic[AnyTarget]):
    """A pool that is put together from parts.

    Its size, on which its blocks depend, is known at the end only. So the first MiB
    waits, or less if it is in small pieces; if there is more, the pool starts with all
    addresses of 32 bits, or as many as are needed, and is cut off at the end.
    """

    def __init__(self, make: Callable[[int], AnyTarget], progress: Progress) -> None:
        self.make, self.progress = make, progress
        self.pool: AnyTarget | None = None
        self.waiting: list[tuple[int, bytearray]] = []
        self.size = self.done = self.end = self.next = 0

    def add(self, address: int, data: bytes) -> None:
        if not data:
            return
        end = address + len(data)
        if end > SIZE_MAX:
            raise PoolRangeError(f"data up to {end}, a pool ends at {SIZE_MAX}")
        if not self.waiting or address != self.next:
            self.waiting.append((address, bytearray()))
        self.waiting[-1][1].extend(data)
        self.next, self.end = end, max(self.end, end)
        self.size += len(data)
        if self.size >= PENDING or len(self.waiting) >= PENDING_RUNS:
            self.write(max(self.end, min(ADDRESSES_END, SIZE_MAX)))

    def write(self, total_size: int) -> None:
        """What waits, into the pool, which has at least that size."""
        if self.pool is None:
            self.pool = self.make(total_size)
        elif self.pool.total_size < total_size:
            self.pool.resize(total_size)
        for address, data in self.waiting:
            self.pool.write(address, data)
        self.done += self.size
        self.waiting, self.size = [], 0
        if self.progress is not None:
            self.progress(self.done, None)

    def finish(self, title: str) -> AnyTarget:
        if not self.end:
            raise FormatError(f"there is no data in this, as {title}")
        self.write(self.end)
        assert self.pool is not None
        self.pool.resize(self.end)
        return self.pool

    def close(self) -> None:
        if self.pool is not None:
            self.pool.close()
