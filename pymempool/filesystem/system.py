# SPDX-License-Identifier: MIT
"""mempool://, a file system for fsspec whose files are clones of one pool."""

from __future__ import annotations

import errno
import importlib
import io
import operator
import os
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from .store import (
    END,
    Entry,
    File,
    Folder,
    Store,
    drop,
    fail,
    joined,
    named_store,
    names_of,
    now,
    or_default,
)

if TYPE_CHECKING:
    from datetime import datetime
    from typing import SupportsIndex

    from _typeshed import ReadableBuffer, WriteableBuffer

try:
    _Base: Any = importlib.import_module("fsspec").AbstractFileSystem
except ImportError as error:
    raise ImportError(
        "mempool:// is for fsspec: pip install 'pymempool[fsspec]'", name="fsspec"
    ) from error

_MODES = ("rb", "r+b", "wb", "w+b", "ab", "a+b", "xb", "x+b")


class MempoolFile(io.RawIOBase):
    """An open file of a MempoolFileSystem: unbuffered, with a position of its own.

    Every read and every write is one atomic step, and a write puts down all of its bytes
    or raises: OSError with ENOSPC where the store's limit would be passed,
    PoolMemoryError where the system has no memory. Files opened for appending write at
    the end, wherever others have put it. The position is not guarded: threads open a
    file each.

    It works on after its path was removed, moved or given to another file.
    """

    def __init__(
        self, system: MempoolFileSystem, path: str, mode: str, file: File, inplace: bool
    ) -> None:
        """Made by MempoolFileSystem.open()."""
        super().__init__()
        self.fs = system
        self.path = path
        self.mode = mode
        self.autocommit = inplace
        self._file: File | None = file  # None once it is of no use
        self._pending = not inplace  # whether commit() has something to do
        self._at = file.length if mode[0] == "a" else 0

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._open_file().length

    def readable(self) -> bool:
        """Whether its mode lets it be read."""
        self._open_file()
        return "r" in self.mode or "+" in self.mode

    def writable(self) -> bool:
        """Whether its mode lets it be written to."""
        self._open_file()
        return self.mode != "rb"

    def seekable(self) -> bool:
        """True."""
        self._open_file()
        return True

    def close(self) -> None:
        """Lets go of the file, unless it waits for commit(). Twice does nothing."""
        super().close()
        if not self._pending:
            self._file = None

    # ------------------------------------------------------------------------ position

    def tell(self) -> int:
        """The position."""
        self._open_file()
        return self._at

    def seek(self, offset: SupportsIndex, whence: int = os.SEEK_SET, /) -> int:
        """Moves the position, which may lie past the end; returns it.

        Raises OSError with EINVAL before the start, ValueError for another whence.
        """
        file = self._open_file()
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: file.length}
        if whence not in bases:
            raise ValueError(f"whence is {whence!r}, which is none of those of seek()")
        at = bases[whence] + int(operator.index(offset))
        if not 0 <= at <= END:
            fail(errno.EINVAL)
        self._at = at
        return at

    # --------------------------------------------------------------------------- bytes

    def read(self, size: SupportsIndex | None = -1, /) -> bytes:
        """Up to `size` bytes, fewer at the end only; all that are left if None or < 0."""
        data = self._peek(-1 if size is None else int(operator.index(size)))
        self._at += len(data)
        return data

    def readall(self) -> bytes:
        """All bytes from the position to the end."""
        return self.read()

    def peek(self, size: int = 0, /) -> bytes:
        """Some bytes at the position, which stays: what makes readline() quick."""
        return self._peek(max(size, 8192))

    def _peek(self, size: int) -> bytes:
        return self._readable_file().read(self._at, END if size < 0 else size)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fills `buffer`, as far as there are bytes; returns how many, 0 at the end."""
        count = self._readable_file().readinto(self._at, buffer)
        self._at += count
        return count

    def write(self, data: ReadableBuffer, /) -> int:
        """Writes all of `data`; returns its size."""
        file = self._writable_file()
        size, self._at = file.write(None if self.mode[0] == "a" else self._at, data)
        return size

    def truncate(self, size: SupportsIndex | None = None, /) -> int:
        """Makes the file end at `size`, None for the position; returns `size`.

        Raises OSError: EINVAL for what no size can be; ENOSPC if it ends within a block
        that a copy shares, and the limit leaves no room for another.
        """
        file = self._writable_file()
        length = self._at if size is None else int(operator.index(size))
        if not 0 <= length <= END:
            fail(errno.EINVAL)
        file.truncate(length)
        return length

    # -------------------------------------------------------------------- transactions

    def commit(self) -> None:
        """Puts a file opened with autocommit=False, closed or not, in its place.

        Once, and in one step; does nothing for other files. Raises FileExistsError for
        the mode "xb" if there is one now, IsADirectoryError, NotADirectoryError.
        """
        if self._pending and self._file is not None:
            self.fs._store.place(names_of(self.path), self._file, self.mode[0] == "x")
        self._settle()

    def discard(self) -> None:
        """Makes commit() do nothing: what was written goes when the file is closed."""
        self._settle()

    def _settle(self) -> None:
        self._pending = False
        if self.closed:
            self._file = None

    # -------------------------------------------------------------------------- inside

    def _open_file(self) -> File:
        if self.closed or self._file is None:
            raise ValueError("I/O operation on closed file")
        return self._file

    def _readable_file(self) -> File:
        if not self.readable():
            raise io.UnsupportedOperation("the file was opened for writing only")
        return self._open_file()

    def _writable_file(self) -> File:
        if not self.writable():
            raise io.UnsupportedOperation("the file was opened for reading only")
        return self._open_file()


# -------------------------------------------------------------------------- file system


def _unpickled(name: str, process: int) -> MempoolFileSystem:
    if process != os.getpid():
        raise ValueError(f"the store {name!r} is in the memory of process {process}")
    return MempoolFileSystem(name)


class MempoolFileSystem(_Base):  # type: ignore[misc] # fsspec has no types
    """Files in memory for fsspec: mempool://NAME/path.

    Each unnamed instance is a store of its own, which lives as long as it or an open file
    does. Instances of one name, and URLs, share a store within the process, which is kept
    until drop(name), or the end.

    Copies of files take memory as they are written to, and moves cost the same
    for a file and a full folder. Folders above a new file are made. Unnamed stores cannot
    be pickled; what a named one is pickled to can be loaded in the same process.

    Any number of threads may use an instance, but for transactions, which are fsspec's.
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
        """Opens a store, or makes it.

        name: None for a store of its own.
        limit: the most bytes that all files together may hold, in whole blocks, what
            copies have in common counted once; None for no limit.
        block_size: the largest power of two not above it is what a file takes at a time;
            None for 4096.

        For a store that exists, None stands for what it has. Raises ValueError for
        something else, or for a name that is empty or has a "/"; PoolRangeError,
        PoolMemoryError.
        """
        super().__init__(**storage_options)
        self.name = name
        if name is None:
            self._store = Store(limit, or_default(block_size))
        else:
            self._store = named_store(name, limit, block_size)

    @classmethod
    def drop(cls, name: str) -> None:
        """Forgets a named store, if there is one: the next of that name is empty.

        Instances and open files that have it keep it, and keep working.
        """
        drop(name)

    def clear(self) -> None:
        """Removes all files and folders. Open files stay usable."""
        with self._store.lock:
            self._store.top = Folder()

    @property
    def _fs_token(self) -> str:
        return f"{id(self._store):x}"  # equal are those that have the same store

    def __reduce__(self) -> tuple[Any, ...]:
        if self.name is None:
            raise TypeError("only a MempoolFileSystem with a name can be pickled")
        return _unpickled, (self.name, os.getpid())

    # --------------------------------------------------------------------------- paths

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        path = path.as_posix() if isinstance(path, PurePath) else os.fspath(path)
        if path.startswith("mempool://"):
            path = path[len("mempool://") :].partition("/")[2]
        return joined(names_of(path))

    def unstrip_protocol(self, name: str) -> str:
        """The URL of a path; fsspec can open it if the store has a name."""
        return f"mempool://{self.name or ''}{self._strip_protocol(name) or '/'}"

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        name = path.partition("://")[2].partition("/")[0]
        if not name:
            raise ValueError(f"{path!r} names no store: mempool://NAME/path does")
        return {"name": name}

    def _entry(self, path: str) -> tuple[str, Entry]:
        path = self._strip_protocol(path)
        entry = self._store.get(names_of(path))
        if entry is None:
            fail(errno.ENOENT, path)
        return path, entry

    def _file(self, path: str) -> File:
        path, entry = self._entry(path)
        if isinstance(entry, Folder):
            fail(errno.EISDIR, path)
        return entry

    # -------------------------------------------------------------------------- asking

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Name, size, type, created and modified of a file or a folder."""
        return _info(*self._entry(path))

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """What is in a folder, sorted; or the file. Raises FileNotFoundError."""
        with self._store.lock:
            path, entry = self._entry(path)
            if isinstance(entry, Folder):
                found = [
                    _info(f"{path}/{name}", one) for name, one in entry.entries.items()
                ]
            else:
                found = [_info(path, entry)]
        found.sort(key=operator.itemgetter("name"))
        return found if detail else [one["name"] for one in found]

    def created(self, path: str) -> datetime:
        """When the file or folder was made."""
        return self._entry(path)[1].created

    def modified(self, path: str) -> datetime:
        """When the file was last written to, or an entry of the folder changed."""
        return self._entry(path)[1].modified

    # ------------------------------------------------------------------------- folders

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        """Makes a folder. Raises OSError, FileExistsError first."""
        names = names_of(self._strip_protocol(path))
        with self._store.lock:
            if self._store.get(names) is not None:
                fail(errno.EEXIST, joined(names))
            if not create_parents:
                self._entry(joined(names[:-1]))
            self._store.folder(names)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Makes a folder and all above it. Raises FileExistsError, NotADirectoryError."""
        with self._store.lock:
            if not (exist_ok and self.isdir(path)):
                self.mkdir(path)

    def rmdir(self, path: str) -> None:
        """Removes an empty folder; the root stays. Raises OSError."""
        with self._store.lock:
            path, entry = self._entry(path)
            if not isinstance(entry, Folder):
                fail(errno.ENOTDIR, path)
            if entry.entries:
                fail(errno.ENOTEMPTY, path)
            if path:
                self._store.remove(names_of(path))

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
        names, store = names_of(path), self._store
        with store.lock:
            old = store.get(names)
            if old is None and mode[0] == "r":
                fail(errno.ENOENT, path)
            if old is not None and mode[0] == "x":
                fail(errno.EEXIST, path)
            if isinstance(old, Folder):
                fail(errno.EISDIR, path)
            if autocommit or mode == "rb":
                return MempoolFile(
                    self, path, mode, self._in_place(names, old, mode), True
                )
        kept = None if mode[0] == "w" else old
        file = store.new_file() if kept is None else kept.clone()
        opened = MempoolFile(self, path, mode, file, False)
        if mode == "r+b":  # open() does so for all other modes
            self.transaction.files.append(opened)
        return opened

    def _in_place(self, names: list[str], old: File | None, mode: str) -> File:
        if old is None:
            old = self._store.new_file()
            self._store.place(names, old)
        elif mode[0] == "w":
            old.truncate(0)
        return old

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """Makes an empty file; of one that is there if `truncate`, else it is kept.

        modified() is then the time of the call.
        """
        with self.open(path, "wb" if truncate else "ab") as file:
            file._open_file().modified = now()

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        """The bytes [start, end) of a file, which count as in a slice."""
        file = self._file(path)
        with file.lock:
            at, stop, _ = slice(start, end).indices(file.length)
            return file.read(at, stop - at)

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Copies a file in constant time, or makes a folder of the name of another."""
        with self._store.lock:
            source, entry = self._entry(path1)
            target = self._strip_protocol(path2)
            if isinstance(entry, Folder):
                self.makedirs(target, exist_ok=True)
            elif source != target:
                self._store.place(names_of(target), entry.clone())

    def mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Moves a file or a whole folder in constant time, as a shell would.

        path2: a folder that is there, or ends in "/", for a place in it; else the new
            path, whose file, if there is one, is replaced.

        Lists and patterns, or a maxdepth, are moved by fsspec, file by file.
        """
        simple = not isinstance(path1, list) and maxdepth is None
        if not simple or any(sign in str(path1) for sign in "*?["):
            super().mv(path1, path2, recursive=recursive, maxdepth=maxdepth, **kwargs)
            return
        source, target = (
            names_of(self._strip_protocol(path1)),
            self._strip_protocol(path2),
        )
        self._store.move(source, names_of(target), str(path2).endswith("/"))

    def rm_file(self, path: str) -> None:
        """Removes a file. Raises FileNotFoundError, IsADirectoryError."""
        with self._store.lock:
            self._file(path)
            self._store.remove(names_of(self._strip_protocol(path)))

    _rm = rm_file  # its old name, which fsspec uses too

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Removes files, and folders: empty ones, or all that is in them if recursive."""
        paths = self.expand_path(path, recursive=recursive, maxdepth=maxdepth)
        for one in reversed(paths):
            (self.rmdir if self.isdir(one) else self.rm_file)(one)


def _info(path: str, entry: Entry) -> dict[str, Any]:
    return {
        "name": path,
        "size": entry.length,
        "type": "file" if isinstance(entry, File) else "directory",
        "created": entry.created,
        "modified": entry.modified,
    }
