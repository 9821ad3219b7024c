# SPDX-License-Identifier: MIT
"""The rows D1 and D2: a digest, and a delta, of one change of much that is held."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterator
from time import perf_counter

from rows import KIB, MIB, Bench, Row, Rows
from stores import filled_pool

from pymempool import MemoryPool
from pymempool.cli.timing import Timing, alternate, random_offsets

DIGEST_GOAL, DELTA_GOAL = 100e-6, 2e-3  # seconds
HASHED = 64 * MIB  # of which all is hashed, again and again
HASHLIB_RATE = 0.8  # of hashlib's, at least


def d1(bench: Bench) -> Iterator[Row]:
    pool = filled_pool(bench.held, 4 * KIB)
    pool.digest()
    places = iter(random_offsets(bench.held, 8))

    def digest() -> float:
        pool.fetch_add(next(places), 1)
        start = perf_counter()
        pool.digest()
        return perf_counter() - start

    what = f"digest after a changed byte, {bench.held // MIB} MiB held in blocks of 4 KiB"
    timings = alternate({"pool": digest}, bench.rounds)
    yield Row("D1", what, None, DIGEST_GOAL, timings)
    yield _all_hashed(bench)


def _all_hashed(bench: Bench) -> Row:
    flat = random_bytes(HASHED)
    pool = MemoryPool(HASHED, 4 * KIB)

    def digest() -> float:
        pool.write(0, flat)
        start = perf_counter()
        pool.digest()
        return perf_counter() - start

    def hash_all() -> float:
        start = perf_counter()
        hashlib.blake2b(flat, digest_size=32).digest()
        return perf_counter() - start

    timings = alternate({"pool": digest, "hashlib": hash_all}, bench.rounds)
    what = f"digest of {HASHED // MIB} MiB, all of it written"
    return Row("D1", what, "hashlib", 1 / HASHLIB_RATE, timings)


def random_bytes(size: int) -> bytes:
    return random.Random(1).randbytes(MIB) * (size // MIB)


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
        yield Row("D2", row, None, DELTA_GOAL, {"pool": timing, **first})


ROWS: Rows = {"D1": d1, "D2": d2}
