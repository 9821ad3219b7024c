# SPDX-License-Identifier: MIT
"""Byte spaces that look contiguous, hold only what was written, and clone at once."""

from ._kinds import BlockState
from ._library import __version__
from ._stats import PoolStats
from .checkpoints import CheckpointError
from .config import get_include, get_library
from .errors import (
    PoolClosedError,
    PoolError,
    PoolLimitError,
    PoolMemoryError,
    PoolRangeError,
    PoolUnrelatedError,
)
from .files import PoolFile
from .formats import FormatError
from .pool import MemoryPool, trim

__all__ = [
    "BlockState",
    "CheckpointError",
    "FormatError",
    "MemoryPool",
    "PoolClosedError",
    "PoolError",
    "PoolFile",
    "PoolLimitError",
    "PoolMemoryError",
    "PoolRangeError",
    "PoolStats",
    "PoolUnrelatedError",
    "__version__",
    "get_include",
    "get_library",
    "trim",
]
