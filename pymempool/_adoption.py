# SPDX-License-Identifier: MIT
"""Python objects whose memory pools use, held until no pool and no view needs it."""

from __future__ import annotations

from ctypes import ArgumentError, addressof, c_int
from typing import Any

from ._buffers import Buffer, readable
from ._library import fail, parallel
from ._owner import Owner
from ._signatures import RELEASE_FUNCTION
from .errors import Status

_held: dict[int, Buffer] = {}


def adopt(owner: Owner, offset: Any, exporter: Any) -> int:
    """Makes the memory of an object the pool's at offset; returns its size."""
    buffer = readable(exporter)
    try:
        offset, size = owner.range(offset, buffer.size)
    except BaseException:
        buffer.release()
        raise
    key = addressof(buffer)
    arguments = (owner.address, offset, buffer.address, size, _let_go, key)
    _held[key] = buffer  # last: no handler of a signal must come between
    try:
        status = _adopt(*arguments)
    except ArgumentError:  # there was no memory to convert them, and C was not called
        _held.pop(key).release()
        raise
    # Only if C says so it was refused, and does not call back. A signal's handler can
    # raise anything, a PoolError too, after C has taken it.
    if status != Status.POOL_OK:
        _held.pop(key).release()
        fail("pool_adopt", arguments, status)
    return size


def _release(data: int, size: int, key: int) -> None:
    """Called by C, in whichever thread let go last, with no lock of the library held.

    If a signal's handler raises right here, Python tells sys.unraisablehook of it and
    the memory stays held.
    """
    _held.pop(key).release()


_let_go = RELEASE_FUNCTION(_release)

# With its bare status, without the check that raises.
_adopt = parallel["pool_adopt"]
_adopt.argtypes, _adopt.restype = parallel.pool_adopt.argtypes, c_int
