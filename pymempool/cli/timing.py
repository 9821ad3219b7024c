# SPDX-License-Identifier: MIT
"""Times calls beside each other; `pymempool bench` and benchmarks/python use it.

The cases take turns, so that whatever else the machine does affects all of them, and the
medians of the rounds are compared.
"""

from __future__ import annotations

import random
import statistics
import timeit
from collections.abc import Mapping, Sequence
from typing import Any, Callable, NamedTuple

_TURN = 0.0015  # seconds of a case in a round, if a call is not longer

#: Makes a number of calls and returns the seconds that one of them took.
Case = Callable[[], float]


class Timing(NamedTuple):
    """Seconds per call: the median of the rounds and the quartiles."""

    median: float
    low: float
    high: float


def alternate(cases: Mapping[str, Case], rounds: int = 21) -> dict[str, Timing]:
    """Times the cases in turns, by name.

    rounds: 2 or more; one more round goes before them and does not count.
    """
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds + 1):
        for name, run in cases.items():
            taken[name].append(run())
    return {name: summary(times[1:]) for name, times in taken.items()}


def summary(times: Sequence[float]) -> Timing:
    """Returns the median and the quartiles of two or more times."""
    low, median, high = statistics.quantiles(times, n=4, method="inclusive")
    return Timing(median, low, high)


def statement(code: str, offsets: Sequence[int], **names: Any) -> Case:
    """Returns a case that runs `code` with `at` as one offset after another.

    code: a statement, in which `names` can be used too.

    A turn takes a few milliseconds. The loop is measured as well, some 10 ns per call.
    """
    timer = timeit.Timer(f"for at in offsets: {code}", globals=names)
    position = 0

    def run(count: int) -> float:
        # Offsets that no turn before has brought into the caches, as long as there are.
        nonlocal position
        start = position if position + count <= len(offsets) else 0
        position = start + count
        names["offsets"] = offsets[start:position]
        return timer.timeit(1) / count

    count = 1
    while (each := run(count)) * count < _TURN / 2 and count < len(offsets):
        count = min(2 * count, len(offsets))
    count = max(1, min(len(offsets), int(_TURN / each)))

    def turn() -> float:
        if count > 1:
            run(count)  # brings code and hot data into the caches
        return run(count)

    return turn


def random_offsets(span: int, size: int, count: int = 50_000) -> list[int]:
    """Returns offsets of items of `size` bytes all over `span`, the same at each call."""
    choose = random.Random(size).randrange
    return [choose(span // size) * size for _ in range(count)]
