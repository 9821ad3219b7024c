# SPDX-License-Identifier: MIT
"""lend_pool: a pool of which the borrower must release everything, exactly once.

The lender holds spare references and spare views (spares.py), so that neither the pool
nor its family can end before the borrower's counts were looked at.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_size_t, c_ssize_t, sizeof
from typing import Any

from .._core import stats
from .._native.calls import parallel, quick, read_stats
from .._native.signatures import SIZE_MAX, StatsStruct
from ..errors import PoolUnrelatedError
from ..pool import MemoryPool
from .errors import LeakError, OverReleaseError, ReleaseError
from .spares import Spares, SpareViews, owners, spare_references
from .tracking import LivePool, over_released, track, tracked, tracked_pools

_SPARE_REFERENCES, _SPARE_VIEWS = 200, 50  # of the pool that is lent


class Loan:
    """A pool that is lent, and the report of what was still held at the end."""

    def __init__(self, lent: MemoryPool) -> None:
        self.pool = lent
        self.report = ""  #: what is still held, and by whom; empty if nothing is
        self.error: ReleaseError | None = None  #: the report as an error, or None

    def check(self) -> None:
        """Raises `error`, if there is one: LeakError or OverReleaseError."""
        __tracebackhide__ = True
        if self.error is not None:
            raise self.error


class _Lender:
    """What holds a pool and its family while it is lent."""

    def __init__(self, address: int) -> None:
        self.address = address
        self.views = SpareViews(address, _SPARE_VIEWS)
        self.references = Spares(address, _SPARE_REFERENCES)

    def is_related(self, address: int) -> bool:
        """Whether a pool is this one or a relative."""
        try:
            out = c_size_t()
            parallel.pool_next_change(address, self.address, 0, 0, out, out)
        except PoolUnrelatedError:
            return False
        return True


_lenders: list[_Lender] = []


@contextmanager
def lend_pool(total_size: int = min(1 << 40, SIZE_MAX), **options: Any) -> Iterator[Loan]:
    """Lends a pool, closes it at the end, and reports what is still held of it.

    total_size: in bytes; the default is 1 TiB, or what fits in a 32-bit size.
    options: as for MemoryPool.

    Sets `report` and `error` of the Loan at the end: to the other owners, clones, views,
    pins and adopted blocks of the pool; and to what was released too often. That is found
    for all pools that Python has made or cloned meanwhile, and no memory is used after it
    was freed: references that are missing are added again, and a pool whose views were
    released too often is never freed. What lend_pool holds itself is no part of `stats`
    of a MemoryPool, but of what pool_stats() says in C. Raises what MemoryPool() raises.
    """
    track(True)
    try:
        loan = Loan(MemoryPool(total_size, **options))
        lender = _Lender(loan.pool.handle)
        _lenders.append(lender)
        stats.spare = _spare
        try:
            yield loan
            loan.pool.close()
            gc.collect()  # what only a garbage cycle refers to is no leak
            loan.error = _error(lender)
            loan.report = str(loan.error or "")
        finally:
            _end(lender)
    finally:
        track(False)


def _spare(address: int) -> dict[str, int]:
    """The statistics of a pool that count what lenders and tracking hold."""
    views = sum(each.views.count for each in _lenders if each.is_related(address))
    return {"references": spare_references(address), "family_views": views}


def _end(lender: _Lender) -> None:
    _lenders.remove(lender)
    if not _lenders:
        stats.spare = None
    if _missing_views(lender) > 0:
        lender.references.forget()  # never freed: a block of it may have been
    else:
        lender.views.drop()
        lender.references.drop()


# ---------------------------------------------------------------------- the report


def _error(lender: _Lender) -> ReleaseError | None:
    """The report on what is held and what is missing, or None."""
    missing = [
        f"{_of(label, lender)}: pool_destroy was called {_times(count)} too often"
        for label, count in over_released()
    ]
    count = _missing_views(lender)
    if count > 0:
        missing.append(
            f"views and pins: {_times(count)} more were released than there were;"
            " the pool is never freed, because blocks of it may have been"
        )
    held = _held(lender)
    texts = []
    if missing:
        texts.append(_text("memory_pool found references released too often", missing))
    if held:
        heading = "memory_pool was not released completely; still held are"
        texts.append(_text(heading, held))
    if not texts:
        return None
    return (OverReleaseError if missing else LeakError)("\n".join(texts))


def _text(heading: str, lines: list[str]) -> str:
    return "\n  ".join([heading, *lines])


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _held(lender: _Lender) -> list[str]:
    """What is held of a family, besides by the lender."""
    facts = read_stats(lender.address, sizeof(StatsStruct), quick)
    pools = [each for each in tracked_pools() if lender.is_related(each.address)]
    references = owners(lender.address)
    lines = []
    if references > 0:
        lines.append(f"owners of the pool itself: {references}")
    clones = int(facts.family_pools) - 1
    if clones > 0:
        lines.append(f"clones: {clones}")
    lines += [f"  {_of(each, lender)}" for each in pools]
    known = {each.address for each in pools} - {lender.address}
    others = references + sum(map(owners, known)) + clones - len(known) - len(pools)
    if others > 0:
        lines.append(f"  held by C code, or by calls that are running: {others}")
    views = _views(lender)
    if views > 0:
        lines.append(f"views and pins: {views}")
        known_views = _known_views(lender)
        lines += [
            f"  {kind} of {size} bytes at offset {offset}, made at {where}"
            for kind, offset, size, where in known_views
        ]
        if views > len(known_views):
            lines.append(f"  held by C code: {views - len(known_views)}")
    if lines and facts.adopted_blocks > 0:
        lines.append(f"blocks of adopted memory: {facts.adopted_blocks}")
    return lines


def _of(label: LivePool, lender: _Lender) -> str:
    """A pool in words."""
    if (label.kind, label.address) == ("pool", lender.address):
        return "the pool itself"
    return f"{label.kind} of {label.size} bytes, made at {label.where}"


def _views(lender: _Lender) -> int:
    """How many views and pins the family has, or lacks if it is below 0."""
    facts = read_stats(lender.address, StatsStruct.adopted_blocks.offset, quick)
    return c_ssize_t(facts.family_views).value - lender.views.count


def _known_views(lender: _Lender) -> list[Any]:
    return [each.label for each in tracked() if each.family == lender.views.family]


def _missing_views(lender: _Lender) -> int:
    return len(_known_views(lender)) - _views(lender)
