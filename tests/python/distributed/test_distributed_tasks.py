# SPDX-License-Identifier: MIT
"""A pool over many workers where it was not made: pickled, in tasks, as a dask.array."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from distributed_clusters import distributed, in_process, in_stripes, run_python

from pymempool import PoolError, PoolRangeError
from pymempool.distributed import ShardedPool

numpy: Any = pytest.importorskip("numpy", reason="numpy is not installed")


client = pytest.fixture(in_process, scope="module")
pool = pytest.fixture(in_stripes)


def test_proxies(client: Any, pool: ShardedPool) -> None:
    proxy = pickle.loads(pickle.dumps(pool))
    proxy.write(5, b"word")
    assert pool.read(5, 4) == b"word"
    clone = proxy.clone()
    assert clone.read(5, 4) == b"word"
    assert list(clone.changes(pool)) == []
    clone.close()
    assert pool.stats.parts[0].family_pools == 1
    for call in (proxy.repair, lambda: proxy.array(0, 8, "u1")):
        with pytest.raises(PoolError, match="made first"):
            call()
    proxy.close()
    assert pool.read(5, 4) == b"word"


def test_in_tasks(client: Any, pool: ShardedPool) -> None:
    def work(proxy: ShardedPool, at: int) -> bytes:
        proxy.write(at, b"%4d" % at)
        return proxy.read(at - 2, 8)

    offsets = list(range(500, 700, 13))
    found = client.gather(client.map(work, [pool] * len(offsets), offsets, pure=False))
    assert found == [b"\0\0%4d\0\0" % at for at in offsets]


@pytest.mark.parametrize("direct", [True, False])
def test_the_way_of_messages(
    client: Any, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers, passed = client.cluster.scheduler.handlers, []
    proxy = handlers["proxy"]

    async def count(**message: Any) -> Any:
        passed.append(message)
        return await proxy(**message)

    monkeypatch.setitem(handlers, "proxy", count)
    with (
        distributed.Client(client.cluster, direct_to_workers=direct) as other,
        ShardedPool(other, 100, 10) as pool,
    ):
        del passed[:]
        pool.write(5, b"0123456789")
        assert pool.read(5, 10) == b"0123456789"
        assert len(passed) == (0 if direct else 4)


def test_without_a_client(client: Any, pool: ShardedPool) -> None:
    data = pickle.dumps(pool)
    code = "import pickle, sys; pickle.load(sys.stdin.buffer).read(0, 1)"
    ran = run_python(code, data)
    assert b"PoolError: there is no Dask client in this process" in ran.stderr


def test_not_in_the_event_loop(client: Any, pool: ShardedPool) -> None:
    async def read() -> bytes:
        return pool.read(0, 1)

    with pytest.raises(RuntimeError, match="event loop"):
        client.sync(read)


# --------------------------------------------------------------------------- Dask


def test_arrays(client: Any) -> None:
    with ShardedPool(client, 3 * 800, 800) as pool:
        pool.write(0, bytes(range(240)) * 10)
        flat = numpy.frombuffer(pool.read(0, 2400), "<i8")
        whole = pool.array(0, (300,), "<i8")
        assert whole.numblocks == (3,)
        assert (whole.compute() == flat).all()
        assert (whole + 1).sum().compute() == (flat + 1).sum()
        plane = pool.array(32, [147, 2], numpy.dtype("<i8"), stripes=2)
        assert plane.chunks == ((98, 49), (2,))
        assert (plane.compute() == flat[4:298].reshape(147, 2)).all()
        assert pool.array(3, 5, "u1").compute().tolist() == [3, 4, 5, 6, 7]
        assert pool.array(3, (0, 5), "u1").compute().shape == (0, 5)
        futures = [future for _, future in sorted(dict(whole.dask).items())]
        who = client.who_has(futures)
        assert [list(who[future.key]) for future in futures] == [
            [address] for address, _ in pool._placement.leaders
        ]


def test_arrays_that_do_not_fit(client: Any) -> None:
    with ShardedPool(client, 3000, 1000) as pool:
        for arguments in (
            (0, 376, "<i8"),
            (-1, 3, "u1"),
            (4, 200, "<i8"),
            (0, 1000, "V3"),
            (0, (), "u1"),
            (0, (3, 0), "u1"),
            (0, (-3,), "u1"),
            (0, 3, "O"),
            (0, 3000, "u1", 0),
            (0, 3000, "u1", 1 << 62),
        ):
            with pytest.raises(PoolRangeError):
                pool.array(*arguments)
        for arguments in ((0, 1.5, "u1"), (0, "12", "u1"), (0, 3, "nothing")):
            with pytest.raises(TypeError):
                pool.array(*arguments)
        assert pool.array(4, 100, "<i8").compute().shape == (100,)


def test_buffers_travel_out_of_band() -> None:
    data = numpy.zeros(1 << 20, numpy.uint8)
    packed = distributed.protocol.to_serialize(memoryview(data))
    frames = distributed.protocol.dumps({"args": [packed]})
    large = [
        numpy.frombuffer(frame, numpy.uint8) for frame in frames if len(frame) > 1000
    ]
    assert len(large) == 1
    assert numpy.shares_memory(large[0], data)
