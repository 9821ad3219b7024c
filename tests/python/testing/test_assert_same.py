# SPDX-License-Identifier: MIT
"""assert_same(): what it accepts as the same, and its dump of differences."""

from __future__ import annotations

import sys

import pytest

import pymempool
from pymempool import MemoryPool
from pymempool.testing import assert_same

pytest_plugins = ["pytest_runs"]


def told(pool: MemoryPool, expected: object, offset: int = 0) -> list[str]:
    with pytest.raises(AssertionError) as caught:
        assert_same(pool, expected, offset)
    return str(caught.value).splitlines()


def test_same(pool: MemoryPool) -> None:
    assert_same(pool, pool)
    assert_same(pool, pool.clone())
    assert_same(pool, pool.read(0, 4096))
    assert_same(pool, bytearray(b"\1\2\3"), 100)
    assert_same(pool, memoryview(b"\0\0"), 98)
    assert_same(pool, b"", 4096)
    other = MemoryPool(4096, 16)  # no relative
    other.write(0, pool.read(0, 4096))
    assert_same(pool, other)
    half = MemoryPool(4096 - 150)
    half.write(0, pool.read(150, 4096 - 150))
    assert_same(pool, half, 150)


def test_dump(pool: MemoryPool) -> None:
    assert told(pool, b"\0\1\2-\4Test", 99) == [
        "5 bytes differ, the first at offset 102 (0x66)",
        "0x00000060  expected           00 01 02 2d 04 54 65 73 74"
        "                 ...-.Test",
        "            found              00 01 02 03 04 05 06 07 08"
        "                 .........",
        "                                        ^^    ^^ ^^ ^^ ^^",
    ]


def test_one_byte(pool: MemoryPool) -> None:
    clone = pool.clone()
    clone[4095] = 33
    assert told(pool, clone) == [
        "1 byte differs, it is at offset 4095 (0xfff)",
        "0x00000ff0  expected  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 21"
        "  ...............!",
        "            found     00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"
        "  ................",
        " " * 67 + "^^",
    ]


def test_many_bytes_are_counted_and_few_shown() -> None:
    pool = MemoryPool(1 << 20)
    lines = told(pool, b"\1\0" * 400_000, 5)
    assert lines[0] == "400000 bytes differ, the first at offset 5 (0x5)"
    assert len(lines) == 1 + 8 * 3 + 1
    assert lines[-1] == f"... and {400_000 - 6 - 7 * 8} more"


@pytest.mark.parametrize("related", [True, False])
def test_vast_pools(related: bool) -> None:
    size = min(1 << 60, sys.maxsize)
    pool = MemoryPool(size)
    pool.write(size - 10, b"end")
    other = pool.clone() if related else MemoryPool(size, 4096)
    other.write(size - 10, b"end")
    other.write(size // 2, b"")
    assert_same(pool, other)
    other[size // 2] = 1
    assert told(pool, other)[0].startswith("1 byte differs")
    pool.write(0, b"ab")
    assert told(pool, other)[0].startswith("3 bytes differ, the first at offset 0 ")


@pytest.mark.parametrize("block_size", [1, 8, 64])
def test_lines_that_span_blocks(block_size: int) -> None:
    pool, other = MemoryPool(100, block_size), MemoryPool(93, block_size)
    other.fill(2, 1, 91)
    lines = told(pool, other, 7)
    assert lines[0] == "91 bytes differ, the first at offset 9 (0x9)"
    assert len(lines) == 1 + 7 * 3
    assert lines[-3] == "0x00000060  expected  01 01 01 01" + " " * 38 + "...."


def test_sizes_that_differ(pool: MemoryPool) -> None:
    assert told(pool, bytes(97), 4000) == [
        "97 bytes are expected, the pool has 96 from offset 4000 on"
    ]
    for size in (4095, 4097):
        assert told(pool, MemoryPool(size)) == [
            f"{size} bytes are expected, the pool has 4096 from offset 0 on"
        ]
    with pytest.raises(pymempool.PoolRangeError):
        assert_same(pool, b"", 4097)
    with pytest.raises(TypeError):
        assert_same(pool, "text")


def test_dump_reads_well_in_pytest(run) -> None:
    text = run(
        """
        from pymempool.testing import assert_same
        def test_differs(memory_pool): assert_same(memory_pool, b"Test", 1020)
        """,
        failed=1,
    )
    assert "E   AssertionError: 4 bytes differ, the first at offset 1020" in text
    assert "def assert_same" not in text  # its own frames are of no use
