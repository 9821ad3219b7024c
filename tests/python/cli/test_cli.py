# SPDX-License-Identifier: MIT
"""The commands inspect, convert and diff: what they tell, and what they do on trouble."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import random
import re
import stat
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import ONE_RUN, POSIX, Terminal, command
from internals import (
    Image,
    comparing_module,
    convert_module,
    diff_module,
    inspect_module,
    terminal_module,
)

from pymempool import MemoryPool, cli

pytest_plugins = ["command_fixtures"]


# ---------------------------------------------------------------------- inspect


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


# ---------------------------------------------------------------------- convert


@pytest.mark.usefixtures("folder", "bincopy")
def test_convert_through_all_formats(tell: Any) -> None:
    steps = ["a", "a.hex", "a.s19", "a.bin"]
    for source, target in zip(steps, steps[1:]):
        told = tell("convert", source, target)
        assert (told.status, told.out, told.err) == (0, "", "")
    formats = [
        json.loads(tell("inspect", step, "--json").out)["format"] for step in steps
    ]
    assert formats == ["raw", "hex", "srec", "raw"]
    assert Path("a.bin").read_bytes() == Path("a").read_bytes()
    assert tell("diff", "a.hex", "a.bin").status == 0


@pytest.mark.usefixtures("folder", "bincopy")
def test_convert_keeps_holes_to_the_byte(tell: Any) -> None:
    Path("in.hex").write_text(":02000300414278\n:0110000043AC\n:00000001FF\n")
    assert tell("convert", "in.hex", "out.srec").status == 0
    extents = json.loads(tell("inspect", "out.srec", "--json").out)["extents"]
    assert [(extent["start"], extent["size"]) for extent in extents] == [
        (3, 2),
        (0x1000, 1),
    ]


@pytest.mark.usefixtures("folder", "bincopy")
def test_convert_as_it_is_told(tell: Any) -> None:
    assert tell("convert", "a", "x.bin", "--to", "hex").status == 0
    assert Path("x.bin").read_bytes().startswith(b":20000000000102")
    assert tell("convert", "x.bin", "raw.hex", "--from", "raw", "--to", "raw").status == 0
    assert Path("raw.hex").read_bytes() == Path("x.bin").read_bytes()


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("x", "raw"),
        ("x.bin", "raw"),
        ("-", "raw"),
        ("hex", "raw"),
        ("dir.hex/x", "raw"),
        ("X.HEX", "hex"),
        ("x.ihx", "hex"),
        ("x.s37", "srec"),
        ("x.hex.gz", "raw"),  # what a path names is not compressed
        ("memory://x.hex.gz", "hex"),
        ("memory://x.mot", "srec"),
        ("memory://x.gz", "raw"),
    ],
)
def test_formats_by_suffix(name: str, format: str) -> None:
    assert convert_module.target_format(name) == format
    assert convert_module.target_format(name, "srec") == "srec"


@pytest.mark.usefixtures("folder")
def test_convert_writes_no_elf(tell: Any) -> None:
    told = tell("convert", "a", "a.elf")
    assert (told.status, told.out) == (2, "")
    assert told.err == (
        "pymempool: error: cannot write a.elf: ELF images can only be read\n"
    )
    assert not Path("a.elf").exists()


@pytest.mark.parametrize("name", ["a", "./a", "link"])
def test_convert_refuses_the_same_file(folder: Path, tell: Any, name: str) -> None:
    with contextlib.suppress(OSError):  # Windows does not let everybody link
        os.link("a", "link")
    if not Path(name).exists():
        pytest.skip("this system makes no links")
    before = Path("a").read_bytes()
    told = tell("convert", "a", name)
    assert told.status == 2
    assert told.err == f"pymempool: error: a and {name} are the same file\n"
    assert Path("a").read_bytes() == before


@pytest.mark.usefixtures("folder")
def test_convert_replaces_what_was_there(tell: Any) -> None:
    assert tell("convert", "b", "a").status == 0
    assert Path("a").read_bytes() == Path("b").read_bytes()
    assert sorted(os.listdir()) == ["a", "b"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(errno.ENOSPC, "full")])
def test_convert_that_fails_changes_nothing(
    folder: Path, tell: Any, monkeypatch: pytest.MonkeyPatch, failure: Any
) -> None:
    @contextlib.contextmanager
    def progress(label: str) -> Iterator[Any]:
        def report(done: int, total: int | None) -> None:
            assert os.listdir() != ["a", "b"]  # it is on its way
            raise failure

        yield report

    before = Path("a").read_bytes()
    monkeypatch.setattr(convert_module, "progress", progress)
    told = tell("convert", "b", "a")
    assert (told.status, told.err) in [
        (130, "pymempool: interrupted\n"),
        (2, "pymempool: error: cannot write a: full\n"),
    ]
    assert Path("a").read_bytes() == before
    assert sorted(os.listdir()) == ["a", "b"]


@pytest.mark.usefixtures("folder")
def test_convert_where_nothing_can_be_written(tell: Any) -> None:
    for name in ("missing/x", "."):
        told = tell("convert", "a", name)
        assert told.status == 2
        assert told.err.startswith(f"pymempool: error: cannot write {name}: ")
        assert told.err.count("\n") == 1


@pytest.mark.usefixtures("folder", "bincopy")
def test_convert_of_what_the_format_cannot_hold(
    tell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MemoryPool(1 << 33, 4096) as pool:
        pool.write(1 << 32, b"x")

        def load(*_: Any, **__: Any) -> MemoryPool:
            return pool

        monkeypatch.setattr(MemoryPool, "load", load)
        told = tell("convert", "a", "b.hex")
    assert told.status == 2
    assert told.err.startswith(
        "pymempool: error: cannot write b.hex: there is data up to"
    )
    assert sorted(os.listdir()) == ["a", "b"]


def test_convert_by_standard_streams(folder: Path) -> None:
    with open("a", "rb") as source:
        done = command("convert", "-", "-", stdin=source)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == Path("a").read_bytes()


@pytest.mark.usefixtures("folder", "bincopy")
def test_convert_by_standard_streams_of_a_format(
    monkeypatch: pytest.MonkeyPatch, tell: Any
) -> None:
    assert tell("convert", "a", "a.hex").status == 0
    with open("a.hex") as source, open("out", "w") as out, monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", source)
        patch.setattr(sys, "stdout", out)
        assert cli.main(["convert", "-", "-", "--to", "srec"]) == 0
    assert Path("out").read_bytes().startswith(b"S0")
    assert tell("diff", "out", "a").status == 0


@POSIX
@pytest.mark.usefixtures("folder")
def test_convert_to_a_pipe_that_has_a_name(tell: Any) -> None:
    os.mkfifo("pipe")
    got: list[bytes] = []
    reader = threading.Thread(
        target=lambda: got.append(Path("pipe").read_bytes()), daemon=True
    )
    reader.start()
    assert tell("convert", "a", "pipe").status == 0
    reader.join(60)
    assert got == [Path("a").read_bytes()]
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)


def test_no_raw_image_for_a_terminal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    assert cli.main(["convert", "a", "-"]) == 2
    assert terminal.getvalue() == ""
    assert "a raw image is not written to a terminal" in capsys.readouterr().err


# ------------------------------------------------------------------------- diff

DIFFERENT = """\
a and b differ
sizes     the same
differing 101 bytes, in 2 ranges

  start   end  bytes   size
    0x5   0x6      1    1 B
   0x64  0xc8    100  100 B
"""


@pytest.mark.usefixtures("folder")
def test_diff_of_two_files(tell: Any) -> None:
    told = tell("diff", "a", "b")
    assert (told.status, told.err, told.out) == (1, "", DIFFERENT)


@pytest.mark.usefixtures("folder")
def test_diff_of_the_same(tell: Any) -> None:
    Path("c").write_bytes(Path("a").read_bytes())
    for name in "ac":
        told = tell("diff", "a", name)
        assert (told.status, told.err) == (0, "")
        assert told.out == f"a and {name} are the same: 12345 bytes\n"


@pytest.mark.usefixtures("folder")
def test_diff_for_programs(tell: Any) -> None:
    told = tell("diff", "a", "b", "--json")
    assert told.status == 1
    assert json.loads(told.out) == {
        "same": False,
        "images": ["a", "b"],
        "formats": ["raw", "raw"],
        "sizes": [12345, 12345],
        "differing": 101,
        "ranges_total": 2,
        "ranges": [{"start": 5, "size": 1}, {"start": 100, "size": 100}],
    }


@pytest.mark.usefixtures("folder")
def test_diff_of_sizes_alone(tell: Any) -> None:
    Path("longer").write_bytes(Path("a").read_bytes() + b"x")
    Path("one").write_bytes(b"\0")
    told = tell("diff", "a", "longer")
    assert told.status == 1
    assert told.out == (
        "a and longer differ\n"
        "sizes     12345 bytes and 12346 bytes\n"
        "differing 0 bytes, in 0 ranges\n"
    )
    assert "1 byte and 12345 bytes\n" in tell("diff", "one", "a").out
    assert tell("diff", "a", "longer", "--quiet").status == 1


@pytest.mark.usefixtures("folder")
def test_quiet_diff(tell: Any) -> None:
    for names, status in (("aa", 0), ("ab", 1)):
        told = tell("diff", *names, "--quiet")
        assert (told.status, told.out, told.err) == (status, "", "")


@pytest.mark.usefixtures("folder")
def test_diff_lists_16_ranges_or_all(tell: Any) -> None:
    data = bytearray(Path("a").read_bytes())
    for at in range(0, 2000, 100):
        data[at] ^= 0xFF
    Path("c").write_bytes(data)
    some, every = tell("diff", "a", "c").out, tell("diff", "a", "c", "--all").out
    assert some.endswith("\n  ... and 4 more: --all lists them\n")
    assert len(re.findall(r"^ +0x", some, re.MULTILINE)) == 16
    assert len(re.findall(r"^ +0x", every, re.MULTILINE)) == 20
    assert "differing 20 bytes, in 20 ranges\n" in some
    assert "more" not in every


def test_ranges_are_those_found_byte_by_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    # So that ranges continue in the next piece.
    monkeypatch.setattr(comparing_module, "_PIECE", 16)
    chance = random.Random(7)
    for size in (1, 15, 16, 17, 100, 500):
        with (
            MemoryPool(size, 8) as one,
            MemoryPool(size + chance.choice((0, 9)), 4) as two,
        ):
            for pool in (one, two):
                for _ in range(chance.randrange(6)):
                    at = chance.randrange(pool.total_size)
                    count = min(chance.randrange(60), pool.total_size - at)
                    pool.write(at, bytes(chance.choices((0, 1, 2), k=count)))
            pairs = zip(one.read(0, size), two.read(0, size))
            places = [at for at, (our, their) in enumerate(pairs) if our != their]
            found = list(diff_module.ranges(one, two))
            assert [at for each in found for at in range(each[0], sum(each))] == places
            ends = [sum(each) for each in found]
            assert not {each.start for each in found} & set(ends)  # none could be joined
            differ = diff_module.differ(one, two)
            assert differ == (bool(places) or one.total_size != two.total_size)


@pytest.mark.usefixtures("folder", "bincopy")
def test_diff_across_formats(tell: Any) -> None:
    assert tell("convert", "a", "a.hex").status == 0
    facts = json.loads(tell("diff", "a.hex", "b", "--json").out)
    assert (facts["formats"], facts["differing"]) == (["hex", "raw"], 101)
    told = tell("diff", "a.hex", "a.hex", "--format-a", "raw", "--json")
    assert json.loads(told.out)["formats"] == ["raw", "hex"]
    told = tell("diff", "a.hex", "a.hex", "--format-b", "raw", "--json")
    assert json.loads(told.out)["formats"] == ["hex", "raw"]


def test_diff_takes_one_image_from_standard_input(folder: Path, tell: Any) -> None:
    with open("a", "rb") as source:
        done = command("diff", "-", folder / "a", stdin=source)
    assert done.returncode == 0
    assert done.stdout.startswith(b"- and ")
    told = tell("diff", "-", "-")
    assert told.status == 2
    assert "only one of the images can be standard input" in told.err
