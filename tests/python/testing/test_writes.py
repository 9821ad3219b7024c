# SPDX-License-Identifier: MIT
"""written() and assert_only_wrote(): which bytes code has written, and how it is told."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from pymempool import (
    MemoryPool,
    PoolClosedError,
    PoolLimitError,
    PoolMemoryError,
    PoolRangeError,
)
from pymempool.testing import FailAllocation, assert_only_wrote, written

pytest_plugins = ["pytester"]

#: Both write to memory that they are given; the second one writes one item too many.
SOURCE = """
#include <stddef.h>
#include <stdint.h>

void fill(uint32_t *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        items[i] = 0x01020304;
    }
}

void fill_wrongly(uint32_t *items, size_t count)
{
    for (size_t i = 0; i <= count; i++) {
        items[i] = 0x61626364;
    }
}
"""


def pointer(memory: memoryview) -> Any:
    return (ctypes.c_char * memory.nbytes).from_buffer(memory)


@pytest.fixture
def small() -> MemoryPool:
    """16 KiB in blocks of 1 KiB, all of it zeros but for a text."""
    pool = MemoryPool(1 << 14, 1024)
    pool.write(1000, b"this lies in two blocks, of 1024 bytes")
    return pool


def test_bytes_written_by_c(compile_c, small: MemoryPool) -> None:
    code, pin = compile_c(SOURCE), small.pin()
    with written(small) as w:
        code.fill(pointer(pin[2044:2044 + 12]), ctypes.c_size_t(3))  # fmt: skip
    assert w.ranges == [(2044, 12)]
    with written(small) as w:
        code.fill_wrongly(pointer(pin[2044:2044 + 12]), ctypes.c_size_t(3))  # fmt: skip
    assert w.ranges == [(2044, 16)]
    with written(small) as w:
        pass
    assert w.ranges == []


def test_a_wrong_function_of_c_is_found(compile_c, small: MemoryPool) -> None:
    code, pin = compile_c(SOURCE), small.pin()
    with assert_only_wrote(small, [(2044, 12)]) as w:
        code.fill(pointer(pin[2044:]), ctypes.c_size_t(3))
    assert w.ranges == [(2044, 12)]
    small.write(2050, b"OLDER")
    with (
        pytest.raises(AssertionError) as caught,
        assert_only_wrote(small, [(2044, 12)]) as w,
    ):
        code.fill_wrongly(pointer(pin[2044:]), ctypes.c_size_t(3))
    assert w.ranges == [(2044, 16)]
    native = "64 63 62 61" if pin[2044] == 0x64 else "61 62 63 64"
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        "written outside of the allowed ranges: 4 bytes differ, the first at offset 2056"
        " (0x808)"
    )
    assert lines[1].startswith(
        f"0x00000800  expected  {native} {native} 00 00 00 00 00 00 00 00  "
    )
    assert lines[2].startswith(
        f"            found     {native} {native} {native} 00 00 00 00  "
    )
    assert lines[3] == " " * 22 + "   " * 8 + "^^ ^^ ^^ ^^"
    assert len(lines) == 4


@pytest.mark.parametrize(
    ("writes", "ranges"),
    [
        ([], []),
        ([(5, b"abc")], [(5, 3)]),
        ([(1000, b"THIS")], [(1000, 4)]),
        ([(1000, b"this")], []),  # what was there
        ([(1000, b"thus")], [(1002, 1)]),
        ([(1020, b"XXXXXXXX")], [(1020, 8)]),  # over the border of two blocks
        ([(5, b"a"), (7, b"b"), (8, b"c")], [(5, 1), (7, 2)]),
        ([(0, b"x"), ((1 << 14) - 1, b"x")], [(0, 1), ((1 << 14) - 1, 1)]),
        ([(3000, b"\n\r\0\n")], [(3000, 2), (3003, 1)]),
        ([(0, b"x" * (1 << 14))], [(0, 1 << 14)]),
        ([(5, b"a"), (5, b"\0")], []),  # and back
    ],
)
@pytest.mark.parametrize("by_pin", [False, True])
def test_ranges(
    small: MemoryPool, writes: Any, ranges: list[tuple[int, int]], by_pin: bool
) -> None:
    pin = small.pin() if by_pin else memoryview(b"")
    with written(small) as w:
        for offset, data in writes:
            if by_pin:
                pin[offset : offset + len(data)] = data
            else:
                small.write(offset, data)
        assert w.ranges is None
    assert w.ranges == ranges
    assert small.stats.family_pools == 1


def test_long_ranges_over_many_pieces() -> None:
    pool = MemoryPool(1 << 20, 4096)
    with written(pool) as w:
        pool.fill(70_000, 1, 200_000)
        pool.fill(300_000, 1, 5)
    assert w.ranges == [(70_000, 200_000), (300_000, 5)]


def test_discards_restores_and_other_sizes_are_writes(small: MemoryPool) -> None:
    state = small.clone()
    with written(small) as w:
        small.discard(0, 1004)
    assert w.ranges == [(1000, 4)]
    with written(small) as w:
        small.restore(state)
    assert w.ranges == [(1000, 4)]
    with written(small) as w:
        small.resize(1020)
    assert w.ranges == [(1020, 18)]
    with written(small) as w:
        small.resize(1 << 20)
        small.write(1 << 19, b"x")
    assert w.ranges == [(1 << 19, 1)]


@pytest.mark.parametrize(
    ("allowed", "outside"),
    [
        ([(0, 1 << 14)], 0),
        ([(0, 1 << 60)], 0),
        ([(100, 8), (200, 8)], 0),
        ([(200, 8), (90, 100), (100, 8)], 0),  # in any order; they may overlap
        ([(100, 4), (104, 4), (200, 8)], 0),
        ([(100, 7), (200, 8)], 1),
        ([(101, 7), (201, 8)], 2),
        ([(200, 8)], 8),
        ([(100, 0), (200, 8)], 8),
        ([], 16),
    ],
)
def test_only_these_may_be_written(
    small: MemoryPool, allowed: list[tuple[int, int]], outside: int
) -> None:
    def write() -> None:
        with assert_only_wrote(small, allowed):
            small.fill(100, 1, 8)
            small.fill(200, 1, 8)

    if not outside:
        return write()
    with pytest.raises(
        AssertionError, match=r"^written outside of the allowed"
    ) as caught:
        write()
    told = str(caught.value)
    assert (f"{outside} bytes differ" if outside > 1 else "1 byte differs") in told
    assert small.stats.family_pools == 1
    return None


def test_a_dump_is_short(small: MemoryPool) -> None:
    with pytest.raises(AssertionError) as caught, assert_only_wrote(small, [(0, 16)]):
        small.fill(0, 255, 1 << 14)
    lines = str(caught.value).splitlines()
    assert len(lines) < 30
    assert lines[-1] == f"... and {(1 << 14) - 16 - 128} more"


def test_an_error_within_is_the_only_one(small: MemoryPool) -> None:
    with (
        pytest.raises(KeyError, match="mine"),
        assert_only_wrote(small, []) as w,
    ):
        small.fill(0, 1, 5)
        raise KeyError("mine")
    assert w.ranges is None
    assert small.stats.family_pools == 1


def test_contexts_can_be_nested_and_used_again(small: MemoryPool) -> None:
    with written(small) as outer:
        small.write(0, b"a")
        with assert_only_wrote(small, [(10, 1)]) as inner:
            small.write(10, b"b")
    assert (outer.ranges, inner.ranges) == ([(0, 1), (10, 1)], [(10, 1)])
    with outer:
        assert outer.ranges is None
        small.write(20, b"c")
    assert outer.ranges == [(20, 1)]


def test_wrong_arguments(small: MemoryPool) -> None:
    for wrong in ([(-1, 5)], [(0, -5)], [(1 << 64, 1)]):
        with pytest.raises(PoolRangeError):
            assert_only_wrote(small, wrong)
    for odd in ([("a", 5)], [(0, 1.5)], [5], 5):
        with pytest.raises(TypeError):
            assert_only_wrote(small, odd)  # type: ignore[arg-type]
    closed = small.clone()
    closed.close()
    with pytest.raises(PoolClosedError), written(closed):
        pass


def test_limits_and_allocations(fail_allocation: FailAllocation) -> None:
    pool = MemoryPool(4096, 1024, memory_limit=1024)
    pool.write(0, b"x")
    with written(pool) as w, pytest.raises(PoolLimitError):
        pool.write(0, b"y")  # a copy, as for any clone
    assert w.ranges == []
    for fault in fail_allocation.each():
        with fault, written(pool) as w:
            pass
        assert pool.stats.family_pools == 1
    assert fail_allocation(1).error is None
    with pytest.raises(PoolMemoryError), fail_allocation(1), written(pool):
        pass


# ------------------------------------------------------------------ the fixture


def test_the_fixture(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_right(memory_pool, only_writes):
            with only_writes([(5, 1)]) as w:
                memory_pool[5] = 1
            assert w.ranges == [(5, 1)]

        def test_wrong(only_writes, memory_pool):
            with only_writes([(5, 1)]):
                memory_pool[6] = 1
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:hypothesispytest")
    result.assert_outcomes(passed=1, failed=1)
    text = result.stdout.str()
    assert "written outside of the allowed ranges: 1 byte differs, it is at" in text
    assert "writes.py" not in text  # frames of the package are left out
