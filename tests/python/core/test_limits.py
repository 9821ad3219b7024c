# SPDX-License-Identifier: MIT
"""Limits that change, what is asked at a limit, and peaks of parts of a program."""

from __future__ import annotations

import gc
import os
import threading
from typing import Callable

import pytest

from pymempool import (
    MemoryPool,
    PoolClosedError,
    PoolLimitError,
    PoolMemoryError,
    PoolRangeError,
)

BLOCK = 4096


@pytest.fixture
def full() -> MemoryPool:
    """A pool with no room for another block."""
    pool = MemoryPool(1 << 20, BLOCK, memory_limit=4 * BLOCK)
    pool.fill(0, 1, 4 * BLOCK)
    return pool


def free_one(pool: MemoryPool) -> Callable[[], bool]:
    """A function that frees a block and says so, as often as it is asked."""
    blocks = iter(range(4))

    def function() -> bool:
        pool.discard(next(blocks) * BLOCK, BLOCK)
        return True

    return function


# -------------------------------------------------------------------------- limits


def test_limit_changes_for_all_relatives(full: MemoryPool) -> None:
    clone = full.clone()
    clone.set_limit(6 * BLOCK)
    assert full.stats.memory_limit == 6 * BLOCK
    full.fill(4 * BLOCK, 1, 2 * BLOCK)
    full.set_limit(1)  # nothing is lost
    assert full.stats.held_bytes == 6 * BLOCK
    with pytest.raises(PoolLimitError, match="of 1 bytes are in use"):
        clone.write(9 * BLOCK, b"x")
    clone.set_limit(None)
    assert full.stats.memory_limit == 0
    clone.fill(0, 2, 1 << 20)


@pytest.mark.parametrize("limit", [0, -1, 2**64])
def test_limit_out_of_range(full: MemoryPool, limit: int) -> None:
    with pytest.raises(PoolRangeError, match="memory_limit"):
        full.set_limit(limit)
    with pytest.raises(TypeError):
        full.set_limit("much")  # type: ignore[arg-type]
    assert full.stats.memory_limit == 4 * BLOCK


# --------------------------------------------------------------------------- asked


def test_call_is_tried_once_more(full: MemoryPool) -> None:
    full.on_limit(free_one(full))
    assert full.write(9 * BLOCK, b"short") == 5
    assert full.write(10 * BLOCK, b"l" * BLOCK) == BLOCK
    full.scatter([11 * BLOCK], b"12345678")
    assert full.fetch_add(12 * BLOCK, 5) == 0
    assert full.stats.held_bytes == 4 * BLOCK
    assert full.read(9 * BLOCK, 5) == b"short"


@pytest.mark.parametrize("size", [1, 100_000])  # that keep the interpreter's lock, or not
def test_asked_once(full: MemoryPool, size: int) -> None:
    asked = []

    def function() -> bool:
        asked.append(threading.get_ident())
        with pytest.raises(PoolLimitError):
            full.write(50 * BLOCK, b"asks nobody")
        return True  # which is not so

    full.on_limit(function)
    with pytest.raises(PoolLimitError):
        full.write(100 * BLOCK, b"x" * size)
    assert asked == [threading.get_ident()]
    assert full.read(100 * BLOCK, size) == bytes(size)


@pytest.mark.parametrize("answer", [None, False, 0, ""])
def test_nothing_was_freed(full: MemoryPool, answer: object) -> None:
    full.on_limit(lambda: answer)
    with pytest.raises(PoolLimitError, match="are in use"):
        full.write(9 * BLOCK, b"x")


def test_what_it_raises_is_raised(full: MemoryPool) -> None:
    def function() -> None:
        raise KeyboardInterrupt("here")

    full.on_limit(function)
    for write in (
        lambda: full.write(9 * BLOCK, b"x"),
        lambda: full.write(9 * BLOCK, bytearray(50_000)),
        lambda: full.fill(9 * BLOCK, 1, 1),
        lambda: full.view(0, 1) and full.clone().write(0, b"x"),
        lambda: full.pin(9 * BLOCK, 1),
        lambda: full.adopt(9 * BLOCK + 1, bytearray(10)),
    ):
        with pytest.raises(KeyboardInterrupt, match="here"):
            write()
    full.on_limit(None)
    with pytest.raises(PoolLimitError):
        full.write(9 * BLOCK, b"x")


def test_an_old_error_is_not_raised_again(full: MemoryPool) -> None:
    """One that no call could raise, as when C had called."""

    def function() -> None:
        raise ValueError

    full.on_limit(function)
    write = MemoryPool.write
    with pytest.raises(ValueError):
        write(full, 9 * BLOCK, b"x")
    full.on_limit(lambda: False)
    with pytest.raises(PoolLimitError):
        write(full, 9 * BLOCK, b"x")


def test_the_last_function_counts(full: MemoryPool) -> None:
    clone = full.clone()
    full.on_limit(lambda: pytest.fail("not this one"))
    clone.on_limit(free_one(full))
    clone.discard(0, 4 * BLOCK)
    full.write(9 * BLOCK, b"x")
    with pytest.raises(TypeError, match="function or None"):
        clone.on_limit(5)  # type: ignore[arg-type]
    full.write(10 * BLOCK, b"x")


def test_it_goes_with_its_pool(full: MemoryPool) -> None:
    clone = full.clone()

    class Function:
        def __call__(self) -> bool:
            return pytest.fail("nobody is to be asked")

    function = Function()
    clone.on_limit(function)
    clone.close()
    assert len(gc.get_referrers(function)) <= 1
    with pytest.raises(PoolLimitError):
        full.write(9 * BLOCK, b"x")
    with pytest.raises(PoolClosedError):
        clone.on_limit(None)
    with pytest.raises(PoolClosedError):
        clone.set_limit(None)
    with pytest.raises(PoolClosedError):
        clone.peak()


def test_many_threads_at_the_limit(full: MemoryPool) -> None:
    """Each may free what it has, and none waits for another one."""
    spare = [full.clone() for _ in range(4)]
    full.discard(0, 4 * BLOCK)
    errors: list[PoolMemoryError] = []

    def function() -> bool:
        if not spare:
            return False
        spare.pop().close()
        return True

    full.on_limit(function)

    def work(number: int) -> None:
        for at in range(8):
            try:
                full.write((20 + 8 * number + at) * BLOCK, b"x")
            except PoolMemoryError as error:
                errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert full.stats.held_bytes == 4 * BLOCK
    assert len(errors) == 4 * 8 - 4
    assert not spare


# --------------------------------------------------------------------------- peaks


def test_peak_of_a_part() -> None:
    pool = MemoryPool(1 << 20, BLOCK)
    pool.fill(0, 1, 9 * BLOCK)
    pool.discard(2 * BLOCK, 7 * BLOCK)
    with pool.peak() as peak:
        assert peak.bytes == 2 * BLOCK
        pool.fill(0, 1, 5 * BLOCK)
        pool.discard(0, 5 * BLOCK)
        assert peak.bytes == 5 * BLOCK
        with pool.clone() as clone:
            clone.fill(0, 1, 3 * BLOCK)
    assert peak.bytes == 5 * BLOCK
    pool.fill(0, 1, 7 * BLOCK)
    assert peak.bytes == 5 * BLOCK
    assert repr(peak) == f"<Peak of {5 * BLOCK} bytes>"
    assert pool.stats.family_peak_bytes == 9 * BLOCK


def test_peaks_overlap() -> None:
    pool = MemoryPool(1 << 20, BLOCK)
    other = pool.clone()
    first, second = pool.peak(), other.peak()
    with first:
        pool.fill(0, 1, 3 * BLOCK)
        pool.discard(0, 3 * BLOCK)
        second.__enter__()
        pool.fill(0, 1, 2 * BLOCK)
    pool.fill(0, 1, 6 * BLOCK)
    second.__exit__(None, None, None)
    assert (first.bytes, second.bytes) == (3 * BLOCK, 6 * BLOCK)
    assert pool.stats.family_peak_bytes == 6 * BLOCK


def test_peak_is_entered_once() -> None:
    pool = MemoryPool(1 << 20, BLOCK)
    peak = pool.peak()
    with peak, pytest.raises(RuntimeError, match="measured once"), peak:
        pass
    with pytest.raises(RuntimeError, match="measured once"), peak:
        pass


def test_peak_outlives_its_pool() -> None:
    pool = MemoryPool(1 << 20, BLOCK)
    with pool.peak() as peak:
        pool.fill(0, 1, 3 * BLOCK)
        pool.close()
    assert peak.bytes == 3 * BLOCK


def test_peaks_of_two_families_are_apart() -> None:
    one, two = MemoryPool(1 << 20, BLOCK), MemoryPool(1 << 20, BLOCK)
    with one.peak() as first, two.peak() as second:
        one.fill(0, 1, 3 * BLOCK)
        two.fill(0, 1, BLOCK)
    assert (first.bytes, second.bytes) == (3 * BLOCK, BLOCK)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork()")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_peak_in_a_child(pool: MemoryPool) -> None:
    with pool.peak() as peak:
        child = os.fork()
        if child == 0:
            os._exit(0 if peak.bytes >= 0 else 1)
        assert os.waitpid(child, 0)[1] == 0


# ---------------------------------------------------------------- typed arrays in batches


def test_items_of_a_typed_array_are_not_cut() -> None:
    pool = MemoryPool(1000)
    three = memoryview(b"".join(bytes([n]) * 8 for n in (1, 2, 3))).cast("d")
    with pytest.raises(PoolRangeError, match=r"items of data have 8 bytes each.* 12"):
        pool.scatter([0, 8], three)
    assert pool[:] == bytes(1000)
    pool.scatter([0, 8, 16], three)
    pool.scatter([100, 200], memoryview(bytes(range(32))).cast("d"))  # two for each
    assert pool.read(200, 16) == bytes(range(16, 32))

    out = memoryview(bytearray(24)).cast("d")
    with pytest.raises(PoolRangeError, match=r"items of out have 8 bytes each.* 12"):
        pool.gather([0, 8], 12, out)
    assert out.tobytes() == bytes(24)
    assert pool.gather([0, 8, 16], 8, out).tobytes() == three.tobytes()
    assert pool.gather([0, 8], 12, bytearray(24)) == pool.read(0, 12) + pool.read(8, 12)


def test_items_of_a_numpy_array_are_not_cut() -> None:
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    pool = MemoryPool(1000)
    with pytest.raises(PoolRangeError, match="items of data have 8 bytes each"):
        pool.scatter([0, 8], numpy.arange(3.0))
    pool.scatter(numpy.array([0, 8, 16]), numpy.arange(3.0))
    out = numpy.empty(3)
    assert pool.gather([0, 8, 16], 8, out) is out
    assert out.tolist() == [0.0, 1.0, 2.0]
    rows = numpy.arange(6, dtype=numpy.int16).reshape(2, 3)
    pool.scatter([100, 200], rows)
    assert pool.read(200, 6) == rows[1].tobytes()
