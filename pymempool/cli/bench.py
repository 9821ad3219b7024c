# SPDX-License-Identifier: MIT
"""What a pool costs beside bytearray and mmap, on this machine.

`pymempool bench` runs the rows below. In each row the candidates take turns, so that
whatever else the machine does hits all of them, and the medians of the rounds are
compared. The first half of the file is what measures (benchmarks/python uses it as
well), the second half is the rows.
"""

from __future__ import annotations

import argparse
import json
import mmap
import platform
import random
import statistics
import timeit
from collections.abc import Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any, Callable, NamedTuple, TextIO

from .. import MemoryPool, __version__, trim
from .parser import Commands

KIB, MIB = 1 << 10, 1 << 20

_TURN = 0.0015  # seconds that a case gets in a round, if a call takes no longer

#: Makes some number of calls and returns the seconds that one of them took.
Run = Callable[[], float]


class Timing(NamedTuple):
    """Seconds a call: the median of the rounds, and the quartiles around it."""

    median: float
    low: float
    high: float


def alternate(cases: Mapping[str, Run], rounds: int = 21) -> dict[str, Timing]:
    """Lets the cases take turns; a round more goes before them and does not count."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds + 1):
        for name, run in cases.items():
            taken[name].append(run())
    return {name: summary(times[1:]) for name, times in taken.items()}


def summary(times: Sequence[float]) -> Timing:
    """The median of two or more times, and the quartiles."""
    low, median, high = statistics.quantiles(times, n=4, method="inclusive")
    return Timing(median, low, high)


def statement(code: str, places: Sequence[int], **names: Any) -> Run:
    """Runs `code`, in which `at` is one place after the other, for a few ms.

    The loop is measured as well, for all alike; it takes some 10 ns a turn.
    """
    timer = timeit.Timer(f"for at in places: {code}", globals=names)
    next_place = 0

    def run(count: int) -> float:
        # Always other places, which no turn before has brought into the caches.
        nonlocal next_place
        start = next_place if next_place + count <= len(places) else 0
        next_place = start + count
        names["places"] = places[start:next_place]
        return timer.timeit(1) / count

    count = 1
    while (each := run(count)) * count < _TURN / 2 and count < len(places):
        count = min(2 * count, len(places))
    count = max(1, min(len(places), int(_TURN / each)))

    def turn() -> float:
        if count > 1:
            run(count)  # for code and hot data to be in the caches; not measured
        return run(count)

    return turn


def random_places(span: int, size: int, count: int = 50_000) -> list[int]:
    """Offsets of pieces of `size` bytes all over `span`; the same ones every time."""
    choose = random.Random(size).randrange
    return [choose(span // size) * size for _ in range(count)]


def human_time(seconds: float) -> str:
    """A time in the unit that suits it, to three digits."""
    units = [(1e-9, "ns"), (1e-6, "us"), (1e-3, "ms"), (1.0, "s")]
    unit, name = next((u for u in units if seconds < 999.5 * u[0]), units[-1])
    value = seconds / unit
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {name}"


def human_ratio(ratio: float) -> str:
    """A ratio to three digits; those that are tiny as fractions."""
    return f"{ratio:.3g}" if ratio >= 0.01 else f"1/{1 / ratio:,.0f}"


# ------------------------------------------------------------------------ the rows

SPAN = 64 * MIB  # what is held, and where single accesses go

# What each of the candidates does.
_ACCESSES = {
    "read": {
        "pool": "pool.read(at, size)",
        "bytearray": "flat[at : at + size]",
        "mmap": "mapped[at : at + size]",
    },
    "write": {
        "pool": "pool.write(at, data)",
        "bytearray": "flat[at : at + size] = data",
        "mmap": "mapped[at : at + size] = data",
    },
}
_SNAPSHOTS = {"pool": "pool.clone()", "bytearray": "bytearray(flat)", "mmap": "mapped[:]"}


def run(out: TextIO, as_json: bool = False) -> int:
    """Measures all rows and prints them; returns 0."""
    rows = measure()
    if as_json:
        told = {
            row: {case: timing._asdict() for case, timing in cases.items()}
            for row, cases in rows.items()
        }
        facts = {"pymempool": __version__, "python": platform.python_version()}
        json.dump({**facts, "unit": "seconds a call", "rows": told}, out, indent=2)
        out.write("\n")
    else:
        out.write("\n".join(_table(rows)) + "\n")
    return 0


def measure() -> dict[str, dict[str, Timing]]:
    """Every row: what it takes each of the candidates."""
    rows = {}
    flat = bytearray(b"x") * SPAN
    with MemoryPool(SPAN) as pool, mmap.mmap(-1, SPAN) as mapped:
        for at in range(0, SPAN, MIB):
            pool.write(at, b"x" * MIB)
        mapped[:] = bytes(flat)
        stores: dict[str, Any] = {"pool": pool, "flat": flat, "mapped": mapped}
        for size, name in ((8, "8 B"), (4 * KIB, "4 KiB"), (MIB, "1 MiB")):
            places = random_places(SPAN, size)
            names: dict[str, Any] = {**stores, "size": size, "data": b"y" * size}
            for kind, codes in _ACCESSES.items():
                cases = {c: statement(code, places, **names) for c, code in codes.items()}
                rows[f"{kind} {name}"] = alternate(cases)
        cases = {
            c: statement(code, range(500), **stores) for c, code in _SNAPSHOTS.items()
        }
        rows["snapshot, 64 MiB"] = alternate(cases)
    cases = {"pool": _fill_pool, "bytearray": _fill_bytearray, "mmap": _fill_mmap}
    rows["first touch, 64 MiB"] = alternate(cases)
    return rows


def _fill_pool() -> float:
    trim()  # or it would use memory again that was touched before
    return _timed(lambda: MemoryPool(SPAN), lambda pool: pool.write)


def _fill_bytearray() -> float:
    return _timed(lambda: bytearray(SPAN), lambda store: partial(_put, store))


def _fill_mmap() -> float:
    return _timed(lambda: mmap.mmap(-1, SPAN), lambda store: partial(_put, store))


def _put(store: Any, at: int, data: bytes) -> None:
    store[at : at + len(data)] = data


def _timed(make: Callable[[], Any], writer: Callable[[Any], Callable[..., Any]]) -> float:
    """Seconds to make a store and to write SPAN to it in pieces."""
    data, places = b"x" * MIB, range(0, SPAN, MIB)
    start = perf_counter()
    store = make()
    write = writer(store)
    for at in places:
        write(at, data)
    return perf_counter() - start


def _table(rows: Mapping[str, Mapping[str, Timing]]) -> list[str]:
    candidates = list(next(iter(rows.values())))
    others = candidates[1:]
    head = ["", *candidates, *(f"pool / {other}" for other in others)]
    lines = [head]
    for row, cases in rows.items():
        pool = cases["pool"].median
        times = [human_time(cases[name].median) for name in candidates]
        ratios = [human_ratio(pool / cases[name].median) for name in others]
        lines.append([row, *times, *ratios])
    widths = [max(map(len, column)) for column in zip(*lines)]
    return [
        f"pymempool {__version__}, Python {platform.python_version()}: medians of a call",
        "",
        *(
            line[0].ljust(widths[0])
            + "".join("  " + cell.rjust(w) for cell, w in zip(line[1:], widths[1:]))
            for line in lines
        ),
        "",
        "Single accesses go to random places in 64 MiB. A snapshot is clone() for the",
        "pool and a copy for the others. First touch makes one and fills it, 1 MiB a",
        "time, from memory that is new to the process.",
    ]


# ------------------------------------------------------------------ the command line


def add(commands: Commands) -> None:
    told = commands.add_parser(
        "bench",
        help="measure a pool beside bytearray and mmap, on this machine",
        description="Measures reads, writes, snapshots and the first use of memory, each "
        "beside bytearray and mmap. Takes some seconds and 300 MiB.",
    )
    told.add_argument("--json", action="store_true", help="numbers for programs")
    told.set_defaults(run=_run)


def _run(options: argparse.Namespace, out: TextIO) -> int:
    return run(out, options.json)
