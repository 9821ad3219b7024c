# SPDX-License-Identifier: MIT
"""Which bytes of a pool some code has written, to the byte.

A clone is taken before and one after, and differences() compares the two. Both clones
take constant time, and with pins the time for what was written through them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .._core.comparing import Run
from .._core.runs import without
from .._native.arguments import integer
from .._native.signatures import SIZE_MAX
from ..pool import MemoryPool
from .compare import dump

if TYPE_CHECKING:
    from types import TracebackType
    from typing import SupportsIndex


class Written:
    """A context that finds out which bytes of a pool are written in it.

    `ranges` lists them afterwards: (offset, size) of runs of bytes that differ, in order.
    A byte that was written with the value that it had is not among them.

    Within the context the pool has one clone more, so that blocks that are written to are
    copied, which counts for the memory limit. Writes of other threads count as well. If
    the code in it raises, nothing is compared, and `ranges` stays None.
    """

    def __init__(self, pool: MemoryPool, allowed: Iterable[Run]) -> None:
        self.ranges: list[Run] | None = None  #: what was written; None before the end
        self._pool, self._allowed = pool, list(allowed)

    def __enter__(self) -> Written:
        self.ranges = None
        self._before = self._pool.clone()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        __tracebackhide__ = True
        with self._before as before:
            if kind is None:
                with self._pool.clone() as after:
                    self._compare(before, after)

    def _compare(self, before: MemoryPool, after: MemoryPool) -> None:
        """Sets `ranges`. Raises AssertionError if there are others than allowed ones."""
        __tracebackhide__ = True
        end = max(before.total_size, after.total_size)
        for clone in (before, after):
            clone.resize(end)  # what only the other one has was, or became, zeros
        self.ranges = list(after.differences(before))

        def expected(offset: int, size: int) -> bytes:
            """What was there, with what was written to the allowed ranges."""
            data = bytearray(before.read(offset, size))
            for start, length in self._allowed:
                low, high = max(start, offset), min(start + length, offset + size)
                if low < high:
                    data[low - offset : high - offset] = after.read(low, high - low)
            return bytes(data)

        outside = without(self.ranges, sorted(run for run in self._allowed if run[1]))
        text = dump(after.read, expected, outside, 0, end)
        if text:
            raise AssertionError(f"written outside of the allowed ranges: {text}")


def written(pool: MemoryPool) -> Written:
    """A context after which `ranges` lists the bytes of the pool that were written in it.

        with written(pool) as w:
            c_function(pool)
        assert w.ranges == [(100, 8)]

    For code that writes through calls or through pins; what Written says applies. Raises
    what clone() raises.
    """
    return Written(pool, [(0, SIZE_MAX)])


def assert_only_wrote(
    pool: MemoryPool, allowed: Iterable[tuple[SupportsIndex, SupportsIndex]]
) -> Written:
    """A context in which only some bytes of the pool may be written.

        with assert_only_wrote(pool, [(100, 8)]):
            c_function(pool)

    allowed: (offset, size) of each range that may be written to, in any order; they may
        overlap. Nothing has to be written. An empty list: nothing may be.

    At its end it raises AssertionError, with a dump, if bytes outside of the ranges
    differ: "expected" is what was there before, but within the ranges what is there now.
    `ranges` of the context lists all that was written, as after written().

    Memory outside of the pool is not looked at: to find writes past the end of a buffer,
    pass a part of a larger pin. Raises PoolRangeError for numbers below 0, what clone()
    raises.
    """
    return Written(
        pool,
        [
            (
                integer("offset", offset, 0, SIZE_MAX),
                integer("size", size, 0, SIZE_MAX),
            )
            for offset, size in allowed
        ],
    )
