# SPDX-License-Identifier: MIT
"""A simulator that keeps its state in a pool, and can go back in time.

The state is a field of temperatures in a pool. Every 10 steps the program records it in a
History, in constant time, which keeps 20 states: many recent ones and few old ones. Two
moments are compared without reading what they share. After a run that went wrong the
program goes back, and a delta brings another process to the same state.

Needs NumPy: pip install 'pymempool[examples]'
"""

from __future__ import annotations

import numpy as np

from pymempool import History, MemoryPool

ROWS, COLUMNS = 4096, 1024  # 32 MiB, of which only the warm part takes memory
ROW = COLUMNS * 8  # bytes
STEPS = 1_000
RECORD_EVERY = 10
KEPT = 20


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
        place = number // 100 * 4 + number % 4
        step(state, place * 64)


def differing_rows(history: History, step: str) -> int:
    """The rows that differ now from what they were at a step."""
    return len({start // ROW for start, _ in history.differences(step)})


def main() -> None:
    state = MemoryPool(ROWS * ROW, ROW)  # a block a row
    for row in range(0, ROWS, 64):
        state.write(row * ROW, np.full((8, COLUMNS), 100.0))
        state.write((row + 3) * ROW + 4096, np.full(64, 900.0))  # a hot spot

    history = History(state, keep=KEPT)
    for number in range(0, STEPS, RECORD_EVERY):
        history.record(f"step {number}")
        steps(state, number, RECORD_EVERY)
    print(f"{STEPS} steps, {len(history)} states of {state.total_size >> 20} MiB:")
    print(*(label.split()[1] for label in history))
    print(f"rows that changed since the start: {differing_rows(history, 'step 0')}")
    print(f"since the last state: {differing_rows(history, 'step 990')}")

    with history.at("step 0") as start:
        held = state.stats.held_bytes + len(history) * start.stats.held_bytes
        print(f"held once instead of {held / state.stats.family_bytes:.1f} times over")

        # A moment is frozen: its hottest place is what it was, whatever came later.
        hottest = [read_rows(moment, 3, 1).max() for moment in (start, state)]
    print(f"hottest in row 3: {hottest[0]:.0f} at the start, {hottest[1]:.0f} now")

    # A run that goes wrong, and back to where the state was 10 steps before.
    end = state.digest()
    state.fill(0, 255, ROW)
    history.go_to("step 990")
    print(f"rows that differ after that: {differing_rows(history, 'step 990')}")

    # From there, the same steps lead to the same state again.
    steps(state, 990, RECORD_EVERY)
    print(f"both ways lead to the same state: {state.digest() == end}")

    # Another process that is at step 990 needs only what changed since.
    with history.at("step 990") as other:
        delta = state.delta(other)
        other.apply(delta)
        print(f"a delta of {len(delta) >> 10} KiB leads there too: {other.same(state)}")
    history.close()


if __name__ == "__main__":
    main()
