# SPDX-License-Identifier: MIT
"""Rounds of share, open and kill -9 of a random side: nothing may be left.

In each round one process shares and another opens, both children of the test, which has
no part in it. One of them is killed at a random step, or a moment after it. The other
must end by itself. `TEST_SCALE=2500` makes 1,000 rounds; see tests/evidence/long.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from process_memory import held_objects, shared_bytes

from pymempool import MemoryPool

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
    # A child of a process with other threads: newer Pythons warn of that.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

ROUNDS = max(4, 40 * int(os.environ.get("TEST_SCALE", "100")) // 100)
SIZE = 4 << 20
STEPS = 4  # that each side reports
MOMENT = 0.002  # seconds, about a step

# What a side meets when the other one was killed.
BROKEN = EOFError, OSError
MET_THE_END = 3  # the status of a side that did


def share(steps: Any, link: Any, data: bytes) -> None:
    with MemoryPool(SIZE) as pool:
        steps.send("made")
        pool[:] = data
        steps.send("written")
        with pool.share() as snapshot:
            steps.send("shared")
            link.send(snapshot)
    steps.send("sent")
    link.recv()


def open_it(steps: Any, link: Any, data: bytes) -> None:
    steps.send("started")
    snapshot = link.recv()
    steps.send("received")
    with snapshot, snapshot.open() as pool:
        view = pool.view()
    steps.send("opened")
    assert view == data
    steps.send("read")
    link.send("read")


def side(job: Any, steps: Any, link: Any, data: bytes, others: list[Any]) -> None:
    """What runs in a child. It closes what it inherited of the other side."""
    for other in others:
        other.close()
    try:
        job(steps, link, data)
    except BROKEN:
        sys.exit(MET_THE_END)


@contextmanager
def both_sides(data: bytes) -> Iterator[list[tuple[Any, Any]]]:
    """The two processes, each with this end of the pipe on which it reports its steps."""
    context = multiprocessing.get_context("fork")
    links = context.Pipe()
    pipes = [context.Pipe(duplex=False) for _ in links]
    sides = []
    for number, job in enumerate((share, open_it)):
        report, steps = pipes[number]
        others = [links[1 - number], *pipes[1 - number], report]
        arguments = (job, steps, links[number], data, others)
        sides.append((context.Process(target=side, args=arguments), report))
        sides[-1][0].start()
    for end in (*links, *(steps for _, steps in pipes)):
        end.close()
    yield sides
    for process, report in sides:
        process.join()
        process.close()
        report.close()


def one_round(chance: random.Random, data: bytes) -> tuple[int | None, int | None]:
    """Kills a side, and returns how both ended: the one that was killed, the other."""
    with both_sides(data) as sides:
        chance.shuffle(sides)
        (victim, report), (other, _) = sides
        for _ in range(chance.randint(1, STEPS)):
            report.recv()
        time.sleep(chance.random() * MOMENT)
        victim.kill()
        victim.join()
        other.join()
        return victim.exitcode, other.exitcode


def test_kill_any_side_at_any_time() -> None:
    chance, data = random.Random(18), os.urandom(SIZE)
    gc.collect()
    before, shared = held_objects(), shared_bytes()
    ends = []
    for _ in range(ROUNDS):
        ends.append(one_round(chance, data))
    gc.collect()
    assert held_objects() == before
    assert shared_bytes() - shared < max(ROUNDS // 4, 16) * SIZE  # others may share too
    # Who was not killed has read what is right, or has met the end of the other.
    victims, others = zip(*ends)
    assert -signal.SIGKILL in victims
    assert {*victims} <= {-signal.SIGKILL, 0}  # or it had ended just before
    assert {*others} <= {0, MET_THE_END}
