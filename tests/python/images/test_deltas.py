# SPDX-License-Identifier: MIT
"""Deltas: what comes back, what they cost, and what is refused, bit by bit."""

from __future__ import annotations

import array
import gzip
import io
import mmap
import os
import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable

import pytest
from delta_format import (
    DATA,
    EMPTY,
    FRAME,
    HEAD,
    RECORD,
    ZEROS,
    complete,
    head,
    record,
    records_of,
)
from hypothesis import given, strategies as st
from internals import SIZE_MAX

from pymempool import (
    CheckpointError,
    MemoryPool,
    PoolClosedError,
    PoolError,
    PoolLimitError,
    PoolMemoryError,
)

CHUNK = 4096
PIECE = 1 << 20
PART = 1 << 18  # what is compared at a time


def saved(pool: MemoryPool, base: MemoryPool, progress: Any = None) -> bytes:
    file = io.BytesIO()
    pool.save(file, since=base, progress=progress)
    return file.getvalue()


def loaded(pool: MemoryPool, max_block_size: int = 65536, **options: Any) -> MemoryPool:
    """A pool with the same contents that is no relative."""
    image = io.BytesIO()
    pool.save(image)
    image.seek(0)
    return MemoryPool.load(image, max_block_size, **options)


@contextmanager
def unchanged(pool: MemoryPool) -> Iterator[None]:
    """What is done in it must change nothing, and leave no clone behind."""
    with pool.clone() as before:
        size, pools = pool.total_size, pool.stats.family_pools
        yield
        assert pool.total_size == size
        assert list(pool.changes(before)) == []
        if size <= PIECE:
            assert pool[:] == before[:]
        assert pool.stats.family_pools == pools


def refused(pool: MemoryPool, delta: bytes, match: str) -> None:
    with unchanged(pool), pytest.raises(CheckpointError, match=match):
        pool.apply(delta)


def ranges_of(delta: bytes) -> list[tuple[int, int, int]]:
    """The records of a delta, without their data."""
    return [(kind, start, size) for kind, start, size, _ in records_of(delta)]


# --------------------------------------------------------------------- round trips


def edit(pool: MemoryPool) -> None:
    """Changes of each kind: data, what becomes zeros, and data as it was before."""
    size = pool.total_size
    pool.fill(size // 2, 0, size // 4)
    pool.write(size - 1, b"!")
    pool.write(0, pool.read(0, 1))
    pool.write(size // 3, b"changed"[: size - size // 3])


SIZES = [1, 100, 4095, 4096, 4097, 50000, PIECE, PIECE + 1, 3 * PIECE + 12345]


@pytest.mark.parametrize("other_block_size", [64, 4096, 1 << 22])
@pytest.mark.parametrize("block_size", [16, 65536])
@pytest.mark.parametrize("size", SIZES)
def test_there_and_back(size: int, block_size: int, other_block_size: int) -> None:
    pool = MemoryPool(size, block_size)
    pool.fill(size // 3, 5, size - size // 3)
    twin = loaded(pool, other_block_size)
    with pool.clone() as base:
        edit(pool)
        twin.apply(pool.delta(base))
        assert twin[:] == pool[:] != base[:]
        twin.apply(base.delta(pool))
        assert twin[:] == base[:]


@pytest.mark.parametrize("new_size", [1, 4096, 5000, 8192, 9000, 20000, SIZE_MAX])
@pytest.mark.parametrize("touch", [False, True])
def test_resized(new_size: int, touch: bool) -> None:
    pool = MemoryPool(9000, 256)
    pool.fill(0, 7, 9000)
    twin, base = loaded(pool), pool.clone()
    pool.resize(new_size)
    if touch:
        pool.write(new_size - 1, b"!")
    delta = saved(pool, base)
    twin.apply(delta)
    assert twin.total_size == new_size
    assert list(twin.read(0, min(new_size, 20000))) == list(pool[:20000])
    assert twin[-1] == pool[-1]
    twin.apply(base.delta(pool))
    assert twin[:] == base[:]


def test_cut_off_and_made_larger() -> None:
    pool = MemoryPool(3 * CHUNK, CHUNK)
    pool.fill(0, 7, 3 * CHUNK)
    base, twin = pool.clone(), loaded(pool)
    pool.resize(100)
    pool.resize(2 * CHUNK + 1)
    twin.apply(pool.delta(base))
    assert twin[:] == bytes([7] * 100).ljust(2 * CHUNK + 1, b"\0")


def place(size: int) -> st.SearchStrategy[int]:
    return st.integers(0, size) | st.sampled_from([0, 64, CHUNK, 2 * CHUNK])


OPERATIONS = st.one_of(
    st.tuples(st.just("write"), place(20000), st.binary(min_size=1, max_size=20)),
    st.tuples(st.just("fill"), place(20000), st.integers(0, 255), place(20000)),
    st.tuples(st.just("discard"), place(20000), place(20000)),
    st.tuples(st.just("resize"), place(20000)),
    st.tuples(st.just("save")),
)
BLOCK_SIZES = st.sampled_from([1, 64, 1024, 4096, 65536])


@given(BLOCK_SIZES, BLOCK_SIZES, st.lists(OPERATIONS, max_size=30))
def test_any_chain(
    block_size: int, other_block_size: int, operations: list[tuple[Any, ...]]
) -> None:
    pool = MemoryPool(10000, block_size)
    twin, base = loaded(pool, other_block_size), pool.clone()
    for name, *arguments in [*operations, ("save",)]:
        if name == "save":
            twin.apply(pool.delta(base))
            assert twin[:] == pool[:]
            base.restore(pool)
        elif name == "resize":
            pool.resize(max(1, arguments[0]))
        else:
            offset, *rest = arguments
            offset = min(offset, pool.total_size)
            room = pool.total_size - offset
            last = rest.pop()
            rest.append(last[:room] if name == "write" else min(last, room))
            getattr(pool, name)(offset, *rest)


def test_a_class_of_ones_own() -> None:
    class Mine(MemoryPool):
        def __init__(self) -> None:
            super().__init__(50000, 64)
            self.name = "mine"

    pool, twin = Mine(), Mine()
    with pool.clone() as base:
        edit(pool)
        twin.apply(pool.delta(base))
    assert (twin[:], twin.name) == (pool[:], "mine")


def test_strangers() -> None:
    """Pools that are no relatives, of other sizes and block sizes."""
    pools = [MemoryPool(size, 64) for size in (1, 5000, 3 * PIECE + 5)]
    pools += [loaded(pools[1], 4096), MemoryPool(PIECE, 1 << 16)]
    for number, pool in enumerate(pools):
        pool.write(pool.total_size // 2, bytes([number + 1]))
        pool.write(0, bytes(1))
    for pool in pools:
        for base in pools:
            with base.clone() as twin:
                twin.apply(pool.delta(base))
                assert twin[:] == pool[:]


def test_a_delta_of_a_file(tmp_path: Path) -> None:
    """What an edited image has that its first version had not."""
    pool = MemoryPool(PIECE)
    pool.fill(0, 1, PIECE)
    pool.save(tmp_path / "first")
    pool.write(700_000, b"edited")
    pool.save(tmp_path / "second")
    first, second = (MemoryPool.load(tmp_path / it) for it in ("first", "second"))
    delta = second.delta(first)
    assert len(delta) == EMPTY + FRAME + RECORD + len("edited")
    first.apply(delta)
    assert first[:] == pool[:]


# -------------------------------------------------------------------- what is in it


def test_the_format() -> None:
    pool = MemoryPool(3 * CHUNK + 10, 64)
    pool.fill(0, 1, 2 * CHUNK)
    with pool.clone() as base:
        pool.discard(CHUNK, CHUNK)
        pool.write(3 * CHUNK, b"end")
        delta = pool.delta(base)
        start = head(len(pool), len(pool), base.digest(), pool.digest())
        records = record(ZEROS, CHUNK, CHUNK) + record(DATA, 3 * CHUNK, 3) + b"end"
        assert delta == saved(pool, base) == complete(start, records)


def test_nothing_changed(pool: MemoryPool) -> None:
    nothing = complete(head(4096, 4096, pool.digest(), pool.digest()))
    assert len(nothing) == EMPTY
    with pool.clone() as base:
        assert pool.delta(pool) == pool.delta(base) == nothing
        pool.write(100, pool.read(100, 1))  # copies the block, changes nothing
        assert list(pool.changes(base)) != []
        assert pool.delta(base) == nothing
    twin = loaded(pool)
    for _ in range(2):
        with unchanged(twin):
            twin.apply(nothing)


def test_one_byte_in_much() -> None:
    size = min(1 << 40, SIZE_MAX)
    for block_size in (256, 65536, PIECE):
        pool = MemoryPool(size, block_size)
        pool.fill(0, 1, 3 * PIECE)
        with pool.clone() as base:
            pool.write(size // 2 + 5, b"!")
            assert len(pool.delta(base)) == EMPTY + FRAME + RECORD + 1
            assert len(base.delta(pool)) == EMPTY + FRAME + RECORD


def test_bytes_that_differ() -> None:
    """From the first to the last, together if less than 32 equal ones are between."""
    pool = MemoryPool(4 * CHUNK, 4 * CHUNK)
    pool.fill(0, 1, 4 * CHUNK)
    with pool.clone() as base:
        for at in (100, 101 + 31, 200, 201 + 32, 300, CHUNK - 1, CHUNK, 4 * CHUNK - 1):
            pool.write(at, b"!")
        delta = pool.delta(base)
        assert ranges_of(delta) == [
            (DATA, 100, 33),
            (DATA, 200, 1),
            (DATA, 233, 1),
            (DATA, 300, 1),
            (DATA, CHUNK - 1, 2),
            (DATA, 4 * CHUNK - 1, 1),
        ]
        base.apply(delta)
        assert base[:] == pool[:]


def test_zeros_within_data() -> None:
    """Only chunks of nothing but zeros are no data."""
    pool = MemoryPool(4 * CHUNK, 4 * CHUNK)
    pool.fill(0, 1, 4 * CHUNK)
    with pool.clone() as base:
        pool.discard(CHUNK - 100, 2 * CHUNK)
        pool.discard(3 * CHUNK + 7, 1)
        assert ranges_of(pool.delta(base)) == [
            (DATA, CHUNK - 100, 100),
            (ZEROS, CHUNK, CHUNK),
            (DATA, 2 * CHUNK, CHUNK - 100),
            (DATA, 3 * CHUNK + 7, 1),
        ]


@pytest.mark.parametrize("seed", range(20))
def test_any_bytes(seed: int) -> None:
    """Pieces of each kind, of all lengths, in blocks of all sizes."""
    rng = random.Random(seed)
    size = rng.randrange(1, 4 * PART)
    pool = MemoryPool(size, 1 << rng.randrange(5, 21))
    pool.fill(0, rng.randrange(2), size)
    base = pool.clone()
    for _ in range(rng.randrange(60)):
        count = min(size, 1 << rng.randrange(20))
        at = rng.randrange(size - count + 1)
        pool.write(at, rng.choice([os.urandom, bytes])(count))
    delta = pool.delta(base)
    records = ranges_of(delta)
    ends = [0, *(start + count for _, start, count in records)]
    assert all(end <= start for end, (_, start, _) in zip(ends, records))
    assert ends[-1] <= size
    base.apply(delta)
    assert base[:] == pool[:]


def test_what_is_held_is_not_read() -> None:
    """Neither to save nor to apply; the digests are counted in C."""
    read: list[int] = []

    class Counted(MemoryPool):
        def read(self, offset: Any, size: Any) -> bytes:
            read.append(size)
            return super().read(offset, size)

    pool, twin = Counted(8 * PIECE, 65536), Counted(8 * PIECE, 4096)
    pool.fill(0, 1, 8 * PIECE)
    twin.copy_from(pool)
    with pool.clone() as base:
        pool.write(5 * PIECE + 9, b"changed")
        delta = pool.delta(base)
    assert read == [65536, 65536]
    read.clear()
    twin.apply(delta)
    assert read == []
    assert twin.same(pool)


def test_data_comes_in_frames() -> None:
    pool = MemoryPool(4 * PIECE, 4096)
    with pool.clone() as base:
        pool.fill(CHUNK, 1, 2 * PIECE + CHUNK)
        delta = pool.delta(base)
        rest = 2 * PIECE + CHUNK - 8 * PART
        assert [size for _, _, size in ranges_of(delta)] == [PART] * 8 + [rest]
        assert len(delta) == EMPTY + 3 * FRAME + 9 * RECORD + 2 * PIECE + CHUNK
        base.apply(delta)
        assert base[:] == pool[:]


def test_many_small_records() -> None:
    """They do not fit into one frame."""
    pool = MemoryPool(8 * PIECE, 65536)
    with pool.clone() as base:
        for at in range(0, 8 * PIECE, 128):
            pool.write(at, b"!")
        delta = pool.delta(base)
        assert len(delta) == EMPTY + 2 * FRAME + 65536 * (RECORD + 1)
        base.apply(delta)
        assert base[:] == pool[:]


def test_a_large_hole_is_one_record() -> None:
    pool = MemoryPool(8 * PIECE, 65536)
    pool.fill(0, 1, 8 * PIECE)
    with pool.clone() as base:
        pool.discard(CHUNK, 5 * PIECE)
        pool.discard(7 * PIECE, PIECE)
        assert ranges_of(pool.delta(base)) == [
            (ZEROS, CHUNK, 5 * PIECE),
            (ZEROS, 7 * PIECE, PIECE),
        ]


def test_holes_come_back() -> None:
    pool = MemoryPool(16 * CHUNK, CHUNK)
    pool.fill(0, 1, 16 * CHUNK)
    twin = loaded(pool, CHUNK)
    with pool.clone() as base:
        pool.discard(2 * CHUNK, 4 * CHUNK)
        pool.write(10 * CHUNK, bytes(CHUNK))
        twin.apply(pool.delta(base))
    runs = [(0, 2 * CHUNK), (6 * CHUNK, 4 * CHUNK), (11 * CHUNK, 5 * CHUNK)]
    assert list(twin.extents()) == runs


def test_the_moment_counts(pool: MemoryPool) -> None:
    """What is written while it is saved is not in it."""
    base, before, twin = pool.clone(), pool[:], loaded(pool)
    pool.write(0, b"in")
    expected = pool[:]

    def disturb(done: int, total: int) -> None:
        pool.fill(0, 9, 4096)
        base.fill(0, 9, 4096)

    delta = saved(pool, base, disturb)
    assert twin[:] == before
    twin.apply(delta)
    assert twin[:] == expected


# ------------------------------------------------------------------ what is refused


@pytest.fixture
def small() -> tuple[MemoryPool, bytes]:
    """A pool and a small delta with records of both kinds, made for it."""
    pool = MemoryPool(CHUNK + 100, 64)
    pool.write(10, b"zeros")
    twin = loaded(pool, 1024)
    with pool.clone() as base:
        pool.discard(0, CHUNK)
        pool.write(CHUNK + 50, b"data")
        return twin, saved(pool, base)


def test_each_bit(small: tuple[MemoryPool, bytes]) -> None:
    pool, delta = small
    assert len(delta) == EMPTY + FRAME + 2 * RECORD + 4
    for at in range(8 * len(delta)):
        broken = bytearray(delta)
        broken[at // 8] ^= 1 << at % 8
        refused(pool, bytes(broken), "delta")
    pool.apply(delta)


def test_each_end(small: tuple[MemoryPool, bytes]) -> None:
    pool, delta = small
    for size in range(len(delta)):
        refused(pool, delta[:size], "is cut off")
    for more in (b"\0", b"\n", delta):
        refused(pool, delta + more, "after the end")
    pool.apply(delta)


def test_frames_that_change_places() -> None:
    """A frame that is left out, twice there, or elsewhere, and one of another delta."""
    pool = MemoryPool(4 * PIECE, 65536)
    with pool.clone() as base:
        pool.fill(0, 1, 4 * PIECE)
        delta = pool.delta(base)
        size = PIECE - PART + 3 * RECORD + FRAME
        assert len(delta) == EMPTY + 5 * size + PART + RECORD + FRAME
        start, end = delta[:HEAD], delta[-FRAME:]
        frames = [delta[len(start) + it * size :][:size] for it in range(5)]
        last = delta[len(start) + 5 * size : -FRAME]
        assert start + b"".join(frames) + last + end == delta
        for wrong in (
            [*frames, last][1:],
            frames,
            [frames[0], *frames, last],
            [frames[1], frames[0], *frames[2:], last],
            [last, *frames],
        ):
            refused(base, start + b"".join(wrong) + end, "is damaged")
        base.write(0, b"!")
        other = pool.delta(base)
        refused(base, other[:HEAD] + delta[HEAD:], "is damaged")
        base.apply(other)


@pytest.mark.parametrize(
    ("at", "match"),
    [
        (0, "no delta of a pool"),
        (8, "version 3, supported is 2"),
        (16, "checksum is wrong"),  # the size of the base: damage comes first
        (24, "checksum is wrong"),  # the size of the pool
        (40, "checksum is wrong"),  # the digest of the base
        (70, "checksum is wrong"),  # the digest of the pool
        (HEAD + 2, "checksum is wrong|is cut off"),  # the size of a frame
        (HEAD + 3, "frame of 16777254 bytes in the delta, allowed are up to 1048576"),
        (HEAD + 8, "checksum is wrong"),  # a record
        (-1, "checksum is wrong"),
    ],
)
def test_what_is_told(at: int, match: str, small: tuple[MemoryPool, bytes]) -> None:
    pool, delta = small
    broken = bytearray(delta)
    broken[at] ^= 1
    refused(pool, bytes(broken), match)
    assert issubclass(CheckpointError, PoolError)
    assert issubclass(CheckpointError, ValueError)


def test_chains() -> None:
    """Three deltas of parts of their own, in any other order, or twice."""
    pool = MemoryPool(1 << 20, 4096)
    pool.fill(0, 1, 1 << 20)
    first, chain = loaded(pool), []
    for part in range(3):
        with pool.clone() as base:
            pool.write(part << 18, b"changed")
            chain.append(saved(pool, base))
    twin = first.clone()
    for number, delta in enumerate(chain):
        for wrong in {0, 1, 2} - {number}:
            refused(twin, chain[wrong], "made for other contents")
        twin.apply(delta)
        refused(twin, delta, "made for other contents")
    assert twin[:] == pool[:]
    first.write(999999, b"!")  # of which no delta tells
    refused(first, chain[0], "made for other contents")
    first.resize((1 << 20) - 1)
    refused(first, chain[0], "a pool of 1048576 bytes, this one has 1048575")


def test_zeros_are_no_difference() -> None:
    """To the digest, it is the same whether zeros are held and in which blocks."""
    pool = MemoryPool(10 * CHUNK, 16)
    pool.write(3 * CHUNK + 20, b"data")
    twin = MemoryPool(10 * CHUNK, 65536)
    twin.fill(0, 1, 10 * CHUNK)
    twin.write(0, bytes(10 * CHUNK))
    twin.write(3 * CHUNK + 20, b"data")
    with pool.clone() as base:
        pool.write(5, b"more")
        twin.apply(pool.delta(base))
    assert twin[:] == pool[:]


def test_long_chains() -> None:
    """Of hundreds, with sizes between, by which another pool comes to the same."""
    rng = random.Random(1)
    pool, chain = MemoryPool(PIECE, 4096), []
    pool.fill(0, 1, PIECE)
    first = loaded(pool, 256)
    for number in range(300):
        with pool.clone() as base:
            if number % 10 == 9:
                pool.resize(rng.randrange(PIECE // 2, 2 * PIECE))
            pool.write(rng.randrange(PIECE // 2), bytes([number % 256]) * 3)
            chain.append(pool.delta(base))
    for delta in chain:
        first.apply(delta)
    assert first[:] == pool[:]


# What a delta may say that was made to do harm: the records of its frames, and the reason
# for which it is refused by a pool of 100,000 bytes.
HOSTILE = {
    "empty": ([record(DATA, 0, 0)], "it is empty"),
    "empty zeros": ([record(ZEROS, 4096, 0)], "it is empty"),
    "kind": ([record(3, 0, CHUNK)], "kind 3, records have kinds 1 and 2"),
    "large": (
        [record(DATA, 50_000, 50_001) + bytes(50_001)],
        "the pool ends at 100000",
    ),
    "huge": ([record(DATA, 0, 2**64 - 1)], "the pool ends at 100000"),
    "past the end": ([record(ZEROS, 100_000, 1)], "ends at 100000"),
    "far away": ([record(ZEROS, 2**64 - CHUNK, CHUNK)], "ends at 100000"),
    "wraps": ([record(ZEROS, 2**64 - CHUNK, 2 * CHUNK)], "ends at 100000"),
    "overlap": (
        [record(ZEROS, 0, 2 * CHUNK) + record(ZEROS, CHUNK, CHUNK)],
        "a record of the delta, 4096 bytes at 4096: the record before it ends at 8192",
    ),
    "overlap in another frame": (
        [record(ZEROS, 0, 100), record(DATA, 99, 2) + b"xx"],
        "2 bytes at 99: the record before it ends at 100",
    ),
    "order": ([record(ZEROS, CHUNK, CHUNK) + record(ZEROS, 0, CHUNK)], "ends at 8192"),
    "twice": ([2 * record(ZEROS, 0, CHUNK)], "ends at 4096"),
    "in two frames": (
        [record(DATA, 0, 5) + b"1234", b"5"],
        "5 bytes at 0: 4 bytes of data are left in its frame",
    ),
    "no room": ([record(DATA, 0, 5) + b"12345x"], "does not end in its frame"),
    "half a record": ([record(DATA, 0, 5)[:-1]], "does not end in its frame"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_records(name: str) -> None:
    frames, match = HOSTILE[name]
    pool = MemoryPool(100000, 64)
    pool.write(50000, b"data")
    start = head(100000, 100000, pool.digest(), pool.digest())
    refused(pool, complete(start, *frames), match)
    pool.apply(complete(start))  # all else of it is right


def test_a_frame_that_is_too_large() -> None:
    pool = MemoryPool(3 * PIECE)
    size = PIECE - RECORD + 1
    start = head(3 * PIECE, 3 * PIECE, pool.digest(), pool.digest())
    frame = record(DATA, 0, size) + b"x" * size
    refused(pool, complete(start, frame), "a frame of 1048577 bytes")
    twin = pool.clone()
    twin.fill(0, ord("x"), size - 1)
    start = head(3 * PIECE, 3 * PIECE, pool.digest(), twin.digest())
    pool.apply(complete(start, record(DATA, 0, size - 1) + b"x" * (size - 1)))
    assert pool[:] == twin[:]


def test_it_leads_elsewhere() -> None:
    """Its records are not those of the pool that it was made of."""
    pool = MemoryPool(5000, 64)
    with pool.clone() as other:
        other.write(7, b"other")
        start = head(5000, 5000, pool.digest(), other.digest())
    for records in (
        record(DATA, 7, 5) + b"Other",
        record(DATA, 8, 5) + b"other",
        record(ZEROS, 7, 5),
    ):
        refused(pool, complete(start, records), "does not lead to the contents")
    pool.apply(complete(start, record(DATA, 7, 5) + b"other"))


@pytest.mark.parametrize("old_size", [0, 4096, 4097, SIZE_MAX, 2**64 - 1])
@pytest.mark.parametrize("new_size", [0, 1, SIZE_MAX, 2**64 - 1])
def test_hostile_sizes(old_size: int, new_size: int) -> None:
    """Neither size costs memory, nor does a frame that is said to be in the file."""
    asked: list[Any] = []

    class Asked(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            asked.append(size)
            return super().read(size)

    pool = MemoryPool(4097)
    start = head(old_size, new_size, pool.digest(), pool.digest())
    for size in (PIECE, 2**64 - 1):
        file = Asked(start + struct.pack("<Q", size) + b"end of file")
        with unchanged(pool), pytest.raises(CheckpointError):
            pool.apply(file)
    assert all(0 < size <= PIECE for size in asked)
    assert pool.stats.family_peak_bytes <= pool.block_size


def test_other_contents_cost_nothing() -> None:
    """A delta for another pool is refused before its records are read."""
    pool = MemoryPool(8 * PIECE, 65536)
    with pool.clone() as base:
        pool.fill(0, 1, 8 * PIECE)
        delta = pool.delta(base)
    other = MemoryPool(8 * PIECE, 65536)
    other.write(0, b"!")
    file = io.BytesIO(delta)
    with unchanged(other), pytest.raises(CheckpointError, match="other contents"):
        other.apply(file)
    assert file.tell() == HEAD
    assert other.stats.family_peak_bytes == 65536


@pytest.mark.parametrize(
    ("old_size", "new_size", "match"),
    [
        (5, 0, "^a delta to a pool of 0 bytes"),
        (0, 5, "made for a pool of 0 bytes, this one has 5"),
        (2**64 - 1, 5, "made for a pool of 18446744073709551615 bytes"),
    ],
)
def test_no_such_pool(old_size: int, new_size: int, match: str) -> None:
    pool = MemoryPool(5)
    start = head(old_size, new_size, pool.digest(), pool.digest())
    refused(pool, complete(start), match)


# ------------------------------------------------------------ what fails on the way


def test_memory_limit() -> None:
    pool = MemoryPool(100 * CHUNK, CHUNK)
    pool.fill(0, 1, 2 * CHUNK)
    with pool.clone() as base:
        pool.fill(CHUNK, 2, 5 * CHUNK)
        delta = saved(pool, base)
        for room in range(2, 7):
            twin = loaded(base, CHUNK, memory_limit=room * CHUNK)
            held = twin.stats
            with unchanged(twin), pytest.raises(PoolLimitError):
                twin.apply(delta)
            assert twin.stats.family_bytes == held.family_bytes
            assert twin.stats.family_pools == 1
        # The 2 blocks that there were, and 5 that are written.
        twin = loaded(base, CHUNK, memory_limit=7 * CHUNK)
        twin.apply(delta)
        assert twin[:] == pool[:]
        assert twin.stats.family_bytes == 6 * CHUNK


def test_saving_takes_no_blocks() -> None:
    """Nor does it where the base is larger and its last block would be cut."""
    pool = MemoryPool(8 * CHUNK, CHUNK, memory_limit=3 * CHUNK)
    pool.fill(0, 1, 2 * CHUNK)
    twin = loaded(pool)
    with pool.clone() as base:
        pool.resize(CHUNK + 100)  # a third block
        twin.apply(pool.delta(base))
        assert twin[:] == pool[:]
        twin.apply(base.delta(pool))
        assert twin[:] == base[:]


class Stop(BaseException):
    """What nobody expects."""


def large() -> tuple[MemoryPool, MemoryPool]:
    """A pool and its base, that take several pieces to save and to apply."""
    pool = MemoryPool(8 * PIECE, 65536)
    pool.fill(0, 1, 2 * PIECE + 5)
    base = pool.clone()
    pool.fill(2 * PIECE, 2, 3 * PIECE)
    return pool, base


def test_progress() -> None:
    pool, base = large()
    twin = loaded(base)
    calls: list[tuple[int, int | None]] = []
    delta = saved(pool, base, lambda *call: calls.append(call))
    total = 3 * PIECE  # what changed
    assert {call[1] for call in calls} == {total}
    assert (len(calls), calls[-1]) == (13, (total, total))
    assert_steady(calls)

    calls.clear()
    twin.apply(delta, progress=lambda *call: calls.append(call))
    unknown = calls[:-1]
    assert {call[1] for call in unknown} == {None}
    assert len(unknown) == 5  # the head, and four frames
    assert unknown[-1][0] == len(delta) - FRAME  # all but its end
    assert calls[-1] == (len(delta), len(delta))
    assert_steady(calls)

    calls.clear()
    with MemoryPool(5) as empty:
        delta = saved(empty, empty, lambda *call: calls.append(call))
        empty.apply(delta, progress=lambda *call: calls.append(call))
    assert calls == [(0, 0), (HEAD, None), (EMPTY, EMPTY)]


def assert_steady(calls: list[tuple[int, int | None]]) -> None:
    done = [call[0] for call in calls]
    assert done == sorted(done)
    steps = [after - before for before, after in zip([0, *done], done)]
    assert max(steps) <= PIECE + FRAME


@pytest.mark.parametrize("method", ["save", "apply"])
def test_interrupted(method: str) -> None:
    """Wherever progress() raises, the last call not excepted."""
    pool, base = large()
    twin, delta = loaded(base), saved(pool, base)

    def work(progress: Any) -> None:
        if method == "save":
            saved(pool, base, progress)
        else:
            twin.apply(delta, progress=progress)

    left = count = 0

    def stop(done: int, total: int | None) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Stop

    with twin.clone() as before:
        while True:
            left = count
            try:
                with unchanged(pool), unchanged(base):
                    work(stop)
                break
            except Stop:
                count += 1
                assert list(twin.changes(before)) == []
                assert twin.stats.family_pools == 2
                assert pool.stats.family_pools == 2
        assert count >= 6
        assert (twin[:] == pool[:]) == (method == "apply")


class Broken(io.BytesIO):
    """A file that fails after 100 bytes."""

    left = 100

    def use(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise OSError("broken")

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.use(len(data))
        return data

    def write(self, data: Any) -> int:
        self.use(len(data))
        return super().write(data)


def test_a_file_that_fails(small: tuple[MemoryPool, bytes]) -> None:
    pool, delta = small
    with pool.clone() as base:
        pool.write(0, b"!")
        with unchanged(pool), unchanged(base), pytest.raises(OSError, match="broken"):
            pool.save(Broken(), since=base)
        with unchanged(base), pytest.raises(OSError, match="broken"):
            base.apply(Broken(delta))


def test_no_memory_on_the_way(fail_allocation: Any) -> None:
    """Whichever allocation fails in apply(), of blocks, nodes, or the clone."""
    pool = MemoryPool(8 * PIECE, CHUNK)
    pool.fill(0, 1, PIECE)
    twin = loaded(pool, CHUNK)
    with pool.clone() as base:
        for at in range(0, 8 * PIECE, 4 * CHUNK):
            pool.write(at + 9, b"changed")
        pool.resize(7 * PIECE)
        delta = pool.delta(base)
    number = 0
    while True:
        number += 1
        with unchanged(twin), twin.clone() as trial:
            try:
                with fail_allocation(number) as fault:
                    trial.apply(delta)
            except PoolMemoryError:
                assert fault.reached
                assert list(trial.changes(twin)) == []
                continue
            assert trial[:] == pool[:]
            break
    assert number > 2


def test_all_at_once(
    small: tuple[MemoryPool, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others see the old contents until all is done; what they write is then undone."""
    pool, delta = small
    twin, before, seen = pool.clone(), pool[:], []
    twin.apply(delta)

    def look(done: int, total: int | None) -> None:
        seen.append(pool[:])
        pool.write(0, b"meanwhile")
        pool.resize(10)
        pool.resize(len(before))

    def restore(pool: MemoryPool, source: MemoryPool) -> None:
        restored.append(pool[:])
        in_one_step(pool, source)

    in_one_step = MemoryPool.restore
    restored: list[bytes] = []
    monkeypatch.setattr(MemoryPool, "restore", restore)
    pool.apply(delta, progress=look)
    assert restored == seen[-1:]
    assert seen[0] == before
    assert seen[1:] == [b"meanwhile\0".ljust(len(before), b"\0")] * (len(seen) - 1)
    assert pool[:] == twin[:]


def test_pins_stay(small: tuple[MemoryPool, bytes]) -> None:
    pool, delta = small
    with pool.pin(10, 5) as zeros, pool.pin(CHUNK + 50, 4) as data:
        assert bytes(zeros) == b"zeros"
        pool.apply(delta)
        assert (bytes(zeros), bytes(data)) == (bytes(5), b"data")
        with pool.clone() as base:
            data[:] = b"DATA"
            delta = saved(pool, base)
            base.apply(delta)
            assert base[:] == pool[:]


# ---------------------------------------------------------------------- bad calls


def test_bases_that_are_none(pool: MemoryPool) -> None:
    file = io.BytesIO()
    closed = pool.clone()
    closed.close()
    cases: list[tuple[Any, type[Exception]]] = [
        (closed, PoolClosedError),
        (pool[:], TypeError),
        (5, TypeError),
    ]
    for base, kind in cases:
        with unchanged(pool), pytest.raises(kind):
            pool.save(file, since=base)
        with unchanged(pool), pytest.raises(kind):
            pool.delta(base)
        assert file.getvalue() == b""
    with pytest.raises(TypeError):
        pool.delta(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "source", [None, 5, 0.5, MemoryPool(5), [1, 2], io.StringIO("delta"), object()]
)
def test_no_deltas(pool: MemoryPool, source: Any) -> None:
    with unchanged(pool), pytest.raises(TypeError):
        pool.apply(source)
    with pytest.raises(TypeError, match=r"a delta, a path or a binary file .* not int"):
        pool.apply(5)  # type: ignore[arg-type]


def test_no_progress(small: tuple[MemoryPool, bytes]) -> None:
    pool, delta = small
    with unchanged(pool), pytest.raises(TypeError, match="progress must be callable"):
        pool.apply(delta, progress=5)  # type: ignore[arg-type]


def test_closed_pools(small: tuple[MemoryPool, bytes]) -> None:
    pool, delta = small
    base = pool.clone()
    pool.close()
    for work in (
        lambda: saved(pool, base),
        lambda: saved(pool, pool),
        lambda: pool.delta(base),
        lambda: base.delta(pool),
        lambda: pool.apply(delta),
    ):
        with unchanged(base), pytest.raises(PoolClosedError):
            work()


# ------------------------------------------------------------------------- buffers


@pytest.mark.parametrize(
    "kind", [bytes, bytearray, memoryview, lambda it: array.array("B", it)]
)
def test_buffers(small: tuple[MemoryPool, bytes], kind: Callable[[bytes], Any]) -> None:
    pool, delta = small
    with pool.clone() as twin:
        pool.apply(delta)
        for wrong in (delta[:-1], delta + b"\0", b"", b"name of a file"):
            with unchanged(twin), pytest.raises(CheckpointError):
                twin.apply(kind(wrong))
        twin.apply(kind(delta))
        assert twin[:] == pool[:]


def test_a_buffer_with_holes(small: tuple[MemoryPool, bytes]) -> None:
    pool, delta = small
    twice = bytes(byte for byte in delta for _ in range(2))
    pool.apply(memoryview(twice)[::2])
    assert pool[CHUNK + 50 : CHUNK + 54] == b"data"


def test_a_mapped_file(tmp_path: Path, small: tuple[MemoryPool, bytes]) -> None:
    """It has memory, and is read as the file that it is, too."""
    pool, delta = small
    path = tmp_path / "delta"
    path.write_bytes(delta)
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    pool.apply(mapped)
    assert mapped.tell() == len(delta)
    mapped.close()


# ----------------------------------------------------------------------------- files


def test_paths(tmp_path: Path, small: tuple[MemoryPool, bytes]) -> None:
    pool, delta = small
    path, twin = tmp_path / "delta", pool.clone()
    path.write_bytes(delta)
    twin.apply(path)
    with unchanged(twin), pytest.raises(CheckpointError):
        twin.apply(path)
    twin.save(path, since=pool)
    assert path.read_bytes() == twin.delta(pool)
    with open(path, "ab") as file:
        file.write(b"more")
    refused_path = pytest.raises(CheckpointError, match="after the end")
    with unchanged(pool), refused_path:
        pool.apply(path)
    twin.save(path, since=pool)
    pool.apply(str(path))
    assert pool[:] == twin[:]


def test_a_file_stays_if_saving_fails(
    tmp_path: Path, small: tuple[MemoryPool, bytes]
) -> None:
    def stop(done: int, total: int | None) -> None:
        raise Stop

    pool, path = small[0], tmp_path / "delta"
    path.write_bytes(b"old")
    with pool.clone() as base:
        pool.write(0, b"!")
        bases: list[tuple[Any, type[BaseException]]] = [(base, Stop), (5, TypeError)]
        for since, kind in bases:
            with pytest.raises(kind):
                pool.save(path, since=since, progress=stop)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"
    with pytest.raises(FileNotFoundError):
        pool.apply(tmp_path / "none")


@pytest.mark.parametrize("buffering", [0, -1])
def test_pipes(buffering: int) -> None:
    """Which are neither sought in nor asked for their size, and give less at once."""
    pool, base = large()
    reading, writing = os.pipe()

    def send() -> None:
        with open(writing, "wb", buffering=buffering) as file:
            pool.save(file, since=base)

    thread = threading.Thread(target=send)
    thread.start()
    with open(reading, "rb", buffering=buffering) as file, base.clone() as twin:
        twin.apply(file)
        assert twin[:] == pool[:]
    thread.join()


def test_compressed(tmp_path: Path) -> None:
    pool, base = large()
    with gzip.open(tmp_path / "delta", "wb") as file:
        pool.save(file, since=base)
    with gzip.open(tmp_path / "delta", "rb") as file:
        base.apply(file)
    assert base[:] == pool[:]


def test_from_where_the_file_is() -> None:
    pool = MemoryPool(CHUNK)
    with pool.clone() as base:
        pool.write(0, b"data")
        file = io.BytesIO(b"head")
        file.seek(4)
        pool.save(file, since=base)
        file.write(b"tail")
        file.seek(4)
        base.apply(file)
        assert (base[:], file.read()) == (pool[:], b"tail")


def test_many_in_one_file(tmp_path: Path) -> None:
    """A log: each delta ends where the next one begins."""
    pool, states = MemoryPool(PIECE, 256), []
    twin = pool.clone()
    for number in range(5):
        with pool.clone() as base, open(tmp_path / "log", "ab") as file:
            pool.write(number * 1000, b"changed")
            pool.save(file, since=base)
        states.append(pool[:])
    with open(tmp_path / "log", "rb") as file:
        for state in states:
            twin.apply(file)
            assert twin[:] == state
        with unchanged(twin), pytest.raises(CheckpointError, match="is cut off"):
            twin.apply(file)
        file.seek(0)
        with unchanged(twin), pytest.raises(CheckpointError, match="other contents"):
            twin.apply(file)
    with unchanged(twin), pytest.raises(CheckpointError, match="other contents"):
        twin.apply(tmp_path / "log")


def test_sockets() -> None:
    """Nothing waits for bytes behind a delta: the connection stays open."""
    here, there = socket.socketpair()
    pool, base = large()
    twin = base.clone()
    with here, there, here.makefile("rwb") as sent, there.makefile("rwb") as got:

        def answer() -> None:
            for _ in range(3):
                twin.apply(got)
                got.write(twin.digest())
                got.flush()

        thread = threading.Thread(target=answer)
        thread.start()
        for number in range(3):
            pool.write(number << 20, b"changed")
            pool.save(sent, since=base)
            sent.flush()
            assert sent.read(32) == pool.digest()
            base.restore(pool)
        thread.join()
    assert twin[:] == pool[:]


class Slow(io.RawIOBase):
    """A raw file without seek() that transfers a few bytes at once."""

    def __init__(self, data: bytes = b"") -> None:
        self.data, self.at = bytearray(data), 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self.data[self.at : self.at + min(7, len(buffer))]
        buffer[: len(part)] = part
        self.at += len(part)
        return len(part)

    def write(self, data: Any) -> int:
        part = memoryview(data)[:5]
        self.data += part
        return len(part)


def test_a_few_bytes_at_once(small: tuple[MemoryPool, bytes]) -> None:
    pool, delta = small
    twin = pool.clone()
    pool.apply(Slow(delta))
    file = Slow()
    pool.save(file, since=twin)
    assert file.data == pool.delta(twin)


def test_a_delta_has_a_format_of_its_own(tmp_path: Path) -> None:
    pool = MemoryPool(4096)
    base = pool.clone()
    with pytest.raises(ValueError, match="'hex', but a delta has its own"):
        pool.save(tmp_path / "file", format="hex", since=base)
    assert list(tmp_path.iterdir()) == []
