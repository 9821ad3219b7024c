# SPDX-License-Identifier: MIT
"""Types of objects that own what C gave, with finalizers in C.

A finalizer in Python (__del__, weakref.finalize) will not do. CPython runs the handlers
of signals inside it as well, and what a handler raises there ends it, so that nothing is
released. And the collector runs the finalizers of a whole cycle before it takes the
cycle apart, so that memory would go while the __del__ of another object in it may still
read it.

So the finalizers are C functions (c/src/python/python.c), which no handler can interrupt,
and the collector does not see the objects: one is freed with its last reference, and
that is after every __del__.

The types are made by PyType_FromSpec. That, the slots and the kinds of members are in
CPython's documentation, and so is __basicsize__: that of object is the size of what
CPython keeps of every object.
"""

from __future__ import annotations

import gc
from ctypes import (
    POINTER,
    PYFUNCTYPE,
    Structure,
    c_char_p,
    c_int,
    c_ssize_t,
    c_uint,
    c_void_p,
    cast,
    py_object,
    pythonapi,
    sizeof,
)
from typing import Any, Callable

from .library import OBJECT_SIZE, quick

# Numbers from CPython's typeslots.h and structmember.h; they are part of its stable ABI.
_GETBUFFER, _MEMBERS, _FINALIZE = 1, 72, 80
_BASETYPE = 1 << 10
_READONLY = 1

#: Kinds of members: an address and a size.
ADDRESS = 18 if sizeof(c_void_p) == 8 else 11  # T_ULONGLONG, T_UINT
SIZE = 19  # T_PYSSIZET


class _Slot(Structure):
    _fields_ = [("slot", c_int), ("function", c_void_p)]


class _Spec(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("basicsize", c_int),
        ("itemsize", c_int),
        ("flags", c_uint),
        ("slots", POINTER(_Slot)),
    ]


class _Member(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("kind", c_int),
        ("offset", c_ssize_t),
        ("flags", c_int),
        ("doc", c_char_p),
    ]


_make_type: Callable[..., Any] = PYFUNCTYPE(py_object, POINTER(_Spec))(
    ("PyType_FromSpec", pythonapi)
)
_kept: list[Any] = []  # older versions of CPython go on using what they were given


def owning_type(
    name: str,
    body_size: int,
    finalizer: str,
    members: dict[str, tuple[int, int]],
    getbuffer: str | None = None,
    *,
    writable: bool = False,
) -> Any:
    """A type whose objects have a body of so many bytes, all zero at first.

    members: of the body, each with its kind and place, to be read from Python, and to be
        written if writable is set.
    finalizer, getbuffer: names of functions of c/src/python/python.c.
    """
    rows = (_Member * (len(members) + 1))()
    for row, (member, (kind, offset)) in zip(rows, members.items()):
        row.name, row.kind = member.encode(), kind
        row.flags = 0 if writable else _READONLY
        row.offset = OBJECT_SIZE + offset
    slots = [
        _Slot(_FINALIZE, quick.address(finalizer)),
        _Slot(_MEMBERS, cast(rows, c_void_p)),
    ]
    if getbuffer is not None:
        slots.append(_Slot(_GETBUFFER, quick.address(getbuffer)))
    slots.append(_Slot())
    spec = _Spec(
        name.encode(),
        OBJECT_SIZE + body_size,
        0,
        _BASETYPE,
        (_Slot * len(slots))(*slots),
    )
    _kept.extend([rows, spec])
    return _make_type(spec)


_untrack: Callable[[object], None] = PYFUNCTYPE(None, py_object)(
    ("PyObject_GC_UnTrack", pythonapi)
)


def hide(thing: object) -> None:
    """Takes an object of another type out of the collector's sight."""
    if gc.is_tracked(thing):
        _untrack(thing)


def function(name: str, result: Any, *arguments: Any) -> Any:
    """A function of c/src/python/python.c, which is called with the lock held."""
    found = quick[name]
    found.argtypes, found.restype = arguments, result
    return found
