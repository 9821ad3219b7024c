# SPDX-License-Identifier: MIT
"""Python objects whose memory pools use, held until no pool and no view needs it.

C holds the Buffer that holds the object. The thread that
drops the last use of it drops that reference.
"""

from __future__ import annotations

from ctypes import PYFUNCTYPE, c_int, c_void_p, py_object, pythonapi
from typing import Any

from .._native.buffers import readable
from .._native.calls import fail
from .._native.finalizers import function
from ..errors import Status
from . import ranges
from .marks import changing
from .owner import Owner

_adopt = function("adopt", c_int, c_void_p, c_void_p, c_void_p, py_object)


def adopt(owner: Owner, offset: Any, exporter: Any) -> int:
    """Makes the memory of an object the pool's at offset; returns its size."""
    if not _IN_MAIN_INTERPRETER:
        raise NotImplementedError(
            "only the main interpreter can adopt: any thread may release adopted memory,"
            " and from there CPython can reach the main interpreter only;"
            " write() copies"
        )
    if owner.marked is not None:
        with changing(owner) as (plain, marks):
            with readable(exporter) as source:
                ranges.fill(marks, offset, 1, source.size)
            return adopt(plain, offset, exporter)
    buffer = readable(exporter)
    try:
        offset, size = owner.range(offset, buffer.size)
        status = _adopt(owner.address, offset, size, buffer)
    except BaseException:
        # Not by release(): C may have the buffer, if what raised is a signal's handler.
        del buffer
        raise
    if status != Status.POOL_OK:
        address = buffer.address
        buffer.release()
        fail("pool_adopt", (owner.address, offset, address, size), status)
    return size


def _interpreter(which: str) -> object:
    return PYFUNCTYPE(c_void_p)((f"PyInterpreterState_{which}", pythonapi))()


_IN_MAIN_INTERPRETER = _interpreter("Get") == _interpreter("Main")
