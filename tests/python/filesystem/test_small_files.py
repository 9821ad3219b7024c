# SPDX-License-Identifier: MIT
"""Small files of mempool://, which take no pool, and files that become small or large."""

from __future__ import annotations

import gc
import io
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, strategies as st

pytest.importorskip("fsspec", reason="mempool:// is for fsspec")

from pymempool import MemoryPool
from pymempool.filesystem import MempoolFileSystem

BLOCK = 4096


def pools() -> int:
    gc.collect()
    return sum(isinstance(one, MemoryPool) for one in gc.get_objects())


def held(fs: Any) -> int:
    return int(fs._store.origin.stats.family_bytes)


@pytest.fixture
def fs() -> Any:
    return MempoolFileSystem()


def test_many_small_files_take_little(fs: Any) -> None:
    before = pools()
    tracemalloc.start()
    for number in range(1000):
        fs.pipe_file(f"/{number}", b"x" * 100)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 1000 * 1500
    assert (pools(), held(fs)) == (before, 0)
    assert fs.cat_file("/999") == b"x" * 100
    fs.pipe_file("/large", b"x" * (BLOCK + 1))
    assert (pools(), held(fs)) == (before + 1, 2 * BLOCK)
    fs.clone()
    fs.cp_file("/1", "/copy")
    assert held(fs) == 2 * BLOCK


def test_where_blocks_begin() -> None:
    for block_size, small in ((None, BLOCK), (64, 64), (1 << 20, BLOCK)):
        fs = MempoolFileSystem(block_size=block_size)
        fs.pipe("/a", b"x" * small)
        assert held(fs) == 0
        fs.pipe("/a", b"x" * (small + 1))
        assert held(fs) > small
        with fs.open("/a", "r+b") as file:
            file.truncate(small)
            assert held(fs) == 0
        assert fs.cat("/a") == b"x" * small


def test_with_a_limit_all_bytes_are_counted() -> None:
    fs = MempoolFileSystem(limit=2 * BLOCK)
    fs.touch("/empty")
    assert held(fs) == 0
    fs.pipe({"/a": b"1", "/b": b"2"})
    assert held(fs) == 2 * BLOCK
    with pytest.raises(OSError, match="limit"):
        fs.pipe("/c", b"3")
    with fs.open("/a", "r+b") as file:
        file.truncate(0)
    assert held(fs) == BLOCK
    fs.clone().pipe("/d", b"4" * 10)
    gc.collect()
    assert held(fs) == BLOCK


@pytest.mark.parametrize("length", [0, 1, 100, BLOCK, BLOCK + 1, 3 * BLOCK])
@pytest.mark.parametrize("limits", [(None, None), (None, 1 << 20), (1 << 20, None)])
def test_copies_between_stores(length: int, limits: tuple[Any, Any]) -> None:
    one, two = (MempoolFileSystem(limit=limit) for limit in limits)
    MempoolFileSystem.drop("small")
    two = two.clone("small")
    data = bytes(range(1, 251)) * (length // 250 + 1)
    one.pipe("/a", data[:length])
    one.cp_file("/a", "mempool://small/a")
    one.pipe("/a", b"other")
    assert two.cat("/a") == data[:length]
    MempoolFileSystem.drop("small")


actions = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 40), st.binary(max_size=40)),
        st.tuples(st.just("truncate"), st.integers(0, 40)),
        st.tuples(st.just("copy")),
        st.tuples(st.just("read"), st.integers(0, 40), st.integers(0, 40)),
    ),
    max_size=20,
)


@given(actions, st.sampled_from([None, 1 << 20]))
def test_files_that_grow_and_shrink(steps: list[tuple[Any, ...]], limit: Any) -> None:
    """Against BytesIO, around the 16 bytes where a file stops being small."""
    fs = MempoolFileSystem(block_size=16, limit=limit)
    expected, copy = io.BytesIO(), b""
    fs.touch("/copy")
    with fs.open("/a", "w+b") as file:
        for step, *rest in steps:
            if step == "copy":
                fs.cp_file("/a", "/copy")
                copy = expected.getvalue()
            elif step == "truncate":
                size = len(expected.getvalue())
                expected = io.BytesIO(
                    expected.getvalue()[: rest[0]].ljust(rest[0], b"\0")
                )
                assert (file.truncate(rest[0]), file.size - size) == (
                    rest[0],
                    rest[0] - size,
                )
            else:
                assert file.seek(rest[0]) == expected.seek(rest[0])
                if step == "read":
                    ours, theirs = bytearray(b"-" * rest[1]), bytearray(b"-" * rest[1])
                    assert file.readinto(ours) == expected.readinto(theirs)
                    assert ours == theirs
                elif rest[1]:
                    assert file.write(rest[1]) == expected.write(rest[1])
            assert fs.cat_file("/a") == expected.getvalue()
            assert fs.cat_file("/copy") == copy
