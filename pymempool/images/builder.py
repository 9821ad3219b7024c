# SPDX-License-Identifier: MIT
"""PoolBuilder: makes a pool of data whose end is known only when all of it was read."""

from __future__ import annotations

from typing import Callable, Generic

from .._native.signatures import SIZE_MAX
from ..errors import FormatError, PoolRangeError
from .pools import AnyPool
from .progress import Progress
from .records import ADDRESSES_END

PENDING_MAX = 1 << 20  #: the most bytes that wait to be written
_PENDING_RUNS_MAX = 1 << 16  # each takes more memory than a few bytes do

# The sizes of blocks to choose from. Smaller ones take no less memory: a block has a
# header of 32 bytes, and where data is scattered, most memory goes to the tree's nodes.
_BLOCK_MIN, _BLOCK_MAX = 64, 1 << 20


class PoolBuilder(Generic[AnyPool]):
    """A pool that is being made of data at addresses.

    The size of the pool, which decides the size of its blocks, is known only at the end.
    So the first MiB waits, or less if it is in small runs. If there is more, the pool
    starts with all addresses of 32 bits, or as many as are needed, and is cut at the end.
    What waited also decides whether blocks must be small, since the data is scattered.
    """

    def __init__(self, make: Callable[..., AnyPool], report: Progress) -> None:
        """make: makes an empty pool of a size, with blocks of at most another size.

        report: called with the bytes written.
        """
        self._make, self._report = make, report
        self._pool: AnyPool | None = None
        self._pending: list[tuple[int, bytearray]] = []  # runs that wait
        self._pending_size = 0
        self._run_end = 0  # of the last run that waits
        self._end = 0  # of the highest run so far
        self._done = 0

    def add(self, address: int, data: bytes) -> None:
        """Puts data at an address. Raises PoolRangeError if no pool has that address."""
        if not data:
            return
        end = address + len(data)
        if end > SIZE_MAX:
            raise PoolRangeError(f"there is data up to {end}, a pool ends at {SIZE_MAX}")
        if not self._pending or address != self._run_end:
            self._pending.append((address, bytearray()))
        self._pending[-1][1].extend(data)
        self._run_end, self._end = end, max(self._end, end)
        self._pending_size += len(data)
        full = self._pending_size >= PENDING_MAX
        if full or len(self._pending) >= _PENDING_RUNS_MAX:
            self._write(max(self._end, min(ADDRESSES_END, SIZE_MAX)))

    def _write(self, total_size: int) -> None:
        """Writes what waits to the pool, which gets that size or stays larger."""
        if self._pool is None:
            self._pool = self._make(total_size, self._block_max())
            self._pool._begin_image(whole=False)
        elif self._pool.total_size < total_size:
            self._pool.resize(total_size)
        self._pool.write_many(self._pending)
        self._done += self._pending_size
        self._pending, self._pending_size = [], 0
        self._report(self._done, None)

    def _block_max(self) -> int:
        """Returns the largest size of blocks that hold not much more than what waits."""
        runs = sorted((start, start + len(data)) for start, data in self._pending)
        held_max = self._pending_size + max(PENDING_MAX, self._pending_size)
        size = _BLOCK_MAX
        while size > _BLOCK_MIN and not _fit(runs, size, held_max // size):
            size //= 2
        return size

    def finish(self, title: str) -> AnyPool:
        """Returns the pool, which ends with the last byte of data.

        title: what the data was read as, for the FormatError if there was none.
        """
        if not self._end:
            raise FormatError(f"there is no data in this, as {title}")
        self._write(self._end)
        assert self._pool is not None
        self._pool.resize(self._end)
        return self._pool

    def close(self) -> None:
        """Closes the pool that was begun, if any."""
        if self._pool is not None:
            self._pool.close()


def _fit(runs: list[tuple[int, int]], block_size: int, count: int) -> bool:
    """Whether runs, from a start to an end and in order, lie in so many blocks."""
    last = -1
    for start, end in runs:
        first, last = max(start // block_size, last + 1), (end - 1) // block_size
        count -= last + 1 - first
        if count < 0:
            return False
    return True
