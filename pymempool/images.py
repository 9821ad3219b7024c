# SPDX-License-Identifier: MIT
"""Pools as raw images: the bytes as they are, holes kept where the file can keep them.

    save:  pool ─► clone ─► temporary file beside the target ─► fsync ─► rename
    load:  file ─► read-only mapping ─► its runs of data adopted, its holes left out

An image is read and written in pieces of 1 MiB. Loading from a path maps the file and
copies nothing but a last block that the end cuts short.
"""

from __future__ import annotations

import errno
import io
import mmap
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Callable, Optional

from .errors import PoolRangeError

if TYPE_CHECKING:
    from .pool import MemoryPool

#: Called with the bytes done, which never become fewer, and the bytes in all, None if
#: they are not known.
Progress = Callable[[int, Optional[int]], object]

_PIECE = 1 << 20
_PAGE = 4096
_ZEROS = bytes(_PIECE)
_PATHS = (str, bytes, os.PathLike)


def _callback(progress: Any) -> Progress:
    if progress is None:
        return lambda done, total: None
    if not callable(progress):
        raise TypeError(f"progress must be callable, not {type(progress).__name__}")
    called: Progress = progress
    return called


def _file_with(method: str, file: Any) -> Any:
    """The file, if it is one of bytes that has the method."""
    if isinstance(file, io.TextIOBase):
        raise TypeError("a binary file is needed, not one of text")
    if not callable(getattr(file, method, None)):
        kind = type(file).__name__
        raise TypeError(f"a path or a binary file with {method}() is needed, not {kind}")
    return file


# ------------------------------------------------------------------------- save


def save(pool: MemoryPool, target: Any, progress: Any) -> None:
    """Writes the contents of one moment to a path or to an open binary file."""
    report = _callback(progress)
    with pool.clone() as moment:
        size = moment.total_size
        if isinstance(target, _PATHS):
            with _replacing(os.fsdecode(target), size) as file:
                _Image(file, 0, 0, size, report).write(moment, sized=True)
        else:
            start, old_end = _place(_file_with("write", target), size)
            _Image(target, start, old_end, size, report).write(moment)


@contextmanager
def _replacing(path: str, size: int) -> Iterator[io.FileIO]:
    """A new file of zeros that takes the place of path if all goes well."""
    path = os.path.realpath(path)  # a symbolic link stays one
    mode = _mode_of(path)
    name = os.path.join(os.path.dirname(path), f".pymempool-{secrets.token_hex(8)}.tmp")

    def opener(name: str, flags: int) -> int:
        # Nobody who may not read the old file can get hold of the new one.
        return os.open(name, flags, 0o666 if mode is None else mode)

    with io.FileIO(name, "x", opener=opener) as file:
        try:
            if mode is not None and os.name == "posix":
                os.chmod(name, mode)  # what the umask took away
            _check_end(size)
            file.truncate(size)
            yield file
            os.fsync(file.fileno())
            file.close()  # Windows moves no open file
            os.replace(name, path)
        except BaseException:
            with suppress(OSError):
                file.close()
            with suppress(OSError):
                os.unlink(name)
            raise


def _mode_of(path: str) -> int | None:
    """The permissions of a file that may be replaced; None if there is none."""
    try:
        found = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(found):  # above all, no device must become a file
        raise OSError(errno.EINVAL, "not a regular file; open it and pass it open", path)
    return found & 0o777


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

    def write(self, moment: MemoryPool, sized: bool = False) -> None:
        """Writes the pool. sized: the file is new and as long as it is to be."""
        at = 0
        for start, size in moment.extents():
            self._hole(at, start)
            at = start + size
            self._data(moment, start, at)
        if at < self.size:
            if not sized:
                self._hole(at, self.size - 1)
                self._put(memoryview(_ZEROS)[:1])  # makes the file long enough
            self.report(self.size, self.size)

    def _hole(self, at: int, end: int) -> None:
        stop = min(end, self.dirty)
        for done in range(at, stop, _PIECE):
            self._put(memoryview(_ZEROS)[: stop - done])
            self.report(min(stop, done + _PIECE), self.size)
        if stop < end:
            self.file.seek(self.start + end)

    def _data(self, moment: MemoryPool, at: int, end: int) -> None:
        piece = memoryview(bytearray(min(_PIECE, end - at)))
        for done in range(at, end, _PIECE):
            part = piece[: end - done]
            moment.readinto(done, part)
            self._put(part)
            self.report(done + len(part), self.size)

    def _put(self, data: memoryview) -> None:
        """All of the data, to a file that may take less at once."""
        while data:
            count = self.file.write(data)
            if count is None and not isinstance(self.file, io.RawIOBase):
                return  # not what files say, but what simple stand-ins for them do
            if count is None:
                raise BlockingIOError(errno.EAGAIN, "the file takes no more just now", 0)
            if not 0 < count <= len(data):
                raise OSError(f"write() of {len(data)} bytes returned {count}")
            data = data[count:]


# ------------------------------------------------------------------------- load


def load(
    make: Callable[[int], MemoryPool], source: Any, wipe: bool, progress: Any
) -> MemoryPool:
    """The pool that a path or an open binary file holds the image of.

    make: gives the empty pool, once the size is known.
    """
    report = _callback(progress)
    if not isinstance(source, _PATHS):
        return _read(make, _file_with("read", source), report)
    with open(source, "rb", buffering=0) as file:
        facts = os.fstat(file.fileno())
        if stat.S_ISREG(facts.st_mode) and facts.st_size:
            return _map(make, file.fileno(), facts.st_size, wipe, report)
        return _read(make, file, report)  # a pipe, a device, a file of the kernel


def _map(
    make: Callable[[int], MemoryPool], file: int, size: int, wipe: bool, report: Progress
) -> MemoryPool:
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


def _read(make: Callable[[int], MemoryPool], file: Any, report: Progress) -> MemoryPool:
    """The pool of what can be read from a file up to its end."""
    pool, size = None, 0
    try:
        for piece in _pieces(file):
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


def _pieces(file: Any) -> Iterator[bytearray]:
    """What is left in a file, in pieces that are full but for the last one."""
    more = True
    while more:
        piece = bytearray()
        while more and len(piece) < _PIECE:
            got = file.read(_PIECE - len(piece))
            if got is None:
                raise BlockingIOError(errno.EAGAIN, "the file has no more just now")
            if not isinstance(got, (bytes, bytearray, memoryview)):
                raise TypeError(f"read() must give bytes, not {type(got).__name__}")
            more = len(got) > 0
            piece += got
        if piece:
            yield piece


def _write_data(pool: MemoryPool, offset: int, data: memoryview) -> None:
    """Writes the data but for what is zeros, block by block."""
    step = min(max(pool.block_size, _PAGE), _PIECE)
    for at in range(0, len(data), step):
        part = data[at : at + step]
        if not _ZEROS.startswith(part):
            pool.write(offset + at, part)
