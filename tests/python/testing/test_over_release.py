# SPDX-License-Identifier: MIT
"""What was released too often: found in the test that did it, not by a crash."""

from __future__ import annotations

from ctypes import byref, sizeof

import pytest
from internals import PoolView, parallel, paths_module, spare_references

from pymempool import History, MemoryPool, testing
from pymempool.testing import Loan, OverReleaseError

pytest_plugins = ["pytest_runs"]


def destroy(pool: MemoryPool, times: int = 1) -> None:
    for _ in range(times):
        parallel.pool_destroy(pool)


def view_of(pool: MemoryPool, kind: str = "view") -> PoolView:
    view = PoolView(sizeof(PoolView))
    getattr(parallel, f"pool_{kind}")(pool, 0, 1, byref(view))
    return view


def release_twice(view: PoolView) -> None:
    for each in (PoolView.from_buffer_copy(view), view):
        parallel.pool_view_release(byref(each))


def told(loan: Loan) -> list[str]:
    with pytest.raises(OverReleaseError) as caught:
        loan.check()
    assert loan.report == str(caught.value)
    return loan.report.splitlines()


HEADING = "memory_pool found references released too often"


@pytest.mark.parametrize(
    ("times", "words"), [(1, "once"), (2, "2 times"), (100, "100 times")]
)
def test_the_pool_itself(times: int, words: str) -> None:
    with testing.lend_pool(4096) as loan:
        destroy(loan.pool, times)
        loan.pool.write(0, b"it lives")
        assert loan.pool.read(0, 8) == b"it lives"
    assert told(loan) == [
        HEADING,
        f"  the pool itself: pool_destroy was called {words} too often",
    ]


def test_it_fails_at_the_test_that_did_it(run) -> None:
    text = run(
        """
        from internals import parallel
        def test_wrong(memory_pool): parallel.pool_destroy(memory_pool)
        def test_right(memory_pool): memory_pool.write(0, b"text")
        """,
        passed=2,
        errors=1,
    )
    assert "ERROR at teardown of test_wrong" in text
    assert f"pymempool.testing.OverReleaseError: {HEADING}" in text


def test_it_is_found_beside_a_leak() -> None:
    """The sum of the references is what it should be: one is held, one is missing."""
    with testing.lend_pool(4096) as loan:
        held = MemoryPool.from_handle(loan.pool.handle)
        destroy(loan.pool)
    assert told(loan)[:2] == [
        HEADING,
        "  reference of 4096 bytes, made at " + told(loan)[1].partition(" at ")[2],
    ]
    assert "pool_destroy was called once too often" in told(loan)[1]
    assert told(loan)[3] == "  owners of the pool itself: 1"
    assert held.read(0, 1) == b"\0"


def test_clones_and_other_pools_that_live_at_the_end() -> None:
    with testing.lend_pool(4096) as loan:
        held = [loan.pool.clone(), MemoryPool(100)]
        for pool in held:
            destroy(pool)
    clone, other = told(loan)[1:3]
    assert clone.startswith("  clone of 4096 bytes, made at ")
    assert other.startswith("  pool of 100 bytes, made at ")
    for line in (clone, other):
        assert line.endswith(".py:87: pool_destroy was called once too often"), line
    for pool in held:
        pool.write(0, b"text")
        assert pool.stats.references == 1


def test_clones_and_other_pools_that_were_closed() -> None:
    with testing.lend_pool(4096) as loan:
        for pool in (loan.pool.clone(), MemoryPool(100)):
            destroy(pool, 3)
            pool.close()
    clone, other = told(loan)[1:]
    assert clone.startswith("  clone of 4096 bytes, made at ")
    assert other.startswith("  pool of 100 bytes, made at ")
    assert clone.endswith("pool_destroy was called 3 times too often")


def test_states_of_a_history() -> None:
    with testing.lend_pool(4096) as loan, History(loan.pool) as history:
        history.record()
        destroy(history.at(0))
    assert "clone of 4096 bytes, made at" in told(loan)[1]


def test_pools_from_before_are_left_alone() -> None:
    before = MemoryPool(100)
    with testing.lend_pool(4096) as loan:
        reference = parallel.pool_retain(before)
        destroy(before)
    assert reference == before.handle
    loan.check()


def test_right_code_of_c_keeps_and_drops_references() -> None:
    with testing.lend_pool(4096) as loan:
        clone = loan.pool.clone()
        address = parallel.pool_retain(clone)
        clone.close()
        same = MemoryPool.from_handle(address, retain=False)
        assert same.stats.references == 1
        del same
    loan.check()


def test_nothing_spare_is_left() -> None:
    outer = MemoryPool(100)
    with testing.lend_pool(4096) as loan:
        pools = [loan.pool.clone(), MemoryPool(100), MemoryPool.from_handle(outer.handle)]
        assert [spare_references(each.handle) for each in pools] == [10, 10, 10]
    assert [spare_references(each.handle) for each in pools] == [0, 0, 0]
    assert outer.stats.references == 2


not_debug = pytest.mark.skipif(
    paths_module.is_debug(), reason="the debug library ends the process there"
)


@not_debug
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("kind", ["view", "pin"])
def test_a_view_released_twice_through_a_copy(
    kind: str, written: bool, held: bool
) -> None:
    with testing.lend_pool(1 << 20, max_block_size=4096) as loan:
        if written:
            loan.pool.write(0, b"text" * 2000)
        views = [loan.pool.view(8192, 1)] if held else []
        release_twice(view_of(loan.pool, kind))
    line = (
        "  views and pins: once more were released than there were; the pool is never"
        " freed, because blocks of it may have been"
    )
    assert told(loan)[:2] == [HEADING, line]
    assert "18446744073709551615" not in loan.report
    assert len(views) == held


@not_debug
def test_a_view_released_twice_does_not_reach_the_next_test(run) -> None:
    run(
        """
        from ctypes import byref, sizeof
        from internals import PoolView, parallel
        def test_wrong(memory_pool):
            view = PoolView(sizeof(PoolView))
            parallel.pool_view(memory_pool, 0, 1, byref(view))
            for each in (PoolView.from_buffer_copy(view), view):
                parallel.pool_view_release(byref(each))
        def test_right(memory_pool):
            memory_pool.write(0, b"text")
            assert memory_pool.view(0, 4) == b"text"
        """,
        passed=2,
        errors=1,
    )
