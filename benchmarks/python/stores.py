# SPDX-License-Identifier: MIT
"""The stores that are compared: how each of them reads and writes, as code for timeit.

In the code `at` is an offset, `size` a number of bytes, `data` that many bytes and
`buffer` a bytearray of that size; numpy has arrays on these two.
"""

from __future__ import annotations

import ctypes
import importlib
import io
import mmap
import os
import sys
from typing import Any, Callable, NamedTuple

from pymempool import MemoryPool

MIB = 1 << 20
SMALL = MIB  # what the stores hold whose writes cost more the more they hold


class Store(NamedTuple):
    """A byte space and the code that uses it."""

    name: str
    names: dict[str, Any]  #: what the code speaks of
    read: str  #: gives a new object with the bytes
    write: str
    readinto: str
    span: int = 0  #: bytes held, if not all of them


class NotMeasuredError(Exception):
    """Why a store is not there."""


def filled_pool(span: int, block_size: int = 65536) -> MemoryPool:
    """A pool that was written to as most are: piece by piece."""
    made = MemoryPool(span, block_size)
    for at in range(0, span, MIB):
        made.write(at, b"x" * min(MIB, span))
    return made


def pool(span: int) -> Store:
    return Store(
        "pool",
        {"pool": filled_pool(span)},
        "pool.read(at, size)",
        "pool.write(at, data)",
        "pool.readinto(at, buffer)",
    )


def of_bytearray(span: int) -> Store:
    return Store(
        "bytearray",
        {"flat": bytearray(b"x") * span},
        "flat[at : at + size]",
        "flat[at : at + size] = data",
        "buffer[:] = flat[at : at + size]",
    )


def of_mmap(span: int) -> Store:
    mapped = mmap.mmap(-1, span)
    mapped.write(bytes(span))
    return Store(
        "mmap",
        {"mapped": mapped},
        "mapped[at : at + size]",
        "mapped[at : at + size] = data",
        "buffer[:] = mapped[at : at + size]",
    )


def of_memoryview(span: int) -> Store:
    return Store(
        "memoryview",
        {"view": memoryview(bytearray(b"x") * span)},
        "bytes(view[at : at + size])",
        "view[at : at + size] = data",
        "buffer[:] = view[at : at + size]",
    )


def of_numpy(span: int) -> Store:
    numpy = needed("numpy")
    return Store(
        "numpy",
        {"array": numpy.ones(span, numpy.uint8)},
        "array[at : at + size].tobytes()",
        "array[at : at + size] = data_array",
        "buffer_array[:] = array[at : at + size]",
    )


def of_bytes_io(span: int) -> Store:
    return Store(
        "BytesIO",
        {"file": io.BytesIO(b"x" * span)},
        "file.seek(at); file.read(size)",
        "file.seek(at); file.write(data)",
        "file.seek(at); file.readinto(buffer)",
    )


def of_memfd(span: int) -> Store:
    if not hasattr(os, "memfd_create"):
        raise NotMeasuredError("there is no memfd here")
    file = os.memfd_create("benchmark")
    for at in range(0, span, MIB):
        os.pwrite(file, b"x" * MIB, at)
    names = {"file": file, "pread": os.pread, "pwrite": os.pwrite, "preadv": os.preadv}
    return Store(
        "memfd, pread/pwrite",
        names,
        "pread(file, size, at)",
        "pwrite(file, data, at)",
        "preadv(file, [buffer], at)",
    )


def of_memmove(span: int) -> Store:
    """What ctypes alone can do: its own memmove, to and from an address."""
    held = (ctypes.c_char * span)()
    ctypes.memset(held, 1, span)
    names = {"memmove": ctypes.memmove, "start": ctypes.addressof(held), "held": held}
    names["place"] = (ctypes.c_char * 0).from_buffer
    return Store(
        "ctypes memmove",
        names,
        "memmove(bytes(size), start + at, size)",
        "memmove(start + at, data, size)",
        "memmove(place(buffer), start + at, size)",
    )


def of_cbytesparse(span: int) -> Store:
    return _sparse("cbytesparse", needed("cbytesparse.c").bytesparse)


def of_bytesparse(span: int) -> Store:
    return _sparse("bytesparse", needed("bytesparse").bytesparse)


def _sparse(name: str, make: Callable[[], Any]) -> Store:
    memory = make()
    memory.write(0, b"x" * SMALL)
    return Store(
        f"{name} of 1 MiB",
        {"memory": memory},
        "bytes(memory[at : at + size])",
        "memory.write(at, data)",
        "buffer[:] = bytes(memory[at : at + size])",
        SMALL,
    )


def of_intelhex(span: int) -> Store:
    memory = needed("intelhex").IntelHex()
    memory.puts(0, b"x" * SMALL)
    return Store(
        "intelhex of 1 MiB",
        {"memory": memory},
        "memory.gets(at, size)",
        "memory.puts(at, data)",
        "buffer[:] = memory.gets(at, size)",
        SMALL,
    )


def of_unicorn(span: int) -> Store:
    unicorn = needed("unicorn")
    engine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    engine.mem_map(0, span)
    engine.mem_write(0, b"x" * span)
    return Store(
        "unicorn",
        {"engine": engine},
        "engine.mem_read(at, size)",
        "engine.mem_write(at, data)",
        "buffer[:] = engine.mem_read(at, size)",
    )


def operands(size: int) -> dict[str, Any]:
    """What goes in and out, by the names that the code has for it."""
    made: dict[str, Any] = {"size": size, "data": b"y" * size, "buffer": bytearray(size)}
    if "numpy" in sys.modules:
        for name in ("data", "buffer"):
            made[f"{name}_array"] = sys.modules["numpy"].frombuffer(made[name], "u1")
    return made


def needed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NotMeasuredError(str(error)) from error


ALL: list[Callable[[int], Store]] = [
    pool,
    of_bytearray,
    of_mmap,
    of_memoryview,
    of_numpy,
    of_bytes_io,
    of_memfd,
    of_memmove,
    of_cbytesparse,
    of_bytesparse,
    of_intelhex,
    of_unicorn,
]

#: What could not be measured, and why.
not_measured: dict[str, str] = {}


def stores(span: int) -> list[Store]:
    """All that are installed, each holding `span` bytes, or fewer if it says so."""
    made = []
    for make in ALL:
        try:
            made.append(make(span))
        except NotMeasuredError as error:
            name = make.__name__.removeprefix("of_")
            not_measured[name] = str(error)
    return made
