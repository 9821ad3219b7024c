# SPDX-License-Identifier: MIT
"""What mempool:// keeps: trees of files, each of them a clone of its store's root pool.

    Store ─► Folder ─► File: a length, and a clone

Files of one store are relatives, so that they share its memory limit, and a copy costs
nothing before one of the two is written to. A store's lock guards its tree; a file's lock
guards its length and its bytes together, and whoever has it takes no other.
"""

from __future__ import annotations

import errno
import os
import threading
import weakref
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NoReturn, Union

from .._core import ranges
from .._native.buffers import readable, writable
from .._native.calls import library_for
from .._native.signatures import SIZE_MAX
from ..errors import PoolLimitError
from ..pool import MemoryPool

if TYPE_CHECKING:
    from typing import SupportsIndex

    from _typeshed import ReadableBuffer, WriteableBuffer

END = SIZE_MAX >> 1  # the largest file: positions have a sign elsewhere


def now() -> datetime:
    return datetime.now(timezone.utc)


def fail(code: int, path: str = "") -> NoReturn:
    raise OSError(code, os.strerror(code), path or None)


_locked: weakref.WeakSet[File | Store] = weakref.WeakSet()


def _new_lock(owner: File | Store) -> threading.RLock:
    """The lock of a file or a store. It lets the same thread in again: a signal's handler
    may write to the same file."""
    _locked.add(owner)
    return threading.RLock()


class File:
    """The bytes of a file; its paths, if it has one, and open handles keep it."""

    def __init__(self, pool: MemoryPool, length: int = 0) -> None:
        self.lock = _new_lock(self)
        self.pool = pool
        self.length = length  # what is in the pool beyond it are zeros
        self.created = self.modified = now()

    def clone(self) -> File:
        with self.lock:
            return File(self.pool.clone(), self.length)

    def count(self, at: int, size: int) -> int:
        """How many of `size` bytes there are at a place."""
        return max(0, min(size, self.length - at))

    def read(self, at: int, size: int) -> bytes:
        """Up to `size` bytes, fewer at the end."""
        with self.lock:
            count = self.count(at, size)
            return self.pool.read(at, count) if count else b""

    def readinto(self, at: int, buffer: WriteableBuffer) -> int:
        """Fills the buffer, as far as there are bytes; returns how many."""
        with writable(buffer) as target, self.lock:
            count = self.count(at, target.size)
            call = library_for(count).pool_read
            done: int = call(self.pool.handle, target.address, at, count)
            return done

    def write(self, at: int | None, data: ReadableBuffer) -> tuple[int, int]:
        """Writes all of the data, at the end if `at` is None; (its size, where it ends).

        All or nothing. Raises OSError.
        """
        with readable(data) as source, self.lock:
            if at is None:
                at = self.length
            end = at + source.size
            if end > END:
                fail(errno.EFBIG)
            if source.size:
                try:
                    ranges.put(self.pool._owner, at, source.address, source.size)
                except PoolLimitError as error:
                    raise OSError(errno.ENOSPC, str(error)) from error
                self.length = max(self.length, end)
                self.modified = now()
            return source.size, end

    def truncate(self, length: int) -> None:
        with self.lock:
            if length < self.length:
                try:
                    self.pool.discard(length, END - length)
                except PoolLimitError as error:  # a block in common with a copy
                    raise OSError(errno.ENOSPC, str(error)) from error
            self.length = length
            self.modified = now()


class Folder:
    length = 0

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.created = self.modified = now()


Entry = Union[File, Folder]


class Store:
    """A tree of files. Paths are lists of names here."""

    def __init__(self, limit: SupportsIndex | None, block_size: SupportsIndex) -> None:
        self.root = MemoryPool(END, block_size, memory_limit=limit)
        self.limit = self.root.stats.memory_limit
        self.lock = _new_lock(self)
        self.top = Folder()

    def new_file(self) -> File:
        return File(self.root.clone())

    def get(self, names: list[str]) -> Entry | None:
        with self.lock:
            entry: Entry | None = self.top
            for name in names:
                if not isinstance(entry, Folder):
                    return None
                entry = entry.entries.get(name)
            return entry

    def folder(self, names: list[str]) -> Folder:
        """The folder of that path, made with all above it if it is missing.

        The caller has the lock.
        """
        at = self.top
        for count, name in enumerate(names, 1):
            entry = at.entries.get(name)
            if entry is None:
                entry = at.entries[name] = Folder()
                at.modified = now()
            if not isinstance(entry, Folder):
                fail(errno.ENOTDIR, joined(names[:count]))
            at = entry
        return at

    def place(self, names: list[str], entry: Entry, new: bool = False) -> None:
        """Puts an entry where nothing is, or a file of which it takes the place.

        new: whether nothing may be there.
        """
        with self.lock:
            old = self.get(names)
            if isinstance(old, Folder):
                fail(errno.EISDIR, joined(names))
            if old and (new or isinstance(entry, Folder)):
                fail(errno.EEXIST, joined(names))
            folder = self.folder(names[:-1])
            folder.entries[names[-1]] = entry
            folder.modified = now()

    def remove(self, names: list[str]) -> None:
        with self.lock:
            folder = self.folder(names[:-1])
            del folder.entries[names[-1]]
            folder.modified = now()

    def move(self, source: list[str], target: list[str], into: bool) -> None:
        """Gives an entry another path.

        into: whether the target is a folder that it goes into, even if it is missing.
        """
        with self.lock:
            entry = self.get(source)
            if entry is None:
                fail(errno.ENOENT, joined(source))
            if not source:
                fail(errno.EINVAL, "/")  # everything, into itself
            if into or isinstance(self.get(target), Folder):
                target = [*target, source[-1]]
            if target == source:
                return
            if target[: len(source)] == source:
                fail(errno.EINVAL, joined(target))
            self.place(target, entry)
            self.remove(source)


def names_of(path: str) -> list[str]:
    return [name for name in path.split("/") if name]


def joined(names: list[str]) -> str:
    return "".join("/" + name for name in names)


stores: dict[str, Store] = {}
stores_lock: threading.RLock  # guards stores


def _renew_locks() -> None:
    """Makes them anew in a forked child, where whoever had them may be missing."""
    global stores_lock
    stores_lock = threading.RLock()
    for owner in list(_locked):
        owner.lock = threading.RLock()


_renew_locks()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


def named_store(
    name: str, limit: SupportsIndex | None, block_size: SupportsIndex | None
) -> Store:
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, not {type(name).__name__}")
    if not name or "/" in name:
        raise ValueError(f"name is {name!r}, which no URL can have")
    with stores_lock:
        store = stores.get(name)
        if store is None:
            store = stores[name] = Store(limit, or_default(block_size))
    if limit is not None and limit != store.limit:
        raise ValueError(f"the store {name!r} has a limit of {store.limit or None}")
    if block_size is not None and Store(None, block_size).root.block_size != (
        store.root.block_size
    ):
        raise ValueError(f"the store {name!r} has blocks of {store.root.block_size}")
    return store


def or_default(block_size: SupportsIndex | None) -> SupportsIndex:
    return 4096 if block_size is None else block_size


def drop(name: str) -> None:
    with stores_lock:
        stores.pop(name, None)
