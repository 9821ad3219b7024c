# SPDX-License-Identifier: MIT
"""Any sequence of operations on a family of pools against flat bytearrays."""

from __future__ import annotations

from typing import Any, Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from pymempool import MemoryPool, PoolLimitError

TOTAL_MAX = 5000

# Ranges are drawn as two places, brought into the pool by the machine below.
places = st.tuples(st.integers(0, TOTAL_MAX), st.integers(0, TOTAL_MAX))


class Pair:
    """A pool and the flat memory that it must equal."""

    def __init__(self, pool: MemoryPool, flat: bytearray) -> None:
        self.pool = pool
        self.flat = flat


class Family(RuleBasedStateMachine):
    pairs = Bundle("pairs")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[Pair] = []

    def add(self, pool: MemoryPool, flat: bytearray) -> Pair:
        pair = Pair(pool, flat)
        self.open.append(pair)
        return pair

    @initialize(
        target=pairs,
        total_size=st.integers(1, TOTAL_MAX),
        block_size=st.sampled_from([1, 8, 64, 1024]),
        limit=st.none() | st.integers(1, TOTAL_MAX),
    )
    def create(self, total_size: int, block_size: int, limit: int | None) -> Pair:
        self.limit = limit
        pool = MemoryPool(total_size, block_size, memory_limit=limit)
        return self.add(pool, bytearray(total_size))

    def attempt(self, pair: Pair, start: int, size: int, call: Callable[[], Any]) -> Any:
        """Makes a call that changes [start, start + size); None if over the limit."""
        before = pair.pool.stats
        try:
            return call()
        except PoolLimitError:
            assert self.limit is not None
            blocks = (start + size - 1) // before.block_size - start // before.block_size
            most = before.family_bytes + (blocks + 1) * before.block_size
            assert most > self.limit, "there was room enough"
            # Everything but the balance that the failing call itself moved.
            assert pair.pool.stats.family_bytes == before.family_bytes
            return None

    @staticmethod
    def clip(pair: Pair, place: tuple[int, int]) -> tuple[int, int]:
        total = len(pair.flat)
        start, stop = sorted(number % (total + 1) for number in place)
        return start, stop - start

    @rule(pair=pairs, place=places, seed=st.integers(0, 255))
    def write(self, pair: Pair, place: tuple[int, int], seed: int) -> None:
        start, size = self.clip(pair, place)
        data = bytes((seed + 7 * i) & 0xFF for i in range(size))
        written = self.attempt(pair, start, size, lambda: pair.pool.write(start, data))
        if written is not None:
            assert written == size
            pair.flat[start : start + size] = data

    @rule(pair=pairs, place=places, byte=st.integers(0, 255))
    def fill(self, pair: Pair, place: tuple[int, int], byte: int) -> None:
        start, size = self.clip(pair, place)

        def call() -> bool:
            pair.pool.fill(start, byte, size)
            return True

        if self.attempt(pair, start, size, call):
            pair.flat[start : start + size] = bytes([byte]) * size

    @rule(pair=pairs, place=places)
    def discard(self, pair: Pair, place: tuple[int, int]) -> None:
        start, size = self.clip(pair, place)

        def call() -> bool:
            pair.pool.discard(start, size)
            return True

        if self.attempt(pair, start, size, call):
            pair.flat[start : start + size] = bytes(size)

    @rule(pair=pairs, place=places)
    def take(self, pair: Pair, place: tuple[int, int]) -> None:
        start, size = self.clip(pair, place)
        taken = self.attempt(pair, start, size, lambda: pair.pool.take(start, size))
        if taken is not None:
            assert taken == pair.flat[start : start + size]
            pair.flat[start : start + size] = bytes(size)

    @rule(pair=pairs, key=st.slices(TOTAL_MAX).filter(lambda key: key.step in (None, 1)))
    def slices(self, pair: Pair, key: slice) -> None:
        assert pair.pool[key] == pair.flat[key]

    @rule(pair=pairs, place=places)
    def read_into(self, pair: Pair, place: tuple[int, int]) -> None:
        start, size = self.clip(pair, place)
        buffer = bytearray(b"?" * size)
        assert pair.pool.readinto(start, buffer) == size
        assert buffer == pair.flat[start : start + size]

    @rule(target=pairs, pair=pairs)
    def clone(self, pair: Pair) -> Any:
        if len(self.open) >= 6:
            return multiple()
        return self.add(pair.pool.clone(), bytearray(pair.flat))

    @precondition(lambda self: len(self.open) > 1)
    @rule(pair=consumes(pairs))
    def close(self, pair: Pair) -> None:
        pair.pool.close()
        self.open.remove(pair)

    @rule(pair=pairs, source=pairs)
    def restore(self, pair: Pair, source: Pair) -> None:
        pair.pool.restore(source.pool)
        pair.flat[:] = source.flat

    @rule(pair=pairs, base=pairs)
    def changes(self, pair: Pair, base: Pair) -> None:
        rest = self.without(pair, pair.pool.changes(base.pool))
        assert rest == self.without(base, pair.pool.changes(base.pool))

    @rule(pair=pairs)
    def extents(self, pair: Pair) -> None:
        runs = list(pair.pool.extents())
        assert not any(self.without(pair, runs))
        assert sum(size for _, size in runs) <= pair.pool.stats.held_bytes

    @staticmethod
    def without(pair: Pair, runs: Any) -> bytearray:
        """The flat memory with zeros in the runs, which must be in order and apart."""
        rest = bytearray(pair.flat)
        end = -1
        for start, size in runs:
            assert end < start < start + size <= len(rest), "out of order, or touching"
            end = start + size
            rest[start:end] = bytes(size)
        return rest

    @invariant()
    def contents_are_equal(self) -> None:
        for pair in self.open:
            assert pair.pool.read(0, len(pair.flat)) == pair.flat

    @invariant()
    def accounts_are_right(self) -> None:
        for pair in self.open:
            stats = pair.pool.stats
            assert stats.family_pools == len(self.open)
            assert stats.held_bytes == stats.held_blocks * stats.block_size
            assert stats.shared_blocks <= stats.held_blocks
            assert stats.held_bytes <= stats.family_bytes <= stats.family_peak_bytes
            assert stats.family_peak_bytes <= (self.limit or stats.family_peak_bytes)

    def teardown(self) -> None:
        for pair in self.open:
            pair.pool.close()


TestFamily = Family.TestCase
TestFamily.settings = settings(max_examples=100, stateful_step_count=40)
