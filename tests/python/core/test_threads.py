# SPDX-License-Identifier: MIT
"""Each call is one atomic step: nobody ever sees half a write."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Callable

import pytest
from at_once import run_all
from internals import QUICK_BYTES, pool_module

from pymempool import MemoryPool

ROUNDS = 300

# Sizes of a write and of a read, and the most that counts as little, in bytes. Blocks
# have 1024, so that each range lies in 4 blocks or more.
PATHS = {
    "both keep the interpreter": (5000, 5000, QUICK_BYTES),
    "neither keeps it": (5000, 5000, 0),
    "readers keep it": (100_000, 9000, QUICK_BYTES),
    "neither, large": (100_000, 100_000, QUICK_BYTES),
}


@pytest.fixture(params=PATHS)
def sizes(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[int, int]]:
    write_size, read_size, quick_bytes = PATHS[request.param]
    monkeypatch.setattr(pool_module, "QUICK_BYTES", quick_bytes)
    yield write_size, read_size


def is_whole(data: bytes | bytearray) -> bool:
    return data.count(data[0]) == len(data)


def test_nobody_sees_half_a_write(sizes: tuple[int, int]) -> None:
    write_size, read_size = sizes
    offset, inner = 700, 700 + (write_size - read_size) // 2
    pool = MemoryPool(1 << 20, 1024)
    pool.fill(offset, 1, write_size)

    def writer(byte: int) -> Callable[[], None]:
        def run() -> None:
            data = bytes([byte]) * write_size
            for i in range(ROUNDS):
                if i % 3 == 0:
                    pool.write(offset, data)
                elif i % 3 == 1:
                    pool.fill(offset, byte, write_size)
                else:
                    pool.write(offset, bytearray(data))

        return run

    def reader() -> None:
        buffer = bytearray(read_size)
        for i in range(ROUNDS):
            assert is_whole(pool.read(inner, read_size))
            pool.readinto(inner, buffer)
            assert is_whole(buffer)
            if i % 8 == 0:
                with pool.clone() as clone:
                    assert is_whole(clone.read(offset, write_size))

    run_all(writer(1), writer(2), writer(3), reader, reader)
    assert is_whole(pool.read(offset, write_size))


def test_what_is_taken_is_taken_once(sizes: tuple[int, int]) -> None:
    size, _ = sizes
    pool = MemoryPool(1 << 20, 1024)
    taken: list[int] = []
    empty = threading.Semaphore(1)
    put_all = threading.Event()
    taker_ended = threading.Event()  # too early, if not all was put

    def put() -> None:
        try:
            for number in range(ROUNDS):
                assert empty.acquire(timeout=60), "what was put got lost"
                if taker_ended.is_set():
                    break
                pool.write(0, bytes([number % 255 + 1]) * size)
        finally:
            put_all.set()

    def take_all() -> None:
        while True:
            last = put_all.is_set()
            data = pool.take(0, size)
            assert is_whole(data)
            if data[0]:
                taken.append(data[0])
                empty.release()
            elif last:
                break
            else:
                time.sleep(0)  # let the others run

    def take() -> None:
        try:
            take_all()
        finally:
            taker_ended.set()
            empty.release()

    run_all(put, take, take)
    assert sorted(taken) == sorted(n % 255 + 1 for n in range(ROUNDS))
    assert pool.stats.held_bytes == 0


def test_restore_is_one_step(sizes: tuple[int, int]) -> None:
    size, _ = sizes
    pool = MemoryPool(1 << 20, 1024)
    states = []
    for byte in (1, 2, 3):
        pool.fill(100, byte, size)
        states.append(pool.clone())

    def restore() -> None:
        for i in range(ROUNDS):
            pool.restore(states[i % 3])

    def read() -> None:
        for _ in range(ROUNDS):
            assert is_whole(pool.read(100, size))

    run_all(restore, restore, read, read)
    for byte, state in zip((1, 2, 3), states):
        assert state.read(100, size) == bytes([byte]) * size


def test_different_places_side_by_side(sizes: tuple[int, int]) -> None:
    size, _ = sizes
    pool = MemoryPool(1 << 24, 1024)

    def own(number: int) -> Callable[[], None]:
        def run() -> None:
            offset = number * size + 13
            for i in range(ROUNDS):
                data = bytes([(i + number) % 255 + 1]) * size
                pool.write(offset, data)
                assert pool.read(offset, size) == data
                if i % 5 == 0:
                    pool.discard(offset, size)

        return run

    run_all(*(own(number) for number in range(4)))
