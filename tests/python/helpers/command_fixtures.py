# SPDX-License-Identifier: MIT
"""A plugin for pytest, named by the tests of the commands: their fixtures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pymempool import cli


class Told:
    """What a command said and returned."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], *arguments: str | Path
    ) -> None:
        self.status = cli.main([str(argument) for argument in arguments])
        self.out, self.err = capsys.readouterr()


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda *arguments: Told(capsys, *arguments)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with images: a (12,345 bytes) and b, which differs from it."""
    monkeypatch.chdir(tmp_path)
    data = bytes(range(256)) * 48 + b"x" * 57
    Path("a").write_bytes(data)
    changed = bytearray(data)
    changed[5] ^= 1
    changed[100:200] = bytes(100)
    Path("b").write_bytes(changed)
    return tmp_path


@pytest.fixture
def bincopy() -> Any:
    return pytest.importorskip("bincopy")
