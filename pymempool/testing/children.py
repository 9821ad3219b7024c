# SPDX-License-Identifier: MIT
"""Runs one test of pytest again, in a child process with the runtime of sanitizers."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from . import sanitizers
from .errors import ChildError, SanitizerError

#: pytest with the paths of modules that the parent has; they are the first argument.
_DRIVER = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1));"
    " import pytest; raise SystemExit(pytest.main())"
)


class Outcome(NamedTuple):
    """What came of a test: neither if it passed."""

    error: AssertionError | None = None
    skipped: str | None = None  #: why


def run(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, cwd: Path
) -> Outcome:
    """Runs pytest for one test.

    arguments: of pytest.
    environment: what CompileC passes to run_in_child.
    folder: an empty one, for reports.
    cwd: where the parent was started.

    The error is a SanitizerError if the sanitizers have found one.
    """
    result = folder / "result.xml"
    paths = json.dumps(sys.path)
    command = [sys.executable, "-c", _DRIVER, paths, *arguments, f"--junitxml={result}"]
    status, output, report = sanitizers.run(command, environment, folder, cwd)
    if report:
        return Outcome(SanitizerError(report))
    if status or not result.exists():
        text = f"in a child process, which ended with {status}:\n{output}"
        return Outcome(ChildError(text))
    skipped = ElementTree.parse(result).find(".//skipped")
    return Outcome() if skipped is None else Outcome(None, skipped.get("message", ""))
