# SPDX-License-Identifier: MIT
"""Kinds of blocks, and pictures of pools against what is found block by block."""

from __future__ import annotations

import random
import re
import threading
from itertools import islice
from typing import Any

import pytest
from internals import GROUPS, STATES, Picture, Scale, _merge, lanes
from picture_pools import BLOCK, everything

from pymempool import BlockState, MemoryPool, PoolRangeError, PoolUnrelatedError


def picture_of(
    pool: MemoryPool, base: MemoryPool | None = None, columns: int = 80
) -> Picture:
    return Picture(pool, base, Scale(columns, fold=3, least=3))


def strip_of(text: str) -> str:
    """The line of the map that shows the pool."""
    return text.split("\n\n")[1].split("\n")[0]


# ------------------------------------------------------------------------ kinds


def test_kinds_are_those_of_the_blocks() -> None:
    pool, base, held = everything()
    assert [(start // BLOCK, size, kind) for start, size, kind in pool.states()] == [
        (0, 3 * BLOCK, BlockState.SHARED),
        (3, BLOCK, BlockState(0)),
        (4, BLOCK, BlockState.SHARED),
        (6, 4 * BLOCK, BlockState.SHARED),
        (20, 4 * BLOCK, BlockState.ADOPTED),
        (30, BLOCK, BlockState.PINNED),
        (39, BLOCK - 7, BlockState(0)),
    ]
    clone = pool.clone()
    kinds = {start // BLOCK: kind for start, _, kind in clone.states()}
    assert kinds[20] == BlockState.SHARED | BlockState.ADOPTED
    assert kinds[30] == BlockState.SHARED  # the frozen copy of what is pinned
    assert base.stats.shared_blocks == sum(
        size // BLOCK for _, size, kind in base.states() if kind & BlockState.SHARED
    )
    del held


def test_kinds_of_nothing() -> None:
    assert list(MemoryPool(2**31, 4096).states()) == []


def test_kinds_see_what_comes_meanwhile(pool: MemoryPool) -> None:
    kinds = pool.states()
    next(kinds)
    pool.write(2048, b"new")
    assert (2048, 64, BlockState(0)) in list(kinds)
    pool.close()
    with pytest.raises(ValueError, match="closed"):
        pool.states()


# ---------------------------------------------------------- the picture, exactly


def expected_whats(pool: MemoryPool, base: MemoryPool | None) -> list[str]:
    """What each byte is, by looking at each: '' for a hole, '!' behind a change."""
    names = [""] * pool.total_size
    for start, size, kind in pool.states():
        name = "data"
        for flag, told in (
            (BlockState.ADOPTED, "adopted"),
            (BlockState.SHARED, "shared"),
            (BlockState.PINNED, "pinned"),
        ):
            name = told if kind & flag else name
        names[start : start + size] = [name] * size
    for start, size in pool.changes(base) if base else ():
        for at in range(start, min(start + size, len(names))):
            names[at] += "!"
    return names


def check_counts(counts: Any, whats: list[str]) -> None:
    part = whats[counts.start : counts.end]
    for state, name in enumerate(STATES):
        assert counts.of(state) == sum(what.rstrip("!") == name for what in part)
    assert counts.changed == sum(what.endswith("!") for what in part)
    assert counts.held == sum(what not in ("", "!") for what in part)


def check_picture(pool: MemoryPool, base: MemoryPool | None, columns: int) -> None:
    """Every byte is counted where it lies, and cells and groups are side by side."""
    picture = picture_of(pool, base, columns)
    whats = expected_whats(pool, base)
    check_counts(picture, whats)
    at = column = 0
    for cell in picture.cells:
        assert (cell.start, cell.column) == (at, column)
        assert cell.end > cell.start
        assert cell.start % pool.block_size == 0
        assert cell.columns >= 1
        check_counts(cell, whats)
        assert not (cell.folded and (cell.held or cell.changed))
        at, column = cell.end, cell.column + cell.columns
    assert (at, column) == (pool.total_size, columns)

    assert len(picture.groups) <= GROUPS
    at = 0
    for group in picture.groups:
        assert not any(whats[at : group.start])
        assert whats[group.start]
        assert whats[group.end - 1]
        check_counts(group, whats)
        runs = re.findall(
            "x+", "".join("x" if w else " " for w in whats[group.start : group.end])
        )
        assert group.runs == len(runs)
        cell = next(c for c in picture.cells if c.start <= group.start < c.end)
        assert group.column == cell.column
        at = group.end
    assert not any(whats[at:])


def test_everything_at_once() -> None:
    pool, base, held = everything()
    for columns in (40, 80, 1000):
        check_picture(pool, base, columns)
        check_picture(pool, None, columns)
    base.resize(100 * BLOCK)
    base.fill(90 * BLOCK, 1, BLOCK)
    check_picture(pool, base, 80)  # what lies past the end is not in the picture
    check_picture(base, pool, 80)
    del held


@pytest.mark.parametrize("seed", range(60))
def test_random_pools(seed: int) -> None:
    chance = random.Random(seed)
    pool = MemoryPool(chance.randrange(1, 20_000), chance.choice([1, 16, 64]))
    held: list[Any] = []
    base = pool.clone()
    for _ in range(chance.choice([1, 5, 60])):
        at = chance.randrange(pool.total_size)
        size = min(chance.randrange(1, 200), pool.total_size - at)
        way = chance.randrange(6)
        if way == 0:
            base.restore(pool)
        elif way == 1:
            pool.discard(at, size)
        elif way == 2:
            held.append(pool.pin(at, 1))
        elif way == 3:
            pool.adopt(at, bytes(size))
        else:
            pool.fill(at, 7, size)
    check_picture(pool, base, chance.randrange(40, 200))
    check_picture(pool, None, 40)


def test_each_run_is_listed_until_they_are_many() -> None:
    pool = MemoryPool(2**31, 4096)
    for number in range(GROUPS):
        pool.write(number << 20, b"x")
    assert [group.start for group in picture_of(pool, columns=1000).groups] == [
        number << 20 for number in range(GROUPS)
    ]
    pool.write(GROUPS << 20, b"x")
    groups = picture_of(pool, columns=1000).groups
    assert sorted(group.runs for group in groups) == [1] * (GROUPS - 1) + [2]


def test_holes_are_shortened_only_where_it_helps() -> None:
    pool = MemoryPool(2**31, 4096)
    assert not any(
        cell.folded for cell in picture_of(pool).cells
    )  # nothing else is there
    pool.write(2**30, b"x")
    cells = picture_of(pool).cells
    assert [cell.folded for cell in cells if cell.held or cell.folded] == [
        True,
        False,
        True,
    ]
    small = MemoryPool(80 * BLOCK, BLOCK)
    small.write(0, b"x")
    assert len(picture_of(small).cells) == 80  # a column for each block


def test_labels_do_not_meet() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        places = sorted(chance.randrange(100) for _ in range(12))
        width = chance.randrange(1, 30)
        rows = lanes(places, width)
        for number, (place, row) in enumerate(zip(places, rows)):
            for other, below in zip(places[number + 1 :], rows[number + 1 :]):
                # The other's label, and its line in the rows above, are right of this.
                assert row > below or place + width <= other


# --------------------------------------------------------------------- the text


def test_three_runs_in_a_large_space() -> None:
    pool = MemoryPool(2**31, 4096)  # 32 bits have no more
    pool.write(0x1000, b"x")
    pool.write(2**28, bytes(4097))
    pool.write(2**30, b"x")
    text = pool.map()
    assert strip_of(text) == f"≈≈≈{'█' * 17}≈≈≈{'█' * 33}≈≈≈{'█' * 18}≈≈≈"
    for address in (0x1000, 0x2000, 2**28, 2**28 + 8192, 2**30, 2**30 + 4096):
        assert re.search(rf"\b{address:#x}\b", text)
    assert "2147483648 bytes (2 GiB), 4 blocks of 4 KiB" in text
    assert "█ data 16 KiB   ≈ hole 2.00 GiB   ≈ shortened" in text


def test_the_same_as_ever() -> None:
    pool, base, held = everything()
    assert (
        pool.map(since=base, ascii=True)
        == """\
MemoryPool of 2553 bytes (2.49 KiB), 15 blocks of 64 B, 505 B changed

======##==..========....................AAAAAAAA............PP................##
      ^^  ^^                            ^^^^^^^^            ^^                ^^
a                                       b                   c                 d

   start    end   size
a    0x0  0x280  640 B  data 64 B, shared 512 B, hole 64 B, 128 B changed
b  0x500  0x600  256 B  adopted, all changed
c  0x780  0x7c0   64 B  pinned, all changed
d  0x9c0  0x9f9   57 B  data, all changed

# data 121 B   = shared 512 B   A adopted 256 B   P pinned 64 B
. hole 1.56 KiB   ^ changed 505 B
"""
    )
    assert "shared 512 B" in pool.map()
    del held


def test_cells_with_holes_in_them() -> None:
    pool = MemoryPool(1000 * BLOCK, BLOCK)
    for number in range(0, 1000, 2):
        pool.write(number * BLOCK, b"x")
    text = pool.map()
    assert strip_of(text) == "▄" * 80
    assert "▄ with holes in it" in text
    assert "data 31.2 KiB, hole 31.2 KiB, in 500 runs" in text
    held = pool.pin(500 * BLOCK, 1)
    assert strip_of(pool.map()).count("○") == 1  # a pin is never outnumbered
    assert set(strip_of(pool.map(ascii=True))) == {"+", "p"}
    del held


def test_two_that_begin_in_one_column() -> None:
    pool = MemoryPool(10_000 * BLOCK, BLOCK)
    pool.fill(0, 1, 9_000 * BLOCK)
    pool.discard(BLOCK, BLOCK)
    keys = pool.map().split("\n\n")[1].split("\n")[1:]
    assert keys == ["b", "a"]


def test_what_was_emptied_behind_all_that_is_held() -> None:
    pool = MemoryPool(1 << 16, 4096)
    pool.write(0, b"stays")
    pool.write(0xA000, b"goes")
    pool.write(0xC000, b"goes as well")
    base = pool.clone()
    pool.discard(0xA000, 0x6000)
    text = pool.map(since=base, ascii=True)
    assert re.search(r"0xa000 +0xb000 +4 KiB +hole, all changed", text)
    assert re.search(r"0xc000 +0xd000 +4 KiB +hole, all changed", text)
    assert "1 block of 4 KiB, 8 KiB changed" in text


def test_nothing_is_held() -> None:
    pool = MemoryPool(1)
    assert "nothing is held\n" in pool.map()
    assert "nothing is held or has changed" in pool.map(since=pool)
    assert strip_of(pool.map()) == "·" * 80
    assert "1 byte (1 B), 0 blocks of 1 B" in pool.map()
    pool[0] = 1
    assert strip_of(pool.map(40)) == "█" * 40
    assert "1 block of 1 B" in pool.map()


@pytest.mark.parametrize("width", [40, 41, 80, 1000])
def test_no_line_is_too_long(width: int) -> None:
    pool, base, held = everything()
    for text in (pool.map(width), pool.map(width, since=base, ascii=True)):
        lines = text.split("\n")
        assert max(map(len, lines)) == width
        assert not any(line != line.rstrip() for line in lines)
    assert pool.map(width, since=base, ascii=True).isascii()
    big = MemoryPool(2**31, 1)
    for number in range(100):
        big.write(number * 20_000_000, b"x")
    assert max(map(len, big.map(width).split("\n"))) == width
    del held


def test_very_many_runs() -> None:
    pool = MemoryPool(200_000 * BLOCK, BLOCK)
    pool.scatter(range(0, 200_000 * BLOCK, 2 * BLOCK), b"x" * 100_000)
    text = pool.map()
    assert len(text) < 1000
    assert "in 100000 runs" in text


@pytest.mark.parametrize("width", [39, 1001, -1, 2**70])
def test_width_out_of_range(width: int, pool: MemoryPool) -> None:
    with pytest.raises(PoolRangeError, match="width"):
        pool.map(width)


def test_arguments_of_wrong_kinds(pool: MemoryPool) -> None:
    with pytest.raises(TypeError, match="width must be an integer"):
        pool.map(80.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a MemoryPool is needed"):
        pool.map(since=b"")  # type: ignore[arg-type]
    with pytest.raises(PoolUnrelatedError):
        pool.map(since=MemoryPool(4096, 64))


def test_a_picture_changes_nothing() -> None:
    pool, base, held = everything()
    before = pool.stats
    pool.map(since=base)
    assert pool.stats == before
    del held


def test_pool_that_has_grown_since() -> None:
    """Its total_size was asked before its runs were: what lies beyond is left out."""
    runs = [(0, BLOCK, BlockState(0)), (BLOCK, BLOCK, BlockState.SHARED)]
    found = list(islice(_merge(runs, [(0, BLOCK)], BLOCK // 2), 9))
    assert [segment[:2] for segment in found] == [(0, BLOCK // 2)]


def test_pool_that_changes_meanwhile() -> None:
    pool, base, held = everything()
    stop = threading.Event()

    def change() -> None:
        chance = random.Random(1)
        while not stop.is_set():
            pool.restore(base)
            pool.resize(chance.randrange(1, 60 * BLOCK))
            pool.fill(0, 1, min(pool.total_size, 30))
            pool.discard(0, pool.total_size)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(300):
            picture = picture_of(pool, base)
            assert sum(cell.size for cell in picture.cells) == picture.size
            assert sum(cell.held for cell in picture.cells) == picture.held
    finally:
        stop.set()
        thread.join()
    del held
