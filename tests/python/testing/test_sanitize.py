# SPDX-License-Identifier: MIT
"""compile_c(sanitize=...): tests that run in a child process, and the reports there."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from internals import sanitizers_module

from pymempool import testing
from pymempool.testing import CompileC, UnavailableError

pytest_plugins = ["pytest_runs"]

only_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="sanitize is for Linux"
)

#: At its end: what C code is compiled from, and whether the test runs in a child.
HEAD = '''
import os
import pytest
C = """
#include <stdlib.h>
int put(int index)
{
    char *bytes = calloc(8, 1);
    int found = (bytes[index] = 1);
    free(bytes);
    return found;
}
int shift(int count) { return 1 << count; }
"""
def in_child(): return "PYMEMPOOL_SANITIZE" in os.environ
'''


@only_linux
def test_errors_are_reported_and_right_code_passes(run) -> None:
    """All in one run: each test is a child process, which takes a second or two."""
    text = run(
        HEAD
        + """
@pytest.fixture(scope="module")
def code(compile_c):
    return compile_c(C, sanitize="address,undefined")

def test_right(memory_pool, code, tmp_path):
    assert in_child() and code.put(7) == 1 and code.shift(2) == 4
    memory_pool.write(0, b"text")

def test_wrong(code):
    assert code.put(8) == 1

def test_undefined(code):
    code.shift(40)

def test_in_python(compile_c):
    assert compile_c(C, sanitize="address").put(7) == 2

def test_skips(code):
    pytest.skip("for [this] reason")

@pytest.mark.xfail(strict=True)
def test_expected(code):
    assert code.put(7) == 2
""",
        *("-rs", "-p", "no:randomly"),  # in this order
        passed=1,
        failed=3,
        skipped=1,
        xfailed=1,
    )
    match = pytest.LineMatcher(text.splitlines())
    match.fnmatch_lines(
        [
            "*_ test_wrong _*",
            "pymempool.testing.SanitizerError: AddressSanitizer: heap-buffer-over*",
            "*ERROR: AddressSanitizer: heap-buffer-overflow on address *",
            "WRITE of size 1 at *",
            "    #0 * in put */source.c:6*",
            "called from Python:",
            '  File "*test_errors_are_reported*.py", line * in test_wrong',
            "*_ test_undefined _*",
            "pymempool.testing.SanitizerError: runtime error: shift exponent 40 is too *",
            "    #0 * in shift */source.c:10*",
            '  File "*.py", line * in test_undefined',
            "*_ test_in_python _*",
            "pymempool.testing.ChildError: in a child process, which ended with 1:",
            '*assert compile_c(C, sanitize="address").put(7) == 2',
            "E * assert 1 == 2",
            "SKIPPED * for ?this? reason",
        ]
    )
    assert "libffi" not in text


@only_linux
def test_a_child_is_as_its_parent(pytester: pytest.Pytester, run) -> None:
    """With xdist, a conftest, options, another folder, and pytest-randomly's seed."""
    pytester.mkdir("sub")
    pytester.makeini("[pytest]\naddopts = --own=ini -n 1\n")
    Path("sub", "conftest.py").write_text(
        """
def pytest_addoption(parser):
    parser.addoption("--own")
    parser.addoption("--randomly-seed", type=int)

def pytest_configure(config):
    config.option.randomly_seed = config.option.randomly_seed or 77
"""
    )
    test = f"""{HEAD}
class TestClass:
    @pytest.mark.parametrize("text", ["a::b c", "other"])
    def test_right(self, compile_c, request, text):
        assert compile_c(C, sanitize="undefined").shift(2) == 4 and in_child()
        assert request.config.option.own == "command line"
        assert "--randomly-seed=77" in request.config.invocation_params.args
        assert "PYTEST_XDIST_WORKER" not in os.environ
"""
    Path("sub", "test_it.py").write_text(test)
    arguments = ("sub", "--own", "command line", "-k", "test_right and not other")
    result = pytester.runpytest_subprocess("-p", "no:randomly", *arguments)
    result.assert_outcomes(passed=1)


@only_linux
def test_clang(run, monkeypatch: pytest.MonkeyPatch) -> None:
    clang = shutil.which("clang")
    if clang is None or "asan" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("no clang, or the library has the runtime of gcc")
    monkeypatch.setenv("CC", clang)
    text = run(
        HEAD
        + """
def test_wrong(compile_c):
    compile_c(C, sanitize="address,undefined").put(8)

def test_undefined(compile_c):
    compile_c(C, sanitize="undefined").shift(40)
""",
        failed=2,
    )
    assert "SanitizerError: AddressSanitizer: heap-buffer-overflow" in text
    assert "SanitizerError: runtime error: shift exponent 40 is too large" in text


@only_linux
def test_a_child_that_ends_without_a_report(run) -> None:
    text = run(
        HEAD
        + """
def test_ends(compile_c):
    compile_c(C, sanitize="undefined")
    os._exit(3)
""",
        failed=1,
    )
    assert "in a child process, which ended with 3:" in text


@only_linux
def test_a_source_that_does_not_compile_needs_no_child(run) -> None:
    text = run(
        """
        def test_wrong(compile_c): compile_c("int f(void) {", sanitize="address")
        """,
        failed=1,
    )
    assert "CompileError" in text
    assert "in a child process" not in text


@pytest.mark.parametrize("wrong", ["", "thread", "address,", "address, undefined"])
def test_sanitizers_that_it_does_not_know(compile_c, wrong: str) -> None:
    with pytest.raises(ValueError, match="allowed are address and undefined"):
        compile_c("int a;", sanitize=wrong)


def test_one_test_has_one_set_of_sanitizers(
    compile_c, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(sanitizers_module.VARIABLE, "undefined")
    with pytest.raises(ValueError, match="pass the same to each compile_c of a test"):
        compile_c("int a;", sanitize="address")


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_elsewhere_it_is_unavailable(
    compile_c, monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(UnavailableError, match=f"works on Linux, .* this is {platform}"):
        compile_c("int a;", sanitize="address")


@only_linux
def test_a_compiler_without_a_runtime() -> None:
    with pytest.raises(UnavailableError, match=r"echo has no runtime .* no libasan\.so"):
        sanitizers_module.child_environment(["echo"], ["address"])


@only_linux
def test_without_the_fixture_it_says_what_a_process_needs(tmp_path: Path) -> None:
    compile_c = CompileC(testing.find_compiler() or [], tmp_path)
    with pytest.raises(UnavailableError, match=r"start Python with .*LD_PRELOAD='/"):
        compile_c("int a;", sanitize="address")


def test_without_setarch_addresses_stay_random(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert sanitizers_module._without_randomisation() == []
