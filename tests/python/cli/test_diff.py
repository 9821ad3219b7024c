# SPDX-License-Identifier: MIT
"""The command diff: the ranges that differ, and its exit status."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from command_line import command
from internals import (
    comparing_module,
    diff_module,
)

from pymempool import MemoryPool

pytest_plugins = ["command_fixtures"]


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
