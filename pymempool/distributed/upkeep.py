# SPDX-License-Identifier: MIT
"""repair() and rebalance() of ShardedPool: which workers should hold which parts."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from distributed import Client

from ..errors import PoolError
from .messages import Holder
from .placement import Placement, ShardLostError

Placed = list[list[Holder]]  #: the holders of each part, the leader first


class Step(NamedTuple):
    """A call to a leader that moves a replica or the lead to where it should be."""

    part: int
    function: str  # of Shard
    args: tuple[Any, ...] = ()


def _use_new_workers(placement: Placement, client: Client) -> list[PoolError]:
    known = {worker for worker, _ in placement.shards}
    return placement.add_shards(client, sorted(set(client.nthreads()) - known))


async def _there(placement: Placement) -> list[Holder]:
    return [shard for shard in placement.shards if await placement.transport.alive(shard)]


def _copies(placed: Placed) -> Counter[Holder]:
    return Counter(holder for holders in placed for holder in holders)


# ------------------------------------------------------------------------ repair


def repair(placement: Placement, client: Client) -> int:
    """Makes followers for parts that have none; returns how many."""
    errors = _use_new_workers(placement, client) if placement.replicas == 2 else []
    return int(placement.run(_repair, placement, errors))


async def _repair(placement: Placement, errors: list[PoolError]) -> int:
    there = await _there(placement)
    placed: Placed = []
    lost = None
    for part in range(placement.layout.parts):
        try:
            placed.append(await placement.request(part, "placed"))
        except ShardLostError as error:  # the other parts are repaired first
            placed.append([])
            lost = lost or error
    repaired, single = 0, []
    for part, holders in enumerate(placed):
        if len(holders) != 1 or placement.replicas == 1:
            continue
        copies = _copies(placed)
        for other in sorted(there, key=lambda it: copies[it]):
            done = await placement.request(part, "mirror", other)
            if done is not False:
                repaired += done is True
                holders.append(other)
                break
        else:
            single.append(part)
    if lost is not None:
        raise lost
    if single:
        raise PoolError(_what_is_missing(placement, there, single, repaired, errors))
    return repaired


def _what_is_missing(
    placement: Placement,
    there: list[Holder],
    single: list[int],
    repaired: int,
    errors: list[PoolError],
) -> str:
    """Returns why parts have one replica after repair(), and what to do."""
    dead = [worker for worker, _ in sorted(set(placement.shards) - set(there))]
    message = [
        f"{len(single)} of {placement.layout.parts} parts have one replica still"
        f" ({repaired} got a second one)",
        "2 workers are needed for two replicas, and there"
        f" {'is 1' if len(there) == 1 else f'are {len(there)}'}"
        if len(there) < 2
        else "the workers that are left could not be reached from where these parts are",
    ]
    if dead:
        are = "is" if len(dead) == 1 else "are"
        message.append(f"{', '.join(dead)} {are} lost")
    message += map(str, errors)
    message.append(
        "start workers, or find out why they are not reached, and call repair() again"
    )
    return "; ".join(message)


# --------------------------------------------------------------------- rebalance


def rebalance(placement: Placement, client: Client) -> int:
    """Moves replicas until all workers hold as many; returns how many it moved."""
    errors = _use_new_workers(placement, client)
    moved = int(placement.run(_rebalance, placement))
    for error in errors:
        raise error
    return moved


async def _rebalance(placement: Placement) -> int:
    there, moved = await _there(placement), 0
    while True:
        placed: Placed = [
            await placement.request(part, "placed")
            for part in range(placement.layout.parts)
        ]
        step = next_step(placed, there, placement.replicas)
        if step is None:
            return moved
        done = await placement.request(step.part, step.function, *step.args)
        if done is False:
            raise PoolError(
                f"part {step.part} could not be moved from {placed[step.part][0][0]},"
                " since another worker does not answer; what was moved is in use, and"
                " rebalance() can be called again"
            )
        moved += step.function == "mirror"


def next_step(placed: Placed, there: list[Holder], replicas: int) -> Step | None:
    """Returns the next step to workers that hold as many replicas and lead as many parts.

    there: the shards that can be used.

    Numbers that differ by one count as equal. Returns None if no step is left.
    """
    if replicas == 1:
        return _end_of_move(placed) or _move(placed, there, replicas)
    return _move(placed, there, replicas) or _swap(placed, there)


def _end_of_move(placed: Placed) -> Step | None:
    """Ends the move of a part with one replica, which is on two workers meanwhile."""
    leads = Counter(holders[0] for holders in placed)
    for part, holders in enumerate(placed):
        if len(holders) == 2:
            even = leads[holders[0]] < leads[holders[1]] + 2
            return Step(part, "leave" if even else "hand_over")
    return None


def _move(placed: Placed, there: list[Holder], replicas: int) -> Step | None:
    """Moves a replica from the shard with the most to the one with the fewest."""
    copies = _copies(placed)
    few = min(there, key=lambda it: copies[it])
    many = max(there, key=lambda it: copies[it])
    if copies[many] < copies[few] + 2:
        return None
    parts = [
        part
        for part, holders in enumerate(placed)
        if many in holders and few not in holders and len(holders) == replicas
    ]
    # A follower can be replaced; a leader must hand the lead over first.
    parts.sort(key=lambda part: placed[part][-1] != many)
    for part in parts:
        if placed[part][-1] == many:
            return Step(part, "mirror", (few, True))
        return Step(part, "hand_over")
    return None


def _swap(placed: Placed, there: list[Holder]) -> Step | None:
    """Moves the lead of a part on its way from the shard that leads most."""
    leads = Counter(holders[0] for holders in placed)
    least = min(leads[shard] for shard in there)
    # For each shard the first step of the shortest way to one that leads least.
    way: dict[Holder, Step | None] = {it: None for it in there if leads[it] == least}
    ends = list(way)
    for end in ends:
        for part, holders in enumerate(placed):
            if holders[-1] == end and holders[0] not in way:
                way[holders[0]] = Step(part, "hand_over")
                ends.append(holders[0])
    for shard, step in way.items():
        if step is not None and leads[shard] > least + 1:
            return step
    return None
