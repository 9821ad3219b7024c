# SPDX-License-Identifier: MIT
"""Pools as pickles: facts, and one buffer for each run of data. Holes cost nothing.

Loading makes a new pool, a stranger to the first, and adopts the buffers: they are not
copied before somebody writes to them.
"""

from __future__ import annotations

import pickle
from typing import Any, Callable

from .._native.arguments import integer
from .._native.signatures import HUGE, OVERCOMMIT, SIZE_MAX, WIPE
from . import lifecycle, ranges, stats, walks
from .owner import Owned, Owner


def facts(owner: Owner, protocol: int) -> tuple[Any, ...]:
    """What a pickle holds of a pool: the arguments of rebuild() after the first."""
    moment = Owned()
    moment._owner = own = lifecycle.clone(owner)
    found = stats.read(own)
    runs = [
        (start, ranges.fetch("pool_read", own, start, size))
        for start, size in walks.extents(moment, 0, None)
    ]
    limit = found.memory_limit or None
    flags = [found.flags & flag != 0 for flag in (WIPE, OVERCOMMIT, HUGE)]
    starts = [start for start, _ in runs]
    data: list[Any] = [
        pickle.PickleBuffer(held) if protocol >= 5 else held for _, held in runs
    ]
    return found.total_size, found.block_size, limit, starts, data, *flags


def rebuild(
    make: Callable[..., Any],
    total_size: Any,
    block_size: Any,
    limit: Any,
    starts: Any,
    data: Any,
    wipe: Any = False,
    overcommit: Any = False,
    huge_pages: Any = False,
) -> Any:
    """The pool that facts() took apart. No argument but the first is trusted.

    make: makes a pool, with the arguments of MemoryPool.
    """
    if not (type(starts) is list is type(data) and len(starts) == len(data)):
        raise TypeError("two lists of equal length are needed for the runs of data")
    total_size = integer("total_size", total_size, 1, SIZE_MAX)
    block_size = integer("block_size", block_size, 1, SIZE_MAX)
    # Blocks are never larger than a new pool, only than one that was made smaller.
    pool = make(
        max(total_size, block_size),
        block_size,
        memory_limit=limit,
        wipe=bool(wipe),
        overcommit=bool(overcommit),
        huge_pages=bool(huge_pages),
    )
    if total_size < block_size:
        pool.resize(total_size)
    end = 0
    for start, held in zip(starts, data):
        start = integer("start of a run", start, end, total_size)
        put = pool.write if wipe else pool.adopt  # what is adopted cannot be wiped
        end = start + put(start, held)
    return pool
