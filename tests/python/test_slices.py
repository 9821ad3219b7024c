# SPDX-License-Identifier: MIT
"""A pool as a sequence: like a bytearray of a fixed size that starts as zeros."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymempool import MemoryPool, PoolRangeError
from pymempool._signatures import SIZE_MAX

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
    for key, wrong in ((0, 1.0), (0, b"1"), (slice(0, 2), "ab"), (slice(0, 2), [1, 2])):
        with pytest.raises(TypeError):
            pool[key] = wrong  # type: ignore[call-overload]
    assert pool[:] == TEXT


def test_cannot_be_walked_byte_by_byte() -> None:
    pool = MemoryPool(SIZE_MAX)
    for walk in (iter, reversed, list, bytes, lambda pool: 1 in pool):
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
