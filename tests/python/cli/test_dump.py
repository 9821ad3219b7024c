# SPDX-License-Identifier: MIT
"""The command dump: bytes with their addresses, squeezed."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import Terminal
from hypothesis import given, strategies as st
from internals import dump_module, terminal_module

from pymempool import MemoryPool, cli

pytest_plugins = ["command_fixtures"]

FLASH = 0x0800_0000

SHOWN = """\
0x08000000  -- -- 76 65 63 74 6f 72 73 -- 00 63 6f 64 65 ff    vectors .code.
0x08000040  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
*
0x08000070
0x08001000  78                                               x
"""


def firmware() -> MemoryPool:
    pool = MemoryPool(FLASH + 0x1001, track_written=True)
    for at, data in ((2, b"vectors"), (10, b"\0code\xff"), (64, bytes(48))):
        pool.write(FLASH + at, data)
    pool.write(FLASH + 0x1000, b"x")
    return pool


@pytest.mark.usefixtures("folder", "bincopy")
def test_dump_shows_what_was_set(tell: Any) -> None:
    firmware().save("x.hex")
    told = tell("dump", "x.hex")
    assert (told.status, told.out, told.err) == (0, SHOWN, "")


@pytest.mark.usefixtures("folder")
def test_dump_of_a_range(tell: Any) -> None:
    Path("x").write_bytes(bytes(range(97, 123)) + bytes(38))
    arguments = "dump", "x", "--offset", "0x100"
    told = tell(*arguments, "--at", "0x104", "--size", "14")
    assert told.out == (
        f"0x00000100  {' ' * 12}65 66 67 68 69 6a 6b 6c 6d 6e 6f 70      efghijklmnop\n"
        "0x00000110  71 72                                            qr\n"
    )
    told = tell(*arguments, "--at", "0x120")
    lines = told.out.splitlines()
    assert [line[:10] for line in lines] == ["0x00000120", "*", "0x00000140"]
    assert tell(*arguments, "--size", "256").out == ""  # before the image
    assert tell(*arguments, "--at=0x13f", "--size=9").out.count("\n") == 1
    told = tell(*arguments, "--at", "0x140")
    assert told.status == 2
    assert told.err == "pymempool: error: the image ends at 0x140, before 0x140\n"
    with pytest.raises(SystemExit):
        tell("dump", "x", "--at", "-1")


@pytest.mark.usefixtures("folder")
def test_holes_cost_nothing(tell: Any) -> None:
    with MemoryPool.load(io.BytesIO(b"a")) as pool:
        pool.resize(1 << 45)
        pool.write(1 << 44, b"b")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(MemoryPool, "load", lambda *_, **__: pool)
            out = tell("dump", "a").out
    assert re.findall("0x[0-9a-f]+|\\*", out) == [
        *("0x000000000000", "0x000000000010", "*", "0x100000000000"),
        *("0x100000000010", "*", "0x200000000000"),
    ]


def read_again(text: str) -> dict[int, int]:
    """What a dump says, byte by byte, by another way."""
    found: dict[int, int] = {}
    last: list[str] = []
    start = 0
    repeats = False
    for line in text.splitlines():
        if line == "*":
            repeats = True
            continue
        at = int(line[:10], 16)
        while repeats and start + 16 < at:
            start += 16
            add(found, start, last)
        repeats = False
        cells = [line[12 + 3 * i : 14 + 3 * i] for i in range(16)]
        if line[12:]:
            start, last = at, cells
            add(found, start, last)
    return found


def add(found: dict[int, int], start: int, cells: list[str]) -> None:
    for i, cell in enumerate(cells):
        if cell.strip(" -"):
            found[start + i] = int(cell, 16)


@given(
    runs=st.lists(
        st.tuples(
            st.integers(0, 500), st.sampled_from([b"a", b"\0", b"ab" * 40, bytes(70)])
        ),
        max_size=6,
    ),
    start=st.integers(0, 300),
    end=st.integers(301, 600),
)
@pytest.mark.parametrize("piece", [16, 64, 1 << 16])
def test_dumps_say_all(
    runs: Any, start: int, end: int, piece: int, monkeypatch_module: Any
) -> None:
    monkeypatch_module(piece)
    pool = MemoryPool(600, 16, track_written=True)
    for at, data in runs:
        pool.write(at, data)
    out = io.StringIO()
    dump_module.write(terminal_module.Page(out), pool, start, end)
    assert read_again(out.getvalue()) == {
        at: byte
        for first, size in pool.written(start, end - start)
        for at, byte in enumerate(pool.read(first, size), first)
    }


@pytest.fixture(scope="module")
def monkeypatch_module() -> Any:
    """Sets how many bytes are read at once."""
    with pytest.MonkeyPatch.context() as patch:
        yield lambda size: patch.setattr(dump_module, "_PIECE", size)


@pytest.mark.usefixtures("folder", "bincopy")
def test_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    for name in ("NO_COLOR", "COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    firmware().save("x.hex")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    assert cli.main(["dump", "x.hex"]) == 0
    text = terminal.getvalue()
    assert "\x1b[36m0x08000000\x1b[0m" in text  # addresses
    assert "\x1b[2m-- -- \x1b[0m" in text  # what was not set
    words = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert [line.rstrip() for line in words.splitlines()] == SHOWN.splitlines()
