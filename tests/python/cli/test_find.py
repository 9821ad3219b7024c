# SPDX-License-Identifier: MIT
"""The commands digest and find: what they print, and their exit status."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from command_line import POSIX, command
from digest_definition import digest_of

from pymempool import MemoryPool

pytest_plugins = ["command_fixtures"]

# ------------------------------------------------------------------------- digest


@pytest.mark.usefixtures("folder")
def test_digests_of_files(tell: Any) -> None:
    a, b = (digest_of(Path(name).read_bytes()).hex() for name in "ab")
    told = tell("digest", "a")
    assert (told.status, told.err, told.out) == (0, "", f"{a}  a\n")
    told = tell("digest", "b", "a", "b")
    assert (told.status, told.out) == (0, f"{b}  b\n{a}  a\n{b}  b\n")


@pytest.mark.usefixtures("folder")
def test_digest_for_programs(tell: Any) -> None:
    digest = digest_of(Path("a").read_bytes()).hex()
    told = tell("digest", "a", "a", "--json")
    assert told.status == 0
    fact = {"image": "a", "format": "raw", "size": 12345, "digest": digest}
    assert json.loads(told.out) == [fact, fact]


@pytest.mark.usefixtures("folder", "bincopy")
def test_digest_across_formats_and_holes(tell: Any) -> None:
    data = Path("a").read_bytes()
    with MemoryPool(len(data), 1) as pool:
        pool.write(0, data)
        pool.save("a.hex", format="hex")
    Path("zeros").write_bytes(bytes(100_000))
    with open("hole", "wb") as file:
        file.truncate(100_000)
    words = tell("digest", "a", "a.hex", "zeros", "hole").out.split()
    assert words[0] == words[2]
    assert words[4] == words[6]
    as_text = tell("digest", "a.hex", "--format", "raw").out.split()[0]
    assert as_text == digest_of(Path("a.hex").read_bytes()).hex()


@pytest.mark.usefixtures("folder")
def test_digest_ends_with_an_image_that_cannot_be_read(tell: Any) -> None:
    told = tell("digest", "a", "missing", "b")
    assert told.status == 2
    assert told.out == f"{digest_of(Path('a').read_bytes()).hex()}  a\n"
    assert told.err.startswith("pymempool: error: cannot read missing: ")
    assert told.err.count("\n") == 1


def test_digest_of_standard_input(folder: Path, tell: Any) -> None:
    with open("a", "rb") as source:
        done = command("digest", "-", folder / "b", stdin=source)
    digest = digest_of(Path("a").read_bytes()).hex()
    assert done.returncode == 0
    assert done.stdout.decode().startswith(f"{digest}  -")
    told = tell("digest", "-", "a", "-")
    assert told.status == 2
    assert "only one of the images can be standard input" in told.err


@pytest.mark.usefixtures("folder")
@POSIX
def test_names_are_shown_on_one_line(tell: Any) -> None:
    os.rename("a", "two\nlines")
    assert tell("digest", "two\nlines").out.endswith("  'two\\nlines'\n")


# --------------------------------------------------------------------------- find


@pytest.fixture
def text(folder: Path) -> Path:
    Path("text").write_bytes(b"one two \xc3\xbc one\0\0\0 oneone")
    return folder


@pytest.mark.usefixtures("text")
@pytest.mark.parametrize(
    ("arguments", "out"),
    [
        (["one"], "0x0\n0xb\n0x12\n0x15\n"),
        (["two"], "0x4\n"),
        (["\N{LATIN SMALL LETTER U WITH DIAERESIS}"], "0x8\n"),
        (["oneone"], "0x12\n"),
        (["--hex", "C3 bc"], "0x8\n"),
        (["--hex", "0000"], "0xe\n"),
        (["--hex", "00"], "0xe\n0xf\n0x10\n"),
        (["one", "--limit", "1"], "0x0\n"),
        (["one", "--limit", "9"], "0x0\n0xb\n0x12\n0x15\n"),
        (["one", "--count"], "4\n"),
        (["--hex", "00", "--count"], "3\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_found(arguments: list[str], out: str, tell: Any) -> None:
    told = tell("find", *arguments, "text")
    assert (told.status, told.out, told.err) == (0, out, "")


@pytest.mark.usefixtures("text")
def test_what_is_not_found(tell: Any) -> None:
    for pattern in ("three", "one" * 100):
        told = tell("find", pattern, "text")
        assert (told.status, told.out, told.err) == (1, "", "")
        told = tell("find", "--count", pattern, "text")
        assert (told.status, told.out, told.err) == (1, "0\n", "")
        told = tell("find", "--json", pattern, "text")
        assert (told.status, json.loads(told.out)["offsets"]) == (1, [])


@pytest.mark.usefixtures("text")
def test_find_for_programs(tell: Any) -> None:
    facts = {"image": "text", "format": "raw", "size": 24, "pattern": "6f6e65"}
    told = tell("find", "one", "text", "--json", "--limit", "2")
    assert (told.status, json.loads(told.out)) == (0, {**facts, "offsets": [0, 11]})
    told = tell("find", "one", "text", "--json", "--count")
    assert (told.status, json.loads(told.out)) == (0, {**facts, "count": 4})


@pytest.mark.usefixtures("text")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["", "text"], "the pattern is empty"),
        (["--hex", "", "text"], "the pattern is empty"),
        (["--hex", " ", "text"], "the pattern is empty"),
        (["--hex", "5", "text"], "the pattern must be pairs of hex digits"),
        (["--hex", "0x55", "text"], "the pattern must be pairs of hex digits"),
        (["one", "missing"], "cannot read missing: "),  # the reason is the system's
    ],
)
def test_find_that_cannot_be(arguments: list[str], told: str, tell: Any) -> None:
    found = tell("find", *arguments)
    assert (found.status, found.out) == (2, "")
    assert found.err.startswith(f"pymempool: error: {told}")
    assert found.err.count("\n") == 1


@pytest.mark.usefixtures("text")
@pytest.mark.parametrize(
    "arguments", ["one", "one text --limit 0", "one text --limit x", "one text a"]
)
def test_wrong_usage_of_find(arguments: str, tell: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        tell("find", *arguments.split())
    assert caught.value.code == 2


@pytest.mark.usefixtures("folder")
@pytest.mark.skipif(not hasattr(os, "SEEK_HOLE"), reason="holes of files are unknown")
def test_find_in_a_large_hole(tell: Any) -> None:
    with open("sparse", "wb") as file:
        file.truncate(1 << 36)
        file.seek(1 << 35)
        file.write(b"needle")
    told = tell("find", "needle", "sparse")
    assert (told.status, told.out) == (0, "0x800000000\n")


@POSIX
def test_find_of_bytes_that_are_no_text(text: Path) -> None:
    done = command("find", b"\xc3".decode(errors="surrogateescape"), text / "text")
    assert (done.returncode, done.stdout) == (0, b"0x8\n")


def test_find_in_standard_input(text: Path) -> None:
    with open("text", "rb") as source:
        done = command("find", "two", "-", stdin=source)
    assert (done.returncode, done.stdout.split()) == (0, [b"0x4"])


@pytest.mark.usefixtures("folder", "bincopy")
def test_find_by_address(tell: Any) -> None:
    """Addresses of a program, and those that a raw image has on its device."""
    assert tell("convert", "a", "a.hex", "--offset", "0x8000000").status == 0
    options = [["a.hex"], ["a", "--offset", "0x8000000"]]
    for arguments in options:
        told = tell("find", "--hex", "fe ff 00", *arguments, "--limit", "2")
        assert (told.status, told.out) == (0, "0x80000fe\n0x80001fe\n")
        assert tell("find", "xx\0", *arguments).status == 1
