# SPDX-License-Identifier: MIT
"""The fixture fail_allocation: faults that are reached, and sweeps."""

from __future__ import annotations

import sys
import threading

import pytest

import pymempool
from pymempool import MemoryPool, PoolLimitError, PoolMemoryError, testing
from pymempool.testing import assert_same

pytest_plugins = ["pytest_runs"]


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


# ----------------------------------------------------------------- which one, and where


def test_a_fault_says_which_allocation_it_is(fail_allocation) -> None:
    fault = fail_allocation(1)
    assert fail_allocation.fault is fault
    assert (repr(fault), fault.report()) == (
        "<Fault: allocation 1 of the library not ended>",
        "",
    )
    with fault, pytest.raises(PoolMemoryError):
        MemoryPool(4096)
    assert repr(fault) == "<Fault: allocation 1 of the library failed>"
    with fail_allocation(1000) as fault:
        pass
    assert repr(fault) == "<Fault: allocation 1000 of the library not reached>"
    assert fault.report() == ""


def write(pool: MemoryPool) -> None:
    pool.write(0, b"text")


def test_a_report_has_the_stack_of_the_failure(fail_allocation) -> None:
    with MemoryPool(4096) as pool:
        fault = next(fail_allocation.each())
        with fault:
            write(pool)
    first, *calls, error = fault.report().splitlines()
    assert first == "allocation 1 of the library failed:"
    assert error == "  pool_write(offset=0, size=4): the system has no more memory"
    assert [line.partition(", in ")[2] for line in calls[::2]] == [
        "test_a_report_has_the_stack_of_the_failure",
        "write",
    ]
    assert [line.strip() for line in calls[1::2]] == [
        "write(pool)",
        'pool.write(0, b"text")',
    ]


def test_an_error_that_was_caught_has_no_stack(fail_allocation) -> None:
    with fail_allocation(1) as fault, pytest.raises(PoolMemoryError):
        MemoryPool(4096)
    assert "no stack is known" in fault.report()


FILLS = """
#include "memory_pool.h"

/* Returns how many of two blocks it has written to. */
int fill_two(MemoryPool *pool)
{
    return (int)(pool_write(pool, 0, "text", 4) + pool_write(pool, 65536, "text", 4)) / 4;
}
"""


def test_a_failure_in_a_call_from_c_has_its_stack_in_python(
    compile_c, fail_allocation
) -> None:
    code = compile_c(FILLS)

    def fill(pool: MemoryPool) -> int:
        filled: int = code.fill_two(pool)
        return filled

    counts = []
    for fault in fail_allocation.each():
        with MemoryPool(1 << 20, 4096) as pool:
            with fault:
                counts.append(fill(pool))
            first, *calls = fault.report().splitlines() or [""]
            assert [line.strip() for line in calls[1::2]] == (
                ["counts.append(fill(pool))", "filled: int = code.fill_two(pool)"]
                if fault.reached
                else []
            )
    assert counts[0] == 1 and counts[-1] == 2
    assert first == ""
    with MemoryPool(1 << 20, 4096) as pool:
        with fail_allocation(1) as fault:
            with pytest.raises(PoolMemoryError):
                pool.write(0, b"text")
            assert code.fill_two(pool) == 2
        assert "no stack is known" in fault.report()  # it was no call of C


def test_pytest_shows_it_with_the_failed_test(run) -> None:
    text = run(
        """
        def test_wrong(memory_pool, fail_allocation):
            for fault in fail_allocation.each():
                with fault:
                    memory_pool.write(0, b"text")
                assert memory_pool.read(0, 4) == b"text"
        def test_other(fail_allocation):
            with fail_allocation(1000):
                assert False
        """,
        failed=2,
    )
    assert text.count("Captured fail_allocation call") == 1
    assert "allocation 1 of the library failed:" in text
    assert 'memory_pool.write(0, b"text")\n  pool_write(offset=0, size=4): ' in text


# ------------------------------------------------------------- allocations of C code

COPIES = """
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

/* Returns the number of allocations that succeeded, up to all eight. */
int copies(void)
{
    void *all[8] = {0};
    int count = 0;
    if ((all[0] = malloc(10)) != NULL && ++count &&
        (all[1] = calloc(1, 10)) != NULL && ++count &&
        (all[2] = realloc(NULL, 10)) != NULL && ++count &&
        (all[3] = reallocarray(NULL, 1, 10)) != NULL && ++count &&
        (all[4] = aligned_alloc(16, 16)) != NULL && ++count &&
        posix_memalign(&all[5], 16, 16) == 0 && ++count &&
        (all[6] = strdup("text")) != NULL && ++count &&
        (all[7] = strndup("text", 2)) != NULL) {
        ++count;
    }
    for (int i = 0; i < 8; i++) {
        free(all[i]);
    }
    return count;
}
"""

only_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="linkers here know no --wrap"
)


@only_linux
def test_each_allocation_of_c_code_fails(compile_c, fail_allocation) -> None:
    code = compile_c(COPIES, fail_allocation=True)
    with fail_allocation(3, code) as fault:
        assert code.copies() == 2
        assert code.copies() == 8  # one fails, and not those after it
        assert compile_c(COPIES, flags=["-DOTHER"]).copies() == 8
        assert compile_c(COPIES, flags=["-DA"], fail_allocation=True).copies() == 8
    assert fault.reached
    assert code.copies() == 8
    reached = []
    for fault in fail_allocation.each(code):
        with fault:
            count = code.copies()
        if fault.code is code:
            reached.append(count)
        else:
            assert not fault.reached  # it does not call the library
    assert reached == [0, 1, 2, 3, 4, 5, 6, 7, 8]


@only_linux
def test_a_failure_in_c_code_has_its_stack_in_python(compile_c, fail_allocation) -> None:
    code = compile_c(COPIES, name="copies", fail_allocation=True)

    def call() -> None:
        code.copies()

    with fail_allocation(1, code) as fault:
        call()
    first, *calls = fault.report().splitlines()
    assert first.startswith("allocation 1 of copies-")
    assert [line.strip() for line in calls[1::2]] == ["call()", "code.copies()"]
    assert code.pymempool_fail_allocation(1) == 0
    assert code.copies() == 0  # without a Fault
    with fail_allocation(1, code) as fault:
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
    assert fault.report().endswith("code.copies()\n")


@only_linux
def test_code_must_be_compiled_for_it(compile_c, fail_allocation) -> None:
    with pytest.raises(ValueError, match=r"was not compiled by compile_c\(\.\.\., fail_"):
        fail_allocation(1, compile_c(COPIES))


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_elsewhere_it_is_unavailable(
    compile_c, monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(testing.UnavailableError, match=f"--wrap .* this is {platform}"):
        compile_c(COPIES, fail_allocation=True)


def test_pytest_skips_what_is_unavailable(run) -> None:
    text = run(
        """
        from pymempool.testing import UnavailableError
        def test_c(): raise UnavailableError("no such tool")
        """,
        "-rs",
        skipped=1,
    )
    assert "no such tool" in text
