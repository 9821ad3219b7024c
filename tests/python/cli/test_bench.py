# SPDX-License-Identifier: MIT
"""The command bench and cli/timing.py: rows, turns and medians.

No test looks at how large a time is: a busy machine is no bug.
"""

from __future__ import annotations

import json

import pytest
from internals import bench_module, timing_module

from pymempool import cli

ROWS = [
    "read 8 B",
    "write 8 B",
    "read 4 KiB",
    "write 4 KiB",
    "read 1 MiB",
    "write 1 MiB",
    "snapshot, 64 MiB",
    "first touch, 64 MiB",
]
CANDIDATES = ["pool", "bytearray", "mmap"]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """As little work as will do; the names of the rows stay."""
    monkeypatch.setattr(bench_module, "SPAN", 2 * bench_module.MIB)
    monkeypatch.setattr(timing_module, "_TURN", 1e-5)


@pytest.mark.usefixtures("short")
def test_json_has_all_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert (err, list(told["rows"])) == ("", ROWS)
    for cases in told["rows"].values():
        assert list(cases) == CANDIDATES
        for timing in cases.values():
            assert 0 < timing["low"] <= timing["median"] <= timing["high"]


@pytest.mark.usefixtures("short")
def test_table_is_aligned_and_plain(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench"]) == 0
    out = capsys.readouterr().out
    assert out.isascii()
    lines = out.splitlines()
    head = next(number for number, line in enumerate(lines) if "bytearray" in line)
    table = lines[head : head + 1 + len(ROWS)]
    assert {len(line) for line in table} == {len(table[0])}
    assert max(map(len, lines)) <= 90
    for row, line in zip(ROWS, table[1:]):
        assert line.startswith(f"{row} ")


def test_candidates_take_turns() -> None:
    turns: list[str] = []

    def run(name: str, seconds: float) -> float:
        turns.append(name)
        return seconds * len(turns)

    cases = {name: lambda name=name: run(name, 1.0) for name in "ab"}
    found = timing_module.alternate(cases, rounds=3)
    assert "".join(turns) == "abababab"
    assert found["a"] == (5, 4, 6)  # turns 3, 5 and 7: the first does not count
    assert found["b"] == (6, 5, 7)


def test_a_statement_runs_at_each_offset() -> None:
    seen: list[int] = []
    run = timing_module.statement("seen.append(at)", [10, 20, 30], seen=seen)
    seen.clear()
    assert run() > 0
    assert seen == [10, 20, 30, 10, 20, 30]  # the first time is not measured
