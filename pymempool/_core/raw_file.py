# SPDX-License-Identifier: MIT
"""RawFile: an unbuffered binary file over memory, whatever holds its bytes.

RawFile ─► PoolFile               a window of a pool
        └► filesystem.MempoolFile a file of mempool://
"""

from __future__ import annotations

import errno
import io
import operator
import os
from typing import TYPE_CHECKING, NoReturn

from .._native.buffers import writable

if TYPE_CHECKING:
    from typing import SupportsIndex

    from _typeshed import WriteableBuffer


def fail(code: int, path: str = "") -> NoReturn:
    """Raises the OSError of a number of errno, for a path if there is one."""
    raise OSError(code, os.strerror(code), path or None)


class RawFile(io.RawIOBase):
    """A position, a mode, and the calls that move and use them.

    A subclass holds the bytes: it defines write() and truncate(), and the four methods
    of the last section. The position has no lock.
    """

    _position_max: int  #: the largest position, in bytes

    def __init__(self, mode: str, position: int = 0) -> None:
        super().__init__()
        self._mode = mode  # "r+b" as open() takes it, never "rb+"
        self._position = position

    # ------------------------------------------------------------------------ facts

    @property
    def mode(self) -> str:
        """The mode, as io.FileIO spells it: "rb+" for "r+b" and for "w+b"."""
        kind, plus, _ = self._mode.partition("+")
        return f"{'r' if kind[0] == 'w' else kind[0]}b+" if plus else kind

    def readable(self) -> bool:
        """Whether the mode allows reading."""
        self._check_open()
        return "r" in self._mode or "+" in self._mode

    def writable(self) -> bool:
        """Whether the mode allows writing."""
        self._check_open()
        return self._mode != "rb"

    def seekable(self) -> bool:
        """True."""
        self._check_open()
        return True

    # --------------------------------------------------------------------- position

    def tell(self) -> int:
        """Returns the position, in bytes from the start of the file."""
        self._check_open()
        return self._position

    def seek(self, offset: SupportsIndex, whence: int = os.SEEK_SET, /) -> int:
        """Moves the position and returns it. It may lie past the end.

        offset: int, in bytes.
        whence: what `offset` counts from: os.SEEK_SET, SEEK_CUR or SEEK_END.

        Raises OSError with EINVAL before the start or beyond the largest position;
        ValueError for another whence.
        """
        self._check_open()
        position = int(operator.index(offset))
        if whence == os.SEEK_CUR:
            position += self._position
        elif whence == os.SEEK_END:
            position += self._length()
        elif whence != os.SEEK_SET:
            raise ValueError(f"whence is {whence!r}, allowed are the os.SEEK_* values")
        if not 0 <= position <= self._position_max:
            fail(errno.EINVAL)
        self._position = position
        return position

    # ------------------------------------------------------------------------ bytes

    def read(self, size: SupportsIndex | None = -1, /) -> bytes:
        """Reads up to `size` bytes, fewer only at the end; all of them if None or < 0.

        Holes read as zeros, so a large file gives a large object. Raises MemoryError if
        there is no memory for it; io.UnsupportedOperation if the mode forbids reading.
        """
        self._check_readable()
        wanted = -1 if size is None else int(operator.index(size))
        data = self._read_at(self._position, wanted)
        self._position += len(data)
        return data

    def readall(self) -> bytes:
        """Reads all bytes from the position to the end."""
        return self.read()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Reads into `buffer` as much as fits; returns the number of bytes, 0 at the end.

        buffer: a writable, contiguous bytes-like object.
        """
        self._check_readable()
        with writable(buffer) as target:
            count = self._read_into(self._position, target.address, target.size)
        self._position += count
        return count

    # ------------------------------------------------------------------ for subclasses

    def _check_readable(self) -> None:
        if not self.readable():
            raise io.UnsupportedOperation("the file was opened for writing only")

    def _check_writable(self) -> None:
        if not self.writable():
            raise io.UnsupportedOperation("the file was opened for reading only")

    # ------------------------------------------------------------------- by subclasses

    def _check_open(self) -> None:
        """Raises ValueError if the file is closed, or what else makes it useless."""
        raise NotImplementedError

    def _length(self) -> int:
        """Returns the number of bytes up to the end of the file, now."""
        raise NotImplementedError

    def _read_at(self, position: int, size: int) -> bytes:
        """Reads up to `size` bytes, all up to the end if that is < 0."""
        raise NotImplementedError

    def _read_into(self, position: int, address: int, size: int) -> int:
        """Reads up to `size` bytes to an address; returns how many."""
        raise NotImplementedError
