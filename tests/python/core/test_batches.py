# SPDX-License-Identifier: MIT
"""gather() and scatter(): offsets and data in every form, with and without numpy."""

from __future__ import annotations

import array
import subprocess
import sys
import threading
from typing import Any

import pytest
from internals import SIZE_MAX

from pymempool import MemoryPool, PoolLimitError, PoolMemoryError, PoolRangeError

ONES = bytes(range(1, 201))  # what the pool fixture has at 100

PLAIN = [
    [100, 260, 0, 4092, 100],
    (100, 260, 0, 4092, 100),
    array.array("H", [100, 260, 0, 4092, 100]),
    memoryview(array.array("Q", [100, 260, 0, 4092, 100])),
    dict.fromkeys([100, 260, 0, 4092]),
    range(0, 4000, 50),
    b"\0\1dz",
    [],
]


def one_by_one(pool: MemoryPool, offsets: Any, item_size: int) -> bytes:
    return b"".join(pool.read(offset, item_size) for offset in offsets)


@pytest.mark.parametrize("offsets", PLAIN, ids=lambda it: type(it).__name__)
@pytest.mark.parametrize("item_size", [0, 1, 4])
def test_plain_sequences(offsets: Any, item_size: int, pool: MemoryPool) -> None:
    wanted = one_by_one(pool, offsets, item_size)
    found = pool.gather(offsets, item_size)
    assert type(found) is bytes
    assert found == wanted
    out = bytearray(len(wanted))
    assert pool.gather(iter(offsets), item_size, out) is out
    assert out == wanted


def test_scatter(pool: MemoryPool) -> None:
    pool.scatter([3000, 1000, 2000, 1001], b"aabbccdd")
    assert pool.read(3000, 3) == b"aa\0"
    assert pool.read(2000, 3) == b"cc\0"
    assert pool.read(1000, 4) == b"bdd\0"
    pool.scatter([], b"")
    pool.scatter([5], b"")
    pool.scatter(array.array("B", [7, 9]), memoryview(array.array("H", [1, 2])))
    assert pool.read(7, 4) == array.array("H", [1, 2]).tobytes()


def test_large_items_and_many(pool: MemoryPool) -> None:
    offsets = [i * 3 % 4000 for i in range(20000)]
    assert pool.gather(offsets, 5) == one_by_one(pool, offsets, 5)
    assert pool.gather([0, 0], 4096) == pool[:] * 2
    pool.scatter([0], bytes(4096))
    assert pool[:] == bytes(4096)


@pytest.mark.parametrize("wrong", [-1, 4093, 4096, SIZE_MAX, SIZE_MAX + 1, -(2**70)])
def test_offenders_are_named(wrong: int, pool: MemoryPool) -> None:
    before = pool[:]
    for call in (
        lambda: pool.gather([0, 5, wrong, 7], 4),
        lambda: pool.gather([0, 5, wrong, 7], 4, bytearray(16)),
        lambda: pool.scatter([0, 5, wrong, 7], b"x" * 16),
    ):
        with pytest.raises(PoolRangeError) as caught:
            call()
        assert str(caught.value) == f"offset number 2 is {wrong}, allowed is 0 .. 4092"
    assert pool[:] == before


@pytest.mark.parametrize("wrong", [[1.0], ["1"], [None], "12", 5, None, [b"1"], [[1]]])
def test_offsets_that_are_none(wrong: Any, pool: MemoryPool) -> None:
    told = "a series of integers, not" if wrong in (5, None) else "integer"
    with pytest.raises(TypeError, match=told):
        pool.gather(wrong, 1)
    with pytest.raises(TypeError):
        pool.scatter(wrong, b"x")


def test_sizes_that_do_not_fit(pool: MemoryPool) -> None:
    for item_size in (-1, 4097, SIZE_MAX + 1):
        with pytest.raises(PoolRangeError, match="item_size"):
            pool.gather([0], item_size)
    with pytest.raises(TypeError, match="item_size"):
        pool.gather([0], 1.0)  # type: ignore[call-overload]
    for size in (0, 7, 9):
        with pytest.raises(PoolRangeError, match=rf"size of out is {size}, .* is 8$"):
            pool.gather([0, 1], 4, bytearray(size))
    for out in (bytes(8), "text", memoryview(bytearray(16))[::2]):
        with pytest.raises(TypeError):
            pool.gather([0, 1], 4, out)
    for offsets, data in (([0, 1], b"abc"), ([], b"a"), ([0, 1, 2], b"a")):
        with pytest.raises(PoolRangeError, match=f"size of data is {len(data)}"):
            pool.scatter(offsets, data)
    with pytest.raises(TypeError, match="contiguous"):
        pool.scatter([0], 5)  # type: ignore[arg-type]
    large = MemoryPool(SIZE_MAX)
    with pytest.raises(PoolMemoryError):
        large.gather([0, 0], SIZE_MAX >> 1)


def test_over_the_limit() -> None:
    pool = MemoryPool(4096, 64, memory_limit=128)
    with pytest.raises(PoolLimitError, match="0 of 128 bytes"):
        pool.scatter([0, 64, 128], b"abc")
    assert list(pool.extents()) == []
    pool.scatter([0, 64, 1], b"abc")


def test_each_item_is_one_step() -> None:
    pool = MemoryPool(4096, 64)
    offsets = list(range(0, 4000, 80))
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for byte in (b"a", b"b"):
                pool.scatter(offsets, byte * 80 * len(offsets))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(300):
            found = pool.gather(offsets, 80)
            for at in range(0, len(found), 80):
                assert found[at : at + 80] == found[at : at + 1] * 80
    finally:
        stop.set()
        thread.join()


# ------------------------------------------------------------------- with numpy


@pytest.fixture
def numpy() -> Any:
    return pytest.importorskip("numpy", reason="numpy is not installed")


@pytest.mark.parametrize(
    "kind", ["i1", "u1", "<i2", ">u2", "<i4", ">i4", "<u4", "<i8", ">i8", "<u8", ">u8"]
)
@pytest.mark.parametrize("shape", [(), (6,), (2, 3), (3, 1, 2), (0,), (2, 0)])
def test_arrays(kind: str, shape: Any, numpy: Any, pool: MemoryPool) -> None:
    places = [0, 100, 121, 95, 7, 126][: int(numpy.prod(shape))]
    offsets = numpy.array(places, dtype=kind).reshape(shape)
    apart = numpy.stack([offsets, offsets], axis=-1)[..., 0]  # not contiguous
    for form in (offsets, numpy.array(offsets, order="F"), apart):
        items = pool.gather(form, 4)
        assert (items.shape, items.dtype) == ((*shape, 4), numpy.uint8)
        assert items.tobytes() == one_by_one(pool, places, 4)
    twin = MemoryPool(4096, 64)
    twin.scatter(offsets, items)
    assert twin.gather(places, 4) == items.tobytes()


def test_out_arrays(numpy: Any, pool: MemoryPool) -> None:
    offsets = numpy.arange(0, 4096, 8)
    out = numpy.zeros(512, dtype="<f8")
    assert pool.gather(offsets, 8, out) is out
    assert out.tobytes() == pool[:]
    out = numpy.zeros((512, 2, 2), dtype="<i2")
    pool.gather(offsets.tolist(), 8, out=out)
    assert out.tobytes() == pool[:]
    twin = MemoryPool(4096)
    twin.scatter(offsets, out)
    assert twin[:] == pool[:]
    for wrong in (out[:, :, :1], out.T, out[:511]):
        with pytest.raises((TypeError, PoolRangeError)):
            pool.gather(offsets, 8, wrong)


@pytest.mark.parametrize("kind", ["bool", "f4", "f8", "c16", "O", "U1", "M8[s]", "V4"])
def test_arrays_of_other_kinds(kind: str, numpy: Any, pool: MemoryPool) -> None:
    offsets = numpy.zeros(3, dtype=kind)
    with pytest.raises(TypeError, match="offsets must be integers"):
        pool.gather(offsets, 1)
    with pytest.raises(TypeError, match="offsets must be integers"):
        pool.scatter(offsets, b"abc")


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [("i1", -1), ("<i8", -1), (">i8", -(2**63)), ("<i2", 4093), ("<u8", 2**64 - 1)],
)
def test_offenders_in_arrays(kind: str, wrong: int, numpy: Any, pool: MemoryPool) -> None:
    offsets = numpy.array([[1, 2], [wrong, 3]], dtype=kind)
    for call in (
        lambda: pool.gather(offsets, 4),
        lambda: pool.scatter(offsets, bytes(16)),
    ):
        with pytest.raises(PoolRangeError) as caught:
            call()
        assert str(caught.value) == f"offset number 2 is {wrong}, allowed is 0 .. 4092"
    large = MemoryPool(SIZE_MAX)  # where a negative one would do, as a size_t
    if wrong < 0:
        with pytest.raises(PoolRangeError, match=f"offset number 2 is {wrong}"):
            large.gather(offsets, 1)


def test_no_loop_in_python(numpy: Any) -> None:
    count = 10**6
    pool = MemoryPool(8 * count)
    offsets = numpy.random.default_rng(1).permutation(count) * 8
    lines = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal lines
        lines += 1
        return trace

    other = sys.gettrace()  # of a debugger, or of what measures coverage
    sys.settrace(trace)
    try:
        pool.scatter(offsets, numpy.arange(count))
        items = pool.gather(offsets, 8)
    finally:
        sys.settrace(other)
    assert lines < 1000
    assert (items.view("i8").ravel() == numpy.arange(count)).all()
    assert (numpy.frombuffer(pool[:], "i8")[offsets // 8] == numpy.arange(count)).all()


def test_numpy_is_not_imported() -> None:
    script = (
        "import sys; from pymempool import MemoryPool; p = MemoryPool(99);"
        "p.scatter([1], b'x'); print(p.gather([1], 1), 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{script}"],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "b'x' False", done.stderr
