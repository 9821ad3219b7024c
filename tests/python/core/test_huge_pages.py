# SPDX-License-Identifier: MIT
"""Pools in huge pages, as far as the system has any. tests/c/test_huge.c has the rest."""

from __future__ import annotations

import copy
import mmap
import pickle
from pathlib import Path
from typing import Any

import pytest

from pymempool import MemoryPool, trim

MIB = 1 << 20
SMAPS = Path("/proc/self/smaps")
ENABLED = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def in_huge_pages() -> int:
    """Bytes of this process in huge pages."""
    lines = SMAPS.read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if "AnonHugePages:" in line) * 1024


@pytest.fixture
def huge() -> None:
    """Skips where memory that is advised gets no huge pages, or all memory does."""
    if not ENABLED.exists() or "[never]" in ENABLED.read_text():
        pytest.skip("the system has no huge pages, or does not use them")
    if "[always]" in ENABLED.read_text():
        pytest.skip("the system uses huge pages unasked")
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        pytest.skip("this Python has no MADV_HUGEPAGE")
    before = in_huge_pages()
    with mmap.mmap(-1, 8 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as pages:
        pages.madvise(mmap.MADV_HUGEPAGE)
        pages.write(bytes(8 * MIB))
        if in_huge_pages() < before + 4 * MIB:
            pytest.skip("the system has no huge pages to give")


@pytest.mark.usefixtures("huge")
def test_large_pools_are_in_huge_pages() -> None:
    before = in_huge_pages()
    with MemoryPool(64 * MIB, 4096, huge_pages=True) as pool:
        pool.fill(0, 1, 32 * MIB)
        assert in_huge_pages() >= before + 8 * MIB
        assert pool.read(16 * MIB - 1, 3) == b"\1\1\1"


@pytest.mark.usefixtures("huge")
@pytest.mark.parametrize("options", [{}, {"huge_pages": None}, {"huge_pages": False}])
def test_others_are_not(options: dict[str, Any]) -> None:
    trim()
    before = in_huge_pages()
    with MemoryPool(64 * MIB, 4096, **options) as pool:
        pool.fill(0, 1, 32 * MIB)
        assert in_huge_pages() <= before
        assert pool.stats.flags == 0


def test_who_descends_from_it_wants_them_too() -> None:
    pool = MemoryPool(MIB, 4096, huge_pages=True)
    assert pool.stats.flags == pool.clone().stats.flags == 4
    assert copy.copy(pool).stats.flags == 4
    all_of_them = MemoryPool(4096, wipe=True, overcommit=True, huge_pages=True)
    assert pickle.loads(pickle.dumps(all_of_them)).stats.flags == 7
