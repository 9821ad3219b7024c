# SPDX-License-Identifier: MIT
"""Pickles keep which bytes of a pool were set, and what is known of its image."""

from __future__ import annotations

import copy
import gc
import importlib
import io
import multiprocessing
import pickle
import random
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from internals import count_adopted
from written_model import SIZE, Model, change, changed, facts_of, runs_of, tracking

from pymempool import MemoryPool, PoolClosedError, PoolRangeError, PoolUnrelatedError
from pymempool.pool import rebuild

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


class Mine(MemoryPool):
    """A class of a user's own."""


def filled() -> MemoryPool:
    pool = tracking()
    pool.write(3, b"\0\1\0")
    pool.fill(70, 0, 10)
    return pool


@every_protocol
def test_round_trip(protocol: int) -> None:
    pool = filled()
    pool.start_address, pool.header = 0x123456, None
    twin = pickle.loads(pickle.dumps(pool, protocol))
    assert facts_of(twin) == facts_of(pool)
    assert list(twin.written()) == [(3, 3), (70, 10)]
    twin.fill(0, 0, 2)  # goes on to track, by itself
    pool.discard(70, 10)
    assert list(twin.written()) == [(0, 2), (3, 3), (70, 10)]
    assert list(pool.written()) == [(3, 3)]
    again = pickle.loads(pickle.dumps(twin.clone(), protocol))
    assert facts_of(again) == facts_of(twin)


@every_protocol
@pytest.mark.parametrize("start", [None, 0, 2**64 - 1])
@pytest.mark.parametrize("header", [None, b"", b"pymempool", bytes(range(252))])
def test_facts_without_marks(
    protocol: int, start: int | None, header: bytes | None
) -> None:
    pool = Mine(1000, 64)
    pool.start_address, pool.header = start, header
    pool.write(5, b"x")
    twin = pickle.loads(pickle.dumps(pool, protocol))
    assert type(twin) is Mine
    assert facts_of(twin) == (pool[:], [(0, 64)], start, header)


@every_protocol
def test_marks_without_facts(protocol: int) -> None:
    twin = pickle.loads(pickle.dumps(tracking(), protocol))
    assert facts_of(twin) == (bytes(SIZE), [], None, b"pymempool")
    twin.write(9, b"\0")
    assert list(twin.written()) == [(9, 1)]


@every_protocol
def test_raw_images(protocol: int) -> None:
    with MemoryPool.load(io.BytesIO(bytes(100)), format="raw") as pool:
        twin = pickle.loads(pickle.dumps(pool, protocol))
        assert list(twin.written()) == [(0, 100)]


@every_protocol
def test_pickle_path(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(bytes(100) + b"data" * 2000)
    pool = MemoryPool.load(path, 64, pickle_path=True)
    clone = pool.clone()
    clone.start_address, clone.header = 5, b"title"
    clone.write(4, b"x")
    pickled = pickle.dumps([pool, clone], protocol)
    assert len(pickled) < 1000 + len(str(path))
    for one, other in zip(pickle.loads(pickled), [pool, clone]):
        assert facts_of(one) == facts_of(other)
        assert list(one.written()) == [(0, 8100)]


def test_pickle_path_of_what_is_no_whole_image(tmp_path: Path) -> None:
    """Restored from a relative of which only blocks are known, as C code may make it."""
    path = tmp_path / "image"
    path.write_bytes(b"data" * 2000)
    pool = MemoryPool.load(path, 64, pickle_path=True)
    with MemoryPool.from_handle(pool.handle) as alias, alias.clone() as clone:
        clone.discard(64, 64)
        pool.restore(clone)
    twin = pickle.loads(pickle.dumps(pool))
    assert list(twin.written()) == list(pool.written()) == [(0, 64), (128, 7872)]


@every_protocol
def test_relatives(protocol: int) -> None:
    """They stay relatives with their marks, and what they share is written once."""
    pool = tracking(1 << 20, 4096)
    pool.write(0, random.Random(1).randbytes(1 << 18))
    clone = pool.clone()
    clone.fill(1000, 0, 50)
    clone.discard(5000, 50)
    clone.header = b"clone"
    alone = len(pickle.dumps(pool, protocol))
    pickled = pickle.dumps([pool, [clone, pool.clone()]], protocol)
    assert len(pickled) < alone + 6 * 4096 * (1 if protocol else 4)
    first, (second, third) = pickle.loads(pickled)
    for one, other in zip([first, second, third], [pool, clone, pool]):
        assert facts_of(one) == facts_of(other)
    assert list(second.changes(first)) == [(0, 8192)]
    first.restore(second)
    assert facts_of(first) == facts_of(clone)
    second.restore(third)
    assert facts_of(second) == facts_of(pool)
    assert len(pickle.dumps([pool, clone], protocol)) < len(pickled)


def test_relatives_that_track_and_do_not() -> None:
    pool = filled()
    alias = MemoryPool.from_handle(pool.handle)
    found = pickle.loads(pickle.dumps([alias, pool, alias.clone(), pool.clone()]))
    for one, other in zip(found, [alias, pool, alias, pool]):
        assert facts_of(one) == facts_of(other)
    found[1].restore(found[2])
    assert list(found[1].written()) == list(alias.written())
    found[1].restore(found[3])
    assert list(found[1].written()) == list(pool.written())


@pytest.mark.parametrize("seed", range(12))
def test_pickles_between_any_changes(seed: int) -> None:
    """Also restore() between the two, which must still be relatives with their marks."""
    draw = random.Random(seed)
    models = [Model(tracking(SIZE, draw.choice([1, 64, 4096])))]
    models.append(models[0].clone())
    for step in range(60):
        model, other = draw.sample(models, 2)
        change(model, other, draw)
        if step % 6 == 0:
            pickled = pickle.dumps([it.pool for it in models], seed % len(PROTOCOLS))
            for each, pool in zip(models, pickle.loads(pickled)):
                each.pool = pool
        model.check()
        other.check()


def test_one_moment() -> None:
    """The marks are those of the bytes, whatever is written while it is pickled."""
    pool, steps = tracking(SIZE * 2), list[Any]()

    class Later:
        def __reduce__(self) -> Any:
            pool.write(50, b"later")
            return type(None), ()

    class Writes(pickle.Pickler):
        def persistent_id(self, thing: Any) -> None:
            steps.append(thing)
            pool.write(100 + 6 * len(steps), b"later")

    pool.write(0, b"first")
    first, _, second = pickle.loads(pickle.dumps([pool, Later(), pool.clone()]))
    assert list(first.written()) == list(second.written()) == [(0, 5)]
    file = io.BytesIO()
    Writes(file).dump(pool)
    file.seek(0)
    twin = pickle.load(file)
    assert list(twin.written()) == [(0, 5), (50, 5), (106, 5)]
    assert [at for at, byte in enumerate(twin[:]) if byte] == [
        *range(5),
        *range(50, 55),
        *range(106, 111),
    ]
    assert len(list(pool.written())) > 3


def test_out_of_band() -> None:
    pool = filled()
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(pool, 5, buffer_callback=buffers.append)
    assert [len(memoryview(it)) for it in buffers] == [64, 128]  # data and marks
    twin = pickle.loads(pickled, buffers=buffers)
    assert facts_of(twin) == facts_of(pool)
    del twin, buffers
    gc.collect()
    assert count_adopted() == 0


def test_holes_cost_nothing() -> None:
    pool = tracking(1 << 40, 65536)
    pool.write(1 << 39, b"\0")
    assert len(pickle.dumps(pool)) < 65536 + 4096 + 500


def test_pools_that_know_nothing_more_cost_nothing_more(pool: MemoryPool) -> None:
    assert len(pool.__reduce_ex__(4)[1]) == 3
    pool.header, pool.start_address = b"pymempool", None
    assert len(pool.__reduce_ex__(4)[1]) == 3
    assert len(filled().__reduce_ex__(4)[1]) > 3


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_pickles_name_nothing_more(protocol: int) -> None:
    """So that an unpickler that finds just these loads them, too."""
    found = set()

    class Names(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            found.add((module, name))
            return super().find_class(module, name)

    pool = filled()
    pool.start_address, pool.header = 5, b"title"
    pickled = pickle.dumps([pool, pool.clone()], protocol)
    assert facts_of(Names(io.BytesIO(pickled)).load()[1]) == facts_of(pool)
    assert found == {("pymempool.pool", "rebuild"), ("pymempool", "MemoryPool")}


def test_what_c_code_made_larger() -> None:
    pool = filled()
    with MemoryPool.from_handle(pool.handle) as alias:
        alias.resize(SIZE * 2)
        alias.write(SIZE, b"\0x")
    twin = pickle.loads(pickle.dumps(pool))
    assert list(twin.written()) == list(pool.written()) == [(3, 3), (70, 10)]
    twin.write(SIZE, bytes(2))
    assert list(twin.written()) == [(3, 3), (70, 10), (SIZE, 2)]


def test_copies() -> None:
    pool = filled()
    pool.start_address = 7
    for twin in (copy.copy(pool), copy.deepcopy([pool])[0]):
        assert facts_of(twin) == facts_of(pool)
        assert twin.start_address == 7


# --------------------------------------------------------------------- other picklers


def test_process_pool() -> None:
    pool = filled()
    pool.start_address = 9
    before = facts_of(pool)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        answer, received = executor.submit(changed, pool).result()
    assert received == before
    assert list(answer.written()) == [(3, 3), (70, 10), (500, 9)]
    assert (answer.start_address, answer.header) == (9, b"by another process")


def test_cloudpickle_and_dask() -> None:
    distributed = pytest.importorskip(
        "distributed", reason="distributed is not installed"
    )
    cloudpickle = importlib.import_module("cloudpickle")  # distributed needs it
    pools = [filled(), filled().clone()]
    pools[1].header = b"second"
    pickled = cloudpickle.dumps(lambda: pools)
    serialized = distributed.protocol.serialize(pools)
    for found in (
        cloudpickle.loads(pickled)(),
        distributed.protocol.deserialize(*serialized),
    ):
        assert [*map(facts_of, found)] == [*map(facts_of, pools)]


# ------------------------------------------------------------------- hostile pickles

OPTIONS = (64, None, False, False, False)
BARE = (MemoryPool, None, OPTIONS, 100, [10], [b"data"])
IMAGES: dict[str, tuple[Any, type[Exception]]] = {
    "no dict": (5, TypeError),
    "a tuple": ((True, None, None), TypeError),
    "another name": ({"name": 5}, TypeError),
    "a name that is none": ({5: 5}, TypeError),
    "start address of another kind": ({"start_address": "5"}, TypeError),
    "negative start address": ({"start_address": -1}, PoolRangeError),
    "huge start address": ({"start_address": 2**64}, PoolRangeError),
    "short record of a start address": ({"start_address": b"abc"}, PoolRangeError),
    "header of another kind": ({"header": "text"}, TypeError),
    "header that is a number": ({"header": 1 << 40}, TypeError),
    "long header": ({"header": bytes(253)}, PoolRangeError),
}


@pytest.mark.parametrize("name", IMAGES)
def test_hostile_facts(name: str) -> None:
    image, kind = IMAGES[name]
    with pytest.raises(kind):
        rebuild(*BARE, image)
    assert count_adopted() == 0


@pytest.mark.parametrize("wrong", [b"marks", 5, [], dict, MemoryPool])
def test_hostile_marks(wrong: Any) -> None:
    with pytest.raises(TypeError, match="a MemoryPool is needed"):
        rebuild(*BARE, {}, wrong)
    assert count_adopted() == 0


def test_closed_marks() -> None:
    marks = MemoryPool(100)
    marks.close()
    with pytest.raises(PoolClosedError):
        rebuild(*BARE, None, marks)


def test_whole_is_a_truth() -> None:
    pool = rebuild(*BARE, {"whole": "yes"})
    assert pool is not None
    assert list(pool.written()) == [(0, 100)]


@pytest.mark.parametrize("size", [1, 12, 100, 5000])
def test_marks_of_any_size_and_bytes(size: int) -> None:
    """They say something else then, as somebody wished, and nothing breaks."""
    marks = MemoryPool(size, 64)
    marks.fill(0, 6, min(size, 20))
    pool = rebuild(*BARE, None, marks)
    assert pool is not None
    held = set(range(min(size, 20))) | ({10, 11, 12, 13} if size >= 14 else {10, 11})
    held &= set(range(min(size, 100)))
    assert list(pool.written()) == runs_of(held)
    pool.fill(90, 0, 5)
    held |= {10, 11, 12, 13, *range(90, 95)}
    assert list(pool.written()) == runs_of(held)
    assert marks.total_size == size
    pool.resize(200)
    pool.discard(0, 200)
    assert list(pool.written()) == []


def test_a_pool_that_marks_itself_or_others() -> None:
    base = MemoryPool(100, 64, track_written=True)
    base.write(5, b"\0abc")
    one, other = rebuild(*BARE[:2], base, None, (), (), {}, base), filled()
    assert one is not None
    one.write(50, b"x")
    assert list(base.written()) == [(5, 4)]
    assert list(one.written()) == [(6, 3), (50, 1)]
    with pytest.raises(PoolUnrelatedError):
        one.restore(other)
    assert list(one.written()) == [(6, 3), (50, 1)]
    with pytest.raises(PoolUnrelatedError):
        one.restore(base)  # a relative, whose marks are none
    assert list(one.written()) == [(6, 3), (50, 1)]
