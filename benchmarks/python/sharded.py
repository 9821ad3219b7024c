# SPDX-License-Identifier: MIT
"""Measures pools over many workers: python benchmarks/python/sharded.py --help.

The workers are processes of this machine. Once there are more of them than processors,
they share those: what is seen here of more workers is no more than what messages cost.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable

import numpy
import tables
from distributed import Client, LocalCluster

from pymempool import __version__
from pymempool._core.words import human_ratio, human_time
from pymempool.distributed import ShardedPool

MIB = 1 << 20
CALLS = 24  # of what is short, in each round
THREADS = 8
HEAD = ["what", "workers", "median", "quartiles", "MiB/s", "ratio", "client's CPU"]
Timing = tuple[float, float]  # seconds that passed, and of them on a processor here


def main() -> int:
    options = parse()
    counts = range(1, options.workers + 1)
    timings: dict[str, dict[int, list[Timing]]] = {}
    for workers in counts:
        with cluster(workers) as client, ShardedPool(client, 1 << 40) as pool:
            print(f"{workers} workers", file=sys.stderr)
            for name, times in measure(pool, client, options).items():
                timings.setdefault(name, {})[workers] = times
    tables.show(HEAD, table(timings, sizes(options)))
    print(f"{os.cpu_count()} processors, Python {platform.python_version()}")
    if options.json:
        result = {"pymempool": __version__, "processors": os.cpu_count()}
        options.json.write_text(json.dumps({**result, "seconds": timings}, indent=1))
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=4, help="1 up to N (default: 4)")
    parser.add_argument("--rounds", type=int, default=15, help="at least 7 (default: 15)")
    parser.add_argument("--size", type=int, default=64, help="MiB moved (default: 64)")
    parser.add_argument("--items", type=int, default=100_000, help="gathered at once")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    options = parser.parse_args()
    if options.rounds < 7:
        parser.error("medians of fewer than 7 rounds say nothing")
    return options


@contextmanager
def cluster(workers: int) -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=":0"
        ) as made,
        Client(made, direct_to_workers=True) as client,
    ):
        yield client


def sizes(options: argparse.Namespace) -> dict[str, int]:
    """The bytes that each row moves."""
    size = options.size * MIB
    return {
        "read": size,
        "write": size,
        "write, replicas=2": size,
        "gather of 64 bytes": options.items * 64,
        "scatter of 64 bytes": options.items * 64,
        "sum where it lies": size,
        "read of 1 byte": 0,
        "read of 1 byte, 8 threads": 0,
        "write of 1 byte": 0,
        "write of 1 byte, replicas=2": 0,
        "read of 1 byte, replicas=2": 0,
        "read, replicas=2, 8 threads": 0,
    }


def measure(
    pool: ShardedPool, client: Client, options: argparse.Namespace
) -> dict[str, list[Timing]]:
    """The seconds of each row, round by round; the rows take turns."""
    size = options.size * MIB
    data, target = numpy.random.default_rng(1).bytes(size), bytearray(size)
    chance = numpy.random.default_rng(2)
    offsets = chance.integers(0, size - 64, options.items)
    items = data[: 64 * options.items]
    pool.write(0, data)

    def often(call: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: [call() for _ in range(CALLS)]

    def in_threads(pool: ShardedPool) -> Callable[[], Any]:
        return lambda: list(threads.map(lambda at: pool.read(at * MIB, 1), range(CALLS)))

    def total() -> int:
        return int(pool.array(0, size, "u1").sum(dtype="i8").compute())

    rows: dict[str, Callable[[], Any]] = {
        "read": lambda: pool.readinto(0, target),
        "write": lambda: pool.write(0, data),
        "gather of 64 bytes": lambda: pool.gather(offsets, 64),
        "scatter of 64 bytes": lambda: pool.scatter(offsets, items),
        "sum where it lies": total,
        "read of 1 byte": often(lambda: pool.read(5, 1)),
        "read of 1 byte, 8 threads": in_threads(pool),
        "write of 1 byte": often(lambda: pool.write(5, b"x")),
    }
    two = None
    if len(client.nthreads()) > 1:
        two = ShardedPool(client, 1 << 40, replicas=2)
        rows["write, replicas=2"] = lambda: two.write(0, data)
        rows["write of 1 byte, replicas=2"] = often(lambda: two.write(5, b"x"))
        rows["read of 1 byte, replicas=2"] = often(lambda: two.read(5, 1))
        rows["read, replicas=2, 8 threads"] = in_threads(two)
    threads = ThreadPoolExecutor(THREADS)
    timings: dict[str, list[Timing]] = {name: [] for name in rows}
    for number in range(options.rounds + 1):
        for name, call in rows.items():
            begin, work = time.perf_counter(), time.process_time()
            call()
            end, done = time.perf_counter(), time.process_time()
            if number:  # the first round makes connections and memory
                calls = CALLS if "1 byte" in name or "8 threads" in name else 1
                timings[name].append(((end - begin) / calls, (done - work) / calls))
    threads.shutdown()
    if two is not None:
        two.close()
    return timings


def table(
    timings: dict[str, dict[int, list[Timing]]], moved: dict[str, int]
) -> list[list[str]]:
    """Rows of text; the ratio is to the time with the fewest workers."""
    lines = []
    for name, size in moved.items():
        first = None
        for workers, times in timings.get(name, {}).items():
            low, median, high = statistics.quantiles([it for it, _ in times], n=4)
            work = statistics.median(it for _, it in times)
            first = first or median
            rate = f"{size / median / MIB:,.0f}" if size else ""
            spread = f"{human_time(low)} .. {human_time(high)}"
            told = [human_time(median), spread, rate, human_ratio(median / first)]
            lines.append([name, str(workers), *told, human_time(work)])
    return lines


if __name__ == "__main__":
    sys.exit(main())
