# SPDX-License-Identifier: MIT
"""The fixture fail_allocation: faults that are reached, and sweeps."""

from __future__ import annotations

import pytest

import pymempool
from pymempool import MemoryPool, PoolLimitError, PoolMemoryError
from pymempool.testing import assert_same


def test_a_fault_is_reached_and_over(fail_allocation) -> None:
    with MemoryPool(4096) as pool:
        with fail_allocation(1) as fault, pytest.raises(PoolMemoryError):
            pool.write(0, b"one")
        assert fault.reached is True
        assert list(pool.extents()) == []
        pool.write(0, b"one")


def test_a_fault_that_is_not_reached(fail_allocation) -> None:
    with fail_allocation(1000) as fault:
        assert fault.reached is None
        MemoryPool(4096).write(0, b"one")
    assert fault.reached is False
    MemoryPool(4096).write(0, b"one")


@pytest.mark.parametrize("number", [0, -1])
def test_faults_are_counted_from_one(fail_allocation, number: int) -> None:
    with pytest.raises(pymempool.PoolRangeError):
        fail_allocation(number)


def test_fault_is_over_after_an_error(fail_allocation) -> None:
    with pytest.raises(ZeroDivisionError), fail_allocation(1):
        _ = 1 // 0
    MemoryPool(4096).write(0, b"one")


def test_sweep_over_a_write_a_clone_and_a_view(
    fail_allocation, memory_pool: MemoryPool
) -> None:
    memory_pool.write(0, b"before")
    reached = 0
    for fault in fail_allocation.each():
        clone = view = pin = None
        saved = memory_pool.clone()
        with fault:
            clone = memory_pool.clone()
            clone.write(3, b"between" * 100_000)
            view = clone.view(0, 5)
            pin = clone.pin(1 << 30, 1)
            memory_pool.write(100_000, b"after")
        if fault.error is not None:
            assert fault.reached
            reached += 1
            assert_same(memory_pool, saved)
    # The clone and the pin; how many more depends on what is kept for reuse.
    assert reached >= 2
    assert fault.error is None
    assert bytes(view) == b"befbe"
    assert memory_pool.read(100_000, 5) == b"after"
    assert pin[0] == 0


def test_sweep_lets_other_errors_through(fail_allocation) -> None:
    with pytest.raises(PoolLimitError):
        for fault in fail_allocation.each():
            with fault, MemoryPool(1 << 20, 4096, memory_limit=4096) as pool:
                pool.fill(0, 1, 4097)
    MemoryPool(4096).write(0, b"one")


def test_sweep_without_with_is_refused(fail_allocation) -> None:
    with pytest.raises(RuntimeError, match="write `with fault:`"):
        list(fail_allocation.each())
