# SPDX-License-Identifier: MIT
"""What mempool:// holds: trees of files, each of them a clone of its store's origin.

    Store ─► Directory ─► StoredFile: a length, and a clone of Store.origin; small files
                          are a bytearray

Files of one store and of its clones are relatives: they share a memory limit, and a copy
takes no memory until one of the two is written to. The lock of a store guards its tree.
The lock of a file guards its length and its bytes together. A thread may lock stores and
then files, not the other way round.
"""

from __future__ import annotations

import errno
from contextlib import ExitStack
from typing import TYPE_CHECKING, Callable, NamedTuple, Union

from .._core.locks import new_lock
from .._core.raw_file import fail
from ..pool import MemoryPool
from .paths import join_path
from .stored_file import LENGTH_MAX, StoredFile, now

if TYPE_CHECKING:
    from typing import SupportsIndex

_BLOCK_SIZE = 4096  # bytes, where nobody asks for another
_SMALL_MAX = 4096  # bytes that are copied as fast as a pool is cloned


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

    def __init__(self, origin: MemoryPool) -> None:
        #: The empty pool of which all files are clones.
        self.origin = origin
        self.limit = origin.stats.memory_limit
        # A limit counts blocks alone, so with one all files have blocks.
        self._small_max = 0 if self.limit else min(origin.block_size, _SMALL_MAX)
        self.lock = new_lock(self)
        self.root = Directory()

    def clone(self) -> Store:
        """Returns a store with a copy of all files, of one moment.

        Takes constant time for each file. The two share blocks and the memory limit, and
        copies between them take constant time. Raises PoolMemoryError.
        """
        clone = Store(self.origin)
        folders = [(self.root, clone.root)]
        with self.lock, ExitStack() as locked:
            for folder, copy in folders:  # which grows
                for name, entry in folder.entries.items():
                    if isinstance(entry, Directory):
                        made = copy.entries[name] = Directory()
                        folders.append((entry, made))
                    else:
                        locked.enter_context(entry.lock)
            for folder, copy in folders:
                copy.created, copy.modified = folder.created, folder.modified
                for name, entry in folder.entries.items():
                    if isinstance(entry, StoredFile):
                        file = copy.entries[name] = entry.clone()
                        file.created, file.modified = entry.created, entry.modified
        return clone

    def new_file(self) -> StoredFile:
        """Returns an empty file without a path."""
        return StoredFile(self.origin, self._small_max)

    def copy_of(self, file: StoredFile) -> StoredFile:
        """Returns a copy of a file, in constant time if it is of this store.

        Raises PoolMemoryError; OSError with ENOSPC.
        """
        clone = file.clone()
        if clone.origin is self.origin:
            return clone
        copy = self.new_file()
        copy.assign(clone)
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


def new_store(limit: SupportsIndex | None, block_size: SupportsIndex | None) -> Store:
    """Returns an empty store. Raises what MemoryPool() raises."""
    if block_size is None:
        block_size = _BLOCK_SIZE
    return Store(MemoryPool(LENGTH_MAX, block_size, memory_limit=limit))


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
