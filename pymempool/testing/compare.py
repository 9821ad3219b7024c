# SPDX-License-Identifier: MIT
"""assert_same: how the bytes of a pool differ from the expected ones, as a hex dump.

What is expected becomes a pool with the same bytes at the offset where they should be;
those of a bytes-like object are adopted. differences() compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .._core.comparing import LINES, Dump, Read, Run
from .._native.arguments import integer
from .._native.buffers import readable
from ..pool import MemoryPool

if TYPE_CHECKING:
    from typing import SupportsIndex

    from _typeshed import ReadableBuffer


def assert_same(
    pool: MemoryPool,
    expected: MemoryPool | ReadableBuffer,
    offset: SupportsIndex = 0,
) -> None:
    """Raises AssertionError with a hex dump if the pool does not hold `expected`.

    expected: a contiguous bytes-like object; or another pool, as long as the rest of this
        one. Neither holes of both pools nor blocks that relatives share are compared. A
        pool that should be at another offset than 0 is copied there first.
    offset: where in the pool `expected` should be, in bytes.

    Looks at one moment of each. Raises PoolRangeError if `offset` is past the end, and
    what clone() raises.
    """
    __tracebackhide__ = True
    start = integer("offset", offset, 0, pool.total_size)
    with pool.clone() as found:
        other, size = _placed(expected, start, found.total_size - start)
        with other:
            where = found.differences(other, start, size)
            text = dump(found.read, other.read, where, start, start + size)
    if text:
        raise AssertionError(text)


def _placed(
    expected: MemoryPool | ReadableBuffer, start: int, rest: int
) -> tuple[MemoryPool, int]:
    """A pool with the expected bytes from an offset on, and how many they are."""
    __tracebackhide__ = True
    if isinstance(expected, MemoryPool):
        size = expected.total_size
        if size != rest:
            raise AssertionError(_wrong_size(size, start, rest))
        if start == 0:
            return expected.clone(), size
        other = MemoryPool(start + size, 4096)
        other.copy_from(expected, 0, size, start)
        return other, size
    with readable(expected) as memory:
        size = memory.size
    if size > rest:
        raise AssertionError(_wrong_size(size, start, rest))
    other = MemoryPool(start + rest, 4096)
    other.adopt(start, expected)
    return other, size


def _wrong_size(size: int, offset: int, rest: int) -> str:
    return f"{size} bytes are expected, the pool has {rest} from offset {offset} on"


def dump(found: Read, expected: Read, where: Iterable[Run], start: int, end: int) -> str:
    """The first lines that differ, as a hex dump; empty if no byte differs.

    where: the runs of bytes that differ, in order.
    start, end: the range of offsets in which both can be read.
    """
    count = 0
    first: list[Run] = []  # as many as a dump can show
    for run in where:
        count += run[1]
        if len(first) < LINES * 16:
            first.append(run)
    if not count:
        return ""
    dump = Dump(("expected", "found"), expected, found)
    lines = dump.lines(first, start, end)
    what = "1 byte differs, it is" if count == 1 else f"{count} bytes differ, the first"
    text = [f"{what} at offset {first[0][0]} ({first[0][0]:#x})", *lines]
    if count > dump.differing:
        text.append(f"... and {count - dump.differing} more")
    return "\n".join(text)
