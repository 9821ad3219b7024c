# SPDX-License-Identifier: MIT
"""The commands merge and convert with addresses: offset, crop, fill, from-lowest."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from pymempool import MemoryPool

pytest_plugins = ["command_fixtures"]

pytestmark = pytest.mark.usefixtures("folder", "bincopy")

BOOT, APP = 0x0800_0000, 0x0800_4000


@pytest.fixture(autouse=True)
def images(folder: Path) -> None:
    """A loader, raw, and a program, as HEX, which starts at APP + 1."""
    Path("boot.bin").write_bytes(b"loader\0\0")
    with MemoryPool(1 << 32, track_written=True) as pool:
        pool.write(APP, b"\0program")
        pool.write(APP + 0x100, b"\xfftable")
        pool.start_address = APP + 1
        pool.save("app.hex")


def runs(name: str) -> tuple[dict[int, bytes], int | None]:
    with MemoryPool.load(name) as pool:
        found = {start: pool.read(start, size) for start, size in pool.written()}
        return found, pool.start_address


WHOLE = {BOOT: b"loader\0\0", APP: b"\0program", APP + 0x100: b"\xfftable"}


def test_merge(tell: Any) -> None:
    told = tell("merge", f"boot.bin@{BOOT:#x}", "app.hex", "flash.hex")
    assert (told.status, told.out, told.err) == (0, "", "")
    assert runs("flash.hex") == (WHOLE, APP + 1)
    options = "--start", "0x10", "--header", "both", "--offset", "0x1000"
    told = tell("merge", f"boot.bin@{BOOT}", "app.hex", "flash.s19", *options)
    assert told.status == 0
    moved = {at + 0x1000: data for at, data in WHOLE.items()}
    assert runs("flash.s19") == (moved, 0x10)
    assert Path("flash.s19").read_text().startswith("S0070000626F7468")


def test_merge_to_a_raw_image(tell: Any) -> None:
    options = "--from-lowest", "--fill", "0xff"
    told = tell("merge", f"boot.bin@{BOOT:#x}", "app.hex", "flash.bin", *options)
    assert (told.status, told.err) == (0, "")
    expected = bytearray(b"\xff" * (APP + 0x106 - BOOT))
    for start, data in WHOLE.items():
        expected[start - BOOT : start - BOOT + len(data)] = data
    assert Path("flash.bin").read_bytes() == expected


def test_overlaps(tell: Any) -> None:
    Path("patch.bin").write_bytes(b"PROG")
    names = "app.hex", f"patch.bin@{APP + 1:#x}"
    what = f"at {APP + 1:#x} .. {APP + 4:#x}"
    for overlap, words in (("error", "bytes"), ("same", "different bytes")):
        told = tell("merge", *names, "out.hex", "--overlap", overlap)
        assert told.status == 2
        said = f"app.hex and patch.bin have {words} {what}"
        assert told.err == f"pymempool: error: {said}\n"
        assert not Path("out.hex").exists()
    for overlap, data in (("first", b"\0program"), ("last", b"\0PROGram")):
        assert tell("merge", *names, "out.hex", "--overlap", overlap).status == 0
        assert runs("out.hex")[0][APP] == data
    Path("copy.hex").write_bytes(Path("app.hex").read_bytes())
    told = tell("merge", "app.hex", "copy.hex", "out.hex", "--overlap", "same")
    assert told.status == 0
    assert Path("out.hex").read_bytes() == Path("app.hex").read_bytes()


def test_start_addresses_that_differ(tell: Any) -> None:
    assert tell("convert", "boot.bin", "boot.hex", "--start", "2").status == 0
    told = tell("merge", "boot.hex", "app.hex", "out.hex")
    assert told.status == 2
    said = f"have different start addresses: 0x2 and {APP + 1:#x}\n"
    assert told.err == f"pymempool: error: boot.hex and app.hex {said}"
    options: list[Any]
    for options, start in (
        (["--start", "7"], 7),
        (["--start", "none"], None),
        (["--overlap", "last"], APP + 1),
    ):
        assert tell("merge", "boot.hex", "app.hex", "out.hex", *options).status == 0
        assert runs("out.hex")[1] == start


def test_names_that_end_like_offsets(tell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("v@1").write_bytes(b"v")
    Path("v@x").write_bytes(b"x")
    assert tell("merge", "v@1@0", "v@x@-0x0", "out.hex", "--overlap=last").status == 0
    assert runs("out.hex")[0] == {0: b"x"}
    assert tell("merge", "v@x", "out.hex").status == 0
    told = tell("merge", "v@1", "out.hex")
    assert (told.status, "cannot read v: " in told.err) == (2, True)
    with open("boot.bin") as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert tell("merge", "--", "-@16", "app.hex", "out.hex").status == 0
    assert runs("out.hex")[0][16] == b"loader\0\0"
    told = tell("merge", "--", "-", "-@16", "out.hex")
    assert (told.status, "only one of the images" in told.err) == (2, True)


def test_merge_writes_over_no_image_that_it_reads(tell: Any) -> None:
    told = tell("merge", f"boot.bin@{BOOT}", "app.hex", "app.hex")
    assert told.status == 2
    assert told.err == "pymempool: error: app.hex and app.hex are the same file\n"
    told = tell("merge", f"boot.bin@{BOOT}", "app.hex", "out.elf")
    assert (told.status, "ELF images can only be read" in told.err) == (2, True)


# ----------------------------------------------------------------------------- convert


def test_convert_places_a_raw_image(tell: Any) -> None:
    for source in ("boot.bin", Path("boot.bin").resolve().as_uri()):
        if "://" in str(source):
            pytest.importorskip("fsspec")
        assert tell("convert", source, "x.hex", "--offset", f"{BOOT:#x}").status == 0
        assert runs("x.hex")[0] == {BOOT: b"loader\0\0"}
    assert tell("convert", "x.hex", "y.hex", f"--offset=-{BOOT:#x}").status == 0
    assert runs("y.hex")[0] == {0: b"loader\0\0"}
    told = tell("convert", "x.hex", "y.hex", f"--offset=-{BOOT + 1:#x}")
    assert told.status == 2
    assert "cannot read x.hex: there is data at 0x8000000, which" in told.err


def test_convert_to_as_few_bytes_as_there_are(tell: Any) -> None:
    assert tell("convert", "app.hex", "x.bin", "--from-lowest").status == 0
    assert Path("x.bin").read_bytes() == b"\0program" + bytes(0xF8) + b"\xfftable"
    crop = f"--crop={APP + 0x101:#x}:"
    assert tell("convert", "app.hex", "x.bin", "--from-lowest", crop).status == 0
    assert Path("x.bin").read_bytes() == b"table"
    crop = f"--crop={APP + 4}:{APP + 12}"
    assert tell("convert", "app.hex", "x.hex", crop).status == 0
    assert runs("x.hex")[0] == {APP + 4: b"gram"}
    assert tell("convert", "app.hex", "x.hex", crop, "--fill=255").status == 0
    assert runs("x.hex")[0] == {APP + 4: b"gram" + b"\xff" * 4}
    assert tell("convert", "boot.bin", "x.bin", "--crop", ":6").status == 0
    assert Path("x.bin").read_bytes() == b"loader"


def test_convert_of_nothing_keeps_the_old_file(tell: Any) -> None:
    Path("x.hex").write_text("old")
    told = tell("convert", "app.hex", "x.hex", "--crop", "0:0x100")
    assert told.status == 2
    assert "cannot write x.hex: no byte was set from 0x0 on" in told.err
    told = tell("convert", "app.hex", "x.hex", "--from-lowest")
    assert (told.status, "from_lowest is for raw images" in told.err) == (2, True)
    assert Path("x.hex").read_text() == "old"


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--crop=5", "'5' is no range A:B"),
        ("--crop=5:5", "'5:5' is no range A:B"),
        ("--crop=-1:5", "'-1' is negative"),
        ("--crop=a:b", "'a' is no number, such as 4096 or 0x1000"),
        ("--fill=256", "'256' is no byte"),
        ("--fill=-1", "'-1' is no byte"),
        ("--offset=there", "'there' is no number"),
        ("--overlap=all", "invalid choice"),
    ],
)
def test_wrong_usage(
    tell: Any, option: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        tell("merge", "a", "b", option)
    assert words in capsys.readouterr().err
