# SPDX-License-Identifier: MIT
"""The bytes of a file of mempool://, and when it was made and changed."""

from __future__ import annotations

import errno
from ctypes import memmove, string_at
from datetime import datetime, timezone

from .._core import ranges
from .._core.locks import new_lock
from .._core.raw_file import fail
from .._native.calls import library_for
from .._native.signatures import SIZE_MAX
from ..errors import PoolLimitError
from ..pool import MemoryPool

#: The largest length of a file in bytes: elsewhere positions are signed.
LENGTH_MAX = SIZE_MAX >> 1


def now() -> datetime:
    """Returns the time, in UTC."""
    return datetime.now(timezone.utc)


class StoredFile:
    """The bytes of a file. It lives while it has a path, or somebody has it open.

    A small file is a bytearray, because a pool takes kilobytes whatever is in it.
    """

    __slots__ = (
        "__weakref__",
        "_held",
        "_small_max",
        "created",
        "length",
        "lock",
        "modified",
        "origin",
    )

    def __init__(self, origin: MemoryPool, small_max: int) -> None:
        """Makes an empty file.

        origin: the empty pool that its store clones.
        small_max: the most bytes of a small file; 0 where only empty files are small.
        """
        self.lock = new_lock(self)
        self.origin = origin
        self._small_max = small_max
        self._held: MemoryPool | bytearray = bytearray()  # a pool has zeros at its end
        self.length = 0
        self.created = self.modified = now()

    def clone(self) -> StoredFile:
        """Returns a copy, in constant time. Raises PoolMemoryError."""
        clone = StoredFile(self.origin, self._small_max)
        with self.lock:
            held = self._held
            clone._held = held.clone() if isinstance(held, MemoryPool) else held[:]
            clone.length = self.length
        return clone

    def assign(self, source: StoredFile) -> None:
        """Gives an empty file the bytes of a file of another store. Nobody writes to it.

        Raises PoolMemoryError; OSError with ENOSPC.
        """
        held, data = self._grow(source.length), source._held
        try:
            if not isinstance(held, MemoryPool):
                held[:] = source.read(0, source.length)
            elif isinstance(data, MemoryPool):
                held.copy_from(data, 0, source.length)
            else:
                held.write(0, data)
        except PoolLimitError as error:
            raise OSError(errno.ENOSPC, str(error)) from error
        self.length = source.length

    def _grow(self, length: int) -> MemoryPool | bytearray:
        """Returns what can hold `length` bytes: a pool once it is large."""
        held = self._held
        if length <= self._small_max or isinstance(held, MemoryPool):
            return held
        pool = self.origin.clone()
        pool.write(0, held)
        self._held = pool
        return pool

    def _clipped(self, at: int, size: int) -> int:
        """Returns how many of `size` bytes at an offset are in the file."""
        return max(0, min(size, self.length - at))

    def read(self, at: int, size: int) -> bytes:
        """Reads up to `size` bytes, fewer at the end."""
        with self.lock:
            held, count = self._held, self._clipped(at, size)
            if isinstance(held, MemoryPool):
                return held.read(at, count) if count else b""
            return bytes(held[at : at + count])

    def read_into(self, at: int, address: int, size: int) -> int:
        """Reads up to `size` bytes to an address; returns the number of bytes."""
        with self.lock:
            held, count = self._held, self._clipped(at, size)
            if isinstance(held, MemoryPool):
                call = library_for(count).pool_read
                done: int = call(held.handle, address, at, count)
                return done
            memmove(address, bytes(held[at : at + count]), count)
            return count

    def write(self, at: int | None, address: int, size: int) -> int:
        """Writes `size` bytes, at the end if `at` is None; returns where they end.

        All or nothing. Raises OSError: EFBIG, ENOSPC; PoolMemoryError.
        """
        with self.lock:
            if at is None:
                at = self.length
            end = at + size
            if end > LENGTH_MAX:
                fail(errno.EFBIG)
            if size:
                self._put(at, address, size)
                self.length = max(self.length, end)
                self.modified = now()
            return end

    def _put(self, at: int, address: int, size: int) -> None:
        held = self._grow(at + size)
        if isinstance(held, MemoryPool):
            try:
                ranges.put(held._owner, at, address, size)
            except PoolLimitError as error:
                raise OSError(errno.ENOSPC, str(error)) from error
        else:
            held.extend(bytes(max(0, at - len(held))))
            held[at : at + size] = string_at(address, size)

    def truncate(self, length: int) -> None:
        """Makes the file longer, by a hole, or shorter. Raises OSError with ENOSPC."""
        with self.lock:
            held = self._held
            if length <= self._small_max:
                self._held = bytearray(self.read(0, length).ljust(length, b"\0"))
            elif length > self.length:
                self._grow(length)
            elif isinstance(held, MemoryPool):
                try:
                    held.discard(length, LENGTH_MAX - length)
                except PoolLimitError as error:  # from a block shared with a copy
                    raise OSError(errno.ENOSPC, str(error)) from error
            self.length = length
            self.modified = now()
