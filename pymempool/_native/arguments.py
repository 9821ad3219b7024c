# SPDX-License-Identifier: MIT
"""Checks of numbers before they go to C, which would take any number for a size."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from ..errors import PoolRangeError

if TYPE_CHECKING:
    from typing import SupportsIndex


def integer(name: str, value: SupportsIndex, lowest: int, highest: int) -> int:
    """The value as a plain int, if it is an integer in lowest .. highest."""
    if type(value) is int and lowest <= value <= highest:
        return value
    try:
        number = int(operator.index(value))
    except TypeError as error:
        kind = type(value).__name__
        # The cause is of use only if an __index__ raised it.
        cause = error if hasattr(type(value), "__index__") else None
        raise TypeError(f"{name} must be an integer, not {kind}") from cause
    if not lowest <= number <= highest:
        allowed = f"{lowest} .. {highest}" if lowest < highest else str(lowest)
        # Python refuses to write out numbers of thousands of digits.
        told = number if number.bit_length() <= 128 else f"of {number.bit_length()} bits"
        raise PoolRangeError(f"{name} is {told}, allowed is {allowed}")
    return number


def byte_range(offset: Any, size: Any, total_size: int) -> tuple[int, int]:
    """The two as plain ints, if [offset, offset + size) lies in 0 .. total_size."""
    plain = type(offset) is int is type(size)
    if plain and 0 <= offset <= total_size - size <= total_size:
        return offset, size
    offset = integer("offset", offset, 0, total_size)
    return offset, integer(f"size at offset {offset}", size, 0, total_size - offset)
