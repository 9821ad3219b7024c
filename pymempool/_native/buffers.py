# SPDX-License-Identifier: MIT
"""Memory of Python objects for C to read and to fill, without a copy of it."""

from __future__ import annotations

import re
import sys
from ctypes import (
    PYFUNCTYPE,
    Structure,
    c_char,
    c_char_p,
    c_int,
    c_ssize_t,
    c_void_p,
    py_object,
    pythonapi,
    sizeof,
)
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Callable

from .finalizers import ADDRESS, SIZE, function, owning_type

if TYPE_CHECKING:
    from typing import TypeGuard

    class _Held:
        address: int
        size: int  #: in bytes
        item_size: int  #: bytes of an item of what is exported, 1 for plain bytes

else:

    class _Body(Structure):
        """What the library needs itself, and CPython's Py_buffer."""

        _fields_ = [
            ("next", c_void_p),
            ("address", c_void_p),
            ("exporter", c_void_p),
            ("size", c_ssize_t),
            ("itemsize", c_ssize_t),
            ("readonly", c_int),
            ("ndim", c_int),
            ("format", c_char_p),
            ("shape", c_void_p),
            ("strides", c_void_p),
            ("suboffsets", c_void_p),
            ("internal", c_void_p),
        ]

    _Held = owning_type(
        f"{__name__}.Buffer",
        sizeof(_Body),
        "end_buffer",
        {
            "address": (ADDRESS, _Body.address.offset),
            "size": (SIZE, _Body.size.offset),
            "item_size": (SIZE, _Body.itemsize.offset),
        },
    )

_SIMPLE = 0  # PyBUF_SIMPLE: one run of bytes, whatever the items and the shape are
_WRITABLE = 1  # PyBUF_WRITABLE: the same, and not read-only

#: The most bytes that a bytes object can hold.
BYTES_MAX = sys.maxsize - sys.getsizeof(b"")

# Prototypes of our own: those that hang on ctypes.pythonapi are shared by everybody in
# the process.

#: fresh_bytes(None, size): a new bytes object that nobody else has, for C to fill. size
#: is 1 .. BYTES_MAX (0 would give the b"" that the whole process shares). Its bytes are
#: what happened to be in memory: it must not get out before all of them are written.
fresh_bytes: Callable[[None, int], bytes] = PYFUNCTYPE(py_object, c_void_p, c_void_p)(
    ("PyBytes_FromStringAndSize", pythonapi)
)
#: has_buffer(object): whether it exports memory, fit for us or not.
has_buffer: Callable[[object], int] = PYFUNCTYPE(c_int, py_object)(
    ("PyObject_CheckBuffer", pythonapi)
)
_get_buffer = function("get_buffer", c_int, py_object, py_object, c_int)
_release_buffer = function("release_buffer", None, py_object)


class Buffer(_Held):
    """An object's memory, held in place until it is released.

    Whoever holds it releases it. Only what a signal's handler raises can come between;
    then it is released as soon as nobody has it.
    """

    __slots__ = ()

    def __enter__(self) -> Buffer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def release(self) -> None:
        _release_buffer(self)


def _hold(exporter: Any, flags: int, kind: str) -> Buffer:
    buffer = Buffer()
    try:
        _get_buffer(exporter, buffer, flags)
    except (TypeError, BufferError, ValueError) as error:
        # Exporters do not agree on the class: a memoryview raises BufferError where
        # numpy raises ValueError.
        name = type(exporter).__name__
        raise TypeError(f"{kind} is needed, not this {name}: {error}") from error
    return buffer


def readable(exporter: Any) -> Buffer:
    """The bytes of an object, for a with statement, or until they are released."""
    return _hold(exporter, _SIMPLE, "a contiguous bytes-like object")


def writable(exporter: Any) -> Buffer:
    """The same of an object that may be written to."""
    kind = "a writable, contiguous bytes-like object"
    if type(exporter) is not bytearray and _has_references(exporter):
        raise TypeError(f"{kind} is needed, not references to Python objects")
    return _hold(exporter, _WRITABLE, kind)


def _has_references(exporter: Any) -> bool:
    """Whether the memory holds pointers to Python objects, not to be written over."""
    try:
        items = memoryview(exporter).format
    except (TypeError, BufferError, ValueError):
        return False  # no buffer; or one of plain bytes only, as of dates in numpy
    return _says_references(items)


@lru_cache(maxsize=64)
def _says_references(items: str) -> bool:
    return "O" in re.sub(":[^:]*:", "", items)  # without the names of fields


# ------------------------------------------------------------------ the short way

#: in_place(buffer): an object of ctypes that lies where the memory of a bytearray lies,
#: or that of a memoryview if is_plain() likes it, and holds it there for as long as it
#: lives. Costs a fifth of what a Py_buffer does.
in_place: Callable[[Any], Any] = (c_char * 0).from_buffer


def is_plain(buffer: object) -> TypeGuard[memoryview]:
    """Whether it is a memoryview of a row of bytes that may be written to."""
    if type(buffer) is not memoryview:
        return False
    try:
        row = buffer.format == "B" and buffer.ndim == 1
        return row and buffer.c_contiguous and not buffer.readonly
    except ValueError:  # it was released
        return False
