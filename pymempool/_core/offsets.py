# SPDX-License-Identifier: MIT
"""Offsets of many items, in any form: checked and converted once, to a run of size_t.

numpy is never imported here: whoever passes an array has done that.
"""

from __future__ import annotations

import operator
import sys
from array import array
from ctypes import c_size_t, sizeof
from typing import Any, NamedTuple

from .._native.arguments import integer
from .._native.signatures import SIZE_MAX
from .owner import Owner

#: The array code of a size_t.
SIZE_CODE = "Q" if sizeof(c_size_t) == 8 else "I"


class Offsets(NamedTuple):
    """Offsets on their way to C."""

    items: int
    lowest: int
    highest: int
    raw: Any  #: what holds them: ints if they fit a size_t, else useless
    find: Any  #: a function that gives the place of an offset
    shape: tuple[int, ...] | None  #: of the numpy array that they were


def check(owner: Owner, found: Offsets, item_size: int) -> None:
    """Raises, with the offender, if an item is not in the pool."""
    end = found.highest + item_size
    if found.lowest >= 0 and (end <= owner.total_size or end <= owner.ask()):
        return
    wrong = found.lowest if found.lowest < 0 else found.highest
    most = owner.total_size - item_size
    if most < 0:
        integer("item_size", item_size, 0, owner.total_size)
    integer(f"offset number {found.find(wrong)}", wrong, 0, most)


def converted(offsets: Any) -> Offsets:
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None and isinstance(offsets, numpy.ndarray):
        return _convert_array(numpy, offsets)
    if isinstance(offsets, memoryview):
        offsets = offsets.tolist()  # CPython trips over the iterator of a released one
    try:
        items = iter(offsets)
    except TypeError:
        kind = type(offsets).__name__
        raise TypeError(f"offsets must be a series of integers, not {kind}") from None
    numbers = list(map(operator.index, items))
    lowest, highest = min(numbers, default=0), max(numbers, default=0)
    raw = array(SIZE_CODE, numbers) if 0 <= lowest <= highest <= SIZE_MAX else None
    return Offsets(len(numbers), lowest, highest, raw, numbers.index, None)


def _convert_array(numpy: Any, offsets: Any) -> Offsets:
    if offsets.dtype.kind not in "iu":
        raise TypeError(f"offsets must be integers, not {offsets.dtype}")
    numbers = numpy.asarray(offsets)
    lowest = highest = 0
    if numbers.size:
        lowest, highest = int(numbers.min()), int(numbers.max())
    raw = numpy.ascontiguousarray(numbers, dtype=numpy.uintp)

    def find(wrong: int) -> int:
        return int((numbers == wrong).argmax())  # counted in the order of memory in C

    return Offsets(numbers.size, lowest, highest, raw, find, numbers.shape)
