# SPDX-License-Identifier: MIT
"""report: who holds what, of all pools of the process."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from .._native.calls import parallel
from .._native.signatures import REPORT_FUNCTION, REPORT_KINDS


class ReportEntry(NamedTuple):
    """An entry of report(): a family, a pool, a view or a pin.

    What does not apply is 0.
    """

    kind: str  #: "family", "pool", "view" or "pin"
    handle: int  #: of a pool, as MemoryPool.handle; else an address
    family: int  #: the same for all relatives, and their views and pins
    references: int  #: to a pool; of a family its pools, views and pins
    size: int  #: bytes that can be addressed in a pool, a view or a pin
    held_bytes: int  #: bytes of blocks; in a family each block counts once
    shared_bytes: int  #: of them, those of blocks that are shared
    views: int  #: views and pins of the family
    pins: int  #: pins of a pool
    place: str  #: where it was made, as file:line or an address; "" if not known


def report() -> list[ReportEntry]:
    """Returns an entry for each family and each pool of the process, the oldest first.

    For pools that C code has made as well. The debug library (PYMEMPOOL_DEBUG=1) also
    reports each view and pin, and where each thing was made: the line of Python, or of C
    code that defined POOL_DEBUG before it included memory_pool.h, else an address. Takes
    a walk over the blocks of each pool. Any thread may call it. Raises PoolMemoryError.
    """
    entries: list[ReportEntry] = []

    def add(found: Any, context: Any) -> None:
        each = found.contents
        fields = (getattr(each, name) for name in ReportEntry._fields[1:-1])
        numbers = [field or 0 for field in fields]  # ctypes has None for NULL
        kind, place = REPORT_KINDS[each.kind], _place(each)
        entries.append(ReportEntry._make([kind, *numbers, place]))

    parallel.pool_report(REPORT_FUNCTION(add), None)
    return entries


def _place(found: Any) -> str:
    """Where something was made."""
    if found.file is not None:
        return f"{os.fsdecode(found.file)}:{found.line}"
    return f"{found.address:#x}" if found.address is not None else ""
