# SPDX-License-Identifier: MIT
"""The check for words of this project's own finds each of them, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documents import ROOT

LINES = [
    line
    for line in (ROOT / ".ci" / "words.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
#: Each expression of the list, as somebody may write it, with the terms for it.
SPOKEN = [
    (each.replace("..", "its memory"), line.split(" = ")[1])
    for line in LINES
    for each in line.split(" = ")[0].split(", ")
]
CLEAN = "A call releases its reference, and the reservation is returned to the arena."


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Sources with the check and without any text."""
    (tmp_path / ".ci").mkdir()
    for name in ("words.py", "words.txt"):
        shutil.copy(ROOT / ".ci" / name, tmp_path / ".ci")
    return tmp_path


def check(sources: Path, *paths: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-X", "utf8", sources / ".ci" / "words.py", *paths],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def write(sources: Path, name: str, text: str) -> None:
    (sources / name).parent.mkdir(parents=True, exist_ok=True)
    (sources / name).write_text(text, encoding="utf-8")


def reported(lines: list[str]) -> set[tuple[int, str, str]]:
    """The line, the expression and the terms of each report on one file."""
    found = set()
    for line in lines:
        _, number, report = line.split(":", 2)
        spoken, terms = report.split(", better: ")
        found.add((int(number), spoken.strip(" '\"").lower(), terms))
    return found


def test_every_line_of_the_list_has_terms() -> None:
    assert len(SPOKEN) > 50
    assert [line for line in LINES if line.count(" = ") != 1] == []


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("docs/page.md", "Here {}, one says.\n"),
        ("c/comment.h", "/* Here {}, one says. */\n"),
        ("c/line.c", "int x; // Here {}, one says.\n"),
        ("c/message.c", 'char *x = "Here {}, one says.";\n'),
        ("pymempool/message.py", 'raise ValueError(f"Here {}, one says.")\n'),
        ("pymempool/comment.py", "x = 1  # Here {}, one says.\n"),
    ],
)
def test_each_expression_is_found(sources: Path, name: str, form: str) -> None:
    write(sources, name, "".join(form.format(spoken) for spoken, _ in SPOKEN))
    status, lines = check(sources, name)
    wanted = {
        (number, spoken, terms) for number, (spoken, terms) in enumerate(SPOKEN, start=1)
    }
    assert status == 1 and wanted - reported(lines) == set()
    assert {number for number, *_ in reported(lines)} == {n for n, *_ in wanted}
    assert all(line.startswith(f"{name}:") for line in lines)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("docs/page.md", "> It LETS\n> go, or gives\nthem back.\n"),
        ("c/a.c", "/* It lets\n * go, or gives\n * them back. */\n"),
        ("pymempool/a.py", '"""It lets\n    go, or gives\n    them back.\n"""\n'),
        ("pymempool/b.py", 'x = (\n"It lets "\n"go, "\n"or gives" " them"\n" back")\n'),
    ],
)
def test_an_expression_may_end_on_another_line(
    sources: Path, name: str, text: str
) -> None:
    write(sources, name, text)
    assert [spoken for _, spoken, _ in sorted(reported(check(sources, name)[1]))] == [
        "lets go",
        "gives them back",
    ]


def test_what_is_clean_is_accepted(sources: Path) -> None:
    write(sources, "docs/page.md", f"{CLEAN}\n")
    write(sources, "docs/glossary.md", "| gate | shape lock |\n")
    write(sources, "docs/picture.svg", "<text>gate</text>\n")
    write(sources, "c/a.c", f"/* {CLEAN} */ int gate(void);\nchar c = '\"'; gate();\n")
    write(sources, "pymempool/a.py", f'"""{CLEAN}"""\ngate = face(stock)  # {CLEAN}\n')
    for name in ("docs", "c", "pymempool"):
        assert check(sources, name) == (0, [])


def test_these_sources_are_clean() -> None:
    assert check(ROOT) == (0, [])
