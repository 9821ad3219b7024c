# SPDX-License-Identifier: MIT
"""The debug library: how it is found, and what it says of pools in Python and in C.

Tests that run it build it once, with a C compiler, and start another Python with a
package beside which it lies.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from internals import library_module, paths_module

import pymempool
from pymempool.testing import find_compiler

SOURCES = Path(__file__).resolve().parents[3] / "c"
ORDINARY, DEBUG = library_module._FILE_NAME, library_module.DEBUG_FILE_NAME

posix_only = pytest.mark.skipif(os.name == "nt", reason="it is built for POSIX here")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a pymempool that has both libraries, which are empty."""
    folder = tmp_path / "pymempool"
    folder.mkdir()
    (folder / ORDINARY).touch()
    (folder / DEBUG).touch()
    monkeypatch.setattr(library_module, "_folders", lambda: [str(folder)])
    monkeypatch.setattr(sys, "path", [])
    return folder


@pytest.mark.parametrize(
    ("value", "name"), [(None, ORDINARY), ("", ORDINARY), ("0", ORDINARY), ("1", DEBUG)]
)
def test_variable_picks_the_library(
    value: str | None, name: str, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYMEMPOOL_DEBUG", raising=False)
    if value is not None:
        monkeypatch.setenv("PYMEMPOOL_DEBUG", value)
    assert library_module._find() == str(package / name)


def test_sources_use_the_debug_library_of_an_installed_package(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYMEMPOOL_DEBUG", "1")
    monkeypatch.setattr(library_module, "_folders", lambda: [str(package / "sources")])
    monkeypatch.setattr(sys, "path", [str(package.parent)])
    assert library_module._find() == str(package / DEBUG)


def test_error_says_how_to_get_the_library(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYMEMPOOL_DEBUG", "1")
    (package / DEBUG).unlink()
    with pytest.raises(
        ImportError, match=r"PYMEMPOOL_DEBUG is set, but .*_debug"
    ) as caught:
        library_module._find()
    assert "-C cmake.define.POOL_DEBUG_LIBRARY=ON" in str(caught.value)


def test_flags_are_those_of_the_library_in_use(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package / "include").mkdir()
    (package / "include" / "memory_pool.h").touch()
    monkeypatch.setattr(library_module, "path", str(package / ORDINARY))
    assert not paths_module.is_debug()
    assert "-DPOOL_DEBUG" not in paths_module.compiler_flags()
    monkeypatch.setattr(library_module, "path", str(package / DEBUG))
    assert "-DPOOL_DEBUG" in paths_module.compiler_flags()
    assert paths_module.linker_flags()[-1] == "-lmemory_pool_debug"


# ------------------------------------------------------------------- the library itself


@pytest.fixture(scope="module")
def debugged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a pymempool lies with the debug library beside it."""
    compiler = find_compiler()
    if compiler is None:
        pytest.skip("no C compiler (CC, cc, gcc, clang)")
    place = tmp_path_factory.mktemp("debugged") / "clone"  # so named for coverage.py
    folder = place / "pymempool"
    leave_out = shutil.ignore_patterns("__pycache__", "libmemory_pool*")
    shutil.copytree(Path(pymempool.__file__).parent, folder, ignore=leave_out)
    (folder / "include").mkdir(exist_ok=True)
    shutil.copy(SOURCES / "memory_pool.h", folder / "include")
    flags = ["-shared", "-fPIC", "-fvisibility=hidden", "-g", "-DPOOL_DEBUG"]
    source = SOURCES / "memory_pool.c"
    command = [*compiler, *flags, str(source), "-o", str(folder / DEBUG), "-lpthread"]
    subprocess.check_call(command)
    return place


def run(place: Path, program: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYMEMPOOL_DEBUG": "1", "PYTHONPATH": str(place)}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=place,
        capture_output=True,
        text=True,
    )


REPORT = """\
from pymempool import MemoryPool, get_library
from pymempool.testing import report

pool = MemoryPool(1 << 20, 4096)
pool[0] = 1
clone = pool.clone()
view, pin = pool.view(0, 9), clone.pin(8192, 7)
for entry in report():
    print(entry.kind, entry.references, entry.size, entry.held_bytes, entry.shared_bytes,
          entry.views, entry.pins, entry.place)
print(get_library())
"""


@posix_only
def test_report_tells_of_views_and_pins_and_their_lines(debugged: Path) -> None:
    done = run(debugged, REPORT)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "family 4 0 8192 0 2 0 ",
        "pool 1 1048576 4096 4096 2 0 <string>:4",
        "pool 1 1048576 8192 4096 2 1 <string>:6",
        "view 1 9 0 0 0 0 <string>:7",
        "pin 1 7 0 0 0 0 <string>:7",
        str(debugged / "pymempool" / DEBUG),
    ]


@posix_only
def test_a_reference_too_few_ends_the_process(debugged: Path) -> None:
    program = """\
from pymempool import MemoryPool
from pymempool._native.calls import parallel
pool = MemoryPool(1000)
parallel.pool_destroy(pool.handle)
pool[0] = 1
"""
    done = run(debugged, program)
    assert done.returncode == -signal.SIGABRT
    assert "memory_pool: pool_write: 0x" in done.stderr
    assert "is a dead pool: its last reference was dropped" in done.stderr


SOURCE = """\
#include <memory_pool.h>
MemoryPool *keep(void)
{
    return pool_create(100, 100);
}
"""

PLACES = f"""\
import ctypes
from pathlib import Path
from pymempool.testing import CompileC, find_compiler, report

Path("keep.c").write_text({SOURCE!r})
compile_c = CompileC(find_compiler(), Path.cwd())
compile_c(Path("keep.c")).keep()
print(*(entry.place for entry in report() if entry.kind == "pool"))
"""


@posix_only
def test_compiled_code_is_known_by_its_lines(debugged: Path) -> None:
    done = run(debugged, PLACES)
    assert (done.stderr, done.stdout) == ("", f"{debugged / 'keep.c'}:4\n")


@posix_only
def test_programs_are_told_to_link_it(debugged: Path) -> None:
    done = run(
        debugged, "from pymempool.cli import main; main(['config', '--cflags', '--libs'])"
    )
    words = shlex.split(done.stdout)
    assert "-DPOOL_DEBUG" in words
    assert "-lmemory_pool_debug" in words
