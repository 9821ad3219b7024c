# SPDX-License-Identifier: MIT
"""Python objects whose memory pools use, held until no pool and no view needs it."""

from __future__ import annotations

from ctypes import addressof
from typing import Any

from ._buffers import Buffer, readable
from ._library import library_for
from ._owner import Owner
from ._signatures import RELEASE_FUNCTION
from .errors import PoolError

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
    call = library_for(size).pool_adopt
    _held[key] = buffer  # last: no handler of a signal must come between
    try:
        call(owner.address, offset, buffer.address, size, _let_go, key)
    except PoolError:
        # Refused by C, which then does not call back. Nothing else may let go of it: a
        # signal's handler can raise anything after C has taken it.
        _held.pop(key).release()
        raise
    return size


def _release(data: int, size: int, key: int) -> None:
    """Called by C, in whichever thread let go last, with no lock of the library held.

    If a signal's handler raises right here, Python tells sys.unraisablehook of it and
    the memory stays held.
    """
    _held.pop(key).release()


_let_go = RELEASE_FUNCTION(_release)
