# SPDX-License-Identifier: MIT
"""PoolFile: a window of a pool as an unbuffered binary file."""

from __future__ import annotations

import errno
import io
import operator
import os
import threading
from ctypes import byref, c_size_t
from typing import TYPE_CHECKING

from .._native.arguments import integer
from .._native.buffers import BYTES_MAX, fresh_bytes, readable
from .._native.calls import library_for, parallel
from .._native.signatures import SIZE_MAX
from ..errors import PoolLimitError, PoolMemoryError, PoolRangeError
from . import ranges
from .owner import Owned, Owner
from .raw_file import RawFile, fail

if TYPE_CHECKING:
    from typing import SupportsIndex

    from _typeshed import ReadableBuffer

_MODES = ("rb", "r+b")

# The numbers of Linux where os has none; other systems have other numbers.
_SEEK_DATA: int = getattr(os, "SEEK_DATA", 3)
_SEEK_HOLE: int = getattr(os, "SEEK_HOLE", 4)

_resizing: threading.RLock  # locked by files that change the size of a pool


def _renew_lock() -> None:
    """Makes the lock, anew in a forked child, where its owner may be a missing thread."""
    global _resizing
    # Reentrant: a signal handler, or the finalizer of a file, may run in its owner.
    _resizing = threading.RLock()


_renew_lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class PoolFile(RawFile):
    """A window of a pool as an unbuffered binary file; made by MemoryPool.open().

    Position 0 is the first byte of the window. A file opened with a size is like a block
    device: its end is fixed, and a write there raises OSError with ENOSPC. (So does one
    past the end of the pool, if the pool was made too small for the window.) A file
    opened without a size ends where the pool ends; a write past the end makes the pool
    larger, with a hole between.

    Errors: OSError with ENOSPC if the write would pass the memory limit, as on a full
    disk, with the PoolLimitError as its cause; PoolMemoryError if the system has no
    memory; ValueError for a closed file; PoolClosedError if the pool was closed. A call
    that raises changes nothing and does not move the position. (One exception: if another
    thread makes the pool smaller during a write across the new end, the bytes that fit
    are written, and the call raises ENOSPC.)

    The file keeps the pool alive until the file is closed; it does not close the pool.
    Each read and each write is one atomic step on the pool, but a write past the end
    first makes the pool larger. Any number of files may be open on one pool, and all may
    write past the end, but not while another thread calls MemoryPool.resize(). The
    position has no lock: threads that share a file must take turns, or open a file each.
    For small reads and writes, and for lines, put io.BufferedReader or io.BufferedRandom
    around the file; these see writes of others only when they fill their buffer again.
    """

    _pool: Owned | None = None  # None once closed

    def __init__(
        self,
        pool: Owned,
        mode: str,
        offset: SupportsIndex,
        size: SupportsIndex | None,
    ) -> None:
        super().__init__(mode)
        if mode not in _MODES:
            raise ValueError(f"mode is {mode!r}, possible are {' and '.join(_MODES)}")
        owner = pool._owner
        if size is None:
            self._start = integer("offset", offset, 0, owner.ask())
            self._stop: int = SIZE_MAX
        else:
            self._start, size = owner.range(offset, size)
            self._stop = self._start + size
        self._sized = size is not None  # whether the end is fixed
        self._position_max = SIZE_MAX - self._start
        self._pool = pool

    def close(self) -> None:
        """Closes the file and drops its reference to the pool. May be called again."""
        super().close()
        self._pool = None

    def __repr__(self) -> str:
        if self._pool is None:
            return "<PoolFile, closed>"
        stop = self._stop if self._sized else "its end"
        return (
            f"<PoolFile {self._mode!r}, position {self._position},"
            f" from {self._start} to {stop} of {self._pool!r}>"
        )

    def seek(self, offset: SupportsIndex, whence: int = os.SEEK_SET, /) -> int:
        """Moves the position and returns it. It may lie past the end.

        offset: int, in bytes.
        whence: what `offset` counts from: os.SEEK_SET, SEEK_CUR or SEEK_END. Or
            os.SEEK_DATA, SEEK_HOLE: the first byte at `offset` or later that is in data,
            or in a hole; the end counts as a hole. (3 and 4 where os has no such names.)

        Raises OSError: EINVAL before the start or beyond the largest position; ENXIO if
        `offset` is not before the end, or no data follows. ValueError for another whence.
        """
        if whence in (_SEEK_DATA, _SEEK_HOLE):
            offset, whence = self._find(int(operator.index(offset)), whence), os.SEEK_SET
        return super().seek(offset, whence)

    def _find(self, position: int, whence: int) -> int:
        """Returns where data or a hole begins, at a position or later."""
        owner = self._open_owner()
        end = self._length()
        if not 0 <= position < end:
            fail(errno.ENXIO)
        start, size = c_size_t(), c_size_t()
        at = self._start + position
        found = parallel.pool_next_extent(
            owner.address, at, self._start + end, byref(start), byref(size)
        )
        if whence == _SEEK_DATA:
            if not found:
                fail(errno.ENXIO)
            return start.value - self._start
        if not found or start.value > at:
            return position
        return start.value + size.value - self._start

    def write(self, data: ReadableBuffer, /) -> int:
        """Writes `data`, or as much as fits in the window; returns the number of bytes.

        data: a contiguous bytes-like object.

        Raises OSError with ENOSPC if no byte fits, or if the write would pass the memory
        limit; PoolMemoryError; io.UnsupportedOperation if the mode is "rb".
        """
        self._check_writable()
        owner = self._open_owner()
        with readable(data) as source:
            if source.size == 0:
                return 0
            room = (
                self._length() if self._sized else self._position_max
            ) - self._position
            size: int = min(source.size, room)
            if size <= 0:
                fail(errno.ENOSPC)
            at = self._start + self._position
            try:
                if not self._sized and at + size > owner.ask():
                    _write_and_grow(owner, at, source.address, size)
                else:
                    ranges.put(owner, at, source.address, size)
            except (PoolLimitError, PoolRangeError) as error:  # or made smaller just now
                raise OSError(errno.ENOSPC, str(error)) from error
        self._position += size
        return size

    def truncate(self, size: SupportsIndex | None = None, /) -> int:
        """Makes the pool end `size` bytes after the start of the window; returns `size`.

        size: int; None for the position, which does not move. The pool may become larger
            or smaller, but not of 0 bytes.

        Raises io.UnsupportedOperation for a file opened with a size, or with "rb";
        OSError: EINVAL for a size that a pool cannot have, ENOSPC; PoolMemoryError.
        """
        self._check_writable()
        owner = self._open_owner()
        if self._sized:
            raise io.UnsupportedOperation("truncate: the file was opened with a size")
        length = self._position if size is None else int(operator.index(size))
        total_size = self._start + length
        if length < 0 or not 1 <= total_size <= SIZE_MAX:
            fail(errno.EINVAL)
        try:
            with _resizing:
                ranges.resize(owner, total_size)
        except PoolLimitError as error:
            raise OSError(errno.ENOSPC, str(error)) from error
        return length

    # ------------------------------------------------------------------- for RawFile

    def _check_open(self) -> None:
        self._open_owner()

    def _open_owner(self) -> Owner:
        if self._pool is None:
            raise ValueError("I/O operation on closed file")
        owner = self._pool._owner
        _ = owner.address  # raises PoolClosedError
        return owner

    def _length(self) -> int:
        return max(0, min(self._stop, self._open_owner().ask()) - self._start)

    def _read_at(self, position: int, size: int) -> bytes:
        owner = self._open_owner()
        left = max(0, self._length() - position)
        count = left if size < 0 else min(size, left)
        if count == 0:
            return b""
        if count > BYTES_MAX:
            raise PoolMemoryError(f"{count} bytes do not fit a bytes object")
        call = library_for(count).pool_read
        data = fresh_bytes(None, count)  # last: a signal handler must not see it
        done: int = call(owner.address, data, self._start + position, count)
        return data[:done]  # is data itself, unless the pool was made smaller just now

    def _read_into(self, position: int, address: int, size: int) -> int:
        at = self._start + position
        size = max(0, min(size, self._stop - at))
        call = library_for(size).pool_read  # stops at the end of the pool
        done: int = call(self._open_owner().address, address, at, size)
        return done


def _write_and_grow(owner: Owner, at: int, address: int, size: int) -> None:
    """Writes past the end of a pool, which becomes larger, or raises and does nothing."""
    with _resizing:  # or one of two such writes could cut off the other's bytes
        total_size = owner.ask()
        ranges.resize(owner, max(total_size, at + size))
        try:
            ranges.put(owner, at, address, size)
        except PoolMemoryError:
            ranges.resize(owner, total_size)
            raise
