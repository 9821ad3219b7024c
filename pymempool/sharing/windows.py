# SPDX-License-Identifier: MIT
"""Segment on Windows: a section of memory, which ends with the last handle or mapping.

Its name is random. It leads other processes of the session there, and ends with the
section, however its processes end.
"""

from __future__ import annotations

import ctypes
import mmap
import secrets
from collections.abc import Iterable
from ctypes import c_int, c_ssize_t, c_uint32, c_wchar_p
from typing import Any

from .._native.descriptors import Descriptor, opened
from ..errors import SharingError
from .late import or_error

_FILE_MAP_READ = 4

_ctypes: Any = ctypes  # type checkers of other systems miss what only Windows has
_mmap: Any = mmap.mmap


class Segment:
    """A section that is complete, mapped by this process as long as this object lives."""

    def __init__(self, name: str, size: int) -> None:
        """Opens a section. Raises SharingError if there is none."""
        handle = _open(name)
        try:
            self._memory: mmap.mmap = _mmap(-1, size, name, access=mmap.ACCESS_READ)
        finally:
            handle.close()
        self._name = name
        self.size = size  #: in bytes

    @classmethod
    def write(cls, pieces: Iterable[memoryview], size: int) -> Segment:
        """A new segment of `size` bytes, which the pieces are together."""
        name = f"pymempool-{secrets.token_hex(16)}"
        with _mmap(-1, size, name) as memory:
            for piece in pieces:
                memory.write(piece)
            return cls(name, size)

    def read(self, offset: int, size: int) -> bytes:
        """The bytes there, or as many as there are."""
        return self._memory[offset : offset + size]

    def map(self) -> mmap.mmap:
        """All of it as memory."""
        return self._memory

    def __reduce__(self) -> tuple[Any, ...]:
        return or_error, (Segment, self._name, self.size)

    def reduce_with_descriptor(self) -> tuple[Any, ...]:
        """As __reduce__(), for picklers that can pass a handle to a process."""
        from multiprocessing import reduction

        dup_handle: Any = vars(reduction)["DupHandle"]
        handle = _open(self._name)
        try:
            passed = dup_handle(handle.number, _FILE_MAP_READ)
            return or_error, (received, passed, self._name, self.size)
        finally:
            handle.close()


def received(passed: Any, name: str, size: int) -> Segment:
    """The segment of that name; the handle that was passed kept it alive until now."""
    try:
        handle = opened(passed.detach)
    except OSError:  # it was loaded before, or the sender ended
        return Segment(name, size)
    try:
        return Segment(name, size)
    finally:
        handle.close()


def _open(name: str) -> Descriptor:
    """A handle of the section of a name."""
    call = _ctypes.WinDLL("kernel32").OpenFileMappingW
    call.argtypes, call.restype = (c_uint32, c_int, c_wchar_p), c_ssize_t
    handle = opened(call, _FILE_MAP_READ, False, name)
    if handle.number == 0:
        raise SharingError(
            "the shared snapshot is no longer there: the process that shared it has"
            " closed it or ended, or runs in another session or on another machine"
        )
    return handle
