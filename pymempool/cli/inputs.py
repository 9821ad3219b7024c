# SPDX-License-Identifier: MIT
"""Opens the images that commands name: files, URLs, standard input; of any format.

file ──────────────────────────────► format, see sniff.py ─► pool
URL, pipe, standard input ─► copy ─► format, see sniff.py ─► pool
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

from .._core.words import shown
from ..images import locations, sniff
from ..images.progress import Progress
from ..pool import MemoryPool
from .errors import STANDARD, CommandError, is_url, named
from .progress import progress

_BLOCKS_MAX = 1 << 22  # of a file; for a larger one, blocks are larger


class Image(NamedTuple):
    """An image that was read; opened() closes its pool."""

    name: str
    format: str
    pool: MemoryPool

    def runs(self, offset: int = 0) -> Iterator[tuple[int, int]]:
        """The runs of data from an offset on: to the byte, of a raw image by blocks."""
        raw = self.format == "raw"
        return self.pool.extents(offset) if raw else self.pool.written(offset)


def is_special(name: str) -> bool:
    """Whether the name is that of a pipe, a device or the like.

    Raises OSError if there is no such file.
    """
    mode = os.stat(name).st_mode
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def refuse_same(source: str, target: str) -> None:
    """Raises CommandError if the target is the file that is read."""
    if STANDARD in (source, target):
        return
    try:
        same = os.path.samefile(_path(source), _path(target))
    except (OSError, ValueError):  # one of them is no file, but a URL, or missing
        same = source == target
    if same:
        raise CommandError(f"{shown(source)} and {shown(target)} are the same file")


def _path(name: str) -> str:
    """The path in a URL of a local file; any other name as it is."""
    try:
        return locations.path_of(name) or name
    except Exception:  # a client may raise anything; opening the URL will report it
        return name


@contextmanager
def opened(name: str, format: str | None = None, offset: int = 0) -> Iterator[Image]:
    """Yields an image as a pool, which is closed when the block ends.

    name: a path, a URL, or STANDARD.
    format: None to recognise it.
    offset: added to the addresses; where a raw image begins.

    Raises CommandError.
    """
    with named("read", name), progress(f"reading {shown(name)}") as report:
        image = _load(name, format, offset, report)
    with image.pool:
        yield image


def _load(name: str, format: str | None, offset: int, report: Progress | None) -> Image:
    if name == STANDARD or is_url(name) or is_special(name):
        return _load_once(name, format, offset, report)
    format = format or sniff.guess(name)
    found = os.stat(name)
    # The allocated size, where the system reports one: holes need no blocks.
    size = min(found.st_size, getattr(found, "st_blocks", found.st_size) * 512)
    block_size = _block_size(size, format)
    pool = MemoryPool.load(
        name, block_size, format=format, progress=report, offset=offset
    )
    return Image(name, format, pool)


def _load_once(
    name: str, format: str | None, offset: int, report: Progress | None
) -> Image:
    """Loads what cannot be read twice, or is slow to read: a copy is made first."""
    source = _standard_input() if name == STANDARD else name
    copy = MemoryPool.load(source, 4096, format="raw", progress=report)
    format = format or sniff.recognise(copy[: sniff.GUESSED], name)
    if format == "raw" and not offset:
        return Image(name, format, copy)
    with copy, copy.open("rb") as file:
        block_size = _block_size(copy.total_size, format)
        pool = MemoryPool.load(
            file, block_size, format=format, progress=report, offset=offset
        )
    return Image(name, format, pool)


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed")
    return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)


def _block_size(size: int, format: str) -> int:
    """Returns the block size for a file of `size` bytes.

    A raw image has holes of whole pages; the data of other formats can be scattered. But
    a block costs some 40 bytes itself, so that large files get larger blocks.
    """
    block_size = 4096 if format == "raw" else 64
    while size > block_size * _BLOCKS_MAX:
        block_size *= 2
    return block_size
