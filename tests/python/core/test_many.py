# SPDX-License-Identifier: MIT
"""read_many() and write_many(): ranges of different sizes, with and without numpy."""

from __future__ import annotations

import array
import subprocess
import sys
import threading
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from internals import SIZE_MAX

from pymempool import (
    MemoryPool,
    PoolClosedError,
    PoolLimitError,
    PoolMemoryError,
    PoolRangeError,
)

RANGES = [(100, 5), (260, 0), (0, 4096), (4096, 0), (4092, 4), (100, 200), (99, 1)]

FORMS = {
    "list": list,
    "tuple": tuple,
    "iterator": iter,
    "dict": lambda ranges: dict(ranges).items(),
    "lists": lambda ranges: [list(each) for each in ranges],
    "arrays": lambda ranges: [array.array("H", each) for each in ranges],
    "nothing": lambda ranges: [],
}


def one_by_one(pool: MemoryPool, ranges: Any) -> list[bytes]:
    return [pool.read(offset, size) for offset, size in ranges]


@pytest.mark.parametrize("form", FORMS)
def test_read_many(form: str, pool: MemoryPool) -> None:
    wanted = one_by_one(pool, FORMS[form](RANGES))
    found = pool.read_many(FORMS[form](RANGES))
    assert found == wanted
    assert {type(each) for each in found} <= {bytes}
    out = bytearray(sum(map(len, wanted)))
    assert pool.read_many(FORMS[form](RANGES), out) is out
    assert out == b"".join(wanted)


def test_memoryviews_of_pairs(pool: MemoryPool) -> None:
    pairs = memoryview(bytes([100, 5, 9, 0])).cast("B", (2, 2))
    assert pool.read_many(pairs) == [pool.read(100, 5), b""]
    pairs.release()
    with pytest.raises(ValueError, match="released"):
        pool.read_many(pairs)


def test_what_the_pool_yields(pool: MemoryPool) -> None:
    """Ranges as the walks have them: what differs is read, and written elsewhere."""
    twin = MemoryPool(4096)
    pool.write(3000, b"later")
    runs = list(pool.extents())
    twin.write_many(zip((start for start, _ in runs), pool.read_many(pool.extents())))
    assert twin[:] == pool[:]


def test_write_many(pool: MemoryPool) -> None:
    pool.write_many(
        [(3000, b"aa"), (1000, bytearray(b"b" * 9)), (1004, b""), (1001, b"c")]
    )
    assert pool.read(3000, 3) == b"aa\0"
    assert pool.read(1000, 10) == b"bcbbbbbbb\0"
    pool.write_many([])
    pool.write_many(iter([(4096, b"")]))
    pool.write_many({7: array.array("H", [1, 2])}.items())
    assert pool.read(7, 4) == array.array("H", [1, 2]).tobytes()
    pool.write_many([(0, bytes(4096))])
    assert pool[:] == bytes(4096)


def test_long_and_many(pool: MemoryPool) -> None:
    ranges = [(i * 3 % 4000, i % 90) for i in range(20000)]
    assert pool.read_many(ranges) == one_by_one(pool, ranges)
    large = MemoryPool(1 << 24, 4096)
    data = bytes(range(256)) * 4096
    large.write_many([(5, data), (1 << 23, data), (9, b"middle"), (1 << 22, data[:5])])
    assert large.read_many([(0, 5), (5, 4), (9, 6), (15, len(data) - 10)]) == [
        *(bytes(5), data[:4], b"middle", data[10:]),
    ]


places = st.tuples(st.integers(0, 300), st.integers(0, 300)).map(
    lambda it: (it[0], min(it[1], 300 - it[0]))
)


@settings(max_examples=200)
@given(
    st.sampled_from([1, 16, 64, 512]),
    st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=150)), max_size=12),
    st.lists(places, max_size=50),
    st.booleans(),
)
def test_as_a_bytearray(
    block: int, items: list[tuple[int, bytes]], ranges: list[tuple[int, int]], twice: bool
) -> None:
    pool, flat = MemoryPool(300, block), bytearray(300)
    pool.write(40, b"before" * 10)
    flat[40:100] = b"before" * 10
    items = [(at, data[: 300 - at]) for at, data in items]
    was = pool.clone()
    for _ in range(1 + twice):  # in blocks that are shared, and in those of its own
        pool.write_many(items)
    for at, data in items:
        flat[at : at + len(data)] = data
    assert pool[:] == flat
    assert was[40:100] == b"before" * 10
    assert pool.read_many(ranges) == [bytes(flat[at : at + size]) for at, size in ranges]


# --------------------------------------------------------------------- what is refused

OFFSETS = [-1, 4097, SIZE_MAX, SIZE_MAX + 1, -(2**70)]


@pytest.mark.parametrize("wrong", OFFSETS)
def test_wrong_offsets_are_named(wrong: int, pool: MemoryPool) -> None:
    before = pool[:]
    for call in (
        lambda: pool.read_many([(0, 5), (5, 0), (wrong, 0), (-7, 7)]),
        lambda: pool.read_many([(0, 5), (5, 0), (wrong, 0)], bytearray(5)),
        lambda: pool.write_many([(0, b"x"), (5, b"x"), (wrong, b""), (-7, b"x")]),
    ):
        with pytest.raises(PoolRangeError) as caught:
            call()
        assert str(caught.value) == f"offset number 2 is {wrong}, allowed is 0 .. 4096"
    assert pool[:] == before


@pytest.mark.parametrize("wrong", [-1, 97, SIZE_MAX, SIZE_MAX + 1, -(2**70)])
def test_wrong_sizes_are_named(wrong: int, pool: MemoryPool) -> None:
    for out in (None, bytearray(5)):
        with pytest.raises(PoolRangeError) as caught:
            pool.read_many([(0, 5), (4000, wrong), (0, -1)], out)
        assert str(caught.value) == (
            f"size number 1, at offset 4000, is {wrong}, allowed is 0 .. 96"
        )


def test_data_that_does_not_fit(pool: MemoryPool) -> None:
    before = pool[:]
    with pytest.raises(PoolRangeError) as caught:
        pool.write_many([(0, b"x"), (4000, bytes(97))])
    assert str(caught.value) == (
        "size of data number 1, at offset 4000, is 97, allowed is 0 .. 96"
    )
    assert pool[:] == before


@pytest.mark.parametrize(
    "wrong", [5, None, [5], [None], [()], [(1,)], [(1, 2, 3)], "12", ["abc"], b"12", [{}]]
)
def test_what_is_no_series_of_pairs(wrong: Any, pool: MemoryPool) -> None:
    told = "a series of pairs" if wrong in (5, None) else "range number 0 must be a pair"
    with pytest.raises(TypeError, match=rf"{told} \(offset, size\)"):
        pool.read_many(wrong)
    with pytest.raises(TypeError, match=rf"{told} \(offset, data\)"):
        pool.write_many(wrong)


@pytest.mark.parametrize("wrong", [1.0, "1", None, b"1", [1]])
def test_what_is_no_number(wrong: Any, pool: MemoryPool) -> None:
    kind = type(wrong).__name__
    told = f"offset number 1 must be an integer, not {kind}"
    with pytest.raises(TypeError, match=told):
        pool.read_many([(0, 0), (wrong, 1)])
    with pytest.raises(TypeError, match=told):
        pool.write_many([(0, b"x"), (wrong, b"x")])
    told = f"size number 1, at offset 7, must be an integer, not {kind}"
    with pytest.raises(TypeError, match=told):
        pool.read_many([(0, 0), (7, wrong)])
    assert pool.read(0, 1) == b"\0"


@pytest.mark.parametrize(
    "wrong", [5, None, "text", [1], memoryview(bytes(9))[::2]], ids=str
)
def test_what_is_no_data(wrong: Any, pool: MemoryPool) -> None:
    told = f"data number 1 must be contiguous .*, not this {type(wrong).__name__}$"
    with pytest.raises(TypeError, match=told):
        pool.write_many([(0, b"x"), (7, wrong)])
    assert pool.read(0, 1) == b"\0"


def test_data_is_free_again(pool: MemoryPool) -> None:
    data = bytearray(b"data")
    pool.write_many([(0, data), (10, data)])
    with pytest.raises(TypeError) as caught:
        pool.write_many([(0, data), (10, 5)])  # type: ignore[list-item]
    data.append(1)  # while what was raised is at hand
    assert caught.traceback


def test_out_that_does_not_fit(pool: MemoryPool) -> None:
    for size in (0, 7, 9):
        with pytest.raises(PoolRangeError, match=rf"size of out is {size}, .* is 8$"):
            pool.read_many([(0, 3), (9, 5)], bytearray(size))
    for out in (bytes(8), "text", memoryview(bytearray(16))[::2]):
        with pytest.raises(TypeError):
            pool.read_many([(0, 3), (9, 5)], out)  # type: ignore[type-var]


def test_more_than_an_object_holds() -> None:
    large = MemoryPool(SIZE_MAX)
    for ranges in ([(0, SIZE_MAX)], [(0, SIZE_MAX >> 1)] * 2, [(0, SIZE_MAX)] * 9):
        with pytest.raises(PoolMemoryError, match="do not fit an object"):
            large.read_many(ranges)
        with pytest.raises(PoolRangeError, match="size of out"):
            large.read_many(ranges, bytearray(5))


def test_over_the_limit() -> None:
    pool = MemoryPool(4096, 64, memory_limit=128)
    with pytest.raises(PoolLimitError, match="0 of 128 bytes"):
        pool.write_many([(0, b"a"), (64, b"bcd"), (128, b"e")])
    assert list(pool.extents()) == []
    pool.write_many([(0, b"a"), (60, b"bcd" * 3)])


def test_a_pool_that_changes_meanwhile(pool: MemoryPool) -> None:
    """By the series that is asked for the ranges; or another MemoryPool did it."""
    twin = MemoryPool.from_handle(pool.handle)
    twin.resize(10)
    with pytest.raises(PoolRangeError, match="pool_read_many"):
        pool.read_many([(100, 5)])  # which does not know it yet
    with pytest.raises(PoolRangeError, match="pool_write_many"):
        pool.write_many([(100, b"abc")])
    twin.resize(5000)
    assert pool.read_many([(4990, 10)]) == [bytes(10)]
    pool.write_many([(4990, b"0123456789")])

    def close() -> Any:
        yield 0, 1
        pool.close()
        yield 4990, 2

    assert pool.read_many(close()) == [b"\0", b"01"]
    with pytest.raises(PoolClosedError):
        pool.read_many([])


def test_each_range_is_one_step() -> None:
    pool = MemoryPool(8192, 64)
    ranges = [(at, 30 + at % 90) for at in range(0, 8000, 130)]
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for byte in (b"a", b"b"):
                pool.write_many([(at, byte * size) for at, size in ranges])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(300):
            for each in pool.read_many(ranges):
                assert each == each[:1] * len(each)
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
def test_arrays(kind: str, numpy: Any, pool: MemoryPool) -> None:
    ranges = [(100, 5), (126, 0), (0, 127), (95, 12)]
    rows = numpy.array(ranges, dtype=kind)
    apart = numpy.stack([rows, rows], axis=-1)[..., 0]  # not contiguous
    for form in (rows, numpy.array(rows, order="F"), apart, rows[::-1][::-1]):
        assert pool.read_many(form) == one_by_one(pool, ranges)
        out = numpy.zeros((2, 72), numpy.uint8)
        assert pool.read_many(form, out) is out
        assert out.tobytes() == b"".join(one_by_one(pool, ranges))
    assert pool.read_many(rows[:0]) == []


def test_numbers_and_data_of_numpy(numpy: Any, pool: MemoryPool) -> None:
    data = numpy.arange(6, dtype="<u2").reshape(2, 3)
    pool.write_many([(numpy.int32(50), data), (numpy.uint8(70), numpy.float64(0.5))])
    pool.write_many(zip(numpy.array([80, 90]), data))
    assert pool.read(50, 12) == data.tobytes()
    assert pool.read(70, 8) == numpy.float64(0.5).tobytes()
    assert pool.read_many([(numpy.int8(80), numpy.uint64(6))]) == [data[0].tobytes()]
    with pytest.raises(TypeError, match=r"data number 0 .* not this ndarray"):
        pool.write_many([(0, data.T)])


@pytest.mark.parametrize("kind", ["bool", "f4", "f8", "c16", "O", "U1", "M8[s]", "V4"])
def test_arrays_of_other_kinds(kind: str, numpy: Any, pool: MemoryPool) -> None:
    with pytest.raises(TypeError, match="ranges must be integers"):
        pool.read_many(numpy.zeros((3, 2), dtype=kind))


@pytest.mark.parametrize("shape", [(), (2,), (0,), (3, 1), (2, 3), (2, 2, 2)])
def test_arrays_of_other_shapes(shape: Any, numpy: Any, pool: MemoryPool) -> None:
    with pytest.raises(TypeError, match=r"ranges must have the shape \(n, 2\), not"):
        pool.read_many(numpy.zeros(shape, dtype=int))


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [("i1", -1), ("<i8", -1), (">i8", -(2**63)), ("<i2", 4097), ("<u8", 2**64 - 1)],
)
def test_offenders_in_arrays(kind: str, wrong: int, numpy: Any, pool: MemoryPool) -> None:
    rows = numpy.array([[1, 2], [wrong, 3], [2, wrong]], dtype=kind)
    with pytest.raises(PoolRangeError) as caught:
        pool.read_many(rows)
    assert str(caught.value) == f"offset number 1 is {wrong}, allowed is 0 .. 4096"
    with pytest.raises(PoolRangeError, match="size number 0, at offset 2, is"):
        pool.read_many(rows[2:])
    large = MemoryPool(SIZE_MAX)  # where a negative one would do, as a size_t
    if wrong < 0:
        with pytest.raises(PoolRangeError, match=f"offset number 1 is {wrong}"):
            large.read_many(rows)


def test_arrays_whose_sums_are_large(numpy: Any) -> None:
    large = MemoryPool(SIZE_MAX)
    rows = numpy.array([[0, SIZE_MAX >> 1]] * 4, dtype="u8")
    with pytest.raises(PoolMemoryError, match=f"^{4 * (SIZE_MAX >> 1)} bytes"):
        large.read_many(rows)
    rows = numpy.array([[SIZE_MAX - 1, 1], [SIZE_MAX - 4, 4], [3, 0]], dtype="u8")
    assert large.read_many(rows) == [bytes(1), bytes(4), b""]
    with pytest.raises(PoolRangeError, match="size number 0"):
        large.read_many(rows + 1)


def test_a_pool_that_has_grown(numpy: Any, pool: MemoryPool) -> None:
    MemoryPool.from_handle(pool.handle).resize(5000)
    assert pool.read_many(numpy.array([[4999, 1], [0, 3]])) == [b"\0", bytes(3)]


def test_numpy_is_not_imported() -> None:
    script = (
        "import sys; from pymempool import MemoryPool; p = MemoryPool(99);"
        "p.write_many([(1, b'x')]); print(p.read_many([(1, 1)]), 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{script}"],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "[b'x'] False", done.stderr
