# SPDX-License-Identifier: MIT
"""The plugin for pytest: the fixtures memory_pool, compile_c and fail_allocation.

pytest loads this module in every run, wherever pymempool is installed. So it is not in
the package, and imports pymempool.testing only when a fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Callable

import pytest

if TYPE_CHECKING:
    from pymempool import MemoryPool
    from pymempool.testing import CompileC, FailAllocation, Written

_raised = pytest.StashKey[bool]()


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
    return None  # leaves the report to other plugins


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
    if not loan.report:
        return
    if request.node.stash.get(_raised, False):
        # A second failure would hide the first.
        note = "This includes the variables of the failed test: its traceback holds them."
        request.node.add_report_section(
            "teardown", "memory_pool", f"{loan.report}\n{note}"
        )
    else:
        name = type(loan.error).__name__
        pytest.fail(f"pymempool.testing.{name}: {loan.report}", pytrace=False)


@pytest.fixture(scope="session")
def compile_c(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> CompileC:
    """compile_c(source, *, name=None, flags=()): compiles C to a ctypes library.

    See pymempool.testing.CompileC. Skips the test where there is no C compiler.
    """
    from pymempool.testing import CompileC, find_compiler

    compiler = find_compiler()
    if compiler is None:
        pytest.skip("no C compiler: CC is not set; no cc, gcc or clang on the PATH")
    cache: pytest.Cache | None = getattr(request.config, "cache", None)
    folder = cache.mkdir("pymempool") if cache else tmp_path_factory.mktemp("compile_c")
    return CompileC(compiler, folder)


@pytest.fixture
def fail_allocation() -> Iterator[FailAllocation]:
    """fail_allocation(n): a context in which the n-th allocation of the library fails.

    See pymempool.testing.FailAllocation, also for fail_allocation.each().
    """
    from pymempool.testing import FailAllocation

    maker = FailAllocation()
    yield maker
    maker.stop()


@pytest.fixture
def only_writes(memory_pool: MemoryPool) -> Callable[..., Written]:
    """only_writes(ranges): a context in which only these bytes of memory_pool may change.

    ranges: a list of (offset, size). See pymempool.testing.assert_only_wrote.
    """
    from pymempool.testing import assert_only_wrote

    return partial(assert_only_wrote, memory_pool)
