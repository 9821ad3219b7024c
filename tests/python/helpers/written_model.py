# SPDX-License-Identifier: MIT
"""Pools that track which bytes were set, beside a model of them."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterable

from pymempool import MemoryPool, SharedSnapshot

SIZE = 600


def tracking(
    size: int = SIZE, block_size: int = 64, limit: int | None = None
) -> MemoryPool:
    return MemoryPool(size, block_size, memory_limit=limit, track_written=True)


def runs_of(offsets: Iterable[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for at in sorted(offsets):
        if found and sum(found[-1]) == at:
            found[-1] = found[-1][0], found[-1][1] + 1
        else:
            found.append((at, 1))
    return found


class Model:
    """A pool beside its bytes, and the set of the offsets that were set."""

    def __init__(self, pool: MemoryPool) -> None:
        self.pool, self.data, self.set = pool, bytearray(len(pool)), set[int]()

    def clone(self) -> Model:
        other = Model(self.pool.clone())
        other.data[:], other.set = self.data, set(self.set)
        return other

    def put(self, at: int, data: bytes) -> None:
        self.data[at : at + len(data)] = data
        self.set |= set(range(at, at + len(data)))

    def clear(self, at: int, size: int) -> None:
        self.data[at : at + size] = bytes(size)
        self.set -= set(range(at, at + size))

    def resize(self, size: int) -> None:
        self.data = self.data[:size].ljust(size, b"\0")
        self.set = {at for at in self.set if at < size}

    def check(self) -> None:
        assert self.pool[:] == self.data
        assert list(self.pool.written()) == runs_of(self.set)


def change(model: Model, other: Model, draw: random.Random) -> None:
    """Does one random change to a pool and to the model."""
    pool = model.pool
    at = draw.randrange(len(pool))
    size = draw.randrange(min(150, len(pool) - at) + 1)
    data = draw.choice([bytes(size), draw.randbytes(size)])
    kind = draw.randrange(13)
    if kind == 0:
        pool.write(at, draw.choice([bytes, bytearray, memoryview])(data))
        model.put(at, data)
    elif kind == 1:
        pool[at : at + size] = list(data)
        model.put(at, data)
    elif kind == 2:
        byte = draw.choice([0, 7])
        pool.fill(at, byte, size)
        model.put(at, bytes([byte]) * size)
    elif kind == 3:
        pool.discard(at, size)
        model.clear(at, size)
    elif kind == 4:
        assert pool.take(at, size) == model.data[at : at + size]
        model.clear(at, size)
    elif kind == 5:
        pool.write_many([(at, data), (0, b"\0")])
        model.put(at, data)
        model.put(0, b"\0")
    elif kind == 6:
        offsets = [draw.randrange(len(pool) - 2) for _ in range(5)]
        pool.scatter(iter(offsets), b"\0\1\0\0\0\0\0\0\0\2")
        for index, each in enumerate(offsets):
            model.put(each, [b"\0\1", b"\0\0", b"\0\0", b"\0\0", b"\0\2"][index])
    elif kind == 7:
        pool.adopt(at, data)
        model.put(at, data)
    elif kind == 8:
        integer(model, at - at % 8, draw)
    elif kind == 9:
        with pool.open() as file:
            file.seek(at)
            file.write(data)
        model.put(at, data)
    elif kind == 10:
        source = draw.choice([model, other])
        start = draw.randrange(len(source.data) + 1)
        size = min(size, len(source.data) - start)
        pool.copy_from(source.pool, start, size, at)
        held, was = source.data[start : start + size], set(source.set)
        model.clear(at, size)
        model.data[at : at + size] = held
        model.set |= {each - start + at for each in was if start <= each < start + size}
    elif kind == 11:
        model.resize(draw.randrange(SIZE // 2, SIZE * 2))
        pool.resize(len(model.data))
    else:
        pool.restore(other.pool)
        model.data[:], model.set = other.data, set(other.set)


def integer(model: Model, at: int, draw: random.Random) -> None:
    """Changes an integer of 4 bytes, or tries to."""
    if at + 4 > len(model.data):
        return
    pool, was = model.pool, int.from_bytes(model.data[at : at + 4], "little")
    if draw.randrange(2):
        assert pool.fetch_add(at, 0, 4) == was
        model.put(at, was.to_bytes(4, "little"))
        return
    assert not pool.compare_exchange(at, was ^ 1, 5, 4)  # changes nothing
    assert pool.compare_exchange(at, was, was, 4)
    model.put(at, was.to_bytes(4, "little"))


def facts_of(pool: MemoryPool) -> tuple[object, ...]:
    """What files of a pool depend on; also for other processes."""
    return pool[:], list(pool.written()), pool.start_address, pool.header


def changed(pool: MemoryPool) -> tuple[MemoryPool, object]:
    """The pool with more bytes that were set, for other processes; and what it was."""
    before = facts_of(pool)
    pool.fill(500, 0, 9)
    pool.header = b"by another process"
    return pool, before


def receive(snapshot: SharedSnapshot[MemoryPool] | bytes) -> tuple[object, ...]:
    """What a pool has that is opened from a shared snapshot, or from a pickle of one."""
    if isinstance(snapshot, bytes):
        snapshot = pickle.loads(snapshot)
        assert isinstance(snapshot, SharedSnapshot)
    with snapshot, snapshot.open() as pool:
        return facts_of(pool)
