# SPDX-License-Identifier: MIT
"""The command inspect: what it finds in images, and how it prints that."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from command_line import ONE_RUN, POSIX
from internals import (
    Image,
    inspect_module,
    terminal_module,
)

from pymempool import MemoryPool

pytest_plugins = ["command_fixtures"]


@pytest.mark.usefixtures("folder")
def test_inspect_of_a_file(tell: Any) -> None:
    told = tell("inspect", "a")
    assert (told.status, told.err, told.out) == (0, "", ONE_RUN)


@pytest.mark.usefixtures("folder")
def test_inspect_for_programs(tell: Any) -> None:
    told = tell("inspect", "a", "--json", "--sha256")
    facts = json.loads(told.out)
    entropy = facts.pop("entropy")
    assert facts.pop("extents") == [{"start": 0, "size": 12345, "entropy": entropy}]
    assert facts == {
        "image": "a",
        "format": "raw",
        "size": 12345,
        "data": 12345,
        "holes": 0,
        "sampled": 12345,
        "sha256": hashlib.sha256(Path("a").read_bytes()).hexdigest(),
        "extents_total": 1,
    }


@pytest.mark.usefixtures("folder")
def test_inspect_hashes_when_asked_only(tell: Any) -> None:
    digest = hashlib.sha256(Path("a").read_bytes()).hexdigest()
    assert f"sha256    {digest}\n" in tell("inspect", "a", "--sha256").out
    assert json.loads(tell("inspect", "a", "--json").out)["sha256"] is None


@pytest.mark.usefixtures("folder", "bincopy")
def test_no_work_for_addresses_without_data(tell: Any) -> None:
    """A byte near the end of the addresses costs what a byte costs."""
    far = (1 << 64) - 16
    head = b"\x7fELF\2\1\1" + bytes(9)
    head += struct.pack("<HHI3QI6H", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    load = struct.pack("<2I6Q", 1, 5, 120, far, far, 4, 4, 1)
    Path("far.elf").write_bytes(head + load + b"code")
    told = tell("inspect", "far.elf", "--sha256")
    assert (told.status, told.out) == (2, "")
    assert "far.elf ends at 0xfffffffffffffff4" in told.err
    for command in ("inspect far.elf --map --html page", "digest far.elf"):
        assert tell(*command.split()).status == 0
    assert tell("diff", "far.elf", "far.elf").status == 0
    assert tell("find", "code", "far.elf").out == f"{far:#x}\n"
    for target, error in (("x.hex", "there is data up to"), ("x.bin", "large")):
        told = tell("convert", "far.elf", target)
        assert (told.status, error in told.err) == (2, True)
    pool = MemoryPool.load("far.elf")
    with open(os.devnull, "wb") as nothing, pytest.raises(OSError, match="large"):
        pool.save(nothing)


@pytest.mark.usefixtures("folder")
def test_inspect_with_a_map(tell: Any) -> None:
    told = tell("inspect", "a", "--map")
    assert told.out.startswith(ONE_RUN)
    with MemoryPool.load("a", 4096) as pool:
        assert told.out == f"{ONE_RUN}\n{pool.map(80, ascii=True)}"


@pytest.mark.usefixtures("folder")
def test_inspect_writes_a_page_too(tell: Any) -> None:
    name = "a&b"  # as HTML would not have it
    os.rename("a", name)
    told = tell("inspect", name, "--html", "page.html")
    assert (told.status, told.err) == (0, "")
    assert told.out == ONE_RUN.replace("     a\n", f"     {name}\n")
    page = Path("page.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("a&amp;b") == 3 and name not in page
    assert "<td>12345 bytes (12.1 KiB)</td>" in page
    with MemoryPool.load(name, 4096) as pool:
        assert pool.svg() in page


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("-", "--html writes to a file: give its name instead of -"),
        ("./a", "a and ./a are the same file"),
        ("missing/x", "cannot write missing/x: No such file or directory"),
    ],
)
def test_inspect_where_no_page_can_be(name: str, error: str, tell: Any) -> None:
    before = Path("a").read_bytes()
    told = tell("inspect", "a", "--html", name)
    assert (told.status, told.out) == (2, "")
    assert told.err == f"pymempool: error: {error}\n"
    assert Path("a").read_bytes() == before
    assert sorted(os.listdir()) == ["a", "b"]


@pytest.mark.usefixtures("folder")
def test_inspect_of_one_byte(tell: Any) -> None:
    Path("one").write_bytes(b"x")
    told = tell("inspect", "one", "--sha256")
    assert told.status == 0
    assert hashlib.sha256(b"x").hexdigest() in told.out
    assert "size      1 byte\n" in told.out
    assert "entropy   0.00 bits per byte\n" in told.out


@POSIX
@pytest.mark.usefixtures("folder")
def test_inspect_of_a_sparse_tebibyte(tell: Any) -> None:
    with open("sparse", "wb") as file:
        file.truncate(1 << 40)
        file.seek(1 << 39)
        file.write(bytes([7]) * 4096)
    if os.stat("sparse").st_blocks > 1000:
        pytest.skip("this file system keeps no holes")
    facts = json.loads(tell("inspect", "sparse", "--json").out)
    assert (facts["size"], facts["data"]) == (1 << 40, 4096)
    assert facts["extents"] == [{"start": 1 << 39, "size": 4096, "entropy": 0.0}]
    told = tell("inspect", "sparse")
    assert "holes     1099511623680 bytes (1.00 TiB)\n" in told.out


def test_an_image_of_holes_has_no_entropy_and_no_table() -> None:
    with MemoryPool(1000) as pool:
        facts = inspect_module.examine(Image("holes", "raw", pool), None)
    assert (facts.entropy, facts.extents, facts.data) == (None, [], 0)
    out = io.StringIO()
    inspect_module.write(terminal_module.Page(out), facts)
    assert "entropy" not in out.getvalue()
    assert out.getvalue().endswith("extents   0\n")


def test_only_the_first_runs_are_listed() -> None:
    with MemoryPool(1 << 16, 1) as pool:
        for at in range(20):
            pool.write(at * 1000, b"xy")
        image = Image("many", "raw", pool)
        some, every = (
            inspect_module.examine(image, 16),
            inspect_module.examine(image, None),
        )
    assert some.extents == every.extents[:16]
    assert [extent[:2] for extent in every.extents] == [(n * 1000, 2) for n in range(20)]
    assert some.extents_total == every.extents_total == 20
    assert {extent.entropy for extent in every.extents} == {1.0}
    out = io.StringIO()
    inspect_module.write(terminal_module.Page(out), some)
    assert out.getvalue().endswith("\n  ... and 4 more: --all lists them\n")


@pytest.mark.usefixtures("folder", "bincopy")
def test_all_runs_are_listed_if_wanted(tell: Any) -> None:
    with MemoryPool(1 << 16, 1) as pool:
        for at in range(20):
            pool.write(at * 1000, b"xy")
        pool.save("many.hex", format="hex")
    for option, count in (((), 16), (("--all",), 20)):
        told = tell("inspect", "many.hex", *option)
        assert len(re.findall(r"^ +0x", told.out, re.MULTILINE)) == count
        facts = json.loads(tell("inspect", "many.hex", "--json", *option).out)
        assert (len(facts["extents"]), facts["extents_total"]) == (count, 20)


def test_entropy_of_known_bytes() -> None:
    assert inspect_module.entropy(Counter()) is None
    assert inspect_module.entropy(Counter(b"aaaa")) == 0
    assert inspect_module.entropy(Counter(b"ab")) == 1
    assert inspect_module.entropy(Counter(bytes(range(256)))) == 8


def test_entropy_of_much_data_is_that_of_an_even_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inspect_module, "_PIECE", 10)
    monkeypatch.setattr(inspect_module, "_SAMPLE", 100)
    with MemoryPool(10_000, 1) as pool:
        pool.fill(0, 1, 95)
        exact = inspect_module.examine(Image("x", "raw", pool), None)
        pool.fill(5000, 2, 205)  # 300 bytes now: each third piece of 10
        pool.fill(9000, 3, 3)  # too little to be met
        sampled = inspect_module.examine(Image("x", "raw", pool), None)
    assert (exact.sampled, exact.entropy) == (95, 0)
    assert (sampled.data, sampled.sampled) == (303, 80)
    assert sampled.entropy == inspect_module.entropy(Counter({1: 30, 2: 50}))
    assert [extent.entropy for extent in sampled.extents] == [0, 0, None]
    out = io.StringIO()
    inspect_module.write(terminal_module.Page(out), sampled)
    assert ", of a sample of 80 B\n" in out.getvalue()
    assert out.getvalue().endswith("-\n")
