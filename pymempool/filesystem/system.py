# SPDX-License-Identifier: MIT
"""mempool:// for fsspec: the file system."""

from __future__ import annotations

import errno
import operator
import os
from functools import partial
from glob import has_magic
from typing import TYPE_CHECKING, Any

from .._core.raw_file import fail
from .open_file import MempoolFile
from .paths import join_path, split_path
from .registry import drop_store, name_store, open_store, store_names
from .store import Directory, Entry, Store, new_store
from .stored_file import StoredFile, now
from .subclasses import BufferedFile, FileSystem, MissingName, Transaction

if TYPE_CHECKING:
    from datetime import datetime
    from typing import SupportsIndex

_MODES = ("rb", "r+b", "wb", "w+b", "ab", "a+b", "xb", "x+b")


# -------------------------------------------------------------------------- file system


def _unpickled(name: str, process: int) -> MempoolFileSystem:
    if process != os.getpid():
        raise ValueError(
            f"the store {name!r} is in the memory of process {process}, not of this one"
        )
    return MempoolFileSystem(name)


class MempoolFileSystem(FileSystem):  # type: ignore[misc] # fsspec has no types
    """A file system in memory for fsspec: mempool://NAME/path.

    An instance without a name has a store of its own, which lives as long as the instance
    or an open file. Instances of one name, and URLs, share a store within the process,
    which lives until drop(name) or the end of the process.

    Each method takes paths and URLs: `/path` is in the store of the instance, and
    `mempool://NAME/path` in the store of that name, in whichever instance. What is
    found below a URL is named by URLs. fsspec opens `mempool:///path` with name= only.

    A copy of a file takes memory only as it is written to. A move takes constant time,
    for a file and for a full directory. Directories above a new file are made. An
    instance without a name cannot be pickled; the pickle of one with a name can be loaded
    in the same process.

    Within `with fs.transaction:` files that are written appear at its end, in one atomic
    step, or none of them if it fails; all else happens at once, as everywhere in fsspec.
    A file that is opened for changes again goes on from what the transaction has written.
    Any number of threads may use an instance, but a transaction is for one.
    """

    transaction_type = Transaction
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
            not above it. None for 4096. Without a limit, a file of up to 4096 bytes that
            fits one block takes only its bytes.

        For a store that exists, None means what the store has, and another value raises
        ValueError. Raises ValueError for another name too; PoolRangeError,
        PoolMemoryError.
        """
        super().__init__(**storage_options)
        if name is None:
            self._use(None, new_store(limit, block_size))
        else:
            self._use(name, open_store(name, limit, block_size))

    def _use(self, name: str | None, store: Store) -> None:
        self.name = name
        self._store = store
        # Not a bound method, with which the instance would hold itself.
        self._strip_protocol = partial(  # type: ignore[method-assign]
            type(self)._strip_protocol, own=name
        )

    def clone(self, name: str | None = None) -> MempoolFileSystem:
        """Returns a file system with a copy of all files and directories: a snapshot.

        name: a name for its store, which no other has; None for none.

        The copy is of one moment, takes constant time for each file and keeps their
        times. The two stores share blocks until they are written to, and one limit.
        Raises ValueError for another name, TypeError, PoolMemoryError.
        """
        store = self._store.clone()
        if name is not None:
            name_store(name, store)
        clone = type(self)()
        clone._use(name, store)
        return clone

    @classmethod
    def stores(cls) -> list[str]:
        """Returns the names of the stores that have one, sorted."""
        return store_names()

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
    def _strip_protocol(cls, path: Any, own: str | None = None) -> Any:
        """Returns a path in its shortest form: a URL only of another store than `own`."""
        if isinstance(path, list):
            return [cls._strip_protocol(one, own) for one in path]
        store, names = split_path(path)
        return join_path(names, None if store == own else store)

    @classmethod
    def _parent(cls, path: Any) -> str:
        store, names = split_path(path)
        return join_path(names[:-1], store) or cls.root_marker

    def unstrip_protocol(self, name: str) -> str:
        """Returns the URL of a path, which fsspec can open.

        Raises ValueError for a path in a store without a name, which no URL leads to.
        """
        store, names = split_path(name)
        store = store or self.name
        if store is None:
            raise ValueError(f"{name!r} is in a store without a name, which has no URLs")
        return join_path(names, store) if names else f"{join_path([], store)}/"

    @staticmethod
    def _get_kwargs_from_urls(path: Any) -> dict[str, Any]:
        store, _ = split_path(path)
        if store is not None:
            return {"name": store}
        # What is written to a store that no other URL leads to would be lost.
        return {"name": MissingName()} if "://" in os.fspath(path) else {}

    def _locate(self, path: Any) -> tuple[Store, list[str]]:
        """Returns the store and the names that a path means here."""
        name, names = split_path(path)
        if name is None or name == self.name:
            return self._store, names
        return open_store(name, None, None), names

    def _entry(self, path: Any) -> tuple[str, Entry]:
        store, names = self._locate(path)
        path = self._strip_protocol(path)
        entry = store.find(names)
        if entry is None:
            fail(errno.ENOENT, path)
        return path, entry

    def _file(self, path: Any) -> StoredFile:
        path, entry = self._entry(path)
        if isinstance(entry, Directory):
            fail(errno.EISDIR, path)
        return entry

    def _is_pattern(self, path: Any) -> bool:
        """Whether a path is to be matched: it has a *, ? or [, and no entry has it."""
        return has_magic(os.fspath(path)) and not self.exists(path)

    def expand_path(
        self,
        path: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Returns the paths that paths and patterns stand for, sorted.

        A path that exists stands for itself, even if it has a *, ? or [ in it.
        """
        paths = self._strip_protocol(list(path) if _is_many(path) else [path])
        literal = [one for one in paths if has_magic(one) and self.exists(one)]
        rest = [one for one in paths if one not in literal]
        found = set(literal)
        if rest or not literal:
            found.update(super().expand_path(rest, recursive, maxdepth, **kwargs))
        if recursive:
            for one in literal:
                found.update(self.find(one, maxdepth=maxdepth, withdirs=True))
        return sorted(found)

    # ----------------------------------------------------------------------- information

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Returns name, size, type, created and modified of a file or a directory."""
        found: dict[str, Any] = self._named_as(path, [_info(*self._entry(path))])[0]
        return found

    def find(self, path: str, *args: Any, **kwargs: Any) -> Any:
        """Returns the files below a path, sorted, as fsspec's find() does."""
        return self._named_as(path, super().find(path, *args, **kwargs))

    def glob(self, path: str, *args: Any, **kwargs: Any) -> Any:
        """Returns what matches a pattern, sorted, as fsspec's glob() does."""
        return self._named_as(path, super().glob(path, *args, **kwargs))

    def _named_as(self, path: Any, found: Any) -> Any:
        """Returns what was found below a path, named by URLs if the path is one.

        Who has a path from fsspec.url_to_fs() takes what does not begin with it for
        something outside, as pyarrow does.
        """
        if split_path(path)[0] is None:
            return found
        if isinstance(found, dict):
            infos = self._named_as(path, [*found.values()])
            return {one["name"]: one for one in infos}
        return [
            self._url(one)
            if isinstance(one, str)
            else {**one, "name": self._url(one["name"])}
            for one in found
        ]

    def _url(self, path: str) -> str:
        return self.unstrip_protocol(path).rstrip("/")

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """Lists a directory, sorted by name, or a file. Raises FileNotFoundError."""
        with self._locate(path)[0].lock:
            at, entry = self._entry(path)
            if isinstance(entry, Directory):
                found = [
                    _info(f"{at}/{name}", one) for name, one in entry.entries.items()
                ]
            else:
                found = [_info(at, entry)]
        found = sorted(self._named_as(path, found), key=operator.itemgetter("name"))
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
        store, names = self._locate(path)
        with store.lock:
            if store.find(names) is not None:
                fail(errno.EEXIST, self._strip_protocol(path))
            if not create_parents:
                self._entry(self._parent(path))
            store.make_directories(names)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Makes a directory and those above it.

        Raises FileExistsError, NotADirectoryError.
        """
        with self._locate(path)[0].lock:
            if not (exist_ok and self.isdir(path)):
                self.mkdir(path)

    def rmdir(self, path: str) -> None:
        """Removes an empty directory, but not the root. Raises OSError."""
        store, names = self._locate(path)
        with store.lock:
            path, entry = self._entry(path)
            if not isinstance(entry, Directory):
                fail(errno.ENOTDIR, path)
            if entry.entries:
                fail(errno.ENOTEMPTY, path)
            if names:
                store.unlink(names)

    # --------------------------------------------------------------------------- files

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: Any = None,
        autocommit: bool = True,
        cache_options: Any = None,
        **kwargs: Any,
    ) -> MempoolFile | BufferedFile:
        mode = f"{mode[0]}+b" if mode[1:] == "b+" else mode
        if mode not in _MODES:
            raise ValueError(f"mode is {mode!r}, possible are {', '.join(_MODES)}")
        store, names = self._locate(path)
        path = self._strip_protocol(path)
        with store.lock:
            old = store.find(names)
            if self._intrans and not autocommit and mode != "rb":
                old = self.transaction.pending_at(store, names) or old
            if old is None and mode[0] == "r":
                fail(errno.ENOENT, path)
            if old is not None and mode[0] == "x":
                fail(errno.EEXIST, path)
            if isinstance(old, Directory):
                fail(errno.EISDIR, path)
            if autocommit or mode == "rb":
                file = _in_place(store, names, old, mode)
                if mode == "rb" and "cache_type" in kwargs:
                    options = {"block_size": block_size, "cache_options": cache_options}
                    return BufferedFile(self, path, file, **options, **kwargs)
                return MempoolFile(self, store, path, mode, file, True)
        old = None if mode[0] == "w" else old
        file = store.new_file() if old is None else old.clone()
        opened = MempoolFile(self, store, path, mode, file, False)
        if self._intrans:  # fsspec's open() adds what it returns, which may compress
            self.transaction.files.append(opened)
        return opened

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
        """Copies a file, or makes an empty directory for a directory.

        Takes constant time within a store, and the blocks are shared. A copy to another
        store that is no clone takes memory of its own; raises OSError with ENOSPC.
        """
        _, entry = self._entry(path1)
        store, names = self._locate(path2)
        if isinstance(entry, Directory):
            self.makedirs(path2, exist_ok=True)
        elif entry is not store.find(names):
            store.link(names, store.copy_of(entry))

    def mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Moves files and whole directories, as mv of a shell does.

        path1: a path, a pattern or a list of them.
        path2: a directory to move into, which exists or ends in "/"; else the new path,
            where a file is replaced. For a pattern or a list it is a directory, or a
            list of new paths.
        recursive, maxdepth: without effect; a directory moves with all that is in it.

        Takes constant time for each, and is one atomic step, but between two stores: then
        all is copied before it is removed. A move onto itself does nothing. Raises
        ValueError if two would have one new path; what Store.move() raises.
        """
        if isinstance(path1, list) or self._is_pattern(path1):
            for pair in self._moves(path1, path2):
                self.mv(*pair)
            return
        store, source = self._locate(path1)
        other, target = self._locate(path2)
        if store is other:
            store.move(source, target, str(path2).endswith("/"))
        else:
            super().mv(path1, path2, recursive=self.isdir(path1))

    def _moves(self, path1: Any, path2: Any) -> list[tuple[str, str]]:
        """Returns the old and the new path of each that a list or a pattern names."""
        if isinstance(path2, list):
            found, targets = self._strip_protocol(path1), self._strip_protocol(path2)
        else:
            found, folder = self.expand_path(path1), self._strip_protocol(path2)
            targets = [f"{folder}/{path.rpartition('/')[2]}" for path in found]
        if not len(set(targets)) == len(targets) == len(found):
            raise ValueError(f"{len(found)} paths and not so many new ones: {targets}")
        return list(zip(found, targets))

    def rm_file(self, path: str) -> None:
        """Removes a file. Raises FileNotFoundError, IsADirectoryError."""
        store, names = self._locate(path)
        with store.lock:
            self._file(path)
            store.unlink(names)

    _rm = rm_file  # the old name, which fsspec uses too

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Removes files and directories; a directory must be empty unless `recursive`."""
        paths = self.expand_path(path, recursive=recursive, maxdepth=maxdepth)
        for one in reversed(paths):
            (self.rmdir if self.isdir(one) else self.rm_file)(one)


def _in_place(
    store: Store, names: list[str], old: StoredFile | None, mode: str
) -> StoredFile:
    """Returns the file that an open() without a transaction writes to or reads."""
    if old is None:
        old = store.new_file()
        store.link(names, old)
    elif mode[0] == "w":
        old.truncate(0)
    return old


def _is_many(path: Any) -> bool:
    return not isinstance(path, (str, os.PathLike))


def _info(path: str, entry: Entry) -> dict[str, Any]:
    return {
        "name": path,
        "size": entry.length,
        "type": "file" if isinstance(entry, StoredFile) else "directory",
        "created": entry.created,
        "modified": entry.modified,
    }
