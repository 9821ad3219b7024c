# SPDX-License-Identifier: MIT
"""A pool over the workers of a Dask cluster: what it does while all of them are there."""

from __future__ import annotations

import array
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from distributed_clusters import in_process, in_stripes, run_python
from internals import TOTAL_MAX, Layout, merged

from pymempool import (
    MemoryPool,
    PoolClosedError,
    PoolError,
    PoolLimitError,
    PoolRangeError,
    PoolUnrelatedError,
)
from pymempool.distributed import ShardedPool

numpy: Any = pytest.importorskip("numpy", reason="numpy is not installed")


client = pytest.fixture(in_process, scope="module")
pool = pytest.fixture(in_stripes)


@pytest.fixture
def single() -> Iterator[MemoryPool]:
    with MemoryPool(4096, 16) as made:
        made.write(100, bytes(range(1, 201)))
        made.write(4000, b"end")
        yield made


# ------------------------------------------------------------------ where bytes lie


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
@pytest.mark.parametrize("stripe", [1, 5, 64, 500])
def test_addresses(parts: int, stripe: int) -> None:
    total = 211
    layout = Layout(total, stripe, parts)
    where = [
        (at // stripe % parts, layout.below(at, at // stripe % parts))
        for at in range(total)
    ]
    assert len(set(where)) == total
    for offset in (0, 3, 64, 100):
        for size in (0, 1, 7, 111):
            seen = []
            for part, start, count in layout.runs(offset, size):
                pieces = list(layout.pieces(offset, size, part))
                places = [offset + at for a, b in pieces for at in range(a, b)]
                assert [where[at] for at in places] == [
                    (part, start + i) for i in range(count)
                ]
                spread = layout.spread(part, start, count)
                assert [at for a, n in spread for at in range(a, a + n)] == places
                seen += places
            assert sorted(seen) == list(range(offset, offset + size))
    offsets = numpy.array([0, 7, 7, 200, 64, 1])
    seen = []
    for part, items in layout.split(offsets, 11):
        every = zip(items.local, items.size)
        local = [int(at) + i for at, size in every for i in range(size)]
        for place, at in zip(items.bytes(), local):
            assert where[offsets[place // 11] + place % 11] == (part, at)
            seen.append(int(place))
    assert sorted(seen) == list(range(11 * len(offsets)))
    offsets, sizes = numpy.array([7, 0, 200, 3]), numpy.array([3, 111, 1, 40])
    wanted = [at + i for at, size in zip(offsets, sizes) for i in range(size)]
    seen = []
    for part, items in layout.split(offsets, sizes):
        every = zip(items.local, items.size)
        local = [int(at) + i for at, size in every for i in range(size)]
        for place, at in zip(items.bytes(), local):
            assert where[wanted[place]] == (part, at)
            seen.append(int(place))
    assert sorted(seen) == list(range(155))


def test_runs_are_merged() -> None:
    assert list(merged([])) == []
    assert list(merged([(0, 2), (2, 3), (7, 1), (8, 1)])) == [(0, 5), (7, 2)]
    assert list(merged([(3, 1)])) == [(3, 1)]


# ------------------------------------------------------------------------- bytes


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("stripe", [1, 7, 64, 10_000])
def test_bytes(client: Any, stripe: int, replicas: int) -> None:
    with ShardedPool(client, 300, stripe, replicas=replicas, max_block_size=8) as pool:
        flat = bytearray(300)
        assert pool.read(0, 300) == flat
        for offset, data in (
            (0, b"abc"),
            (150, bytes(range(100))),
            (299, b"z"),
            (9, b""),
        ):
            assert pool.write(offset, data) == len(data)
            flat[offset : offset + len(data)] = data
        pool.fill(20, 7, 100)
        flat[20:120] = b"\x07" * 100
        pool.discard(30, 65)
        flat[30:95] = bytes(65)
        assert pool.read(0, 300) == flat
        assert type(pool.read(1, 1)) is bytes
        assert pool.read(300, 0) == b""
        target = bytearray(b"?" * 80)
        assert pool.readinto(10, memoryview(target)[10:70]) == 60
        assert target == b"?" * 10 + flat[10:70] + b"?" * 10
        assert pool.total_size == 300


def test_buffers_of_all_kinds(pool: ShardedPool, single: MemoryPool) -> None:
    doubles = array.array("d", range(60))
    for data in (
        doubles,
        memoryview(doubles),
        numpy.arange(120, dtype="<i4").reshape(3, 40),
        numpy.zeros(50, dtype="M8[s]"),
        numpy.empty((0, 3)),
        bytearray(b"x" * 333),
    ):
        assert pool.write(75, data) == single.write(75, data)
        assert pool.read(0, 4096) == single.read(0, 4096)
    for make in (
        lambda: array.array("d", range(60)),
        lambda: numpy.ones((7, 9), dtype="<i8"),
        lambda: numpy.zeros(50, dtype="M8[s]"),
        lambda: bytearray(500),
    ):
        ours, theirs = make(), make()
        assert pool.readinto(60, ours) == single.readinto(60, theirs)
        assert numpy.array_equal(ours, theirs)
        assert not numpy.array_equal(ours, make())


OFFSETS = [
    [95, 260, 0, 4086, 100, 100],
    array.array("H", [100, 260, 0, 4086, 95]),
    range(0, 4000, 50),
    b"\0\1dz",
    [],
    numpy.array([[95, 260], [0, 4086]]),
    numpy.array([7, 195], dtype=numpy.uint8)[::-1],
    numpy.zeros((0, 2), dtype=int),
    numpy.array(95),
]


@pytest.mark.parametrize("offsets", OFFSETS, ids=lambda it: type(it).__name__)
@pytest.mark.parametrize("item_size", [0, 1, 10])
def test_items(
    offsets: Any, item_size: int, pool: ShardedPool, single: MemoryPool
) -> None:
    wanted = single.gather(offsets, item_size)
    found = pool.gather(offsets, item_size)
    assert type(found) is type(wanted)
    assert numpy.array_equal(found, wanted)
    assert getattr(found, "shape", None) == getattr(wanted, "shape", None)
    out = bytearray(len(bytes(wanted)))
    assert pool.gather(offsets, item_size, out) is out
    assert out == bytes(wanted)
    data = bytes(range(256)) * 4
    data = data[: len(out)]
    single.scatter(offsets, data)
    pool.scatter(offsets, data)
    assert pool.read(0, 4096) == single.read(0, 4096)


def test_items_larger_than_stripes(pool: ShardedPool) -> None:
    data = numpy.arange(1500, dtype="<u2")
    pool.scatter([90, 2000], data)
    assert pool.gather([2000, 90], 1500) == data.tobytes()[1500:] + data.tobytes()[:1500]


RANGES = [(90, 200), (0, 0), (4096, 0), (2000, 1), (95, 30), (0, 4096), (4095, 1)]


def test_ranges(pool: ShardedPool, single: MemoryPool) -> None:
    for ranges in (RANGES, RANGES[1:3], []):
        wanted = single.read_many(ranges)
        for form in (ranges, numpy.array(ranges, int).reshape(-1, 2), iter(ranges)):
            assert pool.read_many(form) == wanted
        out = bytearray(sum(map(len, wanted)))
        assert pool.read_many(ranges, out) is out
        assert out == b"".join(wanted)
    items = [(at, bytes([3 + i]) * min(size, 999)) for i, (at, size) in enumerate(RANGES)]
    for form in (items, [], items[1:3], [(7, numpy.arange(99))]):
        single.write_many(form)
        pool.write_many(iter(form))
        assert pool.read(0, 4096) == single.read(0, 4096)


def test_ranges_beside_another_proxy(pool: ShardedPool) -> None:
    """An iterator is used up by the first look at it."""
    other = pickle.loads(pickle.dumps(pool))
    other.resize(5000)
    assert pool.read_many(iter([(0, 1), (4990, 10)])) == [pool.read(0, 1), bytes(10)]
    other.resize(6000)
    pool.write_many(iter([(5990, b"0123456789")]))
    assert other.read(5990, 10) == b"0123456789"
    other.resize(100)
    with pytest.raises(PoolRangeError, match="offset number 1 is 5990"):
        pool.read_many(iter([(0, 1), (5990, 10)]))
    other.resize(6000)
    assert pool.read_many([(5990, 3)]) == [bytes(3)]
    other.resize(100)
    with pytest.raises(PoolRangeError, match="offset number 1 is 5990"):
        pool.write_many(iter([(0, b""), (5990, b"x")]))


# --------------------------------------------------------------------- snapshots


def test_snapshots(pool: ShardedPool) -> None:
    was = pool.read(0, 4096)
    with pool.clone() as clone, clone.clone() as second:
        assert list(pool.changes(clone)) == []
        pool.fill(500, 1, 250)
        clone.discard(0, 4096)
        assert second.read(0, 4096) == was
        assert list(clone.extents()) == []
        rest = bytearray(pool.read(0, 4096))
        same = bytearray(was)
        for start, size in pool.changes(second):
            rest[start : start + size] = same[start : start + size] = bytes(size)
        assert rest == same
        assert rest[100:190] == was[100:190]  # which no change came near
        pool.restore(second)
        assert pool.read(0, 4096) == was
        assert pool.stats.parts[0].family_pools == 3
    assert pool.stats.parts[0].family_pools == 1


def test_extents_are_those_of_one_pool(pool: ShardedPool) -> None:
    runs = list(pool.extents())
    covered = {at for start, size in runs for at in range(start, start + size)}
    data = pool.read(0, 4096)
    assert all(at in covered for at in range(4096) if data[at])
    assert pool.stats.held_bytes >= len(covered)
    end = -1
    for start, size in runs:
        assert end < start < start + size <= 4096
        end = start + size


def test_stats_and_repr(client: Any) -> None:
    with ShardedPool(client, 1000, 10, max_block_size=4) as pool:
        assert repr(pool) == "<ShardedPool of 1000 bytes, stripes of 10 in 3 parts>"
        pool.write(0, b"x" * 40)
        stats = pool.stats
        assert (stats.total_size, stats.stripe, stats.replicas) == (1000, 10, 1)
        assert [part.total_size for part in stats.parts] == [340, 330, 330]
        assert stats.held_bytes == sum(part.held_bytes for part in stats.parts) == 44
        assert pool.repair() == 0
    assert repr(pool) == "<ShardedPool, closed>"
    with ShardedPool(client, TOTAL_MAX, 1 << 40, replicas=2) as large:
        large.write(TOTAL_MAX - 3, b"end")
        assert large.read(TOTAL_MAX - 5, 5) == b"\0\0end"
        assert large.stats.replicas == 2
        for size in (TOTAL_MAX, TOTAL_MAX // 2):
            with pytest.raises(MemoryError):
                large.gather([0, 0], size)
            with pytest.raises(MemoryError):
                large.read(0, size)
        assert large.repair() == 0
    with ShardedPool(client, 15, 10) as small:
        assert len(small.stats.parts) == 2


# ---------------------------------------------------------------------- arguments


def odd(single: Any, client: Any) -> dict[str, Any]:
    """Calls that a single pool refuses, for any pool."""
    calls = {}
    for place in [(-1, 1), (0, -1), (4095, 2), (4097, 0), (0, 4097), (2**64, 2**64)]:
        calls[f"read {place}"] = lambda pool, place=place: pool.read(*place)
        calls[f"discard {place}"] = lambda pool, place=place: pool.discard(*place)
        calls[f"fill {place}"] = lambda p, place=place: p.fill(place[0], 1, place[1])
    for wrong in (1.0, "1", None, b"1", [], float("nan")):
        calls[f"read at {wrong!r}"] = lambda pool, it=wrong: pool.read(it, 1)
        calls[f"read of {wrong!r}"] = lambda pool, it=wrong: pool.read(1, it)
        calls[f"fill with {wrong!r}"] = lambda pool, it=wrong: pool.fill(0, it, 1)
        calls[f"fill at {wrong!r}"] = lambda pool, it=wrong: pool.fill(it, 0, 1)
        calls[f"discard at {wrong!r}"] = lambda pool, it=wrong: pool.discard(it, 1)
        calls[f"write at {wrong!r}"] = lambda pool, it=wrong: pool.write(it, b"x")
        calls[f"gather of {wrong!r}"] = lambda pool, it=wrong: pool.gather([0], it)
    for byte in (-1, 256, 10**5000):
        calls[f"byte {byte.bit_length()}"] = lambda p, byte=byte: p.fill(0, byte, 1)
    for offset in (-1, 4090, 4097, 2**63, 2**64, -(2**70)):
        calls[f"write at {offset}"] = lambda p, at=offset: p.write(at, b"x" * 10)
        calls[f"readinto {offset}"] = lambda p, at=offset: p.readinto(at, bytearray(10))
        calls[f"gather {offset}"] = lambda p, at=offset: p.gather([5, 1, at], 10)
        calls[f"scatter {offset}"] = lambda p, at=offset: p.scatter([1, at], b"x" * 20)
    for data in (1, "text", [1], memoryview(bytes(9))[::2], numpy.ones((2, 2)).T):
        calls[f"write {data!r}"] = lambda pool, it=data: pool.write(0, it)
        calls[f"readinto {data!r}"] = lambda pool, it=data: pool.readinto(0, it)
        calls[f"scatter {data!r}"] = lambda pool, it=data: pool.scatter([0], it)
        calls[f"out {data!r}"] = lambda pool, it=data: pool.gather([0], 1, it)
        calls[f"write_many {data!r}"] = lambda p, it=data: p.write_many([(0, it)])
        calls[f"many, out {data!r}"] = lambda p, it=data: p.read_many([(0, 1)], it)
    for offsets in ([1.0], ["1"], [None], "12", 5, None, [b"1"], [[1]], numpy.ones(2)):
        calls[f"gather {offsets!r}"] = lambda p, it=offsets: p.gather(it, 1)
        calls[f"scatter {offsets!r}"] = lambda p, it=offsets: p.scatter(it, b"x")
    for pair in (5, (1,), (1.0, 1), (1, "1"), (-1, 1), (0, 4097), (4097, 0), (2**70, 1)):
        calls[f"read_many {pair!r}"] = lambda p, it=pair: p.read_many([(1, 1), it])
        calls[f"write at {pair!r}"] = lambda p, it=pair: p.write_many([(1, b""), it])
    calls["pairs"] = lambda pool: pool.read_many(5)
    calls["pairs to write"] = lambda pool: pool.write_many(5)
    calls["pairs past the end"] = lambda p: p.write_many([(0, b"x"), (4090, b"x" * 7)])
    calls["rows"] = lambda pool: pool.read_many(numpy.zeros((2, 3), int))
    calls["read-only"] = lambda pool: pool.readinto(0, bytes(4))
    calls["objects"] = lambda pool: pool.readinto(0, numpy.array([None]))
    calls["items of 4097"] = lambda pool: pool.gather([0], 4097)
    calls["items of -1"] = lambda pool: pool.gather([0], -1)
    calls["small out"] = lambda pool: pool.gather([0, 1], 4, bytearray(7))
    calls["odd data"] = lambda pool: pool.scatter([0, 1], b"abc")
    calls["data alone"] = lambda pool: pool.scatter([], b"abc")
    return calls


def test_arguments_are_refused_as_by_one_pool(
    client: Any, pool: ShardedPool, single: MemoryPool
) -> None:
    was = pool.read(0, 4096)
    for name, call in odd(single, client).items():
        with pytest.raises((PoolError, TypeError)) as wanted:
            call(single)
        with pytest.raises((PoolError, TypeError)) as found:
            call(pool)
        assert found.type is wanted.type, name
        assert str(found.value) == str(wanted.value), name
    assert pool.read(0, 4096) == was


def test_pools_that_cannot_be_made(client: Any) -> None:
    for arguments, options in (
        ((0,), {}),
        ((TOTAL_MAX + 1,), {}),
        ((10, 0), {}),
        ((10,), {"replicas": 0}),
        ((10,), {"replicas": 3}),
        ((10,), {"max_block_size": 0}),
        ((10,), {"memory_limit": 0}),
    ):
        with pytest.raises(PoolRangeError):
            ShardedPool(client, *arguments, **options)
    for arguments in ((1.5,), ("1",), (10, None)):
        with pytest.raises(TypeError):
            ShardedPool(client, *arguments)
    for nobody in (None, "tcp://127.0.0.1:1", client.cluster):
        with pytest.raises(TypeError, match="Client"):
            ShardedPool(nobody, 10)


def test_relatives_only(client: Any, pool: ShardedPool) -> None:
    with ShardedPool(client, 4096, 100) as stranger:
        for call in (pool.restore, pool.changes):
            with pytest.raises(PoolUnrelatedError):
                call(stranger)
            with pytest.raises(TypeError, match="not MemoryPool"):
                call(MemoryPool(4096))  # type: ignore[arg-type]
    with pytest.raises(PoolClosedError):
        pool.restore(stranger)


def test_over_the_limit(client: Any) -> None:
    with ShardedPool(
        client, 1000, 100, replicas=2, memory_limit=64, max_block_size=16
    ) as pool:
        pool.write(0, b"a" * 64)
        with pytest.raises(PoolLimitError):
            pool.write(65, b"x" * 30)
        assert pool.read(0, 1000) == b"a" * 64 + bytes(936)
        assert pool.stats.replicas == 2  # both have refused it
        clone = pool.clone()
        with pytest.raises(PoolLimitError):
            pool.write(0, b"y")
        clone.close()
        pool.write(0, b"y")


def test_items_over_the_limit(client: Any) -> None:
    """Items of several sizes, of which some fit: a part has all of its share or none."""
    with ShardedPool(client, 100, 10, max_block_size=8, memory_limit=16) as pool:
        pool.write(0, b"old")
        with pytest.raises(PoolLimitError):
            pool.scatter([0, 39, 60, 90], b"aabbccdd")
        assert pool.read(0, 40) == b"old" + bytes(37)
        assert pool.read(60, 2) + pool.read(90, 2) == bytes(4)
        assert pool.read(40, 1) == b"b"  # of another part


# --------------------------------------------------------------------------- ends


def test_closed(client: Any) -> None:
    pool = ShardedPool(client, 100, 10)
    clone, proxy = pool.clone(), pickle.loads(pickle.dumps(pool))
    assert not pool.closed
    pool.close()
    pool.close()
    assert pool.closed
    for call in (
        lambda: pool.read(0, 1),
        lambda: pool.write(0, b""),
        lambda: pool.fill(0, 0, 0),
        lambda: pool.discard(0, 0),
        lambda: pool.gather([], 1),
        lambda: pool.scatter([], b""),
        lambda: pool.read_many([]),
        lambda: pool.write_many([]),
        lambda: pool.clone(),
        lambda: pool.restore(clone),
        lambda: clone.restore(pool),
        lambda: pool.extents(),
        lambda: pool.changes(clone),
        lambda: pool.stats,
        lambda: pool.total_size,
        lambda: pool.repair(),
        lambda: pool.array(0, 1, "u1"),
        lambda: pool.__enter__(),
        lambda: pickle.dumps(pool),
        lambda: proxy.read(0, 1),  # of what lies at the workers no more
        lambda: proxy.write(0, b"x"),
    ):
        with pytest.raises(PoolClosedError):
            call()
    assert clone.read(0, 100) == bytes(100)
    clone.close()
    wait_until_forgotten(client, pool)
    with pytest.raises(PoolClosedError, match="no more where it was made"):
        proxy.read(0, 1)
    proxy.close()


def shards_of(pool: ShardedPool) -> set[str]:
    return {key for _, key in pool._placement.shards}


def wait_until_forgotten(client: Any, pool: ShardedPool) -> None:
    """Until the scheduler has got what close() sent to it."""
    while shards_of(pool) & set(client.cluster.scheduler.tasks):
        client.sync(client.scheduler.identity)


def test_memory_is_given_back(client: Any) -> None:
    def held() -> set[str]:
        workers = client.cluster.workers.values()
        return {key for it in workers for key in it.state.actors} & shards_of(pool)

    pool = ShardedPool(client, 100, 10, replicas=2)
    assert held() == shards_of(pool) <= set(client.cluster.scheduler.task_metadata)
    pool.close()
    wait_until_forgotten(client, pool)
    assert not shards_of(pool) & set(client.cluster.scheduler.task_metadata)
    while held():
        client.sync(client.scheduler.identity)


# -------------------------------------------------------------------- the package


def test_the_bare_package_knows_nothing_of_it() -> None:
    code = (
        "import sys, pymempool\n"
        "assert not {'dask', 'distributed', 'pymempool.distributed'} & set(sys.modules)\n"
    )
    ran = run_python(code)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("missing", ["dask.array", "distributed", "numpy"])
def test_the_extra_is_named(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; import pymempool.distributed"
    ran = run_python(code)
    assert ran.returncode == 1
    assert b"need Dask: pip install 'pymempool[dask]'" in ran.stderr
