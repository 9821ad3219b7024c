# SPDX-License-Identifier: MIT
"""assert_same: how the bytes of a pool differ from the expected ones, as a hex dump."""

from __future__ import annotations

from collections.abc import Iterable
from ctypes import string_at
from typing import TYPE_CHECKING

from .._core.comparing import Read, Run, differences, pieces, runs_of_two, xor
from .._native.arguments import integer
from .._native.buffers import readable
from ..pool import MemoryPool

if TYPE_CHECKING:
    from typing import SupportsIndex

    from _typeshed import ReadableBuffer

_LINE = 16  # bytes in a line of the dump
_LINES = 8  # lines in a dump


def assert_same(
    pool: MemoryPool,
    expected: MemoryPool | ReadableBuffer,
    offset: SupportsIndex = 0,
) -> None:
    """Raises AssertionError with a hex dump if the pool does not hold `expected`.

    expected: a contiguous bytes-like object; or another pool, as long as the rest of this
        one. Neither holes of both pools nor blocks that relatives share at the same
        offset are read.
    offset: where in the pool `expected` should be, in bytes.

    Raises PoolRangeError if `offset` is past the end.
    """
    __tracebackhide__ = True
    start = integer("offset", offset, 0, pool.total_size)
    rest = pool.total_size - start
    if isinstance(expected, MemoryPool):
        other, size = expected, expected.total_size
        if size != rest:
            raise AssertionError(_wrong_size(size, start, rest))
        runs = runs_of_two(pool, other, start)
        text = dump(
            pool.read, lambda at, n: other.read(at - start, n), runs, start, start + size
        )
    else:
        with readable(expected) as memory:
            address, size = memory.address - start, memory.size
            if size > rest:
                raise AssertionError(_wrong_size(size, start, rest))
            text = dump(
                pool.read,
                lambda at, n: string_at(address + at, n),
                [(start, size)],
                start,
                start + size,
            )
    if text:
        raise AssertionError(text)


def _wrong_size(size: int, offset: int, rest: int) -> str:
    return f"{size} bytes are expected, the pool has {rest} from offset {offset} on"


def dump(found: Read, expected: Read, runs: Iterable[Run], start: int, end: int) -> str:
    """The first lines that differ, as a hex dump; empty if no byte differs.

    runs: where to look, in order and without overlap.
    start, end: the range of offsets in which both can be read.
    """
    count = 0
    lines: dict[int, None] = {}  # the offsets of the lines, in order
    for at, bits in differences(found, expected, pieces(runs, end)):
        if not count:
            first = at + _places(bits)[0]
        count += len(bits) - bits.count(0)
        if len(lines) < _LINES:
            lines.update(((at + place) // _LINE * _LINE, None) for place in _places(bits))
    if not count:
        return ""

    what = "1 byte differs, it is" if count == 1 else f"{count} bytes differ, the first"
    text = [f"{what} at offset {first} ({first:#x})"]
    for begin in list(lines)[:_LINES]:
        low, high = max(begin, start), min(begin + _LINE, end)
        one, other = found(low, high - low), expected(low, high - low)
        count -= len(one) - xor(one, other).count(0)
        text += _line(begin, low - begin, one, other)
    if count:
        text.append(f"... and {count} more")
    return "\n".join(text)


def _places(bits: bytes) -> list[int]:
    return [place for place, byte in enumerate(bits) if byte]


def _line(begin: int, indent: int, found: bytes, expected: bytes) -> list[str]:
    """A line of the dump: the expected bytes, those found, and marks below."""
    marks = ["^^" if byte else "  " for byte in xor(found, expected)]
    head = f"{begin:#010x}"
    return [
        f"{head}  expected  {_hex(expected, indent)}  {_text(expected, indent)}",
        f"{'':{len(head)}}  found     {_hex(found, indent)}  {_text(found, indent)}",
        f"{'':{len(head)}}            {'   ' * indent}{' '.join(marks)}".rstrip(),
    ]


def _hex(data: bytes, indent: int) -> str:
    return f"{'   ' * indent}{data.hex(' ')}".ljust(3 * _LINE - 1)


def _text(data: bytes, indent: int) -> str:
    return " " * indent + "".join(chr(c) if 32 <= c < 127 else "." for c in data)
