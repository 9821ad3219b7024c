# SPDX-License-Identifier: MIT
"""Segment on POSIX: a descriptor of a file in memory that has no name.

Linux: memfd_create(2), sealed once written, so that nobody can change or shorten it.
Elsewhere, or where that is refused: a file in /dev/shm (or the folder for temporary
files), unlinked at once. Descriptors are not inherited by programs that are executed.

Written by write(2) from a buffer that stays in the cache: twice the rate of copying into
a mapping, whose page faults cost more than the copy.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing import ProcessError
from typing import Any

from .._core.weak import Weak, weak
from .._native.descriptors import Descriptor, opened
from ..errors import SharingError
from .late import or_error

_MEMORY_FOLDER = "/dev/shm"
_PROCESSES = "/proc"

# A mapping has a descriptor of its own. From Python 3.13 on it can do without.
_MAPPING: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}

# What a process has mapped, by device and inode: a segment of several snapshots is mapped
# once, so that its pages are found once.
_mappings: dict[tuple[int, int], Weak] = {}


class Segment:
    """A shared memory object that is complete. Lives as long as one has its descriptor.

    Mappings do not need the descriptor.
    """

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        status = os.fstat(descriptor.number)
        self.size = status.st_size  #: in bytes
        self._key = status.st_dev, status.st_ino

    @classmethod
    def write(cls, pieces: Iterable[memoryview], size: int) -> Segment:
        """A new segment of `size` bytes, which the pieces are together."""
        descriptor = _create()
        try:
            for piece in pieces:
                done = 0
                while done < len(piece):
                    done += os.write(descriptor.number, piece[done:])
            _seal(descriptor.number)
        except BaseException:
            descriptor.close()  # before whoever has the traceback drops it
            raise
        return cls(descriptor)

    def read(self, offset: int, size: int) -> bytes:
        """The bytes there, or as many as there are."""
        return os.pread(self._descriptor.number, size, offset)

    def map(self) -> mmap.mmap:
        """All of it as memory, for as long as somebody holds what is returned.

        A private mapping, since that of a sealed object may not be shared before Linux
        6.7. It is only read, so its pages are those of the object.
        """
        known = _mappings.get(self._key)
        mapping: mmap.mmap | None = None if known is None else known()
        if mapping is None:
            mapping = mmap.mmap(
                self._descriptor.number,
                self.size,
                flags=mmap.MAP_PRIVATE,
                prot=mmap.PROT_READ,
                **_MAPPING,
            )
            _mappings[self._key] = weak(mapping, _mappings, self._key)
        return mapping

    # -------------------------------------------------------------------------- pickles

    def __reduce__(self) -> tuple[Any, ...]:
        return or_error, (at_address, *self._address())

    def reduce_with_descriptor(self) -> tuple[Any, ...]:
        """As __reduce__(), for picklers that can pass a descriptor to a process."""
        from multiprocessing.reduction import DupFd

        return or_error, (received, DupFd(self._descriptor.number), *self._address())

    def _address(self) -> tuple[str, int, int, int, int]:
        return machine(), os.getpid(), self._descriptor.number, *self._key


def _create() -> Descriptor:
    """The descriptor of a new, empty object."""
    if hasattr(os, "memfd_create"):
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        try:
            return opened(os.memfd_create, "pymempool", flags)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise
    folder = _MEMORY_FOLDER if os.path.isdir(_MEMORY_FOLDER) else None
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        return opened(os.dup, file.fileno())


def _seal(descriptor: int) -> None:
    """Makes what was written final, where the system and the file have seals."""
    with suppress(AttributeError, OSError):
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals | fcntl.F_SEAL_WRITE)


# ------------------------------------------------------------------------ addresses


def machine() -> str:
    """Names the running system and the set of processes that see each other in it.

    An empty string if the system has no /proc to reach another process's descriptors.
    """
    try:
        with open(f"{_PROCESSES}/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()} {os.readlink(f'{_PROCESSES}/self/ns/pid')}"
    except (FileNotFoundError, PermissionError):
        return ""


def at_address(
    where: str, process: int, descriptor: int, device: int, inode: int
) -> Segment:
    """The segment that a process has open. No argument is trusted.

    Raises SharingError if it cannot be reached from here, or no more; OSError.
    """
    here = machine()
    if not here:
        raise SharingError(
            "shared memory of another process cannot be opened without /proc; only"
            " multiprocessing can pass a shared snapshot here, and each pickle once"
        )
    if where != here:
        raise SharingError(
            "the shared snapshot is memory of another machine or container, and cannot"
            " be opened here; send the pool instead, by save() or a pickle of it"
        )
    path = f"{_PROCESSES}/{process:d}/fd/{descriptor:d}"
    wanted = device, inode
    try:
        status = os.stat(path)  # first: opening a pipe or a device may do something
        if (status.st_dev, status.st_ino) == wanted:
            segment = Segment(opened(os.open, path, os.O_RDONLY | os.O_NONBLOCK))
            if segment._key == wanted:
                return segment
    except (FileNotFoundError, ProcessLookupError):
        pass
    except PermissionError as error:
        raise SharingError(
            f"process {process} does not let this one open its shared snapshot: they run"
            " as different users"
        ) from error
    raise SharingError(
        f"the shared snapshot is no longer there: process {process} has closed it or"
        " ended; it must keep it until it was loaded"
    )


def received(passed: Any, *address: Any) -> Segment:
    """The segment whose descriptor was passed; that at the address if this failed."""
    try:
        descriptor = opened(passed.detach)
    # It was loaded before, or the sender ended, or it is no relative of this process.
    except (OSError, EOFError, RuntimeError, ProcessError):
        return at_address(*address)
    os.set_inheritable(descriptor.number, False)
    return Segment(descriptor)
