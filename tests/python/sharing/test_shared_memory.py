# SPDX-License-Identifier: MIT
"""What sharing is for: the data lie in memory once, for all processes together."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
from contextlib import ExitStack

import pytest
import sharing_workers as workers
from process_memory import proportional_bytes

import pymempool
from pymempool import MemoryPool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs smaps_rollup")

MIB = 1 << 20
SIZE, WRITTEN, WORKERS = 96 * MIB, MIB, 4


def test_four_workers_hold_one_copy() -> None:
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        connections, pids = [], [os.getpid()]
        for _ in range(WORKERS):
            ours, theirs = context.Pipe()
            connections.append(stack.enter_context(ours))
            process = context.Process(target=workers.read_and_write, args=(theirs,))
            process.start()
            stack.callback(process.join)
            theirs.close()
            pids.append(process.pid or 0)

        def all_answer(*messages: object) -> list[object]:
            for connection, message in zip(connections, messages):
                connection.send(message)
            return [connection.recv() for connection in connections]

        assert all_answer(*["start"] * WORKERS) == ["started"] * WORKERS
        gc.collect()
        pymempool.trim()
        interpreters = proportional_bytes(*pids)
        with MemoryPool(SIZE) as pool:
            for at in range(0, SIZE, MIB):
                pool.write(at, os.urandom(MIB))
            expected = pool.digest()
            snapshot = pool.share()
        assert all_answer(*[snapshot] * WORKERS) == [expected] * WORKERS
        assert all_answer(*[WRITTEN] * WORKERS) == [WRITTEN] * WORKERS
        pymempool.trim()
        held = proportional_bytes(*pids) - interpreters
        assert 0.9 * SIZE < held < 1.1 * SIZE + WORKERS * WRITTEN
        for connection in connections:
            connection.send("end")
        snapshot.close()
