# SPDX-License-Identifier: MIT
"""`pymempool bench`: what a pool costs beside bytearray and mmap, on this machine."""

from __future__ import annotations

import argparse
import json
import mmap
import platform
from collections.abc import Mapping
from functools import partial
from time import perf_counter
from typing import Any, Callable, TextIO

from .. import MemoryPool, __version__, trim
from .._core.words import human_ratio, human_time
from .parser import Commands, add_command
from .timing import Timing, alternate, random_offsets, statement

_ABOUT = """\
Times reads, writes, snapshots and the first writes to new memory, each beside bytearray
and mmap. Takes some seconds and 300 MiB.
"""

KIB, MIB = 1 << 10, 1 << 20
SPAN = 64 * MIB  # the size of each store, all over which single accesses go

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
    """Times all rows and prints them; returns 0."""
    rows = measure()
    if as_json:
        timings = {
            row: {case: timing._asdict() for case, timing in cases.items()}
            for row, cases in rows.items()
        }
        versions = {"pymempool": __version__, "python": platform.python_version()}
        result = {**versions, "unit": "seconds a call", "rows": timings}
        json.dump(result, out, indent=2)
        out.write("\n")
    else:
        out.write("\n".join(_table(rows)) + "\n")
    return 0


def measure() -> dict[str, dict[str, Timing]]:
    """Times every row: the timing of each store, by its name."""
    rows = {}
    flat = bytearray(b"x") * SPAN
    with MemoryPool(SPAN) as pool, mmap.mmap(-1, SPAN) as mapped:
        for at in range(0, SPAN, MIB):
            pool.write(at, b"x" * MIB)
        mapped[:] = bytes(flat)
        stores: dict[str, Any] = {"pool": pool, "flat": flat, "mapped": mapped}
        for size, name in ((8, "8 B"), (4 * KIB, "4 KiB"), (MIB, "1 MiB")):
            offsets = random_offsets(SPAN, size)
            names: dict[str, Any] = {**stores, "size": size, "data": b"y" * size}
            for access, codes in _ACCESSES.items():
                cases = {
                    c: statement(code, offsets, **names) for c, code in codes.items()
                }
                rows[f"{access} {name}"] = alternate(cases)
        cases = {
            c: statement(code, range(500), **stores) for c, code in _SNAPSHOTS.items()
        }
        rows["snapshot, 64 MiB"] = alternate(cases)
    cases = {"pool": _fill_pool, "bytearray": _fill_bytearray, "mmap": _fill_mmap}
    rows["first touch, 64 MiB"] = alternate(cases)
    return rows


def _fill_pool() -> float:
    trim()  # else cached memory, which was written before, would be used again
    return _timed(lambda: MemoryPool(SPAN), lambda pool: pool.write)


def _fill_bytearray() -> float:
    return _timed(lambda: bytearray(SPAN), lambda store: partial(_put, store))


def _fill_mmap() -> float:
    return _timed(lambda: mmap.mmap(-1, SPAN), lambda store: partial(_put, store))


def _put(store: Any, at: int, data: bytes) -> None:
    store[at : at + len(data)] = data


def _timed(make: Callable[[], Any], writer: Callable[[Any], Callable[..., Any]]) -> float:
    """Returns the seconds to make a store and to write SPAN bytes to it, 1 MiB a call."""
    data, offsets = b"x" * MIB, range(0, SPAN, MIB)
    start = perf_counter()
    store = make()
    write = writer(store)
    for at in offsets:
        write(at, data)
    return perf_counter() - start


def _table(rows: Mapping[str, Mapping[str, Timing]]) -> list[str]:
    stores = list(next(iter(rows.values())))
    others = stores[1:]
    head = ["", *stores, *(f"pool / {other}" for other in others)]
    lines = [head]
    for row, cases in rows.items():
        pool = cases["pool"].median
        times = [human_time(cases[name].median) for name in stores]
        ratios = [human_ratio(pool / cases[name].median) for name in others]
        lines.append([row, *times, *ratios])
    widths = [max(map(len, column)) for column in zip(*lines)]
    return [
        f"pymempool {__version__}, Python {platform.python_version()}: median of a call",
        "",
        *(
            line[0].ljust(widths[0])
            + "".join("  " + cell.rjust(w) for cell, w in zip(line[1:], widths[1:]))
            for line in lines
        ),
        "",
        "Single reads and writes go to random offsets in 64 MiB. A snapshot is clone()",
        "for the pool and a copy for the others. First touch makes a store and fills it,",
        "1 MiB per call, with memory that is new to the process.",
    ]


# ------------------------------------------------------------------ the command line


def add(commands: Commands) -> None:
    parser = add_command(
        commands, "bench", "time a pool beside bytearray and mmap", _ABOUT
    )
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace, out: TextIO) -> int:
    return run(out, options.json)
