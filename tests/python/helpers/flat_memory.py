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
