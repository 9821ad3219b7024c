# SPDX-License-Identifier: MIT
"""The fixture compile_c: C code on pools, errors of the compiler, the cache."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

import pymempool
from pymempool import MemoryPool, testing
from pymempool.testing import CompileError

pytest_plugins = ["pytest_runs"]


COUNTER = """\
#include "memory_pool.h"

MemoryPool *grab(MemoryPool *pool)
{
    pool_write(pool, 100, "from C", 6);
    return pool_retain(pool);
}

void let_go(MemoryPool *pool)
{
    pool_destroy(pool);
}
"""


def test_c_and_python_use_one_pool(compile_c, memory_pool: MemoryPool) -> None:
    library = compile_c(COUNTER)
    library.grab.restype = ctypes.c_void_p
    address = library.grab(memory_pool)
    assert address == memory_pool.handle
    assert memory_pool.read(99, 8) == b"\0from C\0"
    memory_pool.close()
    same = MemoryPool.from_handle(address)  # C's reference kept it
    assert same.read(100, 6) == b"from C"
    assert same.stats.references == 2  # C's and this one's; none of the fixture
    library.let_go(same)


def test_c_uses_the_library_of_this_process(compile_c) -> None:
    library = compile_c(COUNTER)
    if os.name != "nt":  # there a library does not tell what it calls
        ours = ctypes.CDLL(pymempool.get_library())
        theirs = ctypes.cast(library.pool_write, ctypes.c_void_p).value
        assert theirs == ctypes.cast(ours.pool_write, ctypes.c_void_p).value


def test_another_library_is_refused(compile_c) -> None:
    source = '#define POOL_API __attribute__((visibility("default")))\n'
    source += "unsigned pool_version(void) { return 1; }\n"
    with pytest.raises(CompileError, match="uses another library than"):
        compile_c(source)


def test_flags_names_and_files(compile_c, tmp_path: Path) -> None:
    flags = ["-DN=5", "-lm"]
    assert compile_c("int n(void) { return N; }", name="five", flags=flags).n() == 5
    (tmp_path / "own.h").write_text("#define OWN 1\n")
    path = tmp_path / "its file.c"
    path.write_text('#include "own.h"\nint own(void) { return OWN; }\n')
    assert compile_c(path).own() == 1
    (tmp_path / "own.h").write_text("#define OWN 2\n")
    assert compile_c(path).own() == 2


def test_compile_errors_show_words_and_lines(compile_c) -> None:
    lines = [f"int f{number};" for number in range(1, 41)]
    lines[19] = "int f20 = oops;"
    with pytest.raises(CompileError) as caught:
        compile_c("\n".join(lines), name="wrong")
    text = str(caught.value)
    assert "wrong.c:20:" in text
    assert "oops" in caught.value.output
    assert ">   20  int f20 = oops;" in text.splitlines()
    assert "    19  int f19;" in text.splitlines()
    assert "f10" not in text


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ('#include "not_there.h"', "not_there.h"),
        ("void *f(void) { return pool_nonsense(1); }", "pool_nonsense"),
        ("void nowhere(void); void f(void) { nowhere(); }", "nowhere"),
    ],
)
def test_more_compile_errors(compile_c, source: str, told: str) -> None:
    with pytest.raises(CompileError) as caught:
        compile_c(source)
    assert told in caught.value.output
    assert source in str(caught.value)


def test_what_was_compiled_is_kept(compile_c, tmp_path: Path) -> None:
    """A compiler that keeps a diary: it runs twice at first, and then looks only."""
    if os.name == "nt":
        pytest.skip("the compiler that keeps a diary is a shell script")
    diary = tmp_path / "diary"
    compiler = tmp_path / "compiler"
    words = " ".join(testing.find_compiler() or [])
    compiler.write_text(f'#!/bin/sh\necho "$*" >>"{diary}"\nexec {words} "$@"\n')
    compiler.chmod(0o755)

    def compiled(source: str, **options: object) -> int:
        diary.write_text("")
        testing.CompileC([str(compiler)], tmp_path)(source, **options)
        return diary.read_text().count("-shared")

    assert compiled("int a;") == 1
    assert compiled("int a;") == 0
    assert compiled("int b;") == 1
    assert compiled("int b;", flags=["-DX"]) == 1
    assert compiled("int b;", name="other") == 1
    assert compiled("int a;") == 0


def test_no_compiler_skips_and_says_so(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    text = run("def test_c(compile_c): assert False", "-rs", skipped=1)
    assert "no C compiler: CC is not set" in text


def test_a_compiler_that_is_set_must_be_there(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -O1")
    text = run("def test_c(compile_c): assert False", errors=1)
    assert "the compiler of CC is not on the PATH: no-such-compiler" in text


@pytest.mark.parametrize("arguments", [[], ["-p", "no:cacheprovider"]])
def test_compiled_in_a_run_of_its_own(run, compile_c, arguments: list[str]) -> None:
    run(
        """
        def test_c(compile_c): assert compile_c("int f(void) { return 7; }").f() == 7
        """,
        *arguments,
        passed=1,
    )
    kept = list(Path().glob(".pytest_cache/d/pymempool/*"))
    assert bool(kept) == (not arguments)
