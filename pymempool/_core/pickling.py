# SPDX-License-Identifier: MIT
"""Pools as pickles: facts, and one buffer for each run of data. Holes cost nothing.

Loading makes a new pool, a stranger to the first, and adopts the buffers: they are not
copied before somebody writes to them.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from .._native.arguments import integer
from .._native.signatures import OVERCOMMIT, SIZE_MAX, WIPE

if TYPE_CHECKING:
    from ..pool import MemoryPool


def facts(pool: MemoryPool, protocol: int) -> tuple[Any, ...]:
    """What a pickle holds of a pool: the arguments of rebuild() after the first two."""
    with pool.clone() as moment:
        stats = moment.stats
        runs = [(start, moment.read(start, size)) for start, size in moment.extents()]
    limit, wipe = stats.memory_limit or None, stats.flags & WIPE != 0
    overcommit = stats.flags & OVERCOMMIT != 0
    starts = [start for start, _ in runs]
    data: list[Any] = [
        pickle.PickleBuffer(held) if protocol >= 5 else held for _, held in runs
    ]
    return stats.total_size, stats.block_size, limit, starts, data, wipe, overcommit


def rebuild(
    base: type[MemoryPool],
    kind: Any,
    total_size: Any,
    block_size: Any,
    limit: Any,
    starts: Any,
    data: Any,
    wipe: Any = False,
    overcommit: Any = False,
) -> MemoryPool:
    """The pool that facts() took apart. No argument but the first is trusted.

    base: MemoryPool, of which `kind` must be a class.
    """
    if not (isinstance(kind, type) and issubclass(kind, base)):
        raise TypeError(f"a class of MemoryPool is needed, not {kind!r}")
    if not (type(starts) is list is type(data) and len(starts) == len(data)):
        raise TypeError("two lists of equal length are needed for the runs of data")
    total_size = integer("total_size", total_size, 1, SIZE_MAX)
    block_size = integer("block_size", block_size, 1, SIZE_MAX)
    # Blocks are never larger than a new pool, only than one that was made smaller.
    pool = kind.__new__(kind)
    base.__init__(
        pool,
        max(total_size, block_size),
        block_size,
        memory_limit=limit,
        wipe=bool(wipe),
        overcommit=bool(overcommit),
    )
    if total_size < block_size:
        pool.resize(total_size)
    end = 0
    for start, held in zip(starts, data):
        start = integer("start of a run", start, end, total_size)
        put = pool.write if wipe else pool.adopt  # what is adopted cannot be wiped
        end = start + put(start, held)
    return pool
