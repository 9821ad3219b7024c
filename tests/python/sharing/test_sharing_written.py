# SPDX-License-Identifier: MIT
"""Shared snapshots keep which bytes of a pool were set, and facts of its image."""

from __future__ import annotations

import copy
import io
import multiprocessing
import pickle
import random
from concurrent.futures import ProcessPoolExecutor
from ctypes import sizeof
from typing import Any

import pytest
from internals import StatsStruct, count_adopted, parallel, read_stats
from written_model import (
    SIZE,
    Model,
    change,
    facts_of,
    receive,
    runs_of,
    tracking,
)

from pymempool import (
    FormatError,
    MemoryPool,
    PoolClosedError,
    PoolRangeError,
    SharedSnapshot,
)


class Mine(MemoryPool):
    """A class of a user's own."""


def filled() -> MemoryPool:
    pool = tracking()
    pool.write(3, b"\0\1\0")
    pool.fill(70, 0, 10)
    pool.start_address, pool.header = 0x123456, None
    return pool


def test_opened_pools_know_what_was_set() -> None:
    pool = filled()
    with pool.share() as snapshot, snapshot.open() as one, snapshot.open() as other:
        pool.discard(0, SIZE)
        assert facts_of(one) == facts_of(other) == facts_of(filled())
        assert list(one.written()) == [(3, 3), (70, 10)]
        one.fill(100, 0, 5)
        one.header = b"one"
        assert list(one.written()) == [(3, 3), (70, 10), (100, 5)]
        assert facts_of(other) == facts_of(filled())
        one.restore(other)  # relatives, and so are their marks
        assert facts_of(one) == facts_of(other)
    assert one.closed
    assert count_adopted() == 0


def test_facts_without_marks() -> None:
    with Mine(1000, 64) as pool:
        pool.write(5, b"x")
        pool.start_address, pool.header = 0, b"title"
        with pool.share() as snapshot, copy.copy(snapshot).open() as opened:
            assert type(opened) is Mine
            assert facts_of(opened) == (pool[:], [(0, 64)], 0, b"title")
            assert snapshot.segments == 1


def test_raw_images() -> None:
    pool = MemoryPool.load(io.BytesIO(bytes(100)), format="raw")
    with pool.share() as snapshot, snapshot.open() as opened:
        assert list(opened.written()) == [(0, 100)]


def test_marks_count_as_segments_and_bytes() -> None:
    with filled() as pool, pool.share() as snapshot:
        assert (snapshot.segments, snapshot.stored_bytes) == (2, 64 + 128)
        pool.fill(300, 0, 3)  # sets bytes, and changes none
        with pool.share(since=snapshot) as newer:
            assert (newer.segments, newer.stored_bytes) == (4, 64)
        newer.close()
        assert (newer.segments, newer.stored_bytes) == (4, 64)


def test_pools_that_know_nothing_more_cost_nothing_more(pool: MemoryPool) -> None:
    with pool.share() as snapshot:
        assert len(snapshot.__reduce__()[1]) == 2
        assert snapshot.segments == 1


def test_since_finds_marks_that_changed_alone() -> None:
    """Bytes that were zero and are set to zero: no block of the pool changes."""
    with tracking(1 << 20, 4096) as pool:
        pool.write(0, b"x" * 100_000)
        first = pool.share()
        pool.fill(1 << 19, 0, 10)
        second = pool.share(since=first)
        assert second.stored_bytes == 4096
        with second.open() as opened:
            assert list(opened.written()) == [(0, 100_000), (1 << 19, 10)]
            opened.discard(0, 4096)
            with opened.share(since=second) as third, third.open() as again:
                assert third.stored_bytes == 0
                assert list(again.written()) == [(4096, 95_904), (1 << 19, 10)]


def test_since_a_snapshot_without_marks_and_the_other_way() -> None:
    with filled() as pool, MemoryPool.from_handle(pool.handle) as alias:
        plain, tracked = alias.share(), pool.share()
        for one, since in ((pool, plain), (alias, tracked)):
            with one.share(since=since) as snapshot, snapshot.open() as opened:
                assert facts_of(opened) == facts_of(one)


@pytest.mark.parametrize("seed", range(8))
def test_chains_between_any_changes(seed: int) -> None:
    draw = random.Random(seed)
    models = [Model(tracking(SIZE, draw.choice([1, 64, 4096])))]
    models.append(models[0].clone())
    snapshot, shared = None, list[tuple[SharedSnapshot[Any], bytes, set[int]]]()
    for step in range(60):
        model, other = draw.sample(models, 2)
        change(model, other, draw)
        if step % 6 == 0:
            snapshot = model.pool.share(since=snapshot)
            shared.append((snapshot, bytes(model.data), set(model.set)))
        if step == 30:  # as in a worker
            assert snapshot is not None
            models[0], models[1] = (Model(snapshot.open()) for _ in range(2))
            for each in models:
                each.data[:], each.set = shared[-1][1], set(shared[-1][2])
        model.check()
    for each, data, held in shared:
        with each, each.open() as opened:
            assert opened[:] == data
            assert list(opened.written()) == runs_of(held)


def test_sent_to_a_process() -> None:
    """With its segments, as executors send it; and by address."""
    with filled() as pool:
        before = facts_of(pool)
        context = multiprocessing.get_context("spawn")
        executor = ProcessPoolExecutor(1, mp_context=context)
        with executor, pool.share() as snapshot:
            assert executor.submit(receive, snapshot).result() == before
            address = pickle.dumps(snapshot)
            assert executor.submit(receive, address).result() == before
        with pytest.raises(OSError, match="no longer there"):
            pickle.loads(address).open()
    lost = pickle.loads(address)
    with pytest.raises(OSError, match="no longer there"):
        _ = lost.segments


def test_copies_live_independently() -> None:
    with filled() as pool:
        snapshot = pool.share()
        twin = copy.copy(snapshot)
        snapshot.close()
        assert facts_of(twin.open()) == facts_of(pool)
        with pytest.raises(PoolClosedError):
            copy.copy(snapshot)
        with pytest.raises(PoolClosedError):
            pool.share(since=snapshot)


def test_states_end_with_pool_or_snapshot() -> None:
    """Of marks, too: no clone of them stays."""
    pool = filled()
    relative = pool.clone()

    def clones() -> tuple[int, int]:
        marked = relative._owner.marked
        assert marked is not None
        marks = read_stats(marked.marks.address, sizeof(StatsStruct), parallel)
        return relative.stats.family_pools, marks.family_pools

    first, second = pool.share(), pool.share()
    assert clones() == (4, 4)
    first.close()
    assert clones() == (3, 3)
    pool.close()
    assert clones() == (1, 1)
    second.close()


# ------------------------------------------------------------- what is not trusted


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (5, TypeError),
        ({"name": 5}, TypeError),
        ({"start_address": -1}, PoolRangeError),
        ({"start_address": b"abc"}, PoolRangeError),
        ({"header": "text"}, TypeError),
        ({"header": bytes(253)}, PoolRangeError),
    ],
)
def test_hostile_facts(image: Any, kind: type[Exception]) -> None:
    with filled() as pool, pool.share() as snapshot:
        own, segments, _, marks = snapshot.__reduce__()[1]
        with pytest.raises(kind):
            SharedSnapshot(own, segments, image, marks)


def test_hostile_marks() -> None:
    with filled() as pool, pool.share() as snapshot:
        own, segments, image, marks = snapshot.__reduce__()[1]
        with pytest.raises(FormatError):
            SharedSnapshot(own, segments, image, ())
        with pytest.raises(FormatError):
            SharedSnapshot(own, segments, image, (*marks, *segments))
        with pytest.raises(TypeError):
            SharedSnapshot(own, segments, image, 5)  # type: ignore[arg-type]


def test_marks_that_cannot_be_reached() -> None:
    with filled() as pool, pool.share() as snapshot:
        own, segments, image, _ = snapshot.__reduce__()[1]
        lost = SharedSnapshot(own, segments, image, (OSError("lost"),))
        for call in (lost.open, lambda: lost.segments, lambda: copy.copy(lost)):
            with pytest.raises(OSError, match="lost"):
                call()
        assert lost.total_size == SIZE
    assert count_adopted() == 0


def test_marks_of_another_size() -> None:
    with filled() as pool, MemoryPool(5000, 64) as other:
        other.write(0, b"\7" * 50)
        with pool.share() as snapshot, other.share() as wrong:
            own, segments, image, _ = snapshot.__reduce__()[1]
            forged = SharedSnapshot(own, segments, image, wrong.__reduce__()[1][1])
            with forged, forged.open() as opened:
                assert opened[:] == pool[:]
                assert list(opened.written()) == [(0, 50)]
                opened.write(SIZE - 1, b"\0")
                assert list(opened.written()) == [(0, 50), (SIZE - 1, 1)]
