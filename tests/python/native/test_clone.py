# SPDX-License-Identifier: MIT
"""Sources without a library, as Python finds them in the folder of a clone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documents import ROOT, blocks
from internals import library_module

import pymempool

HERE = Path(pymempool.__file__).parent
LIBRARY = Path(pymempool.get_library())
NAME = LIBRARY.name


def copy(source: str | Path, target: str | Path) -> None:
    """By what every system has; shutil uses a function that Wine lacks."""
    Path(target).write_bytes(Path(source).read_bytes())


def copy_tree(source: str | Path, target: Path, *leave_out: str) -> None:
    ignored = shutil.ignore_patterns(*leave_out)
    shutil.copytree(
        source, target, ignore=ignored, copy_function=copy, dirs_exist_ok=True
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The sources of the package, and no library."""
    folder = tmp_path / "clone"
    copy_tree(HERE, folder / "pymempool", NAME, "include", "__pycache__")
    return folder


def installed(folder: Path) -> Path:
    """A pymempool that has a library; returns the folder for sys.path."""
    copy_tree(HERE, folder / "pymempool")
    copy(LIBRARY, folder / "pymempool" / NAME)
    copy_tree(pymempool.get_include(), folder / "pymempool" / "include")
    return folder


def run(code: str, *path: Path) -> subprocess.CompletedProcess[str]:
    """Runs code in an interpreter that finds packages in these folders."""
    start = f"import sys; sys.path[:0] = {[str(folder) for folder in path]}\n"
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", start + code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


WHERE = """
import os, pymempool
pool = pymempool.MemoryPool(10)
pool[:] = b"it works !"
print(os.path.dirname(pymempool.__file__), pymempool.get_library(), sep="\\n")
print(pymempool.get_include(), pool[:].decode(), sep="\\n")
"""


def where(*path: Path) -> list[str]:
    done = run(WHERE, *path)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def told(folder: Path, library: Path) -> list[str]:
    return [str(folder), str(library / NAME), str(library / "include"), "it works !"]


# ------------------------------------------------------------------ which library


def test_sources_use_the_library_that_is_installed(clone: Path, tmp_path: Path) -> None:
    site = installed(tmp_path / "site")
    assert where(clone, site) == told(clone / "pymempool", site / "pymempool")


def test_a_library_of_their_own_comes_first(clone: Path, tmp_path: Path) -> None:
    site, own = installed(tmp_path / "site"), installed(clone) / "pymempool"
    assert where(clone, site) == told(own, own)
    assert where(clone, site) == told(own, own)  # whichever was imported before


def test_it_is_the_first_along_the_path(clone: Path, tmp_path: Path) -> None:
    first, second = installed(tmp_path / "first"), installed(tmp_path / "second")
    nothing, sources = tmp_path / "nothing", tmp_path / "sources"
    copy_tree(str(clone), sources)
    found = where(clone, nothing, sources, first, second)
    assert found == told(clone / "pymempool", first / "pymempool")


def test_a_package_in_two_folders(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an editable install makes it."""
    site, other = installed(tmp_path / "site"), installed(tmp_path / "other")
    both = [str(clone / "pymempool"), str(site / "pymempool")]
    monkeypatch.setattr(pymempool, "__path__", both)
    monkeypatch.setattr(sys, "path", [str(other), *sys.path])
    assert library_module._find() == str(site / "pymempool" / NAME)


def test_a_path_with_odd_entries(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = installed(tmp_path / "site")
    monkeypatch.setattr(pymempool, "__path__", [str(clone / "pymempool")])
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "folder" / "pymempool" / NAME).mkdir(parents=True)
    names = [str(tmp_path / name) for name in ("nothing", "file", "folder")]
    odd = [b"bytes", None, tmp_path / "path", "\0", *names, "site"]
    monkeypatch.setattr(sys, "path", odd)
    monkeypatch.chdir(tmp_path)
    assert library_module._find() == str(site / "pymempool" / NAME)


# ------------------------------------------------------------- what is wrong with it


def test_no_library_anywhere(clone: Path, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    if run("import pymempool", nothing).returncode == 0:
        pytest.skip("this interpreter finds installed packages whatever it is told")
    done = run("import pymempool", clone, nothing)
    assert done.returncode != 0
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert f"{NAME} is neither in {clone / 'pymempool'} nor" in last
    assert "pip install ." in last


def change(clone: Path, old: str, new: str) -> None:
    path = clone / "pymempool" / "_native" / "signatures.py"
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("HEADER_VERSION = (0, 1)", "HEADER_VERSION = (99, 7)", "pymempool needs 99.7.x"),
        ('"pool_trim":', '"pool_later": COUNT(), "pool_trim":', "no function pool_later"),
    ],
)
def test_a_library_of_another_version(
    clone: Path, tmp_path: Path, old: str, new: str, why: str
) -> None:
    change(clone, old, new)
    site = installed(tmp_path / "site")
    done = run("import pymempool", clone, site)
    assert done.returncode != 0
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: {site / 'pymempool' / NAME} has ")
    assert why in last
    assert f"the sources in {clone / 'pymempool'} have none:" in last
    assert "pip install ." in last and "in another folder" in last


def test_an_own_library_that_is_wrong_is_not_blamed_on_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(library_module, "HEADER_VERSION", (99, 7))
    with pytest.raises(ImportError, match=r"needs 99\.7\.x$"):
        library_module._check_version(str(HERE / NAME))


def test_a_library_that_is_wrong_says_whose_it_is(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_module, "HEADER_VERSION", (99, 7))
    monkeypatch.setattr(pymempool, "__path__", [str(clone / "pymempool")])
    with pytest.raises(ImportError, match=r"first one along sys\.path") as caught:
        library_module._check_version(library_module.path)
    assert caught.value.path == library_module.path


# ---------------------------------------------------------- the commands of a newcomer


def in_clone(clone: Path, *words: str, text: str = "") -> str:
    """What Python prints, started in the clone; packages are found as they are here."""
    path = os.pathsep.join([str(LIBRARY.parents[1]), *sys.path])
    done = subprocess.run(
        [sys.executable, *words],
        input=text,
        cwd=clone,
        env={**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_command_as_a_module(clone: Path) -> None:
    printed = in_clone(clone, "-m", "pymempool", "config", "--library")
    assert Path(printed.strip()).samefile(LIBRARY)


def test_pytest_as_a_module(clone: Path) -> None:
    (clone / "test_it.py").write_text(
        "def test_it(memory_pool):\n    assert memory_pool[:3] == bytes(3)\n"
    )
    command = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir=.",
        "test_it.py",
    ]
    assert "1 passed" in in_clone(clone, *command)


def test_the_first_command_of_the_tutorial(clone: Path) -> None:
    """It ends in Python, started in the clone, to which the first example is typed.

    .ci/steps/readme.sh runs it as it is printed, with an environment of its own.
    """
    page = blocks(ROOT / "docs" / "tutorial" / "python.md")
    first, example = page[:2]
    assert first.notes["command"] == "tutorial"
    made, put, start = first.source.strip().split(" && ")
    assert re.fullmatch(r"python3 -m venv \.venv", made)
    assert re.fullmatch(r"\.venv/bin/pip install (--quiet )?\.", put)
    assert start == ".venv/bin/python"
    assert in_clone(clone, text=example.source) == example.output
