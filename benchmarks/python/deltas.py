# SPDX-License-Identifier: MIT
"""The row D2: a delta of one changed block of much that is held, made and applied."""

from __future__ import annotations

import io
from collections.abc import Iterator
from time import perf_counter

from rows import KIB, MIB, Bench, Row, Rows
from stores import filled_pool

from pymempool import MemoryPool
from pymempool.cli.timing import Timing, alternate, random_offsets

GOAL = 2e-3  # seconds


def d2(bench: Bench) -> Iterator[Row]:
    for block in (4 * KIB, 64 * KIB):
        yield from _one_block(bench, block)


def _one_block(bench: Bench, block: int) -> Iterator[Row]:
    pool = filled_pool(bench.held, block)
    other = MemoryPool(bench.held, block)  # no relative, as in another process
    other.copy_from(pool)
    start = perf_counter()
    pool.digest()
    once = perf_counter() - start
    other.digest()
    places = iter(random_offsets(bench.held, 8))
    file = io.BytesIO()

    def save() -> float:
        nonlocal file
        file = io.BytesIO()
        with pool.clone() as base:
            pool.fetch_add(next(places), 1)
            start = perf_counter()
            pool.save(file, since=base)
            return perf_counter() - start

    def apply() -> float:
        file.seek(0)
        start = perf_counter()
        other.apply(file)
        return perf_counter() - start

    timings = alternate({"save": save, "apply": apply}, bench.rounds)
    assert other.same(pool)
    held = f"{bench.held // MIB} MiB held in blocks of {block // KIB} KiB"
    first = {"first digest, once": Timing(once, once, once)}
    for what, timing in timings.items():
        row = f"{what} one changed block, {held}"
        yield Row("D2", row, None, GOAL, {"pool": timing, **first})


ROWS: Rows = {"D2": d2}
