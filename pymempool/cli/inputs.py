# SPDX-License-Identifier: MIT
"""Images as commands name them: files, URLs, standard input; of any format.

file                          ─► its first bytes tell the format ─► pool
URL, pipe, standard input ─► copy ─► its first bytes tell the format ─► pool
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

from ..images import locations, sniff
from ..pool import MemoryPool
from .errors import STANDARD, CommandError, is_url, named
from .terminal import Progress, progress, shown

_BLOCKS_MAX = 1 << 22  # as many blocks are made of a file, and then larger ones


class Image(NamedTuple):
    """An image that was read; the pool is closed by who opened it."""

    name: str
    format: str
    pool: MemoryPool


def is_special(name: str) -> bool:
    """Whether that is a pipe, a device or the like. Raises OSError if it is nothing."""
    kind = os.stat(name).st_mode
    return not stat.S_ISREG(kind) and not stat.S_ISDIR(kind)


def refuse_same(source: str, target: str) -> None:
    """Raises CommandError if what is read would be written over."""
    if STANDARD in (source, target):
        return
    try:
        same = os.path.samefile(_path(source), _path(target))
    except (OSError, ValueError):  # there are no two files of these names
        same = source == target  # above all, URLs
    if same:
        raise CommandError(f"{shown(source)} and {shown(target)} are the same file")


def _path(name: str) -> str:
    """The name itself, but for the URL of a file of this machine its path."""
    try:
        return locations.path_of(name) or name
    except Exception:  # it is no URL, or leads nowhere; who opens it says why
        return name


@contextmanager
def opened(name: str, format: str | None = None) -> Iterator[Image]:
    """The image of that name as a pool, for as long as the block runs.

    format: None for what its first bytes look like.

    Raises CommandError.
    """
    with named("read", name), progress(f"reading {shown(name)}") as report:
        image = _load(name, format, report)
    with image.pool:
        yield image


def _load(name: str, format: str | None, report: Progress | None) -> Image:
    if name == STANDARD or is_url(name) or is_special(name):
        return _load_once(name, format, report)
    format = format or sniff.guess(name)
    found = os.stat(name)
    # What is on the disk, where the system tells: a block for a hole costs nothing.
    size = min(found.st_size, getattr(found, "st_blocks", found.st_size) * 512)
    block_size = _block_size(size, format)
    pool = MemoryPool.load(name, block_size, format=format, progress=report)
    return Image(name, format, pool)


def _load_once(name: str, format: str | None, report: Progress | None) -> Image:
    """The image of what cannot be read a second time, or is dear to read."""
    source = _standard_input() if name == STANDARD else name
    copy = MemoryPool.load(source, 4096, progress=report)  # which finds the holes in it
    format = format or sniff.guess_bytes(
        copy.read(0, min(sniff.GUESSED, copy.total_size))
    )
    if format == "raw":
        return Image(name, format, copy)
    with copy, copy.open("rb") as file:
        block_size = _block_size(copy.total_size, format)
        pool = MemoryPool.load(file, block_size, format=format, progress=report)
    return Image(name, format, pool)


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed")
    return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)


def _block_size(size: int, format: str) -> int:
    """The size of the blocks for a file of `size` bytes, in which holes are kept.

    Raw images have holes by pages, all others to the byte; but a block takes some 40
    bytes itself, so that large files get larger ones.
    """
    block_size = 4096 if format == "raw" else 1
    while size > block_size * _BLOCKS_MAX:
        block_size *= 2
    return block_size
