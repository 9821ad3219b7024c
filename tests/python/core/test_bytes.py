# SPDX-License-Identifier: MIT
"""Reading, writing, filling, discarding and taking, and what is told about a pool."""

from __future__ import annotations

import sys
from typing import Any, Callable

import pytest
from internals import NEAR, QUICK_BYTES, SIZE_MAX, fresh_bytes

from pymempool import MemoryPool, PoolLimitError, PoolMemoryError, PoolStats, trim

BORDER = QUICK_BYTES


def test_starts_as_zeros_and_holds_nothing() -> None:
    pool = MemoryPool(10_000)
    assert pool.read(0, 10_000) == bytes(10_000)
    assert pool.stats.held_bytes == 0


@pytest.mark.parametrize("size", [1, 63, 64, 65, 1000, BORDER, BORDER + 1, 1 << 20])
@pytest.mark.parametrize("offset", [0, 1, 4095, 4096])
def test_what_was_written_is_read(offset: int, size: int) -> None:
    pool = MemoryPool(1 << 21, 4096)
    data = bytes(i * 31 & 0xFF for i in range(256)) * (size // 256 + 1)
    data = data[:size]
    assert pool.write(offset, data) == size
    assert pool.read(offset, size) == data
    assert pool.read(0, offset) == bytes(offset)
    assert pool.read(offset + size, 100) == bytes(100)
    assert pool.take(offset, size) == data
    assert pool.read(offset, size) == bytes(size)
    assert pool.stats.held_bytes == 0


@pytest.mark.parametrize(
    "kind", [bytes, bytearray, lambda data: memoryview(bytearray(data))]
)
@pytest.mark.parametrize("size", [8, BORDER + 8])
def test_offsets_that_no_int_of_c_holds(size: int, kind: Callable[[bytes], Any]) -> None:
    """Such a one, cut to 32 bits or fewer, would be the offset of other bytes here."""
    ends = NEAR, 2**31 - 1, 2**32 - 1, 2**33 - 1, 2**40 - 1, SIZE_MAX - 1
    places = {at for end in ends if end < SIZE_MAX for at in (end, end - size, end + 1)}
    places = {0, 2**20, *(at for at in places if at + size <= SIZE_MAX)}
    pool = MemoryPool(SIZE_MAX, 1)
    for number, at in enumerate(sorted(places)):
        pool.write(at, kind(bytes([number + 1]) * size))
    expected: dict[int, bytes] = {}
    for number, at in enumerate(sorted(places)):
        expected[at] = bytes([number + 1]) * size
        following = [place - at for place in places if at < place < at + size]
        if following:  # the next one was written over the end of this one
            expected[at] = expected[at][: min(following)]
    for at, data in expected.items():
        assert pool.read(at, len(data)) == data == pool[at : at + len(data)]
        buffer = bytearray(len(data))
        assert pool.readinto(at, buffer) == len(data)
        assert buffer == data
    assert pool.stats.held_bytes == sum(map(len, expected.values()))


@pytest.mark.parametrize("size", [100, BORDER + 100])
def test_fill_and_discard(size: int) -> None:
    pool = MemoryPool(1 << 20, 64)
    pool.fill(10, 0xA5, size)
    assert pool.read(0, size + 20) == bytes(10) + b"\xa5" * size + bytes(10)
    pool.discard(20, size - 20)
    assert pool.read(10, size) == b"\xa5" * 10 + bytes(size - 20) + b"\xa5" * 10
    pool.fill(10, 0, size)
    assert pool.stats.held_bytes == 0


def test_nothing_at_the_end_is_nothing(pool: MemoryPool) -> None:
    assert pool.read(4096, 0) == b""
    assert pool.take(4096, 0) == b""
    assert pool.write(4096, b"") == 0
    assert pool.readinto(4096, bytearray()) == 0
    pool.fill(4096, 1, 0)
    pool.discard(4096, 0)
    assert pool.read(4000, 96) == b"end" + bytes(93)


def test_largest_pool() -> None:
    pool = MemoryPool(SIZE_MAX, 4096)
    assert pool.total_size == SIZE_MAX
    assert pool.write(SIZE_MAX - 5, b"hello") == 5
    assert pool.read(SIZE_MAX - 6, 6) == b"\0hello"
    assert pool[-1] == ord("o")
    assert pool[SIZE_MAX - 5 :] == b"hello"
    ((start, size),) = pool.extents()
    assert start + size == SIZE_MAX


def test_numbers_may_be_anything_with_an_index(pool: MemoryPool) -> None:
    class Number:
        def __index__(self) -> int:
            return 100

    assert pool.read(Number(), Number()) == bytes(range(1, 101))
    assert pool.read(True, True) == b"\0"
    assert pool[Number()] == 1


class Once:
    """A number that tells what it is no more than once."""

    def __init__(self, number: int) -> None:
        self.left: list[int] = [number]

    def __index__(self) -> int:
        return self.left.pop()


ASKING: dict[str, Callable[[MemoryPool], Any]] = {
    "MemoryPool": lambda pool: MemoryPool(Once(9), Once(8), memory_limit=Once(7)),
    "from_handle": lambda pool: MemoryPool.from_handle(Once(pool.handle)),
    "read": lambda pool: pool.read(Once(5), Once(9)),
    "readinto": lambda pool: pool.readinto(Once(5), bytearray(9)),
    "write": lambda pool: pool.write(Once(5), b"data"),
    "write, a buffer": lambda pool: pool.write(Once(5), bytearray(9)),
    "fill": lambda pool: pool.fill(Once(5), Once(6), Once(9)),
    "discard": lambda pool: pool.discard(Once(5), Once(9)),
    "take": lambda pool: pool.take(Once(5), Once(9)),
    "copy_from": lambda pool: pool.copy_from(pool, Once(5), Once(9), Once(100)),
    "copy_from, the rest": lambda pool: pool.copy_from(pool, Once(4000)),
    "copy_from, to": lambda pool: pool.copy_from(pool, Once(4000), offset=Once(5)),
    "resize": lambda pool: pool.resize(Once(99)),
    "view": lambda pool: pool.view(Once(5), Once(900)),
    "views": lambda pool: pool.views(Once(5), Once(900)),
    "pin": lambda pool: pool.pin(Once(5), Once(900)),
    "pin, the rest": lambda pool: pool.pin(Once(5)),
    "array, numpy": lambda pool: pool.array((Once(5), Once(6)), offset=Once(9)),
    "array, one axis, numpy": lambda pool: pool.array(Once(5)),
    "changes": lambda pool: pool.changes(pool, Once(5), Once(9), item_size=Once(3)),
    "adopt": lambda pool: pool.adopt(Once(5), bytes(900)),
    "item": lambda pool: pool[Once(5)],
    "set item": lambda pool: pool.__setitem__(Once(5), Once(6)),
    "slice": lambda pool: pool[Once(5) : Once(9) : Once(1)],
    "set slice": lambda pool: pool.__setitem__(slice(Once(5), Once(9), Once(1)), b"data"),
    "gather": lambda pool: pool.gather([Once(5), Once(6)], Once(3)),
    "scatter": lambda pool: pool.scatter([Once(5), Once(6)], b"data"),
    "read_many": lambda pool: pool.read_many([(Once(5), Once(6)), (Once(9), Once(0))]),
    "write_many": lambda pool: pool.write_many([(Once(5), b"data"), (Once(9), b"")]),
    "fetch_add": lambda pool: pool.fetch_add(Once(5), Once(6), Once(4)),
    "compare_exchange": lambda pool: pool.compare_exchange(
        Once(5), Once(6), Once(7), Once(4)
    ),
    "open": lambda pool: pool.open("rb", Once(5), Once(9)),
    "map": lambda pool: pool.map(Once(60)),
    "svg": lambda pool: pool.svg(width=Once(600)),
}


@pytest.mark.parametrize("name", ASKING)
def test_numbers_are_asked_for_once(name: str, pool: MemoryPool) -> None:
    # Or what was checked might be another number than what is used.
    if name.endswith("numpy"):
        pytest.importorskip("numpy", reason="numpy is not installed")
    ASKING[name](pool)


def test_errors_of_an_index_are_told(pool: MemoryPool) -> None:
    class Wrong:
        def __index__(self) -> int:
            raise TypeError("of its own")

    with pytest.raises(TypeError, match="offset must be an integer, not Wrong") as caught:
        pool.read(Wrong(), 1)
    assert repr(caught.value.__cause__) == "TypeError('of its own')"
    with pytest.raises(TypeError, match="offset must be an integer, not float") as caught:
        pool.read(1.5, 1)  # type: ignore[arg-type]
    assert caught.value.__cause__ is None


def test_block_size_is_rounded_down() -> None:
    assert MemoryPool(1 << 20, 1000).block_size == 512
    assert MemoryPool(100, 65536).block_size == 128
    assert MemoryPool(1 << 20).block_size == 65536


def test_stats_tell_what_is_held() -> None:
    pool = MemoryPool(1 << 20, 64, memory_limit=1 << 16)
    pool.write(0, b"x" * 65)
    clone = pool.clone()
    clone.write(0, b"y")
    stats = pool.stats
    assert isinstance(stats, PoolStats)
    assert all(type(fact) is int for fact in stats._replace(page_tracking=0))  # type: ignore[arg-type]
    assert (stats.total_size, stats.block_size) == (1 << 20, 64)
    assert (stats.held_blocks, stats.held_bytes, stats.shared_blocks) == (2, 128, 1)
    assert (stats.family_pools, stats.family_bytes) == (2, 192)
    assert stats.family_peak_bytes >= 192
    assert stats.memory_limit == 1 << 16
    assert (stats.copied_blocks, clone.stats.copied_blocks) == (0, 1)


def test_limit_is_of_the_family() -> None:
    pool = MemoryPool(1 << 20, 1024, memory_limit=4096)
    pool.fill(0, 1, 4096)
    clone = pool.clone()
    with pytest.raises(PoolLimitError, match="4096 of 4096 bytes"):
        clone.write(0, b"copied on write")
    assert clone.read(0, 4096) == b"\1" * 4096
    pool.discard(0, 4096)  # the clone holds it still
    with pytest.raises(MemoryError):
        pool.write(0, b"new")
    clone.discard(0, 1024)
    assert pool.write(0, b"new") == 3


def test_clone_restore_and_changes() -> None:
    pool = MemoryPool(1 << 40, 4096)
    pool.write(1 << 39, b"before")
    clone = pool.clone()
    assert list(clone.changes(pool)) == []
    clone.write(5000, b"after")
    clone.write((1 << 39) + 1, b"E")
    assert list(clone.changes(pool)) == [(4096, 4096), (1 << 39, 4096)]
    assert pool.read(1 << 39, 6) == b"before"
    clone.restore(pool)
    assert list(clone.changes(pool)) == []
    assert clone.read(1 << 39, 6) == b"before"


def test_extents_see_what_happens_on_the_way() -> None:
    pool = MemoryPool(1 << 20, 64)
    pool.write(0, b"a")
    pool.write(6400, b"b")
    runs = pool.extents()
    assert next(runs) == (0, 64)
    pool.discard(6400, 64)
    pool.write(64000, b"c")
    assert next(runs) == (64000, 64)
    assert list(runs) == []


def test_handle_makes_one_pool_of_two(pool: MemoryPool) -> None:
    other = MemoryPool.from_handle(pool.handle)
    assert other is not pool
    assert other != pool
    assert other.total_size == 4096
    other.write(0, b"seen by both")
    assert pool.read(0, 12) == b"seen by both"
    pool.close()
    assert other.read(0, 12) == b"seen by both"


def test_fresh_bytes_are_nobody_elses() -> None:
    # Small bytes objects are shared in the whole process; C must never fill those.
    pool = MemoryPool(1 << 16, 1)
    pool.write(0, bytes(range(256)))
    made = [pool.read(i, 1) for i in range(256)]
    assert made == [bytes([i]) for i in range(256)]
    assert fresh_bytes(None, 1) is not fresh_bytes(None, 1)
    assert pool.take(3, 1) == b"\3"
    assert (bytes(0), bytes(1), bytes([3])) == (b"", b"\0", b"\3")


@pytest.mark.skipif(
    sys.maxsize < 1 << 40 or sys.platform not in ("linux", "win32"),
    reason="nothing is as large, or the system does not say what it has left",
)
def test_what_no_machine_has_is_refused_at_once() -> None:
    pool = MemoryPool(1 << 50)
    pool.write(5, b"a little")
    with pytest.raises(PoolMemoryError):
        pool.fill(0, 255, 1 << 48)
    with MemoryPool(1 << 50, 4096) as other, pytest.raises(PoolMemoryError):
        other.fill(1, 255, 1 << 40)
    assert pool.read(5, 8) == b"a little"
    assert pool.stats.held_blocks == 1


def test_trim_tells_bytes() -> None:
    pool = MemoryPool(1 << 24)
    pool.fill(0, 1, 1 << 24)
    pool.close()
    assert trim() >= 0
    assert trim() == 0
    assert MemoryPool(1).stats.cached_bytes == 0


def test_repr_is_clear_and_cheap(pool: MemoryPool) -> None:
    shown = repr(pool)
    assert shown == "<MemoryPool of 4096 bytes, 320 held in 5 blocks of 64>"
    pool.close()
    assert repr(pool) == "<MemoryPool, closed>"
