# SPDX-License-Identifier: MIT
"""The how-to of tests: its long example runs, and fails as the page shows."""

from __future__ import annotations

import re
from pathlib import Path

pytest_plugins = ["pytest_runs"]


HOWTO = Path(__file__).resolve().parents[3] / "docs" / "howto" / "tests.md"


def howto_example() -> tuple[str, str]:
    """The test that the how-to shows, and what it says comes of leaving out a line."""
    text = HOWTO.read_text(encoding="utf-8")
    found = re.findall(r"```py\n(.*?)```\n.*?```text\n(.*?)```", text, re.DOTALL)
    assert len(found) == 1
    return found[0]


def test_howto_example(run, compile_c) -> None:
    run(howto_example()[0], passed=1)


def test_howto_example_without_the_line(run, compile_c) -> None:
    source, told = howto_example()
    line = "    pool_destroy(saved);\n"
    assert line in source
    # A single call leaves one clone, the sweep would leave one for each pass.
    source = source.replace(line, "").replace("fail_allocation.each()", "[nullcontext()]")
    source = "from contextlib import nullcontext\n" + source
    assert told in run(source, passed=1, errors=1)
