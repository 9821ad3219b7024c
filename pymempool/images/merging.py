# SPDX-License-Identifier: MIT
"""merge(): the bytes that were set in several pools, in one pool.

pools ─► runs of written() ─┬─► overlaps ─► the policy ─► OverlapError
                            └─► PoolBuilder ─► pool
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import combinations

from .._core.runs import common
from ..errors import OverlapError
from .builder import PENDING_MAX, PoolBuilder
from .pools import AnyMergeable, MergeablePool
from .progress import callback
from .records import Facts

#: What to do where two pools have set the same bytes.
POLICIES = ("error", "same", "first", "last")


def merge(*pools: AnyMergeable, overlap: str = "error") -> AnyMergeable:
    """Returns a new pool with the bytes that were set in any of the pools.

    pools: one or more; of each, the runs of written() at one moment. So they are best
        loaded from images, or made with track_written. Addresses stay: load(offset=)
        places a raw image.
    overlap: what to do if two have set the same bytes: "error" raises OverlapError;
        "same" raises it only if they are not the same; with "first" the first pool that
        has set a byte wins, with "last" the last one.

    The new pool has the class and the block size of the first one; it tracks which bytes
    are set, and ends with the last of them. It has the start address of the pools: if
    they have different ones, `overlap` decides in the same way. It has the first header
    that is not the usual one, with "last" the last.

    Raises OverlapError, PoolMemoryError, PoolLimitError, TypeError; ValueError for
    another `overlap`, for no pools, and if nothing was set.
    """
    if overlap not in POLICIES:
        raise ValueError(f"overlap is {overlap!r}, possible are {', '.join(POLICIES)}")
    if not pools:
        raise ValueError("merge() needs one pool or more")
    for pool in pools:
        if not callable(getattr(pool, "written", None)):
            raise TypeError(f"a MemoryPool is needed, not {type(pool).__name__}")
    names = [f"pool {index}" for index in range(len(pools))]
    return merged(pools, names, overlap)


def merged(
    pools: Sequence[AnyMergeable], names: Sequence[str], overlap: str
) -> AnyMergeable:
    """The same. names: how the pools are called in an OverlapError."""
    kind, block_size = type(pools[0]), pools[0].block_size
    with ExitStack() as stack:
        moments = [stack.enter_context(pool.clone()) for pool in pools]
        if overlap in ("error", "same"):
            for (a, one), (b, other) in combinations(zip(names, moments), 2):
                _refuse_overlap((a, b), one, other, overlap)
        if overlap == "first":
            moments.reverse()  # what is written later wins
        builder = PoolBuilder(
            lambda total_size, _: kind._made(total_size, block_size), callback(None)
        )
        try:
            for moment in moments:
                for start, size in moment.written():
                    for at in range(start, start + size, PENDING_MAX):
                        count = min(PENDING_MAX, start + size - at)
                        builder.add(at, moment.read(at, count))
            made = builder.finish("an image")
        except BaseException:
            builder.close()
            raise
        for moment in moments:
            if moment.start_address is not None:
                made.start_address = moment.start_address
        usual = Facts().header
        headers = [moment.header for moment in moments if moment.header != usual]
        if headers:
            made.header = headers[0 if overlap in ("error", "same") else -1]
        return made


def _refuse_overlap(
    names: tuple[str, str], one: MergeablePool, other: MergeablePool, overlap: str
) -> None:
    """Raises OverlapError for the first byte that both have, if the policy says so."""
    found = common(one.written(), other.written())
    if overlap == "same":
        size = min(one.total_size, other.total_size)
        found = common(found, one.differences(other, 0, size))
    both = f"{names[0]} and {names[1]}"
    for start, size in found:
        what = "different bytes" if overlap == "same" else "bytes"
        raise OverlapError(f"{both} have {what} at {start:#x} .. {start + size - 1:#x}")
    starts = one.start_address, other.start_address
    if None not in starts and starts[0] != starts[1]:
        raise OverlapError(
            f"{both} have different start addresses: {starts[0]:#x} and {starts[1]:#x}"
        )
