# SPDX-License-Identifier: MIT
"""The files of the tour: found, read, hashed, and compared with a pool."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pymempool
from pymempool import MemoryPool

from .._core.words import printable, shortened, shown
from .errors import CommandError

CHUNK = 1 << 20  # bytes read at a time, so that files of any size fit in memory


@dataclass
class TourFile:
    """A file on disk, and where the tour puts it in the pool."""

    path: Path
    size: int
    digest: str
    offset: int = 0  # in the pool

    @property
    def name(self) -> str:
        """The last two parts of the path, for a column."""
        return shortened(printable("/".join(self.path.parts[-2:])), 40)


def default_files() -> list[Path]:
    """Returns the package itself: its sources and the shared library."""
    folders = [Path(folder) for folder in pymempool.__path__]
    found = {path for folder in folders for path in folder.rglob("*.py")}
    return sorted({*found, Path(pymempool.get_library())})


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """Turns errors of reading a file into a CommandError that names it."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise CommandError(f"cannot read {shown(str(path))}: {reason}") from error


def examine(path: Path) -> TourFile:
    """Returns a file with its size and its sha256.

    Raises CommandError if it cannot be read, or is no regular file.
    """
    with _errors_of(path):
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise CommandError(f"cannot read {shown(str(path))}: not a regular file")
        digest, size = hashlib.sha256(), 0
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
    return TourFile(path, size, digest.hexdigest())


def read_file(path: Path, offset: int, size: int) -> bytes:
    """Returns `size` bytes of a file. Raises CommandError."""
    with _errors_of(path), open(path, "rb", buffering=0) as file:
        file.seek(offset)
        data = file.read(size)
    if len(data) != size:
        raise CommandError(f"{shown(str(path))} became shorter while it was read")
    return data


def chunks(pool: MemoryPool, offset: int, size: int) -> Iterator[memoryview]:
    """Yields a range of the pool in chunks, all in one buffer that is used again."""
    buffer = memoryview(bytearray(min(size, CHUNK)))
    for at in range(0, size, CHUNK):
        part = buffer[: min(CHUNK, size - at)]
        pool.readinto(offset + at, part)
        yield part


def changed_files(pool: MemoryPool, files: Sequence[TourFile]) -> list[str]:
    """Returns the names of the files whose range of the pool has another sha256."""
    names = []
    for file in files:
        digest = hashlib.sha256()
        for chunk in chunks(pool, file.offset, file.size):
            digest.update(chunk)
        if digest.hexdigest() != file.digest:
            names.append(file.name)
    return names
