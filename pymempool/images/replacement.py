# SPDX-License-Identifier: MIT
"""Replaces a local file by an atomic rename: readers see the old file or the new one.

file without a name ─► fsync ─► link, or a temporary name and a rename
temporary file      ─► fsync ─► rename        (where files need names)
"""

from __future__ import annotations

import atexit
import errno
import io
import os
import secrets
import stat
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial


class NewFile(io.FileIO):
    """A new, empty file."""


class _TemporaryName(str):
    """The name of a temporary file; lives while somebody writes that file."""


_unfinished: dict[str, weakref.ref[_TemporaryName]] = {}


def _remove_abandoned() -> None:
    """Removes temporary files whose removal a signal handler's exception interrupted."""
    for name, writer in list(_unfinished.items()):
        if writer() is None:
            with suppress(OSError):
                os.unlink(name)
            _unfinished.pop(name, None)


atexit.register(_remove_abandoned)


@contextmanager
def replacing(path: str) -> Iterator[NewFile]:
    """Gives a new file, which replaces the one at `path` at the end of the with block.

    If the block raises, the old file stays and the new one is removed. A symbolic link
    stays; its target is replaced. The new file has the permissions of the old one, and
    its owner and group where the system allows that.

    Raises OSError: EISDIR for a directory, EINVAL for what is not a regular file.
    """
    if not os.path.basename(path):  # realpath() would make "folder/" a file
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    path = os.path.realpath(path)
    old = _replaceable(path)
    # Who may not read the old file must never be able to open the new one.
    mode = 0o666 if old is None else old.st_mode & 0o700
    folder = os.path.dirname(path)
    name = _TemporaryName(os.path.join(folder, f".pymempool-{secrets.token_hex(8)}.tmp"))
    _remove_abandoned()
    _unfinished[str(name)] = weakref.ref(name)
    unnamed = _open_unnamed(folder, mode)
    try:
        with unnamed or NewFile(name, "x", opener=partial(os.open, mode=mode)) as file:
            if old is not None and os.name == "posix":
                _copy_access(old, file.fileno())
            yield file
            os.fsync(file.fileno())
            if unnamed is None:
                file.close()  # Windows renames no open file
                os.replace(name, path)
            elif not _link_at_free_path(file.fileno(), name, path):
                os.replace(name, path)
        _unfinished.pop(name, None)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(name)
        _unfinished.pop(name, None)
        if isinstance(error, OSError) and error.filename == name:
            error.filename = path  # the name that the caller knows
        raise


def _open_unnamed(folder: str, mode: int) -> NewFile | None:
    """Opens a new file without a name in a folder.

    Such a file vanishes if the process is killed. Returns None if the system or the file
    system has none.
    """
    if not hasattr(os, "O_TMPFILE"):
        return None
    flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
    with suppress(OSError):
        # map() calls C from C, as an opener does: no signal handler can run between
        # os.open() and NewFile(), which closes what was opened.
        (file,) = map(NewFile, map(os.open, (folder,), (flags,), (mode,)), ("w",))
        if os.path.exists(_proc(file.fileno())):
            return file
        file.close()
    return None


def _proc(file: int) -> str:
    """Returns the path of Linux for an open file."""
    return f"/proc/self/fd/{file}"


def _link_at_free_path(file: int, name: str, path: str) -> bool:
    """Gives a file without a name a path, or `name` if the path is taken.

    Returns whether it has the path; if not, the caller must rename it.
    """
    link = partial(os.link, _proc(file), src_dir_fd=file)  # makes link() follow the link
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
    """Returns the status of a file that may be replaced; None if there is none.

    Raises OSError for what must not be replaced.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(found.st_mode):  # a rename would replace a device by a file
        raise OSError(
            errno.EINVAL, "not a regular file: open it and pass the open file", path
        )
    return found


def _copy_access(old: os.stat_result, file: int) -> None:
    """Gives a file the owner, group and permissions of another one, as far as allowed."""
    mode = old.st_mode & 0o777
    try:
        os.fchown(file, old.st_uid, old.st_gid)
    except OSError:
        with suppress(OSError):
            os.fchown(file, -1, old.st_gid)
        if os.fstat(file).st_gid != old.st_gid:  # another group: as all others
            mode &= 0o707 | (mode & 0o007) << 3
    os.chmod(file, mode)  # whatever the umask removed
