# SPDX-License-Identifier: MIT
"""Pools as pickles, in this process and to others; and pickles that are not to be."""

from __future__ import annotations

import copy
import gc
import importlib
import io
import multiprocessing
import os
import pickle
import weakref
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, strategies as st
from internals import count_adopted

import pymempool
from pymempool import (
    BlockState,
    MemoryPool,
    PoolClosedError,
    PoolError,
    PoolLimitError,
    PoolRangeError,
)
from pymempool.pool import rebuild

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Mine(MemoryPool):
    """A class of a user's own."""


class Named(MemoryPool):
    """One that says by itself what it is made of."""

    name = ""

    def __reduce__(self) -> Any:
        return named, (self.name, self[:])


def named(name: str, data: bytes) -> Named:
    made = Named(len(data))
    made.name, made[:] = name, data
    return made


def same(one: MemoryPool, other: MemoryPool) -> bool:
    facts = [
        (pool.total_size, pool.block_size, pool.stats.memory_limit, list(pool.extents()))
        for pool in (one, other)
    ]
    if facts[0] != facts[1]:
        return False
    return all(one.read(*run) == other.read(*run) for run in one.extents())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_round_trip(protocol: int, pool: MemoryPool) -> None:
    twin = pickle.loads(pickle.dumps(pool, protocol))
    assert same(pool, twin)
    assert twin.stats.family_pools == 1
    twin.write(100, b"other")
    pool.write(200, b"other")
    assert (pool[100], twin[200]) == (1, 101)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "pool",
    [
        MemoryPool(1),
        MemoryPool(2**63, 1),
        MemoryPool(2**63 + 12345, 1 << 20, memory_limit=2**40),
        Mine(100, 10),
    ],
    ids=repr,
)
def test_kinds_of_pools(protocol: int, pool: MemoryPool) -> None:
    twin = pickle.loads(pickle.dumps(pool, protocol))
    assert type(twin) is type(pool)
    assert same(pool, twin)
    pool[-1] = 5
    assert same(pool, pickle.loads(pickle.dumps(pool, protocol)))


@pytest.mark.parametrize("total_size", [1, 100, 4096, 5000])
def test_resized(total_size: int) -> None:
    pool = MemoryPool(4096, 1024, memory_limit=8192)
    pool.fill(0, 7, 4096)
    pool.resize(total_size)
    twin = pickle.loads(pickle.dumps(pool, 5))
    assert same(pool, twin)
    twin.resize(10000)
    assert twin[total_size:] == bytes(10000 - total_size)


def test_holes_cost_nothing() -> None:
    pool, data = MemoryPool(1 << 40), os.urandom(10 << 20)
    pool.write(1 << 39, data)
    for protocol in (3, 4, 5):  # older ones know no bytes, and need half as much again
        pickled = pickle.dumps(pool, protocol)
        assert len(data) < len(pickled) < len(data) * 1.02
        twin = pickle.loads(pickled)
        assert twin.total_size == 1 << 40
        assert twin.read(1 << 39, len(data)) == data
        assert twin.stats.family_bytes == 0


def test_out_of_band(pool: MemoryPool) -> None:
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(pool, 5, buffer_callback=buffers.append)
    assert len(pickled) < 300
    assert [len(memoryview(it)) for it in buffers] == [s for _, s in pool.extents()]

    class Memory(bytearray):
        pass

    sent = [Memory(bytes(it)) for it in buffers]
    alive = list(map(weakref.ref, sent))
    twin = pickle.loads(pickled, buffers=sent)
    del sent
    assert same(pool, twin)
    assert twin.stats.adopted_blocks == twin.stats.held_blocks
    assert all(it() is not None for it in alive)
    twin.close()
    gc.collect()
    assert all(it() is None for it in alive)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_subclass_that_reduces_itself(protocol: int) -> None:
    twin = pickle.loads(pickle.dumps(named("it", b"its bytes"), protocol))
    assert (type(twin), twin.name, twin[:]) == (Named, "it", b"its bytes")
    assert type(copy.copy(twin)) is Named


def test_closed(pool: MemoryPool) -> None:
    pool.close()
    for protocol in PROTOCOLS:
        with pytest.raises(PoolError, match="closed"):
            pickle.dumps(pool, protocol)


# ----------------------------------------------------------------- to other processes


def double(pool: MemoryPool) -> MemoryPool:
    size = pool.total_size
    pool.resize(2 * size)
    pool.copy_from(pool, 0, size, size)
    return pool


def answer(connection: Any) -> None:
    connection.send(double(connection.recv()))


def importable(name: str) -> Any:
    """A function of this file as another process finds it."""
    return getattr(importlib.import_module("test_pickle"), name)


METHODS = [
    pytest.param(
        method,
        # A child of a process with other threads: newer Pythons warn of that.
        marks=pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
    )
    for method in multiprocessing.get_all_start_methods()
    if method != "forkserver"
]


@pytest.mark.parametrize("method", METHODS)
def test_multiprocessing(method: str, pool: MemoryPool, monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    process = context.Process(target=importable("answer"), args=(theirs,))
    process.start()
    ours.send(pool)
    found = ours.recv()
    process.join()
    assert process.exitcode == 0
    assert found[:] == pool[:] * 2


@pytest.mark.parametrize("method", METHODS)
def test_process_pools(method: str, pool: MemoryPool, monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        found = list(
            executor.map(
                importable("double"), [pool, pool.clone(), importable("Mine")(5)]
            )
        )
    assert found[0][:] == found[1][:] == pool[:] * 2
    assert len(found[2]) == 10


# ------------------------------------------------------------------ hostile pickles

BASE = MemoryPool(8192, 64)
OPTIONS = (64, None, False, False, False)  # block size, limit, flags
GOOD = (MemoryPool, None, OPTIONS, 4096, [64, 1000], [b"a" * 64, b"b" * 24])


def options(place: int, wrong: Any) -> Any:
    return (*OPTIONS[:place], wrong, *OPTIONS[place + 1 :])


BAD: dict[str, tuple[int, Any, type[Exception]]] = {
    "another class": (0, dict, TypeError),
    "no class": (0, "MemoryPool", TypeError),
    "a class that cannot be made": (0, type("Bad", (Mine,), {"__new__": 5}), TypeError),
    "no origin": (2, None, TypeError),
    "origin of another kind": (2, b"bytes", TypeError),
    "too few options": (2, OPTIONS[1:], TypeError),
    "too many options": (2, (*OPTIONS, False), TypeError),
    "block size of 0": (2, options(0, 0), PoolRangeError),
    "no block size": (2, options(0, None), TypeError),
    "huge block size": (2, options(0, 2**64), PoolRangeError),
    "negative limit": (2, options(1, -1), PoolRangeError),
    "limit of another kind": (2, options(1, "much"), TypeError),
    "limit too small": (2, options(1, 1), PoolLimitError),
    "huge limit": (2, options(1, 2**64), PoolRangeError),
    "size of 0": (3, 0, PoolRangeError),
    "size too large": (3, 2**70, PoolRangeError),
    "size of another kind": (3, 4096.0, TypeError),
    "too few starts": (4, [64], TypeError),
    "too many starts": (4, [0, 64, 1000], TypeError),
    "starts of another kind": (4, (64, 1000), TypeError),
    "start that is no number": (4, ["64", 1000], TypeError),
    "overlap": (4, [64, 127], PoolRangeError),
    "not in order": (4, [1000, 64], PoolRangeError),
    "negative start": (4, [-64, 1000], PoolRangeError),
    "past the end": (4, [64, 4090], PoolRangeError),
    "far past the end": (4, [64, 2**80], PoolRangeError),
    "data of another kind": (5, [b"a", "b"], TypeError),
    "no data": (5, [None, None], TypeError),
    "data in a tuple": (5, (b"a", b"b"), TypeError),
    "too much data": (5, [b"a" * 64, b"b" * 4000], PoolRangeError),
    "data with gaps": (5, [b"a", memoryview(bytes(64))[::2]], TypeError),
    "negative hole": (5, [-1, b"b"], PoolRangeError),
    "too large a hole": (5, [b"a", 2**80], PoolRangeError),
    "overlap with a hole": (5, [1000, b"b"], PoolRangeError),
}


def test_not_hostile() -> None:
    pool = rebuild(*GOOD)
    assert pool[60:130] == bytes(4) + b"a" * 64 + bytes(2)
    assert pool[1000:] == b"b" * 24 + bytes(3072)


@pytest.mark.parametrize("origin", [OPTIONS, BASE], ids=["new", "relative"])
@pytest.mark.parametrize("name", BAD)
def test_hostile(name: str, origin: Any) -> None:
    place, wrong, kind = BAD[name]
    arguments = list(GOOD)
    arguments[2], arguments[place] = origin, wrong
    with pytest.raises(kind):
        rebuild(*arguments)
    assert count_adopted() == 0
    assert BASE.stats.held_blocks == 0


def test_wrong_number_of_arguments() -> None:
    for count in (1, 2):
        with pytest.raises(TypeError):
            rebuild(*GOOD[:count])
    with pytest.raises(TypeError, match="total_size"):
        rebuild(*GOOD[:3])  # a new pool needs one
    with pytest.raises(TypeError):
        rebuild(*GOOD, 7)
    for count in (4, 5):
        with pytest.raises(TypeError, match="two lists"):
            rebuild(*GOOD[:count])


def test_origin_is_closed() -> None:
    origin = MemoryPool(5)
    origin.close()
    with pytest.raises(PoolClosedError):
        rebuild(MemoryPool, None, origin)


# What may come of a pickle that is not what pickle.dumps() made. (Not tried: other bytes
# in its midst, which can make pickle itself take gigabytes before it comes to a pool.)
CLEAN = (
    pickle.UnpicklingError,
    PoolError,
    AttributeError,
    EOFError,
    ImportError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
)


class OurPickles(pickle.Unpickler):
    """Finds what pickles of pools need, as a careful program would, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in (
            ("pymempool.pool", "rebuild"),
            ("pymempool", "MemoryPool"),
        ):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not for pickles of pools")


class Names(pickle.Unpickler):
    """Writes down what a pickle names."""

    def __init__(self, pickled: bytes) -> None:
        super().__init__(io.BytesIO(pickled))
        self.found: list[str] = []
        self.load()

    def find_class(self, module: str, name: str) -> Any:
        self.found.append(f"{module}.{name}")
        return super().find_class(module, name)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_pickles_name_never_moves(protocol: int, pool: MemoryPool) -> None:
    """A pickle may be read by another version than wrote it."""
    ours = [
        (pool, ["pymempool.pool.rebuild", "pymempool.MemoryPool"]),
        (pool.stats, ["pymempool.PoolStats"]),
        (BlockState.SHARED | BlockState.PINNED, ["pymempool.BlockState"]),
        (pymempool.trim, ["pymempool.trim"]),
    ]
    for name in pymempool.__all__:
        thing = getattr(pymempool, name)
        if isinstance(thing, type):
            ours.append((thing, [f"pymempool.{name}"]))
            if issubclass(thing, PoolError):
                ours.append((thing("why"), [f"pymempool.{name}"]))
                assert thing.__new__(thing, "why").args == ("why",)  # as tblib does
    for thing, names in ours:
        found = Names(pickle.dumps(thing, protocol)).found
        assert [name for name in found if name.startswith("pymempool")] == names


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_truncated(protocol: int, pool: MemoryPool) -> None:
    pickled = pickle.dumps(pool, protocol)
    for size in range(len(pickled)):
        with pytest.raises(CLEAN):
            OurPickles(io.BytesIO(pickled[:size])).load()
    assert same(pool, OurPickles(io.BytesIO(pickled)).load())
    gc.collect()
    assert count_adopted() == 0


def test_other_buffers(pool: MemoryPool) -> None:
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(pool, 5, buffer_callback=buffers.append)
    for wrong in (
        [],
        buffers[:1],
        [None] * 9,
        [b""] * 9,
        buffers[::-1],
        [bytes(9999)] * 9,
    ):
        with suppress(*CLEAN):
            assert not same(pool, pickle.loads(pickled, buffers=wrong))
    gc.collect()
    assert count_adopted() == 0


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 10000),
    st.integers(),
    st.sampled_from([2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63)]),
    st.floats(),
    st.binary(max_size=200),
    st.text(max_size=3),
)
# Mostly in order and apart, now and then not.
pieces = st.lists(
    st.tuples(st.integers(-1, 400), st.binary(max_size=60) | st.integers(-1, 60)),
    max_size=4,
).flatmap(
    lambda found: st.sampled_from([found, sorted(found, key=lambda piece: piece[0])])
)
names = st.sampled_from(["whole", "start_address", "header"])
arguments = st.builds(
    lambda origin, size, found, image, marks: [
        MemoryPool,
        None,
        origin,
        size,
        [start for start, _ in found],
        [piece for _, piece in found],
        image,
        marks,
    ],
    st.tuples(
        st.integers(1, 500),
        st.none() | st.integers(1, 500),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    )
    | st.just(BASE),
    st.integers(1, 500),
    pieces,
    st.none() | st.dictionaries(names, anything, max_size=2),
    st.sampled_from([None, BASE]),
)
wrong = st.one_of(anything, st.lists(anything, max_size=5).map(tuple), st.lists(anything))


@given(arguments, st.none() | st.tuples(st.integers(0, 7), wrong))
def test_any_arguments(arguments: list[Any], change: tuple[int, Any] | None) -> None:
    if change is not None:
        arguments[change[0]] = change[1]
    made = None
    with suppress(TypeError, PoolError):
        made = rebuild(*arguments)
    if made is None:
        assert count_adopted() == 0
        return
    kind, _, origin, total_size, starts, found, _, _ = arguments
    with made:
        assert kind is MemoryPool
        if total_size is None:
            total_size, starts, found = BASE.total_size, [], []
        assert made.total_size == total_size
        if origin is not BASE:
            assert made.stats.memory_limit == (origin[1] or 0)
        assert len(starts) == len(found)
        for start, piece in zip(starts, found):
            data = bytes(piece) if isinstance(piece, int) else piece
            assert made.read(start, len(data)) == data
        written = sum(size for _, size in made.written())
        held = made.read(0, min(len(made), 1000))  # no data is farther up
        assert written >= sum(1 for byte in held if byte)
