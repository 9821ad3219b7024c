# SPDX-License-Identifier: MIT
"""The rows S1 to S4: data shared with other processes, beside joblib's memmap, the
shared_memory of multiprocessing, and memcpy into fresh memory."""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing
import os
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import shared_memory
from time import perf_counter
from typing import Any, Callable

import processes
from rows import KIB, MIB, Bench, Row, Rows
from stores import NotMeasuredError, filled_pool, needed, not_measured

from pymempool import SharedSnapshot
from pymempool.cli.timing import Timing, alternate, summary

ROUNDS = 9  # of what takes a second or so
BLOCK = 64 * KIB
CHANGED = 10 * MIB
MEMCPY = "memcpy into fresh memory"


def fresh_copy(source: int, runs: list[tuple[int, int]]) -> float:
    """Seconds of copying runs (offset, size) of memory into memory never used before."""
    target = mmap.mmap(-1, sum(size for _, size in runs))
    place = ctypes.c_char.from_buffer(target)
    address = ctypes.addressof(place)
    start = perf_counter()
    for offset, size in runs:
        ctypes.memmove(address, source + offset, size)
        address += size
    taken = perf_counter() - start
    del place
    target.close()
    return taken


class Flat:
    """As many bytes as a pool holds, in plain memory that was written to."""

    def __init__(self, size: int) -> None:
        self.data = bytearray(b"x") * size
        self._place = (ctypes.c_char * size).from_buffer(self.data)
        self.address = ctypes.addressof(self._place)


# ---------------------------------------------------------------------------------- S1


def s1(bench: Bench) -> Iterator[Row]:
    size = bench.held
    pool, flat = filled_pool(size), Flat(size)

    def share() -> float:
        start = perf_counter()
        with pool.share():
            return perf_counter() - start

    def copy_to_shared_memory() -> float:
        start = perf_counter()
        memory = shared_memory.SharedMemory(create=True, size=size)
        memory.buf[:] = flat.data
        taken = perf_counter() - start
        memory.close()
        memory.unlink()
        return taken

    cases = {
        "pool": share,
        MEMCPY: partial(fresh_copy, flat.address, [(0, size)]),
        "shared_memory": copy_to_shared_memory,
        **_dumps(flat),
    }
    timings = alternate(cases, min(bench.rounds, ROUNDS))
    yield Row("S1", f"share {size // MIB} MiB", MEMCPY, 1.2, timings)


def _dumps(flat: Flat) -> dict[str, Callable[[], float]]:
    """What joblib does with an array before it starts its workers."""
    try:
        numpy, joblib = needed("numpy"), needed("joblib")
    except NotMeasuredError as error:
        not_measured["joblib's memmap"] = str(error)
        return {}
    path = f"/dev/shm/pymempool-benchmark-{os.getpid()}"

    def dump() -> float:
        start = perf_counter()
        joblib.dump(numpy.frombuffer(flat.data, "u1"), path)
        taken = perf_counter() - start
        os.unlink(path)
        return taken

    return {"joblib's memmap": dump}


# ---------------------------------------------------------------------------------- S2


def open_and_read(snapshot: SharedSnapshot[Any]) -> tuple[float, float]:
    """In a worker: seconds to open a snapshot, and to read all of it once."""
    start = perf_counter()
    pool = snapshot.open()
    opened = perf_counter() - start
    buffer = bytearray(MIB)
    start = perf_counter()
    processes.read_all(pool, buffer)
    taken = perf_counter() - start
    pool.close()
    snapshot.close()
    return opened, taken


def attach_and_read(name: str) -> tuple[float, float]:
    """The same with shared memory of multiprocessing."""
    start = perf_counter()
    memory = shared_memory.SharedMemory(name)
    opened = perf_counter() - start
    buffer = bytearray(MIB)
    start = perf_counter()
    processes.read_all(memory.buf, buffer)
    taken = perf_counter() - start
    memory.close()
    return opened, taken


def copy_plain(size: int) -> tuple[float, float]:
    """The same with memory that this worker has used before: nothing is opened."""
    if not processes.kept:
        processes.kept.append(bytearray(b"x") * size)
    buffer = bytearray(MIB)
    start = perf_counter()
    processes.read_all(processes.kept[0], buffer)
    return 0, perf_counter() - start


def s2(bench: Bench) -> Iterator[Row]:
    size = bench.held
    pool = filled_pool(size)
    memory = shared_memory.SharedMemory(create=True, size=size)
    memory.buf[:] = bytes(size)
    opened: dict[str, list[float]] = {}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as worker, pool.share() as snapshot:

        def case(name: str, job: Any, argument: Any) -> float:
            to_open, to_read = worker.submit(job, argument).result()
            opened.setdefault(name, []).append(to_open)
            return to_read

        cases = {
            "pool": partial(case, "pool", open_and_read, snapshot),
            "memcpy": partial(case, "memcpy", copy_plain, size),
            "shared_memory": partial(case, "shared_memory", attach_and_read, memory.name),
        }
        timings = alternate(cases, min(bench.rounds, ROUNDS))
    memory.close()
    memory.unlink()
    what = f"{size // MIB} MiB in a worker"
    found = {name: summary(opened[name][1:]) for name in ("pool", "shared_memory")}
    yield Row("S2", f"open {what}", None, 1e-3, found)
    yield Row("S2", f"first read of all, {what}", "memcpy", 1.1, timings)


# ---------------------------------------------------------------------------------- S3


def s3(bench: Bench) -> Iterator[Row]:
    timings = {}
    for name, way in (
        ("pool", "share"),
        ("joblib's memmap", "joblib's memmap"),
        ("shared_memory", "shared_memory"),
    ):
        try:
            result = processes.measure(way, bench.held, 4)
        except NotMeasuredError as error:
            not_measured[name] = str(error)
            continue
        ratio = result.memory / result.size
        timings[name] = Timing(ratio, ratio, ratio)
    if "pool" not in timings:
        raise NotMeasuredError(not_measured["pool"])
    what = f"PSS of 4 workers and their owner, x the data ({bench.held // MIB} MiB)"
    yield Row("S3", what, None, 1.1, timings, unit="x")


# ---------------------------------------------------------------------------------- S4


def s4(bench: Bench) -> Iterator[Row]:
    size = bench.held
    pool, flat = filled_pool(size, BLOCK), Flat(size)
    snapshot = pool.share()
    chance = random.Random(4)
    runs: list[tuple[int, int]] = []

    def share_changed() -> float:
        nonlocal snapshot, runs
        blocks = chance.sample(range(size // BLOCK), CHANGED // BLOCK)
        runs = [(block * BLOCK, BLOCK) for block in sorted(blocks)]
        for offset, _ in runs:
            pool.fetch_add(offset, 1)
        start = perf_counter()
        newer = pool.share(since=snapshot)
        taken = perf_counter() - start
        snapshot.close()
        snapshot = newer
        return taken

    cases = {"pool": share_changed, MEMCPY: lambda: fresh_copy(flat.address, runs)}
    timings = alternate(cases, max(bench.rounds, 31))
    what = f"share(since=) of {CHANGED // MIB} MiB changed in {size // MIB} MiB"
    yield Row("S4", what, MEMCPY, 1.5, timings)


ROWS: Rows = {"S1": s1, "S2": s2, "S3": s3, "S4": s4}
