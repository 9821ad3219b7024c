# SPDX-License-Identifier: MIT
"""Parts that move between workers: by repair(), by rebalance(), and while workers are
given up that still run and still answer whoever asks them."""

from __future__ import annotations

import asyncio
import copy
import pickle
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from distributed_clusters import (
    Trouble,
    both,
    cluster,
    contents,
    held_by,
    in_process,
    leader,
    on_two_workers,
    troubled,
)
from hypothesis import given, strategies as st
from internals import (
    CHANGES,
    Layout,
    Step,
    Transport,
    _version_finder,
    messages_module,
    next_step,
)

from pymempool import PoolError, PoolLimitError, __version__
from pymempool.distributed import ShardedPool, ShardLostError

client = pytest.fixture(in_process, scope="module")
trouble = pytest.fixture(troubled)
pool = pytest.fixture(on_two_workers)


@pytest.fixture(scope="module")
def many() -> Iterator[Any]:
    """A client of a cluster of many workers."""
    with cluster(8, processes=False, threads_per_worker=1) as made:
        yield made


def ask(pool: ShardedPool, function: str, *args: Any, part: int = 0) -> Any:
    """What whoever leads a part answers."""
    return pool._placement.run(pool._placement.request, part, function, *args)


def proxy_of(pool: ShardedPool) -> ShardedPool:
    """Another proxy, by the same client: there are several in this process."""
    proxy: ShardedPool = pickle.loads(pickle.dumps(pool))
    proxy._placement._transport = pool._placement.transport
    return proxy


def third_of(pool: ShardedPool) -> Any:
    """A shard that has nothing of the first part."""
    [placed] = pool._placement.holders()
    known = {worker for worker, _ in pool._placement.shards}
    client = pool._client
    assert client is not None
    assert not pool._placement.add_shards(client, sorted(set(client.nthreads()) - known))
    return next(it for it in pool._placement.shards if it not in placed)


# ------------------------------------------------------------- what is to be moved


@given(
    workers=st.integers(1, 7),
    parts=st.integers(1, 7),
    replicas=st.integers(1, 2),
    chance=st.randoms(use_true_random=False),
)
def test_the_plan_ends_and_is_even(
    workers: int, parts: int, replicas: int, chance: random.Random
) -> None:
    replicas = min(replicas, workers)
    there = [(f"w{i}", f"s{i}") for i in range(workers)]
    placed = [chance.sample(there, replicas) for _ in range(parts)]
    begun = Counter(it for holders in placed for it in holders)
    steps = moved = 0
    while (step := next_step(placed, there, replicas)) is not None:
        steps += 1
        assert steps < 200
        holders = placed[step.part]
        if step.function == "hand_over":
            assert len(holders) == 2
            holders.reverse()
        elif step.function == "leave":
            del holders[1]
        else:
            moved += 1
            assert step.args[0] not in holders
            holders[1:] = [step.args[0]]
        assert len(set(holders)) == len(holders) >= replicas
    assert {len(holders) for holders in placed} == {replicas}
    copies = Counter(dict.fromkeys(there, 0))
    copies.update(it for holders in placed for it in holders)
    assert max(copies.values()) - min(copies.values()) <= 1
    assert moved <= sum(abs(copies[it] - begun[it]) for it in there)
    leads = Counter(holders[0] for holders in placed)
    assert max(leads.values()) <= -(-parts // workers) + 1


# ---------------------------------------------------------------- workers that join


@pytest.mark.parametrize("replicas", [1, 2])
def test_workers_that_join_are_used(replicas: int) -> None:
    with (
        cluster(2, processes=False, threads_per_worker=1) as client,
        ShardedPool(client, 1000, 10, replicas=replicas, max_block_size=16) as pool,
    ):
        pool.write(0, bytes(range(250)) * 4)
        clone, was = pool.clone(), pool.read(0, 1000)
        pool.write(3, b"changed")
        proxy, now = proxy_of(pool), pool.read(0, 1000)
        assert pool.rebalance() == 0
        client.cluster.scale(4)
        client.wait_for_workers(4)
        moved = pool.rebalance()
        assert moved == (0 if replicas == 1 else 2)  # one part a worker is even
        copies = Counter(it for holders in pool._placement.holders() for it in holders)
        assert set(copies.values()) == {1}
        assert len(copies) == 2 * replicas
        assert pool.rebalance() == 0
        assert pool.read(0, 1000) == now == proxy.read(0, 1000)
        assert clone.read(0, 1000) == was
        assert pool.stats.replicas == replicas
        clone.close()


def test_a_part_of_one_replica_is_moved(many: Any) -> None:
    with ShardedPool(many, 100, 10, max_block_size=16) as pool:
        pool.write(0, bytes(range(100)))
        clone = pool.clone()
        proxy = proxy_of(pool)
        one, other = pool._placement.shards[:2]
        for step in (("mirror", other, True), ("hand_over",), ("leave",)):
            assert ask(pool, *step) is not False
        assert leader(pool) == other
        held = ask(pool, "placed")
        assert held == [other]
        assert held_by(many, one).pools == {}  # and memory is given back
        pool.write(0, b"new")
        assert proxy.read(0, 5) == b"new\3\4"
        assert clone.read(0, 3) == b"\0\1\2"
        assert pool.rebalance() == 1  # where there is room again
        assert [len(it) for it in pool._placement.holders()] == [1] * 8
        leads = Counter(it for holders in pool._placement.holders() for it in holders)
        assert set(leads.values()) == {1}
        assert pool.read(0, 100) == b"new" + bytes(range(3, 100)) == proxy.read(0, 100)
        clone.close()


# ------------------------------------------------------------------- one move


def test_the_lead_is_handed_over(client: Any, pool: ShardedPool) -> None:
    first, second = both(pool)
    proxy = proxy_of(pool)
    for wanted in (second, first, second):
        assert ask(pool, "hand_over") is True
        proxy.write(0, b"new")
        assert leader(proxy) == wanted
        assert pool.read(0, 3) == b"new"
        assert pool._placement.holders() == [[wanted, ({first, second} - {wanted}).pop()]]
    assert contents(client, first) == contents(client, second)


def test_a_follower_is_replaced(client: Any, pool: ShardedPool, trouble: Trouble) -> None:
    first, second = both(pool)
    third = third_of(pool)
    proxy = proxy_of(pool)
    proxy._placement.leaders[0] = second  # who will say where the part is
    assert ask(pool, "mirror", third) is None
    assert ask(pool, "mirror", third, True) is True
    pool.write(0, b"new")
    assert contents(client, third) == contents(client, first)
    assert held_by(client, second).pools == {}
    assert proxy.read(0, 3) == b"new"
    trouble.lose(first)
    assert pool.read(0, 3) == b"new"
    assert leader(pool) == third
    proxy._placement.leaders[0] = second
    assert proxy.read(0, 3) == b"new"


def test_a_move_to_itself(pool: ShardedPool) -> None:
    first, second = both(pool)
    assert ask(pool, "mirror", first, True) is False
    assert ask(pool, "mirror", second, True) is False
    assert ask(pool, "placed") == [first, second]


def test_a_leader_that_dies_between_two_followers(
    client: Any, pool: ShardedPool, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old follower has renounced, and the record names it still."""
    first, _second = both(pool)
    third = third_of(pool)
    record = Transport.record

    async def dies(transport: Transport, holder: Any, part: int, follower: Any) -> None:
        if follower == third:
            trouble.lose(first)
            raise OSError("it is gone")
        await record(transport, holder, part, follower)

    monkeypatch.setattr(Transport, "record", dies)
    with pytest.raises(OSError, match="it is gone"):
        client.sync(pool._placement.transport.request, first, "mirror", 0, third, True)
    assert pool.read(0, 3) == b"old"
    assert leader(pool) == third


def test_the_new_leader_dies_before_it_knows(
    client: Any, pool: ShardedPool, trouble: Trouble
) -> None:
    first, second = both(pool)
    assert ask(pool, "hand_over") is True
    trouble.lose(second)
    assert pool.read(0, 3) == b"old"
    assert leader(pool) == first
    pool.write(0, b"new")
    assert pool.stats.replicas == 1


def test_the_old_leader_dies_before_the_new_one_knows(
    client: Any, pool: ShardedPool, trouble: Trouble
) -> None:
    first, second = both(pool)
    assert ask(pool, "hand_over") is True
    trouble.lose(first)
    assert pool.read(0, 3) == b"old"
    assert leader(pool) == second
    trouble.lose(second)
    with pytest.raises(ShardLostError, match="are lost with"):
        pool.read(0, 3)


def test_a_move_over_the_limit(
    client: Any, pool: ShardedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was copied so far is given back, and the follower is the one that it was."""
    first, second = both(pool)
    third = third_of(pool)

    def fail(held: Any, *args: Any) -> None:
        raise PoolLimitError("no room")

    with monkeypatch.context() as patch:
        patch.setitem(CHANGES, "resize", fail)
        with pytest.raises(PoolLimitError):
            ask(pool, "mirror", third, True)
    assert held_by(client, third).pools == {}
    proxy = proxy_of(pool)
    proxy._placement.leaders[0] = third  # which knows who leads
    assert proxy.read(0, 3) == b"old"
    assert ask(pool, "placed") == [first, second]
    assert contents(client, first) == contents(client, second)
    assert ask(pool, "mirror", third, True) is True


def test_half_a_copy_never_leads(
    client: Any, pool: ShardedPool, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even on a worker that an old record of the leader names."""
    first, second = both(pool)
    third = third_of(pool)
    assert ask(pool, "hand_over") is True  # which leaves that record
    assert ask(pool, "mirror", third, True) is True
    assert ask(pool, "hand_over") is True
    assert ask(pool, "mirror", first, True) is True
    trouble.lose(third)
    pool.write(0, b"new")
    assert leader(pool) == first

    def die(held: Any, *args: Any) -> None:
        trouble.lose(first)
        trouble.cut.add((first[0], second[0]))
        raise PoolLimitError("no room")

    monkeypatch.setitem(CHANGES, "resize", die)
    with pytest.raises(PoolLimitError):
        ask(pool, "mirror", second)
    with pytest.raises(ShardLostError):
        pool.read(0, 3)


def test_a_step_of_a_copy_that_comes_late(client: Any, pool: ShardedPool) -> None:
    """It must not get into the copy that was made after the one it belongs to."""
    third = third_of(pool)
    name, transport = pool._remote.name, pool._placement.transport
    assert ask(pool, "mirror", third, True) is True
    with pytest.raises(messages_module.ElsewhereError):
        client.sync(
            transport.request, third, "load", 0, "early", "write", name, 0, b"bad"
        )
    assert contents(client, third) == [b"old" + bytes(17)]


# ---------------------------------------------- leaders that were given up and run on


def test_nothing_stale_is_read(client: Any, pool: ShardedPool, trouble: Trouble) -> None:
    """A leader that was given up is asked by somebody who has not heard of it."""
    first, _second = both(pool)
    proxy = proxy_of(pool)
    clone = pool.clone()
    other = proxy_of(clone)
    trouble.lose(first)
    pool.write(0, b"new")
    clone.write(0, b"mew")
    clone.close()
    trouble.cut.clear()
    assert contents(client, first) == [b"old" + bytes(17)] * 2
    assert proxy.read(0, 3) == b"new"
    with pytest.raises(PoolError, match="closed"):
        other.read(0, 3)


def test_no_stale_error(client: Any, pool: ShardedPool, trouble: Trouble) -> None:
    """Of a pool that the old leader does not know, and believes to be closed."""
    first, _ = both(pool)
    trouble.lose(first)
    late = pool.clone()
    late.write(0, b"new")
    proxy = proxy_of(late)
    proxy._placement.leaders[0] = first
    trouble.cut.clear()
    assert proxy.read(0, 3) == b"new"
    late.close()


def test_nothing_stale_is_read_if_the_follower_cannot_be_asked(
    client: Any, pool: ShardedPool, trouble: Trouble
) -> None:
    first, second = both(pool)
    proxy = proxy_of(pool)
    trouble.lose(first)
    pool.write(0, b"new")
    trouble.cut = {(first[0], second[0])}
    assert proxy.read(0, 3) == b"new"


def test_reads_go_on_without_an_answer_of_the_follower(
    client: Any, pool: ShardedPool, trouble: Trouble
) -> None:
    first, second = both(pool)
    trouble.cut.add((first[0], second[0]))
    assert pool.read(0, 3) == b"old"
    assert leader(pool) == first
    assert ask(pool, "placed") == [first, second]


def test_an_answer_on_its_way_while_the_follower_takes_the_lead(
    client: Any, pool: ShardedPool, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leader has read, stops, is given up, and goes on."""
    first, second = both(pool)
    proxy = proxy_of(pool)
    held = held_by(client, first)
    answer = held.query

    async def slow(question: str, *args: Any) -> Any:
        found = await answer(question, *args)
        monkeypatch.setattr(held, "query", answer)
        trouble.lose(first)
        leads = (second, "change", 0, ("x", 0, 0), "write", pool._remote.name, 0, b"new")
        assert await pool._placement.transport.request(*leads) is None
        trouble.cut.clear()
        return found

    monkeypatch.setattr(held, "query", slow)
    assert proxy.read(0, 3) == b"new" == pool.read(0, 3)


def test_no_copy_from_a_leader_that_was_given_up(
    client: Any, pool: ShardedPool, trouble: Trouble
) -> None:
    """It would destroy the one that the new leader has made."""
    first, second = both(pool)
    third = third_of(pool)
    trouble.lose(first)
    pool.write(0, b"new")
    assert pool.repair() == 1
    follower = ask(pool, "placed")[1]
    trouble.cut.clear()
    with pytest.raises(messages_module.ElsewhereError):
        client.sync(pool._placement.transport.request, first, "mirror", 0, third, True)
    assert ask(pool, "placed") == [second, follower]
    pool.write(3, b"er")
    assert contents(client, follower) == [b"newer" + bytes(15)]


def test_no_change_of_a_leader_that_was_given_up_by_one_that_was_given_up(
    client: Any, pool: ShardedPool, trouble: Trouble
) -> None:
    """Two run on that were given up, and believe that they lead and follow."""
    first, second = both(pool)
    proxy = proxy_of(pool)
    trouble.lose(first)
    pool.write(0, b"new")
    assert pool.repair() == 1
    trouble.lose(second)
    pool.write(0, b"newer")
    second_held = held_by(client, second)
    trouble.cut = {(second[0], leader(pool)[0])}
    second_proxy = proxy_of(pool)
    second_proxy._placement.leaders[0] = second
    second_proxy.write(5, b"!")  # by which the second one learns that it leads no more
    while second_held.leads:
        client.sync(client.scheduler.identity)
    proxy.write(6, b"?")  # by the first one, if that could
    assert pool.read(0, 7) == b"newer!?" == proxy.read(0, 7)


@pytest.mark.parametrize("seed", range(20))
def test_anything_in_a_row(many: Any, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes, reads, moves and workers given up, which run on, in any order: all that
    was acknowledged is read by everybody, whoever it believes to lead."""
    chance, flat, trouble = (
        random.Random(seed),
        bytearray(100),
        troubled(many, monkeypatch),
    )
    with ShardedPool(many, 100, 100, replicas=2, max_block_size=16) as pool:
        third_of(pool)
        proxies = [pool, *(proxy_of(pool) for _ in range(3))]
        everyone, led = list(pool._placement.shards), {leader(pool)}
        for _ in range(40):
            action = chance.choice(
                ["write"] * 3 + ["read"] * 3 + ["lose", "move", "swap"]
            )
            proxy = chance.choice(proxies)
            if chance.random() < 0.3:
                proxy._placement.leaders[0] = chance.choice(sorted(led))
            placed = pool._placement.holders()[0]
            led.add(placed[0])
            there = [it for it in everyone if it[1] not in trouble.gone]
            if action == "write":
                data = chance.randbytes(chance.randint(1, 20))
                at = chance.randint(0, 80)
                proxy.write(at, data)
                flat[at : at + len(data)] = data
            elif action == "read":
                assert proxy.read(0, 100) == flat
            elif action == "swap":
                assert ask(pool, "hand_over") is (len(placed) == 2)
            elif action == "move" and set(there) - set(placed):
                other = chance.choice(sorted(set(there) - set(placed)))
                assert ask(pool, "mirror", other, True) is True
            elif action == "lose" and len(placed) == 2:
                trouble.gone.add(chance.choice(placed)[1])
        for proxy in proxies:
            assert proxy.read(0, 100) == flat


# ------------------------------------------------------------- what seldom happens


def shard_of(client: Any, holder: Any) -> Any:
    """The actor as a worker has it."""
    workers = {worker.address: worker for worker in client.cluster.workers.values()}
    return workers[holder[0]].state.actors[holder[1]]


def test_a_lost_part_without_bytes() -> None:
    error = ShardLostError(1, Layout(10, 10, 2), ["a", "b"])
    assert str(error) == "part 1, which had no bytes, is lost with a and b"


def test_the_version_that_is_found() -> None:
    assert _version_finder()() == __version__


def test_a_leader_with_too_many_copies_follows_first() -> None:
    a, b, c, d = there = [(it, it) for it in "abcd"]
    assert next_step([[a, b], [a, c], [a, b]], there, 2) == Step(0, "hand_over")
    assert next_step([[b, a], [a, c], [a, b]], there, 2) == Step(0, "mirror", (d, True))


def test_parts_that_lack_a_replica_are_not_moved() -> None:
    """They are for repair(), which needs no worker to give anything up."""
    a, b = there = [(it, it) for it in "ab"]
    assert next_step([[a], [a]], there, 2) is None
    assert next_step([[a], [a]], there, 1) == Step(0, "mirror", (b, True))


def test_a_shard_without_the_part(client: Any, pool: ShardedPool) -> None:
    third = third_of(pool)
    with pytest.raises(messages_module.ElsewhereError):
        client.sync(shard_of(client, third).query, 0, "nothing")
    assert shard_of(client, third).parts == {}


def test_a_part_made_anew_while_its_lock_is_waited_for(
    client: Any, pool: ShardedPool
) -> None:
    first, second = both(pool)
    shard, held = shard_of(client, first), held_by(client, first)

    async def replaced() -> None:
        async with held.lock:
            asked = asyncio.ensure_future(shard.leave(0))
            await asyncio.sleep(0)  # it waits for the lock now
            shard.parts[0] = copy.copy(held)
        try:
            await asked
        finally:
            shard.parts[0] = held

    with pytest.raises(messages_module.ElsewhereError):
        client.sync(replaced)
    assert ask(pool, "placed") == [first, second]


def test_no_lead_without_the_word_of_the_leader(
    client: Any, pool: ShardedPool, trouble: Trouble
) -> None:
    first, second = both(pool)
    trouble.cut.add((second[0], first[0]))
    with pytest.raises(messages_module.MovedError) as moved:
        client.sync(shard_of(client, second).placed, 0)
    assert moved.value.holder == first
    assert not held_by(client, second).leads


def test_no_lead_for_one_that_is_not_reached(
    client: Any, pool: ShardedPool, trouble: Trouble
) -> None:
    first, second = both(pool)
    trouble.cut.add((first[0], second[0]))
    assert ask(pool, "hand_over") is False
    assert held_by(client, first).leads
    assert ask(pool, "placed") == [first, second]


def test_a_follower_that_leads_does_not_renounce(
    client: Any, pool: ShardedPool, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the lead when the copy for its place is made."""
    first, second = both(pool)
    third = third_of(pool)
    held = held_by(client, first)
    steps = held.copy

    def slow() -> Iterator[Any]:
        yield from steps()
        trouble.lose(first)
        client.sync(shard_of(client, second).placed, 0)

    monkeypatch.setattr(held, "copy", slow)
    with pytest.raises(messages_module.ElsewhereError):
        client.sync(shard_of(client, first).mirror, 0, third, True)
    assert not held.leads
    assert held_by(client, second).leads
    assert held_by(client, third).pools == {}
    assert pool.read(0, 3) == b"old"
    assert leader(pool) == second


def test_a_move_that_cannot_be_made(many: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trouble = troubled(many, monkeypatch)
    with ShardedPool(many, 100, 10, max_block_size=16) as pool:
        pool.write(0, bytes(range(100)))
        one, other = pool._placement.shards[:2]
        for step in (("mirror", other, True), ("hand_over",), ("leave",)):
            ask(pool, *step)
        trouble.cut.add((other[0], one[0]))
        with pytest.raises(PoolError, match="part 0 could not be moved from"):
            pool.rebalance()
        assert ask(pool, "placed") == [other]
        assert pool.read(0, 100) == bytes(range(100))
        trouble.cut.clear()
        assert pool.rebalance() == 1
