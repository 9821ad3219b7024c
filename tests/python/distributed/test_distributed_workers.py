# SPDX-License-Identifier: MIT
"""A pool over workers in processes of their own, which are killed."""

from __future__ import annotations

import pickle
import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from at_once import run_all
from distributed_clusters import cluster, distributed, kill, leader

from pymempool import PoolLimitError
from pymempool.distributed import ShardedPool, ShardLostError


@pytest.fixture(scope="module")
def healthy() -> Iterator[Any]:
    """Workers that are left alone."""
    with cluster() as made:
        yield made


@pytest.fixture
def client(request: Any) -> Iterator[Any]:
    """Workers of this test alone, for it to kill; as many as it asks for, or three.

    No test waits for what a nanny starts in their place: it does not start anything for
    a worker that dies before the nanny has heard that it runs.
    """
    with cluster(getattr(request, "param", 3)) as made:
        yield made


@pytest.mark.parametrize("client", [4], indirect=True)
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "by the scheduler"])
def test_killed_one_after_the_other(client: Any, direct: bool) -> None:
    chance, total = random.Random(1), 5000
    flat = bytearray(chance.randbytes(total))
    with (
        distributed.Client(client.cluster, direct_to_workers=direct) as other,
        ShardedPool(other, total, 64, replicas=2, max_block_size=16) as pool,
    ):
        pool.write(0, flat)
        clone, was = pool.clone(), bytes(flat)
        for part in (0, 1):
            dead, _ = leader(pool, part)
            kill(client, dead)
            data = chance.randbytes(1000)
            assert pool.write(2000, data) == 1000
            flat[2000:3000] = data
            assert pool.read(0, total) == flat
            assert clone.read(0, total) == was
            assert dead not in [address for address, _ in pool._placement.leaders]
            alone = list(map(len, pool._placement.holders())).count(1)
            assert alone >= 1 == pool.stats.replicas
            assert pool.repair() == alone
            assert pool.stats.replicas == 2
        pool.restore(clone)
        assert pool.read(0, total) == was
        clone.close()


def test_one_replica(client: Any) -> None:
    with ShardedPool(client, 1000, 10) as pool:
        pool.write(0, b"a" * 900)
        kill(client, leader(pool, 1)[0])
        with pytest.raises(
            ShardLostError,
            match=r"^bytes 10 \.\. 19, and so on every 30, are lost with tcp",
        ) as lost:
            pool.read(0, 1000)
        error = pickle.loads(pickle.dumps(lost.value))
        assert list(error.ranges())[:2] == [(10, 10), (40, 10)]
        assert sum(size for _, size in error.ranges()) == 330
        assert str(error) == str(lost.value)
        for call in (pool.clone, lambda: pool.write(0, b"x" * 99), lambda: pool.stats):
            with pytest.raises(ShardLostError):
                call()
        assert pool.read(0, 10) == b"x" * 10  # the others' share was written
        pool.write(20, b"b" * 10)
        assert pool.gather([20, 0], 1) == b"bx"
        with pytest.raises(ShardLostError, match=str(lost.value)[:60]):
            pool.repair()


@pytest.mark.parametrize("client", [4], indirect=True)
def test_killed_while_threads_write(client: Any) -> None:
    """Each change is made once, and in the order of whoever makes it."""
    names, rounds = range(3), 8
    with ShardedPool(client, 3000, 50, replicas=2, max_block_size=16) as pool:
        proxies = [pool, *(pickle.loads(pickle.dumps(pool)) for _ in names[1:])]
        begun = threading.Barrier(len(names) + 1)

        def work(name: int) -> None:
            proxy, start = proxies[name], 1000 * name
            for number in range(1, rounds + 1):
                if number == 3:
                    begun.wait()
                proxy.write(start, bytes([number]) * 1000)
                assert proxy.read(start, 1000) == bytes([number]) * 1000

        def end_one() -> None:
            begun.wait()
            kill(client, leader(pool, 0)[0])

        run_all(end_one, *(lambda name=name: work(name) for name in names))
        assert pool.read(0, 3000) == bytes([rounds]) * 3000
        assert pool.stats.replicas == 1
        assert pool.repair() >= 1
        for part in (1, 2):  # and so it is on the other holders
            kill(client, leader(pool, part)[0])
            assert pool.read(0, 3000) == bytes([rounds]) * 3000
            pool.repair()


def test_writers_at_once_leave_equal_replicas(client: Any) -> None:
    with ShardedPool(client, 4096, 4096, replicas=2) as pool:
        proxies = [pickle.loads(pickle.dumps(pool)) for _ in range(3)]

        def work(proxy: ShardedPool, byte: bytes) -> None:
            for _ in range(10):
                proxy.write(0, byte * 4096)

        run_all(*(lambda it=it: work(*it) for it in zip(proxies, [b"a", b"b", b"c"])))
        was = pool.read(0, 4096)
        assert len(set(was)) == 1
        kill(client, leader(pool)[0])
        assert pool.read(0, 4096) == was


def test_killed_during_tasks(client: Any) -> None:
    with ShardedPool(client, 3000, 100, replicas=2) as pool:
        pool.write(0, b"1" * 3000)

        def work(proxy: ShardedPool, at: int) -> None:
            proxy.write(at, b"2")
            assert proxy.read(at, 1) == b"2"

        futures = client.map(work, [pool] * 60, range(0, 600, 10), pure=False)
        futures[5].result()
        kill(client, leader(pool, 2)[0])
        distributed.wait(futures)
        assert {future.status for future in futures} == {"finished"}
        assert pool.read(0, 3000).count(b"2") == 60


def test_larger_than_any_worker(healthy: Any) -> None:
    """No worker may hold more than 1 MiB; the pool holds 2.5."""
    limit, total = 1 << 20, 5 << 19
    with ShardedPool(
        healthy, 1 << 40, 1 << 16, max_block_size=4096, memory_limit=limit
    ) as pool:
        data = random.Random(2).randbytes(total)
        start = (1 << 39) - 777
        pool.write(start, data[:-5000])
        pool.write(start + total - 5000, data[-5000:])
        assert pool.read(start, total) == data
        stats = pool.stats
        assert stats.held_bytes >= total > 2 * limit
        assert all(part.held_bytes <= limit for part in stats.parts)
        with pytest.raises(PoolLimitError):
            pool.write(0, bytes([1]) * (1 << 20))
        array = pool.array(start - start % 8, total, "u1", stripes=4)
        assert len(array.chunks[0]) > 10
        assert array.sum(dtype=int).compute() == sum(data[: total - start % 8])


def test_chunks_are_computed_where_they_lie(healthy: Any) -> None:
    with ShardedPool(healthy, 2400, 800) as pool:
        pool.write(0, bytes(range(240)) * 10)
        whole = pool.array(0, 2400, "u1")
        futures = [future for _, future in sorted(dict(whole.dask).items())]
        distributed.wait(futures)
        who = healthy.who_has(futures)
        assert [list(who[future.key]) for future in futures] == [
            [leader(pool, part)[0]] for part in range(3)
        ]
        assert bytes(whole.compute()) == pool.read(0, 2400)


def test_a_closed_cluster() -> None:
    with cluster(1) as client:
        pool = ShardedPool(client, 100)
    with pytest.raises(ValueError, match="closed"):
        pool.read(0, 1)
    pool.close()
