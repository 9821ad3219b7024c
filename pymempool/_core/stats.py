# SPDX-License-Identifier: MIT
"""PoolStats: the facts about a pool.

spare is a hook: pymempool.testing puts a function there, for what it holds itself.
"""

from __future__ import annotations

from ctypes import sizeof
from typing import Any, Callable, Literal, NamedTuple

from .._native.calls import parallel, quick, read_stats
from .._native.signatures import TRACKING, StatsStruct
from .owner import Owner


class PoolStats(NamedTuple):
    """Facts about a pool, all from one moment. Sizes are in bytes."""

    total_size: int  #: bytes that can be addressed
    block_size: int  #: bytes in a block
    references: int  #: owners of this pool, in Python and in C
    held_blocks: int  #: blocks this pool holds: its own, shared and adopted ones
    held_bytes: int  #: the same in bytes
    pinned_blocks: int  #: those of them that are pinned
    copied_blocks: int  #: shared blocks that this pool replaced by its own, ever
    family_bytes: int  #: bytes of blocks the family holds, each once, adopted ones not
    family_peak_bytes: int  #: the most that family_bytes has been
    family_pools: int  #: pools alive in the family
    family_views: int  #: views and pins of the family that somebody still has
    adopted_blocks: int  #: blocks of adopted memory in the family
    memory_limit: int  #: 0: none
    flags: int  #: of the family, a sum: 1 wipes, 2 overcommits, 4 wants huge pages
    metadata_bytes: int  #: what the family uses for its own bookkeeping
    cached_bytes: int  #: freed memory that the process caches, roughly; see trim()
    #: how writes through pins are found: by asking the system for the pages written,
    #: "pagemap_scan" on Linux, "write_watch" on Windows; or "compare", by comparing bytes
    page_tracking: Literal["compare", "pagemap_scan", "write_watch"]
    shared_blocks: int  #: of held_blocks, those that others hold as well


# The sizes of the statistics up to the flags, and without what costs a walk over the
# tree.
_UP_TO_METADATA = StatsStruct.metadata_bytes.offset
_UP_TO_SHARED = StatsStruct.shared_blocks.offset

#: For the address of a pool: the facts that are too large, and by how much.
spare: Callable[[int], dict[str, int]] | None = None


def read(owner: Owner) -> PoolStats:
    """All facts of a pool."""
    stats = read_stats(owner.address, sizeof(StatsStruct), parallel)
    facts: dict[str, Any] = {name: getattr(stats, name) for name in PoolStats._fields}
    if spare is not None:
        facts.update({name: facts[name] - n for name, n in spare(owner.address).items()})
    return PoolStats(**{**facts, "page_tracking": TRACKING[stats.page_tracking]})


def options(owner: Owner) -> StatsStruct:
    """The facts that a pool was made with: block_size, memory_limit and flags."""
    return read_stats(owner.address, _UP_TO_METADATA, quick)


def bytes_of_others(owner: Owner) -> int:
    """The bytes of blocks that relatives hold and a pool does not.

    If there is adopted memory, which counts for the pool and not for the family, that is
    an upper bound. A block that is in the pool more than once, by copy_from(), is
    subtracted as often.
    """
    stats = read_stats(owner.address, _UP_TO_SHARED, parallel)
    own = max(0, int(stats.held_blocks) - int(stats.adopted_blocks))
    return max(0, int(stats.family_bytes) - own * int(stats.block_size))


def in_words(owner: Owner) -> str:
    """How large a pool is, what it holds, and how much of files and shared memory."""
    stats = read_stats(owner.address, _UP_TO_SHARED, quick)
    words = (
        f"{stats.total_size} bytes, {stats.held_bytes} held"
        f" in {stats.held_blocks} blocks of {stats.block_size}"
    )
    if stats.adopted_blocks:
        words += f", {stats.adopted_blocks} adopted by the family"
    return words
