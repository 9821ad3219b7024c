# SPDX-License-Identifier: MIT
"""Spare references: a pool that is released too often stays alive, and it shows.

    references of the pool = spares + owners in Python + owners in C

While tracking is on, each reference of Python has some spare ones beside it, which C code
does not know of. If C code drops a reference that it does not have, the sum is too low:
then as many references are missing, and are added before the spares are dropped.
"""

from __future__ import annotations

from ctypes import PyDLL, byref, c_void_p, sizeof

from .._native import library
from .._native.calls import parallel, quick, read_stats
from .._native.signatures import PoolView, StatsStruct

_UP_TO_REFERENCES = StatsStruct.held_blocks.offset

# Many short calls, which cannot fail: without checks, and with the GIL.
_retain, _destroy = (
    getattr(PyDLL(library.path), f"pool_{n}") for n in ("retain", "destroy")
)
_retain.argtypes = _destroy.argtypes = [c_void_p]
_retain.restype = _destroy.restype = None


class Spares:
    """Spare references to one pool. The caller must know that it is alive."""

    def __init__(self, address: int, count: int) -> None:
        self.address, self.count = address, count
        _add(address, count)
        _all.setdefault(address, set()).add(self)

    def drop(self) -> None:
        """Drops them; missing references must have been added before."""
        self.forget()
        for _ in range(self.count - 1):
            _destroy(self.address)
        parallel.pool_destroy(self.address)  # which may take long, if it frees the pool

    def forget(self) -> None:
        """No longer counts them, but never drops them: the pool stays for ever."""
        others = _all.get(self.address, set())
        others.discard(self)
        if not others:
            _all.pop(self.address, None)


_all: dict[int, set[Spares]] = {}  # by the address of their pool


def spare_references(address: int) -> int:
    """How many spare references a pool has."""
    return sum(spares.count for spares in list(_all.get(address, ())))


def owners(address: int) -> int:
    """How many references a pool has beside the spare ones; below 0: some are missing."""
    references = read_stats(address, _UP_TO_REFERENCES, quick).references
    return int(references) - spare_references(address)


def mend(address: int, known: int) -> int:
    """Adds the references that a pool lacks, if `known` owners have one each.

    Returns how many were missing.
    """
    missing = max(0, known - owners(address))
    _add(address, missing)
    return missing


def _add(address: int, count: int) -> None:
    for _ in range(count):
        _retain(address)


class SpareViews:
    """Spare views, of the first byte of an empty pool: they keep its family alive."""

    def __init__(self, address: int, count: int) -> None:
        self.count = count
        self._views = (PoolView * count)()
        for view in self._views:
            view.struct_size = sizeof(PoolView)
            parallel.pool_view(address, 0, 1, byref(view))
        self.family = int(self._views[0].family)

    def drop(self) -> None:
        for view in self._views:
            parallel.pool_view_release(byref(view))
