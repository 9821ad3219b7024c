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
from internals import diff_module

from pymempool import MemoryPool

pytest_plugins = ["command_fixtures"]


DIFFERENT = """\
a and b differ
sizes     the same
differing 101 bytes, in 2 ranges

  start   end  bytes   size
    0x5   0x6      1    1 B
   0x64  0xc8    100  100 B

  0x00000000  A  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  ................
              B  00 01 02 03 04 04 06 07 08 09 0a 0b 0c 0d 0e 0f  ................
                                ^^
  0x00000060  A  60 61 62 63 64 65 66 67 68 69 6a 6b 6c 6d 6e 6f  `abcdefghijklmno
              B  60 61 62 63 00 00 00 00 00 00 00 00 00 00 00 00  `abc............
                             ^^ ^^ ^^ ^^ ^^ ^^ ^^ ^^ ^^ ^^ ^^ ^^
  0x00000070  A  70 71 72 73 74 75 76 77 78 79 7a 7b 7c 7d 7e 7f  pqrstuvwxyz{|}~.
              B  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
                 ^^ ^^ ^^ ^^ ^^ ^^ ^^ ^^ ^^ ^^ ^^ ^^ ^^ ^^ ^^ ^^
"""


@pytest.mark.usefixtures("folder")
def test_diff_of_two_files(tell: Any) -> None:
    told = tell("diff", "a", "b")
    assert (told.status, told.err) == (1, "")
    assert told.out.startswith(DIFFERENT)
    assert told.out.count("^^\n") == 8
    assert told.out.endswith(f"  {'^^ ' * 7}^^\n")  # and that is all


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
        "alone": [0, 0],
        "alone_data": [0, 0],
        "gaps": [0, 0],
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
        "only      in longer: 1 byte behind the other's end\n"
    )
    assert tell("diff", "a", "longer", "--quiet").status == 1
    out = tell("diff", "a", "one").out
    assert "sizes     12345 bytes and 1 byte\n" in out
    assert "only      in a: 12344 bytes behind the other's end\n" in out
    facts = json.loads(tell("diff", "one", "a", "--json").out)
    assert (facts["alone"], facts["alone_data"]) == ([0, 12344], [0, 12344])


@pytest.mark.usefixtures("folder")
def test_diff_of_a_hole_that_one_image_lost(tell: Any) -> None:
    with open("holey", "wb") as file:
        file.write(b"data")
        file.truncate(1 << 20)
    Path("short").write_bytes(b"data")
    told = tell("diff", "short", "holey")
    assert told.status == 1
    told_size = f"{(1 << 20) - 4} bytes behind the other's end"
    facts = json.loads(tell("diff", "short", "holey", "--json").out)
    assert facts["alone"] == [0, (1 << 20) - 4]
    hole = facts["alone_data"] == [0, 0]  # not where the system tells of no holes
    assert told.out.endswith(f"only      in holey: {told_size}{', a hole' * hole}\n")


@pytest.mark.usefixtures("folder")
def test_lines_of_the_dump_end_with_the_smaller_image(tell: Any) -> None:
    Path("one").write_bytes(bytes(19))
    Path("two").write_bytes(bytes(18) + b"xyz")
    out = tell("diff", "one", "two").out
    assert "differing 1 byte, in 1 range\nonly      in two: 2 bytes" in out
    assert out.endswith(
        "\n\n"
        f"  0x00000010  A  00 00 00{' ' * 39}  ...\n"
        f"              B  00 00 78{' ' * 39}  ..x\n"
        "                       ^^\n"
    )


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
    assert "\n  ... and 4 more: --all lists them\n\n" in some
    assert len(re.findall(r"^ +0x\w+ +0x", some, re.MULTILINE)) == 16
    assert len(re.findall(r"^ +0x\w+ +0x", every, re.MULTILINE)) == 20
    assert "differing 20 bytes, in 20 ranges\n" in some
    assert "--all" not in every
    for out in (some, every):
        assert len(re.findall(r"^  0x\w+  A ", out, re.MULTILINE)) == 8
        assert out.endswith("\n  ... and 12 bytes more\n")


def test_ranges_are_those_found_byte_by_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    # So that ranges continue in the next step.
    monkeypatch.setattr(diff_module, "_STEP", 16)
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


# ------------------------------------------------------------------- gaps and addresses


@pytest.fixture
def flashed(folder: Path, bincopy: Any) -> Path:
    """A program, and what a device then has: 0xff where nothing was written."""
    with MemoryPool(1 << 32, track_written=True) as pool:
        pool.write(0x8000, b"vectors")
        pool.write(0x8020, b"\0code\0")
        pool.save("x.hex")
        device = bytearray(b"\xff" * 0x80)
        for start, size in pool.written():
            device[start - 0x8000 : start - 0x8000 + size] = pool.read(start, size)
    device[0x60:0x64] = b"data"
    Path("device.bin").write_bytes(device)
    return folder


WITH_DEVICE = ("x.hex", "device.bin", "--offset-b", "0x8000")


@pytest.mark.usefixtures("flashed")
def test_diff_of_a_program_and_a_device(tell: Any) -> None:
    told = tell("diff", *WITH_DEVICE)
    assert told.status == 1
    assert "differing 25 bytes, in 1 range\n" in told.out
    assert "only      in device.bin: 25 bytes in gaps of the other\n" in told.out
    assert "only      in device.bin: 90 bytes behind the other's end\n" in told.out
    told = tell("diff", *WITH_DEVICE, "--within-a")
    assert (told.status, told.err) == (0, "")
    assert told.out == "x.hex and device.bin are the same: 32896 bytes\n"
    assert tell("diff", *WITH_DEVICE, "--within-a", "--quiet").status == 0
    told = tell("diff", *WITH_DEVICE, "--fill", "0xff")
    assert told.status == 1
    assert "differing 4 bytes, in 1 range\n" in told.out
    assert "only      in device.bin: 115 bytes in gaps of the other\n" in told.out
    assert "A  ff ff ff ff ff ff ff ff" in told.out
    assert "B  64 61 74 61 ff ff ff ff" in told.out
    assert tell("diff", *WITH_DEVICE, "--fill=0xff", "--quiet").status == 1


@pytest.mark.usefixtures("flashed")
def test_diff_within_the_first(tell: Any) -> None:
    device = bytearray(Path("device.bin").read_bytes())
    device[3] ^= 1
    device[9] ^= 1  # which is in a gap
    Path("device.bin").write_bytes(device)
    told = tell("diff", *WITH_DEVICE, "--within-a", "--json")
    facts = json.loads(told.out)
    assert (told.status, facts["same"]) == (1, False)
    assert facts["ranges"] == [{"start": 0x8003, "size": 1}]
    assert [facts[name] for name in ("gaps", "alone", "alone_data")] == [[0, 0]] * 3
    Path("device.bin").write_bytes(device[:0x24])
    told = tell("diff", *WITH_DEVICE, "--within-a", "--fill=0", "--json")
    facts = json.loads(told.out)
    assert facts["gaps"] == [2, 0]
    assert facts["ranges"] == [{"start": 0x8003, "size": 1}, {"start": 0x8024, "size": 1}]
    facts = json.loads(tell("diff", *WITH_DEVICE, "--within-a", "--json").out)
    assert (facts["alone"], facts["same"]) == ([2, 0], False)


@pytest.mark.usefixtures("flashed")
def test_equal_bytes_in_other_gaps(tell: Any) -> None:
    Path("y.hex").write_text(":0180000000" + "7F\n:00000001FF\n")
    Path("z.hex").write_text(":0180010000" + "7E\n:00000001FF\n")
    told = tell("diff", "y.hex", "z.hex", "--fill=0")
    assert told.status == 0
    assert told.out == (
        "y.hex and z.hex are the same: 32770 bytes\n"
        "only      in y.hex: 1 byte in gaps of the other\n"
        "only      in z.hex: 1 byte in gaps of the other\n"
    )
    assert "differing 2 bytes" in tell("diff", "y.hex", "z.hex", "--fill=1").out


@pytest.mark.usefixtures("flashed")
@pytest.mark.parametrize("fill", [None, 0, 0xFF])
@pytest.mark.parametrize("within", [False, True])
def test_diff_as_dicts_differ(tell: Any, fill: int | None, within: bool) -> None:
    chosen = random.Random(7)
    for _ in range(20):
        held: list[dict[int, int]] = []
        for name in ("y.hex", "z.hex"):
            with MemoryPool(400, track_written=True) as pool:
                for _ in range(5):
                    data = bytes(chosen.choices([0, 1, 0xFF], k=chosen.randint(1, 30)))
                    pool.write(chosen.randrange(300), data)
                pool.save(name)
                runs = list(pool.written())
                held.append({a: pool[a] for at, n in runs for a in range(at, at + n)})
        one, other = held
        ends = [max(each) + 1 for each in held]
        end = min(ends) if fill is None else max(ends)
        where = sorted(one) if within else range(end)
        filled = fill or 0
        differing = [
            a for a in where if a < end and one.get(a, filled) != other.get(a, filled)
        ]
        options = [f"--fill={fill}"] * (fill is not None) + ["--within-a"] * within
        told = tell("diff", "y.hex", "z.hex", "--json", "--all", *options)
        facts = json.loads(told.out)
        listed = [each.values() for each in facts["ranges"]]
        assert [a for at, n in listed for a in range(at, at + n)] == differing
        gaps = [
            len([a for a in mine.keys() - its.keys() if a < end])
            for mine, its in ((one, other), (other, one))
        ]
        assert facts["gaps"] == [gaps[0], 0 if within else gaps[1]]
        assert facts["differing"] == len(differing)
        assert told.status == int(not facts["same"])
