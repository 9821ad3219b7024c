# SPDX-License-Identifier: MIT
"""fetch_add() and compare_exchange(): integers that threads of both languages share."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest
from hypothesis import given, strategies as st

from pymempool import MemoryPool, PoolLimitError, PoolRangeError

SIZES = [1, 2, 4, 8]


def read(pool: MemoryPool, offset: int, size: int) -> int:
    return int.from_bytes(pool.read(offset, size), sys.byteorder)


@given(
    size=st.sampled_from(SIZES),
    offset=st.integers(0, 92),
    numbers=st.lists(st.integers(-(2**70), 2**70)),
)
def test_adding(size: int, offset: int, numbers: list[int]) -> None:
    pool, total = MemoryPool(100, 8), 0
    for number in numbers:
        assert pool.fetch_add(offset, number, size) == total
        total = (total + number) % 256**size
        assert read(pool, offset, size) == total
    rest = bytearray(pool[:])
    rest[offset : offset + size] = bytes(size)
    assert not any(rest)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("offset", [0, 61, 64, 4088])
def test_exchanging(size: int, offset: int, pool: MemoryPool) -> None:
    most = 256**size - 1
    assert pool.compare_exchange(offset, 1, 2, size) is False
    assert read(pool, offset, size) == 0
    assert pool.compare_exchange(offset, 0, most, size) is True
    assert read(pool, offset, size) == most
    assert pool.compare_exchange(offset, 0, 1, size) is False
    assert pool.compare_exchange(offset, most, 5, size) is True
    assert read(pool, offset, size) == 5


def test_eight_bytes_unless_told(pool: MemoryPool) -> None:
    pool.fetch_add(0, -1)
    assert pool.read(0, 9) == b"\xff" * 8 + b"\0"
    assert pool.compare_exchange(0, 2**64 - 1, 0)


@pytest.mark.parametrize("size", [0, 3, 5, 9, 16, -1])
def test_other_sizes(size: int, pool: MemoryPool) -> None:
    with pytest.raises(PoolRangeError, match=f"size is {size}, allowed is 1"):
        pool.fetch_add(0, 1, size)
    with pytest.raises(PoolRangeError, match=f"size is {size}, allowed is 1"):
        pool.compare_exchange(0, 0, 1, size)


@pytest.mark.parametrize("wrong", [1.5, "1", None, b"1"])
def test_other_things(wrong: Any, pool: MemoryPool) -> None:
    before = pool[:]
    for call in (
        lambda: pool.fetch_add(wrong, 1),
        lambda: pool.fetch_add(0, wrong),
        lambda: pool.fetch_add(0, 1, wrong),
        lambda: pool.compare_exchange(wrong, 0, 1),
        lambda: pool.compare_exchange(0, wrong, 1),
        lambda: pool.compare_exchange(0, 0, wrong),
        lambda: pool.compare_exchange(0, 0, 1, wrong),
    ):
        with pytest.raises(TypeError):
            call()
    assert pool[:] == before


def test_ranges(pool: MemoryPool) -> None:
    for size in SIZES:
        for offset in (-1, 4097 - size, 2**64):
            with pytest.raises(PoolRangeError):
                pool.fetch_add(offset, 1, size)
            with pytest.raises(PoolRangeError):
                pool.compare_exchange(offset, 0, 1, size)
        for wrong in (-1, 256**size):
            with pytest.raises(PoolRangeError, match="expected is"):
                pool.compare_exchange(0, wrong, 1, size)
            with pytest.raises(PoolRangeError, match="new is"):
                pool.compare_exchange(0, 0, wrong, size)
    limited = MemoryPool(128, 64, memory_limit=64)
    limited.fetch_add(0, 1)
    with pytest.raises(PoolLimitError):
        limited.fetch_add(60, 1)
    assert (read(limited, 0, 8), read(limited, 60, 8)) == (1, 0)


def test_numbers_of_numpy(pool: MemoryPool) -> None:
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    one = numpy.int16(1)
    assert pool.fetch_add(one, one, numpy.uint8(2)) == 0
    assert pool.compare_exchange(one, one, one + one, numpy.int64(2))


@pytest.mark.parametrize("size", SIZES)
def test_threads(size: int, pool: MemoryPool) -> None:
    counter, lock, times = 1021, 3000, 300  # the counter lies in two blocks
    seen: list[int] = []

    def work() -> None:
        mine = []
        for _ in range(times):
            mine.append(pool.fetch_add(counter, 3, size))
            while not pool.compare_exchange(lock, 0, 1, size):
                pass
            before = pool.read(lock + 100, 2)
            pool.write(lock + 100, (int.from_bytes(before, "big") + 1).to_bytes(2, "big"))
            assert pool.compare_exchange(lock, 1, 0, size)
        seen.extend(mine)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = 3 * times
    assert sorted(seen) == sorted(i * 3 % 256**size for i in range(total))
    assert int.from_bytes(pool.read(lock + 100, 2), "big") == total
