"""The commands of README.md; its code and its links are in test_docs.py."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.metadata import metadata
from pathlib import Path

import pytest
from documents import COMPILER, ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def examples(language: str) -> list[tuple[str, str]]:
    """Each example of a language, with the output that follows it in the text."""
    return re.findall(rf"```{language}\n(.*?)```\n\n```text\n(.*?)```", TEXT, re.DOTALL)


def command(name: str) -> str:
    found = re.findall(rf"<!-- command: {name} -->\n```sh\n(.*?)\n```", TEXT, re.DOTALL)
    assert len(found) == 1, f"README.md must have one command {name}"
    return str(found[0])


@pytest.mark.parametrize("language", ["python", "c"])
def test_every_example_tells_its_output(language: str) -> None:
    assert TEXT.count(f"```{language}\n") == len(examples(language)) > 0


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
@pytest.mark.skipif(os.name == "nt", reason="the line to compile is for POSIX shells")
@pytest.mark.parametrize(("source", "output"), examples("c"))
def test_c(source: str, output: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "c", tmp_path / "c")
    (tmp_path / "example.c").write_text(source, encoding="utf-8")
    program, *arguments = command("compile").split()
    assert program == "cc"
    subprocess.run([str(COMPILER), *arguments], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "example"], capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == (output, "", 0)


def test_the_table_of_extras_has_every_extra() -> None:
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    table = re.search(r"^\| extra \|.*?\n\n", text, re.DOTALL | re.MULTILINE)
    assert table is not None
    told = re.findall(r"`(\w+)`", re.sub(r"\| [^|]*\|$", "", table[0], flags=re.M))
    extras = metadata("pymempool").get_all("Provides-Extra")
    assert sorted(told) == sorted(extras or [])


@pytest.mark.parametrize("name", ["demo", "test"])
def test_a_command_is_one_line_that_makes_the_venv(name: str) -> None:
    assert re.fullmatch(r"python3 -m venv \.venv && .*[^\\]", command(name))
