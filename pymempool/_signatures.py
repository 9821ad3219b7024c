# SPDX-License-Identifier: MIT
"""The C interface, said once for Python: one table, a row per function.

A row reads like the prototype in memory_pool.h, parameter names included:

    size_t pool_read(MemoryPool *pool, void *dest, size_t offset, size_t size);
    "pool_read": COUNT(pool=POOL, dest=DEST, offset=SIZE, size=SIZE),

The name of a result says how it is checked: STATUS, OWNED and FOUND raise by themselves
when the call failed, COUNT leaves that to the caller, who knows what was asked for. The
tests hold the table against the header, by text and through a C compiler.
"""

from __future__ import annotations

from ctypes import (
    POINTER,
    Structure,
    c_char_p,
    c_int,
    c_size_t,
    c_uint,
    c_void_p,
    sizeof,
)
from typing import Any, NamedTuple

#: major and minor of the memory_pool.h that this file spells out.
HEADER_VERSION = (0, 1)

#: The largest number that a size_t can hold.
SIZE_MAX = 2 ** (8 * sizeof(c_size_t)) - 1


class PoolOptions(Structure):
    """What pool_create_with needs to know."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("total_size", c_size_t),
        ("max_block_size", c_size_t),
        ("memory_limit", c_size_t),
        ("flags", c_size_t),
    ]


class PoolStats(Structure):
    """What pool_stats fills in, as far as struct_size reaches."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("total_size", c_size_t),
        ("block_size", c_size_t),
        ("held_blocks", c_size_t),
        ("held_bytes", c_size_t),
        ("shared_blocks", c_size_t),
        ("copied_blocks", c_size_t),
        ("family_bytes", c_size_t),
        ("family_peak_bytes", c_size_t),
        ("family_pools", c_size_t),
        ("memory_limit", c_size_t),
        ("metadata_bytes", c_size_t),
        ("kept_bytes", c_size_t),
    ]


class Argument(NamedTuple):
    """A parameter's type, in C and in ctypes."""

    spelling: str
    ctype: Any


class Signature(NamedTuple):
    """One function: its result and its parameters by name, in order."""

    result: Result
    parameters: dict[str, Argument]


class Result(NamedTuple):
    """A result's type, and the name of the check (in _library) made on it."""

    spelling: str
    ctype: Any
    check: str | None = None

    def __call__(self, **parameters: Argument) -> Signature:
        return Signature(self, parameters)


# Sizes travel as c_void_p: ctypes converts a Python int to it in a third less time per
# call than to c_size_t. It takes None, bytes and too large an int as well, without a
# word; whoever calls makes sure to pass an int in 0 .. SIZE_MAX.
SIZE = Argument("size_t", c_void_p)
POOL = Argument("MemoryPool *", c_void_p)
SRC = Argument("const void *", c_void_p)
DEST = Argument("void *", c_void_p)
INT = Argument("int", c_int)
CODE = Argument("PoolStatus", c_int)
OUT = Argument("size_t *", POINTER(c_size_t))
OPTIONS = Argument("const PoolOptions *", POINTER(PoolOptions))
STATS = Argument("PoolStats *", POINTER(PoolStats))

COUNT = Result("size_t", c_size_t)  # bytes; the caller compares it with what it asked
STATUS = Result("PoolStatus", c_int, "status")  # raises unless POOL_OK
OWNED = Result("MemoryPool *", c_void_p, "pointer")  # raises if NULL
FOUND = Result("int", c_int, "found")  # 1 or 0, raises if -1
REASON = Result("PoolStatus", c_int)  # a status that is the answer
TEXT = Result("const char *", c_char_p)
UNSIGNED = Result("unsigned", c_uint)
VOID = Result("void", None)

SIGNATURES: dict[str, Signature] = {
    # lifetime
    "pool_create": OWNED(total_size=SIZE, max_block_size=SIZE),
    "pool_create_with": OWNED(options=OPTIONS),
    "pool_retain": OWNED(pool=POOL),
    "pool_destroy": VOID(pool=POOL),
    # bytes
    "pool_write": COUNT(pool=POOL, offset=SIZE, src=SRC, size=SIZE),
    "pool_read": COUNT(pool=POOL, dest=DEST, offset=SIZE, size=SIZE),
    "pool_fill": STATUS(pool=POOL, offset=SIZE, byte=INT, size=SIZE),
    "pool_discard": STATUS(pool=POOL, offset=SIZE, size=SIZE),
    "pool_take": COUNT(pool=POOL, dest=DEST, offset=SIZE, size=SIZE),
    # snapshots
    "pool_clone": OWNED(pool=POOL),
    "pool_restore": STATUS(**{"pool": POOL, "from": POOL}),
    "pool_next_extent": FOUND(pool=POOL, offset=SIZE, start=OUT, size=OUT),
    "pool_next_change": FOUND(pool=POOL, base=POOL, offset=SIZE, start=OUT, size=OUT),
    # facts
    "pool_stats": VOID(pool=POOL, stats=STATS),
    "pool_trim": COUNT(),
    "pool_last_status": REASON(),
    "pool_status_text": TEXT(status=CODE),
    "pool_version": UNSIGNED(),
}
