# SPDX-License-Identifier: MIT
"""Instructions per operation, beside those on record: the speed that a test can judge.

Callgrind counts what the library itself executes, without the C library, whose memcpy
differs from machine to machine. tests/c/counts.txt has the figures; a change of more than
5 % either way fails. Where it was meant, record anew, and say in the commit why:

    python tests/python/project/test_counts.py
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
RECORD = ROOT / "tests" / "c" / "counts.txt"
FIGURES = dict(re.findall(r"^(\w+) +([\d.]+)$", RECORD.read_text(), re.MULTILINE))
LIBRARY = "libmemory_pool.so"
ROUNDS = 100, 300  # the second has the operation 200 times more than the first
TOLERANCE = 0.05


def compiler() -> str:
    """What the figures depend on, such as "gcc 12 x86_64"."""
    version = subprocess.check_output(["gcc", "-dumpversion"], text=True)
    return f"gcc {version.split('.')[0].strip()} {platform.machine()}"


def build(directory: Path) -> Path:
    """The library as it is shipped, by fixed flags, and the program beside it."""
    gcc = ["gcc", "-std=c11", "-O2", "-DNDEBUG", "-lpthread"]
    program, library = str(directory / "counts"), str(directory / LIBRARY)
    source, user = (
        str(ROOT / "c" / "memory_pool.c"),
        str(ROOT / "tests" / "c" / "counts.c"),
    )
    shared = ["-shared", "-fPIC", "-fvisibility=hidden", "-o", library]
    subprocess.check_call([*gcc, source, *shared])
    subprocess.check_call([*gcc, user, f"-I{ROOT / 'c'}", library, "-o", program])
    return Path(program)


def spent(profile: str) -> int:
    """The instructions that callgrind's output has for functions of the library.

    A line is a name (`fn=(1) main`, later `fn=(1)`; `ob=` is the file that the functions
    after it lie in, and `cob=` that of one called) or a cost: a position and a number.
    The cost after a line `calls=` is that of a call as a whole and is counted elsewhere.
    """
    names: dict[str, str] = {}
    total, here, is_call = 0, "", False
    for line in profile.splitlines():
        if match := re.match(r"(c?ob)=(\(\d+\))(?: (.*))?$", line):
            what, number, name = match.groups()
            if name:
                names[number] = Path(name).name
            if what == "ob":
                here = names[number]
        elif line.startswith("calls="):
            is_call = True
        elif re.match(r"[-+*\d]", line):
            if here == LIBRARY and not is_call:
                total += int(line.split()[1])
            is_call = False
    return total


def instructions(program: Path, operation: str) -> float:
    """What one operation takes."""
    totals = []
    for rounds in ROUNDS:
        profile = program.parent / f"{operation}-{rounds}.callgrind"
        tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}"]
        done = subprocess.run(
            [*tool, program, operation, str(rounds)], text=True, capture_output=True
        )
        assert done.returncode == 0, done.stderr
        totals.append(spent(profile.read_text()))
    return (totals[1] - totals[0]) / (ROUNDS[1] - ROUNDS[0])


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for tool in ("gcc", "valgrind"):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool}")
    recorded = RECORD.read_text().splitlines()[0].removeprefix("# ")
    if compiler() != recorded:
        pytest.skip(f"recorded for {recorded}, this is {compiler()}")
    return build(tmp_path_factory.mktemp("counts"))


def test_every_operation_is_on_record(program: Path) -> None:
    assert subprocess.check_output([program], text=True).split() == list(FIGURES)


@pytest.mark.parametrize("operation", FIGURES)
def test_instructions(operation: str, program: Path) -> None:
    assert instructions(program, operation) == pytest.approx(
        float(FIGURES[operation]), rel=TOLERANCE
    ), f"if that was meant: python {Path(__file__).relative_to(ROOT)}"


def test_pins_elsewhere_cost_nothing() -> None:
    """A call for a range meets the pins in it, not all that there are."""
    few, many = float(FIGURES["with_10_pins"]), float(FIGURES["with_10000_pins"])
    assert many == pytest.approx(few, rel=TOLERANCE)


def test_a_walk_costs_its_range_and_not_its_run() -> None:
    """By the record, which the tests above hold the library to."""
    cost = {operation: float(figure) for operation, figure in FIGURES.items()}
    assert cost["extent_1m"] < 2 * cost["extent_32"]
    for walk in ("state", "change"):
        assert cost[f"{walk}_32_of_64k"] < 2 * cost[f"{walk}_32"]
        assert cost[f"{walk}_1024"] < 40 * cost[f"{walk}_32"]  # it costs that, not more


def record() -> None:
    with tempfile.TemporaryDirectory() as directory:
        program = build(Path(directory))
        rows = [
            f"{operation:16}{instructions(program, operation):10.1f}"
            for operation in subprocess.check_output([program], text=True).split()
        ]
    head = [
        f"# {compiler()}",
        "# Instructions of the library, without the C library's, for each operation of",
        "# tests/c/counts.c. To record anew: python tests/python/project/test_counts.py",
    ]
    RECORD.write_text("\n".join([*head, *rows, ""]))
    sys.stdout.write(RECORD.read_text())


if __name__ == "__main__":
    record()
