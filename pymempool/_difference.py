# SPDX-License-Identifier: MIT
"""How bytes of a pool differ from what is expected, as a dump for people."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Callable

from .errors import PoolUnrelatedError
from .pool import MemoryPool

Run = tuple[int, int]  # offset and size
Read = Callable[[int, int], bytes]  # gives the bytes of a run

_STEP = 1 << 16  # bytes compared at a time
_LINE = 16  # bytes in a line of the dump
_LINES = 8  # lines shown


def runs_of_two(pool: MemoryPool, other: MemoryPool, offset: int) -> Iterable[Run]:
    """Where the pool from `offset` on may differ from the other one: runs in order,
    without overlap, in offsets of the pool."""
    if offset == 0:
        with suppress(PoolUnrelatedError):
            return pool.changes(other)
    theirs = ((start + offset, size) for start, size in other.extents())
    return _without_overlap(heapq.merge(pool.extents(), theirs), offset)


def _without_overlap(runs: Iterable[Run], done: int) -> Iterator[Run]:
    for start, size in runs:
        end = start + size
        start = max(start, done)
        if start < end:
            yield start, end - start
            done = end


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
        differing = _xor(one, other)
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
        count -= len(one) - _xor(one, other).count(0)
        text += _line(begin, low - begin, one, other)
    if count:
        text.append(f"... and {count} more")
    return "\n".join(text)


def _pieces(runs: Iterable[Run]) -> Iterator[Run]:
    for start, size in runs:
        for offset in range(start, start + size, _STEP):
            yield offset, min(_STEP, start + size - offset)


def _xor(one: bytes, other: bytes) -> bytes:
    """Zeros where the two, of one length, are the same."""
    number = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    return number.to_bytes(len(one), "little")


def _places(differing: bytes) -> list[int]:
    return [place for place, byte in enumerate(differing) if byte]


def _line(begin: int, indent: int, found: bytes, expected: bytes) -> list[str]:
    """A line of the dump: what is expected, what is found, and marks below."""
    marks = ["^^" if byte else "  " for byte in _xor(found, expected)]
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
