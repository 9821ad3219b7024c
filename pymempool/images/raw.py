# SPDX-License-Identifier: MIT
"""Pools as raw images: the bytes as they are, holes kept where the file can keep them.

    save:  pool ─► clone ─► its runs of data ─► the file, and seeks over the holes
    load:  file ─► read-only mapping ─► its runs of data adopted, its holes left out

An image is read and written in pieces of 1 MiB. Loading from a path maps the file and
copies nothing but a last block that the end cuts short.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Callable, Optional

from ..errors import PoolRangeError
from . import locations
from .pools import AnyTarget, Source, Target

#: Called with the bytes done, which never become fewer, and the bytes in all, None if
#: they are not known.
Progress = Callable[[int, Optional[int]], object]

_PAGE = 4096
_PIECE = locations.PIECE
_ZEROS = bytes(_PIECE)


# ------------------------------------------------------------------------- save


def save(moment: Source, file: Any, report: Progress) -> None:
    """Writes a pool that nobody changes to an open binary file."""
    size = moment.total_size
    new = isinstance(file, locations.NewFile)
    if new:
        _check_end(size)
        file.truncate(size)
    start, old_end = (0, 0) if new else _place(file, size)
    _Image(file, start, old_end, size, report).write(moment, sized=new)


def _check_end(end: int) -> None:
    if end >= 1 << 63:  # no system counts further,
        raise OSError(errno.EFBIG, f"{os.strerror(errno.EFBIG)}: {end} bytes")


def _place(file: Any, size: int) -> tuple[int, int | None]:
    """Where an image starts in a file, and where the file ends; None if it cannot seek.

    A file that appends puts everything at its end and so cannot seek either, nor can one
    that compresses.
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
        import fcntl  # not on Windows

        return bool(fcntl.fcntl(file.fileno(), fcntl.F_GETFL) & os.O_APPEND)
    return "a" in str(getattr(file, "mode", ""))


class _Image:
    """An image on its way to a file, from `start` on.

    old_end: where the bytes end that were in the file before; None if it cannot seek.
    """

    def __init__(
        self, file: Any, start: int, old_end: int | None, size: int, report: Progress
    ) -> None:
        self.file, self.start, self.size = file, start, size
        #: Up to where zeros must be written because a hole would show something else.
        self.dirty = size if old_end is None else old_end - start
        self.report = report

    def write(self, moment: Source, sized: bool = False) -> None:
        """Writes the pool. sized: the file is new and as long as it is to be."""
        at = 0
        for start, size in moment.extents():
            self._hole(at, start)
            at = start + size
            self._data(moment, start, at)
        if at < self.size:
            if not sized:
                self._hole(at, self.size - 1)
                locations.put(self.file, _ZEROS[:1])  # makes the file long enough
            self.report(self.size, self.size)

    def _hole(self, at: int, end: int) -> None:
        stop = min(end, self.dirty)
        for done in range(at, stop, _PIECE):
            locations.put(self.file, memoryview(_ZEROS)[: stop - done])
            self.report(min(stop, done + _PIECE), self.size)
        if stop < end:
            self.file.seek(self.start + end)

    def _data(self, moment: Source, at: int, end: int) -> None:
        piece = memoryview(bytearray(min(_PIECE, end - at)))
        for done in range(at, end, _PIECE):
            part = piece[: end - done]
            moment.readinto(done, part)
            locations.put(self.file, part)
            self.report(done + len(part), self.size)


# ------------------------------------------------------------------------- load


def load(
    make: Callable[[int], AnyTarget],
    file: Any,
    mapped: bool,
    wipe: bool,
    report: Progress,
) -> AnyTarget:
    """The pool that an open binary file holds the image of.

    make: gives the empty pool, once the size is known.
    mapped: whether the file may be mapped, if it is a regular one.
    """
    if mapped:
        facts = os.fstat(file.fileno())
        if stat.S_ISREG(facts.st_mode) and facts.st_size:
            return _map(make, file.fileno(), facts.st_size, wipe, report)
    return _read(make, file, report)  # pipes, devices, files of the kernel, URLs


def _map(
    make: Callable[[int], AnyTarget], file: int, size: int, wipe: bool, report: Progress
) -> AnyTarget:
    pool = make(size)
    try:
        image = memoryview(mmap.mmap(file, size, access=mmap.ACCESS_READ))
        stop = 0
        for start, stop in _in_blocks(_data_in(file, size), pool.block_size, size):
            if not wipe:
                pool.adopt(start, image[start:stop])
                report(stop, size)
                continue
            for at in range(start, stop, _PIECE):  # what is adopted cannot be wiped
                end = min(stop, at + _PIECE)
                _write_data(pool, at, image[at:end])
                report(end, size)
        if stop < size:
            report(size, size)
    except BaseException:
        pool.close()
        raise
    return pool


def _data_in(file: int, size: int) -> Iterator[tuple[int, int]]:
    """The runs of data in a file, each as (start, end); all of it if nobody can tell."""
    find_data, find_hole = getattr(os, "SEEK_DATA", None), getattr(os, "SEEK_HOLE", None)
    start = end = 0
    while end < size:
        start, end = end, size
        if find_data is not None and find_hole is not None:
            try:
                start = os.lseek(file, start, find_data)
                end = min(size, os.lseek(file, start, find_hole))
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                    return
        if start < end:
            yield start, end


def _in_blocks(
    runs: Iterator[tuple[int, int]], block_size: int, size: int
) -> Iterator[tuple[int, int]]:
    """The runs, made larger to whole blocks and put together where they then touch."""
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


def _read(make: Callable[[int], AnyTarget], file: Any, report: Progress) -> AnyTarget:
    """The pool of what can be read from a file up to its end."""
    pool, size = None, 0
    try:
        while piece := locations.get(file, _PIECE):
            start, size = size, size + len(piece)
            if pool is None:
                pool = make(size)
            else:
                pool.resize(size)
            _write_data(pool, start, memoryview(piece))
            report(size, None)
        if pool is None:
            raise PoolRangeError("the image is empty, a pool has 1 byte or more")
    except BaseException:
        if pool is not None:
            pool.close()
        raise
    return pool


def _write_data(pool: Target, offset: int, data: memoryview) -> None:
    """Writes the data but for what is zeros, block by block."""
    step = min(max(pool.block_size, _PAGE), _PIECE)
    for at in range(0, len(data), step):
        part = data[at : at + step]
        if not _ZEROS.startswith(part):
            pool.write(offset + at, part)
