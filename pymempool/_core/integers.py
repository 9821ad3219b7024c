# SPDX-License-Identifier: MIT
"""Integers in a pool, changed in one atomic step."""

from __future__ import annotations

from ctypes import byref, c_uint64
from typing import TYPE_CHECKING

from .._native.arguments import integer
from .._native.calls import quick
from ..errors import PoolRangeError
from . import ranges
from .marks import changing
from .owner import Owner

if TYPE_CHECKING:
    from typing import SupportsIndex

# More than anybody adds, and few enough digits for an error message.
_ANY_INTEGER = 2**128


def fetch_add(
    owner: Owner, offset: SupportsIndex, n: SupportsIndex, size: SupportsIndex
) -> int:
    """Adds to an integer; returns what it was."""
    old = c_uint64()
    offset, size, mask = _place(owner, offset, size)
    n = integer("n", n, -_ANY_INTEGER, _ANY_INTEGER) & mask
    if owner.marked is not None:
        with changing(owner) as (plain, marks):
            ranges.fill(marks, offset, 1, size)
            return fetch_add(plain, offset, n, size)
    quick.pool_fetch_add(owner.address, offset, size, n, byref(old))
    return old.value


def compare_exchange(
    owner: Owner,
    offset: SupportsIndex,
    expected: SupportsIndex,
    new: SupportsIndex,
    size: SupportsIndex,
) -> bool:
    """Replaces an integer if it is as expected; returns whether it was."""
    old = c_uint64()
    offset, size, mask = _place(owner, offset, size)
    expected = integer("expected", expected, 0, mask)
    new = integer("new", new, 0, mask)
    if owner.marked is not None:
        with changing(owner) as (plain, marks):
            before = ranges.fetch("pool_read", marks, offset, size)
            ranges.fill(marks, offset, 1, size)
            done = compare_exchange(plain, offset, expected, new, size)
            if not done:
                ranges.put(marks, offset, before, size)
            return done
    quick.pool_compare_exchange(owner.address, offset, size, expected, new, byref(old))
    return old.value == expected


def _place(
    owner: Owner, offset: SupportsIndex, size: SupportsIndex
) -> tuple[int, int, int]:
    """offset and size as plain ints, and the largest integer of that size."""
    if type(size) is not int or size not in (1, 2, 4, 8):
        size = integer("size", size, 1, 8)
        if size not in (1, 2, 4, 8):
            raise PoolRangeError(f"size is {size}, allowed is 1, 2, 4 or 8")
    offset, size = owner.range(offset, size)
    return offset, size, (1 << 8 * size) - 1
