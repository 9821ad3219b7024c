# SPDX-License-Identifier: MIT
"""Owner: a MemoryPool's hold on the C pool, and what is known of that.

An Owner holds one reference to the C pool, which is dropped when the Owner is freed.
A MemoryPool holds the Owner, and so does every running call, by a local variable.
close() drops the MemoryPool's hold, which never pulls memory from under a call of another
thread and costs the calls nothing.
"""

from __future__ import annotations

from ctypes import c_void_p
from typing import Any, NamedTuple, NoReturn, cast

from .._native import signatures
from .._native.arguments import byte_range, integer
from .._native.calls import fail, last_status, quick, read_stats
from .._native.handles import PoolReference
from .._native.near import as_argument
from ..errors import PoolClosedError, PoolRangeError, Status
from .image import NO_IMAGE


class Marked(NamedTuple):
    """A pool and its marks, see marks.py: each as an Owner that tracks nothing."""

    plain: Owner
    marks: Owner


class Owner:
    """One reference to a C pool.

    total_size is what it was when last seen. C code, and other MemoryPools on the same C
    pool, may have changed it since: whoever finds it in the way asks the library again.

    loaded: the pool as it was loaded, if pickles are to name the file, else None.
    """

    __slots__ = (
        "__weakref__",
        "_block_size",
        "_reference",
        "address",
        "argument",
        "image",
        "loaded",
        "marked",
        "total_size",
    )

    def __init__(
        self,
        reference: PoolReference,
        total_size: int | None = None,
        loaded: Any = None,
    ) -> None:
        self._reference = reference
        self.address: Any = reference.address
        self.argument = as_argument(self.address)  # the same, see near.py
        self._block_size = 0
        self.loaded = loaded
        self.marked: Marked | None = None  #: where the bytes that are set are tracked
        self.image = NO_IMAGE  #: what is known of the file it was loaded from
        self.total_size = self.ask() if total_size is None else total_size

    def alias(self) -> Owner:
        """The same reference, with nothing that is tracked."""
        return Owner(self._reference, self.total_size)

    def ask(self) -> int:
        """total_size as it is now."""
        stats = read_stats(self.address, _UP_TO_TOTAL, quick)
        self.total_size = total_size = int(stats.total_size)
        return total_size

    @property
    def block_size(self) -> int:
        """Bytes in a block, which never change."""
        if not self._block_size:
            stats = read_stats(self.address, _UP_TO_BLOCK, quick)
            self._block_size = int(stats.block_size)
        return self._block_size

    def range(self, offset: Any, size: Any) -> tuple[int, int]:
        """The two as plain ints, if [offset, offset + size) lies in the pool."""
        try:
            return byte_range(offset, size, self.total_size)
        except PoolRangeError:
            if self.total_size == self.ask():
                raise
        return byte_range(offset, size, self.total_size)

    def range_or_rest(self, offset: Any, size: Any) -> tuple[int, int]:
        """The same, where None as the size is all up to the end of the pool."""
        if size is not None:
            return self.range(offset, size)
        rest = self.ask()
        offset = integer("offset", offset, 0, rest)
        return offset, rest - offset


class _Closed:
    """Stands in for the owner of a closed pool: whatever an Owner has raises here.

    Of anything else it says, as every object does, that it has no such attribute: pydoc,
    copy and mock look into a class, where it stands as well, and try names.
    """

    def __getattr__(self, name: str) -> NoReturn:
        if name in _OWNED:
            raise PoolClosedError("the pool is closed")
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")


_OWNED = {name for name in dir(Owner) if not name.startswith("__")}


CLOSED = cast(Owner, _Closed())


class Owned:
    """What has an Owner, or CLOSED: MemoryPool, as functions of this package know it.

    Calls look for the owner anew, since the pool may be closed or made anew meanwhile.
    """

    _owner: Owner = CLOSED


def holder(owner: Owner) -> Owned:
    """What has an owner, and is no MemoryPool."""
    pool = Owned()
    pool._owner = owner
    return pool


def owner_of(pool: Owned) -> Owner:
    """The owner of a pool. Raises TypeError for what is none."""
    if not isinstance(pool, Owned):
        raise TypeError(f"a MemoryPool is needed, not {type(pool).__name__}")
    return pool._owner


class Parameter(c_void_p):
    """The address of a pool on its way to C; holds the pool for as long as it lives."""

    owner: Owner


# Sizes of the statistics that leave out what costs more.
_UP_TO_TOTAL = signatures.StatsStruct.block_size.offset
_UP_TO_BLOCK = signatures.StatsStruct.references.offset


def fail_short(
    function: str, owner: Owner, arguments: tuple[Any, ...], done: int
) -> NoReturn:
    """Raises why a call that returns a count did less than all of it.

    arguments: offset and size in their places, None for the others.
    """
    status = last_status(Status.POOL_NO_MEMORY)
    offset, size = (value for value in arguments if value is not None)
    fits = owner.ask() >= offset + size
    if done or not fits:
        # The range was in the pool when it was checked: somebody made the pool smaller.
        status = Status.POOL_RANGE
    more = f", so that {done} bytes were moved" if done else ""
    fail(function, (owner.address, *arguments), status, more)
