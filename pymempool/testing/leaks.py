# SPDX-License-Identifier: MIT
"""lend_pool: a pool of which the borrower must release everything, to find leaks."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ctypes import byref, sizeof
from typing import Any

from .._native.calls import parallel
from .._native.signatures import SIZE_MAX, PoolView
from ..errors import PoolClosedError, PoolUnrelatedError
from ..pool import MemoryPool
from .tracking import track, tracked


class Loan:
    """A pool that is lent, and the report of what was still held at the end."""

    def __init__(self, lent: MemoryPool) -> None:
        self.pool = lent
        self.report = ""  #: what is still held, and by whom; empty if nothing is


@contextmanager
def lend_pool(total_size: int = min(1 << 40, SIZE_MAX), **options: Any) -> Iterator[Loan]:
    """Lends a pool, closes it at the end, and reports what is still held of it.

    total_size: in bytes; the default is 1 TiB, or what fits in a 32-bit size.
    options: as for MemoryPool.

    Sets `report` of the Loan at the end: to the other owners, clones, views, pins and
    adopted blocks of the pool. Raises what MemoryPool() raises.
    """
    loan = Loan(MemoryPool(total_size, **options))
    kept = MemoryPool.from_handle(loan.pool.handle)  # for statistics after close()
    family = _family(kept)
    track(True)
    try:
        yield loan
        loan.pool.close()
        gc.collect()  # what only a garbage cycle refers to is no leak
        loan.report = _report(kept, family)
    finally:
        kept.close()
        track(False)


def _family(pool: MemoryPool) -> int | None:
    """Returns the identity of the family, which all views of its pools have."""
    view = PoolView(sizeof(PoolView))
    parallel.pool_view(pool, 0, 1, byref(view))
    family: int | None = view.family
    parallel.pool_view_release(byref(view))
    return family


def _report(kept: MemoryPool, family: int | None) -> str:
    """Returns what is held of a family besides `kept`, one owner of one pool.

    Empty if nothing is.
    """
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
    """Whether an object is a MemoryPool on the pool of `kept`, or on a relative."""
    # Not by isinstance(), which reads __class__ of each object in the process.
    if not issubclass(type(thing), MemoryPool) or thing is kept:
        return False
    assert isinstance(thing, MemoryPool)
    with suppress(PoolClosedError, PoolUnrelatedError):
        thing.changes(kept)
        return True
    return False
