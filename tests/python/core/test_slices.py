# SPDX-License-Identifier: MIT
"""A pool as a sequence: like a bytearray of a fixed size that starts as zeros."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given, strategies as st
from internals import SIZE_MAX

from pymempool import MemoryPool, PoolClosedError, PoolRangeError

TEXT = bytes(range(1, 101))
ends = st.none() | st.integers(-250, 250) | st.integers(-(2**70), 2**70)


def small_pool() -> MemoryPool:
    pool = MemoryPool(len(TEXT), 8)
    pool.write(0, TEXT)
    return pool


@given(start=ends, stop=ends, step=st.sampled_from([None, 1]))
def test_slices_read_like_those_of_bytes(start: Any, stop: Any, step: Any) -> None:
    assert small_pool()[start:stop:step] == TEXT[start:stop:step]


@given(start=ends, stop=ends)
def test_slices_are_assigned_like_those_of_bytearray(start: Any, stop: Any) -> None:
    pool, flat = small_pool(), bytearray(TEXT)
    data = bytes(len(TEXT[start:stop]))
    pool[start:stop] = data
    flat[start:stop] = data
    assert pool[:] == flat


@given(index=st.integers(-100, 99), byte=st.integers(0, 255))
def test_items(index: int, byte: int) -> None:
    pool, flat = small_pool(), bytearray(TEXT)
    assert pool[index] == flat[index]
    pool[index] = flat[index] = byte
    assert pool[:] == flat


@pytest.mark.parametrize("index", [100, -101, 2**64, -(2**64), 2**4000])
def test_items_past_the_end(index: int) -> None:
    pool = small_pool()
    with pytest.raises(PoolRangeError, match=r"allowed is -100 \.\. 99"):
        pool[index]
    with pytest.raises(IndexError):
        pool[index] = 0
    assert pool[:] == TEXT


@pytest.mark.parametrize("data", [b"", b"1", b"123", bytearray(200)])
def test_size_never_changes(data: Any) -> None:
    pool = small_pool()
    with pytest.raises(PoolRangeError, match="size of what is assigned"):
        pool[10:12] = data
    assert pool[:] == TEXT


@pytest.mark.parametrize("step", [2, -1, 10**30])
def test_steps_are_refused(step: int) -> None:
    pool = small_pool()
    with pytest.raises(PoolRangeError, match="step of a slice"):
        pool[::step]
    with pytest.raises(PoolRangeError, match="step of a slice"):
        pool[::step] = TEXT
    assert pool[:] == TEXT


def test_assigned_values_of_other_kinds_are_refused() -> None:
    pool = small_pool()
    for value in (256, -1, 2**80):
        with pytest.raises(PoolRangeError, match=r"allowed is 0 \.\. 255"):
            pool[0] = value
    for key, wrong in ((0, 1.0), (0, b"1"), (0, [1]), (slice(0, 2), "ab")):
        with pytest.raises(TypeError):
            pool[key] = wrong  # type: ignore[call-overload]
    assert pool[:] == TEXT


# ---------------------------------------------------- integers assigned to a slice


class Old:
    """An iterable as those before __iter__ were."""

    def __getitem__(self, index: int) -> int:
        return [7, 8][index]


class Index:
    def __index__(self) -> int:
        return 9


class Sized(list[int]):
    """An iterable that says it is a number as well."""

    def __index__(self) -> int:
        return 50


@pytest.mark.parametrize(
    "make",
    [
        lambda: [1, 2],
        lambda: (0, 255),
        lambda: range(2),
        lambda: iter([3, 4]),
        lambda: (each for each in (5, 6)),
        lambda: {3: "a", 4: "b"},
        lambda: {200, 100},
        lambda: [True, Index()],
        lambda: map(int, "12"),
        Old,
        lambda: Sized([1, 2]),
    ],
)
def test_iterables_of_integers(make: Any) -> None:
    pool, flat = small_pool(), bytearray(TEXT)
    pool[7:9] = make()
    flat[7:9] = bytes(iter(make()))
    assert pool[:] == flat
    pool[9:11] = make()
    assert pool[9:11] == flat[7:9]


@given(
    start=ends,
    stop=ends,
    numbers=st.lists(
        st.integers(-1, 256) | st.sampled_from([2**80, 1.5, "1", None]), min_size=1
    ),
)
def test_iterables_as_bytearray_takes_them(start: Any, stop: Any, numbers: Any) -> None:
    pool, flat = small_pool(), bytearray(TEXT)
    size = len(TEXT[start:stop])
    numbers = (numbers * size)[:size]
    try:
        flat[start:stop] = numbers
    except (TypeError, ValueError) as error:
        with pytest.raises(type(error)):
            pool[start:stop] = numbers
    else:
        pool[start:stop] = numbers
    assert pool[:] == flat


@pytest.mark.parametrize("wrong", [256, -1, 2**80])
def test_integers_that_are_no_bytes(wrong: int) -> None:
    pool = small_pool()
    for numbers in ([1, wrong], iter([1, wrong]), [1, wrong, 3], [wrong]):
        with pytest.raises(ValueError, match=r"range|int too"):
            pool[0:2] = numbers
        with pytest.raises(ValueError, match=r"range|int too"):
            bytearray(2)[0:2] = [1, wrong]
    assert pool[:] == TEXT


@pytest.mark.parametrize("wrong", [1.0, "1", b"1", None, [1], MemoryPool(1)])
def test_items_that_are_no_integers(wrong: Any) -> None:
    pool = small_pool()
    for numbers in ([1, wrong], iter([1, wrong]), (wrong,)):
        with pytest.raises(TypeError):
            pool[0:2] = numbers
    assert pool[:] == TEXT


@pytest.mark.parametrize("wrong", ["", "ab", 2, 1.0, None, object(), int, Index()])
def test_what_is_no_iterable_of_integers(wrong: Any) -> None:
    pool = small_pool()
    for key in (slice(0, 0), slice(0, 2)):
        with pytest.raises(TypeError, match=r"bytes-like object, or an iterable"):
            pool[key] = wrong
    assert pool[:] == TEXT


@pytest.mark.parametrize("size", [0, 1, 3])
def test_iterables_of_another_length(size: int) -> None:
    pool = small_pool()
    for numbers in (range(size), iter(range(size))):
        with pytest.raises(PoolRangeError, match="size of what is assigned is"):
            pool[10:12] = numbers
    assert pool[:] == TEXT


def test_an_iterable_without_an_end() -> None:
    pool = small_pool()
    numbers = count(1)
    with pytest.raises(PoolRangeError, match="is above 5, allowed is 5"):
        pool[10:15] = numbers
    assert next(numbers) == 7  # one more than there was room for
    assert pool[:] == TEXT
    large = MemoryPool(SIZE_MAX)
    with pytest.raises(PoolRangeError, match="size of what is assigned is 2,"):
        large[:] = iter([1, 2])


def test_an_iterable_that_raises() -> None:
    pool = small_pool()

    def numbers(error: BaseException) -> Iterator[int]:
        yield 1
        raise error

    for kind in (KeyError, TypeError, GeneratorExit, KeyboardInterrupt):
        error = kind("why")
        with pytest.raises(kind) as caught:
            pool[0:2] = numbers(error)
        assert caught.value is error
    assert pool[:] == TEXT


def test_an_iterable_that_closes_the_pool() -> None:
    pool = small_pool()
    kept = MemoryPool.from_handle(pool.handle)

    def numbers() -> Iterator[int]:
        yield 1
        pool.close()
        yield 2

    with pytest.raises(PoolClosedError):
        pool[0:2] = numbers()
    assert kept[:] == TEXT
    taken = iter([1, 2])
    with pytest.raises(PoolClosedError):
        pool[0:2] = taken
    assert next(taken) == 1


@pytest.mark.parametrize("shared", [False, True])
def test_an_iterable_that_resizes_the_pool(shared: bool) -> None:
    """The slice means what it meant before."""
    pool = small_pool()
    other = MemoryPool.from_handle(pool.handle) if shared else pool

    def numbers(size: int, values: bytes) -> Iterator[int]:
        other.resize(size)
        yield from values

    with pytest.raises(PoolRangeError):
        pool[90:] = numbers(95, bytes(10))
    assert pool[:] == TEXT[:95]
    pool[90:] = numbers(100, bytes(5))
    assert pool[:] == TEXT[:90] + bytes(10)


def test_an_iterable_that_writes_to_the_pool() -> None:
    pool = small_pool()

    def numbers() -> Iterator[int]:
        pool[0:4] = b"abcd"
        yield from (1, 2)

    pool[1:3] = numbers()
    assert pool[0:4] == b"a\1\2d"


def test_memory_is_taken_as_it_is() -> None:
    """Whatever its items are, as everywhere in the package."""
    pool = small_pool()
    wide = array("H", [1, 2])
    pool[0:4] = wide
    assert pool[0:4] == wide.tobytes()
    with pytest.raises(PoolRangeError, match="size of what is assigned is 4,"):
        pool[4:6] = wide
    with pytest.raises(TypeError, match="contiguous"):
        pool[4:6] = memoryview(b"1234")[::2]
    assert pool[4:] == TEXT[4:]


def test_arrays_of_numpy_are_memory() -> None:
    numpy = pytest.importorskip("numpy")
    pool = small_pool()
    pool[0:8] = numpy.array([5], dtype=">i8")
    assert pool[0:8] == bytes(7) + b"\5"
    for wrong in (numpy.array([1, 2]), numpy.array([1.0, 2.0])):
        with pytest.raises(PoolRangeError, match="size of what is assigned is 16,"):
            pool[8:10] = wrong
    for wrong in (numpy.arange(4, dtype="u1")[::2], numpy.array([1, 2], dtype="M8[s]")):
        with pytest.raises((TypeError, PoolRangeError)):
            pool[8:10] = wrong
    pool[8:10] = numpy.array([1, 2]).tolist()
    pool[10:12] = (each for each in numpy.array([3, 4]))
    assert pool[8:] == b"\1\2\3\4" + TEXT[12:]


def test_cannot_be_walked_byte_by_byte() -> None:
    pool = MemoryPool(SIZE_MAX)
    for walk in (iter, reversed, list, bytes):
        with pytest.raises((TypeError, OverflowError)):  # 3.9 asks for len() first
            walk(pool)  # type: ignore[operator]


def test_cannot_be_cut() -> None:
    pool = small_pool()
    with pytest.raises((TypeError, AttributeError)):
        del pool[0]  # type: ignore[attr-defined]


def test_len_and_truth() -> None:
    assert len(small_pool()) == 100
    large = MemoryPool(SIZE_MAX)
    with pytest.raises(OverflowError, match="total_size can"):
        len(large)
    assert large
    large.close()
    assert large
    assert len(MemoryPool(SIZE_MAX >> 1)) == SIZE_MAX >> 1


def test_equality_is_identity() -> None:
    pool = small_pool()
    assert pool == pool
    assert pool != pool.clone()
    assert len({pool, pool.clone(), pool}) == 2
