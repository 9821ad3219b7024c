# SPDX-License-Identifier: MIT
"""The memory limit of a family: changed, asked about, and how near it was.

    call ─► limit ─► C asks _ask() ─► function() ─► the call, once more or not at all

The library has one function of Python, _ask(), for all families. What it is passed is a
key of a table, which has the function of a user as long as the pool that it was set for
is open: so C never calls a function of a user that was freed.
"""

from __future__ import annotations

import itertools
from ctypes import c_void_p
from functools import cache
from typing import TYPE_CHECKING, Any, Callable

from .._native.arguments import integer
from .._native.calls import parallel, read_stats, refusals
from .._native.signatures import LIMIT_FUNCTION, SIZE_MAX, PoolAddress, StatsStruct
from . import pins
from .locks import new_lock
from .owner import Owner
from .weak import Weak, weak

if TYPE_CHECKING:
    from typing_extensions import Self

_functions: dict[int, tuple[Callable[[], object], Weak]] = {}
_keys = itertools.count(1)
_NOBODY = LIMIT_FUNCTION()


def set_limit(owner: Owner, memory_limit: Any) -> None:
    """Changes the limit of a family; None: no limit."""
    if memory_limit is not None:
        memory_limit = integer("memory_limit", memory_limit, 1, SIZE_MAX)
    parallel.pool_set_limit(owner.address, memory_limit or 0)


def on_limit(owner: Owner, function: Any) -> None:
    """Sets what is called before a call fails for the limit; None: nothing."""
    if function is None:
        parallel.pool_on_limit(owner.address, _NOBODY, None)
        return
    if not callable(function):
        raise TypeError(f"a function or None is needed, not {type(function).__name__}")
    key = next(_keys)
    _functions[key] = function, weak(owner, _functions, key)
    parallel.pool_on_limit(owner.address, _callback(), c_void_p(key))


@cache
def _callback() -> Any:
    """_ask() for C. Made when it is needed: some systems refuse what ctypes does then."""
    return LIMIT_FUNCTION(_ask)


def _ask(address: PoolAddress, key: int) -> int:
    """Asks a user's function; returns whether it says that it freed something.

    What it raises is raised by the call that failed.
    """
    refusals.raised = None
    found = _functions.get(key)
    if found is not None:
        try:
            return bool(found[0]())
        except BaseException as error:
            refusals.raised = error
    return 0


# -------------------------------------------------------------------------------- peaks


class _Peaks:
    """Which peaks are measured: by family, the most since each began.

    The library has one peak for a family. Whenever a measurement begins, ends or is
    read, it is reset, and what it was counts for all that run.
    """

    def __init__(self) -> None:
        self.lock = new_lock(self)
        self.running: dict[int, list[Peak]] = {}
        self.before: dict[int, int] = {}  # the peak when the first one began

    def note(self, owner: Owner, family: int) -> None:
        """Counts the library's peak for all that run. Context: holds the lock."""
        peak = int(parallel.pool_reset_peak(owner.address, 0))
        for each in self.running.get(family, ()):
            each._bytes = max(each._bytes, peak)
        self.before[family] = max(self.before.get(family, 0), peak)

    def begin(self, peak: Peak, owner: Owner, family: int) -> None:
        with self.lock:
            self.note(owner, family)
            peak._bytes = _family_bytes(owner)
            self.running.setdefault(family, []).append(peak)

    def end(self, peak: Peak, owner: Owner, family: int) -> None:
        with self.lock:
            self.note(owner, family)
            self.running[family].remove(peak)
            if not self.running[family]:
                del self.running[family]
                parallel.pool_reset_peak(owner.address, self.before.pop(family))


_peaks = _Peaks()


class Peak:
    """A context that measures the most memory that a pool and its relatives held in it.

    Made by MemoryPool.peak(). It may be entered once, and may overlap with others, of
    other threads, too. Meanwhile family_peak_bytes of the statistics may be less than it
    was: it is what it should be again when the last one has ended.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner: Owner | None = owner
        self._family = pins.family(owner)
        self._bytes = 0
        self._runs = False

    @property
    def bytes(self) -> int:
        """The most bytes of blocks that were held at once, up to now or to its end."""
        if self._runs and self._owner is not None:
            with _peaks.lock:
                _peaks.note(self._owner, self._family)
        return self._bytes

    def __enter__(self) -> Self:
        if self._runs or self._owner is None:
            raise RuntimeError("a peak is measured once; call peak() for another one")
        self._runs = True
        _peaks.begin(self, self._owner, self._family)
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._owner is not None
        _peaks.end(self, self._owner, self._family)
        self._runs, self._owner = False, None

    def __repr__(self) -> str:
        return f"<Peak of {self.bytes} bytes>"


def _family_bytes(owner: Owner) -> int:
    stats = read_stats(owner.address, StatsStruct.family_peak_bytes.offset, parallel)
    return int(stats.family_bytes)
