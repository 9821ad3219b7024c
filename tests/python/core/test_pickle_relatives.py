# SPDX-License-Identifier: MIT
"""Relatives in one pickle: they stay relatives, and what they share is written once."""

from __future__ import annotations

import copy
import gc
import importlib
import io
import multiprocessing
import os
import pickle
import random
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Callable

import pytest
from hypothesis import given, strategies as st
from internals import parallel

from pymempool import MemoryPool, PoolUnrelatedError
from pymempool.pool import rebuild

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
DUMPS: dict[str, Callable[..., bytes]] = {
    "C": pickle.dumps,
    "Python": pickle._dumps,  # type: ignore[attr-defined]
}
BLOCK = 4096
DATA = random.Random(18).randbytes(64 * BLOCK)
SECRET = b"a secret that is only in the first pool"


class Mine(MemoryPool):
    """A class of a user's own."""


class When:
    """Calls a function when it is pickled; loads as None."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        self.call()
        return type(None), ()


def original(**options: Any) -> MemoryPool:
    pool = MemoryPool(1 << 30, BLOCK, **options)
    pool.write(0, DATA)
    return pool


def related(one: MemoryPool, other: MemoryPool) -> bool:
    try:
        list(one.changes(other))
    except PoolUnrelatedError:
        return False
    return True


def check(found: list[MemoryPool], expected: list[MemoryPool]) -> None:
    for one, other in zip(found, expected):
        assert type(one) is type(other)
        assert one.same(other)
        assert one.block_size == other.block_size
        assert related(one, found[0])
        assert list(one.extents()) == list(other.extents())
    assert len(found) == len(expected)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dumps", DUMPS)
def test_once(dumps: str, protocol: int) -> None:
    pool = original()
    clone = pool.clone()
    clone.write(10, b"changed")
    clone.discard(8 * BLOCK, 4 * BLOCK)
    clone.write(1 << 29, b"far away")
    alone = len(pickle.dumps(pool, protocol))
    pickled = DUMPS[dumps]([pool, clone], protocol)
    assert len(pickled) < alone * 1.2
    found = pickle.loads(pickled)
    check(found, [pool, clone])
    assert list(found[1].changes(found[0])) == list(clone.changes(pool))
    assert found[1].stats.shared_blocks == clone.stats.shared_blocks
    assert found[0].stats.family_pools == 2
    found[0].write(50, b"a")
    found[1].write(50, b"b")
    assert (pool[50], found[0][50], found[1][50]) == (DATA[50], 97, 98)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_in_any_place_and_of_several_families(protocol: int) -> None:
    one, other = original(memory_limit=1 << 20), Mine(100_000, 64)
    other.write(5, DATA[:5000])
    things = {"one": one, "more": (one.clone(), [other, other.clone(), one]), "": 5}
    pickled = pickle.dumps(things, protocol)
    found = pickle.loads(pickled)
    first, (second, [third, fourth, again]) = found["one"], found["more"]
    assert again is first
    check([first, second], [one, one])
    check([third, fourth], [other, other])
    assert not related(first, third)
    assert first.stats.memory_limit == second.stats.memory_limit == 1 << 20
    assert third.stats.memory_limit == 0
    assert len(pickled) < len(pickle.dumps(one, protocol)) * 1.1


def test_out_of_band() -> None:
    pool = original()
    clone = pool.clone()
    clone[100] = 1
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps([pool, clone], 5, buffer_callback=buffers.append)
    assert [len(memoryview(it)) for it in buffers] == [len(DATA), BLOCK]
    assert len(pickled) < 300
    found = pickle.loads(pickled, buffers=buffers)
    check(found, [pool, clone])
    assert found[0].stats.adopted_blocks == 65
    assert found[0].stats.family_bytes == 0


@pytest.mark.parametrize("size", [1, BLOCK - 1, 5 * BLOCK + 17, 64 * BLOCK, 1 << 31])
def test_resized_since(size: int) -> None:
    pool = original()
    clone = pool.clone()
    clone.resize(size)
    clone.write(size - 1, b"e")
    for pools in ([pool, clone], [clone, pool]):
        pickled = pickle.dumps(pools, 5)
        assert len(pickled) < len(DATA) + 3 * BLOCK
        found = pickle.loads(pickled)
        check(found, pools)
        for one, other in zip(found, pools):
            one.resize(1 << 32)
            assert one.read(other.total_size, BLOCK) == bytes(BLOCK)


def test_all_holes() -> None:
    pool = original()
    clone = pool.clone()
    clone.discard(0, clone.total_size)
    empty = MemoryPool(5)
    for pools in ([pool, clone], [clone, pool], [empty, empty.clone()]):
        found = pickle.loads(pickle.dumps(pools))
        check(found, pools)


@pytest.mark.parametrize("of", ["the last", "the first"])
def test_many_states(of: str) -> None:
    """Each costs what differs from the nearest, not from one that is always the same."""
    states = [original()]
    for number in range(40):
        states.append(states[-1 if of == "the last" else 0].clone())
        states[-1].write(number * BLOCK, b"changed")
    pickled = pickle.dumps(states, 5)
    assert len(pickled) < len(DATA) + 41 * (BLOCK + 200)
    found = pickle.loads(pickled)
    check(found, states)
    assert found[0].stats.adopted_blocks == states[0].stats.family_bytes // BLOCK


def test_limits_are_kept() -> None:
    """A family at its limit can be loaded: its data takes no more memory than before."""
    pool = MemoryPool(100 * 64 + 5, 64, memory_limit=200 * 64, wipe=True)
    pool.fill(0, 7, pool.total_size)
    clone = pool.clone()
    clone.fill(0, 8, 99 * 64)
    assert pool.stats.family_bytes == pool.stats.memory_limit
    found = pickle.loads(pickle.dumps([pool, clone], 5))
    check(found, [pool, clone])
    assert found[0].stats[7:9] == pool.stats[7:9]
    assert found[0].stats.flags == 1
    assert found[0].stats.adopted_blocks == 0


def test_each_is_of_one_moment() -> None:
    pool = original()
    clone = pool.clone()

    def write() -> None:
        pool.write(0, b"later")
        clone.write(0, b"until now")
        pool.discard(BLOCK, BLOCK)

    first, _, second, third = pickle.loads(
        pickle.dumps([pool, When(write), clone, pool.clone()])
    )
    assert first.read(0, len(DATA)) == third.read(0, len(DATA)) == DATA
    assert second.read(0, len(DATA)) == b"until now" + DATA[9:]


class Writes:
    """Writes to its pool as soon as that is loaded."""

    def __init__(self, pool: MemoryPool) -> None:
        self.pool = pool

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.pool = state["pool"]
        self.pool.write(0, b"at once")


def test_loaded_relatives_are_independent() -> None:
    pool = original()
    first, second = pickle.loads(pickle.dumps([Writes(pool), pool.clone()]))
    assert first.pool.read(0, 9) == b"at once" + DATA[7:9]
    assert second.read(0, 9) == DATA[:9]


def test_clone_by_c() -> None:
    pool = original()
    clone = MemoryPool.from_handle(parallel.pool_clone(pool.handle), retain=False)
    pickled = pickle.dumps([pool, clone])
    assert len(pickled) < len(DATA) * 1.1
    check(pickle.loads(pickled), [pool, clone])


def test_copies_are_clones() -> None:
    pools = [original(), Mine(5)]
    for found in (copy.copy(pools[0]), *copy.deepcopy(pools)):
        assert related(found, pools[0]) or related(found, pools[1])


# ------------------------------------------------------- which pickle a relative is in


def with_secret() -> tuple[MemoryPool, MemoryPool]:
    """A pool, and a relative without the secret of the first."""
    pool = original()
    pool.write(5 * BLOCK, SECRET)
    clone = pool.clone()
    clone.discard(5 * BLOCK, BLOCK)
    return pool, clone


@pytest.mark.parametrize("dumps", DUMPS)
def test_pickles_in_a_pickle(dumps: str) -> None:
    """The inner ones hold all of their pools, and nothing of the outer one."""
    pool, clone = with_secret()
    inner: list[bytes] = []
    nested = When(lambda: inner.append(DUMPS[dumps]([clone, clone.clone()])))
    pools = [pool, nested, clone, nested, pool.clone(), pool.clone()]
    found = pickle.loads(DUMPS[dumps](pools))
    for each in inner:
        assert SECRET not in each
        assert len(DATA) - BLOCK <= len(each) < len(DATA) * 1.1
        check(pickle.loads(each), [clone, clone])
    assert found[0].same(pool)
    assert found[2].same(clone)
    assert found[4].same(pool)
    assert related(found[4], found[5])


def test_pickle_while_a_buffer_is_taken() -> None:
    """At a time when the outer pickler does not remember its pool yet."""
    pool, clone = with_secret()
    inner: list[bytes] = []
    buffers: list[Any] = []

    def take(buffer: pickle.PickleBuffer) -> None:
        buffers.append(buffer)
        inner.append(pickle.dumps(clone))

    pickled = pickle.dumps([pool, clone], 5, buffer_callback=take)
    for one, other in zip(pickle.loads(pickled, buffers=buffers), [pool, clone]):
        assert one.same(other)
    assert len(inner) == 3
    for each in inner:
        assert SECRET not in each
        assert pickle.loads(each).same(clone)


def test_pickle_while_a_class_is_written() -> None:
    """That of a subclass comes before the mark of its Moment."""
    original, clone = with_secret()
    pool = Mine.from_handle(original.handle)
    inner: list[bytes] = []

    class Nested(pickle.Pickler):
        def reducer_override(self, thing: Any) -> Any:
            if thing is MemoryPool:
                inner.append(pickle.dumps([clone, clone.clone()]))
            return NotImplemented

    file = io.BytesIO()
    Nested(file).dump(pool)
    assert pickle.loads(file.getvalue()).same(pool)
    assert len(inner) == 1
    assert SECRET not in inner[0]
    check(pickle.loads(inner[0]), [clone, clone])


def test_pickle_by_another_thread_meanwhile() -> None:
    pool, clone = with_secret()
    inner: list[bytes] = []

    def work() -> None:
        thread = threading.Thread(target=lambda: inner.append(pickle.dumps(clone)))
        thread.start()
        thread.join()

    pickled = pickle.dumps([pool, When(work), clone])
    assert len(pickled) < len(DATA) * 1.1
    assert related(*pickle.loads(pickled)[::2])
    assert SECRET not in inner[0]


@pytest.mark.parametrize("kind", [pickle.Pickler, pickle._Pickler])  # type: ignore[attr-defined]
def test_pickler_that_remembers(kind: Any) -> None:
    pool, clone = with_secret()
    file = io.BytesIO()
    pickler, unpickler = kind(file), pickle.Unpickler(file)
    pickler.dump(pool)
    size = file.tell()
    assert pool.stats.family_pools > 2  # a clone of what the pickler remembers
    assert SECRET not in pickle.dumps(clone)  # another pickle
    changed = pool.clone()
    changed[0] = 1
    pickler.dump([pool, changed, changed.clone()])
    assert file.tell() < 2 * size + 2 * BLOCK  # written again at most once
    pickler.clear_memo()
    start = file.tell()
    pickler.dump(clone)
    assert file.tell() - start > len(DATA) - BLOCK
    del pickler
    gc.collect()
    assert pool.stats.family_pools == 3

    file.seek(0)
    first = unpickler.load()
    check([first], [pool])
    again, second, third = unpickler.load()
    assert again is first
    check([second, third], [changed, changed])
    file.seek(start)
    check([pickle.load(file)], [clone])


def test_pickler_with_a_memory_shares_with_itself() -> None:
    pool = original()
    file = io.BytesIO()
    pickler, unpickler = pickle.Pickler(file), pickle.Unpickler(file)
    pickler.dump(pool)
    pickler.dump(pool.clone())
    assert file.tell() < len(DATA) * 1.1
    file.seek(0)
    check([unpickler.load(), unpickler.load()], [pool, pool])


def test_pickler_without_a_memory() -> None:
    pool = original()
    file = io.BytesIO()
    pickler = pickle.Pickler(file, 4)
    pickler.fast = True
    pickler.dump([pool, pool.clone()])
    file.seek(0)
    for found in pickle.load(file):
        assert found.same(pool)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reduced_without_a_pickler(protocol: int) -> None:
    pool, clone = with_secret()
    call, arguments = clone.__reduce_ex__(protocol)
    assert call is rebuild
    clone[0] = DATA[0] ^ 1
    made = rebuild(*arguments)
    assert made is not None
    assert made.read(0, BLOCK) == DATA[:BLOCK]
    for _ in range(3):  # and what was reduced once may be pickled often
        pickled = pickle.dumps([pool, arguments, arguments[2]], protocol)
        assert SECRET not in pickle.dumps(arguments, protocol)
        found, (kind, _, moment), same = pickle.loads(pickled)
        assert kind is MemoryPool
        assert moment is same
        assert found.same(pool)
        assert moment.same(made)


def test_pickled_again_without_its_relative() -> None:
    """What a pool was reduced to while the pickle had the relative, in another one."""
    pool, clone = with_secret()
    later: list[Any] = []
    reduce = When(lambda: later.append(clone.__reduce_ex__(4)[1]))
    first = pickle.dumps([pool, reduce, later])
    assert len(first) < len(DATA) * 1.1
    found, _, [(_, _, moment)] = pickle.loads(first)
    check([found, moment], [pool, clone])
    for _ in range(2):
        second = pickle.dumps(later)
        assert SECRET not in second
        [(_, _, moment)] = pickle.loads(second)
        assert moment.same(clone)


def test_nothing_stays() -> None:
    pool, clone = with_secret()
    for _ in range(3):
        pickle.dumps([pool, clone])
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps([pool, clone, threading.Lock()])
        gc.collect()
        assert pool.stats.family_pools == 2
        assert pool.stats.family_views == 0


def test_threads() -> None:
    """Each pickles relatives at the same time as the others, and sees its own."""
    pool = original()
    wrong: list[Any] = []
    together = threading.Barrier(4)

    def work(number: int) -> None:
        try:
            mine = [pool.clone() for _ in range(3)]
            for index, each in enumerate(mine):
                each.write(number * BLOCK, bytes([number, index]) * 100)
            together.wait()
            for _ in range(20):
                pickled = pickle.dumps(mine, 5)
                assert len(pickled) < len(DATA) + 4 * BLOCK
                check(pickle.loads(pickled), mine)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --------------------------------------------------------------------- other picklers


def difference(pools: tuple[MemoryPool, MemoryPool]) -> Any:
    return list(pools[1].changes(pools[0])), pools[0][:50], pools


def test_process_pool(monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    function = importlib.import_module("test_pickle_relatives").difference
    pool = original()
    clone = pool.clone()
    clone.write(3 * BLOCK, b"changed")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        runs, start, back = executor.submit(function, (pool, clone)).result()
    assert runs == [(3 * BLOCK, BLOCK)]
    assert start == DATA[:50]
    check(list(back), [pool, clone])


def test_cloudpickle_and_dask() -> None:
    distributed = pytest.importorskip(
        "distributed", reason="distributed is not installed"
    )
    cloudpickle = importlib.import_module("cloudpickle")  # distributed needs it
    pool = original()
    clone = pool.clone()
    clone[5] = 1
    pickled = cloudpickle.dumps(lambda: (pool, clone))
    assert len(pickled) < len(DATA) * 1.1
    check(list(cloudpickle.loads(pickled)()), [pool, clone])
    header, frames = distributed.protocol.serialize([pool, clone])
    assert sum(len(memoryview(frame)) for frame in frames) < len(DATA) * 1.1
    check(distributed.protocol.deserialize(header, frames), [pool, clone])


# ------------------------------------------------------------------------- any family

steps = st.lists(
    st.tuples(
        st.sampled_from(["clone", "write", "discard", "resize", "copy", "restore"]),
        st.integers(0, 9),
        st.integers(0, 9),
        st.integers(1, 300),
        st.integers(0, 299),
    ),
    max_size=25,
)


def family(steps: list[Any]) -> list[MemoryPool]:
    pools = [MemoryPool(200, 16)]
    for name, one, other, size, at in steps:
        pool, relative = pools[one % len(pools)], pools[other % len(pools)]
        at %= pool.total_size
        if name == "clone":
            pools.append(pool.clone())
        elif name == "write":
            pool[at : at + size] = bytes([size % 255 + 1]) * len(pool[at : at + size])
        elif name == "discard":
            pool.discard(at, min(size, pool.total_size - at))
        elif name == "resize":
            pool.resize(size)
        elif name == "copy":
            pool.copy_from(relative, 0, min(size, pool.total_size, relative.total_size))
        else:
            pool.restore(relative)
    return pools


@given(steps, st.sampled_from(PROTOCOLS), st.sampled_from(list(DUMPS)), st.randoms())
def test_any_family(steps: list[Any], protocol: int, dumps: str, order: Any) -> None:
    pools = family(steps)
    order.shuffle(pools)
    found = pickle.loads(DUMPS[dumps](pools, protocol))
    check(found, pools)
    for one, other in zip(found, pools):  # what was cut off does not come back
        size = other.total_size
        one.resize(400)
        assert one.read(size, 400 - size) == bytes(400 - size)
