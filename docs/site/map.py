# SPDX-License-Identifier: MIT
"""Prints docs/map.svg: the memory of a small machine, and what changed in it.

python docs/site/map.py > docs/map.svg
"""

from __future__ import annotations

import sys

from pymempool import MemoryPool

FLASH, RAM, REGISTERS = 0x0800_0000, 0x2000_0000, 0x4000_0000


def draw() -> str:
    """The picture; it is the same at any time and on any machine."""
    with MemoryPool(0x8000_0000, 4096) as pool:
        pool.adopt(FLASH, b"\x5a" * 0x30000)
        pool.fill(RAM, 1, 0xC000)
        pool.fill(RAM + 0x12000, 1, 0x6000)
        before = pool.clone()
        pool.fill(RAM + 0x4000, 2, 0x5000)
        pool.fill(RAM + 0x10000, 2, 0x2000)
        held = pool.pin(REGISTERS, 4096)
        held[0] = 1
        picture = pool.svg(since=before)
        held.release()
        before.close()
    return picture


if __name__ == "__main__":
    # Not as text: a console may have another encoding, and other ends of lines.
    sys.stdout.buffer.write(draw().encode())
