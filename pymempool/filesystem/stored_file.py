# SPDX-License-Identifier: MIT
"""The bytes of a file of mempool://, and when it was made and changed."""

from __future__ import annotations

import errno
from datetime import datetime, timezone

from .._core import ranges
from .._core.raw_file import fail
from .._native.calls import library_for
from .._native.signatures import SIZE_MAX
from ..errors import PoolLimitError
from ..pool import MemoryPool
from .locks import new_lock

#: The largest length of a file in bytes: elsewhere positions are signed.
LENGTH_MAX = SIZE_MAX >> 1


def now() -> datetime:
    """Returns the time, in UTC."""
    return datetime.now(timezone.utc)


class StoredFile:
    """The bytes of a file. It lives while it has a path, or somebody has it open."""

    def __init__(self, origin: MemoryPool, pool: MemoryPool, length: int = 0) -> None:
        self.lock = new_lock(self)
        self.origin = origin  # the one of its store
        self.pool = pool  # a clone of that
        self.length = length  # the pool holds zeros behind it
        self.created = self.modified = now()

    def clone(self) -> StoredFile:
        """Returns a copy, in constant time. Raises PoolMemoryError."""
        with self.lock:
            return StoredFile(self.origin, self.pool.clone(), self.length)

    def _clipped(self, at: int, size: int) -> int:
        """Returns how many of `size` bytes at an offset are in the file."""
        return max(0, min(size, self.length - at))

    def read(self, at: int, size: int) -> bytes:
        """Reads up to `size` bytes, fewer at the end."""
        with self.lock:
            count = self._clipped(at, size)
            return self.pool.read(at, count) if count else b""

    def read_into(self, at: int, address: int, size: int) -> int:
        """Reads up to `size` bytes to an address; returns the number of bytes."""
        with self.lock:
            count = self._clipped(at, size)
            call = library_for(count).pool_read
            done: int = call(self.pool.handle, address, at, count)
            return done

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
                try:
                    ranges.put(self.pool._owner, at, address, size)
                except PoolLimitError as error:
                    raise OSError(errno.ENOSPC, str(error)) from error
                self.length = max(self.length, end)
                self.modified = now()
            return end

    def truncate(self, length: int) -> None:
        """Makes the file longer, by a hole, or shorter. Raises OSError with ENOSPC."""
        with self.lock:
            if length < self.length:
                try:
                    self.pool.discard(length, LENGTH_MAX - length)
                except PoolLimitError as error:  # from a block shared with a copy
                    raise OSError(errno.ENOSPC, str(error)) from error
            self.length = length
            self.modified = now()
