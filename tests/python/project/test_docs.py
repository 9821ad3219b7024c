# SPDX-License-Identifier: MIT
"""The documentation is true: its code is run, its links lead somewhere, and it leaves
out nothing that is public."""

from __future__ import annotations

import importlib
import inspect
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from documents import ROOT, RUN, Block, blocks, chains, missing, pages, run

import pymempool
import pymempool.testing

DOCS = ROOT / "docs"
HEADER = (ROOT / "c" / "memory_pool.h").read_text(encoding="utf-8")

CHAINS = [chain for page in pages() for chain in chains(page)]


@pytest.mark.parametrize("chain", CHAINS, ids=[chain[0].place for chain in CHAINS])
def test_code(chain: list[Block], tmp_path: Path) -> None:
    why = missing(chain)
    if why:
        pytest.skip(why)
    run(chain, tmp_path)


def test_code_is_run_or_says_why_not() -> None:
    every = [block for page in pages() for block in blocks(page)]
    shown = [
        block
        for block in every
        if not block.language.startswith("{")  # a directive of the site
        and (block.language not in RUN or {"not run", "command"} & set(block.notes))
    ]
    assert [
        block.place
        for block in shown
        if block.language != "text" and not {"not run", "command"} & set(block.notes)
    ] == []
    assert len(shown) < len(every) / 8  # few are only shown


# ---------------------------------------------------------------------------- links


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts and the site make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    headings = re.findall(r"^#+ +(.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def test_every_link_leads_somewhere() -> None:
    broken = []
    others = list(ROOT.glob("*.md"))
    for folder in ("benchmarks", "c", "examples", "tests"):
        others += (ROOT / folder).rglob("*.md")
    for page in {*pages(), *others}:
        text = re.sub(
            r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M
        )
        for link in re.findall(r"\]\(([^)\s:]+)\)", text):
            path, _, anchor = link.partition("#")
            target = (page.parent / path) if path else page
            if not target.exists() or (anchor and anchor not in _anchors(target)):
                broken.append(f"{page.relative_to(ROOT)}: {link}")
    assert broken == []


# ------------------------------------------------------------------------- glossary


def test_the_glossary_has_each_term_once_with_the_standard_one() -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?!here |---)(.*) \|$", text, re.MULTILINE)
    cells = [[cell.strip() for cell in row.split("|")] for row in rows]
    assert len(cells) > 50
    assert [row for row in cells if len(row) != 3 or not all(row)] == []
    assert [row[0] for row in cells if not row[2].endswith(".")] == []
    terms = [row[0] for row in cells]
    assert sorted(set(terms)) == sorted(terms)


# ------------------------------------------------------------------------ reference


def test_the_reference_of_c_has_every_name() -> None:
    page = (DOCS / "reference" / "c.md").read_text(encoding="utf-8")
    listed = re.findall(r"^```\{doxygen\w+\} (\w+)", page, re.MULTILINE)
    functions = re.findall(r"^POOL_API .*?(\w+)\(", HEADER, re.MULTILINE)
    types = re.findall(
        r"^(?:typedef (?:struct|enum) |\} )(\w+)[; ]", HEADER, re.MULTILINE
    )
    types += re.findall(r"^typedef \w+ \(\*(\w+)\)", HEADER, re.MULTILINE)
    assert len(functions) > 20 and "PoolStats" in types
    assert sorted(set(listed)) == sorted({*functions, *types})
    assert len(listed) == len(set(listed))


def test_the_reference_of_python_has_every_name() -> None:
    page = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\.\. auto\w+:: (?:pymempool\.)?([\w.]+)", page, re.MULTILINE)
    wanted = set(pymempool.__all__)
    wanted |= {
        f"MemoryPool.{name}"
        for name, _ in inspect.getmembers(pymempool.MemoryPool)
        if not name.startswith("_")
    }
    assert sorted(wanted - set(listed)) == []
    testing = [name for name in listed if name.startswith("testing.")]
    assert {name.partition(".")[2] for name in testing} == set(pymempool.testing.__all__)
    for module, needed in (("distributed", "distributed"), ("filesystem", "fsspec")):
        names = [name for name in listed if name.startswith(f"{module}.")]
        assert names
        if find_spec(needed) is None:  # which the module of ours imports
            listed = [name for name in listed if name not in names]
        else:
            importlib.import_module(f"pymempool.{module}")
    if find_spec("distributed") is not None:
        sharded = [name for name in listed if name.startswith("distributed.")]
        public = pymempool.distributed.__all__
        assert [name.partition(".")[2] for name in sorted(sharded)] == public
    assert [name for name in listed if not _is_there(name)] == []


def test_files_that_grow_are_taught_with_large_blocks() -> None:
    """MemoryPool(1) has blocks of 1 byte for ever: a zip of 50 MiB on it took 2.8 GB."""
    code = [block for page in pages() for block in blocks(page)]
    assert [block.place for block in code if "MemoryPool(1)" in block.source] == []


def _is_there(name: str) -> bool:
    thing: object = pymempool
    for part in name.split("."):
        if not hasattr(thing, part):
            return False
        thing = getattr(thing, part)
    return True
