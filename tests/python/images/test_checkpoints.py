# SPDX-License-Identifier: MIT
"""Checkpoints: what comes back, what they cost, and what is refused, bit by bit."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from internals import SIZE_MAX

from pymempool import (
    CheckpointError,
    MemoryPool,
    PoolClosedError,
    PoolError,
    PoolLimitError,
    PoolUnrelatedError,
)

CHUNK = 4096
PIECE = 1 << 20
END, DATA, ZEROS = range(3)  # kinds of records


def saved(pool: MemoryPool, base: MemoryPool, progress: Any = None) -> bytes:
    file = io.BytesIO()
    pool.save(file, since=base, progress=progress)
    return file.getvalue()


def apply(pool: MemoryPool, checkpoint: bytes, progress: Any = None) -> None:
    pool.apply(io.BytesIO(checkpoint), progress=progress)


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


def refused(pool: MemoryPool, checkpoint: bytes, match: str) -> None:
    with unchanged(pool), pytest.raises(CheckpointError, match=match):
        apply(pool, checkpoint)


# ------------------------------------------------------------------------ by hand


def head(old_size: int, new_size: int, digest: bytes) -> bytes:
    return struct.pack("<8sQQQ32s", b"\x93mempool", 1, old_size, new_size, digest)


def record(kind: int, start: int, size: int) -> bytes:
    return struct.pack("<BQQ", kind, start, size)


def summed(data: bytes) -> bytes:
    return data + hashlib.sha256(data).digest()


def digest_of(data: bytes) -> bytes:
    """The digest of a base with these contents."""
    digest = hashlib.sha256()
    for at in range(0, len(data), CHUNK):
        chunk = data[at : at + CHUNK]
        if any(chunk):
            digest.update(struct.pack("<Q", at) + chunk)
    return digest.digest()


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
        apply(twin, saved(pool, base))
        assert twin[:] == pool[:] != base[:]
        apply(twin, saved(base, pool))
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
    checkpoint = saved(pool, base)
    apply(twin, checkpoint)
    assert twin.total_size == new_size
    assert list(twin.read(0, min(new_size, 20000))) == list(pool[:20000])
    assert twin[-1] == pool[-1]
    apply(twin, saved(base, pool))
    assert twin[:] == base[:]


def test_cut_off_and_made_larger() -> None:
    pool = MemoryPool(3 * CHUNK, CHUNK)
    pool.fill(0, 7, 3 * CHUNK)
    base, twin = pool.clone(), loaded(pool)
    pool.resize(100)
    pool.resize(2 * CHUNK + 1)
    apply(twin, saved(pool, base))
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
            apply(twin, saved(pool, base))
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
        apply(twin, saved(pool, base))
    assert (twin[:], twin.name) == (pool[:], "mine")


# -------------------------------------------------------------------- what is in it


def test_the_format() -> None:
    pool = MemoryPool(3 * CHUNK + 10, 64)
    pool.fill(0, 1, 2 * CHUNK)
    before = pool[:]
    with pool.clone() as base:
        pool.discard(CHUNK, CHUNK)
        pool.write(3 * CHUNK, b"end")
        checkpoint = saved(pool, base)
    assert checkpoint == summed(
        head(len(before), len(before), digest_of(before))
        + record(ZEROS, CHUNK, CHUNK)
        + record(DATA, 3 * CHUNK, 10)
        + b"end".ljust(10, b"\0")
        + record(END, 2, 10)
    )


def test_nothing_changed(pool: MemoryPool) -> None:
    nothing = summed(head(4096, 4096, digest_of(pool[:])) + record(END, 0, 0))
    with pool.clone() as base:
        assert saved(pool, pool) == saved(pool, base) == nothing
        pool.write(100, pool.read(100, 1))  # copies the block, changes nothing
        assert list(pool.changes(base)) != []
        assert saved(pool, base) == nothing
    twin = loaded(pool)
    for _ in range(2):
        with unchanged(twin):
            apply(twin, nothing)


def test_one_byte_in_much() -> None:
    size = min(1 << 40, SIZE_MAX)
    for block_size in (256, 65536, PIECE):
        pool = MemoryPool(size, block_size)
        pool.fill(0, 1, 3 * PIECE)
        with pool.clone() as base:
            pool.write(size // 2 + 5, b"!")
            assert len(saved(pool, base)) == 64 + 17 + CHUNK + 17 + 32
            assert len(saved(base, pool)) == 64 + 17 + 17 + 32


def test_data_comes_in_pieces() -> None:
    pool = MemoryPool(4 * PIECE, 4096)
    with pool.clone() as base:
        pool.fill(CHUNK, 1, 2 * PIECE + CHUNK)
        checkpoint = saved(pool, base)
        assert len(checkpoint) == 64 + 3 * 17 + 2 * PIECE + CHUNK + 17 + 32
        apply(base, checkpoint)
        assert base[:] == pool[:]


def test_holes_come_back() -> None:
    pool = MemoryPool(16 * CHUNK, CHUNK)
    pool.fill(0, 1, 16 * CHUNK)
    twin = loaded(pool, CHUNK)
    with pool.clone() as base:
        pool.discard(2 * CHUNK, 4 * CHUNK)
        pool.write(10 * CHUNK, bytes(CHUNK))
        apply(twin, saved(pool, base))
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

    checkpoint = saved(pool, base, disturb)
    assert twin[:] == before
    apply(twin, checkpoint)
    assert twin[:] == expected


# ------------------------------------------------------------------ what is refused


@pytest.fixture
def small() -> tuple[MemoryPool, bytes]:
    """A pool and a small checkpoint with records of both kinds, made for it."""
    pool = MemoryPool(CHUNK + 100, 64)
    pool.write(10, b"zeros")
    twin = loaded(pool, 1024)
    with pool.clone() as base:
        pool.discard(0, CHUNK)
        pool.write(CHUNK + 50, b"data")
        return twin, saved(pool, base)


def test_each_bit(small: tuple[MemoryPool, bytes]) -> None:
    pool, checkpoint = small
    assert len(checkpoint) == 64 + 17 + 17 + 100 + 17 + 32
    for at in range(8 * len(checkpoint)):
        broken = bytearray(checkpoint)
        broken[at // 8] ^= 1 << at % 8
        refused(pool, bytes(broken), "checkpoint")
    apply(pool, checkpoint)


def test_each_end(small: tuple[MemoryPool, bytes]) -> None:
    pool, checkpoint = small
    for size in range(len(checkpoint)):
        refused(pool, checkpoint[:size], "is cut off")
    for more in (b"\0", b"\n", checkpoint):
        refused(pool, checkpoint + more, "after the end")
    apply(pool, checkpoint)


@pytest.mark.parametrize(
    ("at", "match"),
    [
        (0, "no checkpoint of a pool"),
        (8, "version 0, supported is 1"),
        (16, "checksum is wrong"),  # the size of the base: damage comes first
        (24, "whole chunks"),  # the size of the pool, where the last record ends
        (40, "checksum is wrong"),  # the digest of the base
        (64, "kind 3, records have kinds 1 and 2"),
        (150, "checksum is wrong"),  # data
        (64 + 17 + 17 + 100 + 1, "3 records and 100 bytes .* it has 2 and 100"),
        (246, "checksum is wrong"),
    ],
)
def test_what_is_told(at: int, match: str, small: tuple[MemoryPool, bytes]) -> None:
    pool, checkpoint = small
    broken = bytearray(checkpoint)
    broken[at] ^= 1
    refused(pool, bytes(broken), match)
    assert issubclass(CheckpointError, PoolError)
    assert issubclass(CheckpointError, ValueError)


def test_chains() -> None:
    """Three checkpoints of parts of their own, in any other order, or twice."""
    pool = MemoryPool(1 << 20, 4096)
    pool.fill(0, 1, 1 << 20)
    first, chain = loaded(pool), []
    for part in range(3):
        with pool.clone() as base:
            pool.write(part << 18, b"changed")
            chain.append(saved(pool, base))
    twin = first.clone()
    for number, checkpoint in enumerate(chain):
        for wrong in {0, 1, 2} - {number}:
            refused(twin, chain[wrong], "made for other contents")
        apply(twin, checkpoint)
        refused(twin, checkpoint, "made for other contents")
    assert twin[:] == pool[:]
    first.write(999999, b"!")  # of which no checkpoint tells
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
        apply(twin, saved(pool, base))
    assert twin[:] == pool[:]


# What a file may say that was made to do harm: records, their counts, and the reason
# for which it is refused by a pool of 100,000 bytes.
HOSTILE = {
    "empty": (record(DATA, 0, 0), 1, 0, "it is empty"),
    "empty zeros": (record(ZEROS, 4096, 0), 1, 0, "it is empty"),
    "kind": (record(3, 0, CHUNK), 1, 0, "kind 3, records have kinds 1 and 2"),
    "large": (
        record(DATA, 0, 24 * CHUNK + PIECE) + bytes(24 * CHUNK + PIECE),
        1,
        24 * CHUNK + PIECE,
        "the pool ends at 100000",
    ),
    "huge": (record(DATA, 0, 2**64 - 1), 1, 2**64 - 1, "the pool ends at 100000"),
    "past the end": (record(ZEROS, 24 * CHUNK, CHUNK), 1, 0, "ends at 100000"),
    "far away": (record(ZEROS, 2**64 - CHUNK, CHUNK), 1, 0, "ends at 100000"),
    "wraps": (record(ZEROS, 2**64 - CHUNK, 2 * CHUNK), 1, 0, "ends at 100000"),
    "start": (record(ZEROS, 1, CHUNK - 1), 1, 0, "whole chunks"),
    "stop": (record(DATA, 0, 1) + b"x", 1, 1, "whole chunks"),
    "overlap": (
        record(ZEROS, 0, 2 * CHUNK) + record(ZEROS, CHUNK, CHUNK),
        2,
        0,
        "record 1 .*, 4096 bytes at 4096: the record before it ends at 8192",
    ),
    "order": (
        record(ZEROS, CHUNK, CHUNK) + record(ZEROS, 0, CHUNK),
        2,
        0,
        "ends at 8192",
    ),
    "twice": (2 * record(ZEROS, 0, CHUNK), 2, 0, "ends at 4096"),
    "few records": (record(ZEROS, 0, CHUNK), 0, 0, "0 records and 0 bytes"),
    "many records": (record(ZEROS, 0, CHUNK), 2**64 - 1, 0, "but it has 1 and 0"),
    "data": (record(DATA, 0, CHUNK) + bytes(CHUNK), 1, CHUNK - 1, "4095 bytes of data"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_records(name: str) -> None:
    records, count, size, match = HOSTILE[name]
    pool = MemoryPool(100000, 64)
    pool.write(50000, b"data")
    start = head(100000, 100000, digest_of(pool[:]))
    refused(pool, summed(start + records + record(END, count, size)), match)
    apply(pool, summed(start + record(END, 0, 0)))  # all else of it is right


def test_a_piece_that_is_too_large() -> None:
    pool = MemoryPool(3 * PIECE)
    start, size = head(3 * PIECE, 3 * PIECE, digest_of(b"")), PIECE + CHUNK
    records = record(DATA, 0, size) + b"x" * size + record(END, 1, size)
    refused(pool, summed(start + records), "a record of data has at most 1048576 bytes")


@pytest.mark.parametrize("old_size", [0, 4096, SIZE_MAX, 2**64 - 1])
@pytest.mark.parametrize("new_size", [0, 1, SIZE_MAX, 2**64 - 1])
def test_hostile_sizes(old_size: int, new_size: int) -> None:
    """Neither size costs memory, nor does a piece that is said to be in the file."""
    asked: list[Any] = []

    class Asked(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            asked.append(size)
            return super().read(size)

    pool = MemoryPool(4097)
    file = Asked(
        summed(
            head(old_size, new_size, digest_of(b""))
            + record(DATA, 0, min(new_size, PIECE))
            + b"end of file"
        )
    )
    with unchanged(pool), pytest.raises(CheckpointError):
        pool.apply(file)
    assert all(0 < size <= PIECE for size in asked)
    assert pool.stats.family_peak_bytes <= pool.block_size


@pytest.mark.parametrize(
    ("old_size", "new_size", "match"),
    [
        (5, 0, "^a checkpoint of a pool of 0 bytes"),
        (0, 5, "made for a pool of 0 bytes, this one has 5"),
        (2**64 - 1, 5, "made for a pool of 18446744073709551615 bytes"),
    ],
)
def test_no_such_pool(old_size: int, new_size: int, match: str) -> None:
    start = head(old_size, new_size, digest_of(b""))
    refused(MemoryPool(5), summed(start + record(END, 0, 0)), match)


def test_a_large_run_of_zeros() -> None:
    """Only data comes in pieces."""
    pool = MemoryPool(3 * PIECE)
    pool.write(PIECE + 7, b"data")
    start = head(3 * PIECE, 3 * PIECE, digest_of(pool[:]))
    apply(pool, summed(start + record(ZEROS, 0, 3 * PIECE) + record(END, 1, 0)))
    assert list(pool.extents()) == []


def test_zeros_that_are_sent_as_data() -> None:
    """They take no memory."""
    pool = MemoryPool(8 * CHUNK, CHUNK)
    records = record(DATA, 0, 8 * CHUNK) + bytes(8 * CHUNK) + record(END, 1, 8 * CHUNK)
    start = head(8 * CHUNK, 8 * CHUNK, digest_of(b""))
    apply(pool, summed(start + records))
    assert pool.stats.family_peak_bytes == 0


# ------------------------------------------------------------ what fails on the way


def test_memory_limit() -> None:
    pool = MemoryPool(100 * CHUNK, CHUNK)
    pool.fill(0, 1, 2 * CHUNK)
    with pool.clone() as base:
        pool.fill(CHUNK, 2, 5 * CHUNK)
        checkpoint = saved(pool, base)
        for room in range(2, 7):
            twin = loaded(base, CHUNK, memory_limit=room * CHUNK)
            held = twin.stats
            with unchanged(twin), pytest.raises(PoolLimitError):
                apply(twin, checkpoint)
            assert twin.stats.family_bytes == held.family_bytes
            assert twin.stats.family_pools == 1
        # The 2 blocks that there were, and 5 that are written.
        twin = loaded(base, CHUNK, memory_limit=7 * CHUNK)
        apply(twin, checkpoint)
        assert twin[:] == pool[:]
        assert twin.stats.family_bytes == 6 * CHUNK


def test_saving_takes_no_blocks() -> None:
    """Nor does it where the base is larger and its last block would be cut."""
    pool = MemoryPool(8 * CHUNK, CHUNK, memory_limit=3 * CHUNK)
    pool.fill(0, 1, 2 * CHUNK)
    twin = loaded(pool)
    with pool.clone() as base:
        pool.resize(CHUNK + 100)  # a third block
        apply(twin, saved(pool, base))
        assert twin[:] == pool[:]
        apply(twin, saved(base, pool))
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
    checkpoint = saved(pool, base, lambda *call: calls.append(call))
    total = 2 * PIECE + 65536 + 3 * PIECE  # what the base holds, and what changed
    assert {call[1] for call in calls} == {total}
    assert (len(calls), calls[-1]) == (7, (total, total))
    assert_steady(calls)

    calls.clear()
    apply(twin, checkpoint, lambda *call: calls.append(call))
    unknown = [call for call in calls if call[1] is None]
    assert len(unknown) == 4  # the head, and three records
    assert calls[: len(unknown)] == unknown
    assert unknown[-1][0] == len(checkpoint) - 17 - 32  # all but its end
    total = unknown[-1][0] + 2 * PIECE + 65536
    assert {call[1] for call in calls[len(unknown) :]} == {total}
    assert calls[-1] == (total, total)
    assert_steady(calls)

    calls.clear()
    with MemoryPool(5) as empty:
        checkpoint = saved(empty, empty, lambda *call: calls.append(call))
        apply(empty, checkpoint, lambda *call: calls.append(call))
    assert calls == [(0, 0), (64, None), (64, 64)]


def assert_steady(calls: list[tuple[int, int | None]]) -> None:
    done = [call[0] for call in calls]
    assert done == sorted(done)
    steps = [after - before for before, after in zip([0, *done], done)]
    assert max(steps) <= PIECE + 17


@pytest.mark.parametrize("method", ["save", "apply"])
def test_interrupted(method: str) -> None:
    """Wherever progress() raises, the last call not excepted."""
    pool, base = large()
    twin, checkpoint = loaded(base), saved(pool, base)

    def work(progress: Any) -> None:
        if method == "save":
            saved(pool, base, progress)
        else:
            apply(twin, checkpoint, progress)

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
        assert count >= 7
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
    pool, checkpoint = small
    with pool.clone() as base:
        pool.write(0, b"!")
        with unchanged(pool), unchanged(base), pytest.raises(OSError, match="broken"):
            pool.save(Broken(), since=base)
        with unchanged(base), pytest.raises(OSError, match="broken"):
            base.apply(Broken(checkpoint))


def test_all_at_once(
    small: tuple[MemoryPool, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others see the old contents until all is done; what they write is then undone."""
    pool, checkpoint = small
    twin, before, seen = pool.clone(), pool[:], []
    apply(twin, checkpoint)

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
    apply(pool, checkpoint, look)
    assert restored == seen[-1:]
    assert seen[0] == before
    assert seen[1:] == [b"meanwhile\0".ljust(len(before), b"\0")] * (len(seen) - 1)
    assert pool[:] == twin[:]


def test_pins_stay(small: tuple[MemoryPool, bytes]) -> None:
    pool, checkpoint = small
    with pool.pin(10, 5) as zeros, pool.pin(CHUNK + 50, 4) as data:
        assert bytes(zeros) == b"zeros"
        apply(pool, checkpoint)
        assert (bytes(zeros), bytes(data)) == (bytes(5), b"data")
        with pool.clone() as base:
            data[:] = b"DATA"
            checkpoint = saved(pool, base)
            apply(base, checkpoint)
            assert base[:] == pool[:]


# ---------------------------------------------------------------------- bad calls


def test_bases_that_are_none(pool: MemoryPool) -> None:
    file = io.BytesIO()
    closed = pool.clone()
    closed.close()
    cases: list[tuple[Any, type[Exception]]] = [
        (MemoryPool(4096, 64), PoolUnrelatedError),
        (closed, PoolClosedError),
        (pool[:], TypeError),
    ]
    for base, kind in cases:
        with unchanged(pool), pytest.raises(kind):
            pool.save(file, since=base)
        assert file.getvalue() == b""


def test_closed_pools(small: tuple[MemoryPool, bytes]) -> None:
    pool, checkpoint = small
    base = pool.clone()
    pool.close()
    for work in (
        lambda: saved(pool, base),
        lambda: saved(pool, pool),
        lambda: apply(pool, checkpoint),
    ):
        with unchanged(base), pytest.raises(PoolClosedError):
            work()


# ----------------------------------------------------------------------------- files


def test_paths(tmp_path: Path, small: tuple[MemoryPool, bytes]) -> None:
    pool, checkpoint = small
    path, twin = tmp_path / "checkpoint", pool.clone()
    path.write_bytes(checkpoint)
    twin.apply(path)
    with unchanged(twin), pytest.raises(CheckpointError):
        twin.apply(path)
    twin.save(path, since=pool)
    assert path.read_bytes() == saved(twin, pool)
    pool.apply(str(path))
    assert pool[:] == twin[:]


def test_a_file_stays_if_saving_fails(
    tmp_path: Path, small: tuple[MemoryPool, bytes]
) -> None:
    def stop(done: int, total: int | None) -> None:
        raise Stop

    pool, path = small[0], tmp_path / "checkpoint"
    path.write_bytes(b"old")
    with pool.clone() as base:
        pool.write(0, b"!")
        for since, kind in ((base, Stop), (MemoryPool(5), PoolUnrelatedError)):
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
    with gzip.open(tmp_path / "checkpoint", "wb") as file:
        pool.save(file, since=base)
    with gzip.open(tmp_path / "checkpoint", "rb") as file:
        base.apply(file)
    assert base[:] == pool[:]


def test_from_where_the_file_is() -> None:
    pool = MemoryPool(CHUNK)
    with pool.clone() as base:
        pool.write(0, b"data")
        file = io.BytesIO(b"head")
        file.seek(4)
        pool.save(file, since=base)
        file.seek(4)
        base.apply(file)
        assert (base[:], file.read()) == (pool[:], b"")


def test_a_checkpoint_has_a_format_of_its_own(tmp_path: Path) -> None:
    pool = MemoryPool(4096)
    base = pool.clone()
    with pytest.raises(ValueError, match="'hex', but a checkpoint has its own"):
        pool.save(tmp_path / "file", format="hex", since=base)
    assert list(tmp_path.iterdir()) == []
