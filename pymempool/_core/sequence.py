# SPDX-License-Identifier: MIT
"""What makes a pool look like a bytearray of a fixed size: len(), items and slices."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Any, overload

from .._native.arguments import integer
from .._native.buffers import has_buffer, readable
from .._native.signatures import SIZE_MAX
from ..errors import PoolRangeError
from .owner import CLOSED, Owner

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import SupportsIndex

    from _typeshed import ReadableBuffer

    from ..pool import MemoryPool

_LEN_MAX = SIZE_MAX >> 1


class ByteSequence:
    """A fixed number of bytes by index and slice, on top of the other methods."""

    _owner: Owner = CLOSED

    # A pool can be far too long to be walked byte by byte, and without these Python
    # would do just that. Use extents() and read().
    __iter__ = None
    __contains__ = None
    __reversed__ = None

    if TYPE_CHECKING:

        def read(self, offset: SupportsIndex, size: SupportsIndex) -> bytes: ...
        def _write(self, offset: SupportsIndex, source: Any, size: int) -> int: ...
        def copy_from(
            self,
            source: MemoryPool,
            source_offset: SupportsIndex = 0,
            size: SupportsIndex | None = None,
            offset: SupportsIndex | None = None,
        ) -> int: ...

    def __len__(self) -> int:
        """total_size, which may be too large for len(); then OverflowError."""
        total_size = self._owner.ask()
        if total_size > _LEN_MAX:
            raise OverflowError(f"len() cannot tell {total_size}; total_size can")
        return total_size

    def __bool__(self) -> bool:
        return True  # as of any object: len() would not do for large and closed pools

    @overload
    def __getitem__(self, key: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, key: slice) -> bytes: ...
    def __getitem__(self, key: SupportsIndex | slice) -> int | bytes:
        """`pool[i]` is a byte as an int, `pool[a:b]` are bytes. A step must be 1.

        Negative ones count from the end. Raises PoolRangeError.
        """
        if not isinstance(key, slice):
            return self.read(self._index(key), 1)[0]
        try:
            return self.read(*self._slice(key))
        except PoolRangeError:
            # Somebody else may have made the pool smaller. A slice is cut then.
            self._owner.ask()
            return self.read(*self._slice(key))

    @overload
    def __setitem__(self, key: SupportsIndex, value: SupportsIndex) -> None: ...
    @overload
    def __setitem__(
        self, key: slice, value: ReadableBuffer | MemoryPool | Iterable[SupportsIndex]
    ) -> None: ...
    def __setitem__(self, key: SupportsIndex | slice, value: Any) -> None:
        """`pool[i] = 0 .. 255` and `pool[a:b] = data`, data as long as the slice.

        data: bytes, or any object of contiguous memory, whose bytes are taken whatever
            its items are; another pool, which is copied as copy_from() does; or else an
            iterable of integers 0 .. 255.

        Raises PoolRangeError, PoolMemoryError, PoolLimitError, TypeError; ValueError for
        an integer of an iterable that is no byte, and what the iterable itself raises.
        Then nothing was changed.
        """
        if not isinstance(key, slice):
            offset = self._index(key)
            self._write(offset, bytes((integer("byte", value, 0, 255),)), 1)
            return
        offset, size = self._slice(key)
        if isinstance(value, ByteSequence):
            integer("size of what is assigned", value._owner.ask(), size, size)
            self.copy_from(value, 0, size, offset)  # type: ignore[arg-type]
            return
        if not has_buffer(value):
            value = _bytes_of(value, size)
            self._owner.ask()  # an iterable can do anything, even resize the pool
        with readable(value) as source:
            integer("size of what is assigned", source.size, size, size)
            self._write(offset, source.address, size)

    def _index(self, key: SupportsIndex) -> int:
        """The offset that an index in square brackets means."""
        owner = self._owner
        if type(key) is int and 0 <= key < owner.total_size:
            return key
        total_size = owner.ask()
        index = integer("index", key, -total_size, total_size - 1)
        return index + total_size if index < 0 else index

    def _slice(self, key: slice) -> tuple[int, int]:
        """The offset and the size that a slice means."""
        # One atomic step is one range of bytes, and every method is one atomic step.
        integer("step of a slice", 1 if key.step is None else key.step, 1, 1)
        owner = self._owner
        start, stop = key.start, key.stop
        plain = type(start) is int is type(stop)
        if plain and 0 <= start <= stop <= owner.total_size:
            return start, stop - start
        start, stop, _ = slice(start, stop).indices(owner.ask())
        return start, max(0, stop - start)


def _bytes_of(numbers: Any, size: int) -> bytes:
    """The integers of an iterable as bytes, `size` of them or fewer.

    Takes one more than that, and so finds out that there are too many.
    """
    needed = "a contiguous bytes-like object, or an iterable of integers, is needed"
    if isinstance(numbers, str):
        raise TypeError(f"{needed}, not str")
    try:
        some = islice(numbers, min(size + 1, sys.maxsize))
    except TypeError as error:
        raise TypeError(
            f"{needed}, not this {type(numbers).__name__}: {error}"
        ) from error
    data = bytes(some)
    if len(data) > size:
        raise PoolRangeError(
            f"size of what is assigned is above {size}, allowed is {size}"
        )
    return data
