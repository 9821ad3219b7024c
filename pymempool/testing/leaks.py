# SPDX-License-Identifier: MIT
"""Leaks: a pool that must have been given back wholly when a test ends."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ctypes import byref, sizeof
from typing import TYPE_CHECKING, Any

from .._native.calls import parallel
from .._native.signatures import SIZE_MAX, PoolView
from ..errors import PoolClosedError, PoolUnrelatedError
from ..pool import MemoryPool
from .tracking import track, tracked

if TYPE_CHECKING:
    pass


class Loan:
    """A pool that is lent, and what was found when it was to be given back."""

    def __init__(self, lent: MemoryPool) -> None:
        self.pool = lent
        self.report = ""  #: who still holds what; empty if nobody holds anything


@contextmanager
def lend_pool(total_size: int = min(1 << 40, SIZE_MAX), **options: Any) -> Iterator[Loan]:
    """Lends a pool, closes it at the end and reports who still holds a part of it.

    options: as for MemoryPool.
    """
    loan = Loan(MemoryPool(total_size, **options))
    kept = MemoryPool.from_handle(loan.pool.handle)  # to ask when the other is closed
    family = _family(kept)
    track(True)
    try:
        yield loan
        loan.pool.close()
        gc.collect()  # what only waits to be collected is not held
        loan.report = _report(kept, family)
    finally:
        kept.close()
        track(False)


def _family(pool: MemoryPool) -> int | None:
    """What views of this pool and of its relatives have in common."""
    view = PoolView(sizeof(PoolView))
    parallel.pool_view(pool, 0, 1, byref(view))
    family: int | None = view.family
    parallel.pool_view_release(byref(view))
    return family


def _report(kept: MemoryPool, family: int | None) -> str:
    """Who holds what of a family besides `kept`, which is one owner of one pool."""
    stats = kept.stats
    lines = []
    if stats.references > 1:
        lines.append(f"owners of the pool itself: {stats.references - 1}")
    if stats.family_pools > 1:
        lines.append(f"clones: {stats.family_pools - 1}")
    if lines:
        pools = [repr(each) for each in gc.get_objects() if _holds(each, kept)]
        lines += [f"  {each}" for each in pools]
        others = stats.references + stats.family_pools - 2 - len(pools)
        if others > 0:
            lines.append(f"  held by C code, or by calls that are running: {others}")
    if stats.family_views > 0:
        lines.append(f"views and pins: {stats.family_views}")
        known = [each.label for each in tracked() if each.family == family]
        lines += [
            f"  {kind} of {size} bytes at offset {offset}, made at {where}"
            for kind, offset, size, where in known
        ]
        others = stats.family_views - len(known)
        if others > 0:
            lines.append(f"  held by C code: {others}")
    if lines and stats.adopted_blocks > 0:
        lines.append(f"blocks of adopted memory: {stats.adopted_blocks}")
    heading = "memory_pool was not released completely; still held are"
    return "\n  ".join([heading, *lines]) if lines else ""


def _holds(thing: object, kept: MemoryPool) -> bool:
    """Whether it is a MemoryPool that holds the pool of `kept`, or a clone of it."""
    # Not by isinstance, which asks each object in the process for its class.
    if not issubclass(type(thing), MemoryPool) or thing is kept:
        return False
    assert isinstance(thing, MemoryPool)
    with suppress(PoolClosedError, PoolUnrelatedError):
        thing.changes(kept)
        return True
    return False
