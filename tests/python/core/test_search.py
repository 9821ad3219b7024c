# SPDX-License-Identifier: MIT
"""find, rfind, index, rindex, count and `in`: as of a bytearray with the same bytes."""

from __future__ import annotations

import array
import random
from typing import Any, Callable

import pytest
from hypothesis import given, settings, strategies as st
from internals import SIZE_MAX, content_module

from pymempool import MemoryPool

NAMES = "find", "rfind", "index", "rindex", "count"
ends = st.none() | st.integers(-60, 60) | st.integers(-(2**70), 2**70)


def filled(flat: bytes, block_size: int) -> MemoryPool:
    """A pool with these bytes, in which runs of 4 zeros and more are holes."""
    pool = MemoryPool(len(flat), block_size)
    pool.write(0, flat)
    for at in range(0, len(flat), 4):
        if not any(flat[at : at + 4]):
            pool.discard(at, len(flat[at : at + 4]))
    return pool


def answer(call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call returns, or the exception that it raises, as text."""
    try:
        return call(*arguments)
    except (TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


@settings(max_examples=300)
@given(
    flat=st.lists(st.sampled_from([0, 0, 1, 2]), min_size=1, max_size=60),
    block_size=st.sampled_from([1, 4, 16]),
    sub=st.lists(st.sampled_from([0, 0, 1, 2]), max_size=6).map(bytes)
    | st.integers(0, 2),
    start=ends,
    end=ends,
    piece=st.sampled_from([1, 8]),
)
def test_answers_are_those_of_a_bytearray(
    flat: list[int], block_size: int, sub: Any, start: Any, end: Any, piece: int
) -> None:
    model = bytearray(flat)
    with pytest.MonkeyPatch.context() as patch, filled(model, block_size) as pool:
        patch.setattr(content_module, "_PIECE", piece)
        for name in NAMES:
            found = answer(getattr(pool, name), sub, start, end)
            assert found == answer(getattr(model, name), sub, start, end), name
        assert (sub in pool) == (sub in model)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 400, 5000])
def test_pieces_of_the_usual_size(size: int) -> None:
    """Places that overlap, and lie on the border of what is searched at once."""
    chance = random.Random(size)
    for _ in range(3):
        flat = bytearray(300_000)
        for _ in range(6):
            at, long = chance.randrange(len(flat)), chance.choice([9, 500, 70_000])
            flat[at : at + long] = bytes([chance.randint(1, 2)]) * long
        del flat[300_000:]  # what the last run has added
        with MemoryPool(len(flat), 4096) as pool:
            pool.write(0, flat)
            for sub in (b"\1" * size, b"\2" * size, bytes(size), b"\1" + bytes(size)):
                for start, end in ((None, None), (5, -3), (100_000, 250_000)):
                    for name in NAMES:
                        found = answer(getattr(pool, name), sub, start, end)
                        assert found == answer(getattr(flat, name), sub, start, end)


@pytest.mark.parametrize("sub", [0, 2, 255, True, b"", b"\2\3", bytearray(b"\3")])
def test_what_can_be_looked_for(sub: Any) -> None:
    model = bytearray(b"\0\1\2\3\2\3\1\0" * 3)
    with filled(model, 4) as pool:
        for name in NAMES:
            assert answer(getattr(pool, name), sub) == answer(getattr(model, name), sub)
        assert (sub in pool) == (sub in model)


def test_patterns_with_memory_of_any_kind(pool: MemoryPool) -> None:
    pool.write(1000, array.array("H", [500, 600]).tobytes())
    for sub in (array.array("H", [500, 600]), memoryview(array.array("H", [500, 600]))):
        assert pool.find(sub) == pool.rindex(sub) == 1000
        assert sub in pool


def test_patterns_of_numpy() -> None:
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    model = bytearray(range(100))
    with filled(model, 16) as pool:
        wide = numpy.arange(4, 8, dtype=numpy.uint8).reshape(2, 2)
        for sub in (wide, wide[1], wide[1, 1], numpy.int16(7)):
            assert pool.find(sub) == model.find(sub)
            assert (sub in pool) == (sub in model)


WRONG = [256, -1, 2**70, -(2**70), 1.0, None, "a", "", [], [1], object(), MemoryPool]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_what_cannot_be_looked_for(wrong: Any, pool: MemoryPool) -> None:
    model = bytearray(pool[:])
    for name in NAMES:
        told = answer(getattr(pool, name), wrong)
        assert told == answer(getattr(model, name), wrong)
        assert told.startswith(("TypeError", "ValueError"))
    told = answer(pool.__contains__, wrong)
    assert told == answer(model.__contains__, wrong)
    assert told.startswith(("TypeError", "ValueError"))


def test_memory_that_is_not_contiguous(pool: MemoryPool) -> None:
    wrong = memoryview(b"abcd")[::2]
    for call in (pool.find, pool.count, pool.__contains__):
        with pytest.raises(TypeError, match="contiguous"):
            call(wrong)


@pytest.mark.parametrize("wrong", [1.0, "1", b"1", [], object()], ids=repr)
def test_bounds_that_are_no_numbers(wrong: Any, pool: MemoryPool) -> None:
    model = bytearray(pool[:])
    for name in NAMES:
        for bounds in ((wrong,), (1, wrong)):
            told = answer(getattr(pool, name), b"a", *bounds)
            assert told == answer(getattr(model, name), b"a", *bounds)
            assert told.startswith("TypeError: slice indices must be integers")


class Odd:
    """A number that raises something of its own."""

    def __index__(self) -> int:
        raise TypeError("of its own")


def test_what_a_number_raises_is_passed_on(pool: MemoryPool) -> None:
    with pytest.raises(TypeError, match="of its own"):
        pool.find(Odd())
    with pytest.raises(TypeError, match="of its own"):
        pool.find(b"", Odd())


def test_names_of_the_arguments_cannot_be_used(pool: MemoryPool) -> None:
    with pytest.raises(TypeError, match="keyword"):
        pool.find(sub=b"a")  # type: ignore[call-arg]


def test_patterns_longer_than_the_pool() -> None:
    with MemoryPool(5, 4) as pool:
        for sub in (bytes(6), b"x" * 100_000):
            assert pool.find(sub) == pool.rfind(sub) == -1
            assert pool.count(sub) == 0
            assert sub not in pool
            with pytest.raises(ValueError, match=r"^subsection not found$"):
                pool.index(sub)
            with pytest.raises(ValueError, match=r"^subsection not found$"):
                pool.rindex(sub)
        assert pool.find(bytes(5)) == pool.rfind(bytes(5)) == 0


@pytest.mark.parametrize("total_size", [SIZE_MAX, SIZE_MAX // 2 + 1])
def test_pools_of_any_size(total_size: int) -> None:
    """A search byte by byte would not come to its end."""
    middle = total_size // 3
    with MemoryPool(total_size, 4096) as pool:
        pool.write(5, b"needle")
        pool.write(middle, b"needle" * 2)
        assert pool.find(b"needle") == 5
        assert pool.find(b"needle", 6) == middle
        assert pool.rfind(b"needle") == middle + 6
        assert pool.rfind(b"needle", 0, -(total_size - middle)) == 5
        assert pool.count(b"needle") == 3
        assert pool.find(b"hay") == pool.rfind(b"hay") == -1
        assert pool.find(b"\0needle\0") == 4
        assert pool.rfind(b"\0needle") == middle - 1
        assert pool.rfind(b"needle\0") == middle + 6
        assert pool.rfind(0) == total_size - 1
        assert pool.count(0) == total_size - 18
        assert pool.count(bytes(1000)) == sum(
            size // 1000 for size in (5, middle - 11, total_size - middle - 12)
        )
        assert pool.find(bytes(5), 1) == 11
        assert pool.find(b"", total_size) == pool.rfind(b"") == total_size
        assert pool.count(b"", total_size) == 1
        assert b"e" * 2 in pool
        assert b"needle" * 3 not in pool


def test_answers_are_of_one_moment(
    pool: MemoryPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written while Python searches is not seen."""
    pool.write(0, b"ab" * (pool.total_size // 2))
    wanted = pool.total_size // 2
    fetch = content_module.ranges.fetch

    def and_write(function: str, owner: Any, *arguments: Any) -> bytes:
        pool.fill(0, 7, pool.total_size)
        return fetch(function, owner, *arguments)

    monkeypatch.setattr(content_module, "_PIECE", 100)
    monkeypatch.setattr(content_module.ranges, "fetch", and_write)
    assert pool.count(b"ab") == wanted
    assert pool.find(b"ab") == -1
    pool.write(0, b"ab")
    assert pool.rfind(b"ab") == 0
