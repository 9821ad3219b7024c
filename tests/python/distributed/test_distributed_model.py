# SPDX-License-Identifier: MIT
"""Any sequence of operations on a pool over many workers and its clones, against flat
bytearrays, as test_model does with a single pool."""

from __future__ import annotations

import io
import pickle
from collections import Counter
from typing import Any, Callable

from distributed_clusters import cluster
from flat_memory import without
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pymempool import PoolLimitError
from pymempool.distributed import ShardedPool

TOTAL_MAX = 3000
MOST = 4  # pools at once

# Ranges are drawn as two places, brought into the pool by the machine below.
places = st.tuples(st.integers(0, TOTAL_MAX), st.integers(0, TOTAL_MAX))


class Pair:
    """A pool and the flat memory that it must equal."""

    def __init__(self, pool: ShardedPool, flat: bytearray) -> None:
        self.pool = pool
        self.flat = flat


class Pools(RuleBasedStateMachine):
    """Relatives on one cluster."""

    client: Any
    pairs = Bundle("pairs")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[Pair] = []
        self.limit: int | None = None
        self.replicas = 1

    def add(self, pool: ShardedPool, flat: bytearray) -> Pair:
        pair = Pair(pool, flat)
        self.open.append(pair)
        return pair

    @initialize(
        target=pairs,
        total_size=st.integers(1, TOTAL_MAX),
        stripe=st.sampled_from([1, 7, 64, 1000, TOTAL_MAX]),
        block_size=st.sampled_from([1, 8, 64]),
        limit=st.none() | st.integers(64, TOTAL_MAX),
        replicas=st.integers(1, 2),
    )
    def create(
        self,
        total_size: int,
        stripe: int,
        block_size: int,
        limit: int | None,
        replicas: int,
    ) -> Pair:
        self.limit, self.replicas = limit, replicas
        pool = ShardedPool(
            self.client,
            total_size,
            stripe,
            replicas=replicas,
            max_block_size=block_size,
            memory_limit=limit,
        )
        return self.add(pool, bytearray(total_size))

    @staticmethod
    def clip(pair: Pair, place: tuple[int, int]) -> tuple[int, int]:
        total = len(pair.flat)
        start, stop = sorted(number % (total + 1) for number in place)
        return start, stop - start

    def attempt(
        self, pair: Pair, places: Any, data: bytes, call: Callable[[], Any]
    ) -> None:
        """Makes a change, of which each byte is made or not if there is no room."""
        layout = pair.pool._placement.layout
        try:
            call()
            done = set(range(layout.parts))
        except PoolLimitError:
            assert self.limit is not None
            found = pair.pool.read(0, len(pair.flat))
            done = set()
            for part in range(layout.parts):  # wholly or not at all
                mine = [
                    (at, byte)
                    for at, byte in zip(places, data)
                    if at // layout.stripe % layout.parts == part
                ]
                if all(found[at] == byte for at, byte in dict(mine).items()):
                    done.add(part)
        for at, byte in zip(places, data):
            if at // layout.stripe % layout.parts in done:
                pair.flat[at] = byte

    @rule(pair=pairs, place=places, seed=st.integers(0, 255))
    def write(self, pair: Pair, place: tuple[int, int], seed: int) -> None:
        start, size = self.clip(pair, place)
        data = bytes((seed + 7 * i) & 0xFF for i in range(size))
        self.attempt(
            pair, range(start, start + size), data, lambda: pair.pool.write(start, data)
        )

    @rule(pair=pairs, place=places, byte=st.integers(0, 255))
    def fill(self, pair: Pair, place: tuple[int, int], byte: int) -> None:
        start, size = self.clip(pair, place)
        self.attempt(
            pair,
            range(start, start + size),
            bytes([byte]) * size,
            lambda: pair.pool.fill(start, byte, size),
        )

    @rule(pair=pairs, place=places)
    def discard(self, pair: Pair, place: tuple[int, int]) -> None:
        start, size = self.clip(pair, place)
        self.attempt(
            pair,
            range(start, start + size),
            bytes(size),
            lambda: pair.pool.discard(start, size),
        )

    @rule(pair=pairs, total_size=st.integers(1, TOTAL_MAX))
    def resize(self, pair: Pair, total_size: int) -> None:
        """Shared blocks that are cut have to be copied, for which there may be no room;
        then parts that were cut have zeros where they were."""
        layout, was = pair.pool._remote.layout, bytes(pair.flat)
        try:
            pair.pool.resize(total_size)
        except PoolLimitError:
            assert self.limit is not None
            assert total_size < len(was)
            found = pair.pool.read(0, len(was))
            for at in range(total_size, len(was)):
                if found[at] != was[at]:
                    assert found[at] == 0
                    pair.flat[at] = 0
            assert layout == pair.pool._remote.layout
        else:
            del pair.flat[total_size:]
            pair.flat.extend(bytes(total_size - len(pair.flat)))

    @rule(pair=pairs, place=places)
    def read_into(self, pair: Pair, place: tuple[int, int]) -> None:
        start, size = self.clip(pair, place)
        buffer = bytearray(b"?" * size)
        assert pair.pool.readinto(start, buffer) == size
        assert buffer == pair.flat[start : start + size]

    @rule(pair=pairs, seed=st.randoms(use_true_random=False), item_size=st.integers(1, 9))
    def gather_and_scatter(self, pair: Pair, seed: Any, item_size: int) -> None:
        most = len(pair.flat) - item_size
        if most < 0:
            return
        offsets = [seed.randint(0, most) for _ in range(10)]
        found = pair.pool.gather(offsets, item_size)
        assert found == b"".join(bytes(pair.flat[at : at + item_size]) for at in offsets)
        data = seed.randbytes(10 * item_size)
        places = [at + i for at in offsets for i in range(item_size)]
        self.attempt(pair, places, data, lambda: pair.pool.scatter(offsets, data))

    @rule(pair=pairs, seed=st.randoms(use_true_random=False), longest=st.integers(0, 99))
    def read_and_write_many(self, pair: Pair, seed: Any, longest: int) -> None:
        ranges = []
        for _ in range(10):
            at = seed.randint(0, len(pair.flat))
            ranges.append((at, seed.randint(0, min(longest, len(pair.flat) - at))))
        found = pair.pool.read_many(ranges)
        assert found == [bytes(pair.flat[at : at + size]) for at, size in ranges]
        items = [(at, seed.randbytes(size)) for at, size in ranges]
        data = b"".join(each for _, each in items)
        places = [at + i for at, size in ranges for i in range(size)]
        self.attempt(pair, places, data, lambda: pair.pool.write_many(items))

    # ---------------------------------------------------------------- pools of pools

    @rule(target=pairs, pair=pairs)
    def clone(self, pair: Pair) -> Any:
        if len(self.open) >= MOST:
            return multiple()
        return self.add(pair.pool.clone(), bytearray(pair.flat))

    @rule(pair=pairs)
    def use_another_proxy(self, pair: Pair) -> None:
        proxy = pickle.loads(pickle.dumps(pair.pool))
        self.attempt(pair, [0], b"f", lambda: proxy.write(0, b"f"))
        assert proxy.read(0, 1) == pair.flat[:1]

    @precondition(lambda self: len(self.open) > 1)
    @rule(pair=consumes(pairs))
    def close(self, pair: Pair) -> None:
        pair.pool.close()
        self.open.remove(pair)

    @rule(pair=pairs, source=pairs)
    def restore(self, pair: Pair, source: Pair) -> None:
        pair.pool.restore(source.pool)
        pair.flat[:] = source.flat

    # ----------------------------------------------------------------- files and moves

    @rule(pair=pairs, stripe=st.sampled_from([7, 1000]))
    def save_and_load(self, pair: Pair, stripe: int) -> None:
        file = io.BytesIO()
        pair.pool.save(file)
        assert file.getvalue() == pair.flat
        file.seek(0)
        with ShardedPool.load(self.client, file, stripe) as loaded:
            assert loaded.total_size == len(pair.flat)
            assert loaded.read(0, len(pair.flat)) == pair.flat

    @rule(pair=pairs, base=pairs)
    def save_what_changed(self, pair: Pair, base: Pair) -> None:
        if self.limit is not None:
            return  # there may be no room for what is put together
        file = io.BytesIO()
        pair.pool.save(file, since=base.pool)
        file.seek(0)
        with base.pool.clone() as other:
            other.apply(file)
            assert other.total_size == len(pair.flat)
            assert other.read(0, len(pair.flat)) == pair.flat

    @rule(seed=st.randoms(use_true_random=False))
    def move(self, seed: Any) -> None:
        """Parts to anywhere, and from there to where they are even."""
        owner = self.open[0].pool
        placement = owner._placement
        for part in range(placement.layout.parts):
            other = seed.choice(placement.shards)
            placement.run(placement.request, part, "mirror", other, True)
            if seed.random() < 0.5:
                placement.run(placement.request, part, "hand_over")
        owner.rebalance()
        copies = Counter(dict.fromkeys(placement.shards, 0))
        copies.update(it for holders in placement.holders() for it in holders)
        assert sum(copies.values()) == self.replicas * placement.layout.parts
        assert max(copies.values()) - min(copies.values()) <= 1

    # -------------------------------------------------------------- what must hold

    @rule(pair=pairs, base=pairs)
    def changes(self, pair: Pair, base: Pair) -> None:
        runs = list(pair.pool.changes(base.pool))
        common = min(len(pair.flat), len(base.flat))
        same = bytearray(base.flat[:common])
        for start, size in runs:
            end = min(start + size, common)
            same[start:end] = bytes(max(0, end - start))
        assert without(pair.flat, runs)[:common] == same

    @rule(pair=pairs)
    def extents(self, pair: Pair) -> None:
        assert not any(without(pair.flat, pair.pool.extents()))

    @invariant()
    def contents_are_equal(self) -> None:
        for pair in self.open:
            assert pair.pool.read(0, len(pair.flat)) == pair.flat

    def teardown(self) -> None:
        for pair in self.open:
            stats = pair.pool.stats
            assert stats.parts[0].family_pools == len(self.open)
            assert stats.replicas == self.replicas  # no follower was left behind
        for pair in self.open:
            pair.pool.close()


def test_model() -> None:
    with cluster() as Pools.client:
        run_state_machine_as_test(
            Pools, settings=settings(max_examples=10, stateful_step_count=20)
        )
