# SPDX-License-Identifier: MIT
"""The command convert: formats, streams, and files that stay when it fails."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import POSIX, Terminal, command
from internals import outputs_module

from pymempool import MemoryPool, cli

pytest_plugins = ["command_fixtures"]


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
@pytest.mark.parametrize("size", [8, 300_000])
def test_convert_invents_no_zeros(tell: Any, size: int) -> None:
    """However large the file is: what blocks hold beside is not data."""
    with MemoryPool(1 << 23, track_written=True) as pool:
        pool.write(0, b"y" * size)
        pool.write(0x400001, b"\x77")
        pool.write(0x400005, b"\0")
        pool.save("in.hex")
    assert tell("convert", "in.hex", "out.s19").status == 0
    assert tell("convert", "out.s19", "out.hex").status == 0
    assert Path("out.hex").read_bytes() == Path("in.hex").read_bytes()
    expected = [(0, size), (0x400001, 1), (0x400005, 1)]
    facts = json.loads(tell("inspect", "out.s19", "--json").out)
    assert [(run["start"], run["size"]) for run in facts["extents"]] == expected
    assert facts["data"] == size + 2
    facts = json.loads(tell("diff", "in.hex", "a", "--json").out)
    assert facts["alone_data"][0] == max(0, size - 12345) + 2


@pytest.mark.usefixtures("folder", "bincopy")
@pytest.mark.parametrize("way", ["file", "sparse", "stdin", "url"])
def test_convert_keeps_the_zeros_of_raw_images(
    tell: Any, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"A" * 4096 + bytes(4096 * 40) + b"B" * 16
    Path("z").write_bytes(data)
    source = "z"
    if way == "sparse":
        with MemoryPool.load("z", format="raw", wipe=True) as pool:  # without the zeros
            pool.save("sparse")
        source = way
    elif way == "url":
        pytest.importorskip("fsspec")
        assert tell("convert", "z", "memory://cli/z").status == 0
        source = "memory://cli/z"
    with open("z") as file:
        if way == "stdin":
            monkeypatch.setattr(sys, "stdin", file)
            source = "-"
        assert tell("convert", source, "z.hex").status == 0
    with MemoryPool.load("z.hex") as pool:
        assert list(pool.written()) == [(0, len(data))]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("x.hex", b"; hello\n:00000001FF\n", "line 1: no record: '; hello'"),
        ("x.s19", b":0100000041BE\n", "of the format hex, the suffix is of srec"),
        ("x.hex", "\ufeff:0100000041BE\n".encode("utf-16"), "line 1: no record"),
    ],
)
def test_convert_takes_no_text_for_raw(
    tell: Any, name: str, data: bytes, error: str, bincopy: Any
) -> None:
    Path(name).write_bytes(data)
    for words in ("convert {} out.bin", "inspect {}", "diff {} a", "digest {}"):
        told = tell(*words.format(name).split())
        assert told.status == 2
        assert told.err.startswith(f"pymempool: error: cannot read {name}: ")
        assert error in told.err
    assert not Path("out.bin").exists()
    assert tell("convert", name, "out.bin", "--from", "raw").status == 0
    assert Path("out.bin").read_bytes() == data


@pytest.mark.usefixtures("folder", "bincopy")
def test_convert_keeps_start_address_and_header(tell: Any) -> None:
    lines = ["S008000068656C6C6FE3", "S1041000618A", "S70508000101F0", ""]
    Path("x.s19").write_text("\n".join(lines))
    assert tell("convert", "x.s19", "y.s19").status == 0
    text = Path("y.s19").read_text().split("\n")
    assert (text[0], text[-2]) == (lines[0], lines[2])
    assert tell("convert", "x.s19", "y.hex").status == 0
    assert ":0400000508000101ED\n" in Path("y.hex").read_text()
    assert tell("convert", "y.hex", "z.hex", "--start", "none").status == 0
    assert ":04000005" not in Path("z.hex").read_text()
    options = "--start", "0x8000", "--header", "hi"
    assert tell("convert", "a", "z.s19", *options).status == 0
    text = Path("z.s19").read_text().split("\n")
    assert (text[0], text[-2]) == ("S00500006869" + "29", "S705000080007A")
    told = tell("convert", "a", "z.s19", "--start", "-1")
    assert (told.status, "start_address is -1" in told.err) == (2, True)
    with pytest.raises(SystemExit):
        tell("convert", "a", "z.s19", "--start", "there")


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
    assert outputs_module.target_format(name) == format
    assert outputs_module.target_format(name, "srec") == "srec"


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
    monkeypatch.setattr(outputs_module, "progress", progress)
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
