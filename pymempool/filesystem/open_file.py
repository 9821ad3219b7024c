# SPDX-License-Identifier: MIT
"""Open files of mempool://."""

from __future__ import annotations

import errno
import operator
from typing import TYPE_CHECKING, Any

from .._core.raw_file import RawFile, fail
from .._native.buffers import readable
from .paths import split_path
from .store import Link, Store, link_all
from .stored_file import LENGTH_MAX, StoredFile

if TYPE_CHECKING:
    from typing import SupportsIndex

    from _typeshed import ReadableBuffer


class MempoolFile(RawFile):
    """An open file of a MempoolFileSystem: unbuffered, with a position of its own.

    Each read and each write is one atomic step. A write writes all of its bytes or
    raises: OSError with ENOSPC if it would pass the limit of the store, PoolMemoryError
    if the system has no memory. A file opened for appending writes at the end, even if
    another one has moved it. The position has no lock: threads open a file each.

    The file stays usable after its path was removed, moved, or given to another file.
    """

    _position_max = LENGTH_MAX

    def __init__(
        self,
        system: Any,
        store: Store,
        path: str,
        mode: str,
        file: StoredFile,
        inplace: bool,
    ) -> None:
        """Made by MempoolFileSystem.open()."""
        super().__init__(mode, file.length if mode[0] == "a" else 0)
        self.fs = system
        self.path = path
        self._store = store
        self.autocommit = inplace
        self._file: StoredFile | None = file  # None once nobody can need it
        self._pending = not inplace  # whether commit() has something to do

    @property
    def size(self) -> int:
        """The length of the file in bytes."""
        return self._length()

    def close(self) -> None:
        """Closes the file. What waits for commit() is kept. May be called again."""
        super().close()
        if not self._pending:
            self._file = None

    def peek(self, size: int = 0, /) -> bytes:
        """Reads some bytes without moving the position. Makes readline() fast."""
        self._check_readable()
        return self._read_at(self._position, max(size, 8192))

    def write(self, data: ReadableBuffer, /) -> int:
        """Writes all of `data`; returns its size in bytes.

        data: a contiguous bytes-like object.

        Raises OSError: ENOSPC, EFBIG; PoolMemoryError; io.UnsupportedOperation if the
        mode forbids writing. Then nothing has changed.
        """
        self._check_writable()
        file = self._open_file()
        with readable(data) as source:
            at = None if self._mode[0] == "a" else self._position
            self._position = file.write(at, source.address, source.size)
            size: int = source.size
        return size

    def truncate(self, size: SupportsIndex | None = None, /) -> int:
        """Makes the file end at `size`; returns `size`.

        size: int, in bytes; None for the position, which does not move.

        Raises OSError: EINVAL for a size that no file can have; ENOSPC if the new end is
        in a block that a copy shares, and the limit leaves no room for another.
        """
        self._check_writable()
        file = self._open_file()
        length = self._position if size is None else int(operator.index(size))
        if not 0 <= length <= LENGTH_MAX:
            fail(errno.EINVAL)
        file.truncate(length)
        return length

    # -------------------------------------------------------------------- transactions

    def commit(self) -> None:
        """Gives a file that was opened with autocommit=False its path.

        The file may be closed or open. Commits once, in one atomic step; does nothing for
        other files. Raises FileExistsError for the mode "xb" if the path is taken now,
        IsADirectoryError, NotADirectoryError.
        """
        link_all(self.links())
        self.discard()

    def links(self) -> list[Link]:
        """Returns what commit() has to do: one link, or none."""
        if not self._pending or self._file is None:
            return []
        names = split_path(self.path)[1]
        return [Link(self._store, names, self._file, self._mode[0] == "x")]

    def discard(self) -> None:
        """Makes commit() do nothing; closing the file frees what was written."""
        self._pending = False
        if self.closed:
            self._file = None

    def pending_at(self, store: Store, names: list[str]) -> StoredFile | None:
        """Returns the file that commit() would give this path; None if it would not."""
        for link in self.links():
            if link.store is store and link.names == names:
                return link.file
        return None

    # --------------------------------------------------------------------- for RawFile

    def _check_open(self) -> None:
        self._open_file()

    def _open_file(self) -> StoredFile:
        if self.closed or self._file is None:
            raise ValueError("I/O operation on closed file")
        return self._file

    def _length(self) -> int:
        return self._open_file().length

    def _read_at(self, position: int, size: int) -> bytes:
        return self._open_file().read(position, LENGTH_MAX if size < 0 else size)

    def _read_into(self, position: int, address: int, size: int) -> int:
        return self._open_file().read_into(position, address, size)
