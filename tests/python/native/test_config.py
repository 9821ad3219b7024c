# SPDX-License-Identifier: MIT
"""Where the header and the library are said to be, and that a compiler agrees."""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from internals import config_module, library_module, paths_module

import pymempool
from pymempool import cli
from pymempool.testing import find_compiler

PROGRAM = """\
#include <stdio.h>
#include "memory_pool.h"

int main(void)
{
    char text[6] = "";
    MemoryPool *pool = pool_create(4096, 1024);
    pool_write(pool, 1022, "hello", 5);
    pool_read(pool, text, 1022, 5);
    pool_destroy(pool);
    return puts(text) < 0;
}
"""


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert cli.main(["config", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_include_has_the_header_of_this_version(header: Path) -> None:
    installed = Path(pymempool.get_include(), "memory_pool.h")
    assert installed.read_bytes() == header.read_bytes()


def test_library_is_the_one_in_use() -> None:
    other = ctypes.CDLL(pymempool.get_library())
    addresses = [
        ctypes.cast(library.pool_write, ctypes.c_void_p).value
        for library in (other, library_module.parallel)
    ]
    assert addresses[0] == addresses[1]


def test_header_is_looked_for_beside_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_module, "path", str(tmp_path / "library"))
    with pytest.raises(FileNotFoundError, match=r"memory_pool\.h is not in .*include"):
        pymempool.get_include()
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "memory_pool.h").touch()
    assert pymempool.get_include() == str(tmp_path / "include")


def test_command_tells_flags_in_one_line_and_paths_in_lines_of_their_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    include, library = pymempool.get_include(), pymempool.get_library()
    folder = os.path.dirname(library)
    cflags, libs = told(capsys, "--cflags"), told(capsys, "--libs")
    debug = paths_module.is_debug()
    flags = [f"-I{include}", "-DPOOL_DEBUG"] if debug else [f"-I{include}"]
    assert cflags == [config_module.quoted(flags)]
    assert config_module.quoted([f"-L{folder}"]) in libs[0]
    assert libs[0].endswith(" -lmemory_pool_debug" if debug else " -lmemory_pool")
    assert (f"-Wl,-rpath,{folder}" in libs[0]) == (sys.platform != "win32")
    assert told(capsys, "--library", "--libs", "--include", "--cflags") == [
        f"{cflags[0]} {libs[0]}",
        include,
        library,
    ]


def test_command_needs_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["config"])
    assert caught.value.code == 2
    assert "one or more of these are required" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="the flags are for a POSIX shell here")
def test_a_program_is_compiled_with_the_flags_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiler = find_compiler()
    if compiler is None:
        pytest.skip("no C compiler (CC, cc, gcc, clang)")
    # In a folder whose name the shell would take apart.
    folder = tmp_path / "it's a `folder`; here"
    (folder / "include").mkdir(parents=True)
    shutil.copy(Path(pymempool.get_include(), "memory_pool.h"), folder / "include")
    library = shutil.copy(pymempool.get_library(), folder)
    monkeypatch.setattr(library_module, "path", str(library))

    (tmp_path / "app.c").write_text(PROGRAM)
    flags = told(capsys, "--cflags", "--libs")[0]
    command = f"{shlex.join(compiler)} app.c -o app {flags} && ./app"
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("hello\n", 0), done.stderr
