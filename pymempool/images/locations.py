# SPDX-License-Identifier: MIT
"""Where pools are saved to and loaded from: paths, URLs and open binary files.

    path, file://   file without a name (where there is none, a temporary one beside the
                    path) ─► fsync ─► its name
    other URL       file of fsspec ─► commit, or discard if anything went wrong
    open file       as it is

A str with "://" in it is a URL. What it names is compressed if its suffix says so; what a
path names is taken as it is. fsspec is imported when there is a URL.
"""

from __future__ import annotations

import atexit
import errno
import importlib
import io
import os
import secrets
import stat
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

PIECE = 1 << 20  #: the most that is read or written at once

_PATHS = (str, bytes, os.PathLike)


class NewFile(io.FileIO):
    """An empty file that takes the place of another one."""


class _Place(NamedTuple):
    """What a path or a URL leads to."""

    system: Any  #: the file system of fsspec; None for that of the machine
    path: str
    codec: str  #: how it is compressed: one of _CODECS; empty if it is not


@contextmanager
def writing(target: Any) -> Iterator[Any]:
    """A binary file to write to, for a path, a URL or an open file.

    If what is done with it raises, what was there before stays, as far as that can be.
    """
    if not isinstance(target, _PATHS):
        yield _file_with("write", target)
        return
    system, path, codec = _resolve(target)
    with _replacing(path) if system is None else _remote(system, path) as raw:
        if not codec:
            yield raw
            return
        file = _compressed(codec, raw, "wb")
        try:
            yield file
        except BaseException:
            with suppress(Exception):  # what ends a stream goes nowhere any more
                file.close()
            raise
        file.close()


@contextmanager
def reading(source: Any) -> Iterator[Any]:
    """A binary file to read from, for a path, a URL or an open file."""
    if not isinstance(source, _PATHS):
        yield _file_with("read", source)
        return
    system, path, codec = _resolve(source)
    with _opened(system, path) as raw:
        if not codec:
            yield raw
            return
        with _compressed(codec, raw, "rb") as file:
            yield file


def path_of(place: Any) -> str | None:
    """The path of a file of this machine that can be mapped as it is; None if no such."""
    if not isinstance(place, _PATHS):
        return None
    system, path, codec = _resolve(place)
    return path if system is None and not codec else None


def _opened(system: Any, path: str) -> Any:
    if system is None:
        return open(path, "rb", buffering=0)
    return system.open(path, "rb")


def _resolve(place: Any) -> _Place:
    if not (isinstance(place, str) and "://" in place):
        return _Place(None, os.fsdecode(place), "")
    try:
        core = importlib.import_module("fsspec.core")
    except ImportError as error:
        raise ImportError(
            "URLs are opened by fsspec: pip install 'pymempool[fsspec]'", name="fsspec"
        ) from error
    local = importlib.import_module("fsspec.implementations.local")
    system, path = core.url_to_fs(place)
    codec = os.path.splitext(path)[1]
    if isinstance(system, local.LocalFileSystem):
        system = None
    return _Place(system, path, codec if codec in _CODECS else "")


# ------------------------------------------------------------- compressed files

# Suffixes, and what opens such files: all of the standard library.
_CODECS = {
    ".gz": ("gzip", "GzipFile"),
    ".bz2": ("bz2", "BZ2File"),
    ".xz": ("lzma", "LZMAFile"),
}


def _compressed(codec: str, raw: Any, mode: str) -> Any:
    """The file that compresses what goes to raw, or decompresses what comes from it."""
    module, name = _CODECS[codec]
    make = getattr(importlib.import_module(module), name)
    # A gzip file has a name within, which would be that of a temporary file.
    return make("", mode, fileobj=raw) if codec == ".gz" else make(raw, mode)


# ---------------------------------------------------------- all or nothing, here


class _Name(str):
    """The name of a temporary file; lives as long as somebody writes that file."""


_unfinished: dict[str, weakref.ref[_Name]] = {}


def _remove_abandoned() -> None:
    """Removes files left since a signal's handler raised in what cleans up."""
    for name, writer in list(_unfinished.items()):
        if writer() is None:
            with suppress(OSError):
                os.unlink(name)
            _unfinished.pop(name, None)


atexit.register(_remove_abandoned)


@contextmanager
def _replacing(path: str) -> Iterator[NewFile]:
    """A new file that takes the place of path if all goes well."""
    if not os.path.basename(path):  # of "folder/" realpath() would make a file
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    path = os.path.realpath(path)  # a symbolic link stays one
    old = _replaceable(path)
    # Nobody who may not read the old file can get hold of the new one.
    mode = 0o666 if old is None else old.st_mode & 0o700
    folder = os.path.dirname(path)
    name = _Name(os.path.join(folder, f".pymempool-{secrets.token_hex(8)}.tmp"))
    _remove_abandoned()
    _unfinished[str(name)] = weakref.ref(name)
    unnamed = _open_unnamed(folder, mode)
    try:
        with unnamed or NewFile(name, "x", opener=partial(os.open, mode=mode)) as file:
            if old is not None and os.name == "posix":
                _let_in(file.fileno(), old)
            yield file
            os.fsync(file.fileno())
            if unnamed is None:
                file.close()  # Windows moves no open file
                os.replace(name, path)
            elif not _take_free_place(file.fileno(), name, path):
                os.replace(name, path)
        _unfinished.pop(name, None)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(name)
        _unfinished.pop(name, None)
        if isinstance(error, OSError) and error.filename == name:
            error.filename = path  # the one that the caller knows
        raise


def _open_unnamed(folder: str, mode: int) -> NewFile | None:
    """A new file without a name in a folder; None where the system or the file system has
    none. Nothing is left of it if the process is killed."""
    if not hasattr(os, "O_TMPFILE"):
        return None
    flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
    with suppress(OSError):
        # C calls C, as with an opener: no handler of a signal can come between a file and
        # who closes it.
        (file,) = map(NewFile, map(os.open, (folder,), (flags,), (mode,)), ("w",))
        if os.path.exists(_proc(file.fileno())):
            return file
        file.close()
    return None


def _proc(file: int) -> str:
    """The path by which the system knows an open file."""
    return f"/proc/self/fd/{file}"


def _take_free_place(file: int, name: str, path: str) -> bool:
    """Gives a file without a name that of path, or if that is taken the other name, to be
    moved from there at once; whether it has that of path."""
    link = partial(os.link, _proc(file), src_dir_fd=file)  # or no link would be followed
    try:
        try:
            link(path)
        except FileExistsError:
            link(name)
            return False
    except OSError as error:
        error.filename, error.filename2 = path, None  # what the caller knows
        raise
    return True


def _replaceable(path: str) -> os.stat_result | None:
    """The facts of a file that may be replaced; None if there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(found.st_mode):  # above all, no device must become a file
        raise OSError(errno.EINVAL, "not a regular file; open it and pass it open", path)
    return found


def _let_in(file: int, old: os.stat_result) -> None:
    """Gives a file the owner, group and permissions of another, as far as we may."""
    mode = old.st_mode & 0o777
    try:
        os.fchown(file, old.st_uid, old.st_gid)
    except OSError:
        with suppress(OSError):
            os.fchown(file, -1, old.st_gid)
        if os.fstat(file).st_gid != old.st_gid:  # another group gets what all others have
            mode &= 0o707 | (mode & 0o007) << 3
    os.chmod(file, mode)  # whatever the umask took away


# ------------------------------------------------------ all or nothing, elsewhere


@contextmanager
def _remote(system: Any, path: str) -> Iterator[Any]:
    """A new file of a file system of fsspec, which is there if all goes well.

    Where the file system can, it gets to its place by commit() alone. Its transactions
    would do the same for all files of all threads at once; if somebody began one, then
    that is what commits this file.
    """
    theirs = system._intrans
    file = system.open(path, "wb", **({} if theirs else {"autocommit": False}))
    try:
        if not theirs:
            _leave_transaction(system, file)
        yield file
        file.close()
        if not theirs and not getattr(file, "autocommit", True):
            file.commit()
    except BaseException:
        _leave_transaction(system, file)
        _discard(system, path, file)
        raise


def _leave_transaction(system: Any, file: Any) -> None:
    """open() may have put the file among those of a transaction, begun or not."""
    while True:
        with suppress(AttributeError, ValueError):
            try:
                system.transaction.files.remove(file)
            except IndexError:  # another thread changed them meanwhile
                continue
        return


def _discard(system: Any, path: str, file: Any) -> None:
    """Takes back what was written, as far as the file system can."""
    if hasattr(file, "discard"):
        with suppress(Exception):
            file.discard()
        with suppress(Exception):  # or close(), and the collector, would commit it
            file.closed = True
    with suppress(Exception):
        file.close()
    if getattr(system, "store", {}).get(path) is file:  # in memory:// from the start
        with suppress(Exception):
            system.rm_file(path)  # rm() takes a "*" for any files


# ------------------------------------------------------------------ binary files


def _file_with(method: str, file: Any) -> Any:
    """The file, if it is one of bytes that has the method."""
    if isinstance(file, io.TextIOBase):
        raise TypeError("a binary file is needed, not one of text")
    if not callable(getattr(file, method, None)):
        kind = type(file).__name__
        raise TypeError(f"a path or a binary file with {method}() is needed, not {kind}")
    return file


def put(file: Any, data: Any) -> None:
    """Writes all of the data, to a file that may take less at once."""
    rest = memoryview(data)
    while rest:
        count = file.write(rest)
        if count is None and not isinstance(file, io.RawIOBase):
            return  # not what files say, but what simple stand-ins for them do
        if count is None:
            raise BlockingIOError(errno.EAGAIN, "the file takes no more just now", 0)
        if not 0 < count <= len(rest):
            raise OSError(f"write() of {len(rest)} bytes returned {count}")
        rest = rest[count:]


def get(file: Any, size: int) -> bytearray:
    """Reads `size` bytes, fewer at the end of the file only."""
    data = bytearray()
    while len(data) < size:
        got = file.read(size - len(data))
        if got is None:
            raise BlockingIOError(errno.EAGAIN, "the file has no more just now")
        if not isinstance(got, (bytes, bytearray, memoryview)):
            raise TypeError(f"read() must give bytes, not {type(got).__name__}")
        if not got:
            break
        data += got
    return data
