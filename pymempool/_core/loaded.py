# SPDX-License-Identifier: MIT
"""Pools whose pickles name the file that they were loaded from."""

from __future__ import annotations

import os
import stat
from typing import Any, Callable, NamedTuple, TypeVar

from .._native.signatures import WIPE
from ..errors import CheckpointError
from . import lifecycle, stats
from .owner import Owned, Owner

_Pool = TypeVar("_Pool", bound=Owned)


class File(NamedTuple):
    """A file, and what tells it from another one at its path."""

    path: str  #: absolute
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> File:
        return cls(os.path.abspath(path), status.st_size, status.st_mtime_ns)


class Loaded(Owned):
    """A pool as it was loaded. Nobody writes to it.

    The owners of a pool, and of its clones, hold it.
    """

    def __init__(self, owner: Owner, file: File, reload: Callable[..., Any]) -> None:
        self._owner = lifecycle.clone(owner)
        self._file, self._reload = file, reload

    def there(self) -> bool:
        """Whether its file still is at its path."""
        try:
            return File.of(self._file.path, os.stat(self._file.path)) == self._file
        except OSError:
            return False

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        found = stats.options(self._owner)
        limit, wipe = found.memory_limit or None, found.flags & WIPE != 0
        return self._reload, (*self._file, found.block_size, limit, wipe)


def load(
    load: Callable[..., _Pool], reload: Callable[..., Any], expected: File | None = None
) -> _Pool:
    """What load(opened=) returns, a pool whose pickles call reload() to load its file.

    Raises CheckpointError if that is not the expected file, ValueError if it has no path.
    """
    opened = _Opened(expected)
    pool = load(opened=opened)
    pool._owner.loaded = Loaded(pool._owner, opened.file, reload)
    return pool


class _Opened:
    """Looks at the file that is loaded, once it is open and before it is read.

    expected: the file that it must be, if that is known.
    """

    def __init__(self, expected: File | None) -> None:
        self.file: Any = expected

    def __call__(self, path: str | None, file: Any) -> None:
        """path: None for what is no raw image at a path."""
        status = None if path is None else os.fstat(file.fileno())
        if path is None or status is None or not stat.S_ISREG(status.st_mode):
            raise ValueError("pickle_path is for raw images at a path")
        found = File.of(path, status)
        if self.file not in (None, found):
            raise CheckpointError(
                f"{path} is not the file that the pool was loaded from: that had"
                f" {self.file.size} bytes, of the time {self.file.mtime_ns} ns; this has"
                f" {found.size}, of the time {found.mtime_ns} ns"
            )
        self.file = found
