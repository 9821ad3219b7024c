# SPDX-License-Identifier: MIT
"""The plugin for pytest: the fixtures memory_pool, compile_c and fail_allocation.

pytest loads this module in every run, wherever pymempool is installed. So it is not in
the package, and imports pymempool.testing only when a fixture is used.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Callable, NoReturn

import pytest

if TYPE_CHECKING:
    from pymempool import MemoryPool
    from pymempool.testing import CompileC, FailAllocation, Written

if TYPE_CHECKING:
    _Failed = Exception
else:
    _Failed = pytest.fail.Exception
_raised = pytest.StashKey[bool]()
_maker = pytest.StashKey["FailAllocation"]()
_environment = pytest.StashKey[dict[str, str]]()
_folder = pytest.StashKey[Path]()


class _InChild(_Failed):
    """The test has to run in a child process with this environment.

    A result of tests, so that a fixture of several tests raises it for each of them.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        super().__init__("not run: it has to run in a child process")
        self.environment = environment


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "memory_pool(*, total_size, max_block_size, memory_limit): the arguments of"
        " MemoryPool for the fixture memory_pool (default: 1 TiB in blocks of 64 KiB).",
    )


def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> pytest.TestReport | None:
    item.stash[_raised] = call.excinfo is not None
    maker = item.stash.get(_maker, None)
    if call.when == "call" and call.excinfo is not None and maker and maker.fault:
        report = maker.fault.report()
        if report:
            item.add_report_section("call", "fail_allocation", report)
    return None  # leaves the report to other plugins


# ------------------------------------------------------------- tests in a child process


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    try:
        yield
    except _InChild as needed:  # a fixture compiles: the rest is for the child
        item.stash[_environment] = needed.environment


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    if _environment in pyfuncitem.stash:
        raise _InChild(pyfuncitem.stash[_environment])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    try:
        yield
        return
    except _InChild as needed:
        environment = needed.environment
    _run_in_child(item, environment)


def _run_in_child(item: pytest.Item, environment: dict[str, str]) -> None:
    """Runs a test in a child process, and fails or skips as it did."""
    from pymempool.testing import children

    folder = Path(tempfile.mkdtemp(dir=item.config.stash[_folder]))
    arguments = _arguments(item, folder)
    cwd = item.config.invocation_params.dir
    error, skipped = children.run(arguments, environment, folder, cwd)
    if error is not None:
        _fail(error)
    if skipped is not None:
        pytest.skip(skipped)


def _fail(error: AssertionError) -> NoReturn:
    """Fails with an error of pymempool.testing, without lines of this file."""
    kind = type(error)
    pytest.fail(f"{kind.__module__}.{kind.__name__}: {error}", pytrace=False)


def _arguments(item: pytest.Item, folder: Path) -> list[str]:
    """The arguments of pytest for one test alone, with the options of this run."""
    config = item.config
    named = set(config.option.file_or_dir)
    words = [str(word) for word in config.invocation_params.args if word not in named]
    words += ["-k", "", "-m", "", "--runxfail", f"--rootdir={config.rootpath}"]
    words += [f"--basetemp={folder / 'tmp'}", "--color=no", "--no-header"]
    if config.inipath is not None:
        words += ["-c", str(config.inipath)]
    if config.pluginmanager.hasplugin("xdist"):
        words.append("-n0")
    seed = getattr(config.option, "randomly_seed", None)
    if isinstance(seed, int):
        words.append(f"--randomly-seed={seed}")
    # The test comes first: its folder may define the options.
    return [f"{item.path}::{item.nodeid.partition('::')[2]}", *words]


# --------------------------------------------------------------------------- fixtures


@pytest.fixture
def memory_pool(request: pytest.FixtureRequest) -> Iterator[MemoryPool]:
    """A pool for one test, which must release it completely before it ends.

    That is: all clones, references, views and pins, in Python and in C, each once. Else
    the test fails with a report of what is held by whom (LeakError), or of what was
    released too often (OverReleaseError). @pytest.mark.memory_pool(total_size=...,
    max_block_size=..., memory_limit=...) has the arguments of the pool.
    """
    from pymempool.testing import lend_pool

    options: dict[str, int] = {}
    for marker in reversed(list(request.node.iter_markers("memory_pool"))):
        if marker.args:
            raise TypeError("the marker memory_pool takes keywords only")
        options.update(marker.kwargs)  # the marker closest to the test wins

    with lend_pool(**options) as loan:
        yield loan.pool
        # The test no longer needs its arguments, but pytest still refers to them.
        request.node.funcargs.clear()
    if loan.error is None:
        return
    if request.node.stash.get(_raised, False):
        # A second failure would hide the first.
        note = "This includes the variables of the failed test: its traceback holds them."
        request.node.add_report_section(
            "teardown", "memory_pool", f"{loan.report}\n{note}"
        )
    else:
        _fail(loan.error)


@pytest.fixture(scope="session")
def compile_c(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> CompileC:
    """compile_c(source, *, name=None, flags=()): compiles C to a ctypes library.

    See pymempool.testing.CompileC, also for sanitize and fail_allocation. Skips the test
    where there is no C compiler.
    """
    from pymempool.testing import CompileC, find_compiler

    compiler = find_compiler()
    if compiler is None:
        pytest.skip("no C compiler: CC is not set; no cc, gcc or clang on the PATH")
    cache: pytest.Cache | None = getattr(request.config, "cache", None)
    folder = cache.mkdir("pymempool") if cache else tmp_path_factory.mktemp("compile_c")
    request.config.stash[_folder] = tmp_path_factory.mktemp("sanitized")
    return CompileC(compiler, folder, run_in_child=_leave)


def _leave(environment: dict[str, str]) -> NoReturn:
    raise _InChild(environment)


@pytest.fixture
def fail_allocation(request: pytest.FixtureRequest) -> Iterator[FailAllocation]:
    """fail_allocation(n): a context in which the n-th allocation of the library fails.

    See pymempool.testing.FailAllocation, also for fail_allocation.each().
    """
    from pymempool.testing import FailAllocation

    maker = request.node.stash[_maker] = FailAllocation()
    yield maker
    maker.stop()


@pytest.fixture
def only_writes(memory_pool: MemoryPool) -> Callable[..., Written]:
    """only_writes(ranges): a context in which only these bytes of memory_pool may change.

    ranges: a list of (offset, size). See pymempool.testing.assert_only_wrote.
    """
    from pymempool.testing import assert_only_wrote

    return partial(assert_only_wrote, memory_pool)
