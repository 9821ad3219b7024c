# SPDX-License-Identifier: MIT
"""Walks over parts of pools: extents, changes and states in ranges, and their steps."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Callable

import pytest
from internals import walks_module

from pymempool import BlockState, MemoryPool, PoolRangeError

BLOCK = 16
TOTAL = 5 * BLOCK * walks_module.STEP // 2 + 7  # two and a half steps
Runs = Iterator[tuple[Any, ...]]
Walk = Callable[..., Runs]


def walks(pool: MemoryPool, base: MemoryPool) -> dict[str, Walk]:
    return {
        "extents": pool.extents,
        "states": pool.states,
        "changes": lambda *range_: pool.changes(base, *range_),
    }


def cut(runs: Runs, offset: int, end: int) -> list[tuple[Any, ...]]:
    """The parts of runs that lie in a range."""
    parts = []
    for start, size, *kind in runs:
        low, high = max(start, offset), min(start + size, end)
        if low < high:
            parts.append((low, high - low, *kind))
    return parts


@pytest.fixture
def base() -> MemoryPool:
    """Runs of many sizes, and of more blocks than one step looks at."""
    pool = MemoryPool(TOTAL, BLOCK)
    step = BLOCK * walks_module.STEP
    pool.fill(3 * BLOCK, 1, 2 * step)
    pool.discard(step + 5 * BLOCK, 3 * BLOCK)
    for block in range(100, 200, 2):
        pool.discard(block * BLOCK, BLOCK)
    return pool


@pytest.fixture
def pool(base: MemoryPool) -> MemoryPool:
    pool = base.clone()
    step = BLOCK * walks_module.STEP
    pool.fill(step // 2, 2, step)  # shared, its own, shared
    pool.fill(TOTAL - 3, 3, 3)
    return pool


@pytest.mark.parametrize("name", ["extents", "states", "changes"])
def test_a_range_cuts_the_runs(name: str, pool: MemoryPool, base: MemoryPool) -> None:
    walk = walks(pool, base)[name]
    runs = list(walk())
    numbers = random.Random(name)
    places = [0, TOTAL, TOTAL - 3, *(numbers.randrange(TOTAL) for _ in range(40))]
    places += [run[0] + run[1] * n // 2 for run in runs for n in (0, 1, 2)]
    for offset in numbers.sample(places, 40):
        assert list(walk(offset)) == cut(iter(runs), offset, TOTAL)
        end = max(offset, numbers.choice(places))
        found = list(walk(offset, end - offset))
        assert found == cut(iter(runs), offset, end)
    assert list(walk(0, 0)) == list(walk(TOTAL, 0)) == list(walk(TOTAL)) == []


def test_runs_of_several_steps_are_joined(pool: MemoryPool, base: MemoryPool) -> None:
    step = BLOCK * walks_module.STEP
    # The last of the many holes is block 198.
    states = list(pool.states())
    assert (199 * BLOCK, step // 2 - 199 * BLOCK, BlockState.SHARED) in states
    assert list(pool.changes(base)) == [
        (step // 2, step),
        (TOTAL // BLOCK * BLOCK, TOTAL % BLOCK),
    ]
    everything = MemoryPool(TOTAL, BLOCK)
    everything.fill(0, 1, TOTAL)
    assert list(everything.states()) == [(0, TOTAL, BlockState(0))]
    assert list(everything.extents()) == [(0, TOTAL)]


class Spy:
    """Stands in for the library: notes how wide the range of each call is."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.widths: list[int] = []

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.library, name)
        place = 3 if name == "pool_next_change" else 2

        def noted(*arguments: Any) -> int:
            self.widths.append(arguments[place] - arguments[place - 1])
            return int(call(*arguments))

        return noted


@pytest.mark.parametrize("name", ["states", "changes"])
def test_a_call_looks_at_a_bounded_range(
    name: str, pool: MemoryPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the runs are: each call is over before it was at so many blocks."""
    empty = pool.clone()
    empty.discard(0, TOTAL)
    pool.fill(0, 9, TOTAL)
    spy = Spy(walks_module.parallel)
    monkeypatch.setattr(walks_module, "parallel", spy)
    assert len(list(walks(pool, empty)[name]())) == 1
    assert len(spy.widths) == 5  # what is wrong? three steps; nothing follows
    assert max(spy.widths) == BLOCK * walks_module.STEP


@pytest.mark.parametrize("name", ["states", "changes"])
def test_holes_are_not_gone_through_step_by_step(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = MemoryPool(2**30 * BLOCK, BLOCK)
    empty = pool.clone()
    pool.fill(len(pool) // 2, 1, 1)
    spy = Spy(walks_module.parallel)
    monkeypatch.setattr(walks_module, "parallel", spy)
    assert [run[:2] for run in walks(pool, empty)[name]()] == [(len(pool) // 2, BLOCK)]
    assert len(spy.widths) < 40


@pytest.mark.parametrize("name", ["extents", "states", "changes"])
def test_ranges_that_make_no_sense(name: str, pool: MemoryPool, base: MemoryPool) -> None:
    walk = walks(pool, base)[name]
    for wrong in [(-1,), (TOTAL + 1,), (0, TOTAL + 1), (1, TOTAL), (0, -1), (2**70,)]:
        with pytest.raises(PoolRangeError):
            walk(*wrong)
    for wrong in [("0",), (0.0,), (None,), (0, 1.5), (0, "1")]:  # type: ignore[assignment]
        with pytest.raises(TypeError):
            walk(*wrong)


def test_changes_reach_to_the_end_of_the_larger(base: MemoryPool) -> None:
    larger = base.clone()
    larger.resize(4 * TOTAL)
    larger.fill(3 * TOTAL, 1, TOTAL)
    start = 3 * TOTAL // BLOCK * BLOCK
    runs = [(start, 4 * TOTAL - start)]
    assert list(larger.changes(base)) == list(base.changes(larger)) == runs
    assert list(base.changes(larger, 4 * TOTAL - 5)) == [(4 * TOTAL - 5, 5)]
    with pytest.raises(PoolRangeError):
        base.changes(larger, 4 * TOTAL + 1)


def test_a_walk_sees_what_comes_meanwhile() -> None:
    pool = MemoryPool(100 * BLOCK, BLOCK)
    pool.fill(0, 1, BLOCK)
    runs = pool.states()
    assert next(runs) == (0, BLOCK, BlockState(0))
    pool.resize(1 << 40)
    pool.fill((1 << 40) - 1, 1, 1)
    assert list(runs) == [((1 << 40) - BLOCK, BLOCK, BlockState(0))]
