# SPDX-License-Identifier: MIT
"""How second replicas are made, at first and anew, and workers that cannot have them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from distributed_clusters import (
    Trouble,
    both,
    changes_made,
    cluster,
    held_by,
    in_process,
    leader,
    on_two_workers,
    troubled,
)
from internals import CHANGES, Transport, placement_module

from pymempool import PoolError, PoolLimitError, __version__
from pymempool.distributed import ShardedPool, ShardLostError

client = pytest.fixture(in_process, scope="module")
trouble = pytest.fixture(troubled)
pool = pytest.fixture(on_two_workers)
made = pytest.fixture(changes_made)


def test_a_new_follower_that_is_not_recorded(
    client: Any, pool: ShardedPool, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whether the message has arrived: either way it must not lead."""
    first, second = both(pool)
    trouble.gone.add(second[1])
    pool.write(0, b"new")
    record, failures = Transport.record, iter([OSError("no scheduler")])

    async def fail(transport: Transport, holder: Any, part: int, follower: Any) -> None:
        await record(transport, holder, part, follower)
        if follower is not None:
            for error in failures:
                raise error

    with monkeypatch.context() as patch:
        patch.setattr(Transport, "record", fail)
        patch.setattr(placement_module, "_PATIENCE", 0.0)
        with pytest.raises(PoolError, match="not reached"):
            pool.repair()
    pool.write(3, b"er")
    trouble.lose(first)
    with pytest.raises(ShardLostError):
        pool.read(0, 5)


def test_repair(client: Any, pool: ShardedPool, trouble: Trouble, made: Any) -> None:
    pool.write(100, b"x" * 100)
    clone = pool.clone()
    pool.discard(100, 60)
    pool.write(500, b"only here")
    second_clone = pool.clone()
    first, second = both(pool)
    wanted = pool.read(0, 1000), clone.read(0, 1000), second_clone.read(0, 1000)
    assert pool.repair() == 0
    trouble.lose(first)
    pool.write(900, b"")
    assert pool.stats.replicas == 1
    del made[:]
    assert pool.repair() == 1
    assert pool.repair() == 0
    assert pool.stats.replicas == 2
    assert [name for name, _ in made].count("create") == 1
    assert [name for name, _ in made].count("clone") == 2
    assert not [args for name, args in made if name == "write" and args[0] == "later"]
    third = held_by(client, second).follower
    assert third[0] not in (first[0], second[0])
    family = [held_by(client, it).pools for it in (second, third)]
    stats = [next(iter(pools.values())).stats for pools in family]
    assert stats[0].family_bytes == stats[1].family_bytes  # shared there as here
    pool.write(900, b"more")
    trouble.lose(second)
    pool.write(904, b"x")
    found = pool.read(0, 900), clone.read(0, 900), second_clone.read(0, 900)
    assert found == tuple(data[:900] for data in wanted)
    assert pool.read(900, 5) == b"morex"
    assert leader(pool) == third
    clone.close()
    second_clone.close()


def test_repair_knows_what_was_made(
    client: Any, pool: ShardedPool, trouble: Trouble, made: Any
) -> None:
    """A change whose answer is lost, a repair, another change, and a death."""
    first, second = both(pool)
    trouble.gone.add(second[1])
    pool.write(0, b"A")
    number = ("somebody", 0, 0)
    asked = pool._placement.request

    async def change(data: bytes, index: int) -> None:
        args = pool._remote.name, 0, memoryview(data)
        await asked(0, "change", ("somebody", index, 0), "write", *args)

    client.sync(change, b"B", 0)  # made, and say that its answer was lost
    assert pool.repair() == 1
    client.sync(change, b"C", 1)
    trouble.lose(first)
    client.sync(change, b"B", 0)  # so it comes again, to another one
    assert pool.read(0, 1) == b"C"
    assert number[0] in held_by(client, leader(pool)).applied


def test_repair_where_another_worker_fails(
    client: Any, pool: ShardedPool, trouble: Trouble
) -> None:
    first, second = both(pool)
    trouble.gone.add(second[1])
    pool.write(0, b"new")
    others = {worker.address for worker in client.cluster.workers.values()}
    third = next(iter(others - {first[0], second[0]}))
    trouble.cut.add((first[0], third))
    with pytest.raises(PoolError, match="1 of 1 parts have one replica still") as told:
        pool.repair()
    assert "could not be reached from" in str(told.value)
    assert f"{second[0]} is lost" in str(told.value)
    assert "pip" not in str(told.value)
    assert pool.stats.replicas == 1
    trouble.cut.clear()
    assert pool.repair() == 1


def test_repair_over_the_limit(
    client: Any, pool: ShardedPool, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, second = both(pool)
    trouble.gone.add(second[1])
    pool.write(0, b"new")

    def fail(held: Any, name: str, total: int) -> None:
        raise PoolLimitError("no room")

    with monkeypatch.context() as patch:
        patch.setitem(CHANGES, "create", fail)
        with pytest.raises(PoolLimitError):
            pool.repair()
    assert pool.stats.replicas == 1
    assert pool.read(0, 3) == b"new"
    assert pool.repair() == 1


def test_no_second_worker_at_first(client: Any, trouble: Trouble) -> None:
    addresses = sorted(client.nthreads())
    trouble.cut |= {(one, other) for one in addresses for other in addresses}
    with pytest.raises(PoolError, match=r"cannot hold a part$"):
        ShardedPool(client, 100, 100, replicas=2)


def test_a_worker_that_dies_while_a_pool_is_made(client: Any, trouble: Trouble) -> None:
    address = sorted(client.nthreads())[1]
    trouble.gone.add(address)
    trouble.cut.add(("client", address))
    with pytest.raises(ShardLostError, match=r"^bytes 10 \.\. 19, "):
        ShardedPool(client, 100, 10)
    while any("shard" in key for key in client.cluster.scheduler.tasks):
        client.sync(client.scheduler.identity)  # nothing of it is left


def test_a_worker_that_cannot_make_a_shard(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any, key: str) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(placement_module.Shard, "__init__", fail)
    with pytest.raises(
        PoolError, match=r"cannot hold a part: RuntimeError\(.no.\)$"
    ) as caught:
        ShardedPool(client, 100, 10)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_worker_that_leaves_before_it_makes_a_shard(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = client.nthreads()
    answers = iter([{**there, "tcp://192.0.2.1:9": 2}] * 2)
    monkeypatch.setattr(placement_module, "CHECK_INTERVAL", 0.1)
    monkeypatch.setattr(client, "nthreads", lambda: next(answers, there))
    with pytest.raises(PoolError, match=r"192\.0\.2\.1:9 is lost: it ended before"):
        ShardedPool(client, 100, 10)


# --------------------------------------------------- what repair() says of workers


def test_one_worker_is_left() -> None:
    """Who is lost, how many are needed, and what to do; and nothing of packages."""
    with (
        cluster(2, processes=False) as client,
        ShardedPool(client, 100, 10, replicas=2) as pool,
    ):
        pool.write(0, b"x" * 100)
        (dead, _), (left, _) = pool._placement.shards
        lost = client.cluster.workers[0]
        assert lost.address == dead
        client.sync(lost.close, nanny=False)
        with pytest.raises(PoolError) as told:
            pool.repair()
        assert type(told.value) is PoolError
        assert str(told.value) == (
            "2 of 2 parts have one replica still (0 got a second one); 2 workers are"
            f" needed for two replicas, and there is 1; {dead} is lost; start"
            " workers, or find out why they are not reached, and call repair() again"
        )
        assert pool.read(0, 100) == b"x" * 100
        client.cluster.scale(3)
        client.wait_for_workers(2)
        assert pool.repair() == 2
        assert pool.stats.replicas == 2
        assert {it for it, _ in pool._placement.shards} > {dead, left}


def test_parts_that_are_lost_do_not_keep_others_from_repair(
    client: Any, trouble: Trouble
) -> None:
    with ShardedPool(client, 30, 10, replicas=2) as pool:
        pool.write(0, b"x" * 30)
        placed = pool._placement.holders()
        for holder in placed[1]:
            trouble.lose(holder)
        client.cluster.scale(4)
        client.wait_for_workers(4)
        with pytest.raises(ShardLostError, match=r"^bytes 10 \.\. 19 are lost with"):
            pool.repair()
        for part in (0, 2):
            assert len(pool._placement.run(pool._placement.request, part, "placed")) == 2
        assert pool.read(0, 10) + pool.read(20, 10) == b"x" * 20


def test_repair_takes_workers_that_hold_little(client: Any, trouble: Trouble) -> None:
    with ShardedPool(client, 30, 10, replicas=2) as pool:
        trouble.gone.add(pool._placement.shards[2][1])
        client.cluster.scale(len(client.cluster.workers) + 2)
        client.wait_for_workers(len(client.cluster.workers))
        assert pool.repair() == 2
        copies = Counter(it for holders in pool._placement.holders() for it in holders)
        assert max(copies.values()) == 2


def test_a_new_worker_that_dies_at_once(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said to be gone; it does not lack a package."""
    with ShardedPool(client, 100, 10, replicas=2) as pool:
        there = client.nthreads()
        answers = iter([{**there, "tcp://192.0.2.1:9": 2}] * 2)
        monkeypatch.setattr(placement_module, "CHECK_INTERVAL", 0.1)
        monkeypatch.setattr(client, "nthreads", lambda: next(answers, there))
        assert pool.repair() == 0  # nothing needs it
        answers = iter([{**there, "tcp://192.0.2.1:9": 2}] * 2)
        with pytest.raises(PoolError, match=r"192\.0\.2\.1:9 is lost") as told:
            pool.rebalance()
        assert "pip" not in str(told.value)


@pytest.mark.parametrize("lack", ["package", "version"])
def test_a_worker_with_another_package(lack: str) -> None:
    def break_it() -> None:
        import sys

        if lack == "package":
            for name in [it for it in sys.modules if it.startswith("pymempool")]:
                del sys.modules[name]
            sys.modules["pymempool"] = None  # type: ignore[assignment]
        else:
            import pymempool

            pymempool.__version__ = "0.0.9"

    with cluster(1, threads_per_worker=1) as client:
        [worker] = client.nthreads()
        client.run(break_it)
        with pytest.raises(PoolError) as told:
            ShardedPool(client, 100)
        why = "it lacks a package (" if lack == "package" else "it has pymempool 0.0.9, "
        assert str(told.value).startswith(
            f"worker {worker} cannot hold a part, since {why}"
        )
        install = f"pip install 'pymempool[dask]=={__version__}' there"
        assert str(told.value).endswith(install)
        assert list(client.nthreads()) == [worker]  # and it is as well as before
