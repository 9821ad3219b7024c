# SPDX-License-Identifier: MIT
"""Copies within and between pools, resizing, and sizes that others have changed."""

from __future__ import annotations

import copy
import threading
from typing import Any, Callable

import pytest
from internals import SIZE_MAX, parallel

from pymempool import MemoryPool, PoolLimitError, PoolRangeError

ONES = bytes(range(1, 201))  # what the pool fixture has at 100


def test_copies_of_ranges(pool: MemoryPool) -> None:
    other = MemoryPool(1000, 128)
    assert other.copy_from(pool, 100, 50) == 50
    assert other[100:150] == ONES[:50]
    assert other.copy_from(pool, 100, 50, 7) == 50
    assert other[7:57] == ONES[:50]
    assert other.copy_from(pool, 3200, offset=0) == 896
    assert other[:896] == pool[3200:]
    assert other.copy_from(pool, 4096, offset=5) == 0
    assert pool.copy_from(pool, 100, 200, 110) == 200
    assert pool[110:310] == ONES


def test_whole_blocks_of_relatives_are_shared(pool: MemoryPool) -> None:
    clone = pool.clone()
    pool.fill(1024, 5, 1024)
    before = pool.stats.family_bytes
    clone.copy_from(pool, 1024, 1024, 2048)
    assert pool.stats.family_bytes == before
    assert clone[2048:3072] == b"\5" * 1024


def test_holes_stay_holes(pool: MemoryPool) -> None:
    large = MemoryPool(1 << 40)
    large.write(1 << 39, b"x")
    twin = MemoryPool(1 << 40)
    twin.fill(0, 1, 1 << 20)
    twin.copy_from(large)
    assert list(twin.extents()) == list(large.extents())


@pytest.mark.parametrize(
    "place",
    [(-1,), (4097,), (0, 4097), (100, 3997), (0, 10, 4090), (0, 10, -1), (5000, 0)],
)
def test_copies_past_the_end(place: Any, pool: MemoryPool) -> None:
    other = pool.clone()
    before = pool[:]
    with pytest.raises(PoolRangeError, match="allowed"):
        pool.copy_from(other, *place)
    assert pool[:] == before


def test_copies_over_the_limit(pool: MemoryPool) -> None:
    small = MemoryPool(4096, 64, memory_limit=64)
    with pytest.raises(PoolLimitError, match="0 of 64 bytes"):
        small.copy_from(pool)
    assert list(small.extents()) == []


def test_both_ways_at_once(pool: MemoryPool) -> None:
    other = MemoryPool(4096, 64)

    def copy_often(target: MemoryPool, source: MemoryPool) -> None:
        for _ in range(500):
            target.copy_from(source)

    threads = [
        threading.Thread(target=copy_often, args=pair)
        for pair in ((pool, other), (other, pool), (pool, other))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pool[:] == other[:]


def test_slices_from_pools(pool: MemoryPool) -> None:
    other = MemoryPool(100)
    other[:] = bytes(range(100))
    pool[500:600] = other
    assert pool[500:600] == bytes(range(100))
    pool[-100:] = other
    assert pool[-100:] == bytes(range(100))
    before = pool[:]
    for wrong in (slice(0, 99), slice(0, 101), slice(None), slice(5, 5)):
        with pytest.raises(PoolRangeError, match="size of what is assigned is 100"):
            pool[wrong] = other
    assert pool[:] == before
    pool[:] = pool
    assert pool[:] == before


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy])
def test_copies_are_clones(how: Callable[[Any], Any], pool: MemoryPool) -> None:
    class Mine(MemoryPool):
        pass

    twin = how(pool)
    assert pool.stats.family_pools == 2
    assert twin[:] == pool[:]
    twin[0] = 1
    assert pool[0] == 0
    assert type(how(Mine(5))) is Mine


# ---------------------------------------------------------------------- resizing


def test_resizing(pool: MemoryPool) -> None:
    pool.resize(150)
    assert (len(pool), pool.total_size, pool.stats.block_size) == (150, 150, 64)
    assert pool[100:] == ONES[:50]
    pool.resize(10000)
    assert pool[100:] == ONES[:50] + bytes(9850)
    pool.resize(SIZE_MAX)
    pool[SIZE_MAX - 1] = 5
    assert pool.total_size == SIZE_MAX
    assert pool.read(SIZE_MAX - 2, 2) == b"\0\5"


def test_cut_off_views_and_pins(pool: MemoryPool) -> None:
    view, pin = pool.view(128, 64), pool.pin(4032, 64)
    pool.resize(100)
    pin[0] = 7
    pool.resize(4096)
    assert view == ONES[28:92]
    assert pool[100:] == bytes(3996)


def test_restore_restores_the_size(pool: MemoryPool) -> None:
    clone = pool.clone()
    pool.resize(100)
    clone.restore(pool)
    assert (len(clone), clone.total_size) == (100, 100)
    with pytest.raises(PoolRangeError):
        clone.read(100, 1)
    other = pool.clone()
    other.resize(10000)
    clone.restore(other)
    assert len(clone) == 10000
    assert clone.read(9999, 1) == b"\0"


# --------------------------------------------------- sizes that others have changed

Resize = Callable[[MemoryPool, int], None]


def by_another_object(pool: MemoryPool, total_size: int) -> None:
    MemoryPool.from_handle(pool.handle).resize(total_size)


def by_c(pool: MemoryPool, total_size: int) -> None:
    parallel.pool_resize(pool.handle, total_size)


def by_restore(pool: MemoryPool, total_size: int) -> None:
    other = pool.clone()
    other.resize(total_size)
    parallel.pool_restore(pool.handle, other.handle)


ways = pytest.mark.parametrize("resize", [by_another_object, by_c, by_restore])

# Calls that need byte 5000, and what they give.
LATER: dict[str, tuple[Callable[[MemoryPool], Any], Any]] = {
    "read": (lambda pool: pool.read(5000, 3), bytes(3)),
    "read, other ints": (lambda pool: pool.read(True, 5000), None),
    "readinto": (lambda pool: pool.readinto(5000, bytearray(3)), 3),
    "write": (lambda pool: pool.write(5000, b"abc"), 3),
    "write, a buffer": (lambda pool: pool.write(5000, bytearray(3)), 3),
    "fill": (lambda pool: pool.fill(5000, 1, 3), None),
    "discard": (lambda pool: pool.discard(5000, 3), None),
    "take": (lambda pool: pool.take(5000, 3), bytes(3)),
    "item": (lambda pool: pool[5000], 0),
    "set item": (lambda pool: pool.__setitem__(5000, 1), None),
    "set slice": (lambda pool: pool.__setitem__(slice(5000, 5003), b"abc"), None),
    "copy_from": (lambda pool: pool.copy_from(pool, 5000, 3, 4500), 3),
    "gather": (lambda pool: pool.gather([5000], 3), bytes(3)),
    "scatter": (lambda pool: pool.scatter([5000], b"abc"), None),
    "read_many": (lambda pool: pool.read_many([(5000, 3), (4, 0)]), [bytes(3), b""]),
    "write_many": (lambda pool: pool.write_many([(5000, b"abc")]), None),
    "fetch_add": (lambda pool: pool.fetch_add(5000, 1), 0),
    "compare_exchange": (lambda pool: pool.compare_exchange(5000, 1, 2), False),
    "view": (lambda pool: pool.view(5000, 3), bytes(3)),
    "views": (lambda pool: b"".join(pool.views(4990, 100)), bytes(100)),
    "view, several": (lambda pool: pool.view(4000, 1000), b"end" + bytes(997)),
    "pin": (lambda pool: pool.pin(5000, 3), bytes(3)),
    "pin, several": (lambda pool: pool.pin(4000, 1000), b"end" + bytes(997)),
    "adopt": (lambda pool: pool.adopt(4992, bytes(64)), 64),
}


@ways
@pytest.mark.parametrize("name", LATER)
def test_made_larger_by_others(name: str, resize: Resize, pool: MemoryPool) -> None:
    call, wanted = LATER[name]
    with pytest.raises(PoolRangeError):
        call(pool)
    resize(pool, 10000)
    found = call(pool)
    assert wanted is None or found == wanted


@ways
@pytest.mark.parametrize("name", LATER)
def test_made_smaller_by_others(name: str, resize: Resize, pool: MemoryPool) -> None:
    pool.resize(10000)
    resize(pool, 4096)
    before = pool[:]
    pool._owner.total_size = 10000  # as it was when last seen
    with pytest.raises(PoolRangeError):
        LATER[name][0](pool)
    assert pool[:] == before


@ways
def test_sequences_made_smaller_by_others(resize: Resize, pool: MemoryPool) -> None:
    for key in (slice(0, 4096), slice(4000, 4096), slice(None), slice(-1000, None)):
        resize(pool, 4096)
        pool[4000:4003] = b"end"
        assert len(pool[key]) == len(range(4096)[key])
        resize(pool, 4002)
        flat = bytes(pool.read(0, 4002))
        pool._owner.total_size = 4096
        assert pool[key] == flat[key]
    assert pool[-1] == ord("n")
    assert (len(pool), pool.total_size) == (4002, 4002)
    with pytest.raises(PoolRangeError):
        pool[4002]
    pool[-2:] = b"!!"
    assert pool.read(4000, 2) == b"!!"


@ways
def test_sequences_made_larger_by_others(resize: Resize, pool: MemoryPool) -> None:
    resize(pool, 5000)
    assert len(pool[:]) == len(pool) == pool.total_size == 5000
    pool[-1] = 7
    assert pool[4999] == 7
    assert pool[4990:9999] == bytes(9) + b"\7"


def test_what_fits_is_told(pool: MemoryPool) -> None:
    by_c(pool, 4000)
    with pytest.raises(PoolRangeError, match="end of the pool, so that 2 bytes were"):
        pool.write(3998, b"abcd")
    assert pool.read(3998, 2) == b"ab"


def test_copies_of_sources_that_changed(pool: MemoryPool) -> None:
    other = MemoryPool(10000)
    by_c(pool, 5000)
    assert other.copy_from(pool) == 5000
    by_c(pool, 100)
    assert other.copy_from(pool) == 100
