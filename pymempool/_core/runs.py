# SPDX-License-Identifier: MIT
"""Runs of bytes: pairs (offset, size), in order and without overlap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Run = tuple[int, int]  # offset and size

_NONE = (0, 0)


def common(one: Iterable[Run], other: Iterable[Run]) -> Iterator[Run]:
    """Yields what is in runs of both."""
    others = iter(other)
    start, size = next(others, _NONE)
    for begin, length in one:
        end = begin + length
        while size and start < end:
            low, high = max(begin, start), min(end, start + size)
            if low < high:
                yield low, high - low
            if start + size > end:  # it may go on in the next run
                break
            start, size = next(others, _NONE)


def without(one: Iterable[Run], other: Iterable[Run]) -> Iterator[Run]:
    """Yields what is in runs of the one and in none of the other."""
    others = iter(other)
    start, size = next(others, _NONE)
    for begin, length in one:
        end = begin + length
        while size and start < end:
            if begin < start:
                yield begin, start - begin
            begin = max(begin, start + size)
            if start + size > end:  # it may go on in the next run
                break
            start, size = next(others, _NONE)
        if begin < end:
            yield begin, end - begin
