# SPDX-License-Identifier: MIT
"""What kind of blocks hold the data of a pool."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from ctypes import c_size_t
from typing import TYPE_CHECKING

from ._library import parallel

if TYPE_CHECKING:
    from .pool import MemoryPool


class Kind(enum.IntFlag):
    """What is said of blocks that hold data; 0 of those that a pool has for itself."""

    SHARED = 1  #: a relative, a view or another place holds them too: a write copies
    PINNED = 2  #: somebody has a pin on them, and they stay where they are
    ADOPTED = 4  #: memory that was adopted: a write copies


def kinds(pool: MemoryPool) -> Iterator[tuple[int, int, Kind]]:
    """The runs of data whose blocks are of one kind. Raises now if the pool is closed."""
    start, size, kind = c_size_t(), c_size_t(), c_size_t()

    def find(offset: int) -> int:
        owner = pool._owner  # holds the pool while the call runs
        found: int = parallel.pool_next_kind(owner.address, offset, start, size, kind)
        return found

    find(0)  # raises now and not at first use

    def walk() -> Iterator[tuple[int, int, Kind]]:
        offset = 0
        while find(offset):
            begin, length = start.value, size.value
            offset = begin + length
            yield begin, length, Kind(kind.value)

    return walk()
