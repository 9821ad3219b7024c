# SPDX-License-Identifier: MIT
"""The fixture memory_pool and lend_pool(): what they report as held."""

from __future__ import annotations

import pytest
from internals import live

from pymempool import MemoryPool, PoolRangeError, testing

pytest_plugins = ["pytest_runs"]

HEADING = "memory_pool was not released completely; still held are"


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
        ("p.clone()", ["clones: 1", "clone of 8192 bytes, made at *.py:5"]),
        (
            "MemoryPool.from_handle(p.handle)",
            [
                "owners of the pool itself: 1",
                "reference of 8192 bytes, made at *.py:5",
            ],
        ),
        ("p._as_parameter_", ["owners of the pool itself: 1", "the pool itself"]),
        (
            "(h := History(p), h.record(), h)",
            ["clones: 1", "clone of 8192 bytes, made at *.py:5"],
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
        from pymempool import History, MemoryPool
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
    match.fnmatch_lines([f"pymempool.testing.LeakError: {HEADING}"])
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
    with pytest.raises(testing.LeakError, match=HEADING):
        outer.check()


def test_a_loan_without_leaks_has_no_error() -> None:
    with testing.lend_pool(4096) as loan:
        loan.pool.write(0, b"text")
    loan.check()
    assert (loan.report, loan.error) == ("", None)


def test_statistics_leave_out_what_the_lender_holds() -> None:
    other = MemoryPool(4096)
    with testing.lend_pool(4096) as loan:
        clone = loan.pool.clone()
        for pool in (loan.pool, clone):
            assert pool.stats[2] == pool.stats.references == 1
            assert (pool.stats.family_pools, pool.stats.family_views) == (2, 0)
        with loan.pool.view(0, 1):
            assert clone.stats.family_views == 1
            assert other.stats.family_views == 0
        del clone, pool
    loan.check()


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
