# SPDX-License-Identifier: MIT
"""What the plots show: how costs grow with size, threads, bytes held, bytes written.

A curve is a list of points [x, low, median, high].
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from rows import GIB, KIB, MIB, accesses, movers, throughput
from stores import NotMeasuredError, filled_pool, not_measured, stores

from pymempool.cli.timing import alternate, random_offsets, statement, summary

Curves = dict[str, list[list[float]]]


def measure(rounds: int, quick: bool) -> dict[str, Curves]:
    """All curves, by the plot and then by the name of whose they are."""
    found: dict[str, Curves] = {}
    for name, sweep in SWEEPS.items():
        print(f"measuring {name}", file=sys.stderr)
        try:
            found.update(sweep(rounds, quick))
        except NotMeasuredError as error:
            not_measured[name] = str(error)
    return found


def add(curves: Curves, x: float, values: dict[str, Any]) -> None:
    for name, timing in values.items():
        point = [x, timing.low, timing.median, timing.high]
        curves.setdefault(name, []).append(point)


def sizes(rounds: int, quick: bool) -> dict[str, Curves]:
    """Seconds a call against its size."""
    span = 64 * MIB if quick else 256 * MIB
    found = [store for store in stores(span) if not store.span]
    curves: dict[str, Curves] = {"read": {}, "write": {}}
    for size in (4**power for power in range(13)):  # 1 B .. 16 MiB
        for kind, to in curves.items():
            add(to, size, alternate(accesses(kind, found, span, size), rounds))
    return curves


def threads(rounds: int, quick: bool) -> dict[str, Curves]:
    """Bytes a second against the number of threads, in pieces of 1 MiB."""
    span, size = 64 * MIB, MIB
    offsets = random_offsets(span, size, 100 if quick else 200)
    taken: dict[tuple[str, int], list[float]] = {}
    cases = movers(span, size)
    for _ in range(rounds):
        for name, make in cases.items():
            for count in (1, 2):
                calls = [make() for _ in range(count)]
                rate = throughput(calls, offsets, size)
                taken.setdefault((name, count), []).append(rate)
    curves: Curves = {}
    for (name, count), rates in taken.items():
        add(curves, count, {name: summary(rates)})
    return {"threads": curves}


_FORK = """
import os, sys, time
held = bytearray(b"x") * int(sys.argv[1])
for _ in range(int(sys.argv[2])):
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        os._exit(0)
    print(time.perf_counter() - start)
    os.waitpid(child, 0)
"""


def snapshots(rounds: int, quick: bool) -> dict[str, Curves]:
    """Seconds for a snapshot against the bytes held."""
    curves: Curves = {}
    for held in in_fours(MIB, GIB // 4 if quick else GIB):
        flat, pool = bytearray(b"x") * held, filled_pool(held, 4 * KIB)
        copy = statement("bytearray(flat)", range(100), flat=flat)
        clone = statement("pool.clone()", range(10_000), pool=pool)
        cases = {"clone of a pool": clone, "copy of a bytearray": copy}
        add(curves, held, alternate(cases, rounds))
        # A process of its own, that holds nothing else.
        times = child(_FORK, held, rounds + 1)[1:]
        add(curves, held, {"fork of a process": summary(times)})
    return {"snapshots": curves}


_RESIDENT = """
import mmap, random, sys
from pathlib import Path
from pymempool import MemoryPool

def resident():  # page tables too: they are what sparse mappings cost most
    lines = Path("/proc/self/status").read_text().splitlines()
    facts = dict(line.split(":", 1) for line in lines)
    return 1024 * (int(facts["VmRSS"].split()[0]) + int(facts["VmPTE"].split()[0]))

kind, span, most = sys.argv[1], 1 << 40, int(sys.argv[2])
if kind == "mmap":
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000  # MAP_NORESERVE
    store = mmap.mmap(-1, span, flags=flags)
    def write(at): store[at : at + 8] = b"12345678"
else:
    pool = MemoryPool(span, int(kind))
    def write(at): pool.write(at, b"12345678")
choose, before, told = random.Random(1).randrange, resident(), 1
for count in range(1, most + 1):
    write(choose(span // 8) * 8)
    if count == told:
        print(resident() - before)
        told *= 4
"""


def footprint(rounds: int, quick: bool) -> dict[str, Curves]:
    """Bytes that become resident against bytes written, 8 here and 8 there in 1 TiB."""
    if not sys.platform.startswith("linux"):
        raise NotMeasuredError("resident bytes are read from /proc")
    most = 4**7 if quick else 4**8
    curves: Curves = {}
    for name, kind in (
        ("pool, blocks of 4 KiB", 4 * KIB),
        ("pool, blocks of 64 KiB", 64 * KIB),
        ("mmap", "mmap"),
    ):
        runs = [child(_RESIDENT, kind, most) for _ in range(3)]
        for power, values in enumerate(zip(*runs)):
            add(curves, 8 * 4**power, {name: summary(values)})
    curves["what was written"] = [[8 * 4**p] * 4 for p in range(len(runs[0]))]
    return {"footprint": curves}


def child(code: str, *arguments: object) -> list[float]:
    """The numbers that a program prints."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(line) for line in done.stdout.split()]


def in_fours(first: int, last: int) -> Iterable[int]:
    while first <= last:
        yield first
        first *= 4


SWEEPS = {
    "cost against size": sizes,
    "throughput against threads": threads,
    "snapshots against bytes held": snapshots,
    "resident bytes against bytes written": footprint,
}
