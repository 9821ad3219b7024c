# SPDX-License-Identifier: MIT
"""mempool:// for fsspec: the file system and its open files."""

from __future__ import annotations

import errno
import importlib
import operator
import os
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from .._core.raw_file import RawFile, fail
from .._native.buffers import readable
from .store import (
    LENGTH_MAX,
    Directory,
    Entry,
    Store,
    StoredFile,
    drop_store,
    join_path,
    now,
    open_store,
    split_path,
)

if TYPE_CHECKING:
    from datetime import datetime
    from typing import SupportsIndex

    from _typeshed import ReadableBuffer

try:
    _Base: Any = importlib.import_module("fsspec").AbstractFileSystem
except ImportError as error:
    raise ImportError(
        "mempool:// needs fsspec: pip install 'pymempool[fsspec]'", name="fsspec"
    ) from error

_MODES = ("rb", "r+b", "wb", "w+b", "ab", "a+b", "xb", "x+b")


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
        system: MempoolFileSystem,
        path: str,
        mode: str,
        file: StoredFile,
        inplace: bool,
    ) -> None:
        """Made by MempoolFileSystem.open()."""
        super().__init__(mode, file.length if mode[0] == "a" else 0)
        self.fs = system
        self.path = path
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
            at = None if self.mode[0] == "a" else self._position
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
        if self._pending and self._file is not None:
            exclusive = self.mode[0] == "x"
            self.fs._store.link(split_path(self.path), self._file, exclusive)
        self._settle()

    def discard(self) -> None:
        """Makes commit() do nothing; closing the file frees what was written."""
        self._settle()

    def _settle(self) -> None:
        self._pending = False
        if self.closed:
            self._file = None

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


# -------------------------------------------------------------------------- file system


def _unpickled(name: str, process: int) -> MempoolFileSystem:
    if process != os.getpid():
        raise ValueError(
            f"the store {name!r} is in the memory of process {process}, not of this one"
        )
    return MempoolFileSystem(name)


class MempoolFileSystem(_Base):  # type: ignore[misc] # fsspec has no types
    """A file system in memory for fsspec: mempool://NAME/path.

    An instance without a name has a store of its own, which lives as long as the instance
    or an open file. Instances of one name, and URLs, share a store within the process,
    which lives until drop(name) or the end of the process.

    A copy of a file takes memory only as it is written to. A move takes constant time,
    for a file and for a full directory. Directories above a new file are made. An
    instance without a name cannot be pickled; the pickle of one with a name can be loaded
    in the same process.

    Any number of threads may use an instance. Transactions are fsspec's own, and are not
    for several threads.
    """

    cachable = False  # each instance may have a store of its own
    protocol = "mempool"
    root_marker = "/"

    def __init__(
        self,
        name: str | None = None,
        *,
        limit: SupportsIndex | None = None,
        block_size: SupportsIndex | None = None,
        **storage_options: Any,
    ) -> None:
        """Opens a store, and makes it if there is none of that name.

        name: str, not empty, without "/"; None for a store of its own.
        limit: int, the most bytes that all files together may hold, in whole blocks; a
            block that copies share counts once. None for no limit.
        block_size: int, in bytes; files take memory in blocks of the largest power of two
            not above it. None for 4096.

        For a store that exists, None means what the store has, and another value raises
        ValueError. Raises ValueError for another name too; PoolRangeError,
        PoolMemoryError.
        """
        super().__init__(**storage_options)
        self.name = name
        if name is None:
            self._store = Store(limit, block_size)
        else:
            self._store = open_store(name, limit, block_size)

    @classmethod
    def drop(cls, name: str) -> None:
        """Forgets the store of a name, if there is one: the next of that name is empty.

        Instances and open files that use the store keep it alive, and keep working.
        """
        drop_store(name)

    def clear(self) -> None:
        """Removes all files and directories. Open files stay usable."""
        with self._store.lock:
            self._store.root = Directory()

    @property
    def _fs_token(self) -> str:
        return f"{id(self._store):x}"  # of the same store: equal

    def __reduce__(self) -> tuple[Any, ...]:
        if self.name is None:
            raise TypeError("a MempoolFileSystem can be pickled only with a name")
        return _unpickled, (self.name, os.getpid())

    # --------------------------------------------------------------------------- paths

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        path = path.as_posix() if isinstance(path, PurePath) else os.fspath(path)
        if path.startswith("mempool://"):
            path = path[len("mempool://") :].partition("/")[2]
        return join_path(split_path(path))

    def unstrip_protocol(self, name: str) -> str:
        """The URL of a path; fsspec can open it if the store has a name."""
        return f"mempool://{self.name or ''}{self._strip_protocol(name) or '/'}"

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        name = path.partition("://")[2].partition("/")[0]
        if not name:
            raise ValueError(f"{path!r} names no store, allowed is mempool://NAME/path")
        return {"name": name}

    def _entry(self, path: str) -> tuple[str, Entry]:
        path = self._strip_protocol(path)
        entry = self._store.find(split_path(path))
        if entry is None:
            fail(errno.ENOENT, path)
        return path, entry

    def _file(self, path: str) -> StoredFile:
        path, entry = self._entry(path)
        if isinstance(entry, Directory):
            fail(errno.EISDIR, path)
        return entry

    # ----------------------------------------------------------------------- information

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Returns name, size, type, created and modified of a file or a directory."""
        return _info(*self._entry(path))

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """Lists a directory, sorted by name, or a file. Raises FileNotFoundError."""
        with self._store.lock:
            path, entry = self._entry(path)
            if isinstance(entry, Directory):
                found = [
                    _info(f"{path}/{name}", one) for name, one in entry.entries.items()
                ]
            else:
                found = [_info(path, entry)]
        found.sort(key=operator.itemgetter("name"))
        return found if detail else [one["name"] for one in found]

    def created(self, path: str) -> datetime:
        """Returns the time at which the file or directory was made."""
        return self._entry(path)[1].created

    def modified(self, path: str) -> datetime:
        """Returns the time of the last write, or of the last change of the entries."""
        return self._entry(path)[1].modified

    # --------------------------------------------------------------------- directories

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        """Makes a directory. Raises FileExistsError, or another OSError."""
        names = split_path(self._strip_protocol(path))
        with self._store.lock:
            if self._store.find(names) is not None:
                fail(errno.EEXIST, join_path(names))
            if not create_parents:
                self._entry(join_path(names[:-1]))
            self._store.make_directories(names)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Makes a directory and those above it.

        Raises FileExistsError, NotADirectoryError.
        """
        with self._store.lock:
            if not (exist_ok and self.isdir(path)):
                self.mkdir(path)

    def rmdir(self, path: str) -> None:
        """Removes an empty directory, but not the root. Raises OSError."""
        with self._store.lock:
            path, entry = self._entry(path)
            if not isinstance(entry, Directory):
                fail(errno.ENOTDIR, path)
            if entry.entries:
                fail(errno.ENOTEMPTY, path)
            if path:
                self._store.unlink(split_path(path))

    # --------------------------------------------------------------------------- files

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: Any = None,
        autocommit: bool = True,
        cache_options: Any = None,
        **kwargs: Any,
    ) -> MempoolFile:
        mode = f"{mode[0]}+b" if mode[1:] == "b+" else mode
        if mode not in _MODES:
            raise ValueError(f"mode is {mode!r}, possible are {', '.join(_MODES)}")
        path = self._strip_protocol(path)
        names, store = split_path(path), self._store
        with store.lock:
            old = store.find(names)
            if old is None and mode[0] == "r":
                fail(errno.ENOENT, path)
            if old is not None and mode[0] == "x":
                fail(errno.EEXIST, path)
            if isinstance(old, Directory):
                fail(errno.EISDIR, path)
            if autocommit or mode == "rb":
                return MempoolFile(
                    self, path, mode, self._in_place(names, old, mode), True
                )
        old = None if mode[0] == "w" else old
        file = store.new_file() if old is None else old.clone()
        opened = MempoolFile(self, path, mode, file, False)
        if mode == "r+b":  # fsspec's open() does so for all other modes
            self.transaction.files.append(opened)
        return opened

    def _in_place(
        self, names: list[str], old: StoredFile | None, mode: str
    ) -> StoredFile:
        if old is None:
            old = self._store.new_file()
            self._store.link(names, old)
        elif mode[0] == "w":
            old.truncate(0)
        return old

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """Makes an empty file, or gives one that exists the time of now as modified().

        truncate: whether a file that exists becomes empty.
        """
        with self.open(path, "wb" if truncate else "ab") as file:
            file._open_file().modified = now()

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        """Reads the bytes [start, end) of a file, which count as in a slice."""
        file = self._file(path)
        with file.lock:
            at, stop, _ = slice(start, end).indices(file.length)
            return file.read(at, stop - at)

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Copies a file in constant time, or makes an empty directory for a directory."""
        with self._store.lock:
            source, entry = self._entry(path1)
            target = self._strip_protocol(path2)
            if isinstance(entry, Directory):
                self.makedirs(target, exist_ok=True)
            elif source != target:
                self._store.link(split_path(target), entry.clone())

    def mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Moves a file or a whole directory in constant time, as mv of a shell does.

        path2: a directory to move it into, which exists or ends in "/"; else the new
            path, where a file is replaced.

        Lists and patterns, or a maxdepth, are moved by fsspec, file by file.
        """
        simple = not isinstance(path1, list) and maxdepth is None
        if not simple or any(sign in str(path1) for sign in "*?["):
            super().mv(path1, path2, recursive=recursive, maxdepth=maxdepth, **kwargs)
            return
        source = split_path(self._strip_protocol(path1))
        target = split_path(self._strip_protocol(path2))
        self._store.move(source, target, str(path2).endswith("/"))

    def rm_file(self, path: str) -> None:
        """Removes a file. Raises FileNotFoundError, IsADirectoryError."""
        with self._store.lock:
            self._file(path)
            self._store.unlink(split_path(self._strip_protocol(path)))

    _rm = rm_file  # the old name, which fsspec uses too

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Removes files and directories; a directory must be empty unless `recursive`."""
        paths = self.expand_path(path, recursive=recursive, maxdepth=maxdepth)
        for one in reversed(paths):
            (self.rmdir if self.isdir(one) else self.rm_file)(one)


def _info(path: str, entry: Entry) -> dict[str, Any]:
    return {
        "name": path,
        "size": entry.length,
        "type": "file" if isinstance(entry, StoredFile) else "directory",
        "created": entry.created,
        "modified": entry.modified,
    }
