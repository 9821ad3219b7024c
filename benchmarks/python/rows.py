# SPDX-License-Identifier: MIT
"""The rows P1 to P8: what is measured, against which reference, and the goal.

A row compares one value of the pool with one of its reference, measured in turns. What
else stands in it is there to be seen beside them.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, Callable

from stores import (
    MIB,
    NotMeasuredError,
    Store,
    filled_pool,
    needed,
    not_measured,
    operands,
    stores,
)

from pymempool import MemoryPool
from pymempool._core.words import human_time
from pymempool._native import near
from pymempool._native.buffers import fresh_bytes
from pymempool._native.calls import quick
from pymempool.cli.timing import Timing, alternate, random_offsets, statement, summary

KIB, GIB = 1 << 10, 1 << 30


@dataclass
class Row:
    """One comparison. All timings are seconds, or how many times as much (unit "x")."""

    key: str
    what: str
    reference: str | None  #: whose timing the ratio is against; None: against nothing
    goal: float  #: for the ratio, or for the pool's own seconds if there is no reference
    timings: dict[str, Timing]
    unit: str = "s"
    at_least: bool = False
    plus: float = 0.0  #: seconds that the pool may take more than the reference

    @property
    def value(self) -> float:
        """What the goal is for."""
        pool = self.timings["pool"].median
        if self.plus:
            return pool - self.timings[self.reference or ""].median
        return pool / self.timings[self.reference].median if self.reference else pool

    @property
    def reached(self) -> bool:
        goal = self.plus or self.goal
        return self.value >= goal if self.at_least else self.value <= goal

    def told_goal(self) -> str:
        if self.plus:
            return f"+{human_time(self.plus)}"
        if self.reference is None and self.unit == "s":
            return f"<= {human_time(self.goal)}"
        return f"{'>=' if self.at_least else '<='} {self.goal:g}"

    def as_json(self) -> dict[str, Any]:
        timings = {name: timing._asdict() for name, timing in self.timings.items()}
        told = {"value": self.value, "goal": self.told_goal(), "reached": self.reached}
        names = {"key": self.key, "what": self.what, "reference": self.reference}
        return {**names, **told, "unit": self.unit, "timings": timings}


@dataclass
class Bench:
    """How much is measured."""

    rounds: int  #: at least 7, and short ones: what disturbs comes in bursts
    large: int  #: bytes
    held: int  #: bytes, for P7

    def rows(self, table: Rows, wanted: set[str]) -> Iterator[Row]:
        """Those of the table that are wanted, or all if none is."""
        for key, measure in table.items():
            if not wanted or key in wanted:
                try:
                    yield from measure(self)
                except NotMeasuredError as error:
                    not_measured[key] = str(error)


#: What makes the rows of each key.
Rows = dict[str, Callable[[Bench], Iterator[Row]]]


def accesses(
    kind: str, found: list[Store], span: int, size: int
) -> dict[str, Callable[[], float]]:
    """Each store's reads or writes of one size, all over what it holds."""
    cases = {}
    for store in found:
        if size > (store.span or span):
            continue
        offsets = random_offsets(store.span or span, size)
        names = {**store.names, **operands(size)}
        cases[store.name] = statement(getattr(store, kind), offsets, **names)
    return cases


# --------------------------------------------------------------------- P1, P2, P3


def floors(span: int, size: int) -> dict[str, dict[str, Callable[[], float]]]:
    """What ctypes takes to get to C and back: the library's own functions, with a size
    of 0, so that they do nothing. With declared types of arguments, as functions of
    ctypes usually have them, and without, as those of the pool's short calls."""
    pool, buffer = MemoryPool(span), bytearray(size)
    place = (ctypes.c_char * 0).from_buffer
    held = place(buffer)
    names = {
        "read": quick.pool_read,
        "write": quick.pool_write,
        "bare_read": near.read,
        "bare_write": near.write,
        "address": pool.handle,
        "argument": near.as_argument(pool.handle),
        "pool": pool,  # which must live as long as its address is used
        "data": b"y" * size,
        "size": size,
        "fresh": fresh_bytes,
        "buffer": buffer,
        "place": place,
        "addressof": ctypes.addressof,
        "known": ctypes.addressof(held),
        "held": held,
    }
    codes = {
        "read": {
            "empty call + bytes(n)": "read(address, bytes(size), at, 0)",
            "empty call + PyBytes_From...": ("read(address, fresh(None, size), at, 0)"),
            "empty call": "read(address, known, at, 0)",
            "undeclared call": "bare_read(argument, held, at, 0)",
        },
        "write": {
            "empty call": "write(address, at, data, 0)",
            "undeclared call": "bare_write(argument, at, data, 0)",
        },
        "readinto": {
            "empty call + address of buffer": (
                "held = place(buffer); read(address, addressof(held), at, 0)"
            ),
            "empty call": "read(address, known, at, 0)",
            "undeclared call + buffer": "bare_read(argument, place(buffer), at, 0)",
        },
    }
    offsets = random_offsets(span, size)
    return {
        kind: {name: statement(code, offsets, **names) for name, code in cases.items()}
        for kind, cases in codes.items()
    }


def p1(bench: Bench) -> Iterator[Row]:
    for where, span in (("hot", 256 * KIB), ("large", bench.large)):
        found = stores(span)
        for kind in ("read", "write"):
            floor = floors(span, 8)[kind]
            # An empty call meets no memory. Where memory is what takes the time, the
            # floor is a call that does.
            reference = next(iter(floor)) if where == "hot" else "ctypes memmove"
            cases = {**accesses(kind, found, span, 8), **floor}
            timings = alternate(cases, bench.rounds)
            yield Row("P1", f"{kind} 8 B, {where}", reference, 1.5, timings)


def p2(bench: Bench) -> Iterator[Row]:
    found = stores(bench.large)
    for kind in ("read", "write"):
        timings = alternate(accesses(kind, found, bench.large, MIB), bench.rounds)
        yield Row("P2", f"{kind} 1 MiB, large", "bytearray", 1.1, timings)


def p3(bench: Bench) -> Iterator[Row]:
    span = 256 * KIB
    floor = floors(span, 4 * KIB)["readinto"]
    cases = {**accesses("readinto", stores(span), span, 4 * KIB), **floor}
    timings = alternate(cases, bench.rounds)
    for reference in list(floor)[:2]:
        yield Row("P3", "readinto 4 KiB, same bytearray", reference, 1.5, timings)


# ------------------------------------------------------------------------- P4, P5


def p4(bench: Bench) -> Iterator[Row]:
    numpy = needed("numpy")
    count = 1_000_000
    offsets = numpy.random.default_rng(4).integers(0, bench.large // 8, count) * 8
    index, words = offsets // 8, numpy.ones(bench.large // 8, "u8")
    items = numpy.arange(count, dtype="u8")
    pool = filled_pool(bench.large)
    few = offsets[:20_000].tolist()

    def loop(code: str, **names: Any) -> Callable[[], float]:
        return statement(code, few, **operands(8), **names)

    def whole(call: Callable[[], Any]) -> float:
        start = perf_counter()
        call()
        return (perf_counter() - start) / count

    fast: dict[str, dict[str, Callable[[], float]]] = {
        "gather": {
            "pool": partial(whole, lambda: pool.gather(offsets, 8)),
            "numpy": partial(whole, lambda: words[index]),
        },
        "scatter": {
            "pool": partial(whole, lambda: pool.scatter(offsets, items)),
            "numpy": partial(whole, lambda: words.__setitem__(index, items)),
        },
    }
    found = [store for store in stores(bench.large) if not store.span]
    for what, kind in (("gather", "read"), ("scatter", "write")):
        loops = {
            f"loop over {store.name}": loop(getattr(store, kind), **store.names)
            for store in found
        }
        timings = alternate({**fast[what], **loops}, bench.rounds)
        what = f"{what} of 10^6 items of 8 B, an item"
        yield Row("P4", what, "numpy", 2.5, timings)
        peers = {name for name in loops if not name.endswith(" pool")}
        best = min(peers, key=lambda name: timings[name].median)
        yield Row("P4", f"{what}, against the best loop", best, 0.1, timings)
    yield from _of_many_sizes(bench, pool, few)


def _of_many_sizes(bench: Bench, pool: MemoryPool, offsets: list[int]) -> Iterator[Row]:
    """Ranges of 1 to 64 bytes in one call, against a call for each."""
    ranges = [(min(at, bench.large - 64), 1 + i % 64) for i, at in enumerate(offsets)]
    items = [(at, bytes(size)) for at, size in ranges]

    def timed(call: Callable[[], Any]) -> float:
        start = perf_counter()
        call()
        return (perf_counter() - start) / len(ranges)

    def write_each() -> None:
        for at, data in items:
            pool.write(at, data)

    reads = {
        "pool": partial(timed, lambda: pool.read_many(ranges)),
        "loop": partial(timed, lambda: [pool.read(at, size) for at, size in ranges]),
    }
    writes = {
        "pool": partial(timed, lambda: pool.write_many(items)),
        "loop": partial(timed, write_each),
    }
    for what, calls in (("read_many", reads), ("write_many", writes)):
        what = f"{what} of {len(ranges)} ranges of 1 to 64 B, a range"
        yield Row("P4", what, "loop", 0.5, alternate(calls, bench.rounds))


def p5(bench: Bench) -> Iterator[Row]:
    size = 64 * KIB
    pool = MemoryPool(MIB)
    pool.write(0, b"x" * MIB)
    windows = {"view": pool.view(0, size), "pin": pool.pin(MIB - size, size)}
    plain = memoryview(bytearray(size))
    offsets = random_offsets(size - 8, 8)
    for what, window in windows.items():
        both = {"pool": window, "memoryview": plain}
        codes = {"slice": "window[at : at + 8]"}
        if what == "pin":
            codes["write to a slice"] = "window[at : at + 8] = data"
        for name, code in codes.items():
            cases = {
                store: statement(code, offsets, window=each, data=b"y" * 8)
                for store, each in both.items()
            }
            timings = alternate(cases, bench.rounds)
            yield Row("P5", f"{name} of a {what}", "memoryview", 1.05, timings)


# ----------------------------------------------------------------------------- P6


def throughput(calls: list[Callable[[int], Any]], offsets: list[int], size: int) -> float:
    """Bytes a second of threads that each make one of the calls at all the offsets."""
    ready = threading.Barrier(len(calls) + 1)

    def work(call: Callable[[int], Any]) -> None:
        ready.wait()
        for at in offsets:
            call(at)

    threads = [threading.Thread(target=work, args=[call]) for call in calls]
    for thread in threads:
        thread.start()
    ready.wait()
    start = perf_counter()
    for thread in threads:
        thread.join()
    return len(calls) * len(offsets) * size / (perf_counter() - start)


def movers(span: int, size: int) -> dict[str, Callable[[], Callable[[int], Any]]]:
    """Calls that move `size` bytes at an offset; each thread makes one of its own."""
    pool, flat = filled_pool(span), bytearray(b"x") * span
    place = (ctypes.c_char * span).from_buffer(flat)
    start = ctypes.addressof(place)

    def readinto() -> Callable[[int], Any]:
        buffer = bytearray(size)
        return lambda at: pool.readinto(at, buffer)

    def read() -> Callable[[int], Any]:
        return lambda at: pool.read(at, size)

    def memmove(loader: Callable[[None], Any]) -> Callable[[int], Any]:
        move = loader(None).memmove
        move.argtypes, move.restype = [ctypes.c_void_p] * 3, ctypes.c_void_p
        buffer = ctypes.create_string_buffer(size)
        # place goes along, so that the memory at its address stays
        return lambda at, held=place: move(buffer, start + at, size)

    def slices() -> Callable[[int], Any]:
        view, buffer = memoryview(flat), memoryview(bytearray(size))

        def call(at: int) -> None:
            buffer[:] = view[at : at + size]

        return call

    if os.name == "nt":
        raise NotMeasuredError("memmove is found in another way on Windows")
    return {
        "pool": readinto,
        "pool.read": read,
        "CDLL memmove": partial(memmove, ctypes.CDLL),
        "PyDLL memmove": partial(memmove, ctypes.PyDLL),
        "memoryview": slices,
    }


def p6(bench: Bench) -> Iterator[Row]:
    span = min(bench.large, 64 * MIB)
    for size, name in ((MIB, "1 MiB"), (64 * KIB, "64 KiB")):
        offsets = random_offsets(span, size, 200 * MIB // size)
        cases = movers(span, size)
        scaling: dict[str, list[float]] = {case: [] for case in cases}
        for _ in range(bench.rounds + 1):
            for case, make in cases.items():
                one = throughput([make()], offsets, size)
                scaling[case].append(throughput([make(), make()], offsets, size) / one)
        timings = {case: summary(values[1:]) for case, values in scaling.items()}
        what = f"2 threads against 1, readinto {name}"
        yield Row("P6", what, "CDLL memmove", 1.0, timings, unit="x", at_least=True)


# ------------------------------------------------------------------------- P7, P8


def p7(bench: Bench) -> Iterator[Row]:
    block = 4 * KIB
    pool = filled_pool(bench.held, block)

    def a_round(at: int) -> None:
        with pool.clone() as saved:
            pool.write(at, b"12345678")
            changed = list(pool.changes(saved))
            assert changed == [(at - at % block, block)]
            pool.restore(saved)

    offsets = random_offsets(bench.held, 8)
    near = random_offsets(256 * KIB, 8)
    for what, chosen in (("all over", offsets), ("within 256 KiB", near)):
        cases = {"pool": statement("a_round(at)", chosen, a_round=a_round)}
        timings = alternate(cases, bench.rounds)
        held = f"{bench.held // MIB} MiB held"
        what = f"clone, write, changes, restore; {held}, {what}"
        yield Row("P7", what, None, 10e-6, timings)


def p8(bench: Bench) -> Iterator[Row]:
    def taken(module: str) -> float:
        code = (
            "from time import perf_counter as t; a = t(); "
            f"import {module}; print(t() - a)"
        )
        command = [sys.executable, "-c", code]
        return float(subprocess.run(command, check=True, capture_output=True).stdout)

    modules = {"pool": "pymempool", "import ctypes": "ctypes", "import numpy": "numpy"}
    try:
        needed("numpy")
    except NotMeasuredError:
        del modules["import numpy"]
    cases = {name: partial(taken, module) for name, module in modules.items()}
    timings = alternate(cases, bench.rounds)
    yield Row("P8", "import pymempool", "import ctypes", 0, timings, plus=0.03)


ROWS: Rows = {
    "P1": p1,
    "P2": p2,
    "P3": p3,
    "P4": p4,
    "P5": p5,
    "P6": p6,
    "P7": p7,
    "P8": p8,
}
