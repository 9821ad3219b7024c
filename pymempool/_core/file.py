# SPDX-License-Identifier: MIT
"""PoolFile: a window of a pool as a raw binary file."""

from __future__ import annotations

import errno
import io
import operator
import os
import threading
from ctypes import byref, c_size_t
from typing import TYPE_CHECKING, NoReturn

from .._native.arguments import integer
from .._native.buffers import BYTES_MAX, fresh_bytes, readable, writable
from .._native.calls import library_for, parallel
from .._native.signatures import SIZE_MAX
from ..errors import PoolLimitError, PoolMemoryError, PoolRangeError
from . import ranges
from .owner import Owned, Owner

if TYPE_CHECKING:
    from typing import SupportsIndex

    from _typeshed import ReadableBuffer, WriteableBuffer

_MODES = ("rb", "r+b")

# What Linux has; other systems have other numbers, or none at all.
_SEEK_DATA: int = getattr(os, "SEEK_DATA", 3)
_SEEK_HOLE: int = getattr(os, "SEEK_HOLE", 4)

_resizing: threading.RLock  # held by files that change the size of a pool


def _renew_lock() -> None:
    """Makes the lock; anew in a forked child, where whoever had it may be missing."""
    global _resizing
    # The thread that has it may come back: by a signal's handler, or a collected file.
    _resizing = threading.RLock()


_renew_lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class PoolFile(io.RawIOBase):
    """A window of a pool as an unbuffered binary file; made by MemoryPool.open().

    Position 0 is the window's first byte. A file opened with a size is like a block
    device: writes stop at its end, and raise OSError with ENOSPC there (or where the pool
    ends, if that was made too small for the window). One opened without a size ends where
    the pool ends, and writing past the end makes the pool larger, with a hole between.

    Errors are those of files. Where the memory limit would be passed, that is an OSError
    with ENOSPC too, as on a disk that is full, with the PoolLimitError as its cause;
    where the system has no memory it is PoolMemoryError. A closed file raises ValueError,
    one whose pool was closed PoolClosedError. A call that raises has changed nothing, and
    has not moved the position. (Only if somebody makes the pool smaller during a write
    across the new end, that puts down what fits, and raises ENOSPC.)

    It keeps the pool alive until it is closed, and does not close it. Every read and
    every write is one atomic step on the pool, except that a write past the end first
    makes the pool larger. Any number of files may be open on one pool, and all of them
    may write past the end, but not while others call MemoryPool.resize(). The position is
    the file's own and not guarded: threads that share a file take turns, or open one
    each. Small reads and writes, and lines, want io.BufferedReader or io.BufferedRandom
    around it; those see what others write only when they fill their buffer again.
    """

    _pool: Owned | None = None  # None once closed

    def __init__(
        self,
        pool: Owned,
        mode: str,
        offset: SupportsIndex,
        size: SupportsIndex | None,
    ) -> None:
        super().__init__()
        if mode not in _MODES:
            raise ValueError(f"mode is {mode!r}, possible are {' and '.join(_MODES)}")
        owner = pool._owner
        if size is None:
            self._start = integer("offset", offset, 0, owner.ask())
            self._stop: int = SIZE_MAX
        else:
            self._start, size = owner.range(offset, size)
            self._stop = self._start + size
        self._follows = size is None  # whether it ends where the pool ends
        self._at = self._start  # the position, counted from the start of the pool
        self._mode = mode
        self._pool = pool

    # ------------------------------------------------------------------- what it is

    @property
    def mode(self) -> str:
        """What it was opened with."""
        return self._mode

    def readable(self) -> bool:
        """True."""
        self._open_owner()
        return True

    def writable(self) -> bool:
        """Whether it was opened with "r+b"."""
        self._open_owner()
        return self._mode == "r+b"

    def seekable(self) -> bool:
        """True."""
        self._open_owner()
        return True

    def close(self) -> None:
        """Lets go of the pool. Closing twice does nothing."""
        super().close()
        self._pool = None

    def __repr__(self) -> str:
        if self._pool is None:
            return "<PoolFile, closed>"
        stop = "its end" if self._follows else self._stop
        return (
            f"<PoolFile {self._mode!r}, position {self._at - self._start},"
            f" from {self._start} to {stop} of {self._pool!r}>"
        )

    # --------------------------------------------------------------------- position

    def tell(self) -> int:
        """The position, in bytes from the start of the window."""
        self._open_owner()
        return self._at - self._start

    def seek(self, offset: SupportsIndex, whence: int = os.SEEK_SET, /) -> int:
        """Moves the position; returns it. It may lie past the end.

        whence: os.SEEK_SET, SEEK_CUR, SEEK_END; or os.SEEK_DATA, SEEK_HOLE for the first
            byte at `offset` or later that lies in data, or in a hole, where the end
            counts as a hole. (3 and 4 where os has no such names.)

        Raises OSError: EINVAL before the start or beyond what addresses can reach, ENXIO
        if `offset` is not before the end, or no data is found. ValueError for another
        whence.
        """
        owner = self._open_owner()
        number = int(operator.index(offset))
        if whence == os.SEEK_SET:
            at = self._start + number
        elif whence == os.SEEK_CUR:
            at = self._at + number
        elif whence == os.SEEK_END:
            at = self._end(owner) + number
        elif whence in (_SEEK_DATA, _SEEK_HOLE):
            at = self._find(owner, self._start + number, whence)
        else:
            raise ValueError(f"whence is {whence!r}, which is none of those of seek()")
        if not self._start <= at <= SIZE_MAX:
            _fail(errno.EINVAL)
        self._at = at
        return at - self._start

    def _find(self, owner: Owner, at: int, whence: int) -> int:
        """Where data or a hole begins, at a place in the pool or later."""
        end = self._end(owner)
        if not self._start <= at < end:
            _fail(errno.ENXIO)
        start, size = c_size_t(), c_size_t()
        found = parallel.pool_next_extent(
            owner.address, at, end, byref(start), byref(size)
        )
        if whence == _SEEK_DATA:
            if not found:
                _fail(errno.ENXIO)
            return start.value
        if not found or start.value > at:
            return at
        return start.value + size.value

    # ------------------------------------------------------------------------ bytes

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fills `buffer`, as far as there are bytes; returns how many, 0 at the end."""
        owner = self._open_owner()
        with writable(buffer) as target:
            size = max(0, min(target.size, self._stop - self._at))
            call = library_for(size).pool_read  # which clips at the end of the pool
            done: int = call(owner.address, target.address, self._at, size)
        self._at += done
        return done

    def read(self, size: SupportsIndex | None = -1, /) -> bytes:
        """Up to `size` bytes, fewer at the end only; all that are left if None or < 0.

        Holes are read as zeros, so that all of a large pool is a large object. Raises
        MemoryError if there is no room for it.
        """
        owner = self._open_owner()
        left = max(0, self._end(owner) - self._at)
        wanted = -1 if size is None else int(operator.index(size))
        count = left if wanted < 0 else min(wanted, left)
        if count == 0:
            return b""
        if count > BYTES_MAX:
            raise PoolMemoryError(f"{count} bytes do not fit a bytes object")
        call = library_for(count).pool_read
        data = fresh_bytes(None, count)  # last: no handler of a signal must see it
        done: int = call(owner.address, data, self._at, count)
        self._at += done
        return data[:done]  # is data itself, unless somebody made the pool smaller

    def readall(self) -> bytes:
        """All bytes from the position to the end."""
        return self.read()

    def write(self, data: ReadableBuffer, /) -> int:
        """Writes `data`, or what of it fits in the window; returns the bytes written.

        Raises OSError with ENOSPC if none fits, or if the memory limit would be passed;
        PoolMemoryError; io.UnsupportedOperation if opened with "rb".
        """
        owner = self._writable_owner()
        with readable(data) as source:
            if source.size == 0:
                return 0
            stop = self._stop if self._follows else self._end(owner)
            size: int = min(source.size, stop - self._at)
            if size <= 0:
                _fail(errno.ENOSPC)
            try:
                if self._follows and self._at + size > owner.ask():
                    self._write_and_grow(owner, source.address, size)
                else:
                    ranges.put(owner, self._at, source.address, size)
            except (PoolLimitError, PoolRangeError) as error:  # or made smaller just now
                raise OSError(errno.ENOSPC, str(error)) from error
        self._at += size
        return size

    def _write_and_grow(self, owner: Owner, address: int, size: int) -> None:
        """Writes past the end of the pool."""
        with _resizing:  # or two of these could cut off what the other one wrote
            total_size = owner.ask()
            ranges.resize(owner, max(total_size, self._at + size))
            try:
                ranges.put(owner, self._at, address, size)
            except PoolMemoryError:
                ranges.resize(owner, total_size)  # what a call that raises has to leave
                raise

    def truncate(self, size: SupportsIndex | None = None, /) -> int:
        """Makes the pool end `size` bytes after the window's start; returns `size`.

        size: None for the position, which stays where it is. The pool may become larger
            or smaller, but not of 0 bytes.

        Only for a file opened without a size, else io.UnsupportedOperation. Raises
        OSError: EINVAL for a size that a pool cannot have, ENOSPC; PoolMemoryError.
        """
        owner = self._writable_owner()
        if not self._follows:
            raise io.UnsupportedOperation("truncate: the file was opened with a size")
        kept = self._at - self._start if size is None else int(operator.index(size))
        total_size = self._start + kept
        if kept < 0 or not 1 <= total_size <= SIZE_MAX:
            _fail(errno.EINVAL)
        try:
            with _resizing:
                ranges.resize(owner, total_size)
        except PoolLimitError as error:
            raise OSError(errno.ENOSPC, str(error)) from error
        return kept

    # ------------------------------------------------------------------------ inside

    def _open_owner(self) -> Owner:
        if self._pool is None:
            raise ValueError("I/O operation on closed file")
        owner = self._pool._owner
        _ = owner.address  # a closed pool says so here
        return owner

    def _writable_owner(self) -> Owner:
        owner = self._open_owner()
        if self._mode != "r+b":
            raise io.UnsupportedOperation("the file was opened for reading only")
        return owner

    def _end(self, owner: Owner) -> int:
        """Where the file ends, counted from the start of the pool."""
        return max(self._start, min(self._stop, owner.ask()))


def _fail(code: int) -> NoReturn:
    raise OSError(code, os.strerror(code))
