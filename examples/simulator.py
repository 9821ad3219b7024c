# SPDX-License-Identifier: MIT
"""A simulator that keeps its state in a pool, and can go back to any moment.

The state is a field of temperatures in a pool. Every 100 steps the program clones it, in
constant time, and compares two moments without reading what they share. After a run that
went wrong it restores the state.

Needs NumPy: pip install 'pymempool[examples]'
"""

from __future__ import annotations

import numpy as np

from pymempool import MemoryPool

ROWS, COLUMNS = 4096, 1024  # 32 MiB, of which only the warm part takes memory
ROW = COLUMNS * 8  # bytes
STEPS = 1_000
KEEP_EVERY = 100


def read_rows(state: MemoryPool, first: int, count: int) -> np.ndarray:
    data = state.read(first * ROW, count * ROW)
    return np.frombuffer(data).reshape(count, COLUMNS)


def step(state: MemoryPool, first: int) -> None:
    """Lets the heat of 8 rows spread a little, and leaves all others as they are."""
    old = read_rows(state, first, 8)
    new = old.copy()
    new[1:-1, 1:-1] += 0.1 * (
        old[:-2, 1:-1] + old[2:, 1:-1] + old[1:-1, :-2] + old[1:-1, 2:]
        - 4 * old[1:-1, 1:-1]
    )  # fmt: skip
    state.write(first * ROW, new)


def steps(state: MemoryPool, first: int, count: int) -> None:
    """Each 100 steps are spent on four places of the field."""
    for number in range(first, first + count):
        place = number // KEEP_EVERY * 4 + number % 4
        step(state, place * 64)


def differing_bytes(state: MemoryPool, earlier: MemoryPool) -> int:
    return sum(size for _, size in state.changes(earlier))


def main() -> None:
    state = MemoryPool(ROWS * ROW, ROW)  # a block a row
    for row in range(0, ROWS, 64):
        state.write(row * ROW, np.full((8, COLUMNS), 100.0))
        state.write((row + 3) * ROW + 4096, np.full(64, 900.0))  # a hot spot

    snapshots = []
    for number in range(0, STEPS, KEEP_EVERY):
        snapshots.append(state.clone())
        steps(state, number, KEEP_EVERY)
    print(f"{STEPS} steps, {len(snapshots)} snapshots of {state.total_size >> 20} MiB")
    print(f"changed since the start: {differing_bytes(state, snapshots[0]) >> 10} KiB")
    print(f"since the last snapshot: {differing_bytes(state, snapshots[-1]) >> 10} KiB")

    held = sum(pool.stats.held_bytes for pool in (state, *snapshots))
    print(f"held once instead of {held / state.stats.family_bytes:.1f} times over")

    # A moment is frozen: its hottest place is what it was, whatever came later.
    hottest = [read_rows(moment, 3, 1).max() for moment in (snapshots[0], state)]
    print(f"hottest in row 3: {hottest[0]:.0f} at the start, {hottest[1]:.0f} now")

    # A run that goes wrong, and back to where the state was 100 steps before.
    good = snapshots[-1]
    state.fill(0, 255, ROW)
    state.restore(good)
    print(f"differs after restore: {differing_bytes(state, good)} bytes")

    # From there, the same steps lead to the same state again.
    again = good.clone()
    for each in (state, again):
        steps(each, STEPS - KEEP_EVERY, KEEP_EVERY)
    same = all(
        state.read(start, size) == again.read(start, size)
        for start, size in state.changes(again)
    )
    print(f"both ways lead to the same state: {same}")


if __name__ == "__main__":
    main()
