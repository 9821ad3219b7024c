# SPDX-License-Identifier: MIT
"""Which bytes of a pool were set: by each call that changes it, by none that fails."""

from __future__ import annotations

import ctypes
import io
import random
from pathlib import Path
from typing import Any, Callable

import pytest
from at_once import run_all
from internals import count_adopted
from written_model import SIZE, Model, change, runs_of, tracking

from pymempool import (
    CheckpointError,
    History,
    MemoryPool,
    PoolClosedError,
    PoolLimitError,
    PoolRangeError,
)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("block_size", [1, 64, 4096])
def test_all_calls_that_change_a_pool(seed: int, block_size: int) -> None:
    draw = random.Random(seed)
    models = [Model(tracking(SIZE, block_size))]
    models.append(models[0].clone())
    for _ in range(60):
        model, other = draw.sample(models, 2)
        change(model, other, draw)
        model.check()
        if not draw.randrange(10):
            models[draw.randrange(2)] = model.clone()
    for model in models:
        model.pool.close()
    assert count_adopted() == 0


def test_parts_of_a_pool() -> None:
    with tracking() as pool:
        pool.write(10, bytes(20))
        pool.write(100, b"x")
        assert list(pool.written(15)) == [(15, 15), (100, 1)]
        assert list(pool.written(15, 5)) == [(15, 5)]
        assert list(pool.written(SIZE, 0)) == list(pool.written(12, 0)) == []
        with pytest.raises(PoolRangeError):
            pool.written(10, SIZE)
        found = pool.written()
        assert next(found) == (10, 20)
        pool.write(60, b"y")  # later than the moment of the runs
        assert list(found) == [(100, 1)]
    with pytest.raises(PoolClosedError):
        pool.written()


def test_pools_that_track_nothing() -> None:
    with MemoryPool(1000, 64) as pool:
        pool.write(70, b"x")
        assert list(pool.written()) == [(64, 64)] == list(pool.extents())


def test_long_runs_are_one() -> None:
    with tracking(1 << 40, 65536) as pool:
        pool.fill(3, 0, 1 << 20)
        pool.fill((1 << 20) + 3, 1, 1 << 20)
        pool.write(1 << 39, b"\0")
        assert list(pool.written()) == [(3, 2 << 20), (1 << 39, 1)]


def test_pins_and_c_code_set_what_is_not_zero() -> None:
    with tracking() as pool:
        pool.write(50, bytes(4))
        pin = pool.pin(40, 30)
        pin[2], pin[12] = 5, 6
        assert list(pool.written()) == [(42, 1), (50, 4)]
        pin.release()
        with MemoryPool.from_handle(pool.handle) as alias:
            alias.write(300, b"\0a\0b")
            assert list(alias.written()) == list(pool.extents())
            assert list(pool.written(200)) == [(301, 1), (303, 1)]
            alias.resize(SIZE * 2)
            assert list(pool.written(200)) == [(301, 1), (303, 1)]
            pool.write(SIZE, bytes(2))
            assert list(pool.written(400)) == [(SIZE, 2)]


def test_restores_and_copies_of_pools_that_track_nothing() -> None:
    """Their blocks count, and all bytes of a raw image."""
    with tracking() as pool, MemoryPool.from_handle(pool.handle) as alias:
        pool.write(10, bytes(3))
        with alias.clone() as clone:
            clone.resize(SIZE + 64)
            pool.restore(clone)
            assert list(pool.written()) == [(0, 64)]
            assert len(pool) == SIZE + 64
        with MemoryPool(SIZE, 64) as plain:
            plain.write(70, b"x")
            pool.copy_from(plain, 0, 100, 300)
            assert list(pool.written()) == [(0, 64), (364, 36)]
            plain.copy_from(pool, 0, SIZE)
            assert list(plain.written()) == list(plain.extents())
        with MemoryPool.load(io.BytesIO(bytes(100)), format="raw") as raw:
            assert list(raw.written()) == [(0, 100)] == list(raw.clone().written())
            assert list(raw.written(30, 7)) == [(30, 7)]
            assert list(raw.written(100)) == []
            pool.copy_from(raw, 5, 20, 400)
            assert list(pool.written(410)) == [(410, 10)]


FAILING: dict[str, Callable[[MemoryPool], Any]] = {
    "write": lambda pool: pool.write(128, bytes(300)),
    "setitem": lambda pool: pool.__setitem__(slice(128, 428), bytearray(300)),
    "fill": lambda pool: pool.fill(128, 1, 300),
    "byte": lambda pool: pool.fill(128, 256, 3),
    "write_many": lambda pool: pool.write_many([(100, b"\0"), (200, bytes(300))]),
    "scatter": lambda pool: pool.scatter([0, 100, 200, 300, 400], bytes(5)),
    "fetch_add": lambda pool: pool.fetch_add(190, 1),
    "compare_exchange": lambda pool: pool.compare_exchange(190, 0, 1),
    "adopt": lambda pool: pool.adopt(130, bytes(300)),
    "adopt nothing": lambda pool: pool.adopt(130, 5),  # type: ignore[arg-type]
    "copy_from": lambda pool: pool.copy_from(_full(), 0, 300, 100),
    "end": lambda pool: pool.write(SIZE, b"\0"),
    "take": lambda pool: pool.take(0, SIZE + 1),
    "discard": lambda pool: pool.discard(5, SIZE),
    "resize": lambda pool: pool.resize(0),
    "restore": lambda pool: pool.restore(_full()),
}


def _full() -> MemoryPool:
    pool = tracking()
    pool.fill(0, 0, SIZE)
    pool.write(0, b"x" * SIZE)
    return pool


@pytest.mark.parametrize("name", FAILING)
def test_calls_that_fail_set_nothing(name: str) -> None:
    with tracking(limit=128) as pool:
        pool.write(5, bytes(3))
        pool.write(70, b"x")
        before = pool[:], list(pool.written())
        with pytest.raises((PoolLimitError, ValueError, TypeError, IndexError)):
            FAILING[name](pool)
        assert (pool[:], list(pool.written())) == before


def test_clones_beside_writers_agree_with_their_marks() -> None:
    """Bytes other than zero, so that the contents say what must be marked."""
    with tracking(1 << 16, 4096) as pool:

        def write(seed: int) -> None:
            draw = random.Random(seed)
            for _ in range(150):
                pool.write(draw.randrange(60_000), b"x" * draw.randrange(1, 5000))
                pool.discard(draw.randrange(60_000), 5000)

        def look() -> None:
            for _ in range(60):
                with pool.clone() as clone:
                    held = {at for at, byte in enumerate(clone[:]) if byte}
                    assert list(clone.written()) == runs_of(held)

        run_all(lambda: write(1), lambda: write(2), look)


def test_histories_and_deltas_know_what_was_set() -> None:
    with tracking() as pool, tracking() as other:
        pool.write(0, b"\1" * 100)
        other.copy_from(pool)
        with History(pool) as history:
            state = history.record()
            pool.fill(0, 0, 50)
            pool.discard(60, 10)
            history.go_to(state)
        assert list(pool.written()) == [(0, 100)]
        pool.fill(0, 0, 50)
        other.apply(pool.delta(other))
        assert list(other.written()) == [(0, 100)]


def test_deltas_set_what_they_hold() -> None:
    """That is what differs, and short gaps; what differs in nothing stays as it was."""
    with tracking() as base, tracking() as pool, tracking() as other:
        for each in (base, pool, other):
            each.write(0, b"\1" * 100)
        pool.fill(0, 0, 40)
        pool.discard(60, 30)
        pool.fill(200, 0, 20)  # no difference of contents
        pool.resize(SIZE + 50)
        pool.write(SIZE, b"abc")
        other.write(300, bytes(7))
        other.start_address, other.header = 5, b"title"
        other.apply(pool.delta(base))
        assert other.same(pool)
        assert list(other.written()) == [(0, 100), (300, 7), (SIZE, 3)]
        assert (other.start_address, other.header) == (5, b"title")


def test_deltas_that_fail_set_nothing(tmp_path: Path) -> None:
    with tracking() as base, tracking() as pool, tracking() as other:
        pool.fill(0, 1, 40)
        pool.save(tmp_path / "delta", since=base)
        delta = bytearray((tmp_path / "delta").read_bytes())
        delta[-20] ^= 1
        other.fill(100, 0, 5)
        with pytest.raises(CheckpointError):
            other.apply(delta)
        assert list(other.written()) == [(100, 5)]
        other.apply(tmp_path / "delta")
        assert list(other.written()) == [(0, 40), (100, 5)]


def test_facts_of_an_image_come_with_a_restore_and_with_no_copy() -> None:
    with tracking() as pool, pool.clone() as other:
        other.start_address, other.header = 5, None
        other.fill(0, 0, 9)
        pool.copy_from(other)
        assert list(pool.written()) == [(0, 9)]
        assert (pool.start_address, pool.header) == (None, b"pymempool")
        pool.restore(other)
        assert (pool.start_address, pool.header) == (5, None)


def test_copies_within_a_pool_that_overlap() -> None:
    with tracking() as pool:
        pool.write(10, bytes(4))
        pool.write(20, b"ab")
        pool.copy_from(pool, 10, 12, 14)
        assert list(pool.written()) == [(10, 8), (24, 2)]
        assert pool[24:26] == b"ab"


def test_limits_and_addresses_are_those_of_the_pool() -> None:
    with tracking(1 << 20, 4096, limit=4096) as pool:
        pool.write(0, bytes(4096))
        with pytest.raises(PoolLimitError):
            pool.write(4096, b"\0")
        assert pool.stats.held_bytes == 4096
        byte = ctypes.c_ubyte.from_buffer(pool.pin(0, 1))
        byte.value = 9
        assert pool[0] == 9
