# SPDX-License-Identifier: MIT
"""The examples run, and print what they are there to show."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
README = (EXAMPLES / "README.md").read_text(encoding="utf-8")

OUTPUTS = {
    "array_snapshots": """\
32 MiB of float64 in 8192 blocks of 4 KiB
100 states, 320 KiB written before each of them
                                    in a pool     numpy.copy
keep a state  ? ms  ? ms
list what differs  ? ms  ? ms
roll back what was written  ? ms  ? ms
go back by 50 and 100 states  ? ms  ? ms
changes are exactly the rows written: True
after a roll-back the array has the state: [True, True, True]
memory for 100 states: 3.0 arrays, copies need 102
""",
    "simulator": """\
1000 steps, 20 states of 32 MiB:
0 160 320 480 560 640 720 760 800 840 880 900 920 930 940 950 960 970 980 990
rows that changed since the start: 240
since the last state: 24
held once instead of 7.8 times over
hottest in row 3: 900 at the start, 240 now
rows that differ after that: 0
both ways lead to the same state: True
a delta of 19 KiB leads there too: True
""",
    "stream": """\
16777216 bytes in 11984 pieces by 4 threads
the same as was sent: True
within the limit of 1048576 bytes: True
left in the pool: 0 bytes
""",
    "unicorn_rollback": """\
1000 runs from the same state, right: 1000
dirty pages: 16, the first [256, 320, 384]
from 25: 26
from 325: 326
from 5: 6
still pinned: 0 blocks, 0 pins
1000 runs from the same state, right: 1000
""",
}
NEEDS = {"array_snapshots": "numpy", "simulator": "numpy", "unicorn_rollback": "unicorn"}
ARGUMENTS = {"array_snapshots": ["32"]}  # a small array


def test_none_is_forgotten() -> None:
    assert sorted(path.stem for path in EXAMPLES.glob("*.py")) == sorted(OUTPUTS)
    assert all(f"[`{name}.py`]({name}.py)" in README for name in OUTPUTS)


@pytest.mark.parametrize("name", OUTPUTS)
def test_example(name: str, tmp_path: Path) -> None:
    need = NEEDS.get(name)
    if need is not None and find_spec(need) is None:
        pytest.skip(f"{need} is not installed; pymempool[examples] brings it")
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", *ARGUMENTS.get(name, [])],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
    )
    printed = re.sub(r" +[0-9.]+ ms", "  ? ms", done.stdout)
    assert (printed, done.stderr, done.returncode) == (OUTPUTS[name], "", 0)


def test_the_times_of_the_roll_backs_on_demand(tmp_path: Path) -> None:
    if find_spec("unicorn") is None:
        pytest.skip("unicorn is not installed; pymempool[examples] brings it")
    done = subprocess.run(
        [sys.executable, EXAMPLES / "unicorn_rollback.py", "times"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    timed = [line for line in done.stdout.splitlines() if re.search(r": \d+ us$", line)]
    told = [line.partition(":")[0] for line in timed]
    assert told == ["a run and its roll-back", "the same by Unicorn's snapshots"]
    assert re.search(r"^pinned and mapped in \d+\.\d\d ms$", done.stdout, re.MULTILINE)


EXECUTE = """
import sys

import nbclient
import nbformat

notebook = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(notebook, timeout=300).execute()
nbformat.write(notebook, sys.argv[2])
"""


def shown(path: Path) -> list[object]:
    """What the cells of a notebook show, but for plots, which are drawn as matplotlib's
    version likes it."""
    outputs = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if data.pop("image/png", None) is not None:
                data["image/png"] = "a plot"
            outputs.append((output["output_type"], output.get("text"), data))
    return outputs


def test_notebook(tmp_path: Path) -> None:
    for need in ("nbclient", "ipykernel", "numpy", "matplotlib"):
        if find_spec(need) is None:
            pytest.skip(f"{need} is not installed; pymempool[test] brings it")
    notebook, again = EXAMPLES / "tour.ipynb", tmp_path / "again.ipynb"
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, notebook, again],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert len(shown(notebook)) == 12
    assert shown(again) == shown(notebook)
    assert f"[`{notebook.name}`]({notebook.name})" in README
