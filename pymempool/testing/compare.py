# SPDX-License-Identifier: MIT
"""How bytes of a pool differ from what is expected, as a dump for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ctypes import string_at
from typing import TYPE_CHECKING, Callable

from .._core.comparing import Run, runs_of_two, xor
from .._native.arguments import integer
from .._native.buffers import readable
from ..pool import MemoryPool

if TYPE_CHECKING:
    from typing import SupportsIndex

    from _typeshed import ReadableBuffer

Read = Callable[[int, int], bytes]  # gives the bytes of a run

_STEP = 1 << 16  # bytes compared at a time
_LINE = 16  # bytes in a line of the dump
_LINES = 8  # lines shown


def difference(
    found: Read, expected: Read, runs: Iterable[Run], start: int, end: int
) -> str:
    """How what is found differs from what is expected; empty if it does not.

    runs: where to look, in order and without overlap.
    start, end: the range in which both can be read.
    """
    count = 0
    lines: dict[int, None] = {}  # where those begin that are shown, in order
    for offset, size in _pieces(runs):
        one, other = found(offset, size), expected(offset, size)
        if one == other:
            continue
        differing = xor(one, other)
        if not count:
            first = offset + _places(differing)[0]
        count += size - differing.count(0)
        if len(lines) < _LINES:
            begins = ((offset + at) // _LINE * _LINE for at in _places(differing))
            lines.update(dict.fromkeys(begins))
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


def _pieces(runs: Iterable[Run]) -> Iterator[Run]:
    for start, size in runs:
        for offset in range(start, start + size, _STEP):
            yield offset, min(_STEP, start + size - offset)


def _places(differing: bytes) -> list[int]:
    return [place for place, byte in enumerate(differing) if byte]


def _line(begin: int, indent: int, found: bytes, expected: bytes) -> list[str]:
    """A line of the dump: what is expected, what is found, and marks below."""
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
    shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)
    return " " * indent + shown


def assert_same(
    pool: MemoryPool,
    expected: MemoryPool | ReadableBuffer,
    offset: SupportsIndex = 0,
) -> None:
    """Compares the pool's bytes at `offset` with `expected`, and shows how they differ.

    expected: bytes, or any object of contiguous memory; or another pool, which must then
        be as long as the rest of this one. Where both have holes, and what relatives by
        cloning share at the same offset, is not read.

    Raises AssertionError; PoolRangeError if `offset` is past the end.
    """
    __tracebackhide__ = True
    base = integer("offset", offset, 0, pool.total_size)
    rest = pool.total_size - base
    if isinstance(expected, MemoryPool):
        other, size = expected, expected.total_size
        if size != rest:
            raise AssertionError(f"{size} bytes are expected, {_from(base, rest)}")
        runs = runs_of_two(pool, other, base)
        text = difference(
            pool.read, lambda at, n: other.read(at - base, n), runs, base, base + size
        )
    else:
        with readable(expected) as memory:
            start, size = memory.address - base, memory.size
            if size > rest:
                raise AssertionError(f"{size} bytes are expected, {_from(base, rest)}")
            text = difference(
                pool.read,
                lambda at, n: string_at(start + at, n),
                [(base, size)],
                base,
                base + size,
            )
    if text:
        raise AssertionError(text)


def _from(offset: int, rest: int) -> str:
    return f"the pool has {rest} from offset {offset} on"
