# SPDX-License-Identifier: MIT
"""Calls of the library: checked as SIGNATURES says, and what they raise when they fail.

The other modules import `parallel` and `quick` from here, with the checks attached.
"""

from __future__ import annotations

import threading
from ctypes import CDLL, byref
from typing import Any, NoReturn

from ..errors import Status, raise_status
from .library import QUICK_BYTES, parallel, quick
from .signatures import INT, POOL, SIGNATURES, SIZE, SIZE_MAX, StatsStruct

__all__ = [
    "QUICK_BYTES",
    "fail",
    "last_status",
    "library_for",
    "parallel",
    "quick",
    "read_stats",
    "refusals",
]


class _Refusals(threading.local):
    """What the function called at a limit raised in this thread, to be raised again."""

    raised: BaseException | None = None


refusals = _Refusals()


def library_for(size: int) -> CDLL:
    """Where to make a call that moves `size` bytes."""
    return quick if size <= QUICK_BYTES else parallel


def fail(
    function: str, arguments: tuple[Any, ...], status: int, more: str = ""
) -> NoReturn:
    """Raises what a status of a call means, saying what was requested, and more."""
    raised, refusals.raised = refusals.raised, None
    if raised is not None and status == Status.POOL_LIMIT:
        raise raised
    text = quick.pool_status_text(status).decode()
    names = SIGNATURES[function].parameters
    asked = [
        f"{name}={value}"
        for (name, argument), value in zip(names.items(), arguments)
        if argument is SIZE or argument is INT
    ]
    call = f"{function}({', '.join(asked)})"
    if status == Status.POOL_LIMIT:
        pools = [value for kind, value in zip(names.values(), arguments) if kind is POOL]
        stats = min(map(_limit_of, pools), key=_room)
        used = f"{stats.family_bytes} of {stats.memory_limit} bytes are in use"
        text += f": {used}, in blocks of {stats.block_size}"
    raise_status(status, f"{call}: {text}{more}")


def _limit_of(address: int) -> StatsStruct:
    return read_stats(address, StatsStruct.shared_blocks.offset, quick)


def _room(stats: StatsStruct) -> int:
    """How many bytes its family may still hold."""
    limit = int(stats.memory_limit) or SIZE_MAX  # 0 is no limit
    return limit - int(stats.family_bytes)


def last_status(likely: Status) -> int:
    """Why the call that this thread just made failed; `likely` if that is unknown.

    The collector, or the handler of a signal, may end other pools in this thread as soon
    as C is back in Python.
    """
    return int(quick.pool_last_status() or likely)


def read_stats(address: int, struct_size: int, library: CDLL) -> StatsStruct:
    """The facts of the pool at an address, as far as struct_size reaches."""
    stats = StatsStruct(struct_size)
    library.pool_stats(address, byref(stats))
    return stats


# --------------------------------------------------------------------- checks


def _check_status(status: int, function: Any, arguments: tuple[Any, ...]) -> None:
    if status != Status.POOL_OK:
        fail(function.__name__, arguments, status)


def _check_pointer(address: Any, function: Any, arguments: tuple[Any, ...]) -> Any:
    if not address:
        fail(function.__name__, arguments, last_status(Status.POOL_NO_MEMORY))
    return address


def _check_found(found: int, function: Any, arguments: tuple[Any, ...]) -> int:
    if found < 0:
        fail(function.__name__, arguments, last_status(Status.POOL_UNRELATED))
    return found


def _check_answer(found: int, function: Any, arguments: tuple[Any, ...]) -> int:
    if found < 0:
        fail(function.__name__, arguments, last_status(Status.POOL_NO_MEMORY))
    return found


_CHECKS = {
    "status": _check_status,
    "pointer": _check_pointer,
    "found": _check_found,
    "answer": _check_answer,
}

for _library in (parallel, quick):
    for _name, _signature in SIGNATURES.items():
        if _signature.result.check is not None and hasattr(_library, _name):
            getattr(_library, _name).errcheck = _CHECKS[_signature.result.check]
