# SPDX-License-Identifier: MIT
"""Any sequence of operations on relatives and strangers, against flat bytearrays.

Views remember what they must show. Pins are written through, and looked through. Adopted
memory is watched: it must not change while it is held, and be let go with its last user.
"""

from __future__ import annotations

import gc
import pickle
import sys
import weakref
from typing import Any, Callable

from digest_definition import digest_of
from flat_memory import differing, without
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
)
from internals import count_adopted

from pymempool import MemoryPool, PoolLimitError, PoolRangeError

TOTAL_MAX = 5000

# Ranges are drawn as two places, brought into the pool by the machine below.
places = st.tuples(st.integers(0, TOTAL_MAX), st.integers(0, TOTAL_MAX))


class Group:
    """A family of pools and the limit they share."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit


class Pair:
    """A pool and the flat memory that it must equal."""

    def __init__(self, pool: MemoryPool, flat: bytearray, group: Group) -> None:
        self.pool = pool
        self.flat = flat
        self.group = group


class View:
    """A frozen view, and what it must show."""

    def __init__(self, memory: memoryview, shown: bytes, group: Group) -> None:
        self.memory = memory
        self.shown = shown
        self.group = group


class Pin:
    """A live window on [start, start + size) of a pair, until that is cut off."""

    def __init__(
        self, memory: memoryview, pair: Pair, start: int, held: tuple[int, int]
    ) -> None:
        self.memory = memory
        self.pair = pair
        self.start = start
        self.held = held  # the blocks, as a range, that this pin and those in it share
        self.attached = True  # whether it still is a window on the pool


class Memory(bytearray):
    """Memory to adopt, for a weak reference to watch."""


class Pools(RuleBasedStateMachine):
    pairs = Bundle("pairs")
    windows = Bundle("windows")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[Pair] = []
        self.views: list[View] = []
        self.pins: list[Pin] = []
        self.adopted: list[tuple[weakref.ref[Memory], bytes]] = []

    def add(self, pool: MemoryPool, flat: bytearray, group: Group) -> Pair:
        pair = Pair(pool, flat, group)
        self.open.append(pair)
        return pair

    @initialize(
        target=pairs,
        total_size=st.integers(1, TOTAL_MAX),
        block_size=st.sampled_from([1, 8, 64, 1024]),
        limit=st.none() | st.integers(1, TOTAL_MAX),
    )
    def create(self, total_size: int, block_size: int, limit: int | None) -> Pair:
        pool = MemoryPool(total_size, block_size, memory_limit=limit)
        return self.add(pool, bytearray(total_size), Group(limit))

    @precondition(lambda self: len(self.open) < 6)
    @rule(
        target=pairs,
        total_size=st.integers(1, TOTAL_MAX),
        block_size=st.sampled_from([1, 8, 64, 1024]),
        limit=st.none() | st.integers(1, TOTAL_MAX),
    )
    def create_stranger(
        self, total_size: int, block_size: int, limit: int | None
    ) -> Pair:
        pool = MemoryPool(total_size, block_size, memory_limit=limit)
        return self.add(pool, bytearray(total_size), Group(limit))

    def attempt(self, pair: Pair, start: int, size: int, call: Callable[[], Any]) -> Any:
        """Makes a call that changes [start, start + size); None if over the limit."""
        before = pair.pool.stats
        try:
            return call()
        except PoolLimitError:
            limit = pair.group.limit
            assert limit is not None
            blocks = (start + size - 1) // before.block_size - start // before.block_size
            most = before.family_bytes + (blocks + 1) * before.block_size
            assert most > limit, "there was room enough"
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

    # ---------------------------------------------------------------- pools of pools

    @rule(target=pairs, pair=pairs)
    def clone(self, pair: Pair) -> Any:
        if len(self.open) >= 6:
            return multiple()
        clone = self.pinned_attempt(pair, pair.pool.clone)
        if clone is None:
            return multiple()
        return self.add(clone, bytearray(pair.flat), pair.group)

    @precondition(lambda self: len(self.open) < 6)
    @rule(target=pairs, pair=pairs, protocol=st.integers(2, pickle.HIGHEST_PROTOCOL))
    def pickle_and_load(self, pair: Pair, protocol: int) -> Any:
        def call() -> MemoryPool:
            return pickle.loads(pickle.dumps(pair.pool, protocol))

        twin = self.pinned_attempt(pair, call)
        if twin is None:
            return multiple()
        return self.add(twin, bytearray(pair.flat), Group(pair.group.limit))

    @staticmethod
    def pinned_attempt(pair: Pair, call: Callable[[], Any]) -> Any:
        """Makes a call that takes memory for pinned blocks alone; None if over it."""
        try:
            return call()
        except PoolLimitError:
            assert pair.group.limit is not None
            assert pair.pool.stats.pinned_blocks > 0
            return None

    @precondition(lambda self: len(self.open) > 1)
    @rule(pair=consumes(pairs))
    def close(self, pair: Pair) -> None:
        pair.pool.close()
        self.open.remove(pair)
        self.detach(pair, 0)

    def detach(self, pair: Pair, end: int) -> None:
        """The pins of a pool that do not lie in 0 .. end are no windows any more."""
        for pin in self.pins:
            if pin.pair is pair and pin.start + len(pin.memory) > end:
                pin.attached = False

    @rule(pair=pairs, source=pairs)
    def restore(self, pair: Pair, source: Pair) -> None:
        if pair.group is not source.group:
            return
        try:
            pair.pool.restore(source.pool)
        except PoolLimitError:
            assert pair.pool.stats.pinned_blocks + source.pool.stats.pinned_blocks > 0
            return
        pair.flat[:] = source.flat
        self.detach(pair, len(pair.flat))

    @rule(pair=pairs, source=pairs, place=places, at=st.integers(0, TOTAL_MAX))
    def copy(self, pair: Pair, source: Pair, place: tuple[int, int], at: int) -> None:
        start, size = self.clip(source, place)
        at %= len(pair.flat) + 1
        size = min(size, len(pair.flat) - at)

        def call() -> bool:
            assert pair.pool.copy_from(source.pool, start, size, at) == size
            return True

        if self.attempt(pair, at, size, call):
            pair.flat[at : at + size] = source.flat[start : start + size]

    @rule(pair=pairs, total_size=st.integers(1, TOTAL_MAX))
    def resize(self, pair: Pair, total_size: int) -> None:
        def call() -> bool:
            pair.pool.resize(total_size)
            return True

        if self.attempt(pair, total_size, 1, call):
            old = len(pair.flat)
            del pair.flat[total_size:]
            pair.flat.extend(bytes(total_size - len(pair.flat)))
            self.detach(pair, min(old, total_size))

    # ------------------------------------------------------------- without a copy

    @rule(target=windows, pair=pairs, place=places)
    def view(self, pair: Pair, place: tuple[int, int]) -> Any:
        start, size = self.clip(pair, place)
        made = self.pinned_attempt(pair, lambda: pair.pool.view(start, size))
        if made is None or len(self.views) > 20:
            return multiple()
        view = View(made, bytes(pair.flat[start : start + size]), pair.group)
        assert made.readonly
        self.views.append(view)
        return view

    @rule(pair=pairs, place=places)
    def views_of_all(self, pair: Pair, place: tuple[int, int]) -> None:
        start, size = self.clip(pair, place)
        found = self.pinned_attempt(pair, lambda: pair.pool.views(start, size))
        if found is not None:
            assert b"".join(found) == pair.flat[start : start + size]

    @rule(target=windows, pair=pairs, place=places)
    def pin(self, pair: Pair, place: tuple[int, int]) -> Any:
        start, size = self.clip(pair, place)
        block_size = pair.pool.block_size
        stop = start + size
        low, high = start - start % block_size, stop + -stop % block_size
        others = [
            pin
            for pin in self.pins
            if pin.pair is pair and pin.held[0] < high and pin.held[1] > low
        ]
        held = next((pin.held for pin in others if pin.held[0] <= start), (low, high))
        fits = stop <= held[1] and all(pin.held == held for pin in others)
        try:
            made = self.attempt(pair, start, size, lambda: pair.pool.pin(start, size))
        except PoolRangeError:
            # Of a pin that was cut it is not known here what is left.
            assert not fits or not all(pin.attached for pin in others)
            return multiple()
        if made is None or size == 0:
            return multiple()
        assert fits or not all(pin.attached for pin in others)
        pin = Pin(made, pair, start, held)
        self.pins.append(pin)
        return pin

    @rule(window=windows, byte=st.integers(0, 255))
    def write_by_pin(self, window: Any, byte: int) -> None:
        if not isinstance(window, Pin) or not window.attached:
            return
        size = len(window.memory)
        window.memory[:] = bytes([byte]) * size
        window.pair.flat[window.start : window.start + size] = window.memory

    @rule(window=consumes(windows), by_release=st.booleans())
    def give_back(self, window: Any, by_release: bool) -> None:
        if by_release:
            window.memory.release()
        if isinstance(window, Pin):
            self.pins.remove(window)
        else:
            self.views.remove(window)
        del window.memory

    @rule(pair=pairs, place=places, seed=st.integers(0, 255))
    def adopt(self, pair: Pair, place: tuple[int, int], seed: int) -> None:
        start, size = self.clip(pair, place)
        memory = Memory((seed + 5 * i) & 0xFF for i in range(size))
        references = sys.getrefcount(memory)
        adopted = self.attempt(pair, start, size, lambda: pair.pool.adopt(start, memory))
        if adopted is None:
            assert sys.getrefcount(memory) == references
            memory.append(0)  # BufferError if it were held
            return
        assert adopted == size
        pair.flat[start : start + size] = memory
        if sys.getrefcount(memory) > references:
            self.adopted.append((weakref.ref(memory), bytes(memory)))

    # ---------------------------------------------------------- many and integers

    @rule(pair=pairs, seed=st.randoms(use_true_random=False), item_size=st.integers(1, 9))
    def gather_and_scatter(self, pair: Pair, seed: Any, item_size: int) -> None:
        most = len(pair.flat) - item_size
        if most < 0:
            return
        offsets = [seed.randint(0, most) for _ in range(10)]
        found = pair.pool.gather(offsets, item_size)
        items = [bytes(pair.flat[at : at + item_size]) for at in offsets]
        assert found == b"".join(items)
        data = seed.randbytes(10 * item_size)
        try:
            pair.pool.scatter(offsets, data)
        except PoolLimitError:
            assert pair.group.limit is not None
            return
        for i, at in enumerate(offsets):
            pair.flat[at : at + item_size] = data[i * item_size : (i + 1) * item_size]

    @rule(pair=pairs, seed=st.randoms(use_true_random=False), longest=st.integers(0, 99))
    def read_and_write_many(self, pair: Pair, seed: Any, longest: int) -> None:
        ranges = []
        for _ in range(10):
            at = seed.randint(0, len(pair.flat))
            ranges.append((at, seed.randint(0, min(longest, len(pair.flat) - at))))
        found = pair.pool.read_many(ranges)
        assert found == [bytes(pair.flat[at : at + size]) for at, size in ranges]
        items = [(at, seed.randbytes(size)) for at, size in ranges]
        try:
            pair.pool.write_many(items)
        except PoolLimitError:
            assert pair.group.limit is not None
            return
        for at, data in items:
            pair.flat[at : at + len(data)] = data

    @rule(
        pair=pairs,
        place=st.integers(0, TOTAL_MAX),
        size=st.sampled_from([1, 2, 4, 8]),
        n=st.integers(-300, 300),
    )
    def count(self, pair: Pair, place: int, size: int, n: int) -> None:
        if len(pair.flat) < size:
            return
        at = place % (len(pair.flat) - size + 1)
        was = int.from_bytes(pair.flat[at : at + size], sys.byteorder)
        old = self.attempt(pair, at, size, lambda: pair.pool.fetch_add(at, n, size))
        if old is None:
            return
        assert old == was
        new = (was + n) % 256**size
        pair.flat[at : at + size] = new.to_bytes(size, sys.byteorder)
        if pair.pool.compare_exchange(at, new, new, size) is not True:
            raise AssertionError("what was just put there was not expected")

    # -------------------------------------------------------------- what must hold

    @rule(pair=pairs, base=pairs)
    def changes(self, pair: Pair, base: Pair) -> None:
        if pair.group is not base.group or len(pair.flat) != len(base.flat):
            return
        rest = without(pair.flat, pair.pool.changes(base.pool))
        assert rest == without(base.flat, pair.pool.changes(base.pool))

    @rule(pair=pairs, base=pairs, place=places)
    def differences(self, pair: Pair, base: Pair, place: tuple[int, int]) -> None:
        total = max(len(pair.flat), len(base.flat))
        start, stop = sorted(number % (total + 1) for number in place)
        try:
            found = list(pair.pool.differences(base.pool))
            part = list(pair.pool.differences(base.pool, start, stop - start))
            same = pair.pool.same(base.pool)
        except PoolLimitError:
            pools = pair.pool, base.pool
            assert sum(pool.stats.pinned_blocks for pool in pools) > 0
            return
        assert found == differing(pair.flat, base.flat)
        cut = differing(pair.flat[start:stop], base.flat[start:stop])
        assert part == [(start + at, size) for at, size in cut]
        assert same == (pair.flat == base.flat)

    @rule(pair=pairs)
    def digest(self, pair: Pair) -> None:
        digest = self.pinned_attempt(pair, pair.pool.digest)
        assert digest in (None, digest_of(pair.flat))

    @rule(
        pair=pairs,
        place=places,
        size=st.integers(0, 9),
        key=st.slices(TOTAL_MAX).filter(lambda key: key.step in (None, 1)),
    )
    def search(self, pair: Pair, place: tuple[int, int], size: int, key: slice) -> None:
        """For bytes that are there, at least in the pool, and in a part of it."""
        at, _ = self.clip(pair, place)
        sub = bytes(pair.flat[at : at + size])
        for name in ("find", "rfind", "count"):
            call, wanted = getattr(pair.pool, name), getattr(pair.flat, name)
            for ends in ((), (key.start, key.stop)):
                found = self.pinned_attempt(pair, lambda: call(sub, *ends))  # noqa: B023
                assert found in (None, wanted(sub, *ends))

    @rule(pair=pairs)
    def extents(self, pair: Pair) -> None:
        runs = list(pair.pool.extents())
        assert not any(without(pair.flat, runs))
        assert sum(size for _, size in runs) <= pair.pool.stats.held_bytes

    @invariant()
    def contents_are_equal(self) -> None:
        for pair in self.open:
            assert len(pair.pool) == len(pair.flat)
            assert pair.pool.read(0, len(pair.flat)) == pair.flat

    @invariant()
    def windows_show_what_they_must(self) -> None:
        for view in self.views:
            assert view.memory == view.shown
        for pin in self.pins:
            if pin.attached:
                end = pin.start + len(pin.memory)
                assert pin.memory == pin.pair.flat[pin.start : end]

    @invariant()
    def adopted_memory_is_as_it_was(self) -> None:
        for alive, data in self.adopted:
            memory = alive()
            assert memory is None or memory == data
        self.adopted = [it for it in self.adopted if it[0]() is not None]
        if not any(pair.pool.stats.adopted_blocks for pair in self.open):
            assert len(self.adopted) == 0 or self.views

    @invariant()
    def accounts_are_right(self) -> None:
        for pair in self.open:
            stats, limit = pair.pool.stats, pair.group.limit
            assert stats.family_pools == sum(it.group is pair.group for it in self.open)
            assert stats.references == 1
            assert stats.held_bytes == stats.held_blocks * stats.block_size
            assert stats.shared_blocks <= stats.held_blocks
            if not stats.shared_blocks and not stats.adopted_blocks:
                # Else a pool may hold one block in two places.
                assert stats.held_bytes <= stats.family_bytes
            assert stats.family_bytes <= stats.family_peak_bytes
            assert stats.family_peak_bytes <= (limit or stats.family_peak_bytes)
            # What is copied for a view does not count.
            views = [it.memory for it in self.views if it.group is pair.group]
            shared = sum(len(view) > 0 and type(view.obj) is not bytes for view in views)
            pins = sum(pin.pair.group is pair.group for pin in self.pins)
            assert stats.family_views == shared + pins

    def teardown(self) -> None:
        for pair in self.open:
            pair.pool.close()
        for view in self.views:
            assert view.memory == view.shown
            view.memory.release()
        for pin in self.pins:
            pin.memory.release()
        gc.collect()
        assert all(alive() is None for alive, _ in self.adopted)
        assert count_adopted() == 0


TestPools = Pools.TestCase
TestPools.settings = settings(max_examples=25, stateful_step_count=40)
