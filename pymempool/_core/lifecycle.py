# SPDX-License-Identifier: MIT
"""How pools begin, are cloned and restored, and end with the interpreter."""

from __future__ import annotations

import weakref
from ctypes import sizeof
from typing import TYPE_CHECKING, Callable

from .._native import handles
from .._native.arguments import integer
from .._native.calls import parallel
from .._native.signatures import HUGE, OVERCOMMIT, SIZE_MAX, WIPE, PoolOptions
from ..errors import PoolRangeError
from . import marks
from .owner import CLOSED, Owned, Owner
from .weak import WeakObjects

if TYPE_CHECKING:
    from typing import SupportsIndex


class _Usual(int):
    """A default that differs from the same number passed by a caller."""


#: max_block_size where it is not given.
USUAL_SIZE = _Usual(65536)


def create(
    total_size: SupportsIndex,
    max_block_size: SupportsIndex,
    block_size: SupportsIndex | None,
    memory_limit: SupportsIndex | None,
    wipe: bool,
    overcommit: bool,
    huge_pages: bool | None,
    track_written: bool,
) -> Owner:
    """A new pool, with the arguments of MemoryPool."""
    if block_size is not None and max_block_size is not USUAL_SIZE:
        raise TypeError("max_block_size or block_size may be given, not both")
    options = PoolOptions(
        sizeof(PoolOptions),
        integer("total_size", total_size, 1, SIZE_MAX),
        integer("block_size", block_size, 1, SIZE_MAX)
        if block_size is not None
        else integer("max_block_size", max_block_size, 1, SIZE_MAX),
        0 if memory_limit is None else integer("memory_limit", memory_limit, 1, SIZE_MAX),
        (WIPE if wipe else 0)
        | (OVERCOMMIT if overcommit else 0)
        | (HUGE if huge_pages else 0),
    )
    owner = Owner(handles.create(options), options.total_size)
    if block_size is not None and owner.block_size != options.max_block_size:
        raise PoolRangeError(
            f"block_size is {options.max_block_size}, allowed is a power of two up to"
            f" the first that covers {options.total_size} bytes:"
            f" {owner.block_size} would do"
        )
    if track_written:
        marks.track(owner)
    return owner


def from_handle(address: SupportsIndex, retain: bool) -> Owner:
    """The pool at an address: one more owner of it, or the one that C was."""
    handle = integer("address", address, 1, SIZE_MAX)
    own = handles.retain if retain else handles.take_over
    return Owner(own(handle))


def clone(owner: Owner) -> Owner:
    """A clone of a pool, with all that is known of it."""
    return marks.clone(owner)


class Snapshot:
    """A clone for one call, a context. It ends with that, whoever holds a traceback.

    So nobody may keep its owner, not even in a parameter of what may raise.
    """

    __slots__ = ("owner",)

    def __init__(self, owner: Owner) -> None:
        self.owner = Owner(handles.clone(owner.address), owner.total_size)
        self.owner.ask()  # as it is in the clone

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *exception: object) -> None:
        self.owner = CLOSED


def restore(owner: Owner, source: Owner) -> None:
    """Makes the contents and the size of a pool those of a relative."""
    if owner.marked is not None:
        with marks.changing(owner) as (plain, marked):
            marks.restore(marked, source)
            restore(plain, source)
    else:
        parallel.pool_restore(owner.address, source.address)
    owner.total_size = source.total_size
    owner.image = source.image


# ------------------------------------------------------------------------ exit


_live: WeakObjects[Owned] = WeakObjects()

#: Remembers a pool that is closed at exit, if it is there then.
close_at_exit: Callable[[Owned], None] = _live.add


def _close_all() -> None:
    for pool in _live:
        pool.close()  # type: ignore[attr-defined]


# At exit pools are closed, not destroyed: a daemon thread may be inside a call, which
# then keeps its pool. (A class lives until exit, and this runs before finalizers stop.)
weakref.finalize(Owned, _close_all)
