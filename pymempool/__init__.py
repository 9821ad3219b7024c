# SPDX-License-Identifier: MIT
"""Byte spaces that look contiguous, hold only what was written, and clone at once."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._core.file import PoolFile
from ._core.limits import Peak
from ._core.names import publish
from ._core.states import BlockState
from ._core.stats import PoolStats
from ._native.library import __version__, tracemalloc_domain
from ._native.paths import get_include, get_library
from .errors import (
    CheckpointError,
    FormatError,
    OverlapError,
    PoolClosedError,
    PoolError,
    PoolLimitError,
    PoolMemoryError,
    PoolRangeError,
    PoolUnrelatedError,
    SharingError,
)
from .history import History
from .pool import MemoryPool, trim

if TYPE_CHECKING:
    from .images.merging import merge
    from .sharing.snapshot import SharedSnapshot

__all__ = [
    "BlockState",
    "CheckpointError",
    "FormatError",
    "History",
    "MemoryPool",
    "OverlapError",
    "Peak",
    "PoolClosedError",
    "PoolError",
    "PoolFile",
    "PoolLimitError",
    "PoolMemoryError",
    "PoolRangeError",
    "PoolStats",
    "PoolUnrelatedError",
    "SharedSnapshot",
    "SharingError",
    "__version__",
    "get_include",
    "get_library",
    "merge",
    "tracemalloc_domain",
    "trim",
]

# Modules that are imported when their names are first used.
_LATE = {"SharedSnapshot": ".sharing.snapshot", "merge": ".images.merging"}

publish(
    __name__,
    *(
        globals()[name]
        for name in __all__
        if name not in ("__version__", "tracemalloc_domain", *_LATE)
    ),
)


def __getattr__(name: str) -> Any:
    if name in _LATE:
        thing = getattr(import_module(_LATE[name], __name__), name)
        publish(__name__, thing)
        globals()[name] = thing
        return thing
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
