# SPDX-License-Identifier: MIT
"""Finds the shared library, loads it, and declares its functions, in two ways.

`parallel` lets other Python threads run during a call, `quick` does not pay for that: it
keeps the interpreter's lock (the GIL). Both are the same library in memory. A call that
moves up to QUICK_BYTES goes through `quick`, anything longer or of unknown length through
`parallel`.

What is called through `quick` are variants of the functions of the same name. They too
let other threads run while they wait for another call; c/src/base/interpreter.c says how.
calls.py attaches the checks of results to both.
"""

from __future__ import annotations

import os
import sys
from ctypes import (
    CDLL,
    PyDLL,
    Structure,
    byref,
    c_size_t,
    c_void_p,
    cast,
    py_object,
    pythonapi,
)
from typing import Any

from .signatures import HEADER_VERSION, SIGNATURES, Signature

#: Up to here, in bytes, a call keeps the interpreter's lock. Reads through `parallel`
#: against `quick`, in bytes a second, medians of 15 alternating runs on 2 busy cores,
#: Python 3.11: one thread 0.93 at 8 bytes and at 1 KiB, 0.95 at 16 KiB, 1.02 at 32 KiB;
#: two threads 0.84 at 1 KiB, 0.96 at 8 KiB, 0.99 at 16 KiB, 1.05 at 32 KiB.
QUICK_BYTES = 16384

_FILE_NAMES = {"win32": "memory_pool.dll", "darwin": "libmemory_pool.dylib"}
_FILE_NAME = _FILE_NAMES.get(sys.platform, "libmemory_pool.so")
DEBUG_FILE_NAME = _FILE_NAME.replace("memory_pool", "memory_pool_debug")

#: In the environment: anything but an empty text or "0" picks the debug library.
_DEBUG_VARIABLE = "PYMEMPOOL_DEBUG"

_PACKAGE = __name__.partition(".")[0]


def _folders() -> list[str]:
    """The folders of pymempool, as they are in its own path.

    Not the folder of this file alone: an editable install keeps sources and library
    apart, and lists both folders in the path.
    """
    return [os.path.abspath(folder) for folder in sys.modules[_PACKAGE].__path__]


def _find() -> str:
    """The path of the library.

    It lies in the package. Only sources have none, as in a clone from whose folder Python
    was started; they use that of the pymempool which is installed, the first along
    sys.path that has one. With PYMEMPOOL_DEBUG it is the debug library.
    """
    is_debug = os.environ.get(_DEBUG_VARIABLE, "") not in ("", "0")
    name = DEBUG_FILE_NAME if is_debug else _FILE_NAME
    own = _folders()
    places = [os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)]
    others = [os.path.join(place, _PACKAGE) for place in places]
    for folder in (*own, *others):
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            return path
    missing = (
        f"{name} is neither in {' nor in '.join(own)} nor in another pymempool along"
    )
    if is_debug:
        raise ImportError(
            f"{_DEBUG_VARIABLE} is set, but {missing} sys.path: install the package with"
            " it (pip install . -C cmake.define.POOL_DEBUG_LIBRARY=ON), or unset that"
        )
    raise ImportError(
        f"{missing} sys.path: sources have no library; install the package"
        " (pip install .)"
    )


def _unfit(path: str, why: str) -> ImportError:
    """The error for a library that these sources cannot use."""
    text = f"{path} {why}"
    own = _folders()
    if os.path.dirname(path) not in own:
        text += (
            f". It is the first one along sys.path, as the sources in {own[0]} have none:"
            " install the package from these sources (pip install .), or start Python in"
            " another folder to use the package that is installed"
        )
    return ImportError(text, path=path)


def _load(loader: type[CDLL], path: str) -> CDLL:
    try:
        library = loader(path)
    except OSError as error:
        raise _unfit(path, f"cannot be loaded: {error}") from error
    for name, signature in SIGNATURES.items():
        try:
            function = getattr(library, name)
        except AttributeError as error:
            raise _unfit(path, f"has no function {name}") from error
        _declare(function, signature)
    return library


def _declare(function: Any, signature: Signature) -> None:
    function.argtypes = [argument.ctype for argument in signature.parameters.values()]
    function.restype = signature.result.ctype


def _check_version(path: str) -> str:
    """The library's version as text, if it goes with the table of signatures."""
    number = parallel.pool_version()
    version = (number >> 16, number >> 8 & 0xFF, number & 0xFF)
    text = ".".join(map(str, version))
    if version[:2] != HEADER_VERSION:
        wanted = ".".join(map(str, HEADER_VERSION))
        raise _unfit(path, f"has version {text}, pymempool needs {wanted}.x")
    return text


# --------------------------------------------------------------- what Python calls


class _Functions(Structure):
    """What the library needs of CPython: the struct Python of c/src/python/python.c."""

    _fields_ = [
        ("object_size", c_size_t),
        ("domain", c_size_t),
        *(
            (name, c_void_p)
            for name in (
                *("PyEval_SaveThread", "PyEval_RestoreThread", "Py_IsInitialized"),
                *("PyGILState_Ensure", "PyGILState_Release", "Py_IncRef", "Py_DecRef"),
                *("PyObject_GetBuffer", "PyBuffer_Release", "PyBuffer_FillInfo"),
                *("PyInterpreterState_Get", "PyInterpreterState_Main"),
                *("Py_AddPendingCall", "PyBytes_FromStringAndSize", "PyBytes_AsString"),
                *("PyTraceMalloc_Track", "PyTraceMalloc_Untrack"),
            )
        ),
        ("none", py_object),
    ]


#: The bytes that CPython keeps of every object, before what is its own.
OBJECT_SIZE = object.__basicsize__

#: The domain of tracemalloc that has the blocks of pools: traced is each block that is
#: allocated from the first pool or clone on that is made while tracemalloc runs.
tracemalloc_domain = 0x706F6F6C

_functions = _Functions(
    OBJECT_SIZE,
    tracemalloc_domain,
    *(cast(pythonapi[field[0]], c_void_p) for field in _Functions._fields_[2:-1]),
    None,
)


class Quick(PyDLL):
    """The functions that are called with the interpreter's lock held.

    Those of SIGNATURES that take their time whatever they are given are not among them.
    """

    def address(self, name: str) -> int | None:
        """Where the function of that name is, for C code to call."""
        found: int | None = parallel.pool_for_python(name.encode(), byref(_functions))
        return found

    def __getitem__(self, name: Any) -> Any:
        address = self.address(name)
        if address is None:
            raise AttributeError(name)
        function: Any = self._FuncPtr(address)
        function.__name__ = name
        return function


path = _find()
parallel = _load(CDLL, path)
__version__ = _check_version(path)
quick = Quick(path)
for _name in SIGNATURES:
    if quick.address(_name) is not None:
        _declare(getattr(quick, _name), SIGNATURES[_name])
