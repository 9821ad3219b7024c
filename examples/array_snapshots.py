# SPDX-License-Identifier: MIT
"""A NumPy array in a pool: changed in place, kept 100 times, compared and rolled back.

The array lies in a pool of 4 KiB blocks. The program writes 10 MiB of it in place and
clones the pool, 100 times. Each clone costs what was written, where numpy.copy costs the
whole array. Then it lists what differs between states, and goes back to some of them.

Needs NumPy, and four times the array's size of memory: pip install 'pymempool[examples]'

    python array_snapshots.py [MIB]     the array's size, 1024 if it is not given
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from pymempool import MemoryPool

STATES = 100
PIECE = 8192  # items that are written together: 64 KiB
ROW = PIECE * 8  # bytes of them


@contextmanager
def timed(times: list[float]) -> Iterator[None]:
    """Adds the milliseconds that a with statement takes."""
    start = time.perf_counter()
    yield
    times.append((time.perf_counter() - start) * 1000)


def row(what: str, pool: list[float], copy: list[float]) -> str:
    """A line of the table: medians."""
    return (
        f"{what:30}{statistics.median(pool):12.2f} ms{statistics.median(copy):12.2f} ms"
    )


def main(mebibytes: int = 1024) -> None:
    pieces = mebibytes << 20 >> 16
    each_time = max(1, pieces * 10 // 1024)  # pieces, of 1 GiB 10 MiB
    pool = MemoryPool(pieces * ROW, block_size=4096)
    array = pool.array((pieces, PIECE))
    array[:] = np.arange(PIECE)
    print(f"{mebibytes} MiB of float64 in {pool.stats.held_blocks} blocks of 4 KiB")
    print(f"{STATES} states, {each_time * 64} KiB written before each of them")

    states = [pool.clone()]  # the first one copies all that was written
    chosen = np.random.default_rng(1)
    written: list[np.ndarray] = []
    keep: list[float] = []
    for _ in range(STATES):
        written.append(np.sort(chosen.choice(pieces, each_time, replace=False)))
        array[written[-1]] += 1  # in place, at NumPy's own speed
        with timed(keep):
            states.append(pool.clone())

    found: list[list[tuple[int, int]]] = []
    differ: list[float] = []
    for earlier, later in zip(states, states[1:]):
        with timed(differ):
            found.append(list(later.changes(earlier, item_size=ROW)))

    back: list[float] = []
    for each in written[:20]:
        array[each] = -1
        with timed(back):
            pool.restore(states[-1])

    far: list[float] = []
    right = []
    for number in (STATES // 2, 0, STATES):
        with timed(far):
            pool.restore(states[number])
        wanted = np.zeros(pieces)
        for each in written[:number]:
            wanted[each] += 1
        right.append(bool((array[:, 0] == wanted).all()))

    flat = np.copy(array)
    copies: list[float] = []
    compares: list[float] = []
    for _ in range(3):
        with timed(copies):
            np.copyto(flat, array)
        with timed(compares):
            (flat != array).any(axis=1)
    print(f"{'':30}{'in a pool':>15}{'numpy.copy':>15}")
    print(row("keep a state", keep, copies))
    print(row("list what differs", differ, compares))
    print(row("roll back what was written", back, copies))
    print(row("go back by 50 and 100 states", far, copies))

    rows = [[at for start, n in runs for at in range(start, start + n)] for runs in found]
    exact = all(a == b.tolist() for a, b in zip(rows, written))
    print(f"changes are exactly the rows written: {exact}")
    print(f"after a roll-back the array has the state: {right}")
    held = pool.stats.family_bytes / array.nbytes
    print(f"memory for {STATES} states: {held:.1f} arrays, copies need {STATES + 2}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
