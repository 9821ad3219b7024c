# SPDX-License-Identifier: MIT
"""What mempool:// holds: trees of files, each of them a clone of its store's origin.

    Store ─► Directory ─► StoredFile: a length, and a clone of Store.origin

Files of one store are relatives: they share its memory limit, and a copy takes no memory
until one of the two is written to. The lock of a store guards its tree. The lock of a
file guards its length and its bytes together. A thread may lock a store and then a file,
not the other way round.
"""

from __future__ import annotations

import errno
import os
import threading
import weakref
from contextlib import ExitStack
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Callable, NamedTuple, Union

from .._core import ranges
from .._core.raw_file import fail
from .._native.calls import library_for
from .._native.signatures import SIZE_MAX
from ..errors import PoolLimitError
from ..pool import MemoryPool
from .paths import join_path

if TYPE_CHECKING:
    from typing import SupportsIndex

#: The largest length of a file in bytes: elsewhere positions are signed.
LENGTH_MAX = SIZE_MAX >> 1

_BLOCK_SIZE = 4096  # bytes, where nobody asks for another


def now() -> datetime:
    """Returns the time, in UTC."""
    return datetime.now(timezone.utc)


_lock_owners: weakref.WeakSet[StoredFile | Store] = weakref.WeakSet()


def _new_lock(owner: StoredFile | Store) -> threading.RLock:
    """Returns the lock of a file or a store, which a forked child replaces.

    It is reentrant: a signal handler may write to the same file.
    """
    _lock_owners.add(owner)
    return threading.RLock()


class StoredFile:
    """The bytes of a file. It lives while it has a path, or somebody has it open."""

    def __init__(self, origin: MemoryPool, pool: MemoryPool, length: int = 0) -> None:
        self.lock = _new_lock(self)
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


class Directory:
    """Files and directories by name. The lock of its store guards it."""

    length = 0

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.created = self.modified = now()

    def put(self, name: str, entry: Entry | None) -> Callable[[], None]:
        """Gives a name to an entry, or frees it for None; returns what undoes that."""
        old, modified = self.entries.pop(name, None), self.modified
        if entry is not None:
            self.entries[name] = entry
        self.modified = now()

        def undo() -> None:
            self.put(name, old)
            self.modified = modified

        return undo


Entry = Union[StoredFile, Directory]


class Store:
    """A tree of files with one memory limit. A path is a list of names here.

    Methods lock the store where they do not say that the caller does.
    """

    def __init__(
        self, limit: SupportsIndex | None, block_size: SupportsIndex | None
    ) -> None:
        if block_size is None:
            block_size = _BLOCK_SIZE
        #: The empty pool of which all files are clones.
        self.origin = MemoryPool(LENGTH_MAX, block_size, memory_limit=limit)
        self.limit = self.origin.stats.memory_limit
        self.lock = _new_lock(self)
        self.root = Directory()

    def new_file(self) -> StoredFile:
        """Returns an empty file without a path."""
        return StoredFile(self.origin, self.origin.clone())

    def copy_of(self, file: StoredFile) -> StoredFile:
        """Returns a copy of a file, in constant time if it is of this store.

        Raises PoolMemoryError; OSError with ENOSPC.
        """
        clone = file.clone()
        if clone.origin is self.origin:
            return clone
        copy = self.new_file()
        try:
            copy.pool.copy_from(clone.pool, 0, clone.length)
        except PoolLimitError as error:
            raise OSError(errno.ENOSPC, str(error)) from error
        copy.length = clone.length
        return copy

    def find(self, names: list[str]) -> Entry | None:
        """Returns the entry with a path; None if there is none."""
        with self.lock:
            entry: Entry | None = self.root
            for name in names:
                if not isinstance(entry, Directory):
                    return None
                entry = entry.entries.get(name)
            return entry

    def make_directories(
        self, names: list[str], undo: list[Callable[[], None]] | None = None
    ) -> Directory:
        """Returns the directory with a path. It and those above it are made if missing.

        undo: gets what undoes this.

        The caller has locked the store. Raises NotADirectoryError.
        """
        at = self.root
        steps = [] if undo is None else undo
        for count, name in enumerate(names, 1):
            entry = at.entries.get(name)
            if entry is None:
                entry = Directory()
                steps.append(at.put(name, entry))
            if not isinstance(entry, Directory):
                fail(errno.ENOTDIR, join_path(names[:count]))
            at = entry
        return at

    def link(
        self, names: list[str], entry: Entry, exclusive: bool = False
    ) -> list[Callable[[], None]]:
        """Gives an entry a path; returns what undoes that. A file may replace a file.

        exclusive: whether the path must be free.

        Raises IsADirectoryError, FileExistsError, NotADirectoryError.
        """
        with self.lock:
            old = self.find(names)
            if isinstance(old, Directory):
                fail(errno.EISDIR, join_path(names))
            if old and (exclusive or isinstance(entry, Directory)):
                fail(errno.EEXIST, join_path(names))
            undo: list[Callable[[], None]] = []
            directory = self.make_directories(names[:-1], undo)
            undo.append(directory.put(names[-1], entry))
            return undo

    def unlink(self, names: list[str]) -> None:
        """Removes an entry that exists from its directory."""
        with self.lock:
            self.make_directories(names[:-1]).put(names[-1], None)

    def move(self, source: list[str], target: list[str], into: bool) -> None:
        """Gives an entry another path. A move onto itself does nothing.

        into: whether the target is a directory to move the entry into; it may be missing.

        Raises FileNotFoundError; OSError with EINVAL for the root, or for a directory
        that would move into itself; what link() raises.
        """
        with self.lock:
            entry = self.find(source)
            if entry is None:
                fail(errno.ENOENT, join_path(source))
            if target == source:
                return
            if not source:
                fail(errno.EINVAL, "/")
            if into or isinstance(self.find(target), Directory):
                target = [*target, source[-1]]
            if target == source:
                return
            if target[: len(source)] == source:
                fail(errno.EINVAL, join_path(target))
            self.link(target, entry)
            self.unlink(source)


class Link(NamedTuple):
    """A path that a file is to have, with what Store.link() takes."""

    store: Store
    names: list[str]
    file: StoredFile
    exclusive: bool


def link_all(links: list[Link]) -> None:
    """Gives files their paths in one atomic step. If one cannot have it, none has.

    Raises what link() raises.
    """
    undo: list[Callable[[], None]] = []
    with ExitStack() as locked:
        # In one order, or two threads would wait for each other.
        for store in sorted({link.store for link in links}, key=id):
            locked.enter_context(store.lock)
        try:
            for store, names, file, exclusive in links:
                undo += store.link(names, file, exclusive)
        except BaseException:
            for step in reversed(undo):
                step()
            raise


# -------------------------------------------------------------------- stores by name

_named: dict[str, Store] = {}
_named_lock: threading.RLock  # guards _named


def _renew_locks() -> None:
    """Replaces all locks: in a forked child their owners may be missing threads."""
    global _named_lock
    _named_lock = threading.RLock()
    for owner in list(_lock_owners):
        owner.lock = threading.RLock()


_renew_locks()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


def open_store(
    name: str, limit: SupportsIndex | None, block_size: SupportsIndex | None
) -> Store:
    """Returns the store of a name, which is made if there is none.

    limit, block_size: as for MempoolFileSystem; None also means what a store has.

    Raises TypeError, ValueError: see MempoolFileSystem.
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, not {type(name).__name__}")
    if not name or "/" in name:
        raise ValueError(f"name is {name!r}, allowed is a name that is not empty, no '/'")
    with _named_lock:
        store = _named.get(name)
        if store is None:
            store = _named[name] = Store(limit, block_size)
    if limit is not None and limit != store.limit:
        raise ValueError(
            f"limit is {limit}, but the store {name!r} has a limit of"
            f" {store.limit or None}"
        )
    if block_size is not None:
        wanted, held = Store(None, block_size).origin, store.origin.block_size
        if wanted.block_size != held:
            raise ValueError(
                f"block_size is {block_size}, but the store {name!r} has blocks of {held}"
            )
    return store


def drop_store(name: str) -> None:
    """Forgets the store of a name, if there is one."""
    with _named_lock:
        _named.pop(name, None)
