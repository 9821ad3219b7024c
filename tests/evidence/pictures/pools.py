# SPDX-License-Identifier: MIT
"""Pools of every sort, each with the name that its picture has."""

from __future__ import annotations

from typing import Any, NamedTuple

from internals import SIZE_MAX
from picture_pools import BLOCK, everything

from pymempool import MemoryPool


class Sort(NamedTuple):
    name: str
    pool: MemoryPool
    since: MemoryPool | None = None
    kept: Any = None  #: what must stay alive while the picture is drawn


def firmware() -> Sort:
    """The memory of a small machine: flash, what it has in RAM, a page of registers."""
    pool = MemoryPool(0x8000_0000, 4096)
    pool.adopt(0x0800_0000, b"\x5a" * 0x3_0000)
    pool.fill(0x2000_0000, 1, 0x1_8000)
    pool.write(0x2003_F000, b"stack")
    before = pool.clone()
    pool.fill(0x2000_4000, 2, 0x6000)
    registers = pool.pin(0x4000_0000, 4096)
    return Sort("firmware", pool, before, registers)


def sorts() -> list[Sort]:
    wide = MemoryPool(SIZE_MAX, 4096)
    wide.write(0x1000, b"x")
    wide.fill(SIZE_MAX // 3, 1, 3 * 4096)
    wide.write(SIZE_MAX - 1, b"x")

    full = MemoryPool(2**20, 4096)
    full.fill(0, 1, 2**20)

    fragmented = MemoryPool(4000 * BLOCK, BLOCK)
    for number in range(4000):
        if number * number % 97 < 10 + number // 50:
            fragmented.write(number * BLOCK, b"x")
    mixed = fragmented.clone()
    for number in range(0, 4000, 7):
        mixed.write(number * BLOCK, b"y")
    mixed.adopt(3000 * BLOCK, bytes(500 * BLOCK))
    pins = [mixed.pin(number * BLOCK, 1) for number in range(0, 2000, 401)]

    many = MemoryPool(2**31, 4096)
    for number in range(30):
        many.write(number * 70_000_000, b"x")
    near = MemoryPool(10_000 * BLOCK, BLOCK)
    near.fill(0, 1, 9000 * BLOCK)
    for number in range(9):
        near.discard((2 * number + 1) * BLOCK, BLOCK)

    emptied = MemoryPool(2**20, 4096)
    emptied.fill(2**18, 1, 2**18)
    earlier = emptied.clone()
    emptied.discard(0, 2**20)

    one = MemoryPool(1)
    one[0] = 1
    closed = MemoryPool(1)
    closed.close()
    return [
        firmware(),
        Sort("clone with changes, adopted, pinned", *everything()),
        Sort("three blocks in the largest space", wide),
        Sort("full", full),
        Sort("fragmented", fragmented),
        Sort("fragmented, mixed", mixed, fragmented, pins),
        Sort("many extents, far apart", many),
        Sort("many extents, side by side", near),
        Sort("emptied", emptied, earlier),
        Sort("empty", MemoryPool(2**31)),
        Sort("1 byte", one),
        Sort("closed", closed),
    ]
