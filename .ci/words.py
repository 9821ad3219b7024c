#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Finds expressions of this project's own for which there is a standard term.

    .ci/words.py               looks through all that a reader meets
    .ci/words.py PATH ...      looks through these, named from the root

words.txt lists the expressions. In a page each word counts; in C and Python those in
comments, strings and docstrings do. Prints file:line, the expression and the terms; ends
with 1 if there was any.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: What a reader meets.
READ = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "RELEASING.md",
    "SECURITY.md",
    "benchmarks",
    "c",
    "docs",
    "examples",
    "pymempool",
    "pytest_pymempool.py",
    "tests/evidence",
)

#: Files that may have any of the expressions, and why.
ALLOWED = {"docs/glossary.md": "it explains the expressions"}

_C = r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'"""
_PYTHON = (
    r'''#[^\n]*|""".*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*\''''
)
#: What counts in a file, by the end of its name.
TEXTS = {
    ".md": r".+",
    ".c": _C,
    ".h": _C,
    ".cpp": _C,
    ".pml": _C,
    ".py": _PYTHON,
}
_GAP = r"""[\s*#/"'>]+"""  # between two words, also where a line or a string ends

#: A pattern, and the terms to use instead.
Expression = tuple[re.Pattern[str], str]


def expressions(text: str) -> Iterator[Expression]:
    """Yields the expressions of a list such as words.txt."""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            spoken, _, terms = line.partition(" = ")
            for each in spoken.split(", "):
                pattern = _GAP.join(map(re.escape, each.split()))
                pattern = pattern.replace(rf"\.\.{_GAP}", rf"(?:\w+{_GAP}){{0,2}}")
                yield re.compile(rf"\b{pattern}\b", re.IGNORECASE), terms


def without_code(text: str, suffix: str) -> str:
    """Returns the text of a file with its code crossed out and its lines in place."""
    spans = [match.span() for match in re.finditer(TEXTS[suffix], text, re.DOTALL)]
    ends = [0, *(end for span in spans for end in span), len(text)]
    parts = [text[start:end] for start, end in zip(ends, ends[1:])]
    parts[::2] = [re.sub(r"\S", "\0", code) for code in parts[::2]]
    return "".join(parts)


def hits(
    text: str, suffix: str, forbidden: list[Expression]
) -> list[tuple[int, str, str]]:
    """Returns the line of each expression, how it stands there, and the terms for it."""
    text = without_code(text, suffix)
    return sorted(
        (
            text.count("\n", 0, match.start()) + 1,
            " ".join(re.findall(r"\w[\w']*", match[0])),
            terms,
        )
        for pattern, terms in forbidden
        for match in pattern.finditer(text)
    )


def files(root: Path) -> Iterator[Path]:
    if root.is_dir():
        yield from (path for path in sorted(root.rglob("*")) if path.suffix in TEXTS)
    else:
        yield root


def main(paths: list[str]) -> int:
    listed = Path(__file__).with_name("words.txt").read_text(encoding="utf-8")
    forbidden = list(expressions(listed))
    skipped = {ROOT / name for name in ALLOWED}
    found = 0
    for root in paths or READ:
        for path in files(ROOT / root):
            if path in skipped:
                continue
            text = path.read_text(encoding="utf-8")
            name = path.relative_to(ROOT).as_posix()
            for line, spoken, terms in hits(text, path.suffix, forbidden):
                print(f"{name}:{line}: {spoken!r}, better: {terms}")
                found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
