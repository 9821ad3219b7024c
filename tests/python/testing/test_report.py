# SPDX-License-Identifier: MIT
"""report: who holds what, of all pools of the process. (With the debug library: see
tests/python/native/test_debug.py.)"""

from __future__ import annotations

import pytest
from internals import PoolReport, _place

from pymempool import MemoryPool, PoolMemoryError
from pymempool.testing import Fault, ReportEntry, report

BLOCK = 1024


def entries_since(before: list[ReportEntry]) -> list[ReportEntry]:
    """The families and pools that are not among those of a report before."""
    known = {entry.handle for entry in before}
    kinds = "family", "pool"
    return [e for e in report() if e.kind in kinds and e.handle not in known]


def test_families_and_pools_are_told_the_oldest_first() -> None:
    before = report()
    pool, other = MemoryPool(64 * BLOCK, BLOCK), MemoryPool(100)
    pool.write(0, b"x" * (3 * BLOCK))
    clone = pool.clone()
    clone[0] = 2
    view, pin = pool.view(0, 9), clone.pin(9 * BLOCK, 7)
    first, second, *pools = entries_since(before)
    assert [pool.handle, other.handle, clone.handle] == [each.handle for each in pools]
    assert [each.family for each in pools] == [first.handle, second.handle, first.handle]
    family, handle, held = first.handle, clone.handle, 5 * BLOCK
    assert first == ReportEntry("family", family, family, 4, 0, held, 0, 2, 0, "")
    assert pools[2][:5] == ("pool", handle, family, 1, 64 * BLOCK)
    assert pools[2][5:9] == (4 * BLOCK, 2 * BLOCK, 2, 1)
    for each in (view, pin):
        each.release()
    for each in (clone, other):
        each.close()
    assert [e.kind for e in entries_since(before)] == ["family", "pool"]
    assert entries_since(before)[1].views == 0
    pool.close()
    assert entries_since(before) == []


def test_without_memory_it_raises() -> None:
    with Fault(1), pytest.raises(PoolMemoryError, match="pool_report"):
        report()


def test_a_place_is_a_line_an_address_or_nothing() -> None:
    address = 0x1234
    assert _place(PoolReport(file=b"some.c", line=7, address=address)) == "some.c:7"
    assert _place(PoolReport(address=address)) == "0x1234"
    assert _place(PoolReport()) == ""
