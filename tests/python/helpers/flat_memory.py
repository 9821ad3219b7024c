# SPDX-License-Identifier: MIT
"""What models of pools have in common: flat memory."""

from __future__ import annotations

from collections.abc import Iterable


def without(flat: bytearray, runs: Iterable[tuple[int, int]]) -> bytearray:
    """The memory with zeros in the runs, which must be in order and apart."""
    rest = bytearray(flat)
    end = -1
    for start, size in runs:
        assert end < start < start + size <= len(rest), "out of order, or touching"
        end = start + size
        rest[start:end] = bytes(size)
    return rest


def differing(one: bytes, other: bytes) -> list[tuple[int, int]]:
    """The longest runs of bytes that differ, as found byte by byte."""
    both = min(len(one), len(other))
    places = [at for at, (our, their) in enumerate(zip(one, other)) if our != their]
    places += range(both, max(len(one), len(other)))
    runs: list[tuple[int, int]] = []
    for at in places:
        start, size = runs.pop() if runs and sum(runs[-1]) == at else (at, 0)
        runs.append((start, size + 1))
    return runs
