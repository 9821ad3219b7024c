# SPDX-License-Identifier: MIT
"""The rows W6 to W8: a pin over the whole pool, for NumPy and Unicorn.

The rows W1 to W5 are those of the C benchmarks.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from functools import partial
from time import perf_counter
from typing import Any, Callable

from rows import KIB, Bench, Row, Rows
from stores import MIB, needed

from pymempool import MemoryPool
from pymempool.cli.timing import Timing, alternate, random_offsets

BLOCK = 4 * KIB


def timed(call: Callable[[], Any], count: int = 1) -> float:
    """The seconds of one of the calls."""
    start = perf_counter()
    for _ in range(count):
        call()
    return (perf_counter() - start) / count


# ----------------------------------------------------------------------------- W6


def pooled_array(size: int) -> tuple[MemoryPool, Any]:
    """A pool of so many bytes and an array of float64 that is all of it; full of ones."""
    needed("numpy")
    pool = MemoryPool(size, BLOCK)
    array = pool.array(size // 8)
    array[:] = 1
    return pool, array


def small_pages(size: int) -> Any:
    """An array without huge pages, for which NumPy asks the system."""
    numpy = needed("numpy")
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    array = numpy.frombuffer(memory, "f8")
    array[:] = 1
    return array


def w6(bench: Bench) -> Iterator[Row]:
    numpy = needed("numpy")
    pool, array = pooled_array(bench.held)
    arrays = {
        "pool": array,
        "numpy": numpy.ones(bench.held // 8),
        "numpy, small pages": small_pages(bench.held),
    }
    held = f"{bench.held // MIB} MiB of float64"
    in_place: dict[str, Callable[[Any], Any]] = {
        "a += 1": lambda a: numpy.add(a, 1, out=a),
        "a.sum()": lambda a: a.sum(),
    }
    for what, act in in_place.items():
        cases = {
            name: partial(timed, partial(act, each)) for name, each in arrays.items()
        }
        timings = alternate(cases, min(bench.rounds, 11))
        yield Row("W6", f"{what}, {held}", "numpy", 1.05, timings)

    def cloned() -> None:
        with pool.clone():
            in_place["a += 1"](array)

    def copied() -> None:
        kept = numpy.copy(arrays["numpy"])
        in_place["a += 1"](arrays["numpy"])
        del kept

    cases = {"pool": partial(timed, cloned), "numpy.copy": partial(timed, copied)}
    timings = alternate(cases, min(bench.rounds, 11))
    what = f"clone, a += 1 (all pages are written), {held}"
    yield Row("W6", what, "numpy.copy", 1.0, timings)


# ----------------------------------------------------------------------------- W7

STATES, CHANGED = 100, 10 * MIB


def w7(bench: Bench) -> Iterator[Row]:
    numpy = needed("numpy")
    pool, array = pooled_array(bench.held)
    flat = numpy.ones(bench.held // 8)
    places = random_offsets(bench.held, CHANGED, STATES)
    states = [pool.clone()]
    before = pool.stats.family_bytes
    at = 0

    def change(memory: Any) -> None:
        begin = places[at % STATES] // 8
        memory[begin : begin + CHANGED // 8] += 1

    def in_the_pool() -> float:
        nonlocal at
        start = perf_counter()
        change(array)
        states.append(pool.clone())
        taken = perf_counter() - start
        at += 1
        return taken

    def by_copy() -> float:
        start = perf_counter()
        change(flat)
        numpy.copy(flat)  # and dropped: a hundred of them have no room
        return perf_counter() - start

    rounds = min(bench.rounds, STATES - 1)
    timings = alternate({"pool": in_the_pool, "numpy.copy": by_copy}, rounds)
    what = f"10 MiB of {bench.held // MIB} MiB changed in place, and kept as a state"
    yield Row("W7", what, "numpy.copy", 0.05, timings)

    while len(states) <= STATES:
        in_the_pool()
    taken = (pool.stats.family_bytes - before) / (STATES * CHANGED)
    memory = {"pool": Timing(taken, taken, taken), "what changed": Timing(1, 1, 1)}
    what = f"memory of {STATES} such states, x what changed"
    yield Row("W7", what, "what changed", 1.1, memory, unit="x")


# ----------------------------------------------------------------------------- W8

RAM, DATA, PAGES = 64 * MIB, MIB, 16

#: Adds 1 to a counter in each of 16 pages, 256 KiB apart.
PROGRAM = bytes.fromhex("48ff07 4881c700000400 4839f7 75f1")


def engine_of(map_memory: Callable[[Any], object]) -> tuple[Any, Callable[[], None]]:
    """An engine with the program in its memory, and what runs it."""
    unicorn = needed("unicorn")
    registers = needed("unicorn.x86_const")
    engine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    map_memory(engine)
    engine.mem_write(0, PROGRAM)

    def run() -> None:
        engine.reg_write(registers.UC_X86_REG_RDI, DATA)
        engine.reg_write(registers.UC_X86_REG_RSI, DATA + PAGES * 256 * KIB)
        engine.emu_start(0, len(PROGRAM))

    return engine, run


def map_pin(engine: Any, pin: memoryview) -> None:
    address = ctypes.addressof(ctypes.c_char.from_buffer(pin))
    engine.mem_map_ptr(0, len(pin), 7, address)


def pinned_and_mapped() -> float:
    unicorn = needed("unicorn")
    engine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    with MemoryPool(RAM, BLOCK) as pool:
        start = perf_counter()
        pin = pool.pin()
        map_pin(engine, pin)
        taken = perf_counter() - start
        engine.mem_unmap(0, RAM)
        pin.release()
    return taken


def w8(bench: Bench) -> Iterator[Row]:
    timings = alternate({"pool": pinned_and_mapped}, bench.rounds)
    yield Row("W8", "64 MiB pinned, one mem_map_ptr", None, 1e-3, timings)

    pool = MemoryPool(RAM, BLOCK)
    pin = pool.pin()
    _, run_pinned = engine_of(lambda engine: map_pin(engine, pin))
    saved = pool.clone()

    def in_the_pool() -> None:
        run_pinned()
        pool.restore(saved)

    own, run_own = engine_of(lambda engine: engine.mem_map(0, RAM))
    names = needed("unicorn.unicorn_const")
    what = names.UC_CTL_CONTEXT_CPU | names.UC_CTL_CONTEXT_MEMORY
    own.ctl(names.UC_CTL_CONTEXT_MODE, names.UC_CTL_IO_WRITE, what)
    context = own.context_save()

    def by_snapshot() -> None:
        run_own()
        own.context_restore(context)

    copied, run_copied = engine_of(lambda engine: engine.mem_map(0, RAM))
    memory = bytes(copied.mem_read(0, RAM))

    def by_copy() -> None:
        run_copied()
        copied.mem_write(0, memory)

    _, run_alone = engine_of(lambda engine: engine.mem_map(0, RAM))
    cases = {
        "pool": partial(timed, in_the_pool, 20),
        "snapshot": partial(timed, by_snapshot, 20),
        "mem_write of all": partial(timed, by_copy),
        "the run alone": partial(timed, run_alone, 20),
    }
    timings = alternate(cases, bench.rounds)
    yield Row("W8", "a run that writes to 16 pages, put back", "snapshot", 0.1, timings)
    assert pin[DATA : DATA + 8] == bytes(own.mem_read(DATA, 8)) == bytes(8)


ROWS: Rows = {"W6": w6, "W7": w7, "W8": w8}
