# SPDX-License-Identifier: MIT
"""A user's program for type checkers: mypy reads it with the package, nothing runs it."""

from __future__ import annotations

import ctypes
import io
import socket
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Optional, Union

from typing_extensions import assert_type

from pymempool import (
    BlockState,
    History,
    MemoryPool,
    PoolFile,
    PoolStats,
    SharedSnapshot,
    merge,
)
from pymempool.testing import assert_only_wrote, assert_same, lend_pool, written


class Mine(MemoryPool):
    """What comes of a subclass is of the subclass."""


def constructors() -> None:
    MemoryPool(4096, 512)
    MemoryPool(4096, max_block_size=512, memory_limit=None)
    MemoryPool(4096, block_size=512)
    MemoryPool(4096, block_size=0.5)  # type: ignore[arg-type]


def subclasses(mine: Mine) -> None:
    assert_type(mine.clone(), Mine)
    assert_type(Mine.from_handle(mine.handle), Mine)
    assert_type(Mine.load("image"), Mine)
    with mine as again:
        assert_type(again, Mine)


def as_a_sequence(pool: MemoryPool) -> None:
    assert_type(pool[0], int)
    assert_type(pool[0:5], bytes)
    pool[0] = 5
    pool[0:5] = b"hello"
    pool[0:5] = array("B", range(5))
    pool[:] = pool.clone()
    pool[0:2] = [1, 2]
    pool[0:2] = (byte for byte in range(2))
    pool[0:2] = [1.0]  # type: ignore[list-item]
    for _ in pool:  # type: ignore[misc]
        break


def search(pool: MemoryPool) -> None:
    assert_type(pool.find(b"bytes", 5, None), int)
    assert_type(pool.count(array("H", [5]), -100), int)
    assert_type(pool.rindex(255), int)
    assert_type(memoryview(b"part") in pool, bool)
    pool.find("text")  # type: ignore[arg-type]
    pool.rfind(b"bytes", 0.5)  # type: ignore[arg-type]
    if "text" in pool:  # type: ignore[operator]
        pass


def content(pool: MemoryPool) -> None:
    assert_type(pool.digest(), bytes)
    assert_type(pool.same(pool), bool)
    assert_type(pool.differences(pool, 4096, size=None), Iterator[tuple[int, int]])
    pool.same(b"bytes")  # type: ignore[arg-type]
    pool.differences(pool, item_size=8)  # type: ignore[call-arg]


def memory(pool: MemoryPool) -> None:
    pool.write(0, memoryview(bytearray(5)))
    pool.readinto(0, array("d", [0.5]))
    pool.readinto(0, 5)  # type: ignore[arg-type]
    pool.adopt(0, ctypes.create_string_buffer(5))
    assert_type(pool.gather([1, 2], 4, bytearray(8)), bytearray)
    assert_type(pool.read_many([(1, 2), (3, 4)]), list[bytes])
    assert_type(pool.read_many(pool.extents(), bytearray(8)), bytearray)
    pool.write_many([(1, b"bytes"), (5, array("d", [0.5]))])
    pool.write_many([(1, "text")])  # type: ignore[list-item]
    assert_type(pool.view(0, 5), memoryview)
    assert_type(pool.view(), memoryview)
    assert_type(pool.pin(5), memoryview)
    pool.array((2, 3), "<u4", 8, frozen=True)
    pool.array(2.5)  # type: ignore[arg-type]
    ctypes.CDLL("library").function(pool)


def facts(pool: MemoryPool) -> None:
    assert_type(pool.stats, PoolStats)
    assert_type(pool.extents(), Iterator[tuple[int, int]])
    assert_type(pool.start_address, Optional[int])
    assert_type(pool.header, Optional[bytes])
    assert_type(pool.written(0, 100), Iterator[tuple[int, int]])
    assert_type(pool.extents(4096, 100), Iterator[tuple[int, int]])
    assert_type(pool.changes(pool, 4096, size=None), Iterator[tuple[int, int]])
    assert_type(pool.changes(pool, item_size=8), Iterator[tuple[int, int]])
    assert pool.stats.page_tracking != "pagemap_scam"  # type: ignore[comparison-overlap]
    assert_type(pool.states(), Iterator[tuple[int, int, BlockState]])
    assert_type(pool.states(offset=4096), Iterator[tuple[int, int, BlockState]])
    assert_type(pool.map(since=pool), str)


def files(pool: MemoryPool) -> None:
    with pool.open() as file:
        assert_type(file, PoolFile)
        io.BufferedReader(file)
    pool.save(io.BytesIO(), progress=lambda done, total: None)
    pool.save(io.BytesIO(), crop=(0, None), fill=0xFF, from_lowest=True)
    assert_type(Mine.load("image", offset=0x8000), Mine)
    assert_type(merge(pool, pool.clone(), overlap="same"), MemoryPool)


def deltas(pool: MemoryPool) -> None:
    delta = pool.delta(pool.clone())
    assert_type(delta, bytes)
    pool.apply(delta)
    pool.apply(memoryview(delta), progress=lambda done, total: None)
    pool.apply(Path("delta"))
    pool.apply("memory://delta")
    pool.apply(io.BytesIO(delta))
    pool.apply(socket.socket().makefile("rb"))
    pool.apply(5)  # type: ignore[arg-type]
    pool.delta(delta)  # type: ignore[arg-type]


def shared(pool: MemoryPool, mine: Mine) -> None:
    with pool.share(digest=True) as snapshot:
        assert_type(snapshot, SharedSnapshot[MemoryPool])
        assert_type(snapshot.open(), MemoryPool)
        assert_type(snapshot.digest, Optional[bytes])
        assert_type(mine.share(since=snapshot).open(), Mine)
        pool.share(since=pool)  # type: ignore[arg-type]


def histories(pool: MemoryPool) -> None:
    with History(pool, memory_limit=1 << 20, keep=100) as history:
        assert_type(history.record("label"), int)
        history.go_to("label")
        history.go_to(-1)
        history.drop(0)
        assert_type(history.at(0), MemoryPool)
        assert_type(history.differences(0, "label"), Iterator[tuple[int, int]])
        assert_type(history.held_bytes, int)
        assert_type(list(history), list[Union[str, int]])
        history.record(5)  # type: ignore[arg-type]
        history.go_to(None)  # type: ignore[arg-type]


def tests() -> None:
    with lend_pool(4096, memory_limit=64) as loan:
        assert_same(loan.pool, b"x")
        with assert_only_wrote(loan.pool, [(0, 5)]), written(loan.pool) as found:
            pass
        assert_type(found.ranges, Optional[list[tuple[int, int]]])
