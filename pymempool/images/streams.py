# SPDX-License-Identifier: MIT
"""Whole reads and writes on binary files that may transfer fewer bytes at once."""

from __future__ import annotations

import errno
import io
from typing import Any

PIECE = 1 << 20  #: the most bytes that are read or written at once


def binary_file(file: Any, method: str) -> Any:
    """Returns the file. Raises TypeError if it is a text file or has no such method."""
    if isinstance(file, io.TextIOBase):
        raise TypeError("a binary file is needed, not a text file")
    if not callable(getattr(file, method, None)):
        kind = type(file).__name__
        raise TypeError(f"a path or a binary file with {method}() is needed, not {kind}")
    return file


def write_all(file: Any, data: Any) -> None:
    """Writes all of `data`, a bytes-like object.

    Raises OSError if the file takes no bytes, and what its write() raises.
    """
    rest = memoryview(data)
    while rest:
        count = file.write(rest)
        if count is None and not isinstance(file, io.RawIOBase):
            return  # no raw file: a simple substitute, which writes all and returns None
        if count is None:
            raise BlockingIOError(errno.EAGAIN, "the file takes no more bytes now", 0)
        if not 0 < count <= len(rest):
            raise OSError(
                f"write() returned {count}, allowed is 1 .. {len(rest)}, the bytes given"
            )
        rest = rest[count:]


def read_full(file: Any, size: int) -> bytearray:
    """Reads `size` bytes, fewer only at the end of the file.

    Raises OSError if the file has no bytes yet, TypeError if read() returns no bytes.
    """
    data = bytearray()
    while len(data) < size:
        got = read_some(file, size - len(data))
        if not isinstance(got, (bytes, bytearray, memoryview)):
            raise TypeError(f"read() must return bytes, not {type(got).__name__}")
        if not got:
            break
        data += got
    return data


class Unread:
    """A file that cannot seek, with the bytes that were read of it put back."""

    def __init__(self, start: bytes, file: Any) -> None:
        self._start, self._file = start, file

    def read(self, size: int = -1) -> Any:
        if not self._start:
            return self._file.read(size)
        if size < 0:
            size = len(self._start)
            return self.read(size) + self._file.read()
        data, self._start = self._start[:size], self._start[size:]
        return data


def put_back(file: Any, start: bytes) -> Any:
    """Returns a file that begins with the bytes that were just read of another one."""
    try:
        if file.seekable():
            file.seek(file.tell() - len(start))
            return file
    except (AttributeError, OSError, ValueError):
        pass
    return Unread(start, file)


def read_some(file: Any, size: int) -> Any:
    """Returns what read() returns, but for None, for which it raises BlockingIOError."""
    got = file.read(size)
    if got is None:
        raise BlockingIOError(errno.EAGAIN, "the file has no more bytes now")
    return got
