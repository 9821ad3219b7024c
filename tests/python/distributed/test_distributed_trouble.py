# SPDX-License-Identifier: MIT
"""Messages that get lost between workers of a cluster, and workers given up in error.

All is in this process, so that what happens happens in one order.
"""

from __future__ import annotations

import asyncio
import pickle
import threading
from typing import Any

import pytest
from distributed_clusters import (
    Trouble,
    both,
    changes_made,
    contents,
    held_by,
    in_process,
    leader,
    on_two_workers,
    troubled,
)
from internals import CHANGES, Transport, messages_module, placement_module

from pymempool import PoolClosedError, PoolError, PoolLimitError
from pymempool.distributed import ShardedPool, ShardLostError

client = pytest.fixture(in_process, scope="module")
trouble = pytest.fixture(troubled)
pool = pytest.fixture(on_two_workers)
made = pytest.fixture(changes_made)


# ------------------------------------------------------------- one holder dies


def test_the_follower_takes_the_lead(
    client: Any, pool: ShardedPool, trouble: Trouble
) -> None:
    first, second = both(pool)
    proxy = pickle.loads(pickle.dumps(pool))
    trouble.lose(first)
    assert pool.read(0, 3) == b"old"
    assert leader(pool) == second
    pool.write(0, b"new")
    assert pool.stats.replicas == 1
    assert proxy.read(0, 3) == b"new"
    trouble.lose(second)
    with pytest.raises(
        ShardLostError, match=f"^bytes 0 .. 999 are lost with {second[0]}"
    ):
        pool.read(0, 1)
    fresh = pickle.loads(pickle.dumps(proxy))
    fresh._placement.leaders[0] = first
    with pytest.raises(ShardLostError, match=f"with {first[0]} and {second[0]}$"):
        fresh.write(0, b"x")


def test_a_leader_goes_on_alone(client: Any, pool: ShardedPool, trouble: Trouble) -> None:
    first, second = both(pool)
    trouble.gone.add(second[1])
    trouble.cut.add((first[0], second[0]))
    pool.write(0, b"new")
    assert pool.stats.replicas == 1
    assert contents(client, second) == [b"old" + bytes(17)]


def test_a_stale_follower_does_not_lead(
    client: Any, pool: ShardedPool, trouble: Trouble
) -> None:
    first, second = both(pool)
    trouble.cut.add((first[0], second[0]))
    pool.write(0, b"new")
    trouble.cut.clear()
    pool.write(3, b"er")  # of which the follower hears no more
    assert contents(client, second) == [b"old" + bytes(17)]
    trouble.lose(first)
    with pytest.raises(ShardLostError):
        pool.read(0, 3)
    with pytest.raises(ShardLostError):
        pool.write(0, b"x")


def test_a_stale_follower_is_asked(
    client: Any, pool: ShardedPool, trouble: Trouble
) -> None:
    first, second = both(pool)
    trouble.cut.add((first[0], second[0]))
    pool.write(0, b"new")
    proxy = pickle.loads(pickle.dumps(pool))
    proxy._placement.leaders[0] = second
    assert proxy.read(0, 3) == b"new"  # it says who leads
    proxy._placement.leaders[0] = second
    trouble.lose(first)
    with pytest.raises(ShardLostError, match=f"are lost with {first[0]}$"):
        proxy.read(0, 3)


def test_a_follower_with_another_outcome_is_left(
    client: Any, pool: ShardedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = both(pool)
    poor, fill = held_by(client, second), CHANGES["fill"]

    def fail(held: Any, *args: Any) -> None:
        if held is poor:
            raise PoolLimitError("no room")
        fill(held, *args)

    monkeypatch.setitem(CHANGES, "fill", fail)
    pool.fill(0, 1, 10)
    assert pool.read(0, 10) == b"\1" * 10
    assert pool.stats.replicas == 1
    poor = held_by(client, first)
    with pytest.raises(PoolLimitError, match="no room"):
        pool.fill(0, 2, 10)
    assert pool.read(0, 10) == b"\1" * 10


def test_a_short_interruption_costs_no_replica(
    client: Any, pool: ShardedPool, trouble: Trouble, made: Any
) -> None:
    first, second = both(pool)
    for way in (("client", first[0]), (first[0], second[0])):
        trouble.deaf.add(way)
        del made[:]
        pool.write(0, b"new")
        assert [name for name, _ in made] == ["write", "write"]  # each holder once
    assert pool.stats.replicas == 2
    assert contents(client, second) == contents(client, first)


def test_the_answer_of_a_dying_leader_is_lost(
    client: Any, pool: ShardedPool, trouble: Trouble, made: Any
) -> None:
    first, second = both(pool)
    clone = pool.clone()
    trouble.deaf.add(("client", first[0]))
    trouble.gone.add(first[1])
    pool.write(0, b"new")
    assert [name for name, _ in made] == ["clone", "clone", "write", "write"]
    assert leader(pool) == second
    assert pool.read(0, 3) == b"new"
    assert clone.read(0, 3) == b"old"
    clone.close()


def test_an_error_is_remembered(client: Any, trouble: Trouble, made: Any) -> None:
    with ShardedPool(
        client, 1000, 1000, replicas=2, max_block_size=16, memory_limit=16
    ) as pool:
        trouble.deaf.add(("client", leader(pool)[0]))
        del made[:]
        with pytest.raises(PoolLimitError):
            pool.write(0, b"x" * 17)
        assert len(made) == 2
        trouble.deaf.add(("client", leader(pool)[0]))
        pool.write(0, b"x")
        assert len(made) == 4
        assert len(held_by(client, leader(pool)).applied) == 1
        [numbers] = held_by(client, leader(pool)).applied.values()
        assert len(numbers.outcomes) == 1  # the others are settled


# --------------------------------------------------- given up, but still running


def test_a_leader_that_was_given_up_acknowledges_nothing(
    client: Any, pool: ShardedPool, trouble: Trouble
) -> None:
    first, second = both(pool)
    proxy = pickle.loads(pickle.dumps(pool))
    trouble.lose(first)
    pool.write(0, b"new")  # by the second one
    trouble.cut.clear()
    proxy.write(3, b"er")  # asks the first one first, which can still be reached
    assert leader(proxy) == second
    assert pool.read(0, 5) == proxy.read(0, 5) == b"newer"
    again = pickle.loads(pickle.dumps(pool))
    again._placement.leaders[0] = first
    assert again.read(0, 5) == b"newer"  # the first one has learnt that it leads no more


def test_a_leader_that_was_given_up_goes_not_alone(
    client: Any, pool: ShardedPool, trouble: Trouble
) -> None:
    first, second = both(pool)
    proxy = pickle.loads(pickle.dumps(pool))
    trouble.lose(first)
    assert pool.read(0, 3) == b"old"  # by the second one, which leads now
    trouble.cut = {(first[0], second[0])}
    proxy.write(0, b"new")
    assert leader(proxy) == second
    assert pool.read(0, 3) == b"new"


def test_a_leader_that_is_given_up_while_it_goes_alone(
    client: Any, pool: ShardedPool, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is acknowledged by it, so that the follower has all and can lead."""
    first, second = both(pool)
    record = Transport.record

    async def late(transport: Transport, *args: Any) -> None:
        await record(transport, *args)
        trouble.gone.add(first[1])

    with monkeypatch.context() as patch:
        patch.setattr(Transport, "record", late)
        trouble.cut.add((first[0], second[0]))
        pool.write(0, b"new")
    assert contents(client, first) == [b"old" + bytes(17)]  # where nobody saw it
    assert leader(pool) == second
    assert pool.read(0, 3) == b"new"
    pool.write(0, b"mew")
    assert contents(client, first) == [b"old" + bytes(17)]


def test_a_follower_that_was_given_up_does_not_lead(
    client: Any, pool: ShardedPool, trouble: Trouble
) -> None:
    first, second = both(pool)
    trouble.lose(first)
    trouble.gone.add(second[1])
    with pytest.raises(ShardLostError):
        pool.read(0, 1)
    assert not held_by(client, second).leads


def test_a_follower_that_is_asked_too_early(
    client: Any, pool: ShardedPool, trouble: Trouble
) -> None:
    first, second = both(pool)
    proxy = pickle.loads(pickle.dumps(pool))
    proxy._placement.leaders[0] = second
    with pytest.raises(messages_module.MovedError) as moved:
        client.sync(pool._placement.transport.request, second, "placed", 0)
    assert moved.value.holder == first
    results: list[bytes] = []
    waiting = threading.Thread(target=lambda: results.append(proxy.read(0, 3)))
    waiting.start()
    trouble.lose(first)
    waiting.join()
    assert results == [b"old"] == [pool.read(0, 3)]


# ------------------------------------------------- the scheduler does not answer


def test_a_record_that_could_not_be_made(
    client: Any, pool: ShardedPool, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = both(pool)
    trouble.cut.add((first[0], second[0]))
    record, failures = Transport.record, iter([OSError("no scheduler")] * 2)

    async def fail(transport: Transport, *args: Any) -> None:
        for error in failures:
            raise error
        await record(transport, *args)

    monkeypatch.setattr(Transport, "record", fail)
    pool.write(0, b"new")
    assert next(failures, None) is None
    assert pool.stats.replicas == 1
    trouble.lose(first)
    with pytest.raises(ShardLostError):
        pool.read(0, 1)


def test_no_forward_between_two_tries_to_record(
    client: Any, pool: ShardedPool, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The follower has missed a change: it must get none after that."""
    first, second = both(pool)
    record, failed = Transport.record, threading.Event()

    async def fail(transport: Transport, *args: Any) -> None:
        if not failed.is_set():
            failed.set()
            trouble.cut.clear()  # now it could be reached
            raise OSError("no scheduler")
        await record(transport, *args)

    monkeypatch.setattr(Transport, "record", fail)
    trouble.cut.add((first[0], second[0]))
    pool.write(0, b"new")
    assert contents(client, second) == [b"old" + bytes(17)]
    assert pool.stats.replicas == 1


def test_an_unreachable_cluster(
    client: Any, pool: ShardedPool, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(transport: Transport, *holders: Any) -> bool:
        raise OSError("nobody there")

    first, _ = both(pool)
    with monkeypatch.context() as patch:
        patch.setattr(Transport, "alive", fail)
        trouble.cut.add(("client", first[0]))
        with pytest.raises(PoolClosedError, match="does not answer"):
            pool.read(0, 1)
        with pytest.raises(PoolClosedError, match="does not answer"):
            pool.write(0, b"x")
        trouble.cut.clear()
    assert pool.read(0, 3) == b"old"


def test_a_worker_that_is_there_and_silent(
    client: Any, pool: ShardedPool, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = both(pool)
    trouble.cut.add(("client", first[0]))
    monkeypatch.setattr(placement_module, "_PATIENCE", 0.1)
    with pytest.raises(PoolError, match=f"worker {first[0]} is not reached") as caught:
        pool.read(0, 1)
    assert type(caught.value) is PoolError


def test_a_worker_that_hangs(
    client: Any, pool: ShardedPool, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler's word ends the wait for an answer that does not come."""
    first, second = both(pool)
    held, asked = held_by(client, first), threading.Event()

    async def hang(question: str, *args: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(held, "query", hang)
    monkeypatch.setattr(messages_module, "CHECK_INTERVAL", 0.01)
    results: list[bytes] = []
    waiting = threading.Thread(target=lambda: results.append(pool.read(0, 3)))
    waiting.start()
    asked.wait()
    trouble.gone.add(first[1])
    waiting.join()
    assert results == [b"old"]
    assert leader(pool) == second
