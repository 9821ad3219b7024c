# SPDX-License-Identifier: MIT
"""Unicorn runs guest code in the memory of a pool, which is rolled back between runs.

The blocks of the guest's memory are pinned, which keeps them where they are, and mapped
into the emulator as they are, without a copy. Whatever the guest does to them is in the
pool at once; restore() undoes it through the same addresses, so that nothing has to be
mapped anew. Clones keep as many states as you like.

Needs Unicorn: pip install 'pymempool[examples]'
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from unicorn import UC_ARCH_X86, UC_MODE_64, Uc
from unicorn.x86_const import UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDI

from pymempool import MemoryPool

BLOCK = 4096  # bytes; Unicorn maps whole pages of this size
CODE, DATA = 0, 4 * BLOCK  # where in guest memory
SIZE = 16 * BLOCK

# Adds rcx to each of 8 counters, and returns the last in rax.
PROGRAM = bytes.fromhex(
    "48 8d 77 40"  # lea  rsi, [rdi + 64]
    "48 01 0f"  #    again: add [rdi], rcx
    "48 8b 07"  #    mov  rax, [rdi]
    "48 83 c7 08"  # add  rdi, 8
    "48 39 f7"  #    cmp  rdi, rsi
    "75 f1"  #       jne  again
)


@contextmanager
def mapped(engine: Uc, pool: MemoryPool) -> Iterator[None]:
    """The pool is the guest's memory, block by block, within this context."""
    pins = []
    try:
        for offset in range(0, pool.total_size, BLOCK):
            pin = pool.pin(offset, BLOCK)
            address = ctypes.addressof(ctypes.c_char.from_buffer(pin))
            engine.mem_map_ptr(offset, BLOCK, 7, address)
            pins.append(pin)
        yield
    finally:
        # First the emulator must forget the addresses; then the memory may go.
        for number in range(len(pins)):
            engine.mem_unmap(number * BLOCK, BLOCK)
        for pin in pins:
            pin.release()


def run(engine: Uc, step: int) -> int:
    engine.reg_write(UC_X86_REG_RDI, DATA)
    engine.reg_write(UC_X86_REG_RCX, step)
    engine.emu_start(CODE, CODE + len(PROGRAM))
    return int(engine.reg_read(UC_X86_REG_RAX))


def main() -> None:
    engine = Uc(UC_ARCH_X86, UC_MODE_64)
    pool = MemoryPool(SIZE, BLOCK)
    pool.write(CODE, PROGRAM)
    for number in range(8):
        pool.fetch_add(DATA + 8 * number, 100)

    with mapped(engine, pool):
        start = pool.clone()  # a copy of what is pinned; clones of clones cost nothing
        for step in (1, 20, 300):
            result = run(engine, step)
            told = int.from_bytes(pool.read(DATA, 8), "little")
            print(f"100 + {step} = {result} in the guest, {told} in the pool")
            pool.restore(start)
        again = [run(engine, 5), run(engine, 5)]
        print(f"without a roll-back: {again}")
        end = pool.clone()

    changed = [
        offset
        for start_, size in end.changes(start)
        for offset in range(start_, start_ + size, 8)
        if end.read(offset, 8) != start.read(offset, 8)
    ]
    print(f"what the last runs changed: {[hex(offset) for offset in changed]}")
    stats = pool.stats
    print(f"still pinned: {stats.pinned_blocks} blocks, {stats.family_views} pins")


if __name__ == "__main__":
    main()
