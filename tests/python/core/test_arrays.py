# SPDX-License-Identifier: MIT
"""NumPy arrays that live in a pool: in place, kept by clones, brought back by restore."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from typing import Any

import pytest

from pymempool import (
    MemoryPool,
    PoolClosedError,
    PoolLimitError,
    PoolMemoryError,
    PoolRangeError,
)

numpy: Any = pytest.importorskip("numpy", reason="numpy is not installed")

BLOCK = 4096


@pytest.fixture
def pool() -> MemoryPool:
    return MemoryPool(1 << 20, BLOCK)


def test_shape_dtype_and_offset(pool: MemoryPool) -> None:
    array = pool.array((3, 1000), "<u4", 8192)
    assert (array.shape, array.dtype.str, array.strides) == ((3, 1000), "<u4", (4000, 4))
    assert array.flags.writeable and array.flags.c_contiguous and array.flags.aligned
    assert not array.any()
    array[:] = numpy.arange(3000).reshape(3, 1000)
    assert pool.read(8192, 12000) == numpy.arange(3000, dtype="<u4").tobytes()
    pool.write(8192 + 4000, b"\1\2\3\4")
    assert array[1, 0] == 0x04030201
    assert pool.stats.pinned_blocks == 3


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        (5, (5,)),
        ((5,), (5,)),
        ([2, 3, 4], (2, 3, 4)),
        (range(1, 4), (1, 2, 3)),
        (numpy.int16(5), (5,)),
        (numpy.array(5), (5,)),
        (numpy.array([2, 3]), (2, 3)),
        ((), ()),
        (0, (0,)),
        ((3, 0, 1 << 40), (3, 0, 1 << 40)),
    ],
)
@pytest.mark.parametrize("frozen", [False, True])
def test_shapes(pool: MemoryPool, shape: Any, wanted: Any, frozen: bool) -> None:
    array = pool.array(shape, frozen=frozen)
    assert (array.shape, array.dtype) == (wanted, numpy.dtype(float))
    assert array.flags.writeable is not frozen
    assert (pool.stats.family_views > 0) == (array.size > 0)


@pytest.mark.parametrize("dtype", ["u1", ">i2", "c16", "S5", "U3", "M8[s]", "?", "V7"])
def test_dtypes(pool: MemoryPool, dtype: str) -> None:
    array = pool.array(3000, dtype)
    assert (array.dtype, array.nbytes) == (numpy.dtype(dtype), 3000 * array.itemsize)


def test_records(pool: MemoryPool) -> None:
    kind = numpy.dtype([("id", "<u2"), ("at", "<f8", (3,))])
    array = pool.array(500, kind, 1)
    array["id"] = range(500)
    array["at"][3] = 1, 2, 3
    assert pool.read(1 + 3 * 26, 2) == b"\3\0"
    assert array[3].tolist()[1].tolist() == [1, 2, 3]


def test_any_offset_and_the_flag_that_says_so(pool: MemoryPool) -> None:
    aligned, other = pool.array(2000), pool.array(2000, offset=1 << 19 | 1)
    assert aligned.flags.aligned and not other.flags.aligned
    other[:] = aligned[:] = numpy.arange(2000)
    other += 1
    assert (other == aligned + 1).all()
    assert pool.read((1 << 19) + 1, 16000) == other.tobytes()


def test_arrays_beside_each_other(pool: MemoryPool) -> None:
    first = pool.array(1000)
    with pytest.raises(PoolRangeError, match="a pin of the whole range before"):
        pool.array(1000, offset=first.nbytes)  # begins in the same block
    second = pool.array(1000, offset=2 * BLOCK)  # in one of its own
    del first, second
    whole = pool.pin()
    arrays = [pool.array(1000, offset=8000 * number) for number in range(100)]
    for number, array in enumerate(arrays):
        array[:] = number
    assert whole[: 8000 * 100] == numpy.repeat(numpy.arange(100.0), 1000).tobytes()


# --------------------------------------------------------------------- in place


def test_numpy_works_in_place(pool: MemoryPool) -> None:
    array, other = pool.array((200, 200)), pool.array((200, 200), offset=1 << 19)
    place = array.ctypes.data
    numpy.copyto(array, 2)
    array += 1
    array[1:] *= 2
    numpy.add(array, array, out=other)
    flat = numpy.full((200, 200), 6.0)
    flat[0] = 3
    assert (array == flat).all() and (other == 2 * flat).all()
    assert (array @ other == flat @ (2 * flat)).all()
    numpy.matmul(flat, flat, out=other)
    assert pool.read(1 << 19, other.nbytes) == (flat @ flat).tobytes()
    array.sort(axis=0)
    assert array.ctypes.data == place
    assert pool.read(0, array.nbytes) == array.tobytes()
    numpy.random.default_rng(5).random(out=other)
    assert pool.array((200, 200), offset=1 << 19, frozen=True).tolist() == other.tolist()


def test_a_simulation_whose_states_are_kept() -> None:
    pool = MemoryPool(1 << 20, BLOCK)
    field, flat = pool.array((256, 512)), numpy.zeros((256, 512))
    clones, kept = [pool.clone()], [flat.copy()]
    for step in range(100):
        row = step * 7 % 250
        for each in (field, flat):
            each[row : row + 3] += step + 1
            each[row] *= 0.5
        clones.append(pool.clone())
        kept.append(flat.copy())
    row_size = field.strides[0]
    for number, (clone, state) in enumerate(zip(clones, kept)):
        assert (clone.array(field.shape, frozen=True) == state).all()
        if number:
            row = (number - 1) * 7 % 250
            rows = clone.changes(clones[number - 1], item_size=row_size)
            assert list(rows) == [(row, 3)]
    # What was not written is held once.
    assert pool.stats.family_bytes < 5 * flat.nbytes

    place = field.ctypes.data
    for number in (50, 0, 100):
        pool.restore(clones[number])
        assert (field == kept[number]).all()
        assert field.ctypes.data == place
        assert list(pool.changes(clones[number])) == []


@pytest.mark.parametrize(
    ("written", "offset", "item_size", "wanted"),
    [
        ([], 0, 100, []),
        ([0], 0, 100, [(0, 41)]),
        ([5], 0, BLOCK, [(5, 1)]),
        ([5], 0, 2 * BLOCK, [(2, 1)]),
        ([4, 5], 0, 2 * BLOCK, [(2, 1)]),
        ([3, 5], 0, 2 * BLOCK, [(1, 2)]),  # two runs that touch
        ([1, 3], 0, 3 * BLOCK, [(0, 2)]),
        ([0, 2], 0, 3 * BLOCK, [(0, 1)]),  # two runs in one item
        ([1, 9], 0, 3 * BLOCK, [(0, 1), (3, 1)]),
        ([1, 9], 100, BLOCK, [(0, 2), (8, 2)]),
        ([0], 100, 1000, [(0, 4)]),
        ([1], BLOCK, 10, [(0, 410)]),
        ([255], 0, 1 << 30, [(0, 1)]),
        ([255], 0, 1000, [(1044, 5)]),
    ],
)
def test_changes_in_items(
    pool: MemoryPool, written: list[int], offset: int, item_size: int, wanted: Any
) -> None:
    base = pool.clone()
    for block in written:
        pool.write(block * BLOCK, b"x")
    assert list(pool.changes(base, offset, item_size=item_size)) == wanted


def test_a_frozen_array_is_of_one_moment(pool: MemoryPool) -> None:
    live = pool.array(5000)
    live[:] = numpy.arange(5000)
    frozen = pool.array(5000, frozen=True)
    live[:] = 0
    assert (frozen == numpy.arange(5000)).all()
    with pytest.raises(ValueError):
        frozen[0] = 1
    with pytest.raises(ValueError):
        frozen.flags.writeable = True


def test_frozen_arrays_without_a_copy(pool: MemoryPool) -> None:
    pool.pin(0, 40_000).release()
    before = pool.stats
    frozen = pool.array(5000, frozen=True)
    assert pool.stats.family_views == 1
    assert pool.stats._replace(family_views=0, shared_blocks=0) == before._replace(
        family_views=0, shared_blocks=0
    )
    pool.fill(0, 255, 40_000)
    assert not frozen.any()
    with pytest.raises(ValueError):
        frozen.flags.writeable = True


# --------------------------------------------------------------------- lifetime


def test_the_pin_ends_with_the_last_array(pool: MemoryPool) -> None:
    observer = pool.clone()
    array = pool.array(5000)
    part = array[10:20].view("u8").reshape(2, 5)
    pool.close()
    del array
    gc.collect()
    assert observer.stats.family_views == 1
    part[:] = 7
    assert (part == 7).all()
    cycle: list[Any] = [part]
    cycle.append(cycle)
    del part, cycle
    gc.collect()
    assert observer.stats.family_views == 0


def test_arrays_end_in_other_threads(pool: MemoryPool) -> None:
    arrays = [pool.array(1000, offset=8000 * number) for number in range(0, 60, 2)]
    threads = [
        threading.Thread(target=lambda: [arrays.pop().sum() for _ in range(10)])
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (arrays, pool.stats.family_views) == ([], 0)


# ----------------------------------------------------------------------- errors


def refused(pool: MemoryPool, kind: type[Exception], *arguments: Any) -> str:
    before = pool.stats
    texts = []
    for frozen in (False, True):
        with pytest.raises(kind) as caught:
            pool.array(*arguments, frozen=frozen)
        texts.append(str(caught.value))
    assert pool.stats == before
    assert texts[0] == texts[1]
    return texts[0]


@pytest.mark.parametrize("dtype", [object, "O", "i4, O", [("a", "u1"), ("b", "O")]])
def test_dtypes_with_references(pool: MemoryPool, dtype: Any) -> None:
    assert "references to Python objects" in refused(pool, TypeError, 5, dtype)


@pytest.mark.parametrize("dtype", ["S", "U", "V", "S0"])
def test_dtypes_without_a_size(pool: MemoryPool, dtype: Any) -> None:
    assert "no size" in refused(pool, TypeError, 5, dtype)


def test_dtypes_that_are_none(pool: MemoryPool) -> None:
    refused(pool, TypeError, 5, "no such dtype")


def test_ranges_past_the_end(pool: MemoryPool) -> None:
    text = refused(pool, PoolRangeError, 1 << 17, float, 8)
    assert text == "size at offset 8 is 1048576, allowed is 0 .. 1048568"
    refused(pool, PoolRangeError, 1, "u1", 1 << 20)
    refused(pool, PoolRangeError, 0, "u1", (1 << 20) + 1)
    refused(pool, PoolRangeError, 5, "u1", -1)
    refused(pool, PoolRangeError, (1 << 40, 1 << 40))
    refused(pool, PoolRangeError, 10**100)


@pytest.mark.parametrize("shape", [-1, (3, -1), (-1, -1), [0, -5]])
def test_negative_lengths(pool: MemoryPool, shape: Any) -> None:
    assert "length in shape is -" in refused(pool, PoolRangeError, shape)


@pytest.mark.parametrize("shape", [1.5, "5", None, (1, 2.0), {"a": 1}, object()])
def test_shapes_that_are_none(pool: MemoryPool, shape: Any) -> None:
    assert "must be an integer" in refused(pool, TypeError, shape)


def test_closed_pools(pool: MemoryPool) -> None:
    pool.close()
    for frozen in (False, True):
        with pytest.raises(PoolClosedError):
            pool.array(5, frozen=frozen)


def test_limits_and_allocations(pool: MemoryPool, fail_allocation: Any) -> None:
    small = MemoryPool(1 << 20, BLOCK, memory_limit=8 * BLOCK)
    assert refused_pin(small, PoolLimitError)
    for fault in fail_allocation.each():
        with fault:
            pool.array(5000)
        if fault.error is not None:
            assert type(fault.error) is PoolMemoryError
            assert pool.stats.held_blocks == pool.stats.family_views == 0


def refused_pin(pool: MemoryPool, kind: type[Exception]) -> bool:
    before = pool.stats
    with pytest.raises(kind):
        pool.array(5000)
    return pool.stats._replace(metadata_bytes=0) == before._replace(metadata_bytes=0)


def test_without_numpy(pool: MemoryPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(ImportError, match=r"pip install 'pymempool\[numpy\]'") as caught:
        pool.array(5)
    assert caught.value.name == "numpy"
    assert pool.stats.family_views == 0


def test_numpy_is_imported_when_an_array_is_made() -> None:
    code = """
import sys
from pymempool import MemoryPool
pool = MemoryPool(100)
assert "numpy" not in sys.modules
pool.array(5)
assert "numpy" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
