# SPDX-License-Identifier: MIT
"""What may import what in the package, and that nothing imports in a circle.

Read from the sources, so that imports inside functions and those for type checkers count.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pymempool

PACKAGE = Path(pymempool.__file__).parent

#: Each part of the package, with the parts that it may import besides itself.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "_native": {"errors"},
    "_core": {"errors", "_native"},
    "images": {"errors", "_native", "_core"},
    "pictures": {"errors", "_native", "_core"},
    "sharing": {"errors", "_native", "_core"},
    "pool": {"errors", "_native", "_core", "images", "pictures", "sharing"},
    "history": {"errors", "_native", "_core", "pool"},
    "__init__": {"errors", "_native", "_core", "sharing", "pool", "history"},
}
ALLOWED |= {
    "filesystem": {"errors", "_native", "_core", "pool"},
    "testing": {"errors", "_native", "_core", "pool"},
    "distributed": {"errors", "_native", "_core", "images", "pool", "__init__"},
    "cli": {"errors", "_native", "_core", "images", "pool", "__init__"},
    "__main__": {"cli"},
}


def name_of(path: Path) -> str:
    """The module in a file, from the package on; a package is its __init__."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(module: str) -> Iterator[str]:
    """The modules of the package that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(["pymempool", *module.split(".")][: -node.level or None])
            parts = [start] if node.level else []
            home = ".".join([*parts, node.module] if node.module else parts)
            names = [f"{home}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "pymempool":
                yield found(name.split(".")[1:])


def found(parts: list[str]) -> str:
    """The module that a name is, or the one that it is in."""
    while True:
        for name in (".".join(parts), ".".join([*parts, "__init__"])):
            if name in MODULES:
                return name
        parts = parts[:-1]


GRAPH = {module: set(imported(module)) - {module} for module in MODULES}


def part_of(module: str) -> str:
    return module.split(".")[0]


def circle() -> list[str]:
    """Modules each of which imports the next one, and the last one the first."""
    left = {module: set(names) for module, names in GRAPH.items()}
    while True:
        done = {module for module, names in left.items() if not names}
        if not done:
            break
        left = {m: names - done for m, names in left.items() if m not in done}
    way: list[str] = [*left][:1]
    while way:
        follower = min(left[way[-1]])
        if follower in way:
            return way[way.index(follower) :]
        way.append(follower)
    return []


def test_every_part_is_in_the_table() -> None:
    assert {part_of(module) for module in MODULES} == set(ALLOWED)


@pytest.mark.parametrize("part", ALLOWED)
def test_imports_point_one_way(part: str) -> None:
    wrong = {
        (module, name)
        for module, names in GRAPH.items()
        for name in names
        if part_of(module) == part != part_of(name)
        if part_of(name) not in ALLOWED[part]
    }
    assert wrong == set()


def test_the_table_has_no_circle() -> None:
    seen: set[str] = set()
    for part, others in ALLOWED.items():
        assert others <= seen
        seen.add(part)


def test_the_table_allows_no_more_than_is_used() -> None:
    used: dict[str, set[str]] = {part: set() for part in ALLOWED}
    for module, names in GRAPH.items():
        used[part_of(module)] |= {part_of(name) for name in names} - {part_of(module)}
    assert used == ALLOWED


def test_no_circle() -> None:
    assert circle() == []


def test_imports_are_read() -> None:
    """In all forms: a test that sees none would find nothing wrong."""
    assert "_native.library" in GRAPH["__init__"]
    assert "cli.__init__" in GRAPH["__main__"]
    assert "__init__" in GRAPH["cli.demo"]  # import pymempool
    assert "images.locations" in GRAPH["images.formats"]  # from . import locations
    assert "errors" in GRAPH["_native.calls"]  # from ..errors import ...


def test_what_few_programs_need_is_imported_late() -> None:
    """Files, pictures, pickles, and what these import, such as hashlib and OpenSSL."""
    # What the interpreter begins with (coverage.py and its own imports) is left out.
    code = (
        "import sys; before = set(sys.modules); import pymempool; "
        "print(*set(sys.modules) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True
    )
    names = done.stdout.split()
    assert "pymempool.pool" in names
    late = "pymempool.images", "pymempool.pictures", "pymempool._core.pickling"
    late = *late, "pymempool.sharing", "multiprocessing"
    assert [name for name in names if name.startswith((*late, "hashlib"))] == []


#: What tests import by its own name; the rest through helpers/internals.py.
PUBLIC = {"testing", "distributed", "filesystem", "cli", "pool"}


def private_imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, first, second = [*name.split("."), "", ""][:3]
            if package != "pymempool" or first in ("", *pymempool.__all__):
                continue
            if first not in PUBLIC or f"{first}.{second}" in MODULES:
                yield name


def test_tests_import_private_names_in_one_place() -> None:
    files = sorted(Path(__file__).parents[1].rglob("*.py"))
    homes = {path.name for path in files if [*private_imports(path)]}
    assert homes == {"internals.py"}
