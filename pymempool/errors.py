# SPDX-License-Identifier: MIT
"""The exceptions of pymempool, and the one place that raises them from a status."""

from __future__ import annotations

import enum
from typing import NoReturn


class PoolError(Exception):
    """Anything that a pool refuses; the classes below say what."""


class PoolRangeError(PoolError, IndexError):
    """A number is out of its range; above all, bytes past the end of a pool."""


class PoolMemoryError(PoolError, MemoryError):
    """There is no memory for the request. Nothing was changed."""

    # What is found first, MemoryError's, refuses classes whose first base is another;
    # tblib, which Dask uses, makes the errors of other processes by it.
    __new__ = PoolError.__new__  # type: ignore[assignment]


class PoolLimitError(PoolMemoryError):
    """The memory limit of the pool's family would be exceeded. Nothing was changed."""


class PoolClosedError(PoolError, ValueError):
    """The pool was closed."""


class PoolUnrelatedError(PoolError, ValueError):
    """Two pools that do not descend from one another by cloning were used together."""


class FormatError(PoolError, ValueError):
    """A file is not what its format says, or cannot hold what it was to hold."""


class OverlapError(PoolError, ValueError):
    """Pools that are merged have set the same bytes, or start at different addresses."""


class CheckpointError(PoolError, ValueError):
    """A delta is damaged, is none at all, or was made for other contents."""


class SharingError(PoolError, OSError):
    """A shared snapshot cannot be reached from here, or is no longer there."""


class Status(enum.IntEnum):
    """The statuses of memory_pool.h, by the names they have there."""

    POOL_OK = 0
    POOL_INVALID = 10
    POOL_RANGE = 20
    POOL_UNRELATED = 30
    POOL_NO_MEMORY = 40
    POOL_LIMIT = 50


_EXCEPTIONS: dict[int, type[PoolError]] = {
    Status.POOL_INVALID: PoolError,
    Status.POOL_RANGE: PoolRangeError,
    Status.POOL_UNRELATED: PoolUnrelatedError,
    Status.POOL_NO_MEMORY: PoolMemoryError,
    Status.POOL_LIMIT: PoolLimitError,
}


def raise_status(status: int, message: str) -> NoReturn:
    """Raises the exception that stands for a status other than POOL_OK."""
    raise _EXCEPTIONS.get(status, PoolError)(message)
