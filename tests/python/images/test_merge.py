# SPDX-License-Identifier: MIT
"""merge(): the bytes of several pools, and where they overlap."""

from __future__ import annotations

import io
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, strategies as st
from internals import runs_module

from pymempool import MemoryPool, OverlapError, PoolClosedError, merge

BOOT, APP = 0x0800_0000, 0x0800_4000


def of(held: dict[int, bytes], start: int | None = None, **options: Any) -> MemoryPool:
    pool = MemoryPool(1 << 32, 64, track_written=True, **options)
    for at, data in held.items():
        pool.write(at, data)
    pool.start_address = start
    return pool


def contents(pool: MemoryPool) -> dict[int, int]:
    return {
        at: byte
        for start, size in pool.written()
        for at, byte in enumerate(pool.read(start, size), start)
    }


def test_merge_of_two() -> None:
    class Mine(MemoryPool):
        pass

    boot = Mine.load(io.BytesIO(b"boot\0"), 128, offset=BOOT)
    app = of({APP: b"\0app"}, APP)
    app.header = b"version 2"
    both = merge(boot, app)
    assert type(both) is Mine
    assert (both.block_size, both.total_size) == (128, APP + 4)
    assert list(both.written()) == [(BOOT, 5), (APP, 4)]
    assert (both.start_address, both.header) == (APP, b"version 2")
    both.write(APP, b"A")
    assert (app.read(APP, 4), boot.total_size) == (b"\0app", BOOT + 5)  # as they were
    alone = merge(app)
    assert contents(alone) == contents(app)


PIECES = st.lists(
    st.tuples(st.integers(0, 60), st.binary(min_size=1, max_size=20)),
    min_size=1,
    max_size=4,
)


@given(
    images=st.lists(PIECES, min_size=1, max_size=4),
    overlap=st.sampled_from(["error", "same", "first", "last"]),
)
def test_as_dicts_are_merged(images: Any, overlap: str) -> None:
    pools = [of(dict(pieces)) for pieces in images]
    held = [contents(pool) for pool in pools]
    twice = [
        (a, b, min(where))
        for a, b in combinations(range(len(held)), 2)
        if (
            where := {
                at
                for at in held[a].keys() & held[b].keys()
                if overlap == "error" or held[a][at] != held[b][at]
            }
        )
    ]
    if twice and overlap in ("error", "same"):
        with pytest.raises(OverlapError) as caught:
            merge(*pools, overlap=overlap)
        a, b, at = twice[0]
        what = "bytes" if overlap == "error" else "different bytes"
        said = f"pool {a} and pool {b} have {what} at {at:#x} .. "
        assert str(caught.value).startswith(said)
        return
    expected: dict[int, int] = {}
    for each in held if overlap == "last" else held[::-1]:
        expected |= each
    with merge(*pools, overlap=overlap) as made:
        assert contents(made) == expected
        assert made.total_size == max(expected) + 1


def test_the_error_has_the_range() -> None:
    one, other = of({0x100: b"abcd", 0x200: b"x"}), of({0x102: b"cdef"})
    with pytest.raises(OverlapError, match=r"have bytes at 0x102 \.\. 0x103$"):
        merge(one, other)
    assert merge(one, other, overlap="same").read(0x100, 6) == b"abcdef"


@pytest.mark.parametrize("overlap", ["error", "same"])
def test_start_addresses_that_differ(overlap: str) -> None:
    one, other, none = of({1: b"a"}, 8), of({2: b"b"}, 16), of({3: b"c"})
    with pytest.raises(OverlapError, match="different start addresses: 0x8 and 0x10"):
        merge(none, one, other, overlap=overlap)
    other.start_address = 8
    assert merge(none, one, other, overlap=overlap).start_address == 8


def test_the_policy_decides_about_start_and_header() -> None:
    one, other, none = of({1: b"a"}, 8), of({2: b"b"}, 16), of({3: b"c"})
    one.header, other.header = b"one", None
    facts = [
        (made.start_address, made.header)
        for made in (
            merge(none, one, other, none, overlap=overlap)
            for overlap in ("first", "last")
        )
    ]
    assert facts == [(8, b"one"), (16, None)]
    assert merge(none, none, overlap="same").header == b"pymempool"


def test_much_data_is_copied_in_pieces() -> None:
    data = bytes(range(256)) * 10_000
    raw = MemoryPool.load(io.BytesIO(data), 4096)
    tail = of({len(data): b"tail"})
    with merge(tail, raw) as made:
        assert list(made.written()) == [(0, len(data) + 4)]
        assert made[:] == data + b"tail"
    with pytest.raises(OverlapError, match=r"0x0 \.\. 0x270fff$"):
        merge(raw, raw.clone())
    assert merge(raw, raw.clone(), overlap="same").same(raw)


def test_what_cannot_be_merged() -> None:
    pool, empty = of({1: b"a"}), of({})
    with pytest.raises(ValueError, match="possible are error, same, first, last"):
        merge(pool, overlap="all")
    with pytest.raises(ValueError, match="one pool or more"):
        merge()
    with pytest.raises(ValueError, match="there is no data in this"):
        merge(empty, empty)
    with pytest.raises(TypeError, match="a MemoryPool is needed, not bytes"):
        merge(pool, b"bytes")  # type: ignore[type-var]
    empty.close()
    with pytest.raises(PoolClosedError):
        merge(pool, empty)


def test_a_merge_that_fails_leaves_nothing_behind(monkeypatch: Any) -> None:
    closed: list[bool] = []

    def write_many(self: MemoryPool, items: Any) -> None:
        raise MemoryError

    def close(self: MemoryPool) -> None:
        closed.append(True)

    with monkeypatch.context() as patch:
        patch.setattr(MemoryPool, "write_many", write_many)
        patch.setattr(MemoryPool, "close", close)
        with pytest.raises(MemoryError):
            merge(of({1: b"a"}), of({2: b"a"}))
    assert len(closed) == 3  # the new one, and a clone of each


RUNS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), max_size=5)


def at(gaps: Any) -> list[tuple[int, int]]:
    """Runs from their gaps and sizes; some touch."""
    found, end = [], 0
    for gap, size in gaps:
        found.append((end + gap, size))
        end += gap + size
    return found


@given(one=RUNS, other=RUNS)
def test_runs_as_sets(one: Any, other: Any) -> None:
    one, other = at(one), at(other)
    first, second = (
        {at for start, size in runs for at in range(start, start + size)}
        for runs in (one, other)
    )
    for function, expected in (
        (runs_module.common, first & second),
        (runs_module.without, first - second),
    ):
        found = list(function(one, other))
        covered = [at for start, size in found for at in range(start, start + size)]
        assert covered == sorted(expected)
        assert all(size > 0 for _, size in found)
