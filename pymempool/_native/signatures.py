# SPDX-License-Identifier: MIT
"""The C interface, said once for Python: one table, a row per function.

A row reads like the prototype in memory_pool.h, parameter names included:

    size_t pool_read(MemoryPool *pool, void *dest, size_t offset, size_t size);
    "pool_read": COUNT(pool=POOL, dest=DEST, offset=SIZE, size=SIZE),

The name of a result says how it is checked: STATUS, OWNED, FOUND and ANSWER raise by
themselves when the call failed, COUNT leaves that to the caller, who knows what was
requested. The tests hold the table against the header, by text and through a C compiler.
"""

from __future__ import annotations

from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char_p,
    c_int,
    c_size_t,
    c_ubyte,
    c_uint,
    c_uint64,
    c_void_p,
    sizeof,
)
from typing import Any, NamedTuple

#: major and minor of the memory_pool.h that this file spells out.
HEADER_VERSION = (0, 1)

#: The largest number that a size_t can hold.
SIZE_MAX = 2 ** (8 * sizeof(c_size_t)) - 1


#: Flags of PoolOptions: POOL_WIPE, POOL_OVERCOMMIT, POOL_HUGE.
WIPE, OVERCOMMIT, HUGE = 1, 2, 4

#: The values of PoolTracking, by number, in words of Python.
TRACKING = "compare", "pagemap_scan", "write_watch"


class PoolOptions(Structure):
    """What pool_create_with needs to know."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("total_size", c_size_t),
        ("max_block_size", c_size_t),
        ("memory_limit", c_size_t),
        ("flags", c_size_t),
    ]


class PoolView(Structure):
    """What pool_view and pool_pin fill in, and pool_view_release empties."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("data", c_void_p),
        ("size", c_size_t),
        ("family", c_void_p),
        ("block", c_void_p),
        ("pin", c_void_p),
        ("blocks", c_size_t),
    ]


class StatsStruct(Structure):
    """The C struct PoolStats: what pool_stats fills in, as far as struct_size reaches."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("total_size", c_size_t),
        ("block_size", c_size_t),
        ("references", c_size_t),
        ("held_blocks", c_size_t),
        ("held_bytes", c_size_t),
        ("pinned_blocks", c_size_t),
        ("copied_blocks", c_size_t),
        ("family_bytes", c_size_t),
        ("family_peak_bytes", c_size_t),
        ("family_pools", c_size_t),
        ("family_views", c_size_t),
        ("adopted_blocks", c_size_t),
        ("memory_limit", c_size_t),
        ("flags", c_size_t),
        ("metadata_bytes", c_size_t),
        ("cached_bytes", c_size_t),
        ("page_tracking", c_size_t),  # an index of TRACKING
        ("shared_blocks", c_size_t),  # last: it is the one that takes a walk
    ]


class PoolReport(Structure):
    """One report of pool_report: on a family, a pool, a view or a pin."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("kind", c_size_t),  # an index of REPORT_KINDS
        ("handle", c_void_p),
        ("family", c_void_p),
        ("references", c_size_t),
        ("size", c_size_t),
        ("held_bytes", c_size_t),
        ("shared_bytes", c_size_t),
        ("views", c_size_t),
        ("pins", c_size_t),
        ("file", c_char_p),
        ("line", c_size_t),
        ("address", c_void_p),
    ]


#: The values of PoolReportKind, by number, in words of Python.
REPORT_KINDS = "family", "pool", "view", "pin"

#: What pool_report calls for each of them.
REPORT_FUNCTION = CFUNCTYPE(None, POINTER(PoolReport), c_void_p)

#: What pool_adopt calls when the memory is not needed any more.
RELEASE_FUNCTION = CFUNCTYPE(None, c_void_p, c_size_t, c_void_p)


class PoolAddress(c_void_p):
    """A pool, as functions of Python get it that C calls."""


#: What is called before a call fails for the memory limit.
LIMIT_FUNCTION = CFUNCTYPE(c_int, PoolAddress, c_void_p)


class Argument(NamedTuple):
    """A parameter's type, in C and in ctypes. C may want the name inside: then as {}."""

    spelling: str
    ctype: Any


class Signature(NamedTuple):
    """One function: its result and its parameters by name, in order."""

    result: Result
    parameters: dict[str, Argument]


class Result(NamedTuple):
    """A result's type, and the name of the check (in calls.py) made on it."""

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
DATA = Argument("void *", c_void_p)
DIGEST = Argument("unsigned char {}[32]", POINTER(c_ubyte * 32))
OFFSETS = Argument("const size_t *", c_void_p)
NUMBER = Argument("uint64_t", c_uint64)
OLD = Argument("uint64_t *", POINTER(c_uint64))
INT = Argument("int", c_int)
NAME = Argument("const char *", c_char_p)
CODE = Argument("PoolStatus", c_int)
OUT = Argument("size_t *", POINTER(c_size_t))
OPTIONS = Argument("const PoolOptions *", POINTER(PoolOptions))
STATS = Argument("PoolStats *", POINTER(StatsStruct))
VIEW = Argument("PoolView *", POINTER(PoolView))
RELEASE = Argument("void (*{})(void *data, size_t size, void *context)", RELEASE_FUNCTION)
LIMIT = Argument("PoolLimitFunction", LIMIT_FUNCTION)
CALLBACK = Argument(
    "void (*{})(const PoolReport *report, void *context)", REPORT_FUNCTION
)

COUNT = Result("size_t", c_size_t)  # bytes; the caller compares it with what it asked
STATUS = Result("PoolStatus", c_int, "status")  # raises unless POOL_OK
OWNED = Result("MemoryPool *", c_void_p, "pointer")  # raises if NULL
FOUND = Result("int", c_int, "found")  # 1 or 0, raises if -1
ANSWER = Result("int", c_int, "answer")  # the same, of what takes a snapshot first
REASON = Result("PoolStatus", c_int)  # a status that is the answer
TEXT = Result("const char *", c_char_p)
UNSIGNED = Result("unsigned", c_uint)
ADDRESS = Result("void *", c_void_p)
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
    "pool_copy": STATUS(dst=POOL, dst_offset=SIZE, src=POOL, src_offset=SIZE, size=SIZE),
    "pool_resize": STATUS(pool=POOL, total_size=SIZE),
    # many ranges, and integers
    "pool_gather": STATUS(
        pool=POOL, dest=DEST, offsets=OFFSETS, count=SIZE, item_size=SIZE
    ),
    "pool_scatter": STATUS(
        pool=POOL, offsets=OFFSETS, src=SRC, count=SIZE, item_size=SIZE
    ),
    "pool_read_many": STATUS(
        pool=POOL, dest=DEST, offsets=OFFSETS, sizes=OFFSETS, count=SIZE
    ),
    "pool_write_many": STATUS(
        pool=POOL, offsets=OFFSETS, sizes=OFFSETS, src=SRC, count=SIZE
    ),
    "pool_fetch_add": STATUS(pool=POOL, offset=SIZE, size=SIZE, value=NUMBER, old=OLD),
    "pool_compare_exchange": STATUS(
        pool=POOL, offset=SIZE, size=SIZE, expected=NUMBER, value=NUMBER, old=OLD
    ),
    # snapshots
    "pool_clone": OWNED(pool=POOL),
    "pool_restore": STATUS(**{"pool": POOL, "from": POOL}),
    "pool_next_extent": FOUND(pool=POOL, offset=SIZE, end=SIZE, start=OUT, size=OUT),
    "pool_next_change": FOUND(
        pool=POOL, base=POOL, offset=SIZE, end=SIZE, start=OUT, size=OUT
    ),
    "pool_next_state": FOUND(
        pool=POOL, offset=SIZE, end=SIZE, start=OUT, size=OUT, state=OUT
    ),
    # content
    "pool_digest": STATUS(pool=POOL, digest=DIGEST),
    "pool_same": ANSWER(pool=POOL, other=POOL),
    "pool_next_difference": ANSWER(
        pool=POOL, base=POOL, offset=SIZE, end=SIZE, start=OUT, size=OUT
    ),
    "pool_find": ANSWER(
        pool=POOL, pattern=SRC, size=SIZE, offset=SIZE, end=SIZE, found=OUT
    ),
    # without a copy
    "pool_view": STATUS(pool=POOL, offset=SIZE, size=SIZE, view=VIEW),
    "pool_pin": STATUS(pool=POOL, offset=SIZE, size=SIZE, view=VIEW),
    "pool_view_release": VOID(view=VIEW),
    "pool_adopt": STATUS(
        pool=POOL, offset=SIZE, data=DATA, size=SIZE, release=RELEASE, context=DATA
    ),
    # facts
    "pool_stats": VOID(pool=POOL, stats=STATS),
    "pool_set_limit": STATUS(pool=POOL, memory_limit=SIZE),
    "pool_on_limit": STATUS(pool=POOL, function=LIMIT, context=DATA),
    "pool_reset_peak": COUNT(pool=POOL, peak=SIZE),
    "pool_trim": COUNT(),
    "pool_fail_allocation": COUNT(number=SIZE),
    "pool_last_status": REASON(),
    "pool_status_text": TEXT(status=CODE),
    "pool_version": UNSIGNED(),
    "pool_for_python": ADDRESS(name=NAME, functions=SRC),
    # debugging
    "pool_report": STATUS(callback=CALLBACK, context=DATA),
    "pool_place": VOID(file=NAME, line=SIZE),
}
