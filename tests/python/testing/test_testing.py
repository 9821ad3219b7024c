# SPDX-License-Identifier: MIT
"""pymempool.testing and its plugin for pytest: what they find, and how they tell it."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path

import pytest
from internals import live

import pymempool
from pymempool import MemoryPool, PoolLimitError, PoolMemoryError, PoolRangeError, testing
from pymempool.testing import CompileError, assert_same

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester: pytest.Pytester):
    """Runs tests, given as text, in a pytest of their own; the last line counts them."""

    def run_tests(source: str, *arguments: str, **outcomes: int) -> str:
        pytester.makepyfile(source)
        result = pytester.runpytest_inprocess("-p", "no:hypothesispytest", *arguments)
        result.assert_outcomes(**outcomes)
        return result.stdout.str()

    return run_tests


# ------------------------------------------------------------------- a pool on loan


def test_nothing_left_passes(run) -> None:
    run(
        """
        import pytest
        from pymempool import MemoryPool

        @pytest.fixture
        def clone(memory_pool):
            return memory_pool.clone()

        @pytest.fixture
        def yielded(memory_pool):
            yield memory_pool.view(0, 5)

        def test_default(memory_pool):
            assert memory_pool.total_size == 1 << 40 or memory_pool.total_size < 1 << 32
            assert memory_pool.block_size == 65536

        def test_all_kinds(memory_pool, clone, yielded):
            other = clone.clone()
            same = MemoryPool.from_handle(other.handle)
            memory_pool.adopt(0, bytes(1 << 20))
            view, pin = other.view(0, 5), memory_pool.pin(9, 9)
            part = memoryview(view[1:3])
            assert memory_pool.stats.family_views == 3

        def test_closed_by_the_test(memory_pool):
            memory_pool.close()

        def test_cycles_are_collected(memory_pool):
            cycle = [memory_pool.clone(), memory_pool.view(0, 1)]
            cycle.append(cycle)

        @pytest.mark.memory_pool(total_size=5000, max_block_size=64)
        class TestMarkers:
            def test_of_the_class(self, memory_pool):
                assert memory_pool.stats[:2] == (5000, 64)
                assert memory_pool.stats.memory_limit == 0

            @pytest.mark.memory_pool(max_block_size=16, memory_limit=32)
            def test_the_closest_counts(self, memory_pool):
                assert memory_pool.stats[:2] == (5000, 16)
                assert memory_pool.stats.memory_limit == 32
        """,
        "--strict-markers",
        passed=6,
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("p.clone()", ["clones: 1", "<MemoryPool of 8192 bytes, 0 held*"]),
        (
            "MemoryPool.from_handle(p.handle)",
            ["owners of the pool itself: 1", "<MemoryPool of 8192 bytes*"],
        ),
        (
            "p.view(5, 7)",
            ["views and pins: 1", "view of 7 bytes at offset 5, made at *.py:5"],
        ),
        (
            "p.view(5, 7)[2:3]",
            ["views and pins: 1", "view of 7 bytes at offset 5, made at *.py:5"],
        ),
        (
            "p.pin(9, 3)",
            ["views and pins: 1", "pin of 3 bytes at offset 9, made at *.py:5"],
        ),
        (
            "p.adopt(0, bytes(8192)), p.view(4096, 2)",
            ["views and pins: 1", "view of 2 bytes at *", "blocks of adopted memory: 2"],
        ),
        (
            "parallel.pool_retain(p)",
            ["owners of the pool itself: 1", "held by C code, or by calls*: 1"],
        ),
        (
            "parallel.pool_clone(p)",
            ["clones: 1", "held by C code, or by calls*: 1"],
        ),
        (
            "hold(view := PoolView(sizeof(PoolView))), parallel.pool_pin(p, 0, 1, view)",
            ["views and pins: 1", "held by C code: 1"],
        ),
    ],
)
def test_each_leak_fails_and_is_told(run, line: str, told: list[str]) -> None:
    text = run(
        f"""
        import pytest
        from pymempool import MemoryPool
        from internals import PoolView, parallel
        @pytest.mark.memory_pool(total_size=8192, max_block_size=4096)
        def test_leaks(memory_pool, p=None): p = memory_pool; HELD.append(({line}))
        from ctypes import sizeof
        HELD = []
        hold = HELD.append
        """,
        passed=1,
        errors=1,
    )
    match = pytest.LineMatcher(text.splitlines())
    match.fnmatch_lines(["*ERROR at teardown of test_leaks*"])
    match.fnmatch_lines(["memory_pool was not released completely; still held are"])
    match.fnmatch_lines([f"  *{line}" for line in told])
    others = {"clones", "owners", "views"} - {
        line.split()[0].rstrip(":") for line in told
    }
    assert not any(f"  {other}" in text for other in others)


def test_of_another_pool_nothing_is_told(run) -> None:
    text = run(
        """
        from pymempool import MemoryPool
        HELD = []
        def test_leaks(memory_pool):
            other = MemoryPool(100)
            HELD.extend([other, other.clone(), other.view(77, 1), memory_pool.view(0, 3)])
        def test_does_not(memory_pool):
            other = MemoryPool(100)
            HELD.extend([other, other.clone(), other.view(77, 1)])
        """,
        passed=2,
        errors=1,
    )
    assert "view of 3 bytes at offset 0" in text
    assert "offset 77" not in text
    assert "of 100 bytes" not in text


def test_one_loan_within_another() -> None:
    with testing.lend_pool(4096) as outer:
        held = [outer.pool.view(1, 2)]
        with testing.lend_pool(4096) as inner:
            held.append(inner.pool.view(3, 4))
        held.append(outer.pool.pin(5, 6))
    assert "view of 4 bytes at offset 3, made at " in inner.report
    assert "view of 2 bytes at offset 1, made at " in outer.report
    assert "pin of 6 bytes at offset 5, made at " in outer.report
    assert "held by C code" not in inner.report + outer.report


def test_a_loan_that_cannot_be_made_leaves_nothing_on() -> None:
    with pytest.raises(PoolRangeError), testing.lend_pool(0):
        pass
    with MemoryPool(4096) as pool, pool.view(0, 1):
        assert live() == []


def test_a_failure_stays_the_only_one(run) -> None:
    text = run(
        """
        HELD = []
        def test_fails(memory_pool):
            HELD.append(memory_pool.clone())
            assert "this" == "the first"
        """,
        failed=1,
    )
    assert "assert 'this' == 'the first'" in text
    assert "Captured memory_pool teardown" in text
    assert "clones: 1" in text
    assert "its traceback holds them" in text


def test_a_failure_without_leaks_gets_no_report(run) -> None:
    text = run("def test_fails(memory_pool): memory_pool[0] = 256", failed=1)
    assert "Captured memory_pool" not in text


def test_failed_test_does_not_excuse_the_next(run) -> None:
    run(
        """
        HELD = []
        def test_fails(memory_pool): assert False
        def test_leaks(memory_pool): HELD.append(memory_pool.clone())
        """,
        failed=1,
        passed=1,
        errors=1,
    )


def test_marker_says_what_it_does_not_take(run) -> None:
    text = run(
        """
        import pytest
        @pytest.mark.memory_pool(4096)
        def test_position(memory_pool): pass
        @pytest.mark.memory_pool(size=4096)
        def test_name(memory_pool): pass
        """,
        errors=2,
    )
    assert "the marker memory_pool takes keywords only" in text
    assert "unexpected keyword argument 'size'" in text


def test_plugin_costs_nothing_until_it_is_used(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys
        def test_nothing(pytestconfig):
            assert pytestconfig.pluginmanager.hasplugin("pymempool")
            assert not [name for name in sys.modules if name.startswith("pymempool")]
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)


# ----------------------------------------------------------------------- the how-to


HOWTO = Path(__file__).resolve().parents[3] / "docs" / "howto" / "tests.md"


def howto_example() -> tuple[str, str]:
    """The test that the how-to shows, and what it says comes of leaving out a line."""
    text = HOWTO.read_text(encoding="utf-8")
    found = re.findall(r"```py\n(.*?)```\n.*?```text\n(.*?)```", text, re.DOTALL)
    assert len(found) == 1
    return found[0]


def test_howto_example(run, compile_c) -> None:
    run(howto_example()[0], passed=1)


def test_howto_example_without_the_line(run, compile_c) -> None:
    source, told = howto_example()
    line = "    pool_destroy(saved);\n"
    assert line in source
    # A single call leaves one clone, the sweep would leave one for each pass.
    source = source.replace(line, "").replace("fail_allocation.each()", "[nullcontext()]")
    source = "from contextlib import nullcontext\n" + source
    assert told in run(source, passed=1, errors=1)


# ------------------------------------------------------------------------- C source


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
    assert same.stats.references == 3  # C's, this one's and the fixture's own
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


# --------------------------------------------------------- allocations that fail


def test_a_fault_is_reached_and_over(fail_allocation) -> None:
    with MemoryPool(4096) as pool:
        with fail_allocation(1) as fault, pytest.raises(PoolMemoryError):
            pool.write(0, b"one")
        assert fault.reached is True
        assert list(pool.extents()) == []
        pool.write(0, b"one")


def test_a_fault_that_is_not_reached(fail_allocation) -> None:
    with fail_allocation(1000) as fault:
        assert fault.reached is None
        MemoryPool(4096).write(0, b"one")
    assert fault.reached is False
    MemoryPool(4096).write(0, b"one")


@pytest.mark.parametrize("number", [0, -1])
def test_faults_are_counted_from_one(fail_allocation, number: int) -> None:
    with pytest.raises(pymempool.PoolRangeError):
        fail_allocation(number)


def test_fault_is_over_after_an_error(fail_allocation) -> None:
    with pytest.raises(ZeroDivisionError), fail_allocation(1):
        _ = 1 // 0
    MemoryPool(4096).write(0, b"one")


def test_sweep_over_a_write_a_clone_and_a_view(
    fail_allocation, memory_pool: MemoryPool
) -> None:
    memory_pool.write(0, b"before")
    reached = 0
    for fault in fail_allocation.each():
        clone = view = pin = None
        saved = memory_pool.clone()
        with fault:
            clone = memory_pool.clone()
            clone.write(3, b"between" * 100_000)
            view = clone.view(0, 5)
            pin = clone.pin(1 << 30, 1)
            memory_pool.write(100_000, b"after")
        if fault.error is not None:
            assert fault.reached
            reached += 1
            assert_same(memory_pool, saved)
    # The clone and the pin; how many more depends on what is kept for reuse.
    assert reached >= 2
    assert fault.error is None
    assert bytes(view) == b"befbe"
    assert memory_pool.read(100_000, 5) == b"after"
    assert pin[0] == 0


def test_sweep_lets_other_errors_through(fail_allocation) -> None:
    with pytest.raises(PoolLimitError):
        for fault in fail_allocation.each():
            with fault, MemoryPool(1 << 20, 4096, memory_limit=4096) as pool:
                pool.fill(0, 1, 4097)
    MemoryPool(4096).write(0, b"one")


def test_sweep_without_with_is_refused(fail_allocation) -> None:
    with pytest.raises(RuntimeError, match="write `with fault:`"):
        list(fail_allocation.each())


# ------------------------------------------------------------------- bytes that differ


def told(pool: MemoryPool, expected: object, offset: int = 0) -> list[str]:
    with pytest.raises(AssertionError) as caught:
        assert_same(pool, expected, offset)
    return str(caught.value).splitlines()


def test_same(pool: MemoryPool) -> None:
    assert_same(pool, pool)
    assert_same(pool, pool.clone())
    assert_same(pool, pool.read(0, 4096))
    assert_same(pool, bytearray(b"\1\2\3"), 100)
    assert_same(pool, memoryview(b"\0\0"), 98)
    assert_same(pool, b"", 4096)
    other = MemoryPool(4096, 16)  # no relative
    other.write(0, pool.read(0, 4096))
    assert_same(pool, other)
    half = MemoryPool(4096 - 150)
    half.write(0, pool.read(150, 4096 - 150))
    assert_same(pool, half, 150)


def test_dump(pool: MemoryPool) -> None:
    assert told(pool, b"\0\1\2-\4Test", 99) == [
        "5 bytes differ, the first at offset 102 (0x66)",
        "0x00000060  expected           00 01 02 2d 04 54 65 73 74"
        "                 ...-.Test",
        "            found              00 01 02 03 04 05 06 07 08"
        "                 .........",
        "                                        ^^    ^^ ^^ ^^ ^^",
    ]


def test_one_byte(pool: MemoryPool) -> None:
    clone = pool.clone()
    clone[4095] = 33
    assert told(pool, clone) == [
        "1 byte differs, it is at offset 4095 (0xfff)",
        "0x00000ff0  expected  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 21"
        "  ...............!",
        "            found     00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"
        "  ................",
        " " * 67 + "^^",
    ]


def test_many_bytes_are_counted_and_few_shown() -> None:
    pool = MemoryPool(1 << 20)
    lines = told(pool, b"\1\0" * 400_000, 5)
    assert lines[0] == "400000 bytes differ, the first at offset 5 (0x5)"
    assert len(lines) == 1 + 8 * 3 + 1
    assert lines[-1] == f"... and {400_000 - 6 - 7 * 8} more"


@pytest.mark.parametrize("related", [True, False])
def test_vast_pools(related: bool) -> None:
    size = min(1 << 60, sys.maxsize)
    pool = MemoryPool(size)
    pool.write(size - 10, b"end")
    other = pool.clone() if related else MemoryPool(size, 4096)
    other.write(size - 10, b"end")
    other.write(size // 2, b"")
    assert_same(pool, other)
    other[size // 2] = 1
    assert told(pool, other)[0].startswith("1 byte differs")
    pool.write(0, b"ab")
    assert told(pool, other)[0].startswith("3 bytes differ, the first at offset 0 ")


@pytest.mark.parametrize("block_size", [1, 8, 64])
def test_lines_that_span_blocks(block_size: int) -> None:
    pool, other = MemoryPool(100, block_size), MemoryPool(93, block_size)
    other.fill(2, 1, 91)
    lines = told(pool, other, 7)
    assert lines[0] == "91 bytes differ, the first at offset 9 (0x9)"
    assert len(lines) == 1 + 7 * 3
    assert lines[-3] == "0x00000060  expected  01 01 01 01" + " " * 38 + "...."


def test_sizes_that_differ(pool: MemoryPool) -> None:
    assert told(pool, bytes(97), 4000) == [
        "97 bytes are expected, the pool has 96 from offset 4000 on"
    ]
    for size in (4095, 4097):
        assert told(pool, MemoryPool(size)) == [
            f"{size} bytes are expected, the pool has 4096 from offset 0 on"
        ]
    with pytest.raises(pymempool.PoolRangeError):
        assert_same(pool, b"", 4097)
    with pytest.raises(TypeError):
        assert_same(pool, "text")


def test_dump_reads_well_in_pytest(run) -> None:
    text = run(
        """
        from pymempool.testing import assert_same
        def test_differs(memory_pool): assert_same(memory_pool, b"Test", 1020)
        """,
        failed=1,
    )
    assert "E   AssertionError: 4 bytes differ, the first at offset 1020" in text
    assert "def assert_same" not in text  # its own frames are of no use
