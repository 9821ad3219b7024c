# SPDX-License-Identifier: MIT
"""Unicorn runs guest code in 64 MiB of a pool, which is rolled back between runs.

The guest's memory is one pin of the pool, mapped into the emulator by one call and
without a copy. What the guest writes is in the pool at once; restore() undoes it at the
same addresses, at the cost of the pages that were written. Clones keep as many states as
you like.

`unicorn_rollback.py times` also tells what it takes, beside Unicorn's own snapshots.
Needs Unicorn: pip install 'pymempool[examples]'
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Callable

from unicorn import UC_ARCH_X86, UC_MODE_64, Uc
from unicorn.unicorn_const import (
    UC_CTL_CONTEXT_CPU,
    UC_CTL_CONTEXT_MEMORY,
    UC_CTL_CONTEXT_MODE,
    UC_CTL_IO_WRITE,
)
from unicorn.x86_const import UC_X86_REG_RBX, UC_X86_REG_RDI, UC_X86_REG_RSI

from pymempool import MemoryPool

PAGE = 4096
RAM = 64 << 20  # bytes of memory, from address 0 on; the device's page is behind it
CODE, DATA = 0, 1 << 20
STRIDE, COUNTERS = 64 * PAGE, 16  # each counter lies in a page of its own
RUNS = 1000

# Reads a number from the device, adds it to all counters, tells the device the last one.
PROGRAM = bytes.fromhex(
    "8b 0b"  #              mov  ecx, [rbx]
    "48 01 0f"  #    again: add  [rdi], rcx
    "48 8b 07"  #           mov  rax, [rdi]
    "48 81 c7 00 00 04 00"  # add  rdi, STRIDE
    "48 39 f7"  #           cmp  rdi, rsi
    "75 ee"  #              jne  again
    "89 43 08"  #           mov  [rbx + 8], eax
)


class Device:
    """A page of registers: one gives the guest a number, one takes the result."""

    def __init__(self, engine: Uc) -> None:
        self.number = self.result = 0
        engine.mmio_map(RAM, PAGE, self._read, None, self._write, None)

    def _read(self, engine: Uc, offset: int, size: int, data: object) -> int:
        return self.number

    def _write(
        self, engine: Uc, offset: int, size: int, value: int, data: object
    ) -> None:
        self.result = value


@contextmanager
def mapped(engine: Uc, pool: MemoryPool) -> Iterator[None]:
    """The pool is the guest's memory within this context."""
    with pool.pin() as pin:
        address = ctypes.addressof(ctypes.c_char.from_buffer(pin))
        engine.mem_map_ptr(0, len(pin), 7, address)
        try:
            yield
        finally:  # the emulator must forget the address before the pin is released
            engine.mem_unmap(0, len(pin))


def run(engine: Uc, device: Device, number: int) -> int:
    device.number = number
    engine.reg_write(UC_X86_REG_RBX, RAM)
    engine.reg_write(UC_X86_REG_RDI, DATA)
    engine.reg_write(UC_X86_REG_RSI, DATA + COUNTERS * STRIDE)
    engine.emu_start(CODE, CODE + len(PROGRAM))
    return device.result


def in_a_pool(times: bool) -> None:
    pool = MemoryPool(RAM, PAGE)
    pool.write(CODE, PROGRAM)
    engine = Uc(UC_ARCH_X86, UC_MODE_64)
    device = Device(engine)
    began = perf_counter()
    with mapped(engine, pool):
        if times:
            print(f"pinned and mapped in {1e3 * (perf_counter() - began):.2f} ms")
        start = pool.clone()  # the state that each run begins with

        def once(number: int) -> int:
            result = run(engine, device, number)
            pool.restore(start)
            return result

        taken = rolled_back(once)
        if times:
            print(f"a run and its roll-back: {1e6 * taken:.0f} us")

        run(engine, device, 5)
        dirty = [offset // PAGE for offset, _ in pool.changes(start)]
        print(f"dirty pages: {len(dirty)}, the first {dirty[:3]}")

        states = [pool.clone()]  # any number of them, in any order
        for number in (20, 300):
            run(engine, device, number)
            states.append(pool.clone())
        for state in (states[1], states[2], states[0]):
            pool.restore(state)
            counter = int.from_bytes(pool.read(DATA, 8), "little")
            print(f"from {counter}: {run(engine, device, 1)}")
    stats = pool.stats
    print(f"still pinned: {stats.pinned_blocks} blocks, {stats.family_views} pins")


def by_unicorn(times: bool) -> None:
    """The same runs with Unicorn's own memory and snapshots."""
    engine = Uc(UC_ARCH_X86, UC_MODE_64)
    device = Device(engine)
    engine.mem_map(0, RAM)
    engine.mem_write(CODE, PROGRAM)
    what = UC_CTL_CONTEXT_CPU | UC_CTL_CONTEXT_MEMORY
    engine.ctl(UC_CTL_CONTEXT_MODE, UC_CTL_IO_WRITE, what)
    start = engine.context_save()

    def once(number: int) -> int:
        result = run(engine, device, number)
        engine.context_restore(start)
        return result

    taken = rolled_back(once)
    if times:
        print(f"the same by Unicorn's snapshots: {1e6 * taken:.0f} us")


def rolled_back(once: Callable[[int], int]) -> float:
    """Makes the runs, each from the same state; returns the seconds that one took."""
    began = perf_counter()
    right = sum(once(number) == number for number in range(RUNS))
    taken = (perf_counter() - began) / RUNS
    print(f"{RUNS} runs from the same state, right: {right}")
    return taken


def main() -> None:
    times = sys.argv[1:] == ["times"]
    in_a_pool(times)
    by_unicorn(times)


if __name__ == "__main__":
    main()
