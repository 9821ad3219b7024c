# SPDX-License-Identifier: MIT
"""Byte spaces that look contiguous, hold only what was written, and clone at once."""

from ._core.file import PoolFile
from ._core.names import publish
from ._core.states import BlockState
from ._core.stats import PoolStats
from ._native.library import __version__
from ._native.paths import get_include, get_library
from .errors import (
    CheckpointError,
    FormatError,
    PoolClosedError,
    PoolError,
    PoolLimitError,
    PoolMemoryError,
    PoolRangeError,
    PoolUnrelatedError,
)
from .history import History
from .pool import MemoryPool, trim

__all__ = [
    "BlockState",
    "CheckpointError",
    "FormatError",
    "History",
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

publish(__name__, *(globals()[name] for name in __all__ if name != "__version__"))
