# SPDX-License-Identifier: MIT
"""digest(), same() and differences(): by the definition, and byte by byte.

digest_definition.py has the definition. What leads to a state must not matter: blocks of
any size, holes, shared and pinned blocks, digests that were taken before.
"""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from contextlib import suppress
from typing import Any, Callable

import pytest
from digest_definition import PAGE, digest_of, digest_of_pages
from flat_memory import differing
from internals import SIZE_MAX

from pymempool import (
    MemoryPool,
    PoolClosedError,
    PoolLimitError,
    PoolMemoryError,
    PoolRangeError,
)
from pymempool.testing import FailAllocation

BLOCKS = [1 << shift for shift in range(18)]
SIZES = [1, 2, 100, 4095, 4096, 4097, 8191, 8192, 8193, 12_289, 65_536, 65_537, 140_000]


@pytest.mark.parametrize("block_size", BLOCKS)
def test_digest_is_the_defined_one(block_size: int) -> None:
    chance = random.Random(block_size)
    for total_size in SIZES:
        if total_size > 5000 * block_size:
            continue  # a block for each byte takes its time
        flat = bytearray(chance.randbytes(total_size))
        with MemoryPool(total_size, block_size) as pool:
            assert pool.digest() == digest_of(bytes(total_size))
            pool.write(0, flat)
            assert pool.digest() == digest_of(flat)
            for _ in range(10):
                at = chance.randrange(total_size)
                flat[at] ^= 1 + chance.randrange(255)
                pool[at] = flat[at]
                assert pool.digest() == digest_of(flat)


@pytest.mark.parametrize("block_size", [1, 64, 4096, 65_536, 1 << 21])
@pytest.mark.parametrize("total_size", [SIZE_MAX, SIZE_MAX // 2 + 1, SIZE_MAX // 2])
def test_digest_of_pools_of_any_size(total_size: int, block_size: int) -> None:
    with MemoryPool(total_size, block_size) as pool:
        assert pool.digest() == digest_of_pages(total_size, {})
        last = (total_size - 1) // PAGE
        pages = {0: b"first", last // 3: b"middle", last: b"last"}
        for number, data in pages.items():
            pool.write(number * PAGE, data)
        assert pool.digest() == digest_of_pages(total_size, pages)


def test_digest_of_what_is_known_elsewhere() -> None:
    """The definition must not change: these are kept by users."""
    with MemoryPool(1) as pool:
        assert pool.digest().hex() == (
            "4746fba811440139ad93e7befc70ed5a3f1b3374434565e99acf770c0a9b898c"
        )
    with MemoryPool(1 << 20) as pool:
        pool.write(100_000, b"hello")
        assert pool.digest().hex() == (
            "ab9c5ba68d259843a516c7e81dd3076b2fedc534aa567f24fb76c4ed935b198a"
        )


def test_digest_in_another_process() -> None:
    program = (
        "from pymempool import MemoryPool\n"
        "pool = MemoryPool(10**6, 512)\n"
        "pool.fill(123456, 7, 50000)\n"
        "print(pool.digest().hex())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    with MemoryPool(10**6, 4096) as pool:
        pool.fill(123_456, 7, 50_000)
        assert done.stdout.strip() == pool.digest().hex()


# ------------------------------------------------------------- random histories


class State:
    """A pool, the bytes that must be in it, and pins that are written to."""

    def __init__(self, pool: MemoryPool, flat: bytes) -> None:
        self.pool = pool
        self.flat = bytearray(flat)
        self.pins: list[tuple[int, memoryview]] = []

    def release(self) -> None:
        for _, pin in self.pins:
            pin.release()
        self.pins = []


class History:
    """Random operations on some pools, a family and strangers."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.states: list[State] = []
        self.create()

    def create(self) -> None:
        block_size = self.chance.choice(BLOCKS)
        most = min(20_000, 600 * block_size)
        total_size = self.chance.choice([most, self.chance.randint(1, most)])
        pool = MemoryPool(total_size, block_size)
        self.states.append(State(pool, bytes(total_size)))

    def place(self, state: State) -> tuple[int, int]:
        total = len(state.flat)
        at = self.chance.choice([0, self.chance.randrange(total)])
        long = self.chance.choice([1, 8, 100, 4096, total])
        return at, min(long, total - at)

    def step(self) -> None:
        state = self.chance.choice(self.states)
        step: Callable[[State], None] = self.chance.choice(STEPS)
        step(self, state)  # type: ignore[call-arg,arg-type]

    def write(self, state: State) -> None:
        at, size = self.place(state)
        data = self.chance.choice([bytes(size), self.chance.randbytes(size)])
        state.pool.write(at, data)
        state.flat[at : at + size] = data

    def fill(self, state: State) -> None:
        at, size = self.place(state)
        byte = self.chance.choice([0, 0, 1, 255])
        state.pool.fill(at, byte, size)
        state.flat[at : at + size] = bytes([byte]) * size

    def discard(self, state: State) -> None:
        at, size = self.place(state)
        state.pool.discard(at, size)
        state.flat[at : at + size] = bytes(size)

    def adopt(self, state: State) -> None:
        at, size = self.place(state)
        data = self.chance.randbytes(size)
        state.pool.adopt(at, data)
        state.flat[at : at + size] = data

    def copy(self, state: State) -> None:
        source = self.chance.choice(self.states)
        at, size = self.place(source)
        to = self.chance.choice([at, 0])
        size = max(0, min(size, len(state.flat) - to))
        if to <= len(state.flat):
            state.pool.copy_from(source.pool, at, size, to)
            state.flat[to : to + size] = source.flat[at : at + size]

    def add(self, state: State) -> None:
        if len(state.flat) >= 8:
            at = self.chance.randrange(len(state.flat) - 7)
            old = int.from_bytes(state.flat[at : at + 8], sys.byteorder)
            state.pool.fetch_add(at, 5)
            new = (old + 5) % (1 << 64)
            state.flat[at : at + 8] = new.to_bytes(8, sys.byteorder)

    def clone(self, state: State) -> None:
        if len(self.states) < 5:
            self.states.append(State(state.pool.clone(), state.flat))

    def close(self, state: State) -> None:
        if len(self.states) > 2:
            state.release()
            state.pool.close()
            self.states.remove(state)

    def restore(self, state: State) -> None:
        source = self.chance.choice(self.states)
        if len(source.flat) != len(state.flat):
            state.release()  # a pin that is cut off is no part of the pool any more
        with suppress(ValueError):  # a stranger
            state.pool.restore(source.pool)
            state.flat[:] = source.flat

    def resize(self, state: State) -> None:
        state.release()
        size = self.chance.randint(1, min(20_000, 600 * state.pool.block_size))
        state.pool.resize(size)
        del state.flat[size:]
        state.flat.extend(bytes(size - len(state.flat)))

    def pin(self, state: State) -> None:
        at, size = self.place(state)
        with suppress(PoolRangeError):  # it meets another one
            state.pins.append((at, state.pool.pin(at, size)))

    def write_by_pin(self, state: State) -> None:
        for start, pin in state.pins:
            at = self.chance.randrange(len(pin))
            pin[at] = state.flat[start + at] = self.chance.randrange(256)

    def unpin(self, state: State) -> None:
        state.release()

    def digest(self, state: State) -> None:
        assert state.pool.digest() == digest_of(state.flat)

    def compare(self, state: State) -> None:
        other = self.chance.choice(self.states)
        runs = list(state.pool.differences(other.pool))
        assert runs == differing(state.flat, other.flat)
        assert state.pool.same(other.pool) == (state.flat == other.flat)


STEPS: list[Any] = [
    *(History.write, History.write, History.write, History.fill, History.discard),
    *(History.adopt, History.copy, History.copy, History.add, History.clone),
    *(History.clone, History.close, History.restore, History.resize, History.pin),
    *(History.write_by_pin, History.write_by_pin, History.unpin),
    *(History.digest, History.digest),
]


def make_same(history: History, state: State, flat: bytearray) -> None:
    """Brings a pool to given bytes, whatever it was before, in one of many ways."""
    state.release()
    state.pool.resize(len(flat))
    step = history.chance.choice([len(flat), 4096, 1000])
    places = list(range(0, len(flat), step))
    history.chance.shuffle(places)
    for at in places:
        part = bytes(flat[at : at + step])
        if any(part):
            state.pool.write(at, part)
        else:
            state.pool.discard(at, len(part))
    state.flat[:] = flat


@pytest.mark.parametrize("group", range(10))
def test_equal_states_have_equal_digests(group: int) -> None:
    """1000 states, each reached by two histories at least."""
    seen: dict[bytes, bytes] = {}
    cases = 0
    for seed in range(group * 10_000, group * 10_000 + 1000):
        history = History(seed)
        history.create()
        for _ in range(history.chance.randrange(15)):
            history.step()
        one, other = history.chance.sample(history.states, 2)
        digest = one.pool.digest()
        assert digest == digest_of(one.flat), seed
        assert seen.setdefault(digest, bytes(one.flat)) == one.flat, seed
        make_same(history, other, one.flat)
        assert other.pool.digest() == digest, seed
        assert one.pool.same(other.pool), seed
        cases += 1
        at = history.chance.randrange(len(one.flat))
        other.pool[at] = one.flat[at] ^ 1
        assert other.pool.digest() != digest, seed
        assert not one.pool.same(other.pool), seed
        assert list(one.pool.differences(other.pool)) == [(at, 1)], seed
        for state in history.states:
            state.release()
            state.pool.close()
    assert cases == 1000
    assert len(set(seen.values())) == len(seen)


def test_differences_are_those_found_byte_by_byte() -> None:
    for seed in range(150):
        history = History(seed)
        for _ in range(3):
            history.create()
        for _ in range(20):
            history.step()
        for state in history.states:
            history.compare(state)
        for state in history.states:
            state.release()
            state.pool.close()


# ------------------------------------------------------------- what differs


def test_differences_of_ranges(pool: MemoryPool) -> None:
    before = pool.clone()
    pool.write(100, bytes(200))
    assert list(pool.differences(before)) == [(100, 200)]
    assert list(pool.differences(before, 150, 20)) == [(150, 20)]
    assert list(pool.differences(before, 250)) == [(250, 50)]
    assert list(pool.differences(before, 300)) == []
    assert list(pool.differences(before, 0, 101)) == [(100, 1)]
    assert list(pool.differences(before, 5, 0)) == []
    assert list(pool.differences(pool)) == []


def test_bytes_that_one_pool_alone_has_differ() -> None:
    with MemoryPool(SIZE_MAX, 4096) as large, MemoryPool(1000, 64) as small:
        rest = (1000, SIZE_MAX - 1000)
        assert list(large.differences(small)) == [rest]
        assert list(small.differences(large)) == [rest]
        assert list(small.differences(large, 2000, 5)) == [(2000, 5)]
        assert list(small.differences(large, SIZE_MAX)) == []
        small[999] = 1
        assert list(small.differences(large)) == [(999, SIZE_MAX - 999)]
        large.write(1 << 20, b"more")
        assert list(large.differences(small)) == [(999, SIZE_MAX - 999)]
        assert not small.same(large)
        for wrong in ((SIZE_MAX, 1), (-1, 1), (0, -1), (SIZE_MAX + 1, None)):
            with pytest.raises(PoolRangeError):
                small.differences(large, *wrong)


def test_zeros_and_holes_are_the_same() -> None:
    with MemoryPool(1 << 40, 4096) as pool, MemoryPool(1 << 40, 64) as other:
        pool.fill(10_000, 1, 100_000)
        pool.write(10_000, bytes(100_000))
        assert pool.stats.held_bytes > 0
        assert list(pool.differences(other)) == []
        assert pool.same(other)
        assert pool.digest() == other.digest()


def test_differences_are_of_one_moment(pool: MemoryPool) -> None:
    before = pool.clone()
    pool[7] = pool[900] = 9
    runs = pool.differences(before)  # from here on
    pool.write(0, bytes(1000))
    before.write(0, bytes(1000))
    assert list(runs) == [(7, 1), (900, 1)]
    assert list(pool.differences(before)) == []


def test_clones_end_with_the_iterator(pool: MemoryPool) -> None:
    other = MemoryPool(pool.total_size, 16)

    def pools() -> tuple[int, int]:
        return pool.stats.family_pools, other.stats.family_pools

    whole = pool.differences(other)
    assert pools() == (2, 2)
    assert len(list(whole)) > 1
    assert pools() == (1, 1)
    begun = pool.differences(other)
    next(begun)
    begun.close()  # type: ignore[attr-defined]
    assert pools() == (1, 1)
    for runs in (pool.differences(other), pool.differences(other)):
        next(runs, None)
    del runs, begun
    assert pools() == (1, 1)
    unused = pool.differences(other)
    assert pools() == (2, 2)
    del unused
    assert pools() == (1, 1)
    for _ in pool.differences(other):
        break
    assert pools() == (1, 1)
    with pytest.raises(PoolRangeError):
        pool.differences(other, -1)
    assert pools() == (1, 1)


def test_pools_may_be_closed_meanwhile(pool: MemoryPool) -> None:
    other = MemoryPool(pool.total_size)
    runs = pool.differences(other)
    flat = pool[:]
    pool.close()
    other.close()
    assert list(runs) == differing(flat, bytes(len(flat)))
    with pytest.raises(PoolClosedError):
        pool.differences(pool)


# ------------------------------------------------------------- what goes wrong


def test_memory_limit_and_pins() -> None:
    """A snapshot takes frozen copies of pinned blocks, and the limit counts them."""
    with MemoryPool(4096, 64, memory_limit=1024) as pool, MemoryPool(4096) as other:
        pin = pool.pin(0, 1000)
        pin[:] = b"p" * 1000
        calls: list[Callable[[], Any]] = [
            pool.digest,
            lambda: pool.same(other),
            lambda: other.same(pool),
            lambda: pool.differences(other),
            lambda: other.differences(pool),
            lambda: pool.find(b"p"),
            lambda: pool.rfind(b"p"),
            lambda: pool.count(b"p"),
            lambda: b"p" in pool,
        ]
        for call in calls:
            before = pool.stats
            with pytest.raises(PoolLimitError, match="1024 of 1024 bytes are in use"):
                call()
            assert pool.stats._replace(metadata_bytes=0, cached_bytes=0) == (
                before._replace(metadata_bytes=0, cached_bytes=0)
            )
        pin.release()
        assert pool.digest() == digest_of(b"p" * 1000 + bytes(3096))


def test_memory_that_runs_out_between_two_differences(
    pool: MemoryPool, fail_allocation: FailAllocation
) -> None:
    other = MemoryPool(pool.total_size, 64)
    runs = pool.differences(other)
    first = next(runs)
    with fail_allocation(1), pytest.raises(PoolMemoryError):
        next(runs)
    assert list(runs) == []  # a generator that raised has ended
    assert (pool.stats.family_pools, other.stats.family_pools) == (1, 1)
    assert next(pool.differences(other)) == first


def test_digest_does_without_memory_to_keep(fail_allocation: FailAllocation) -> None:
    """What it cannot keep is hashed again."""
    wanted = digest_of(bytes([5]) * 300_000 + bytes(748_576))
    did_without = 0
    for number in itertools.count(1):
        with MemoryPool(1 << 20, 4096) as pool:
            pool.fill(0, 5, 300_000)
            found = wanted
            with fail_allocation(number) as fault:
                try:
                    found = pool.digest()
                except PoolMemoryError:
                    did_without -= 1
            did_without += bool(fault.reached)
            assert found == wanted
            assert pool.digest() == wanted
        if not fault.reached:
            break
    assert did_without > 0


def test_equality_is_identity_and_same_is_about_bytes(pool: MemoryPool) -> None:
    clone = pool.clone()
    assert pool.same(clone)
    assert pool != clone
    assert {pool: 1}.get(clone) is None
    before = hash(pool)
    pool[0] ^= 1
    assert hash(pool) == before
    assert not pool.same(clone)
    for wrong in (None, b"bytes", pool.handle):
        with pytest.raises(TypeError, match="a MemoryPool is needed"):
            pool.same(wrong)  # type: ignore[arg-type]
