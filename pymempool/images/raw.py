# SPDX-License-Identifier: MIT
"""Raw images: the bytes of a pool as they are, and its holes if the file can have holes.

    save:  pool ─► clone ─► its runs of data ─► the file, and seeks over the holes
    load:  file ─► read-only mapping ─► its runs of data adopted, its holes left out

Images are read and written in pieces of 1 MiB. Loading from a path maps the file; it
copies nothing but a last block that the end of the file cuts.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Callable

from ..errors import PoolRangeError
from .pools import AnyPool, ReadablePool, WritablePool
from .progress import Progress
from .replacement import NewFile
from .streams import PIECE, read_full, write_all

_PAGE = 4096
_ZEROS = bytes(PIECE)
_FILE_SIZE_MAX = (1 << 63) - 1  # of all systems


# ------------------------------------------------------------------------- save


def save(snapshot: ReadablePool, file: Any, report: Progress) -> None:
    """Writes a pool that nobody changes to an open binary file.

    Raises OSError, what `file` and `report` raise.
    """
    size = snapshot.total_size
    _check_end(size)  # a pipe would get zeros for centuries
    new = isinstance(file, NewFile)
    if new:
        file.truncate(size)
    start, old_end = (0, 0) if new else _bounds(file, size)
    _Image(file, start, old_end, size, report).write(snapshot, sized=new)


def _check_end(end: int) -> None:
    if end > _FILE_SIZE_MAX:
        raise OSError(errno.EFBIG, f"{os.strerror(errno.EFBIG)}: {end} bytes")


def _bounds(file: Any, size: int) -> tuple[int, int | None]:
    """Returns where an image starts in a file, and the file's end: None if it can't seek.

    A file that appends writes everything at its end, so it cannot seek either. Nor can a
    file that compresses.
    """
    try:
        if not file.seekable() or _appends(file):
            return 0, None
        start = int(file.tell())
        file.seek(0, os.SEEK_END)
        end = int(file.tell())
    except (AttributeError, OSError, ValueError):
        return 0, None
    file.seek(start)
    _check_end(start + size)
    return start, end


def _appends(file: Any) -> bool:
    with suppress(ImportError, AttributeError, OSError, ValueError):
        import fcntl  # Windows has none

        return bool(fcntl.fcntl(file.fileno(), fcntl.F_GETFL) & os.O_APPEND)
    return "a" in str(getattr(file, "mode", ""))


class _Image:
    """An image in a file that is being written, from the offset `start` on.

    old_end: where the bytes end that the file held before; None if it cannot seek.
    """

    def __init__(
        self, file: Any, start: int, old_end: int | None, size: int, report: Progress
    ) -> None:
        self.file, self.start, self.size = file, start, size
        #: Up to here a hole must be written as zeros: the file would show other bytes.
        self.dirty = size if old_end is None else old_end - start
        self.report = report

    def write(self, snapshot: ReadablePool, sized: bool = False) -> None:
        """Writes the pool. sized: whether the file is new and has its final size."""
        at = 0
        for start, size in snapshot.extents():
            self._hole(at, start)
            at = start + size
            self._data(snapshot, start, at)
        if at < self.size:
            if not sized:
                self._hole(at, self.size - 1)
                write_all(self.file, _ZEROS[:1])  # makes the file long enough
            self.report(self.size, self.size)

    def _hole(self, at: int, end: int) -> None:
        stop = min(end, self.dirty)
        for done in range(at, stop, PIECE):
            write_all(self.file, memoryview(_ZEROS)[: stop - done])
            self.report(min(stop, done + PIECE), self.size)
        if stop < end:
            self.file.seek(self.start + end)

    def _data(self, snapshot: ReadablePool, at: int, end: int) -> None:
        buffer = memoryview(bytearray(min(PIECE, end - at)))
        for done in range(at, end, PIECE):
            piece = buffer[: end - done]
            snapshot.readinto(done, piece)
            write_all(self.file, piece)
            self.report(done + len(piece), self.size)


# ------------------------------------------------------------------------- load


def load(
    make: Callable[[int], AnyPool],
    file: Any,
    offset: int,
    mapped: bool,
    wipe: bool,
    report: Progress,
) -> AnyPool:
    """Returns the pool whose image an open binary file holds.

    make: makes an empty pool of a size in bytes.
    offset: where in the pool the image begins; before it is a hole, which is not set.
    mapped: whether the file may be mapped, if it is a regular one.
    wipe: whether the pool wipes its blocks, so that it must copy a mapped file.

    Raises PoolRangeError for an empty image, PoolMemoryError, PoolLimitError, what `file`
    and `report` raise.
    """
    image = _mapping(file.fileno()) if mapped else None
    if image is None:  # pipes, devices, files of the kernel, URLs
        pool = _read(make, file, offset, report)
    else:
        pool = _adopt(make, file.fileno(), image, offset, wipe, report)
    # A hole in an image is zeros, and they were set.
    pool._begin_image(whole=True, offset=offset)
    return pool


def _mapping(file: int) -> memoryview | None:
    """Maps a whole file; returns None if it is not one that can be mapped."""
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return None
    try:
        return memoryview(mmap.mmap(file, status.st_size, access=mmap.ACCESS_READ))
    except (OSError, ValueError):  # some file systems map nothing; or it is shorter now
        return None


def _adopt(
    make: Callable[[int], AnyPool],
    file: int,
    image: memoryview,
    offset: int,
    wipe: bool,
    report: Progress,
) -> AnyPool:
    """Returns a pool of the bytes of a mapped file."""
    size = len(image)
    pool = make(offset + size)
    try:
        stop = 0
        for start, stop in _in_blocks(_data_in(file, size), pool.block_size, size):
            if not wipe:
                pool.adopt(offset + start, image[start:stop])
                report(stop, size)
                continue
            for at in range(start, stop, PIECE):  # adopted memory cannot be wiped
                end = min(stop, at + PIECE)
                _write_data(pool, offset + at, image[at:end])
                report(end, size)
        if stop < size:
            report(size, size)
    except BaseException:
        pool.close()
        raise
    return pool


def _data_in(file: int, size: int) -> Iterator[tuple[int, int]]:
    """Yields the runs of data in a file as (start, end).

    Where the system does not know about holes, that is the whole file.
    """
    find_data, find_hole = getattr(os, "SEEK_DATA", None), getattr(os, "SEEK_HOLE", None)
    start = end = 0
    while end < size:
        start, end = end, size
        if find_data is not None and find_hole is not None:
            try:
                start = os.lseek(file, start, find_data)
                end = min(size, os.lseek(file, start, find_hole))
            except OSError as error:
                if error.errno == errno.ENXIO:  # a hole up to the end
                    return
        if start < end:
            yield start, end


def _in_blocks(
    runs: Iterator[tuple[int, int]], block_size: int, size: int
) -> Iterator[tuple[int, int]]:
    """Widens runs to whole blocks, and joins those that then touch."""
    begin = end = 0
    for start, stop in runs:
        start -= start % block_size
        if start > end:
            if begin < end:
                yield begin, end
            begin = start
        end = min(size, stop + -stop % block_size)
    if begin < end:
        yield begin, end


def _read(
    make: Callable[[int], AnyPool], file: Any, offset: int, report: Progress
) -> AnyPool:
    """Returns a pool of the bytes that a file has up to its end."""
    pool, size = None, 0
    try:
        while piece := read_full(file, PIECE):
            start, size = size, size + len(piece)
            if pool is None:
                pool = make(offset + size)
            else:
                pool.resize(offset + size)
            _write_data(pool, offset + start, memoryview(piece))
            report(size, None)
        if pool is None:
            raise PoolRangeError("the image is empty, a pool has 1 byte or more")
    except BaseException:
        if pool is not None:
            pool.close()
        raise
    return pool


def _write_data(pool: WritablePool, offset: int, data: memoryview) -> None:
    """Writes data to a new pool, and leaves out the blocks that are all zeros."""
    step = min(max(pool.block_size, _PAGE), PIECE)
    for at in range(0, len(data), step):
        block = data[at : at + step]
        if not _ZEROS.startswith(block):
            pool.write(offset + at, block)
