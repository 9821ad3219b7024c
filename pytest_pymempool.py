# SPDX-License-Identifier: MIT
"""The entry point of pymempool's plugin for pytest; what it offers is in
pymempool.testing.

It lies outside of the package because pytest loads it in every run of everybody who has
the package installed: nothing of pymempool is imported before a fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pymempool import MemoryPool
    from pymempool.testing import CompileC, FailAllocation

_raised = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "memory_pool(*, total_size, max_block_size, memory_limit): how the pool of the"
        " fixture memory_pool is made; without it, 1 TiB in blocks of 64 KiB.",
    )


def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> pytest.TestReport | None:
    item.stash[_raised] = call.excinfo is not None
    return None  # the report is for others to make


@pytest.fixture
def memory_pool(request: pytest.FixtureRequest) -> Iterator[MemoryPool]:
    """A pool for one test, which must have given back all of it when it ends.

    That is: all clones, references, views and pins, in Python and in C. If not, the test
    fails and is told who holds what. @pytest.mark.memory_pool(total_size=...,
    max_block_size=..., memory_limit=...) says how the pool is made.
    """
    from pymempool.testing import lend_pool

    options: dict[str, int] = {}
    for marker in reversed(list(request.node.iter_markers("memory_pool"))):
        if marker.args:
            raise TypeError("the marker memory_pool takes keywords only")
        options.update(marker.kwargs)  # what is said closest to the test counts

    with lend_pool(**options) as loan:
        yield loan.pool
        # Arguments of the test are done with, but pytest keeps them for a while.
        request.node.funcargs.clear()
    if not loan.report:
        return
    if request.node.stash.get(_raised, False):
        # Not a second failure, that would hide the first.
        text = f"{loan.report}\nThe failed test's own variables are counted: they live"
        request.node.add_report_section(
            "teardown", "memory_pool", f"{text} on in its traceback."
        )
    else:
        pytest.fail(loan.report, pytrace=False)


@pytest.fixture(scope="session")
def compile_c(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> CompileC:
    """compile_c(source, *, name=None, flags=()): C source as a ctypes library.

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
    """fail_allocation(n): within this context the library's n-th allocation fails.

    See pymempool.testing.FailAllocation, also for fail_allocation.each().
    """
    from pymempool.testing import FailAllocation

    maker = FailAllocation()
    yield maker
    maker.stop()
